/* proxy/request/request_run.c - attempts: choose the target, start the backend, pass its events to respond.c, fall back while
 * nothing was committed. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/answer/peek.h"
#include "proxy/answer/respond.h"
#include "proxy/limits/limits.h"
#include "proxy/local/local.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/provider/provider.h"
#include "proxy/request/attempts.h"
#include "proxy/request/record.h"
#include "proxy/request/request_private.h"

/* ---- attempts --------------------------------------------------------------------------- */

/* Intercepted and engine requests keep the name; a target that does not take it gets its default. */
struct gw_span req_model_for(const struct req *req, unsigned target)
{
    struct gw_span model = req->d.model.len != 0 ? req->d.model : req->model;
    const struct proxy_config_target *t;

    if (target == REQ_NO_TARGET)
        return model;
    t = &req->setup->cfg->targets[target];
    if (t->kind == PROXY_TARGET_ENGINE)
        return local_model_name(t, model);
    if (t->default_model[0] != '\0' && !router_target_takes(req->setup->cfg->policy, target, model))
        return gw_span_str(t->default_model);
    return model;
}

/* Calls that are translated where the target does not speak the client's dialect. */
static void set_translation(struct req *req, const struct proxy_config_target *t)
{
    const enum provider_op op =
        req->ep.kind == ENDPOINT_CHAT ? PROVIDER_CHAT : PROVIDER_COUNT_TOKENS;

    if (!provider_speaks(t, op, req->ep.dialect, req->out_model))
        req->translated = provider_dialect(t, op, req->out_model, &req->spoken);
}

static void set_backend(struct req *req)
{
    const struct proxy_config *cfg = req->setup->cfg;

    req->backend =
        req->target != REQ_NO_TARGET && cfg->targets[req->target].kind == PROXY_TARGET_ENGINE
            ? &backend_engine
            : &backend_upstream;
}

static void set_target(struct req *req)
{
    const struct setup *s = req->setup;
    const struct proxy_config_target *t;

    req->translated = false;
    if (conn_fixed(req->conn) != NULL) {
        req->target = REQ_NO_TARGET;
        req->zone = GW_ZONE_APPROVED;
        set_backend(req);
        return;
    }
    req->target = req->d.choices[req->choice];
    t = &s->cfg->targets[req->target];
    req->zone = t->zone;
    req->out_model = req_model_for(req, req->target);
    set_backend(req);
    if (req->backend != &backend_upstream)
        return;
    if (req->ep.kind == ENDPOINT_CHAT || req->ep.kind == ENDPOINT_COUNT_TOKENS)
        set_translation(req, t);
}

/* Begins anew: nothing of an earlier attempt is left. */
static void reset_attempt(struct req *req)
{
    dlp_vault_free(req->vault);
    req->vault = NULL;
    req->edited = false;
    req->usage_asked = false;
    gw_buf_fini(&req->out_body);
    gw_buf_fini(&req->dropped);
    req->out_model = req->model;
    req->tried = 0;
    req->n_retries = 0;
}

static enum req_failure failure_of_start(enum gw_status st)
{
    if (st == GW_EAGAIN)
        return REQ_FAIL_BUSY;
    if (st == GW_ENOENT)
        return REQ_FAIL_DOWN;
    if (st == GW_EINVAL)
        return REQ_FAIL_INVALID;
    return st == GW_EUNSUPPORTED ? REQ_FAIL_UNSUPPORTED : REQ_FAIL_UPSTREAM;
}

void req_start(struct req *req)
{
    struct gw_err err = {0};
    enum gw_status st;

    set_backend(req);
    if (req->backend == &backend_engine && !attempt_begin(req, NULL, false, &req->current))
        st = gw_fail(&err, GW_ELIMIT, "there were %d attempts", REQ_MAX_ATTEMPTS);
    else
        st = req->backend->start(req, req->target, &err);
    if (st == GW_OK)
        return;
    if (req->backend == &backend_engine)
        attempt_end(req, req->current, REQ_OUT_NOT_MADE, 0, -1);
    req_on_error(req, failure_of_start(st), err.text);
}

/* The second half of a target's first attempt: every budget has room. */
static void run_reserved(struct req *req)
{
    struct gw_err err = {0};
    enum gw_status st;

    st = req_prepare_body(req, &err);
    if (st == GW_EDENIED) {
        req_refuse(req, 403, "policy_violation", "policy_blocked", 0, AUDIT_END_BLOCKED,
                   "Blocked by your organisation's policy: %s.", err.text);
        return;
    }
    if (st == GW_EUNSUPPORTED || st == GW_EINVAL) {
        req_on_error(req, REQ_FAIL_UNSUPPORTED, err.text);
        return;
    }
    if (st != GW_OK) {
        /* What cannot be hidden is not sent. */
        req_refuse(req, 503, "server_error", "redaction_failed", 0, AUDIT_END_INTERNAL_ERROR,
                   "The sensitive data in this request could not be hidden, so it was not sent.");
        return;
    }
    limits_sent(req);
    req_mark(req, METRICS_STAGE_PREPARE);
    if (req->backend == &backend_upstream && req->target != REQ_NO_TARGET)
        health_budget_add(req->setup->health, req->target);
    req_start(req);
}

static void run_if_reserved(struct req *req, enum gw_status st, const char *why)
{
    if (st == GW_OK)
        run_reserved(req);
    else if (st != GW_EAGAIN) /* else req_resume_after_retarget() comes */
        req_on_error(req, REQ_FAIL_LIMIT, why);
}

void req_run(struct req *req)
{
    struct gw_err err = {0};
    enum gw_status st;

    reset_attempt(req);
    set_target(req);
    st = limits_retarget(req, &err);
    run_if_reserved(req, st, err.text);
}

void req_resume_after_retarget(struct req *req)
{
    struct gw_err err = {0};
    enum gw_status st;

    req->hold++;
    st = limits_retargeted(req, &err);
    run_if_reserved(req, st, err.text);
    (void)req_unhold(req);
}

/* ---- the backend's events ---------------------------------------------------------------- */

/* The answer begins, and is the client's from here on. */
static void note_begin(struct req *req, unsigned status, int64_t after_ms)
{
    attempt_end(req, req->current, REQ_OUT_ANSWERED, status, after_ms);
    req->status = status;
    req->first_byte_ns = gw_clock_ns();
    metrics_stage(&req->w->metrics, METRICS_STAGE_ANSWER, req->first_byte_ns - req->mark_ns);
    metrics_add(&req->w->metrics.zones[req->zone == GW_ZONE_PROCESS   ? 0
                                       : req->zone == GW_ZONE_PRIVATE ? 1
                                                                      : 2],
                1);
}

/* An answer that policy stops, or that cannot be passed on. */
void req_answer_failed(struct req *req, enum gw_status st)
{
    enum audit_end end = AUDIT_END_UPSTREAM_ERROR;
    struct api_failure f = {.status = 502, .type = "server_error", .code = "upstream_error"};
    char advice[REQ_ADVICE_BYTES], message[REQ_ADVICE_BYTES + 100];

    if (st == GW_EDENIED) {
        end = AUDIT_END_BLOCKED;
        req_say_advice(req, req->answer_line, " ", advice);
        (void)snprintf(message, sizeof(message),
                       "Blocked by your organisation's policy: the answer holds data that may not "
                       "be shown.%s",
                       advice);
        f = (struct api_failure){.status = 403,
                                 .type = "policy_violation",
                                 .code = "policy_blocked",
                                 .message = message};
    } else if (st == GW_ENOMEM) {
        end = AUDIT_END_INTERNAL_ERROR;
        f.status = 503;
        f.code = "out_of_memory";
        f.message = "The gateway is out of memory.";
    } else if (st == GW_ELIMIT) {
        f.message = "The answer is larger than the gateway can check.";
    } else if (st == GW_ETIMEDOUT) {
        end = AUDIT_END_TIMEOUT;
        f.status = 503;
        f.code = "dlp_failed";
        f.message = "The answer could not be checked for sensitive data in the time that is given "
                    "to that.";
    } else if (st == GW_ENOENT) {
        f.message = "The model's answer ended before it began.";
    } else if (st == GW_EUNSUPPORTED) {
        f.message = "The answer came in a form that the gateway cannot check.";
    } else {
        f.message = "The answer of the model cannot be read.";
    }
    req_cut(req, end, &f);
}

static void give_head(struct req *req, unsigned status, const struct http1_field *fields,
                      unsigned n_fields, int64_t length)
{
    enum gw_status st;

    note_begin(req, status, req_retry_after(fields, n_fields));
    st = respond_begin(req, status, fields, n_fields, length);
    if (st != GW_OK)
        req_answer_failed(req, st);
}

/* An answer that says no. True: another attempt was begun. */
static bool mend(struct req *req, enum req_outcome outcome, unsigned status,
                 const struct http1_field *fields, unsigned n_fields)
{
    struct req_remedy remedy;

    req_remedy_of_status(req, status, fields, n_fields, &remedy);
    if (!remedy.elsewhere && !remedy.next && !remedy.same)
        return false;
    attempt_end(req, req->current, outcome, status, remedy.after_ms);
    if (!req_try_again(req, &remedy))
        return false;
    req->told_status = status;
    req->told_after_ms = remedy.after_ms;
    return true;
}

void req_on_head(struct req *req, unsigned status, const struct http1_field *fields,
                 unsigned n_fields, int64_t length)
{
    req->hold++;
    if (status < 400 || !mend(req, REQ_OUT_STATUS, status, fields, n_fields)) {
        peek_begin(req, status, fields, n_fields, length, &req->peek);
        if (req->peek == NULL)
            give_head(req, status, fields, n_fields, length);
    }
    (void)req_unhold(req);
}

/* ---- the beginning of an answer ----------------------------------------------------------- */

/* Passes on what was held back. */
static void give_peeked(struct req *req)
{
    struct peek *p = req->peek;
    struct peek_held held;
    enum gw_status st;

    req->peek = NULL;
    peek_held(p, &held);
    give_head(req, held.status, held.fields, held.n_fields, held.length);
    if (!req->finished && held.lost) {
        req_answer_failed(req, GW_ENOMEM);
    } else if (!req->finished && held.body.len != 0) {
        st = respond_data(req, held.body);
        if (st != GW_OK)
            req_answer_failed(req, st);
    }
    peek_free(p);
}

/* True: what was held back has been passed on. */
static bool on_peeked(struct req *req, enum peek_result result)
{
    struct peek_held held;

    if (result == PEEK_MORE)
        return false;
    peek_held(req->peek, &held);
    if (result == PEEK_ERROR) {
        metrics_add(&req->w->metrics.error_answers, 1);
        if (peek_usage(req->peek)->known) {
            req->attempts[req->current].usage = req_usage_of(peek_usage(req->peek));
            req->attempts[req->current].has_usage = true;
        }
        if (mend(req, REQ_OUT_ERROR_EVENT, peek_error_status(req->peek), held.fields,
                 held.n_fields))
            return false;
    }
    give_peeked(req);
    return true;
}

void req_peek_late(struct req *req)
{
    req->hold++;
    give_peeked(req);
    (void)req_unhold(req);
}

void req_on_events(struct req *req)
{
    enum gw_status st;

    req->hold++;
    note_begin(req, 200, -1);
    st = respond_begin_events(req);
    if (st != GW_OK)
        req_answer_failed(req, st);
    (void)req_unhold(req);
}

void req_give_json(struct req *req, struct gw_span body)
{
    const struct http1_field type = {GW_SPAN("Content-Type"), GW_SPAN("application/json")};

    req->hold++;
    req_on_head(req, 200, &type, 1, (int64_t)body.len);
    if (!req->finished)
        req_on_data(req, body);
    if (!req->finished)
        req_on_end(req);
    (void)req_unhold(req);
}

/* The client reads more slowly than the answer comes. What waits for it, here and in the connection to the target, is
 * counted from the first time on. */
static void wait_for_client(struct req *req)
{
    if (!req->slow_client && !req_take_memory(req, (uint64_t)2 * CONN_OUT_HIGH)) {
        req_answer_failed(req, GW_ENOMEM);
        return;
    }
    req->slow_client = true;
    req->backend->pause(req);
}

/* After a piece of the answer went out. req is held. */
static void after_piece(struct req *req, enum gw_status st)
{
    if (st != GW_OK)
        req_answer_failed(req, st);
    else if (limits_spent(req))
        req_out_of_budget(req);
    else if (req->attempt != NULL && conn_answer_full(req->conn))
        wait_for_client(req);
}

void req_on_data(struct req *req, struct gw_span bytes)
{
    req->hold++;
    if (req->peek != NULL)
        (void)on_peeked(req, peek_data(req->peek, bytes));
    else
        after_piece(req, respond_data(req, bytes));
    (void)req_unhold(req);
}

void req_on_event(struct req *req, const struct api_event *ev)
{
    req->hold++;
    after_piece(req, respond_event(req, ev));
    (void)req_unhold(req);
}

void req_on_end(struct req *req)
{
    enum gw_status st;

    req->hold++;
    req->attempt = NULL;
    if (req->peek != NULL && (!on_peeked(req, peek_end(req->peek)) || req->finished)) {
        (void)req_unhold(req); /* another attempt, or over */
        return;
    }
    st = respond_end(req);
    if (st != GW_OK) {
        req_answer_failed(req, st);
    } else {
        req->backend = NULL;
        conn_answer_end(req->conn);
        req_finish(req, respond_failed(req) ? AUDIT_END_UPSTREAM_ERROR : AUDIT_END_COMPLETE);
    }
    (void)req_unhold(req);
}

void req_writable(struct req *req)
{
    req->hold++;
    if (req->attempt != NULL)
        req->backend->resume(req);
    (void)req_unhold(req);
}

/* An earlier attempt was told to come again, which says more than that the last one was not reached. */
static bool refuse_as_told(struct req *req, enum req_failure failure)
{
    int64_t after_s = (req->told_after_ms + 999) / 1000;
    bool mute = failure == REQ_FAIL_UPSTREAM || failure == REQ_FAIL_NOT_SENT ||
                failure == REQ_FAIL_NO_CONNECTION || failure == REQ_FAIL_DOWN;

    if (!mute || req->last || (req->told_status != 429 && req->told_status < 500))
        return false;
    req_refuse(req, req->told_status, NULL,
               req->told_status == 429 ? "rate_limit_exceeded" : "upstream_error",
               after_s < 0 || after_s > INT_MAX ? 0 : (int)after_s, AUDIT_END_UPSTREAM_ERROR,
               req->told_status == 429
                   ? "The provider's rate limit is reached, and no other place could answer."
                   : "The provider failed, and no other place could answer.");
    return true;
}

static void refuse_failure(struct req *req, enum req_failure failure, const char *why)
{
    if (refuse_as_told(req, failure))
        return;
    switch (failure) {
    case REQ_FAIL_DOWN:
        req_refuse(req, 503, "server_error", "no_target_available", 5, AUDIT_END_UPSTREAM_ERROR,
                   "The model cannot be asked now: %s.", why);
        return;
    case REQ_FAIL_NO_CONNECTION:
    case REQ_FAIL_TIMEOUT:
        req_refuse(req, 504, "server_error", "upstream_timeout", 0, AUDIT_END_TIMEOUT,
                   "The model did not answer in time: %s.", why);
        return;
    case REQ_FAIL_BUSY:
        req_refuse(req, 429, "rate_limit_error", "engine_busy", 2, AUDIT_END_UPSTREAM_ERROR,
                   "The local model is busy: %s.", why);
        return;
    case REQ_FAIL_TOO_LONG:
        req->error_param = "messages";
        req_refuse(req, 400, "invalid_request_error", "context_length_exceeded", 0,
                   AUDIT_END_UPSTREAM_ERROR, "%s.", why);
        return;
    case REQ_FAIL_LIMIT:
        limits_refuse_target(req);
        return;
    case REQ_FAIL_UNSUPPORTED:
        req_refuse(req, 400, "invalid_request_error", "unsupported_parameter", 0, AUDIT_END_REFUSED,
                   "%s, and policy allows no other target for this request.", why);
        return;
    case REQ_FAIL_INVALID:
        req_refuse(req, 400, "invalid_request_error", "invalid_value", 0, AUDIT_END_REFUSED, "%s.",
                   why);
        return;
    case REQ_FAIL_UPSTREAM:
    case REQ_FAIL_NOT_SENT:
    case REQ_FAIL_CALL:
    default:
        req_refuse(req, 502, "server_error", "upstream_error", 0, AUDIT_END_UPSTREAM_ERROR,
                   req->backend == &backend_engine ? "The local model failed: %s."
                                                   : "The model could not be reached: %s.",
                   why);
        return;
    }
}

/* Ends an answer that began, or that was being collected. */
void req_cut(struct req *req, enum audit_end end, const struct api_failure *f)
{
    req->hold++;
    req_cancel_attempt(req);
    (void)snprintf(req->error_text, sizeof(req->error_text), "%s", f->message);
    req->error_code = f->code;
    if (req->respond != NULL && respond_cut(req, f))
        conn_answer_end(req->conn);
    else
        conn_answer_abort(req->conn);
    req_finish(req, end);
    (void)req_unhold(req);
}

void req_out_of_budget(struct req *req)
{
    struct api_failure f;

    limits_failure(req, &f);
    req_cut(req, AUDIT_END_REFUSED, &f);
}

void req_on_error(struct req *req, enum req_failure failure, const char *why)
{
    struct req_remedy remedy;
    char text[160]; /* why may belong to what is cancelled below */

    (void)snprintf(text, sizeof(text), "%s", why);
    req->hold++;
    attempt_end(req, req->current,
                conn_answer_started(req->conn) ? REQ_OUT_CUT : attempt_outcome(failure), 0, -1);
    req_remedy_of_failure(req, failure, &remedy);
    if (!conn_answer_started(req->conn) && req->respond != NULL) {
        /* It was collected, and the client knows nothing of it. */
        respond_abandon(req);
        respond_free(req->respond);
        req->respond = NULL;
    }
    if (conn_answer_started(req->conn)) {
        const bool late = failure == REQ_FAIL_TIMEOUT;
        const struct api_failure f = {.status = late ? 504 : 502,
                                      .type = "server_error",
                                      .code = late ? "upstream_timeout" : "upstream_error",
                                      .message = text};

        req_cut(req, late ? AUDIT_END_TIMEOUT : AUDIT_END_UPSTREAM_ERROR, &f);
    } else if (!req_try_again(req, &remedy)) {
        refuse_failure(req, failure, text);
    }
    (void)req_unhold(req);
}

void req_out_of_time(struct req *req)
{
    if (req->audit_wait) /* the audit callback still names the request; it goes on from there */
        return;
    req->last = true; /* no time for another attempt */
    req_on_error(req, REQ_FAIL_TIMEOUT, "limits.request_timeout is over");
}
