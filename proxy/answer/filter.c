/* proxy/answer/filter.c - see filter.h: a guard, then a restorer. Thread: the worker's. */
#include "proxy/answer/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/answer/filter_private.h"

struct filter {
    struct filter_time *time;      /* or NULL */
    struct dlp_guard *guard;       /* NULL: not scanned */
    struct dlp_restorer *restorer; /* NULL: nothing to restore */
    struct gw_buf guarded;         /* what the guard let go, on its way to the restorer */
};

struct filter *filter_new(const struct filter_config *cfg, unsigned json_nesting)
{
    struct filter *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return NULL;
    f->time = cfg->time;
    if (cfg->scanner != NULL)
        f->guard = dlp_guard_new(cfg->scanner, cfg->rules, &cfg->limits, json_nesting, cfg->decide,
                                 cfg->ctx);
    if (cfg->vault != NULL)
        f->restorer = dlp_restorer_new(cfg->vault, json_nesting);
    if ((cfg->scanner != NULL && f->guard == NULL) || (cfg->vault != NULL && f->restorer == NULL)) {
        filter_free(f);
        return NULL;
    }
    return f;
}

void filter_free(struct filter *f)
{
    if (f == NULL)
        return;
    dlp_guard_free(f->guard);
    dlp_restorer_free(f->restorer);
    gw_buf_fini(&f->guarded);
    free(f);
}

/* What the guard let go, to the restorer; last: the text is complete. */
static enum gw_status pass_on(struct filter *f, bool last, struct gw_buf *out)
{
    enum gw_status st = gw_buf_ok(&f->guarded) ? GW_OK : GW_ENOMEM;

    if (f->restorer == NULL)
        gw_buf_add(out, gw_buf_span(&f->guarded));
    else if (st == GW_OK)
        st = dlp_restorer_feed(f->restorer, gw_buf_span(&f->guarded), out);
    if (st == GW_OK && last && f->restorer != NULL)
        st = dlp_restorer_finish(f->restorer, out);
    gw_buf_clear(&f->guarded);
    return st == GW_OK && !gw_buf_ok(out) ? GW_ENOMEM : st;
}

static uint64_t clock_of(const struct filter_time *t)
{
    return t == NULL ? 0 : gw_clock_ns();
}

/* Counts what a scan that began then took, and returns how it ended. */
static enum gw_status took(struct filter_time *t, uint64_t start, enum gw_status st)
{
    if (t == NULL)
        return st;
    t->ns += gw_clock_ns() - start;
    if (st == GW_OK && t->most_ns != 0 && t->ns > t->most_ns)
        st = GW_ETIMEDOUT;
    t->late = t->late || st == GW_ETIMEDOUT;
    t->failed = t->failed || (st != GW_OK && st != GW_EDENIED && st != GW_ETIMEDOUT);
    return st;
}

enum gw_status filter_feed(struct filter *f, struct gw_span text, struct gw_buf *out)
{
    uint64_t start;

    if (f->guard == NULL && f->restorer != NULL)
        return dlp_restorer_feed(f->restorer, text, out);
    if (f->guard == NULL) {
        gw_buf_add(&f->guarded, text);
        return pass_on(f, false, out);
    }
    start = clock_of(f->time);
    GW_TRY(took(f->time, start, dlp_guard_feed(f->guard, text, &f->guarded)));
    return pass_on(f, false, out);
}

enum gw_status filter_finish(struct filter *f, struct gw_buf *out)
{
    const uint64_t start = clock_of(f->time);

    if (f->guard != NULL)
        GW_TRY(took(f->time, start, dlp_guard_finish(f->guard, &f->guarded)));
    return pass_on(f, true, out);
}

enum gw_status filter_last(struct filter *f, struct gw_span text, struct gw_buf *out)
{
    const uint64_t start = clock_of(f->time);

    if (f->guard == NULL) {
        GW_TRY(filter_feed(f, text, out));
        return filter_finish(f, out);
    }
    GW_TRY(took(f->time, start, dlp_guard_last(f->guard, text, &f->guarded)));
    return pass_on(f, true, out);
}

size_t filter_held(const struct filter *f)
{
    return f->guard == NULL ? 0 : dlp_guard_held(f->guard);
}

bool filter_is_empty(const struct filter *f)
{
    return filter_held(f) == 0 && (f->restorer == NULL || dlp_restorer_held(f->restorer) == 0);
}

enum gw_status filter_release(struct filter *f, struct gw_buf *out)
{
    const uint64_t start = clock_of(f->time);

    if (f->guard == NULL)
        return GW_OK;
    GW_TRY(took(f->time, start, dlp_guard_release(f->guard, &f->guarded)));
    return pass_on(f, false, out);
}

unsigned filter_restored(const struct filter *f)
{
    return f->restorer == NULL ? 0 : dlp_restorer_count(f->restorer);
}

/* ---- whole answers ------------------------------------------------------------------------ */

/* A whole answer on its way. */
struct answer {
    const struct filter_config *cfg;
    struct gw_arena *arena;
    struct gw_span body;
    struct filter_signed kept; /* texts that must not change */
};

static struct gw_span value_of(const struct dlp_doc *doc, const struct dlp_finding *found)
{
    return (struct gw_span){dlp_doc_leaf(doc, found->leaf).text.ptr + found->start,
                            found->end - found->start};
}

/* Does the finding stand in a text that must not change? A joined leaf has no place; its name tells enough. */
static bool is_kept(const struct answer *a, const struct dlp_doc *doc,
                    const struct dlp_finding *found, bool *opaque)
{
    const struct dlp_leaf leaf = dlp_doc_leaf(doc, found->leaf);

    *opaque = false;
    if (a->kept.n == 0)
        return false;
    if (leaf.kind != DLP_LEAF_JOINED)
        return filter_is_signed(&a->kept, a->body.ptr + leaf.raw_start, opaque);
    *opaque = gw_span_is(leaf.key, "signature") || gw_span_is(leaf.key, "thoughtSignature") ||
              gw_span_is(leaf.key, "encrypted_content");
    return *opaque || gw_span_is(leaf.key, "thinking");
}

/* Asks about every finding. GW_EDENIED: one blocks; *edits: one changes the text. */
static enum gw_status decide_all(const struct answer *a, const struct dlp_doc *doc,
                                 const struct dlp_report *report, enum gw_action *actions,
                                 bool *edits)
{
    bool blocked = false;

    for (unsigned i = 0; i < report->n_findings; i++) {
        const struct dlp_finding *found = &report->findings[i];
        struct dlp_guard_finding f = {
            .rule = found->rule, .confidence = found->confidence, .text = value_of(doc, found)};
        bool opaque, kept = is_kept(a, doc, found, &opaque);

        actions[i] = opaque ? GW_ACTION_ALLOW : a->cfg->decide(a->cfg->ctx, &f);
        if (actions[i] == GW_ACTION_TOKENIZE) /* nobody could restore it */
            actions[i] = GW_ACTION_REDACT;
        if (actions[i] >= GW_ACTION_MASK && kept)
            actions[i] = GW_ACTION_BLOCK;
        blocked |= actions[i] >= GW_ACTION_BLOCK;
        *edits |= actions[i] >= GW_ACTION_MASK;
    }
    return blocked ? GW_EDENIED : GW_OK;
}

static enum gw_status hide(const struct answer *a, const struct dlp_doc *doc,
                           const struct dlp_report *report, const enum gw_action *actions,
                           struct gw_buf *edited)
{
    struct gw_buf body = {0};
    enum gw_status st = dlp_doc_edit(doc, a->cfg->rules, report, actions, NULL, &body);

    if (st == GW_OK)
        st = filter_drop_logprobs(gw_buf_span(&body), a->arena, edited);
    gw_buf_fini(&body);
    return st;
}

/* Scans the body; *edited gets it with its findings hidden, or stays empty when nothing changes. */
static enum gw_status guard_json(const struct answer *a, struct gw_buf *edited)
{
    const struct filter_config *cfg = a->cfg;
    struct dlp_scan_limits limits = cfg->limits;
    struct dlp_doc *doc;
    struct dlp_report report;
    enum gw_action *actions;
    bool edits = false;

    if (cfg->time != NULL && cfg->time->most_ns != 0)
        limits.deadline_ns = gw_clock_ns() + cfg->time->most_ns;
    GW_TRY(dlp_doc_parse_answer(a->arena, a->body, &doc));
    GW_TRY(dlp_scan(cfg->scanner, cfg->rules, doc, a->arena, &limits, &report));
    actions = gw_arena_array(a->arena, report.n_findings, sizeof(*actions));
    if (actions == NULL)
        return GW_ENOMEM;
    GW_TRY(decide_all(a, doc, &report, actions, &edits));
    return edits ? hide(a, doc, &report, actions, edited) : GW_OK;
}

enum gw_status filter_json(const struct filter_config *cfg, struct gw_arena *arena,
                           struct gw_span body, struct gw_buf *out, unsigned *n_restored)
{
    struct answer a = {.cfg = cfg, .arena = arena, .body = body};
    struct gw_buf edited = {0};
    const uint64_t start = clock_of(cfg->time);
    enum gw_status st = filter_find_signed(body, arena, &a.kept);

    if (st == GW_OK && cfg->scanner != NULL)
        st = took(cfg->time, start, guard_json(&a, &edited));
    if (st == GW_OK && edited.len != 0) { /* what is signed has moved */
        a.body = gw_buf_span(&edited);
        st = filter_find_signed(a.body, arena, &a.kept);
    }
    if (st == GW_OK && cfg->vault != NULL)
        st = dlp_restore_json_but(cfg->vault, a.body, a.kept.texts, a.kept.n, out, n_restored);
    else if (st == GW_OK)
        gw_buf_add(out, a.body);
    gw_buf_fini(&edited);
    return st == GW_OK && !gw_buf_ok(out) ? GW_ENOMEM : st;
}

/* Cut JSON has its escapes still. */
static bool begins_as_json(struct gw_span body)
{
    size_t i = 0;

    while (i < body.len && (body.ptr[i] == ' ' || body.ptr[i] == '\t' || body.ptr[i] == '\r' ||
                            body.ptr[i] == '\n'))
        i++;
    return i < body.len && (body.ptr[i] == '{' || body.ptr[i] == '[' || body.ptr[i] == '"');
}

enum gw_status filter_plain(const struct filter_config *cfg, struct gw_span body,
                            struct gw_buf *out, unsigned *n_restored)
{
    struct filter *f = filter_new(cfg, begins_as_json(body));
    enum gw_status st = f == NULL ? GW_ENOMEM : filter_last(f, body, out);

    if (f != NULL)
        *n_restored += filter_restored(f);
    filter_free(f);
    return st;
}
