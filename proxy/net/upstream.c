/* proxy/net/upstream.c - see upstream.h: what a request has of its server, one attempt or, when it is hedged, two.
 *
 *   start -> [lane 0] ---------------- head ------------------> data ... end
 *                \  hedge_after        | the other is cancelled
 *                 -> [lane 1] -- 503 --x
 *
 * Invariants: (T1) a request hears of one lane only: the first whose head came, or the last that failed; (T2) a lane that
 * failed while another one runs is noted and told to no one else; (T3) each lane that began gives its slot back once. */
#include "proxy/net/upstream.h"

#include <event2/event.h>

#include "proxy/net/conn.h"
#include "proxy/net/upstream_conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/attempts.h"
#include "proxy/request/request_private.h"

struct upstream_try {
    struct req *req;
    struct lane lanes[2];
    struct lane *winner; /* its head came */
    struct event *hedge; /* NULL: not hedged, or no more */
};

static struct lane *other_of(struct lane *lane)
{
    struct upstream_try *t = lane->of;

    return lane == &t->lanes[0] ? &t->lanes[1] : &t->lanes[0];
}

static void stop_hedge(struct upstream_try *t)
{
    if (t->hedge != NULL)
        event_free(t->hedge);
    t->hedge = NULL;
}

static void lane_cancel(struct lane *lane)
{
    if (lane->u == NULL)
        return;
    lane->req->attempts[lane->log].worked |= lane->u->sent;
    uconn_cancel(lane);
    attempt_over(lane->req, lane->log);
}

/* Begins an attempt in a lane. slot: taken; NULL: intercepted. On failure the slot was given back. */
static enum gw_status lane_start(struct upstream_try *t, struct lane *lane,
                                 const struct health_slot *slot, struct gw_err *err)
{
    struct req *req = t->req;
    enum gw_status st;

    *lane = (struct lane){.of = t, .req = req};
    if (!attempt_begin(req, slot, lane != &t->lanes[0], &lane->log)) {
        if (slot != NULL)
            health_return(req->setup->health, slot);
        return gw_fail(err, GW_ELIMIT, "there were %d attempts", REQ_MAX_ATTEMPTS);
    }
    if (slot != NULL) {
        lane->endpoint = slot->endpoint;
        lane->key = slot->key;
    }
    st = uconn_start(lane, err);
    if (st != GW_OK)
        attempt_over(req, lane->log);
    return st;
}

/* ---- hedging ---------------------------------------------------------------------------- */

/* Nothing has come: another slot is asked too. Whatever stands in the way, the first lane goes on. */
static void on_hedge(evutil_socket_t fd, short what, void *ctx)
{
    struct upstream_try *t = ctx;
    struct req *req = t->req;
    struct health *h = req->setup->health;
    struct health_slot slot;
    struct gw_err err;

    (void)fd;
    (void)what;
    stop_hedge(t);
    if (!health_budget_take(h, req->target) ||
        !health_take(h, req->target, req->tried, true, &slot))
        return;
    metrics_add(&req->w->metrics.hedges, 1);
    (void)lane_start(t, &t->lanes[1], &slot, &err);
}

static void arm_hedge(struct upstream_try *t)
{
    struct req *req = t->req;
    int64_t ms = req->setup->cfg->targets[req->target].hedge_ms;
    const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

    if (ms == 0)
        return;
    t->hedge = evtimer_new(req->w->base, on_hedge, t);
    if (t->hedge != NULL)
        (void)evtimer_add(t->hedge, &tv);
}

/* ---- what lanes are told ------------------------------------------------------------------ */

void lane_on_head(struct lane *lane, const struct http1_head *h)
{
    struct upstream_try *t = lane->of;
    struct req *req = lane->req;
    int64_t length = h->has_length && !h->chunked ? (int64_t)h->content_length : -1;

    if (other_of(lane)->u != NULL && req_is_bad_answer(req, h->status)) {
        attempt_end(req, lane->log, REQ_OUT_STATUS, h->status,
                    req_retry_after(h->fields, h->n_fields));
        lane_cancel(lane);
        return;
    }
    req->attempts[lane->log].worked |= h->status < 400;
    stop_hedge(t);
    lane_cancel(other_of(lane));
    t->winner = lane;
    req->current = lane->log;
    if (lane != &t->lanes[0])
        metrics_add(&req->w->metrics.hedge_wins, 1);
    req_on_head(req, h->status, h->fields, h->n_fields, length);
}

void lane_on_data(struct lane *lane, struct gw_span bytes)
{
    req_on_data(lane->req, bytes);
}

void lane_on_end(struct lane *lane)
{
    struct req *req = lane->req;

    req->attempt = NULL;
    req->current = lane->log;
    req->hold++;
    req_on_end(req);
    attempt_over(req, lane->log);
    (void)req_unhold(req);
}

void lane_on_fail(struct lane *lane, enum req_failure failure, const char *why)
{
    struct upstream_try *t = lane->of;
    struct req *req = lane->req;

    req->attempts[lane->log].worked |=
        failure == REQ_FAIL_TIMEOUT; /* which says that it was sent */
    attempt_end(req, lane->log,
                conn_answer_started(req->conn) ? REQ_OUT_CUT : attempt_outcome(failure), 0, -1);
    attempt_over(req, lane->log);
    if (t->winner == NULL && other_of(lane)->u != NULL)
        return;
    stop_hedge(t);
    req->attempt = NULL;
    req->current = lane->log;
    req_on_error(req, failure, why);
}

/* ---- the backend -------------------------------------------------------------------------- */

/* The slot that the retry took, or the best one. */
static bool take_slot(struct req *req, struct health_slot *slot)
{
    if (req->has_next_slot) {
        *slot = req->next_slot;
        req->has_next_slot = false;
        return true;
    }
    return health_take(req->setup->health, req->target, req->tried, false, slot);
}

static enum gw_status upstream_start(struct req *req, unsigned target, struct gw_err *err)
{
    struct health_slot slot = {0};
    bool fixed = target == REQ_NO_TARGET;
    struct upstream_try *t;
    enum gw_status st;

    if (!fixed && !take_slot(req, &slot))
        return gw_fail(err, GW_ENOENT, "its servers have failed and are left alone for a while");
    t = gw_arena_alloc(req->arena, sizeof(*t));
    if (t == NULL) {
        if (!fixed)
            health_return(req->setup->health, &slot);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    *t = (struct upstream_try){.req = req};
    req->attempt = t;
    st = lane_start(t, &t->lanes[0], fixed ? NULL : &slot, err);
    if (st != GW_OK)
        req->attempt = NULL;
    else if (!fixed && req->attempt == t) /* it may have failed at once, and another have begun */
        arm_hedge(t);
    return st;
}

static void upstream_cancel(struct req *req)
{
    struct upstream_try *t = req->attempt;

    if (t == NULL)
        return;
    req->attempt = NULL;
    stop_hedge(t);
    lane_cancel(&t->lanes[0]);
    lane_cancel(&t->lanes[1]);
}

/* Only a lane whose answer flows is paused. */
static void upstream_pause(struct req *req)
{
    struct upstream_try *t = req->attempt;

    if (t != NULL && t->winner != NULL)
        uconn_pause(t->winner);
}

static void upstream_resume(struct req *req)
{
    struct upstream_try *t = req->attempt;

    if (t != NULL && t->winner != NULL)
        uconn_resume(t->winner);
}

const struct backend backend_upstream = {"upstream", upstream_start, upstream_cancel,
                                         upstream_pause, upstream_resume};
