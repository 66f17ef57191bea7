/* proxy/request/request_end.c - every way a request ends: refusals, aborts, the completed record. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/answer/peek.h"
#include "proxy/answer/respond.h"
#include "proxy/http/fields.h"
#include "proxy/limits/limits.h"
#include "proxy/net/conn.h"
#include "proxy/net/sweep.h"
#include "proxy/net/worker.h"
#include "proxy/request/attempts.h"
#include "proxy/request/record.h"
#include "proxy/request/request_private.h"

static void req_free(struct req *req)
{
    metrics_gauge(&req->w->metrics.active, -1);
    respond_free(req->respond);
    req_cache_free(req);
    dlp_vault_free(req->vault);
    gw_buf_fini(&req->out_body);
    gw_buf_fini(&req->dropped);
    gw_buf_fini(&req->answer);
    gw_buf_fini(&req->body);
    gw_arena_free(req->arena);
    sweep_soon(req->w);
    setup_unpin(req->w, req->setup);
    free(req);
}

struct req *req_unhold(struct req *req)
{
    bool finished = req->finished;

    if (--req->hold == 0 && finished)
        req_free(req);
    return finished ? NULL : req;
}

void req_cancel_attempt(struct req *req)
{
    if (req->backend != NULL && req->attempt != NULL)
        req->backend->cancel(req);
    if (req->current < req->n_attempts) /* the engine's; a server's attempt ends itself */
        attempt_end(req, req->current, REQ_OUT_CANCELLED, 0, -1);
    if (req->wait != NULL)
        event_free(req->wait);
    req->wait = NULL;
    peek_free(req->peek);
    req->peek = NULL;
    req->attempt = NULL;
    req->backend = NULL;
}

struct gw_span req_target_name(const struct req *req)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);

    if (fixed != NULL)
        return gw_span_str(fixed->host);
    if (req->target != REQ_NO_TARGET)
        return gw_span_str(req->setup->cfg->targets[req->target].name);
    return (struct gw_span){NULL, 0};
}

void req_add_fields(const struct req *req, struct gw_buf *out)
{
    char advice[REQ_ADVICE_BYTES];

    gw_buf_adds(out, "x-sluice-request-id: ");
    gw_buf_adds(out, req->id);
    gw_buf_adds(out, "\r\n");
    limits_add_fields(req, out);
    if (!req->decided)
        return;
    if (req->d.n_choices != 0 || req->target != REQ_NO_TARGET || conn_fixed(req->conn) != NULL)
        field_add(out, GW_SPAN("x-sluice-route"), req_target_name(req));
    field_add(out, GW_SPAN("x-sluice-action"), gw_span_str(gw_action_name(req->d.action)));
    field_add(out, GW_SPAN("x-sluice-reason"), gw_span_str(router_reason_name(req->d.reason)));
    if (req->d.would.differs)
        field_add(out, GW_SPAN("x-sluice-would"),
                  gw_span_str(record_would_name(&req->d.would, req->d.zones)));
    req_say_advice(req, req_advising_line(req), "", advice);
    if (advice[0] != '\0')
        field_add(out, GW_SPAN("x-sluice-message"), gw_span_str(advice));
    if (req->n_findings != req->n_allowed)
        gw_buf_printf(out, "x-sluice-findings: %u\r\n", req->n_findings - req->n_allowed);
    if (req->views_cut.len != 0)
        field_add(out, GW_SPAN("x-sluice-cut"), req->views_cut);
    if (req->n_attempts != 0)
        gw_buf_printf(out, "x-sluice-attempts: %u\r\n", req->n_attempts);
    if (req->d.rerouted)
        gw_buf_adds(out, "x-sluice-rerouted: true\r\n");
    if (req->translated)
        field_add(out, GW_SPAN("x-sluice-translated"), gw_span_str(api_dialect_name(req->spoken)));
    req_cache_fields(req, out);
    if (req->dropped.len != 0)
        field_add(out, GW_SPAN("x-sluice-dropped"), gw_buf_span(&req->dropped));
}

void req_refuse(struct req *req, unsigned status, const char *type, const char *code,
                int retry_after_s, enum audit_end end, const char *fmt, ...)
{
    struct gw_buf fields = {0}, body = {0};
    char message[2048];
    va_list ap;

    req->hold++;
    req_cancel_attempt(req);
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    req->status = status;
    req->error_code = code;
    (void)snprintf(req->error_text, sizeof(req->error_text), "%s", code);
    if (!req->client_gone && !conn_answer_started(req->conn)) {
        const struct api_failure f = {status, type, code, req->error_param, message};

        api_write_error(req->ep.dialect, &f, req->id, &body);
        gw_buf_adds(&fields, "Content-Type: application/json\r\n");
        gw_buf_printf(&fields, "x-request-id: %s\r\n", req->id);
        if (req->ep.dialect == API_ANTHROPIC)
            gw_buf_printf(&fields, "request-id: %s\r\n", req->id);
        if (retry_after_s != 0)
            gw_buf_printf(&fields, "Retry-After: %d\r\n", retry_after_s);
        if (status == 405)
            gw_buf_printf(&fields, "Allow: %s\r\n", req->ep.allow == NULL ? "" : req->ep.allow);
        req_add_fields(req, &fields);
        if (gw_buf_ok(&fields) && gw_buf_ok(&body)) {
            conn_answer_head(req->conn, status, gw_buf_span(&fields), (int64_t)body.len);
            conn_answer_body(req->conn, gw_buf_span(&body));
            record_answer_bytes(req, gw_buf_span(&body));
        }
        conn_answer_end(req->conn);
    } else {
        conn_answer_abort(req->conn);
    }
    gw_buf_fini(&fields);
    gw_buf_fini(&body);
    req_finish(req, end);
    (void)req_unhold(req);
}

/* One of the methods that there are: the client's own word might be anything. */
static const char *method_of(const struct req *req)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};

    for (size_t i = 0; req->head != NULL && i < sizeof(known) / sizeof(known[0]); i++)
        if (gw_span_is(req->head->method, known[i]))
            return known[i];
    return "-";
}

/* Nothing here is the client's own text: not the path, the model, or a field, which may hold what belongs nowhere. The
 * record of the same id has the path. */
static void log_access(const struct req *req, uint64_t us)
{
    struct gw_span target = req_target_name(req);

    gw_log(GW_LOG_INFO, "request",
           "req=%s user=\"%.*s\" method=%s op=%s status=%u end=%s target=%.*s action=%s "
           "findings=%u in=%zu out=%llu ms=%llu.%03llu",
           req->id, (int)(req->who.user.len < 64 ? req->who.user.len : 64), req->who.user.ptr,
           method_of(req), req->ep.operation == NULL ? "-" : req->ep.operation, req->status,
           audit_end_name(req->end), (int)target.len, target.ptr,
           req->decided ? gw_action_name(req->d.action) : "-", req->n_findings, req->body.len,
           (unsigned long long)conn_answer_bytes(req->conn), (unsigned long long)(us / 1000),
           (unsigned long long)(us % 1000));
}

static void observe(const struct req *req, struct metrics *m, uint64_t us)
{
    struct metrics_times *t =
        req->target == REQ_NO_TARGET ? NULL : &m->times[req->setup->slots[req->target]];

    metrics_observe(&m->duration, metrics_bounds_us, us);
    if (req->first_byte_ns == 0)
        return;
    metrics_observe(&m->ttfb, metrics_bounds_us, (req->first_byte_ns - req->start_ns) / 1000);
    if (t != NULL) {
        metrics_observe(&t->first_byte, metrics_bounds_us,
                        (req->first_byte_ns - req->mark_ns) / 1000);
        metrics_observe(&t->duration, metrics_bounds_us, us);
    }
    if (req->usage.prompt != 0)
        metrics_observe(&m->tokens_in, metrics_bounds_tokens, req->usage.prompt);
    if (req->usage.completion != 0)
        metrics_observe(&m->tokens_out, metrics_bounds_tokens, req->usage.completion);
}

void req_finish(struct req *req, enum audit_end end)
{
    struct metrics *m = &req->w->metrics;
    uint64_t now = gw_clock_ns(), us = (now - req->start_ns) / 1000;

    if (req->finished)
        return;
    req->finished = true;
    req->end = end;
    req_cancel_attempt(req);
    req_price(req);
    req_cache_keep(req);
    req_count_cost(req);
    req_count_attempts(req);
    record_completed(req, now);
    limits_settle(req);
    if (req->status >= 100 && req->status < 600)
        metrics_add(&m->requests[req->status / 100], 1);
    if (end == AUDIT_END_CLIENT_ABORT)
        metrics_add(&m->client_aborts, 1);
    observe(req, m, us);
    if (req->setup->cfg->log.access)
        log_access(req, us);
    req_give_memory(req); /* while the connection, and so the client, is there */
    conn_request_done(req->conn);
}

void req_stop(struct req *req)
{
    req->hold++;
    req->client_gone = true;
    if (req->audit_wait) {
        /* The channel is closed next and calls nobody: nothing holds the request any more. */
        req->audit_wait = false;
    }
    if (req->status == 0)
        req->status = 503;
    respond_abandon(req);
    req_finish(req, AUDIT_END_GATEWAY_STOP);
    (void)req_unhold(req);
}

void req_client_gone(struct req *req)
{
    req->hold++;
    req->client_gone = true;
    if (req->status == 0)
        req->status = 499; /* nginx's number for a client that left: for logs and records only */
    req_cancel_attempt(req);
    respond_abandon(req);
    if (!req->audit_wait)
        req_finish(req, AUDIT_END_CLIENT_ABORT);
    (void)req_unhold(req);
}

void req_resume_after_reserve(struct req *req)
{
    req->hold++;
    req_advance(req);
    (void)req_unhold(req);
}

void req_resume_after_audit(struct req *req)
{
    req->hold++;
    if (req->client_gone)
        req_finish(req, AUDIT_END_CLIENT_ABORT);
    else
        req_advance(req);
    (void)req_unhold(req);
}
