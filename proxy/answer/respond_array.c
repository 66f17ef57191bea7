/* proxy/answer/respond_array.c - a stream that is a JSON array (Gemini without alt=sse) on its way through the filter. */
#include "proxy/answer/respond_private.h"
#include "proxy/net/worker.h"

/* The element whose pieces come. */
struct element {
    struct gw_buf *out;
    const struct json_array_event *ev; /* NULL: none, what is held back comes by itself */
};

static enum gw_status on_piece(void *ctx, const struct restream_piece *p)
{
    const struct element *e = ctx;

    if (p->own || e->ev == NULL)
        json_array_write(e->out, false, p->data); /* something came before: it held this back */
    else if (p->same)
        gw_buf_add(e->out, e->ev->raw);
    else
        json_array_rewrite(e->out, e->ev, p->data);
    return GW_OK;
}

static enum gw_status on_element(void *ctx, const struct json_array_event *ev)
{
    struct req *req = ctx;
    struct respond *r = req->respond;
    struct element e = {&r->out, ev};

    if (ev->has_data) {
        if (respond_worth_a_look(r, ev->data))
            api_look(r->dialect, req->w->json, ev->data, &r->seen);
        return restream_data(r->restream, GW_SPAN(""), ev->data, on_piece, &e);
    }
    e.ev = NULL; /* the last bracket: what is still held back goes before it */
    GW_TRY(restream_end(r->restream, on_piece, &e));
    gw_buf_add(&r->out, ev->raw);
    return GW_OK;
}

enum gw_status respond_array_feed(struct req *req, struct gw_span bytes)
{
    enum gw_status st = json_array_feed(req->respond->array, bytes, on_element, req);
    enum gw_status sent = respond_send(req, false);

    return st != GW_OK ? st : sent;
}

enum gw_status respond_array_end(struct req *req)
{
    struct respond *r = req->respond;

    GW_TRY(json_array_finish(r->array, on_element, req));
    return json_array_complete(r->array) ? GW_OK : GW_EPARSE;
}

enum gw_status respond_array_release(struct req *req)
{
    struct element e = {&req->respond->out, NULL};

    return restream_let_go(req->respond->restream, on_piece, &e);
}
