/* proxy/request/request_extract.c - what a request says: its texts as documents to scan, and what routing needs of it.
 *
 * Scanned contains forwarded (dlp.h D1): every byte of the body, and of path and query, is in one of the pieces made here,
 * and every text of a translated request comes from the body. Worker's thread. */
#include <string.h>

#include "proxy/http/multipart.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/count_tokens.h"
#include "proxy/request/request_stages.h"

static const struct dlp_doc_limits doc_limits = {.min_number = DLP_NUMBER_MIN};

static struct req_piece *add_piece(struct req *req, struct gw_span bytes)
{
    struct req_piece *p = &req->pieces[req->n_pieces++];

    p->bytes = bytes;
    return p;
}

static bool make_room(struct req *req, unsigned n)
{
    req->pieces = gw_arena_array(req->arena, n + 2, sizeof(*req->pieces)); /* and path and query */
    req->n_pieces = 0;
    return req->pieces != NULL;
}

/* ---- the request line -------------------------------------------------------------------------- */

/* The query without its "key" parameter, which is a credential as a field would be. */
static enum gw_status strip_key(struct req *req)
{
    struct gw_span q = endpoint_query(req->head->path);
    struct gw_span key = endpoint_query_get(q, "key");
    struct gw_buf out = {0};

    req->query = q;
    if (key.ptr == NULL)
        return GW_OK;
    gw_buf_add(&out, (struct gw_span){q.ptr, (size_t)(key.ptr - q.ptr) - 4});
    q = gw_span_from(q, (size_t)(key.ptr - q.ptr) + key.len);
    if (q.len > 1)
        gw_buf_add(&out, gw_span_from(q, 1)); /* behind its '&' */
    else if (out.len != 0)
        out.len--; /* the '?' or '&' before it */
    req->query = gw_arena_copy(req->arena, gw_buf_span(&out));
    gw_buf_fini(&out);
    return req->query.ptr == NULL ? GW_ENOMEM : GW_OK;
}

static enum gw_status add_fixed(struct req *req, struct gw_span raw, bool query, const char *what)
{
    struct gw_span text = endpoint_decode(req->arena, raw, query);
    struct req_piece *p;

    if (text.ptr == NULL)
        return GW_ENOMEM;
    p = add_piece(req, text);
    p->fixed = what;
    p->field = query ? ROUTER_FIELD_QUERY : ROUTER_FIELD_PATH;
    return dlp_doc_parse_text(req->arena, text, &p->doc);
}

/* Calls that are known by their whole path say nothing in it. */
static bool path_says_something(const struct req *req)
{
    return req->ep.kind == ENDPOINT_PASS || req->ep.model.len != 0 || conn_fixed(req->conn) != NULL;
}

static enum gw_status extract_line(struct req *req)
{
    if (path_says_something(req))
        GW_TRY(add_fixed(req, req->path, false, REQ_PIECE_PATH));
    GW_TRY(strip_key(req));
    if (req->query.len <= 1)
        return GW_OK;
    return add_fixed(req, gw_span_from(req->query, 1), true, REQ_PIECE_QUERY);
}

/* ---- the body --------------------------------------------------------------------------- */

static bool says_json(struct gw_span type)
{
    for (size_t k = 0; k + 4 <= type.len; k++)
        if (gw_span_eq_nocase((struct gw_span){type.ptr + k, 4}, GW_SPAN("json")))
            return true;
    return false;
}

static bool begins_as_json(struct gw_span body)
{
    size_t i = 0;

    while (i < body.len && (body.ptr[i] == ' ' || body.ptr[i] == '\n' || body.ptr[i] == '\r' ||
                            body.ptr[i] == '\t'))
        i++;
    return i < body.len && (body.ptr[i] == '{' || body.ptr[i] == '[');
}

/* A part, or a body nobody calls JSON: as JSON when it is some, so that escapes hide nothing, else as plain text. */
static enum gw_status parse_any(struct req *req, struct req_piece *p)
{
    if (begins_as_json(p->bytes)) {
        enum gw_status st = dlp_doc_parse_json(req->arena, p->bytes, &doc_limits, &p->doc, NULL);

        if (st != GW_EPARSE)
            return st;
    }
    return dlp_doc_parse_text(req->arena, p->bytes, &p->doc);
}

/* Is stretch i the head of a part that is a file? */
static bool names_file(const struct multipart_stretch *s, unsigned i, unsigned n)
{
    for (size_t k = 0; i < n && s[i].is_head && k + 8 <= s[i].bytes.len; k++)
        if (gw_span_eq_nocase((struct gw_span){s[i].bytes.ptr + k, 8}, GW_SPAN("filename")))
            return true;
    return false;
}

static enum gw_status extract_multipart(struct req *req, struct gw_span type, struct gw_err *err)
{
    struct multipart_stretch *s;
    unsigned n;

    GW_TRY(multipart_split(req->arena, type, gw_buf_span(&req->body), &s, &n, err));
    if (!make_room(req, n))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < n; i++) {
        struct req_piece *p = add_piece(req, s[i].bytes);

        /* The head of a file's part says its name, which may tell as much. */
        if (names_file(s, s[i].is_head ? i : i - 1, n))
            p->field = ROUTER_FIELD_FILE;
        GW_TRY(parse_any(req, p));
        if (gw_span_is(s[i].name, "model") && s[i].bytes.len <= 256)
            req->model = s[i].bytes;
    }
    return GW_OK;
}

static enum gw_status extract_body(struct req *req, struct gw_err *err)
{
    struct gw_span body = gw_buf_span(&req->body), type = http1_get(req->head, "content-type");
    bool must_be_json = req->ep.kind == ENDPOINT_CHAT || req->ep.kind == ENDPOINT_EMBEDDINGS ||
                        req->ep.kind == ENDPOINT_RERANK || req->ep.kind == ENDPOINT_COUNT_TOKENS;

    if (!must_be_json && multipart_is(type))
        return extract_multipart(req, type, err);
    if (!make_room(req, 1))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (body.len == 0 && !must_be_json)
        return GW_OK;
    add_piece(req, body)->field = req->ep.file ? ROUTER_FIELD_FILE : ROUTER_FIELD_OTHER;
    if (must_be_json || (says_json(type) && !req->ep.file))
        return dlp_doc_parse_json(req->arena, body, &doc_limits, &req->pieces[0].doc, err);
    return parse_any(req, &req->pieces[0]);
}

/* ---- what routing needs ------------------------------------------------------------------ */

static enum gw_status read_chat(struct req *req, const struct gw_json_node *root,
                                const char **param, struct gw_err *err)
{
    struct api_request *a = &req->asked;

    if (req->ep.kind == ENDPOINT_COUNT_TOKENS)
        root = count_tokens_request(req->ep.dialect, root);
    a->dialect = req->ep.dialect;
    if (req->ep.dialect == API_GEMINI) {
        a->model = endpoint_decode(req->arena, req->ep.model, false);
        a->stream = req->ep.stream;
        if (a->model.ptr == NULL)
            return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    GW_TRY(api_read_request(req->ep.dialect, root, req->arena, a, param, err));
    a->counting = req->ep.kind == ENDPOINT_COUNT_TOKENS;
    req->model = a->model;
    return GW_OK;
}

static enum gw_status read_model(struct req *req, const struct gw_json_node *root, bool required,
                                 const char **param, struct gw_err *err)
{
    const struct gw_json_node *model = gw_json_get(root, "model");

    req->model = gw_json_text(model, req->arena);
    if (req->ep.model.len != 0 && req->model.len == 0)
        req->model = endpoint_decode(req->arena, req->ep.model, false);
    if (!required || req->model.len != 0)
        return GW_OK;
    *param = "model";
    return gw_fail(err, GW_EINVAL, "model must be a string that names a model");
}

static enum gw_status read_json(struct req *req, const char **param, struct gw_err *err)
{
    struct gw_json_node *root;

    GW_TRY(gw_json_tree(req->w->json, req->arena, gw_buf_span(&req->body), NULL, &root, err));
    req->tree = root;
    switch (req->ep.kind) {
    case ENDPOINT_CHAT:
    case ENDPOINT_COUNT_TOKENS:
        if (root->type != GW_JSON_OBJECT_BEGIN)
            return gw_fail(err, GW_EINVAL, "the body must be a JSON object");
        return read_chat(req, root, param, err);
    case ENDPOINT_EMBEDDINGS:
    case ENDPOINT_RERANK:
        return read_model(req, root, true, param, err);
    case ENDPOINT_NONE:
    case ENDPOINT_MODELS:
    case ENDPOINT_PASS:
    default:
        return read_model(req, root, false, param, err);
    }
}

enum gw_status extract(struct req *req, const char **param, struct gw_err *err)
{
    bool json;

    GW_TRY(extract_body(req, err));
    json = req->n_pieces == 1 && req->pieces[0].bytes.ptr == req->body.ptr &&
           begins_as_json(req->pieces[0].bytes);
    if (json && !req->ep.file &&
        (req->ep.kind != ENDPOINT_PASS || says_json(http1_get(req->head, "content-type"))))
        GW_TRY(read_json(req, param, err));
    else if (req->ep.kind != ENDPOINT_PASS)
        return gw_fail(err, GW_EINVAL, "the body must be a JSON object");
    return extract_line(req);
}
