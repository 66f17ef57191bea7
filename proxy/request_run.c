/* proxy/request_run.c - attempts: edit for the zone, start the backend, pass its events to respond.c, fall back
 * while nothing was committed. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/conn.h"
#include "proxy/record.h"
#include "proxy/request_private.h"
#include "proxy/respond.h"
#include "proxy/worker.h"

struct gw_span req_out_body(const struct req *req)
{
    return gw_buf_span(req->out_body.ptr != NULL ? &req->out_body : &req->body);
}

/* ---- edits ------------------------------------------------------------------------------ */

static bool is_edit(enum gw_action a)
{
    return a == GW_ACTION_MASK || a == GW_ACTION_TOKENIZE || a == GW_ACTION_REDACT;
}

/* What happens to finding i when the text goes to the request's zone. */
static enum gw_action action_for_zone(const struct req *req, unsigned i)
{
    enum gw_action a = (enum gw_action)req->d.actions[i];

    return is_edit(a) && req->zone == GW_ZONE_PROCESS && !req->d.always[i] ? GW_ACTION_ALLOW : a;
}

/* Placeholders are the same in every turn of the same principal, so the model sees one person as one person and
 * history that the client sends again is hidden the same way. */
static struct dlp_vault *new_vault(const struct req *req)
{
    unsigned char key[GW_SHA256_BYTES];
    struct gw_buf who = {0};
    struct dlp_vault *v = NULL;

    gw_buf_adds(&who, "placeholders|");
    gw_buf_add(&who, req->who.owner);
    gw_buf_addc(&who, '|');
    gw_buf_add(&who, req->who.name);
    if (gw_buf_ok(&who)) {
        gw_hmac_sha256((struct gw_span){(const char *)req->w->server->hmac_key,
                                        sizeof(req->w->server->hmac_key)},
                       gw_buf_span(&who), key);
        v = dlp_vault_new((struct gw_span){(const char *)key, sizeof(key)});
        explicit_bzero(key, sizeof(key));
    }
    gw_buf_fini(&who);
    return v;
}

static enum gw_status edit_body(struct req *req, struct gw_err *err)
{
    enum gw_action *actions = gw_arena_array(req->arena, req->n_findings + 1, sizeof(*actions));
    bool any = false;

    if (actions == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < req->n_findings; i++) {
        actions[i] = action_for_zone(req, i);
        if (!is_edit(actions[i]))
            continue;
        if (i >= req->report.n_findings)
            return gw_fail(err, GW_EDENIED,
                           "the query string holds %.*s, which cannot be hidden there",
                           (int)req->findings[i].rule.len, req->findings[i].rule.ptr);
        any = true;
    }
    if (!any)
        return GW_OK;
    req->vault = new_vault(req);
    if (req->vault == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    req->edited = true;
    return dlp_doc_edit(req->doc, req->w->server->rules, &req->report, actions, req->vault,
                        &req->out_body);
}

/* Intercepted and engine requests keep the name; a target that does not take it gets its default. */
static void choose_model(struct req *req)
{
    const struct proxy_config_target *t;

    req->out_model = req->d.model.len != 0 ? req->d.model : req->chat.model;
    if (req->target == REQ_NO_TARGET)
        return;
    t = &req->w->server->cfg->targets[req->target];
    if (t->kind == PROXY_TARGET_ENGINE)
        req->out_model = gw_span_str(t->name);
    else if (t->default_model[0] != '\0' &&
             !router_target_takes(req->w->server->cfg->policy, req->target, req->out_model))
        req->out_model = gw_span_str(t->default_model);
}

static enum gw_status name_model(struct req *req, struct gw_err *err)
{
    struct gw_buf renamed = {0};
    enum gw_status st;

    if (req->endpoint != REQ_ENDPOINT_CHAT || req->target == REQ_NO_TARGET ||
        req->backend == &backend_engine || gw_span_eq(req->out_model, req->chat.model))
        return GW_OK;
    st = api_replace_model(req->w->json, req_out_body(req), req->out_model, &renamed);
    if (st != GW_OK) {
        gw_buf_fini(&renamed);
        return gw_fail(err, st, "the model name could not be set");
    }
    gw_buf_fini(&req->out_body);
    req->out_body = renamed;
    return GW_OK;
}

/* ---- attempts --------------------------------------------------------------------------- */

static void set_target(struct req *req)
{
    const struct server *s = req->w->server;

    if (conn_fixed(req->conn) != NULL) {
        req->target = REQ_NO_TARGET;
        req->zone = GW_ZONE_APPROVED;
        req->backend = &backend_upstream;
    } else {
        req->target = req->d.choices[req->choice];
        req->zone = s->cfg->targets[req->target].zone;
        req->backend = s->cfg->targets[req->target].kind == PROXY_TARGET_ENGINE ? &backend_engine
                                                                                : &backend_upstream;
    }
}

static enum req_failure failure_of_start(enum gw_status st)
{
    if (st == GW_EAGAIN)
        return REQ_FAIL_BUSY;
    return st == GW_EUNSUPPORTED || st == GW_EINVAL ? REQ_FAIL_UNSUPPORTED : REQ_FAIL_UPSTREAM;
}

void req_run(struct req *req)
{
    struct gw_err err = {0};
    enum gw_status st;

    set_target(req);
    dlp_vault_free(req->vault);
    req->vault = NULL;
    req->edited = false;
    gw_buf_fini(&req->out_body);
    choose_model(req);
    st = edit_body(req, &err);
    if (st == GW_OK)
        st = name_model(req, &err);
    if (st == GW_EDENIED) {
        req_refuse(req, 403, "policy_violation", "policy_blocked", 0, AUDIT_END_BLOCKED,
                   "Blocked by your organisation's policy: %s.", err.text);
        return;
    }
    if (st != GW_OK) {
        /* What cannot be hidden is not sent. */
        req_refuse(req, 503, "server_error", "redaction_failed", 0, AUDIT_END_INTERNAL_ERROR,
                   "The sensitive data in this request could not be hidden, so it was not sent.");
        return;
    }
    st = req->backend->start(req, req->target, &err);
    if (st != GW_OK)
        req_on_error(req, failure_of_start(st), err.text);
}

static bool has_next_choice(const struct req *req)
{
    return conn_fixed(req->conn) == NULL && req->choice + 1 < req->d.n_choices;
}

static void run_next_choice(struct req *req)
{
    req_cancel_attempt(req);
    req->choice++;
    req_run(req);
}

/* ---- the backend's events ---------------------------------------------------------------- */

static bool worth_another_target(unsigned status)
{
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504 ||
           status == 529;
}

void req_on_head(struct req *req, unsigned status, const struct http1_field *fields,
                 unsigned n_fields, int64_t length)
{
    req->hold++;
    if (worth_another_target(status) && has_next_choice(req)) {
        run_next_choice(req);
    } else {
        req->status = status;
        req->first_byte_ns = gw_clock_ns();
        metrics_add(&req->w->metrics.zones[req->zone == GW_ZONE_PROCESS   ? 0
                                           : req->zone == GW_ZONE_PRIVATE ? 1
                                                                          : 2],
                    1);
        if (respond_begin(req, status, fields, n_fields, length) != GW_OK)
            req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_INTERNAL_ERROR,
                       "The gateway is out of memory.");
    }
    (void)req_unhold(req);
}

void req_on_data(struct req *req, struct gw_span bytes)
{
    req->hold++;
    if (respond_data(req, bytes) != GW_OK)
        req_on_error(req, REQ_FAIL_UPSTREAM, "the answer is too large to be restored");
    else if (req->attempt != NULL && conn_answer_full(req->conn))
        req->backend->pause(req);
    (void)req_unhold(req);
}

void req_on_end(struct req *req)
{
    req->hold++;
    req->attempt = NULL;
    req->backend = NULL;
    if (respond_end(req) != GW_OK) {
        req_on_error(req, REQ_FAIL_UPSTREAM, "the answer could not be restored");
    } else {
        conn_answer_end(req->conn);
        req_finish(req, AUDIT_END_COMPLETE);
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

static void refuse_failure(struct req *req, enum req_failure failure, const char *why)
{
    switch (failure) {
    case REQ_FAIL_TIMEOUT:
        req_refuse(req, 504, "server_error", "upstream_timeout", 0, AUDIT_END_TIMEOUT,
                   "The model did not answer in time: %s.", why);
        return;
    case REQ_FAIL_BUSY:
        req_refuse(req, 503, "server_error", "engine_busy", 2, AUDIT_END_UPSTREAM_ERROR,
                   "The local model is busy: %s.", why);
        return;
    case REQ_FAIL_TOO_LONG:
        req->error_param = "messages";
        req_refuse(req, 400, "invalid_request_error", "context_length_exceeded", 0,
                   AUDIT_END_UPSTREAM_ERROR, "%s.", why);
        return;
    case REQ_FAIL_UNSUPPORTED:
        req_refuse(req, 400, "invalid_request_error", "unsupported_parameter", 0,
                   AUDIT_END_UPSTREAM_ERROR,
                   "%s, and policy allows no other target for this request.", why);
        return;
    case REQ_FAIL_UPSTREAM:
    default:
        req_refuse(req, 502, "server_error", "upstream_error", 0, AUDIT_END_UPSTREAM_ERROR,
                   "The model could not be reached: %s.", why);
        return;
    }
}

void req_on_error(struct req *req, enum req_failure failure, const char *why)
{
    char text[160]; /* why may belong to what is cancelled below */

    (void)snprintf(text, sizeof(text), "%s", why);
    req->hold++;
    if (conn_answer_started(req->conn) || req->respond != NULL) {
        req_cancel_attempt(req);
        (void)snprintf(req->error_text, sizeof(req->error_text), "%s", text);
        respond_cut(req, text);
        conn_answer_abort(req->conn);
        req_finish(req, failure == REQ_FAIL_TIMEOUT ? AUDIT_END_TIMEOUT : AUDIT_END_UPSTREAM_ERROR);
    } else if (has_next_choice(req)) {
        run_next_choice(req);
    } else {
        refuse_failure(req, failure, text);
    }
    (void)req_unhold(req);
}

void req_out_of_time(struct req *req)
{
    if (req->audit_wait) /* the audit callback still names the request; it goes on from there */
        return;
    req->choice = req->d.n_choices; /* no time for another target either */
    req_on_error(req, REQ_FAIL_TIMEOUT, "limits.request_timeout is over");
}
