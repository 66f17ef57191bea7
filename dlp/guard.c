/* dlp/guard.c - scans one growing text (dlp_guard of dlp.h). Thread: the scanner's. */
#include <stdlib.h>

#include "dlp/edit.h"
#include "dlp/scan.h"
#include "dlp/vault.h"

struct dlp_guard {
    struct dlp_scanner *scanner;
    struct dlp_rules *rules;
    struct dlp_scan_limits limits;
    unsigned nesting;
    dlp_guard_fn fn;
    void *ctx;
    struct gw_buf text; /* held back */
};

struct dlp_guard *dlp_guard_new(struct dlp_scanner *scanner, struct dlp_rules *rules,
                                const struct dlp_scan_limits *limits, unsigned json_nesting,
                                dlp_guard_fn fn, void *ctx)
{
    struct dlp_guard *g = calloc(1, sizeof(*g));

    if (g == NULL)
        return NULL;
    g->scanner = scanner;
    g->rules = rules;
    if (limits != NULL)
        g->limits = *limits;
    g->nesting = json_nesting;
    g->fn = fn;
    g->ctx = ctx;
    return g;
}

void dlp_guard_free(struct dlp_guard *g)
{
    if (g == NULL)
        return;
    gw_buf_fini(&g->text);
    free(g);
}

enum gw_status dlp_guard_feed(struct dlp_guard *g, struct gw_span text, struct gw_buf *out)
{
    enum { MAX_TEXT = 16 << 20 };

    (void)out; /* everything waits for the end */
    if (text.len > MAX_TEXT - g->text.len)
        return GW_ELIMIT;
    gw_buf_add(&g->text, text);
    return gw_buf_ok(&g->text) ? GW_OK : GW_ENOMEM;
}

/* Appends what stands for the finding. */
static enum gw_status hide(struct dlp_guard *g, const struct dlp_finding *f, struct gw_buf *out)
{
    const struct dlp_rule_info *info = dlp_rules_info(g->rules, f->rule);
    struct gw_span value = {g->text.ptr + f->start, f->end - f->start};
    struct gw_buf hidden = {0};
    enum gw_action action = g->fn(
        g->ctx,
        &(struct dlp_guard_finding){.rule = f->rule, .confidence = f->confidence, .text = value});
    bool ok;

    if (action >= GW_ACTION_BLOCK)
        return GW_EDENIED;
    if (action < GW_ACTION_MASK) {
        gw_buf_add(out, value);
        return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
    }
    if (action == GW_ACTION_MASK) {
        dlp_mask(&hidden, value, info->class_ == GW_CLASS_SECRET);
    } else {
        dlp_placeholder_prefix(&hidden, info->type);
        gw_buf_adds(&hidden, "REDACTED");
    }
    ok = gw_buf_ok(&hidden) && dlp_escape(out, gw_buf_span(&hidden), g->nesting);
    gw_buf_fini(&hidden);
    return ok ? GW_OK : GW_ENOMEM;
}

enum gw_status dlp_guard_finish(struct dlp_guard *g, struct gw_buf *out)
{
    unsigned from = g->limits.report_from == 0 ? 40 : g->limits.report_from;
    enum gw_status st = scan_prepare(g->scanner, g->rules);
    size_t copied = 0;

    if (st == GW_OK)
        st = scan_text(g->scanner, g->rules, gw_buf_span(&g->text), (struct gw_span){NULL, 0}, 0,
                       from);
    for (unsigned i = 0; i < g->scanner->n_found && st == GW_OK; i++) {
        const struct dlp_finding *f = &g->scanner->found[i];

        gw_buf_add(out, (struct gw_span){g->text.ptr + copied, f->start - copied});
        st = hide(g, f, out);
        copied = f->end;
    }
    if (st == GW_OK)
        gw_buf_add(out, gw_span_from(gw_buf_span(&g->text), copied));
    gw_buf_fini(&g->text);
    return st == GW_OK && !gw_buf_ok(out) ? GW_ENOMEM : st;
}

size_t dlp_guard_held(const struct dlp_guard *g)
{
    return g->text.len;
}

enum gw_status dlp_guard_release(struct dlp_guard *g, struct gw_buf *out)
{
    (void)g;
    (void)out;
    return GW_OK;
}
