/* proxy/limits/limits_stage.c - the stages reserve and reserve_check, another target, a stream that goes on, and the
 * settlement. Worker's thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/limits/limits_private.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_stages.h"

enum {
    MOVE_TOKENS = 256, /* of an answer: used, no longer held, when so many went by */
};

/* ---- who asks, and what for ------------------------------------------------------------------- */

static void subject_of(const struct req *req, unsigned target, struct router_subject *out)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);
    uint16_t port;

    *out = (struct router_subject){
        .key = req->who.id,
        .user = req->who.user.len != 0 ? req->who.user : req->who.name,
        .team = req->who.team,
        .model = req->d.model.len != 0 ? req->d.model : req->model,
    };
    /* Nobody said who it is: then its address is. */
    if (out->user.len == 0)
        out->user = gw_span_str(conn_peer(req->conn, &port));
    if (out->key.len == 0)
        out->key = out->user;
    if (fixed != NULL)
        out->target = gw_span_str(fixed->host);
    else if (target != REQ_NO_TARGET)
        out->target = gw_span_str(req->setup->cfg->targets[target].name);
}

/* What a request needs of each kind: used at once, and held. */
struct needs {
    uint64_t use[ROUTER_BUDGET_KINDS], hold[ROUTER_BUDGET_KINDS];
    bool has_cost; /* cost was worked out */
    int64_t now_ms;
};

/* Money is worked out only when a budget counts it. GW_ENOENT: no price. */
static enum gw_status need_cost(const struct limits_req *lr, unsigned target, struct needs *n)
{
    uint64_t all = 0;

    if (n->has_cost)
        return GW_OK;
    GW_TRY(limits_cost(lr->req, target, n->now_ms, lr->prompt, 0, &n->use[ROUTER_BUDGET_COST]));
    GW_TRY(limits_cost(lr->req, target, n->now_ms, lr->prompt, lr->answer, &all));
    n->hold[ROUTER_BUDGET_COST] =
        all > n->use[ROUTER_BUDGET_COST] ? all - n->use[ROUTER_BUDGET_COST] : 0;
    n->has_cost = true;
    return GW_OK;
}

static enum gw_status add_hold(const struct limits_req *lr, const struct router_budget *b,
                               enum router_budget_kind kind, struct gw_span owner,
                               const struct needs *needs, struct limits_hold *out)
{
    const struct router_budget_limit *limit = &b->limits[kind];
    bool windowed = kind != ROUTER_BUDGET_CONCURRENCY;

    *out = (struct limits_hold){
        .entry = ledger_get(limits_of(lr->w)->ledger, b, kind, owner),
        .budget = b,
        .kind = kind,
        .limit = limit->amount,
        .held = needs->hold[kind],
        .used = needs->use[kind],
    };
    if (out->entry == NULL)
        return GW_ENOMEM;
    if (windowed) {
        out->start_ms = router_window_start(&limit->window, needs->now_ms);
        out->end_ms = router_window_end(&limit->window, out->start_ms);
    }
    return GW_OK;
}

/* Room for the counters that a request can have. */
static size_t limits_of_budgets(const struct proxy_config *cfg)
{
    size_t n = 1; /* an array of nothing may be NULL */

    for (unsigned i = 0; i < cfg->n_budgets; i++)
        for (unsigned k = 0; k < ROUTER_BUDGET_KINDS; k++)
            n += cfg->budgets[i].limits[k].set;
    return n;
}

/* The counters of every budget that matches, for that target. GW_ENOMEM; GW_ENOENT: a price is missing. */
static enum gw_status make_holds(struct limits_req *lr, unsigned target, struct limits_hold **out,
                                 unsigned *n)
{
    const struct proxy_config *cfg = lr->req->setup->cfg;
    struct limits_hold *holds = malloc(limits_of_budgets(cfg) * sizeof(*holds));
    struct needs needs = {
        .use = {1, lr->prompt, 0, 0}, .hold = {0, lr->answer, 0, 1}, .now_ms = gw_clock_wall_ms()};
    enum gw_status st = holds == NULL ? GW_ENOMEM : GW_OK;
    struct router_subject who;
    unsigned used = 0;

    subject_of(lr->req, target, &who);
    for (unsigned i = 0; i < cfg->n_budgets && st == GW_OK; i++) {
        const struct router_budget *b = &cfg->budgets[i];

        if (!router_budget_matches(b, &who))
            continue;
        if (b->limits[ROUTER_BUDGET_COST].set)
            st = need_cost(lr, target, &needs);
        for (unsigned k = 0; k < ROUTER_BUDGET_KINDS && st == GW_OK; k++)
            if (b->limits[k].set)
                st = add_hold(lr, b, (enum router_budget_kind)k, router_budget_owner(b, &who),
                              &needs, &holds[used++]);
    }
    if (st != GW_OK) {
        limits_holds_free(limits_of(lr->w)->ledger, holds, used);
        return st;
    }
    *out = holds;
    *n = used;
    return GW_OK;
}

/* ---- from what is held to what shall be held ---------------------------------------------------- */

static struct ledger_change *change_of(struct limits_step *step, const struct limits_hold *h)
{
    for (unsigned i = 0; i < step->n; i++)
        if (step->changes[i].entry == h->entry)
            return &step->changes[i];
    step->changes[step->n] = (struct ledger_change){
        .entry = h->entry,
        .claim = {.start_ms = h->start_ms, .limit = h->limit},
        .end_ms = h->end_ms,
    };
    return &step->changes[step->n++];
}

/* Each counter once, with the difference between both lists. A counter that only the old list has is given back
 * unconditionally; one that both have keeps its window. */
static void fill_changes(struct limits_step *step, const struct limits_req *lr)
{
    for (unsigned i = 0; i < lr->n; i++) {
        struct ledger_change *c = change_of(step, &lr->holds[i]);

        c->claim.give = lr->holds[i].held;
        c->claim.use = -(int64_t)lr->holds[i].used;
        c->claim.forced = true;
    }
    for (unsigned i = 0; i < step->n_next; i++) {
        struct limits_hold *h = &step->next[i];
        struct ledger_change *c = change_of(step, h);

        h->start_ms = c->claim.start_ms;
        h->end_ms = c->end_ms;
        c->claim.take = h->held;
        c->claim.use += (int64_t)h->used;
        c->claim.forced = false;
    }
}

/* Reserves for that target instead of what is reserved. Answers as limits_step_run(), but the step is done; GW_ENOMEM,
 * GW_ENOENT. */
static enum gw_status reserve_for(struct limits_req *lr, unsigned target, enum limits_why why)
{
    struct limits_hold *next = NULL;
    struct limits_step *step;
    enum gw_status st;
    unsigned n = 0;

    GW_TRY(make_holds(lr, target, &next, &n));
    lr->target = target;
    step = limits_step_new(why, lr, lr->n + n);
    if (step == NULL) {
        limits_holds_free(limits_of(lr->w)->ledger, next, n);
        return GW_ENOMEM;
    }
    step->next = next;
    step->n_next = n;
    fill_changes(step, lr);
    if (step->n == 0) {
        limits_step_done(step, GW_OK);
        return GW_OK;
    }
    st = limits_step_run(lr->w, step);
    if (st == GW_OK || st == GW_EDENIED)
        limits_step_done(step, st);
    return st;
}

/* ---- the stages ------------------------------------------------------------------------- */

static unsigned first_target(const struct req *req)
{
    return req->choice < req->d.n_choices ? req->d.choices[req->choice] : REQ_NO_TARGET;
}

enum stage_result stage_reserve(struct req *req)
{
    struct limits_req *lr;

    if (req->setup->cfg->n_budgets == 0)
        return NEXT;
    lr = calloc(1, sizeof(*lr));
    if (lr == NULL) {
        req->guards[AUDIT_GUARD_LIMITS].state = AUDIT_GUARD_FAILED;
        limits_refuse(req, GW_ENOMEM);
        return DONE;
    }
    lr->req = req;
    lr->w = req->w;
    if (req->cache != REQ_CACHE_HIT) { /* which is a request, and nothing else */
        lr->prompt = limits_prompt_tokens(req);
        lr->answer = limits_answer_tokens(req, &lr->endless);
    }
    req->limits = lr;
    limits_list_add(lr);
    lr->answer_of = reserve_for(lr, first_target(req), LIMITS_RESERVE);
    return lr->answer_of == GW_EAGAIN ? WAIT : NEXT;
}

/* A budget of one target is full: the next one's may have room. */
static bool try_next_target(struct req *req)
{
    const struct limits_req *lr = req->limits;

    if (conn_fixed(req->conn) != NULL || req->choice + 1 >= req->d.n_choices ||
        lr->answer_of != GW_EDENIED || lr->refused == NULL ||
        (!router_budget_by_target(lr->refused) && lr->refused_kind != ROUTER_BUDGET_COST))
        return false;
    req->choice++;
    return true;
}

enum stage_result stage_reserve_check(struct req *req)
{
    struct limits_req *lr = req->limits;

    struct audit_guard_run *guard = &req->guards[AUDIT_GUARD_LIMITS];

    if (lr == NULL || lr->n == 0)
        guard->state = AUDIT_GUARD_NOT_APPLICABLE;
    if (lr == NULL)
        return NEXT;
    while (try_next_target(req)) {
        lr->answer_of = reserve_for(lr, first_target(req), LIMITS_RESERVE);
        if (lr->answer_of == GW_EAGAIN) {
            req->stage--; /* this stage again when Redis has answered */
            return WAIT;
        }
    }
    if (lr->answer_of == GW_OK)
        return NEXT;
    guard->state = lr->answer_of == GW_EDENIED     ? AUDIT_GUARD_RAN
                   : lr->answer_of == GW_ETIMEDOUT ? AUDIT_GUARD_TIMED_OUT
                                                   : AUDIT_GUARD_FAILED;
    limits_refuse(req, lr->answer_of);
    return DONE;
}

enum gw_status limits_retarget(struct req *req, struct gw_err *err)
{
    struct limits_req *lr = req->limits;

    if (lr == NULL)
        return GW_OK;
    lr->open_ended = lr->endless;
    if (lr->target == req->target)
        return GW_OK;
    lr->answer_of = reserve_for(lr, req->target, LIMITS_RETARGET);
    return limits_retargeted(req, err);
}

enum gw_status limits_retargeted(struct req *req, struct gw_err *err)
{
    const struct limits_req *lr = req->limits;
    enum gw_status st = lr->answer_of;

    if (st == GW_OK || st == GW_EAGAIN)
        return st;
    if (st == GW_EDENIED)
        return gw_fail(err, st, "the budget %s has no room on this target",
                       lr->refused == NULL ? "" : lr->refused->name);
    return gw_fail(err, st == GW_ENOENT ? GW_EDENIED : GW_EIO,
                   st == GW_ENOENT ? "its price is not known" : "budgets cannot be counted now");
}

/* ---- while an answer streams ------------------------------------------------------------------- */

/* The part of a hold that so many tokens are of the answer's. */
static uint64_t share_of(const struct limits_hold *h, uint64_t tokens, uint64_t of)
{
    double part = of == 0 ? 1.0 : (double)tokens / (double)of;

    if (h->kind == ROUTER_BUDGET_TOKENS)
        return tokens < h->held ? tokens : h->held;
    if (h->kind != ROUTER_BUDGET_COST)
        return 0;
    return part >= 1.0 ? h->held : (uint64_t)((double)h->held * part);
}

/* What went by is used, no longer held: a crash must not forget it. */
static void move(struct limits_req *lr)
{
    struct ledger_change changes[LIMITS_MAX_HOLDS];
    uint64_t tokens = lr->streamed - lr->moved,
             left = lr->answer > lr->moved ? lr->answer - lr->moved : 0;
    unsigned n = 0;

    for (unsigned i = 0; i < lr->n; i++) {
        struct limits_hold *h = &lr->holds[i];
        uint64_t part = share_of(h, tokens, left);

        if (part == 0)
            continue;
        changes[n++] = (struct ledger_change){
            .entry = h->entry,
            .claim = {.start_ms = h->start_ms,
                      .limit = h->limit,
                      .give = part,
                      .use = (int64_t)part,
                      .forced = true},
            .end_ms = h->end_ms,
        };
        h->held -= part;
        h->used += part;
    }
    lr->moved = lr->streamed;
    if (n != 0)
        limits_note(lr->w, changes, n);
}

/* As much again as an answer gets at first. */
static void top_up(struct limits_req *lr)
{
    uint64_t more = lr->req->setup->cfg->accounting.answer_tokens, before = 0, after = 0;
    struct limits_step *step = limits_step_new(LIMITS_TOP_UP, lr, lr->n);
    int64_t now_ms = gw_clock_wall_ms();
    enum gw_status st;

    if (step == NULL) {
        lr->exhausted = true;
        return;
    }
    (void)limits_cost(lr->req, lr->target, now_ms, lr->prompt, lr->answer, &before);
    (void)limits_cost(lr->req, lr->target, now_ms, lr->prompt, lr->answer + more, &after);
    for (unsigned i = 0; i < lr->n; i++) {
        const struct limits_hold *h = &lr->holds[i];
        uint64_t take = h->kind == ROUTER_BUDGET_TOKENS                   ? more
                        : h->kind == ROUTER_BUDGET_COST && after > before ? after - before
                                                                          : 0;

        if (take != 0)
            step->changes[step->n++] = (struct ledger_change){
                .entry = h->entry,
                .claim = {.start_ms = h->start_ms, .limit = h->limit, .take = take},
                .end_ms = h->end_ms,
            };
    }
    if (step->n == 0) {
        limits_step_free(step);
        lr->open_ended = false; /* nothing counts tokens or money */
        return;
    }
    st = limits_step_run(lr->w, step);
    if (st == GW_OK || st == GW_EDENIED)
        limits_step_done(step, st);
    else if (st == GW_EIO)
        lr->exhausted = true;
}

uint64_t limits_cap(struct req *req)
{
    struct limits_req *lr = req->limits;
    bool counted = false;

    if (lr == NULL || !lr->endless || !req->setup->cfg->accounting.cap_answers)
        return 0;
    for (unsigned i = 0; i < lr->n; i++)
        counted |=
            lr->holds[i].kind == ROUTER_BUDGET_TOKENS || lr->holds[i].kind == ROUTER_BUDGET_COST;
    if (!counted)
        return 0;
    lr->open_ended = false;   /* it needs no top-ups */
    req->cache_keeps = false; /* what is cut short is nothing for callers with other budgets */
    return req->setup->cfg->accounting.answer_tokens;
}

void limits_sent(struct req *req)
{
    if (req->limits != NULL)
        req->limits->attempted = true;
}

void limits_refuse_target(struct req *req)
{
    limits_refuse(req, req->limits == NULL ? GW_EIO : req->limits->answer_of);
}

bool limits_spent(const struct req *req)
{
    const struct limits_req *lr = req->limits;

    return lr != NULL && lr->exhausted && lr->streamed >= lr->answer;
}

/* The smallest event of a stream shows what its frame takes; what is more is text. */
void limits_progress_event(struct req *req, size_t bytes)
{
    struct limits_req *lr = req->limits;

    if (lr == NULL)
        return;
    if (lr->frame == 0 || bytes < lr->frame)
        lr->frame = bytes;
    limits_progress(req, 1 + (bytes - lr->frame) / req->setup->cfg->accounting.bytes_per_token);
}

void limits_progress(struct req *req, uint64_t tokens)
{
    struct limits_req *lr = req->limits;

    if (lr == NULL)
        return;
    lr->streamed += tokens;
    if (lr->streamed >= lr->moved + MOVE_TOKENS)
        move(lr);
    /* Early enough that the answer to a question to Redis comes while there is still something left. */
    if (lr->open_ended && !lr->exhausted && lr->step == NULL &&
        lr->streamed + lr->answer / 8 >= lr->answer)
        top_up(lr);
}

/* ---- the end ---------------------------------------------------------------------------- */

/* Attempts for which nobody got anything. The last one of a request without an answer is the request's own, above. */
static void add_lost(struct limits_req *lr)
{
    const struct req *req = lr->req;
    unsigned n =
        req->first_byte_ns == 0 && req->n_attempts != 0 ? req->n_attempts - 1 : req->n_attempts;

    for (unsigned i = 0; i < n; i++) {
        const struct req_attempt *a = &req->attempts[i];

        if (!a->lost)
            continue;
        lr->final.tokens += a->usage.prompt + a->usage.completion;
        lr->final.cost += a->cost_nano;
    }
}

/* What was used: what the target counted, else what is known of it. A failure before any answer costs nothing. */
static void work_out(struct limits_req *lr)
{
    const struct req *req = lr->req;
    uint64_t prompt = req->usage.prompt, completion = req->usage.completion;

    lr->final.sent = lr->attempted;
    if (!lr->attempted || req->cache == REQ_CACHE_HIT)
        return;
    if (!req->has_usage && !req->usage_estimated) {
        bool spent =
            req->first_byte_ns != 0 ? req->status < 400 : req->end != AUDIT_END_UPSTREAM_ERROR;

        prompt = spent ? lr->prompt : 0;
        completion = spent ? lr->streamed : 0;
    } else if (completion < lr->streamed && req->end != AUDIT_END_COMPLETE) {
        completion = lr->streamed; /* it was cut before the target said its sum */
    }
    lr->final.tokens = prompt + completion;
    if (req->has_cost)
        lr->final.cost = req->cost_nano;
    else
        (void)limits_cost(req, lr->target, gw_clock_wall_ms(), prompt, completion, &lr->final.cost);
    add_lost(lr);
}

void limits_settle(struct req *req)
{
    struct limits_req *lr = req->limits;

    if (lr == NULL)
        return;
    req->limits = NULL;
    work_out(lr);
    lr->req = NULL;
    if (lr->step == NULL) /* else when Redis has answered */
        limits_end(lr);
}
