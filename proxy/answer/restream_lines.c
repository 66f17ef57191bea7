/* proxy/answer/restream_lines.c - what an event says besides its data: comments, ids, its name. Clients seldom look at them, but
 * get them. Each line is a text of its own. Worker's thread. */
#include "proxy/answer/restream_private.h"

struct lines {
    const struct restream *r;
    bool changed;
};

static enum gw_status edit_line(void *ctx, struct gw_span line, struct gw_buf *out)
{
    struct lines *l = ctx;
    struct filter_config cfg = l->r->grow;
    size_t start = out->len;
    struct filter *f;
    enum gw_status st;

    cfg.vault = NULL;
    /* Clients go by an event's name, so it cannot be another one. */
    if (gw_span_starts(line, GW_SPAN("event")))
        cfg.decide = l->r->signed_.decide;
    f = filter_new(&cfg, 0);
    st = f == NULL ? GW_ENOMEM : filter_last(f, line, out);
    filter_free(f);
    if (st == GW_OK && gw_buf_ok(out))
        l->changed |= !gw_span_eq(line, gw_span_from(gw_buf_span(out), start));
    return st;
}

enum gw_status restream_lines(struct restream *r, const struct sse_event *ev, struct gw_span *raw)
{
    struct lines l = {.r = r};

    if (r->cfg->scanner == NULL || !sse_has_more(ev))
        return GW_OK;
    gw_buf_clear(&r->lines);
    GW_TRY(sse_edit_lines(&r->lines, ev, edit_line, &l));
    if (l.changed)
        *raw = gw_buf_span(&r->lines);
    return GW_OK;
}
