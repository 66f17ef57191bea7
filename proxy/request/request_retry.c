/* proxy/request/request_retry.c - what follows a failed attempt: another endpoint or key, another target, the same again after
 * a wait, or nothing. Worker's thread.
 *
 * In this order: what is free now is better than waiting, and a target of the route that is well is better than one that
 * has just failed. Nothing is tried again once the client has got a byte (request_run.c). */
#include <event2/event.h>

#include "base/clock.h"
#include "base/digest.h"
#include "proxy/answer/respond_fields.h"
#include "proxy/http/retry_after.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/attempts.h"
#include "proxy/request/request_private.h"

enum {
    LOOP_TICK_MS = 10, /* a timer may end so much early: its clock is CLOCK_MONOTONIC_COARSE */
};

/* ---- what may help ------------------------------------------------------------------------ */

/* A request that may have been carried out, and must not be twice: it makes something (a file, a batch), and nobody knows
 * whether it did. Asking a model twice costs money, but makes nothing. */
static bool makes_something(const struct req *req)
{
    return req->ep.kind == ENDPOINT_PASS && !gw_span_is(req->head->method, "GET") &&
           !gw_span_is(req->head->method, "HEAD");
}

int64_t req_retry_after(const struct http1_field *fields, unsigned n_fields)
{
    const struct http1_field *ms = respond_field(fields, n_fields, "retry-after-ms");
    const struct http1_field *s = respond_field(fields, n_fields, "retry-after");

    return retry_after_ms(ms == NULL ? GW_SPAN("") : ms->value, s == NULL ? GW_SPAN("") : s->value,
                          gw_clock_wall_ms());
}

void req_remedy_of_status(const struct req *req, unsigned status, const struct http1_field *fields,
                          unsigned n_fields, struct req_remedy *out)
{
    const struct http1_field *should = respond_field(fields, n_fields, "x-should-retry");
    bool yes = should != NULL && gw_span_eq_nocase(should->value, GW_SPAN("true"));
    bool no = should != NULL && gw_span_eq_nocase(should->value, GW_SPAN("false"));
    bool ill = attempt_is_ill(status);

    *out = (struct req_remedy){.after_ms = req_retry_after(fields, n_fields)};
    if (status == 429 || status == 401 || status == 402) { /* it is the key, and others may do */
        out->elsewhere = out->next = true;
    } else if (ill || status == 408) {
        out->next = true;
        out->elsewhere = out->same = !no;
    } else if (status >= 400 && yes) {
        out->elsewhere = out->same = true;
    }
    /* 429, 503 and 529 say that it was not carried out. */
    if (makes_something(req) && (ill || status == 408) && status != 503 && status != 529)
        out->elsewhere = out->next = out->same = false;
}

bool req_is_bad_answer(const struct req *req, unsigned status)
{
    (void)req;
    return attempt_is_ill(status) || status == 429 || status == 401 || status == 402;
}

void req_remedy_of_failure(const struct req *req, enum req_failure failure, struct req_remedy *out)
{
    *out = (struct req_remedy){.after_ms = -1};
    switch (failure) {
    case REQ_FAIL_NOT_SENT:
    case REQ_FAIL_NO_CONNECTION:
        out->elsewhere = out->next = out->free = true;
        out->same = failure == REQ_FAIL_NOT_SENT;
        return;
    case REQ_FAIL_UPSTREAM:
        out->elsewhere = out->next = out->same = !makes_something(req);
        return;
    case REQ_FAIL_TIMEOUT: /* it has taken its time once */
        out->elsewhere = out->next = !makes_something(req);
        return;
    case REQ_FAIL_CALL:
    case REQ_FAIL_DOWN:
    case REQ_FAIL_BUSY:
    case REQ_FAIL_TOO_LONG:
    case REQ_FAIL_LIMIT:
    case REQ_FAIL_UNSUPPORTED:
    case REQ_FAIL_INVALID:
    default:
        out->next = true;
        return;
    }
}

/* ---- doing it ------------------------------------------------------------------------------- */

static const struct proxy_config_target *server_of(const struct req *req)
{
    if (req->target == REQ_NO_TARGET || req->backend != &backend_upstream)
        return NULL;
    return &req->setup->cfg->targets[req->target];
}

static bool may_spend(const struct req *req, const struct req_remedy *r)
{
    return r->free || health_budget_take(req->setup->health, req->target);
}

static void note_retry(struct req *req)
{
    req->n_retries++;
    metrics_add(&req->w->metrics.retries, 1);
}

/* Another slot of the target, at once. */
static bool try_elsewhere(struct req *req, const struct req_remedy *r)
{
    struct health_slot slot;

    if (!r->elsewhere || !health_take(req->setup->health, req->target, req->tried, true, &slot))
        return false;
    if (!may_spend(req, r)) {
        health_return(req->setup->health, &slot);
        return false;
    }
    note_retry(req);
    req_cancel_attempt(req);
    req->next_slot = slot;
    req->has_next_slot = true;
    req_start(req);
    return true;
}

static bool try_next_target(struct req *req, const struct req_remedy *r)
{
    if (!r->next || req->choice + 1 >= req->d.n_choices)
        return false;
    req_cancel_attempt(req);
    req->choice++;
    metrics_add(&req->w->metrics.fallbacks, 1);
    req_run(req);
    return true;
}

static void on_wait_over(evutil_socket_t fd, short what, void *ctx)
{
    struct req *req = ctx;

    (void)fd;
    (void)what;
    req->hold++;
    event_free(req->wait);
    req->wait = NULL;
    req->tried = 0; /* whatever is best by now */
    req_start(req);
    (void)req_unhold(req);
}

/* What is left of limits.request_timeout. */
static int64_t left_ms(const struct req *req)
{
    return req->setup->cfg->limits.request_ms -
           (int64_t)((gw_clock_ns() - req->start_ns) / 1000000);
}

static bool try_later(struct req *req, const struct req_remedy *r)
{
    const struct proxy_config *cfg = req->setup->cfg;
    struct router_retry when = {.tries = req->n_retries,
                                .base_ms = cfg->reliability.backoff_ms,
                                .max_ms = cfg->reliability.max_wait_ms,
                                .asked_ms = r->after_ms,
                                .left_ms = left_ms(req)};
    struct timeval tv;
    int64_t ms;

    if (!r->same)
        return false;
    gw_random(&when.random, sizeof(when.random));
    ms = router_retry_wait_ms(&when);
    if (ms < 0 || !may_spend(req, r))
        return false;
    req_cancel_attempt(req);
    ms += LOOP_TICK_MS;
    tv = (struct timeval){ms / 1000, (ms % 1000) * 1000};
    req->wait = evtimer_new(req->w->base, on_wait_over, req);
    if (req->wait == NULL || evtimer_add(req->wait, &tv) != 0) {
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_INTERNAL_ERROR,
                   "The gateway is out of memory.");
        return true;
    }
    note_retry(req);
    return true;
}

bool req_try_again(struct req *req, const struct req_remedy *r)
{
    const struct proxy_config_target *t = server_of(req);
    bool here = t != NULL && req->n_retries < t->retries;

    if (req->last || conn_fixed(req->conn) != NULL || req->n_attempts >= REQ_MAX_ATTEMPTS)
        return false;
    return (here && try_elsewhere(req, r)) || try_next_target(req, r) ||
           (here && try_later(req, r));
}
