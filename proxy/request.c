/* proxy/request.c - the table of stages and the stages up to the decision. What runs and answers is in
 * request_run.c; how a request ends is in request_end.c. */
#include "proxy/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/conn.h"
#include "proxy/encoding.h"
#include "proxy/models_list.h"
#include "proxy/record.h"
#include "proxy/request_private.h"
#include "proxy/worker.h"

enum stage_result { NEXT, WAIT, DONE };

/* ---- identify --------------------------------------------------------------------------- */

/* The key in the shapes the SDKs send. */
static struct gw_span client_key(const struct http1_head *h)
{
    struct gw_span v = http1_get(h, "authorization");
    static const char *const names[] = {"x-api-key", "api-key", "x-goog-api-key"};

    if (v.len > 7 && gw_span_eq_nocase((struct gw_span){v.ptr, 7}, GW_SPAN("bearer ")))
        return gw_span_from(v, 7);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        v = http1_get(h, names[i]);
        if (v.len != 0)
            return v;
    }
    return (struct gw_span){NULL, 0};
}

static enum stage_result refuse_key(struct req *req, enum gw_status st)
{
    if (st == GW_EIO) {
        req_refuse(req, 503, "server_error", "keys_unavailable", 5, AUDIT_END_REFUSED,
                   "The keys database cannot be read; try again later.");
        return DONE;
    }
    req_refuse(req, 401, "invalid_request_error", "invalid_api_key", 0, AUDIT_END_REFUSED, "%s",
               st == GW_EDENIED     ? "This API key was revoked."
               : st == GW_ETIMEDOUT ? "This API key has expired."
               : st == GW_ECANCELED
                   ? "No API key was given. Send it as Authorization: Bearer slk_..."
                   : "This API key is not known here.");
    return DONE;
}

static enum stage_result stage_identify(struct req *req)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);
    struct gw_span key = client_key(req->head);
    enum gw_status st = GW_ECANCELED;
    uint16_t port;

    if (fixed != NULL) {
        if (fixed->who != NULL)
            req->who = *fixed->who;
        req->has_who = fixed->who != NULL;
    } else if (req->w->server->cfg->auth.required) {
        if (key.len != 0)
            st = proxy_store_lookup(req->w->server->store, key, req->arena, &req->who);
        if (st != GW_OK)
            return refuse_key(req, st);
        req->has_who = true;
    }
    if (!req->has_who)
        req->who.name = gw_span_str(conn_peer(req->conn, &port));
    return NEXT;
}

/* ---- endpoint --------------------------------------------------------------------------- */

static enum stage_result refuse_method(struct req *req, const char *allow)
{
    req_refuse(req, 405, "invalid_request_error", "method_not_allowed", 0, AUDIT_END_REFUSED,
               "%.*s takes %s only.", (int)(req->path.len < 80 ? req->path.len : 80), req->path.ptr,
               allow);
    return DONE;
}

static enum stage_result gateway_endpoint(struct req *req)
{
    struct gw_span m = req->head->method;

    if (gw_span_is(req->path, "/v1/chat/completions")) {
        if (!gw_span_is(m, "POST"))
            return refuse_method(req, "POST");
        req->endpoint = REQ_ENDPOINT_CHAT;
        return NEXT;
    }
    if (gw_span_is(req->path, "/v1/models") || gw_span_starts(req->path, GW_SPAN("/v1/models/"))) {
        if (!gw_span_is(m, "GET") && !gw_span_is(m, "HEAD"))
            return refuse_method(req, "GET");
        req->endpoint = REQ_ENDPOINT_MODELS;
        models_list_answer(req, API_CHAT, gw_span_from(req->path, sizeof("/v1/models/") - 1));
        return DONE;
    }
    req_refuse(req, 404, "invalid_request_error", "unknown_url", 0, AUDIT_END_REFUSED,
               "Unknown request URL. This gateway answers POST /v1/chat/completions, "
               "GET /v1/models and GET /v1/models/{id}.");
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

static enum stage_result stage_endpoint(struct req *req)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);

    if (req->head->upgrade) {
        req_refuse(req, 501, "invalid_request_error", "upgrade_not_supported", 0, AUDIT_END_REFUSED,
                   "Protocol upgrades cannot be governed here yet.");
        return DONE;
    }
    if (fixed == NULL)
        return gateway_endpoint(req);
    if (!authority_is(req->head->authority, fixed->host)) {
        req_refuse(req, 421, "invalid_request_error", "misdirected_request", 0, AUDIT_END_REFUSED,
                   "The Host of this request is not the host of its TLS connection.");
        return DONE;
    }
    req->endpoint = gw_span_is(req->head->method, "POST") &&
                            gw_span_ends(req->path, GW_SPAN("/chat/completions"))
                        ? REQ_ENDPOINT_CHAT
                        : REQ_ENDPOINT_PASS;
    return NEXT;
}

/* ---- body ------------------------------------------------------------------------------- */

static enum stage_result stage_body(struct req *req)
{
    if (req->body_complete)
        return NEXT;
    if (req->head->expect_continue)
        conn_continue(req->conn);
    return WAIT;
}

static enum stage_result stage_decode(struct req *req)
{
    struct gw_span encoding = http1_get(req->head, "content-encoding");
    size_t max = (size_t)req->w->server->cfg->limits.max_body * 2;
    struct gw_buf plain = {0};
    struct gw_err err;
    enum gw_status st;

    if (!gw_buf_ok(&req->body)) {
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
                   "The gateway is out of memory.");
        return DONE;
    }
    if (encoding_is_identity(encoding))
        return NEXT;
    st = encoding_undo(encoding, gw_buf_span(&req->body), max, &plain, &err);
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
    gw_buf_fini(&req->body);
    req->body = plain;
    return NEXT;
}

/* ---- extract ---------------------------------------------------------------------------- */

static enum stage_result refuse_body(struct req *req, enum gw_status st, const struct gw_err *err)
{
    if (st == GW_ENOMEM)
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
                   "The gateway is out of memory.");
    else
        req_refuse(req, st == GW_ELIMIT ? 413 : 400, "invalid_request_error", "invalid_body", 0,
                   AUDIT_END_REFUSED, "The body cannot be read: %s.", err->text);
    return DONE;
}

static bool looks_like_json(const struct req *req)
{
    struct gw_span type = http1_get(req->head, "content-type");
    struct gw_span body = gw_buf_span(&req->body);
    size_t i = 0;

    for (size_t k = 0; k + 4 <= type.len; k++)
        if (gw_span_eq_nocase((struct gw_span){type.ptr + k, 4}, GW_SPAN("json")))
            return true;
    while (i < body.len && (body.ptr[i] == ' ' || body.ptr[i] == '\n' || body.ptr[i] == '\r' ||
                            body.ptr[i] == '\t'))
        i++;
    return i < body.len && (body.ptr[i] == '{' || body.ptr[i] == '[');
}

/* The query string as the server will read it: %XX undone, + as a space. */
static enum gw_status extract_query(struct req *req)
{
    struct gw_span q = gw_span_from(req->head->path, req->path.len);
    char *p = gw_arena_alloc(req->arena, q.len + 1);
    size_t n = 0;

    if (q.len <= 1)
        return GW_OK;
    if (p == NULL)
        return GW_ENOMEM;
    for (size_t i = 1; i < q.len; i++) {
        char hex[3] = {0};

        if (q.ptr[i] == '%' && i + 2 < q.len) {
            char *end;
            unsigned long v;

            memcpy(hex, q.ptr + i + 1, 2);
            v = strtoul(hex, &end, 16);
            if (*end == '\0') {
                p[n++] = (char)v;
                i += 2;
                continue;
            }
        }
        p[n++] = (char)(q.ptr[i] == '+' ? ' ' : q.ptr[i]);
    }
    return dlp_doc_parse_text(req->arena, (struct gw_span){p, n}, &req->query_doc);
}

static enum stage_result stage_extract(struct req *req)
{
    struct gw_err err = {0};
    struct gw_span body = gw_buf_span(&req->body);
    const char *param = NULL;
    enum gw_status st = extract_query(req);

    if (st == GW_OK && req->endpoint == REQ_ENDPOINT_CHAT) {
        st = dlp_doc_parse_json(req->arena, body, NULL, &req->doc, &err);
        if (st == GW_OK)
            st = api_chat_parse(req->w->json, req->arena, body, &req->chat, &param, &err);
    } else if (st == GW_OK && body.len != 0) {
        st = looks_like_json(req) ? dlp_doc_parse_json(req->arena, body, NULL, &req->doc, &err)
                                  : dlp_doc_parse_text(req->arena, body, &req->doc);
    }
    if (st == GW_EINVAL) {
        req->error_param = param;
        req_refuse(req, 400, "invalid_request_error", "invalid_value", 0, AUDIT_END_REFUSED, "%s.",
                   err.text);
        return DONE;
    }
    return st == GW_OK ? NEXT : refuse_body(req, st, &err);
}

/* ---- scan ------------------------------------------------------------------------------- */

static enum gw_status scan(struct req *req)
{
    const struct server *s = req->w->server;
    const struct dlp_scan_limits lim = {.report_from = s->cfg->dlp.report_from};

    if (req->doc != NULL)
        GW_TRY(dlp_scan(req->w->scanner, s->rules, req->doc, req->arena, &lim, &req->report));
    if (req->query_doc != NULL)
        GW_TRY(dlp_scan(req->w->scanner, s->rules, req->query_doc, req->arena, &lim,
                        &req->query_report));
    return GW_OK;
}

static enum stage_result stage_scan(struct req *req)
{
    uint64_t start = gw_clock_ns();
    enum gw_status st = scan(req);

    req->dlp_ns = gw_clock_ns() - start;
    metrics_add(&req->w->metrics.dlp_ns, req->dlp_ns);
    metrics_add(&req->w->metrics.dlp_bytes, req->report.scanned_bytes);
    if (st == GW_OK)
        return NEXT;
    gw_log(GW_LOG_ERROR, "dlp_failed", "req=%s status=%s", req->id, gw_status_name(st));
    if (req->w->server->cfg->dlp.on_error == 1) {
        req->report.n_findings = req->query_report.n_findings = 0;
        return NEXT;
    }
    req_refuse(req, 503, "server_error", "dlp_failed", 0, AUDIT_END_REFUSED,
               "The request could not be checked for sensitive data, so it was not sent (%s).",
               gw_status_name(st));
    return DONE;
}

/* ---- decide ----------------------------------------------------------------------------- */

static void add_findings(struct req *req, const struct dlp_report *report)
{
    const struct dlp_rules *rules = req->w->server->rules;

    for (unsigned i = 0; i < report->n_findings; i++) {
        const struct dlp_rule_info *info = dlp_rules_info(rules, report->findings[i].rule);
        struct router_finding *f = &req->findings[req->n_findings++];

        f->rule = gw_span_str(info->id);
        f->class_ = info->class_;
        f->severity = info->severity;
        f->confidence = report->findings[i].confidence;
        metrics_add(&req->w->metrics.findings[info->class_], 1);
    }
}

static bool prepare_findings(struct req *req)
{
    unsigned n = req->report.n_findings + req->query_report.n_findings;

    req->findings = gw_arena_array(req->arena, n + 1, sizeof(*req->findings));
    req->d.actions = gw_arena_alloc(req->arena, n + 1);
    req->d.always = gw_arena_alloc(req->arena, n + 1);
    req->d.lines = gw_arena_array(req->arena, n + 1, sizeof(*req->d.lines));
    if (req->findings == NULL || req->d.actions == NULL || req->d.always == NULL ||
        req->d.lines == NULL)
        return false;
    add_findings(req, &req->report);
    add_findings(req, &req->query_report);
    return true;
}

static void measure(const struct req *req, struct router_features *f)
{
    for (unsigned i = 0; i < req->chat.n_messages; i++)
        router_features_add(f, req->chat.messages[i].role, req->chat.messages[i].content);
    f->tools = (uint16_t)(req->chat.n_tools < UINT16_MAX ? req->chat.n_tools : UINT16_MAX);
    f->schema = req->chat.has_schema;
}

static enum stage_result refuse_decision(struct req *req)
{
    const struct router_decision *d = &req->d;

    metrics_add(&req->w->metrics.blocked, 1);
    record_decided(req, NULL); /* nothing leaves, so nothing waits for it */
    if (d->reason == ROUTER_REASON_NO_ROUTE)
        req_refuse(req, 404, "invalid_request_error", "model_not_found", 0, AUDIT_END_BLOCKED,
                   "%s.", d->reason_text);
    else if (d->reason == ROUTER_REASON_UNAVAILABLE)
        req_refuse(req, 503, "server_error", "no_target_available", 5, AUDIT_END_BLOCKED, "%s.",
                   d->reason_text);
    else
        req_refuse(req, 403, "policy_violation",
                   d->reason == ROUTER_REASON_ZONE_CONFLICT ? "policy_zone" : "policy_blocked", 0,
                   AUDIT_END_BLOCKED, "Blocked by your organisation's policy: %s.", d->reason_text);
    return DONE;
}

static enum stage_result stage_decide(struct req *req)
{
    const struct server *s = req->w->server;
    struct router_input in = {
        .model = req->endpoint == REQ_ENDPOINT_CHAT ? req->chat.model : GW_SPAN(""),
        .user = req->who.name,
        .groups = req->who.groups,
        .n_groups = req->who.n_groups,
        .fixed = conn_fixed(req->conn) != NULL,
        .fixed_zone = GW_ZONE_APPROVED,
    };

    if (!prepare_findings(req)) {
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
                   "The gateway is out of memory.");
        return DONE;
    }
    in.findings = req->findings;
    in.n_findings = req->n_findings;
    measure(req, &in.features);
    router_decide(s->cfg->policy, &in, &req->d);
    metrics_add(&req->w->metrics.actions[req->d.action], 1);
    if (req->d.rerouted)
        metrics_add(&req->w->metrics.rerouted, 1);
    return req->d.blocked ? refuse_decision(req) : NEXT;
}

/* ---- audit ------------------------------------------------------------------------------ */

static void on_decided_durable(void *ctx, enum gw_status st)
{
    struct req *req = ctx;
    bool waited = req->audit_wait;

    req->audit_wait = false;
    req->audit_status = st;
    if (waited)
        req_resume_after_audit(req);
}

static enum stage_result stage_audit(struct req *req)
{
    enum gw_status st;

    req->audit_status = GW_EAGAIN;
    st = record_decided(req, on_decided_durable);
    if (st == GW_OK && req->audit_status == GW_EAGAIN) {
        req->audit_wait = true;
        return WAIT; /* stage_audit_check runs next */
    }
    if (st != GW_OK)
        req->audit_status = st;
    return NEXT;
}

static enum stage_result stage_audit_check(struct req *req)
{
    if (req->audit_status == GW_OK)
        return NEXT;
    gw_log(GW_LOG_ERROR, "audit_unavailable", "req=%s status=%s", req->id,
           gw_status_name(req->audit_status));
    req_refuse(req, 503, "server_error", "audit_unavailable", 5, AUDIT_END_REFUSED,
               "The decision could not be recorded, so the request was not sent.");
    return DONE;
}

/* ---- the table -------------------------------------------------------------------------- */

static enum stage_result stage_run(struct req *req)
{
    req_run(req);
    return DONE; /* the backend's events drive the rest */
}

static const struct {
    const char *name;
    enum stage_result (*run)(struct req *req);
} stages[] = {
    {"identify", stage_identify}, {"endpoint", stage_endpoint}, {"body", stage_body},
    {"decode", stage_decode},     {"extract", stage_extract},   {"scan", stage_scan},
    {"decide", stage_decide},     {"audit", stage_audit},       {"audit_check", stage_audit_check},
    {"run", stage_run},
};

void req_advance(struct req *req)
{
    while (req->stage < sizeof(stages) / sizeof(stages[0])) {
        unsigned now = req->stage;

        /* The body stage is asked again when more has come; the others are passed once. */
        if (stages[now].run != stage_body || req->body_complete)
            req->stage++;
        if (stages[now].run(req) != NEXT)
            return;
    }
}

/* ---- what conn.c calls ------------------------------------------------------------------ */

static struct gw_span without_query(struct gw_span path)
{
    const char *q = path.len == 0 ? NULL : memchr(path.ptr, '?', path.len);

    return q == NULL ? path : (struct gw_span){path.ptr, (size_t)(q - path.ptr)};
}

static struct req *req_new(struct conn *c)
{
    struct req *req = calloc(1, sizeof(*req));

    if (req == NULL)
        return NULL;
    req->conn = c;
    req->w = conn_worker(c);
    req->arena = gw_arena_new((size_t)req->w->server->cfg->limits.max_body * 4 + (16u << 20));
    if (req->arena == NULL) {
        free(req);
        return NULL;
    }
    req->start_ns = gw_clock_ns();
    req->target = REQ_NO_TARGET;
    req->hold = 1;
    gw_ulid(req->id);
    metrics_gauge(&req->w->metrics.active, 1);
    return req;
}

struct req *req_begin(struct conn *c, const struct http1_head *head)
{
    struct req *req = req_new(c);

    if (req == NULL)
        return NULL;
    req->head = head;
    req->path = without_query(head->path);
    if (head->has_length && head->content_length < (1u << 20))
        (void)gw_buf_reserve(&req->body, (size_t)head->content_length);
    req_advance(req);
    return req_unhold(req);
}

void req_on_body(struct req *req, struct gw_span bytes)
{
    gw_buf_add(&req->body, bytes);
}

void req_on_body_end(struct req *req)
{
    req->body_complete = true;
    req->hold++;
    req_advance(req);
    (void)req_unhold(req);
}

void req_malformed(struct conn *c, struct req *req, unsigned status, const char *why)
{
    if (req == NULL) {
        req = req_new(c);
        if (req == NULL)
            return;
    } else {
        req->hold++;
    }
    req_refuse(req, status, "invalid_request_error", "malformed_request", 0, AUDIT_END_REFUSED,
               "The request was refused: %s.", why);
    (void)req_unhold(req);
}
