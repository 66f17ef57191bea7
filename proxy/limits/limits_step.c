/* proxy/limits/limits_step.c - changes of reservations: carried out here or in Redis, and what becomes of them. Worker's
 * thread. */
#include <stdlib.h>
#include <string.h>

#include "proxy/limits/limits_private.h"
#include "proxy/limits/limits_redis.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

struct limits *limits_of(const struct worker *w)
{
    return w->server->limits;
}

void limits_holds_free(struct ledger *l, struct limits_hold *holds, unsigned n)
{
    struct ledger_entry *entries[LIMITS_MAX_HOLDS];
    unsigned n_entries = 0;

    for (unsigned i = 0; i < n; i++)
        if (holds[i].entry != NULL)
            entries[n_entries++] = holds[i].entry;
    if (n_entries != 0)
        ledger_put_all(l, entries, n_entries);
    free(holds);
}

/* ---- the worker's list of reservations -------------------------------------------------------- */

void limits_list_add(struct limits_req *lr)
{
    lr->prev = NULL;
    lr->next = lr->w->reservations;
    if (lr->next != NULL)
        lr->next->prev = lr;
    lr->w->reservations = lr;
}

void limits_list_remove(struct limits_req *lr)
{
    if (lr->prev != NULL)
        lr->prev->next = lr->next;
    else if (lr->w->reservations == lr)
        lr->w->reservations = lr->next;
    if (lr->next != NULL)
        lr->next->prev = lr->prev;
    lr->prev = lr->next = NULL;
}

/* ---- steps ------------------------------------------------------------------------------ */

struct limits_step *limits_step_new(enum limits_why why, struct limits_req *lr, unsigned n)
{
    struct limits_step *step = malloc(sizeof(*step) + n * sizeof(step->changes[0]));

    if (step == NULL)
        return NULL;
    step->why = why;
    step->lr = lr;
    step->next = NULL;
    step->n_next = step->n = step->refused = 0;
    return step;
}

void limits_step_free(struct limits_step *step)
{
    free(step);
}

void limits_note(struct worker *w, struct ledger_change *changes, unsigned n)
{
    enum ledger_mode mode = w->redis == NULL ? LEDGER_OWN : LEDGER_APART;
    struct ledger *l = limits_of(w)->ledger;
    struct limits_step *step;
    unsigned refused;

    if (w->redis != NULL && (step = limits_step_new(LIMITS_NOTE, NULL, n)) != NULL) {
        memcpy(step->changes, changes, n * sizeof(*changes));
        step->n = n;
        if (limits_redis_send(w->redis, step) == GW_EAGAIN) {
            for (unsigned i = 0; i < n; i++)
                ledger_ref(l, changes[i].entry);
            return;
        }
        limits_step_free(step);
    }
    (void)ledger_apply(l, changes, n, mode, &refused);
}

enum gw_status limits_step_run(struct worker *w, struct limits_step *step)
{
    enum ledger_mode mode = LEDGER_OWN;

    if (w->redis != NULL) {
        enum gw_status st = limits_redis_send(w->redis, step);

        if (st == GW_EAGAIN)
            step->lr->step = step;
        if (st != GW_EIO)
            return st;
        if (!limits_redis_may_go_apart(w->redis)) {
            limits_holds_free(limits_of(w)->ledger, step->next, step->n_next);
            limits_step_free(step);
            return GW_EIO;
        }
        mode = LEDGER_APART;
    }
    return ledger_apply(limits_of(w)->ledger, step->changes, step->n, mode, &step->refused)
               ? GW_OK
               : GW_EDENIED;
}

/* Who refused, for the answer: the budget is the request's setup's. */
static void note_refusal(struct limits_req *lr, const struct limits_step *step)
{
    const struct ledger_change *c = &step->changes[step->refused];
    uint64_t use = c->claim.use > 0 ? (uint64_t)c->claim.use : 0;

    lr->need = c->claim.take + use;
    lr->left = c->left;
    lr->refused_end_ms = c->end_ms;
    lr->refused = NULL;
    for (unsigned i = 0; i < step->n_next; i++) {
        if (step->next[i].entry == c->entry) {
            lr->refused = step->next[i].budget;
            lr->refused_kind = step->next[i].kind;
        }
    }
    for (unsigned i = 0; i < lr->n && lr->refused == NULL; i++) {
        if (lr->holds[i].entry == c->entry) {
            lr->refused = lr->holds[i].budget;
            lr->refused_kind = lr->holds[i].kind;
        }
    }
}

/* The windows that were really charged, and what is left of them. */
static void note_left(struct limits_hold *holds, unsigned n, const struct limits_step *step)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < step->n; k++) {
            if (step->changes[k].entry != holds[i].entry)
                continue;
            holds[i].left = step->changes[k].left;
            if (step->why != LIMITS_TOP_UP)
                holds[i].start_ms = step->changes[k].claim.start_ms;
        }
    }
}

static void take_over(struct limits_req *lr, struct limits_step *step)
{
    struct ledger *l = limits_of(lr->w)->ledger;

    note_left(step->next, step->n_next, step);
    limits_holds_free(l, lr->holds, lr->n);
    lr->holds = step->next;
    lr->n = step->n_next;
    step->next = NULL;
    step->n_next = 0;
}

static void add_top_up(struct limits_req *lr, const struct limits_step *step)
{
    for (unsigned i = 0; i < lr->n; i++)
        for (unsigned k = 0; k < step->n; k++)
            if (step->changes[k].entry == lr->holds[i].entry)
                lr->holds[i].held += step->changes[k].claim.take;
    note_left(lr->holds, lr->n, step);
}

/* Goes on with the request, when it is still there. */
static void go_on(struct limits_req *lr, enum limits_why why)
{
    struct req *req = lr->req;

    if (req == NULL)
        limits_end(lr);
    else if (why == LIMITS_RESERVE)
        req_resume_after_reserve(req);
    else if (why == LIMITS_RETARGET)
        req_resume_after_retarget(req);
    else if (lr->exhausted)
        req_out_of_budget(req);
}

void limits_step_done(struct limits_step *step, enum gw_status st)
{
    struct limits_req *lr = step->lr;
    bool waited = lr->step == step;
    enum limits_why why = step->why;

    lr->step = NULL;
    lr->answer_of = st;
    if (st == GW_EDENIED && lr->req != NULL)
        note_refusal(lr, step);
    if (why == LIMITS_TOP_UP && st == GW_OK) {
        add_top_up(lr, step);
        lr->answer += lr->req == NULL ? 0 : lr->req->setup->cfg->accounting.answer_tokens;
    } else if (why == LIMITS_TOP_UP) {
        lr->exhausted = true;
    } else if (st == GW_OK) {
        take_over(lr, step);
    }
    limits_holds_free(limits_of(lr->w)->ledger, step->next, step->n_next);
    limits_step_free(step);
    if (waited)
        go_on(lr, why);
}

/* ---- the end ---------------------------------------------------------------------------- */

static uint64_t final_of(const struct limits_req *lr, const struct limits_hold *h)
{
    switch (h->kind) {
    case ROUTER_BUDGET_REQUESTS:
        return lr->final.sent ? 1 : 0;
    case ROUTER_BUDGET_TOKENS:
        return lr->final.tokens;
    case ROUTER_BUDGET_COST:
        return lr->final.cost;
    case ROUTER_BUDGET_CONCURRENCY:
    case ROUTER_BUDGET_KINDS:
    default:
        return 0;
    }
}

void limits_end(struct limits_req *lr)
{
    struct ledger_change changes[LIMITS_MAX_HOLDS];
    struct limits_hold *h = lr->holds;

    for (unsigned i = 0; i < lr->n; i++) {
        uint64_t used = final_of(lr, &h[i]);

        if (h[i].kind == ROUTER_BUDGET_TOKENS && used > h[i].used + h[i].held)
            atomic_fetch_add(&limits_of(lr->w)->overshoot_tokens, used - h[i].used - h[i].held);
        changes[i] = (struct ledger_change){
            .entry = h[i].entry,
            .claim = {.start_ms = h[i].start_ms,
                      .limit = h[i].limit,
                      .give = h[i].held,
                      .use = (int64_t)used - (int64_t)h[i].used,
                      .forced = true},
            .end_ms = h[i].end_ms,
        };
    }
    limits_list_remove(lr);
    if (lr->n != 0)
        limits_note(lr->w, changes, lr->n);
    limits_holds_free(limits_of(lr->w)->ledger, lr->holds, lr->n);
    free(lr);
}
