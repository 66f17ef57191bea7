/* proxy/request/record_word.c - words that a client chooses and records repeat (the user agent, the model, the host): shown when
 * no rule finds a secret in them, or is sure of anything else. Worker's thread.
 *
 * Clients say the same words all day, so a worker remembers what it found, by a keyed hash of the word and the rules. */
#include <stdlib.h>

#include "base/digest.h"
#include "base/siphash.h"
#include "proxy/net/worker.h"
#include "proxy/request/record.h"
#include "proxy/request/request_private.h"

enum { SURE = 80 /* confidence: what is called high */ };

static const char hidden[] = "(hidden)", as_it_is[] = "";

_Static_assert(sizeof(((struct req *)NULL)->shown) / sizeof(char *) == RECORD_WORDS,
               "a request remembers each");

/* Version numbers and addresses of hosts look a little like other things: only what is a secret, or surely something. */
static bool matters(const struct req *req, const struct dlp_finding *f)
{
    return f->confidence >= SURE ||
           dlp_rules_info(req->setup->rules, f->rule)->class_ == GW_CLASS_SECRET;
}

/* What cannot be looked at is not shown. */
static bool is_clean(const struct req *req, struct gw_span text)
{
    const struct dlp_scan_limits lim = {.report_from = req->setup->cfg->dlp.report_from};
    struct dlp_report report;
    struct dlp_doc *doc;

    if (dlp_doc_parse_text(req->arena, text, &doc) != GW_OK ||
        dlp_scan(req->w->scanner, req->setup->rules, doc, req->arena, &lim, &report) != GW_OK ||
        report.cut != 0)
        return false;
    for (unsigned i = 0; i < report.n_findings; i++)
        if (matters(req, &report.findings[i]))
            return false;
    return true;
}

/* Where the word is remembered; NULL: out of memory. */
static struct record_known *known_of(struct worker *w)
{
    if (w->known == NULL) {
        w->known = calloc(1, sizeof(*w->known));
        if (w->known != NULL)
            gw_random_seed(w->known->key, sizeof(w->known->key));
    }
    return w->known;
}

static bool ask(const struct req *req, struct gw_span text)
{
    struct record_known *known = known_of(req->w);
    struct gw_sip s;
    uint64_t hash;
    size_t at;

    if (known == NULL)
        return is_clean(req, text);
    s = gw_sip_start(known->key);
    gw_sip_add(&s, gw_span_str(dlp_rules_digest(req->setup->rules)));
    gw_sip_add(&s, text);
    hash = gw_sip_end(&s) | 1;
    at = hash >> 1 & (RECORD_KNOWN - 1);
    if (known->words[at].hash != hash) {
        known->words[at].clean = is_clean(req, text);
        known->words[at].hash = hash;
    }
    return known->words[at].clean;
}

struct gw_span record_word(struct req *req, enum record_word which, struct gw_span text)
{
    if (text.len == 0)
        return text;
    if (req->shown[which] == NULL)
        req->shown[which] = ask(req, text) ? as_it_is : hidden;
    return req->shown[which] == as_it_is ? text : gw_span_str(hidden);
}
