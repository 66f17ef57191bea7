/* proxy/local/local_embed.c - attempts of encoders, and embeddings. See local_embed.h. Shapes: OpenAI API reference, "Embeddings". */
#include "proxy/local/local_embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

enum { MAX_EMBED_MS = 120000 };

/* ---- the request ------------------------------------------------------------------------ */

enum gw_status local_embed_bad(struct req *req, const char *param, const char *what,
                               struct gw_err *err)
{
    req->error_param = param;
    return gw_fail(err, GW_EINVAL, "%s %s", param, what);
}

/* "input": a text or a list of texts. Lists of token numbers belong to another model's tokenizer. */
static enum gw_status read_input(struct req *req, const struct gw_json_node *input,
                                 struct gw_span **texts, unsigned *n, struct gw_err *err)
{
    const struct gw_json_node *first = input;
    unsigned i = 0;

    *n = 1;
    if (gw_json_is(input, GW_JSON_ARRAY_BEGIN)) {
        first = input->child;
        *n = input->n;
    }
    if (first == NULL || *n > ENGINE_EMBED_MAX_TEXTS)
        return local_embed_bad(req, "input", "must be a text or a list of 1 to 2048 texts", err);
    *texts = gw_arena_array(req->arena, *n, sizeof(**texts));
    if (*texts == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (const struct gw_json_node *t = first; i < *n; t = t->next, i++) {
        if (t->type == GW_JSON_NUMBER || t->type == GW_JSON_ARRAY_BEGIN)
            return local_embed_bad(
                req, "input", "must be text: the local model does not take token numbers", err);
        (*texts)[i] = gw_json_text(t, req->arena);
        if ((*texts)[i].len == 0)
            return local_embed_bad(req, "input", "must not hold an empty text", err);
    }
    return GW_OK;
}

static enum gw_status read_options(struct req *req, const struct gw_json_node *root,
                                   unsigned n_dims, bool *base64, struct gw_err *err)
{
    const struct gw_json_node *format = gw_json_get(root, "encoding_format");
    const struct gw_json_node *dimensions = gw_json_get(root, "dimensions");

    *base64 = gw_json_text_is(format, "base64");
    if (format != NULL && !*base64 && !gw_json_is(format, GW_JSON_NULL) &&
        !gw_json_text_is(format, "float"))
        return local_embed_bad(req, "encoding_format", "must be float or base64", err);
    if (dimensions != NULL && !gw_json_is(dimensions, GW_JSON_NULL) &&
        gw_json_uint(dimensions, 0) != n_dims) {
        req->error_param = "dimensions";
        return gw_fail(err, GW_EUNSUPPORTED, "the local model has %u dimensions and no others",
                       n_dims);
    }
    return GW_OK;
}

bool local_reranks(const struct setup *s, unsigned target)
{
    struct engine_embed_info info;

    engine_embedder_info(s->embedders[target], &info);
    return info.reranks;
}

enum gw_status local_embed_begin(struct req *req, unsigned target, const struct local_attempt *like,
                                 const struct gw_span *texts, unsigned n, bool score,
                                 struct gw_err *err)
{
    const uint64_t deadline_ns = gw_clock_ns() + (uint64_t)MAX_EMBED_MS * GW_NS_PER_MS;
    struct local_attempt *a = calloc(1, sizeof(*a));
    enum gw_status st;

    if (a == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    *a = *like;
    a->req = req;
    a->chan = setup_seat(req->setup, req->w)->embed_chans[target];
    st = score ? engine_rerank_submit(a->chan, texts, n, deadline_ns, a, &a->id, err)
               : engine_embed_submit(a->chan, texts, n, deadline_ns, a, &a->id, err);
    if (st != GW_OK) {
        free(a);
        return st;
    }
    req->attempt = a;
    return GW_OK;
}

enum gw_status local_embed_start(struct req *req, unsigned target, struct gw_err *err)
{
    struct local_attempt a = {.req = NULL};
    struct engine_embed_info info;
    struct gw_json_node *root;
    struct gw_span *texts = NULL;
    unsigned n = 0;

    engine_embedder_info(req->setup->embedders[target], &info);
    GW_TRY(gw_json_tree(req->w->json, req->arena, req_out_body(req), NULL, &root, err));
    GW_TRY(read_input(req, gw_json_get(root, "input"), &texts, &n, err));
    GW_TRY(read_options(req, root, info.n_dims, &a.base64, err));
    return local_embed_begin(req, target, &a, texts, n, false, err);
}

void local_embed_cancel(struct req *req)
{
    struct local_attempt *a = req->attempt;

    if (a == NULL)
        return;
    req->attempt = NULL;
    engine_embed_cancel(a->chan, a->id);
    free(a);
}

/* ---- the answer ------------------------------------------------------------------------- */

/* Little-endian 32-bit floats, as OpenAI's SDKs expect; every machine we build for is one. */
static void put_base64(struct gw_buf *out, const float *v, unsigned n)
{
    gw_buf_addc(out, '"');
    gw_base64(out, (struct gw_span){(const char *)v, n * sizeof(*v)});
    gw_buf_addc(out, '"');
}

static void put_floats(struct gw_buf *out, const float *v, unsigned n)
{
    gw_buf_addc(out, '[');
    for (unsigned i = 0; i < n; i++)
        gw_buf_printf(out, i == 0 ? "%.9g" : ",%.9g", (double)v[i]); /* 9 digits name a float */
    gw_buf_addc(out, ']');
}

static void write_answer(struct gw_buf *out, const struct local_attempt *a,
                         const struct engine_embed_event *ev)
{
    gw_buf_adds(out, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; i < ev->n_texts; i++) {
        const float *v = ev->vectors + (size_t)i * ev->n_dims;

        gw_buf_printf(
            out, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", i == 0 ? "" : ",", i);
        if (a->base64)
            put_base64(out, v, ev->n_dims);
        else
            put_floats(out, v, ev->n_dims);
        gw_buf_addc(out, '}');
    }
    gw_buf_adds(out, "],\"model\":");
    gw_buf_add_json_str(out, a->req->out_model);
    gw_buf_printf(out, ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}\n",
                  ev->prompt_tokens, ev->prompt_tokens);
}

static enum req_failure failure_of(enum gw_status st)
{
    if (st == GW_ELIMIT)
        return REQ_FAIL_TOO_LONG;
    return st == GW_ETIMEDOUT ? REQ_FAIL_TIMEOUT : REQ_FAIL_UPSTREAM;
}

static void on_event(struct local_attempt *a, const struct engine_embed_event *ev)
{
    struct req *req = a->req;
    struct gw_buf out = {0};

    req->attempt = NULL;
    req->hold++;
    if (ev->status != GW_OK) {
        req_on_error(req, failure_of(ev->status), ev->error);
    } else {
        if (req->ep.kind == ENDPOINT_RERANK)
            local_rerank_write(&out, a, ev);
        else
            write_answer(&out, a, ev);
        if (gw_buf_ok(&out))
            req_give_json(req, gw_buf_span(&out));
        else
            req_on_error(req, REQ_FAIL_UPSTREAM, "out of memory");
    }
    gw_buf_fini(&out);
    free(a);
    (void)req_unhold(req);
}

void local_embed_dispatch(struct engine_embed_chan *chan)
{
    struct engine_embed_event ev;

    while (engine_embed_chan_next(chan, &ev)) {
        on_event(ev.ctx, &ev);
        free(ev.vectors);
    }
}
