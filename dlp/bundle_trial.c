/* dlp/bundle_trial.c - a set of rules scans a megabyte of ordinary text before it is accepted: one careless rule (a bare
 * word, a class of everything) would report every request or make every scan slow. The text is made here, the same each
 * time, of prose, log lines, JSON and code that hold nothing to find. Thread: any. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "dlp/scan.h"

enum {
    TEXT_BYTES = 1 << 20,
    HIGH = 80,
    MAX_FINDINGS = 50,       /* of one rule at high confidence: a false alarm every 20 KB */
    MAX_CANDIDATES = 300000, /* matcher runs of one rule: at every third byte */
    MIN_MB_PER_S = 1,        /* of all rules together, in processor time; usual are hundreds */
};

static unsigned draw(uint32_t *state, unsigned n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

static const char *word(uint32_t *state)
{
    static const char *const words[] = {
        "the",     "and",    "report", "of",      "meeting", "we",      "in",     "please",
        "to",      "is",     "that",   "summary", "for",     "with",    "plan",   "this",
        "project", "it",     "you",    "as",      "are",     "on",      "team",   "be",
        "week",    "have",   "not",    "review",  "from",    "can",     "result", "which",
        "model",   "an",     "or",     "data",    "more",    "has",     "draft",  "by",
        "chapter", "should", "garden", "at",      "change",  "system",  "window", "about",
        "they",    "will",   "table",  "order",   "market",  "would",   "letter", "question",
        "river",   "value",  "answer", "there",   "process", "between", "music",  "version",
    };

    return words[draw(state, sizeof(words) / sizeof(words[0]))];
}

/* Appends text in which % stands for a word and # for a number below limit: printf would take longer to write a megabyte than the
 * scan to read it. */
static void add_form(struct gw_buf *out, uint32_t *state, const char *form, unsigned limit)
{
    while (*form != '\0') {
        size_t n = strcspn(form, "%#");

        gw_buf_add(out, (struct gw_span){form, n});
        form += n;
        if (*form == '%')
            gw_buf_adds(out, word(state));
        else if (*form == '#')
            gw_buf_addu(out, draw(state, limit));
        form += *form != '\0';
    }
}

static void add_words(struct gw_buf *out, uint32_t *state, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        add_form(out, state, i == 0 ? "%" : " %", 1);
}

static void add_line(struct gw_buf *out, uint32_t *state)
{
    switch (draw(state, 6)) {
    case 0:
        add_form(out, state, "1#:2#:3# INFO %-% done in # ms, # items\n", 10);
        return;
    case 1:
        add_form(out, state, "{\"%\": #, \"note\": \"", 1000);
        add_words(out, state, 5);
        add_form(out, state, "\", \"list\": [#, #], \"ok\": true}\n", 50);
        return;
    case 2:
        add_form(out, state, "    if (%_%(%, #) != NULL) return %->% + #;\n", 64);
        return;
    default:
        add_words(out, state, 8 + draw(state, 12));
        gw_buf_adds(out, ". ");
        add_words(out, state, 6 + draw(state, 9));
        gw_buf_adds(out, ", and so on.\n");
    }
}

void bundle_trial_text(struct gw_buf *out)
{
    uint32_t state = 1;

    while (out->len < TEXT_BYTES && gw_buf_ok(out))
        add_line(out, &state);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static enum gw_status refuse(const struct dlp_rules *r, unsigned rule, const char *what,
                             const char *advice, struct gw_err *err)
{
    return gw_fail(err, GW_EINVAL, "%s: rule %s: %s in a megabyte of ordinary text; %s",
                   r->b->rules[rule].file, r->b->rules[rule].id, what, advice);
}

/* Is any rule too noisy or too eager? findings: of each rule. */
static enum gw_status judge(const struct dlp_rules *r, const struct dlp_rule_cost *costs,
                            const uint32_t *findings, bool slow, struct gw_err *err)
{
    unsigned worst = 0;

    for (unsigned i = 0; i < r->b->n_rules; i++) {
        if (findings[i] > MAX_FINDINGS)
            return refuse(r, i, "finds more than 50 things at high confidence",
                          "lower its confidence, or ask for a context, a near or a validator", err);
        if (costs[i].candidates > MAX_CANDIDATES)
            return refuse(r, i, "has its matcher run at more than every third byte",
                          "let the pattern begin with something rarer", err);
        worst = costs[i].ns > costs[worst].ns ? i : worst;
    }
    return slow ? refuse(r, worst, "costs the most of more than a second that all rules take",
                         "let the pattern begin with something rarer, or bound its repeats", err)
                : GW_OK;
}

enum gw_status bundle_trial(const struct dlp_rules *r, const bool *only, struct gw_err *err)
{
    struct dlp_rule_cost *costs = calloc(r->b->n_rules + 1, sizeof(*costs));
    uint32_t *findings = calloc(r->b->n_rules + 1, sizeof(*findings));
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_buf text = {NULL, 0, 0, false};
    uint64_t start = 0;
    enum gw_status st = GW_OK;

    bundle_trial_text(&text);
    if (costs == NULL || findings == NULL || s == NULL || !gw_buf_ok(&text) ||
        scan_prepare(s, r) != GW_OK) {
        st = gw_fail(err, GW_ENOMEM, "out of memory for a trial of the rules");
        goto out;
    }
    dlp_scanner_measure(s, costs);
    s->only = only;
    start = cpu_ns();
    st = scan_text(s, r, gw_buf_span(&text), (struct gw_span){NULL, 0}, 0, HIGH);
    start = cpu_ns() - start;
    for (unsigned i = 0; i < s->n_found; i++)
        findings[s->found[i].rule]++;
    if (st == GW_OK || st == GW_ELIMIT) /* given up: far too slow */
        st = judge(r, costs, findings, st == GW_ELIMIT || start > 1000000000u / MIN_MB_PER_S, err);
    else
        st = gw_fail(err, st, "a trial of the rules failed: %s", gw_status_name(st));
out:
    dlp_scanner_free(s);
    gw_buf_fini(&text);
    free(findings);
    free(costs);
    return st;
}
