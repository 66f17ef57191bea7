/* proxy/api/api.c - the table of dialects, and errors and requests as far as they are the same for all. Pure; any thread. */
#include "proxy/api/api.h"

#include "proxy/api/api_private.h"

static const struct api_ops *const dialects[API_DIALECT_COUNT] = {
    [API_CHAT] = &api_chat_ops,           [API_COMPLETIONS] = &api_completions_ops,
    [API_RESPONSES] = &api_responses_ops, [API_ANTHROPIC] = &api_anthropic_ops,
    [API_GEMINI] = &api_gemini_ops,
};

const struct api_ops *api_ops_of(enum api_dialect d)
{
    return (unsigned)d < API_DIALECT_COUNT ? dialects[d] : &api_chat_ops;
}

const char *api_dialect_name(enum api_dialect d)
{
    return api_ops_of(d)->name;
}

enum gw_status api_no_memory(struct gw_err *err)
{
    return gw_fail(err, GW_ENOMEM, "out of memory");
}

/* ---- requests --------------------------------------------------------------------------- */

enum gw_status api_read_request(enum api_dialect d, const struct gw_json_node *root,
                                struct gw_arena *arena, struct api_request *out, const char **param,
                                struct gw_err *err)
{
    const struct api_ops *ops = api_ops_of(d);
    struct api_request req = {.dialect = d};
    struct api_reading r = {.arena = arena, .req = &req, .param = param, .err = err};

    *param = NULL;
    if (ops->read_request == NULL)
        return gw_fail(err, GW_EUNSUPPORTED, "requests of %s API are not read", ops->title);
    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN))
        return gw_fail(err, GW_EINVAL, "the body must be a JSON object");
    if (d == API_GEMINI) { /* they stand in the path */
        req.model = out->model;
        req.stream = out->stream;
    }
    GW_TRY(ops->read_request(&r, root));
    if (gw_arena_failed(arena)) /* a text that was not decoded looks like one that was not given */
        return api_no_memory(err);
    *out = req;
    return GW_OK;
}

/* Refuses what the dialect cannot say, names the hints that are left out. */
static enum gw_status judge_extras(struct api_writing *w)
{
    const struct api_request *req = w->req;

    if (req->bad != NULL) {
        *w->param = req->bad_param;
        return gw_fail(w->err, GW_EINVAL, "%s", req->bad);
    }
    for (unsigned i = 0; i < req->n_extras; i++) {
        const struct api_extra *x = &req->extras[i];

        if (!x->hint) {
            struct gw_span path = gw_arena_copy(w->arena, x->path);

            return path.ptr == NULL ? api_no_memory(w->err) : api_cannot(w, path.ptr, NULL);
        }
        api_drop(w, "%.*s", (int)x->path.len, x->path.ptr);
    }
    return GW_OK;
}

/* A counting call refuses what governs an answer that nobody makes. */
static struct api_request without_answer(const struct api_request *req)
{
    struct api_request r = *req;

    r.stream = false;
    r.max_tokens = r.temperature = r.top_p = r.top_k = r.min_p = (struct gw_span){NULL, 0};
    r.presence_penalty = r.frequency_penalty = r.seed = r.n = (struct gw_span){NULL, 0};
    r.logprobs = false;
    r.top_logprobs = (struct gw_span){NULL, 0};
    r.stop = NULL;
    r.n_stop = 0;
    return r;
}

static void cut_back(struct gw_buf *b, size_t len)
{
    if (b != NULL && b->len > len) {
        b->len = len;
        b->ptr[len] = '\0';
    }
}

enum gw_status api_write_request(enum api_dialect d, const struct api_request *req,
                                 struct gw_span model, struct gw_arena *arena, struct gw_buf *out,
                                 struct gw_buf *dropped, const char **param, struct gw_err *err)
{
    const struct api_ops *ops = api_ops_of(d);
    struct api_request input;
    struct api_writing w = {ops, req, model, arena, out, dropped, param, err};
    size_t n_out = out->len, n_dropped = dropped == NULL ? 0 : dropped->len;
    enum gw_status st;

    *param = NULL;
    if (ops->write_request == NULL)
        return gw_fail(err, GW_EUNSUPPORTED, "requests cannot be translated to %s API", ops->title);
    if (req->counting) {
        input = without_answer(req);
        w.req = &input;
    }
    st = judge_extras(&w);
    if (st == GW_OK)
        st = ops->write_request(&w);
    if (st == GW_OK &&
        (gw_arena_failed(arena) || !gw_buf_ok(out) || (dropped != NULL && !gw_buf_ok(dropped))))
        st = api_no_memory(err);
    if (st != GW_OK) {
        cut_back(out, n_out);
        cut_back(dropped, n_dropped);
    }
    return st;
}

/* True when the key token is that name, escaped or not. */
static bool key_is(const struct gw_json_tok *tok, const char *name)
{
    const struct gw_json_node node = {.key = tok->raw, .key_escaped = tok->escaped};

    return gw_json_key_is(&node, name);
}

enum gw_status api_replace_model(struct gw_json *json, struct gw_span body, struct gw_span model,
                                 struct gw_buf *out)
{
    struct gw_json_tok tok;
    bool value_is_model = false;

    gw_json_start(json, body, NULL);
    while (gw_json_next(json, &tok) != GW_JSON_END) {
        if (tok.type == GW_JSON_ERROR)
            return GW_EPARSE;
        if (value_is_model && tok.type == GW_JSON_STRING) {
            gw_buf_add(out, (struct gw_span){body.ptr, tok.start});
            gw_buf_add_json_str(out, model);
            gw_buf_add(out, gw_span_from(body, tok.end));
            return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
        }
        value_is_model = tok.type == GW_JSON_KEY && tok.depth == 1 && key_is(&tok, "model");
    }
    return GW_EPARSE;
}

/* ---- errors ----------------------------------------------------------------------------- */

/* OpenAI's SDKs choose the exception by the status alone; the types are those its API answers with. */
const char *api_error_type(unsigned status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 408:
    case 504:
        return "timeout_error";
    case 429:
        return "rate_limit_error";
    case 529:
        return "overloaded_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

const char *api_error_message(unsigned status)
{
    switch (status) {
    case 401:
        return "The credentials were not accepted.";
    case 403:
        return "This is not allowed.";
    case 404:
        return "There is no such thing.";
    case 408:
    case 504:
        return "The answer took too long.";
    case 413:
        return "The request is too large.";
    case 429:
        return "Too many requests.";
    case 503:
    case 529:
        return "The service is overloaded or not available.";
    default:
        return status >= 500 ? "The provider failed." : "The request was refused.";
    }
}

void api_write_error(enum api_dialect d, const struct api_failure *f, const char *request_id,
                     struct gw_buf *out)
{
    const struct api_ops *ops = api_ops_of(d);

    if (ops->write_error != NULL)
        ops->write_error(f, request_id, out);
}

void api_write_stream_error(enum api_dialect d, const struct api_failure *f, struct gw_buf *out)
{
    const struct api_ops *ops = api_ops_of(d);

    if (ops->write_stream_error != NULL)
        ops->write_stream_error(f, out);
}

void api_read_error(enum api_dialect d, unsigned status, const struct gw_json_node *root,
                    struct gw_arena *arena, struct api_failure *out)
{
    const struct api_ops *ops = api_ops_of(d);
    struct api_failure f = {.status = status};

    if (ops->read_error != NULL)
        ops->read_error(status, root, arena, &f);
    if (f.message == NULL)
        f.message = api_error_message(f.status);
    *out = f;
}

void api_look(enum api_dialect d, struct gw_json *json, struct gw_span data, struct api_seen *out)
{
    const struct api_ops *ops = api_ops_of(d);

    if (ops->look != NULL)
        ops->look(json, data, out);
}
