/* proxy/request/request_intake.c - the stages that take a request in: who asks, for what, with which bytes. Worker's thread. */
#include <string.h>

#include "proxy/http/encoding.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/models_list.h"
#include "proxy/request/request_private.h"
#include "proxy/request/request_stages.h"

/* ---- endpoint --------------------------------------------------------------------------- */

static enum stage_result refuse_unknown(struct req *req)
{
    req_refuse(req, 404, "invalid_request_error", "unknown_url", 0, AUDIT_END_REFUSED,
               "Unknown request URL. This gateway answers OpenAI's API below /v1 "
               "(chat/completions, responses, "
               "completions, embeddings, models, ...), Anthropic's /v1/messages and Gemini's "
               "/v1beta/models/MODEL:generateContent.");
    return DONE;
}

/* "api.test" of "api.test:443", in the SNI's case. */
static bool authority_is(struct gw_span authority, const char *host)
{
    size_t n = strlen(host);

    return authority.len >= n &&
           gw_span_eq_nocase((struct gw_span){authority.ptr, n}, gw_span_str(host)) &&
           (authority.len == n || authority.ptr[n] == ':');
}

enum stage_result stage_endpoint(struct req *req)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);

    if (req->head->upgrade) {
        req_refuse(req, 501, "invalid_request_error", "upgrade_not_supported", 0, AUDIT_END_REFUSED,
                   "Protocol upgrades cannot be governed here yet.");
        return DONE;
    }
    if (fixed != NULL && !authority_is(req->head->authority, fixed->host)) {
        req_refuse(req, 421, "invalid_request_error", "misdirected_request", 0, AUDIT_END_REFUSED,
                   "The Host of this request is not the host of its TLS connection.");
        return DONE;
    }
    if (req->ep.kind == ENDPOINT_NONE)
        return refuse_unknown(req);
    if (!endpoint_allows(&req->ep, req->head->method)) {
        req_refuse(req, 405, "invalid_request_error", "method_not_allowed", 0, AUDIT_END_REFUSED,
                   "%.*s takes %s only.", (int)(req->path.len < 80 ? req->path.len : 80),
                   req->path.ptr, req->ep.allow);
        return DONE;
    }
    if (req->ep.kind == ENDPOINT_MODELS) {
        models_list_answer(req, req->ep.dialect, req->ep.id);
        return DONE;
    }
    return NEXT;
}

/* ---- body ------------------------------------------------------------------------------- */

enum stage_result stage_body(struct req *req)
{
    uint64_t length = req->head->has_length ? req->head->content_length : 0;

    if (req->body_complete)
        return NEXT;
    if (!req_take_body(req, length))
        return DONE;
    if (length < (1u << 20))
        (void)gw_buf_reserve(&req->body, (size_t)length);
    if (req->head->expect_continue)
        conn_continue(req->conn);
    return WAIT;
}

static enum stage_result refuse_for_memory(struct req *req)
{
    req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
               "The gateway is out of memory.");
    return DONE;
}

enum stage_result stage_decode(struct req *req)
{
    struct gw_span encoding = http1_get(req->head, "content-encoding");
    size_t max = (size_t)req->setup->cfg->limits.max_body * 2;
    struct gw_buf plain = {0};
    struct gw_err err;
    enum gw_status st;

    if (!gw_buf_ok(&req->body))
        return refuse_for_memory(req);
    if (encoding_is_identity(encoding))
        return NEXT;
    st = encoding_undo(encoding, gw_buf_span(&req->body), max, &plain, &err);
    if (st == GW_ENOMEM) {
        gw_buf_fini(&plain);
        return refuse_for_memory(req);
    }
    if (st != GW_OK) {
        gw_buf_fini(&plain);
        req_refuse(req,
                   st == GW_EUNSUPPORTED ? 415
                   : st == GW_ELIMIT     ? 413
                                         : 400,
                   "invalid_request_error", "bad_content_encoding", 0, AUDIT_END_REFUSED, "%s.",
                   err.text);
        return DONE;
    }
    if (!req_take_body(req, req->body.len + plain.len)) {
        gw_buf_fini(&plain);
        return DONE;
    }
    gw_buf_fini(&req->body);
    req->body = plain;
    return NEXT;
}

/* ---- extract ---------------------------------------------------------------------------- */

enum stage_result stage_extract(struct req *req)
{
    struct gw_err err = {0};
    const char *param = NULL;
    enum gw_status st = extract(req, &param, &err);

    if (st == GW_OK && !req_may_model(req)) {
        req_refuse(req, 403, "permission_error", "model_not_allowed", 0, AUDIT_END_REFUSED,
                   req->model.len == 0
                       ? "Your key may use some models only, and this request names none."
                       : "Your key may not use this model; GET /v1/models lists "
                         "those it may.");
        return DONE;
    }
    if (st == GW_OK)
        return NEXT;
    req->error_param = param;
    if (st == GW_EINVAL)
        req_refuse(req, 400, "invalid_request_error", "invalid_value", 0, AUDIT_END_REFUSED, "%s.",
                   err.text);
    else if (st == GW_ENOMEM)
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
                   "The gateway is out of memory.");
    else
        req_refuse(req, st == GW_ELIMIT ? 413 : 400, "invalid_request_error", "invalid_body", 0,
                   AUDIT_END_REFUSED, "The body cannot be read: %s.", err.text);
    return DONE;
}
