/* proxy/request/request.c - the table of stages, and what conn.c calls. The stages are in request_intake.c and request_judge.c;
 * what runs and answers is in request_run.c; how a request ends is in request_end.c. */
#include "proxy/request/request.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_stages.h"

/* ---- the table -------------------------------------------------------------------------- */

static enum stage_result stage_run(struct req *req)
{
    if (req->cache == REQ_CACHE_HIT)
        req_cache_replay(req);
    else
        req_run(req);
    return DONE; /* the backend's events drive the rest */
}

static const struct {
    const char *name;
    enum stage_result (*run)(struct req *req);
    int metric; /* enum metrics_stage: what the time since the last of these counts as; -1: goes on */
    int guard; /* enum audit_guard that has spoken behind it; -1: none */
} stages[] = {
    {"identify", stage_identify, -1, AUDIT_GUARD_IDENTITY},
    {"endpoint", stage_endpoint, -1, -1},
    {"body", stage_body, METRICS_STAGE_BODY, -1},
    {"decode", stage_decode, -1, -1},
    {"extract", stage_extract, METRICS_STAGE_EXTRACT, -1},
    {"scan", stage_scan, METRICS_STAGE_SCAN, AUDIT_GUARD_DLP_REQUEST},
    {"decide", stage_decide, METRICS_STAGE_DECIDE, AUDIT_GUARD_POLICY},
    {"cache", stage_cache, -1, -1},
    {"reserve", stage_reserve, -1, -1},
    {"reserve_check", stage_reserve_check, METRICS_STAGE_RESERVE, AUDIT_GUARD_LIMITS},
    {"audit", stage_audit, -1, -1},
    {"audit_check", stage_audit_check, METRICS_STAGE_AUDIT, -1},
    {"run", stage_run, -1, -1},
};

void req_mark(struct req *req, enum metrics_stage stage)
{
    uint64_t now = gw_clock_ns();

    metrics_stage(&req->w->metrics, stage, now - req->mark_ns);
    req->mark_ns = now;
}

/* A guard begins to speak. It may end the request itself, whose record then says so. */
static void begin_guard(struct req *req, int guard)
{
    if (guard < 0)
        return;
    req->guard = &req->guards[guard];
    if (req->guard->state == AUDIT_GUARD_NOT_REACHED)
        req->guard->state = AUDIT_GUARD_RAN;
}

void req_end_guard(struct req *req)
{
    if (req->guard == NULL)
        return;
    req->guard->us = (gw_clock_ns() - req->mark_ns) / 1000;
    req->guard = NULL;
}

void req_advance(struct req *req)
{
    while (req->stage < sizeof(stages) / sizeof(stages[0])) {
        unsigned now = req->stage;
        enum stage_result result;

        /* The body stage is asked again when more has come; the others are passed once. */
        if (stages[now].run != stage_body || req->body_complete)
            req->stage++;
        begin_guard(req, stages[now].guard);
        result = stages[now].run(req);
        if (result != WAIT)
            req_end_guard(req);
        if (result != NEXT)
            return;
        if (stages[now].metric >= 0)
            req_mark(req, (enum metrics_stage)stages[now].metric);
    }
}

/* ---- what conn.c calls ------------------------------------------------------------------ */

static struct req *req_new(struct conn *c)
{
    struct req *req = calloc(1, sizeof(*req));

    if (req == NULL)
        return NULL;
    req->conn = c;
    req->w = conn_worker(c);
    req->arena = gw_arena_new((size_t)req->w->setup->cfg->limits.max_body * 4 + (16u << 20));
    if (req->arena == NULL) {
        free(req);
        return NULL;
    }
    req->setup = setup_pin(req->w);
    req->start_ns = req->mark_ns = gw_clock_ns();
    req->target = REQ_NO_TARGET;
    req->answer_line = ROUTER_NO_LINE;
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
    req->path = endpoint_path(head->path);
    endpoint_find(head, conn_fixed(c) != NULL, &req->ep);
    req_advance(req);
    return req_unhold(req);
}

void req_on_body(struct req *req, struct gw_span bytes)
{
    if (req->head->has_length || req_take_body(req, req->body.len + bytes.len))
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
