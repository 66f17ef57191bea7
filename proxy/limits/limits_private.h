/* proxy/limits/limits_private.h - what the files of limits/ share: a request's reservation, and one change of it. */
#ifndef PROXY_LIMITS_PRIVATE_H
#define PROXY_LIMITS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/limits/ledger.h"
#include "proxy/limits/limits.h"
#include "proxy/request/request_private.h"
#include "router/router.h"

enum {
    LIMITS_MAX_HOLDS = ROUTER_MAX_BUDGETS * ROUTER_BUDGET_KINDS,
    LIMITS_ID_BYTES = 33, /* of a holder in Redis: 16 random bytes in hex, NUL */
    LIMITS_MAX_NAMES = 4 * ROUTER_MAX_BUDGETS, /* budgets with a counter of refusals */
};

/* Refusals of one budget. Names stay when a budget is gone from the configuration: counters do not go back. */
struct limits_name {
    char name[65];
    _Atomic uint64_t refused;
};

/* One a server. */
struct limits {
    struct ledger *ledger;
    pthread_mutex_t lock; /* guards: names, n_names, run_id */
    struct limits_name names[LIMITS_MAX_NAMES];
    unsigned n_names;
    char run_id[48];                   /* of the Redis seen last, or "" */
    _Atomic uint64_t overshoot_tokens; /* used beyond what was reserved and asked for */
    _Atomic uint64_t unavailable;      /* requests refused because nothing could be counted */
    _Atomic uint64_t cut;              /* streams ended for want of budget */
    _Atomic uint64_t redis_errors, redis_connects;
    _Atomic int64_t redis_up; /* workers that are connected */
};

/* What a request has of one counter. */
struct limits_hold {
    struct ledger_entry *entry; /* a reference */
    const struct router_budget
        *budget; /* of the request's setup: not to be read once the request is gone */
    enum router_budget_kind kind;
    int64_t start_ms, end_ms;
    uint64_t limit;
    uint64_t held, used; /* by this request, by now */
    uint64_t left;       /* of the limit, as last seen */
};

/* What a request had used when it was over. */
struct limits_final {
    bool sent; /* something left for a target */
    uint64_t tokens;
    uint64_t cost;
};

/* A request's reservation; outlives it while Redis owes an answer. Thread: the worker's. */
struct limits_req {
    struct req *req; /* NULL: the request is over, and final says how */
    struct worker *w;
    struct limits_req *prev, *next; /* of the worker's list: what holds something */
    struct limits_hold *holds;
    unsigned n;
    unsigned target;          /* that they were made for */
    uint64_t prompt, answer;  /* tokens: estimated; reserved for the answer, top-ups included */
    bool endless;             /* the client set no end to the answer */
    bool open_ended;          /* nor did we: a stream that goes on reserves more */
    bool attempted;           /* a target was asked */
    bool began;               /* an answer streams: pieces are counted */
    bool exhausted;           /* the stream must end: no more to be had */
    uint64_t streamed;        /* tokens of the answer that went by, estimated */
    size_t frame;             /* bytes of the smallest event */
    uint64_t moved;           /* of them: used, no longer held */
    struct limits_step *step; /* asked of Redis, not answered */
    enum gw_status answer_of; /* of the last reservation */
    const struct router_budget *refused; /* the budget without room, or NULL */
    enum router_budget_kind refused_kind;
    uint64_t need, left; /* of it */
    int64_t refused_end_ms;
    uint8_t theirs; /* bit per kind: the target's own fields stay */
    struct limits_final final;
};

/* What a step is about. */
enum limits_why {
    LIMITS_RESERVE,
    LIMITS_RETARGET,
    LIMITS_TOP_UP,
    LIMITS_NOTE,   /* what happened; nobody waits */
    LIMITS_ASSERT, /* a new connection holds what requests hold; nobody waits */
};

/* One change of a reservation, all or none. */
struct limits_step {
    enum limits_why why;
    struct limits_req *lr; /* NOTE: NULL */
    struct limits_hold
        *next; /* RESERVE, RETARGET: what the request has afterwards; owned, with references */
    unsigned n_next;
    unsigned refused; /* index of the change without room */
    unsigned n;
    struct ledger_change changes[]; /* as many as were asked for */
};

struct limits *limits_of(const struct worker *w);

/* limits_step.c */
/* Makes a step with room for n changes. NULL: out of memory. */
struct limits_step *limits_step_new(enum limits_why why, struct limits_req *lr, unsigned n);
/* Carries it out, here or in Redis. GW_OK, GW_EDENIED: it was, or was refused, and the caller gives the step to
 * limits_step_done(); GW_EAGAIN: that is called later; GW_EIO: Redis is away, nothing was changed, the step is gone. */
enum gw_status limits_step_run(struct worker *w, struct limits_step *step);
/* Changes that nobody is asked for: what was used, what comes back. Cannot fail: without Redis they are owed to it. */
void limits_note(struct worker *w, struct ledger_change *changes, unsigned n);
/* What was changed becomes the reservation; the step is freed. */
void limits_step_done(struct limits_step *step, enum gw_status st);
void limits_step_free(struct limits_step *step);
void limits_list_add(struct limits_req *lr);
void limits_list_remove(struct limits_req *lr);
/* Puts the references of holds back and frees the array. */
void limits_holds_free(struct ledger *l, struct limits_hold *holds, unsigned n);
/* What final says is settled; lr is freed. */
void limits_end(struct limits_req *lr);

/* limits_estimate.c: tokens that the prompt will have, and what its answer may have. */
uint64_t limits_prompt_tokens(const struct req *req);
uint64_t limits_answer_tokens(const struct req *req, bool *open_ended);
/* What that many tokens cost at a target, by the prices of that time. GW_OK; GW_ENOENT: no price is known, and that matters. */
enum gw_status limits_cost(const struct req *req, unsigned target, int64_t now_ms, uint64_t prompt,
                           uint64_t completion, uint64_t *nano);

/* limits_answer.c: answers 429 or 503. */
void limits_refuse(struct req *req, enum gw_status st);
void limits_count_refusal(struct limits *l, const char *name);

#endif
