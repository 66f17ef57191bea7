/* dlp/scan_explain.c - tells whoever asked what every match was worth, and why. Thread: the scanner's.
 *
 * Nothing of it runs while nobody asks: the scanner holds no struct scan_explain then. */
#include <stdlib.h>

#include "dlp/scan.h"

enum { MAX_PARTS = 64 };

struct scan_explain {
    dlp_explain_fn fn;
    void *ctx;
    struct dlp_explain_part parts[MAX_PARTS];
    unsigned n_parts;
};

bool dlp_scanner_explain(struct dlp_scanner *s, dlp_explain_fn fn, void *ctx)
{
    free(s->explain);
    s->explain = NULL;
    if (fn == NULL)
        return true;
    s->explain = calloc(1, sizeof(*s->explain));
    if (s->explain == NULL)
        return false;
    s->explain->fn = fn;
    s->explain->ctx = ctx;
    return true;
}

void scan_explain_part(struct scan_explain *e, const char *what, struct gw_span detail, int points)
{
    if (e->n_parts < MAX_PARTS)
        e->parts[e->n_parts++] = (struct dlp_explain_part){what, detail, points};
}

/* ---- anchors ---------------------------------------------------------------------------- */

static bool has(const struct bundle *b, uint32_t set, char c)
{
    unsigned char byte = (unsigned char)c;

    return (b->sets[set].w[byte >> 5] >> (byte & 31) & 1u) != 0;
}

static bool window_at(const struct bundle *b, const struct bundle_window *w, struct gw_span text,
                      size_t at)
{
    for (unsigned i = 0; i < BUNDLE_WINDOW_BYTES; i++)
        if (!has(b, w->set[i], (char)(at + i < text.len ? text.ptr[at + i] : '\0')))
            return false;
    return true;
}

/* Looks for target's window between min and max bytes behind the match's start. */
static bool find_window(const struct bundle *b, const struct bundle_window *w,
                        const struct bundle_target *t, struct gw_span text, struct dlp_explain *e)
{
    for (size_t at = e->match_start + t->min; at <= e->match_start + t->max && at < e->match_end;
         at++) {
        if (window_at(b, w, text, at)) {
            e->anchor_start = at;
            e->anchor_end =
                at + BUNDLE_WINDOW_BYTES < e->match_end ? at + BUNDLE_WINDOW_BYTES : e->match_end;
            return true;
        }
    }
    return false;
}

static bool find_run(const struct bundle *b, const struct bundle_run *run, struct gw_span text,
                     struct dlp_explain *e)
{
    for (size_t at = e->match_start + run->target.min;
         at <= e->match_start + run->target.max && at < e->match_end; at++) {
        size_t n = 0;

        while (n < run->n && at + n < text.len && has(b, run->set, text.ptr[at + n]))
            n++;
        if (n == run->n) {
            e->anchor_start = at;
            e->anchor_end = at + n;
            return true;
        }
    }
    return false;
}

/* The first anchor that led to the match. */
static void find_anchor(const struct bundle *b, struct gw_span text, struct dlp_explain *e)
{
    for (unsigned i = 0; i < b->n_windows; i++) {
        const struct bundle_window *w = &b->windows[i];

        for (unsigned k = 0; k < w->n_targets; k++) {
            const struct bundle_target *t = &b->targets[w->first_target + k];

            if (b->patterns[t->pattern].rule == e->rule && find_window(b, w, t, text, e))
                return;
        }
    }
    for (unsigned i = 0; i < b->n_runs; i++)
        if (b->patterns[b->runs[i].target.pattern].rule == e->rule &&
            find_run(b, &b->runs[i], text, e))
            return;
}

void scan_explain_end(struct scan_leaf *x, const struct scan_match *m, const char *dropped)
{
    struct scan_explain *explain = x->s->explain;
    struct dlp_explain e = {.rule = m->rule,
                            .leaf = x->leaf,
                            .text = x->text,
                            .match_start = m->match_start,
                            .match_end = m->match_end,
                            .start = m->start,
                            .end = m->end,
                            .dropped = dropped,
                            .confidence = m->confidence,
                            .parts = explain->parts,
                            .n_parts = explain->n_parts};

    find_anchor(x->rules->b, x->text, &e);
    explain->fn(explain->ctx, &e);
    explain->n_parts = 0;
}
