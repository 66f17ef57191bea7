/* proxy/limits/ledger.h - the counters of budgets, in memory: exact over all workers, kept in SQLite behind their backs.
 *
 * A counter belongs to a budget's name, what it counts, and whose it is ("daily|tokens|user:ann"). Requests and settings
 * come and go; a counter stays until its window is over and nothing runs that holds a part of it.
 *
 * Invariants: (G1) every change of counters happens in ledger_apply(), under one mutex that is held for a few hundred
 * nanoseconds and never across a call that could wait; (G2) a counter with references is not freed; (G3) only what is
 * used is kept on disk: what is held ends with the process, so a crash gives it back; (G4) at most LEDGER_MAX counters,
 * then new ones are refused, never old ones forgotten. Thread: any, unless said otherwise. */
#ifndef PROXY_LIMITS_LEDGER_H
#define PROXY_LIMITS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "router/router.h"

struct ledger;
struct ledger_entry;

enum {
    LEDGER_MAX = 200000,    /* counters */
    LEDGER_KEY_BYTES = 320, /* of one's name, NUL included */
    LEDGER_FLUSH_MS = 200,  /* used amounts are on disk after this, plus a commit */
};

/* Opens (and creates, mode 0600) the database, loads what windows of today hold, starts the writer. GW_EIO, GW_ECORRUPT,
 * GW_EUNSUPPORTED, GW_ENOMEM. */
enum gw_status ledger_open(const char *path, struct ledger **out, struct gw_err *err);
/* Writes what is left, ends the writer, frees. No entry may be referenced any more. l may be NULL. */
void ledger_close(struct ledger *l);

/* The counter of that budget, kind and owner, made when there is none, with a reference. NULL: out of memory, or the
 * ledger is full. */
struct ledger_entry *ledger_get(struct ledger *l, const struct router_budget *b,
                                enum router_budget_kind kind, struct gw_span owner);
void ledger_ref(struct ledger *l, struct ledger_entry *e); /* one more */
void ledger_put(struct ledger *l, struct ledger_entry *e); /* gives the reference back */
/* The same for n of them. */
void ledger_put_all(struct ledger *l, struct ledger_entry *const *entries, unsigned n);
/* Its name: NUL-terminated, at most LEDGER_KEY_BYTES with it; lives as long as the reference. */
const char *ledger_key(const struct ledger_entry *e);

/* One change of one counter. */
struct ledger_change {
    struct ledger_entry *entry;
    struct router_claim claim; /* counter is the ledger's business */
    int64_t end_ms;            /* of the window; 0: CONCURRENCY */
    uint64_t left;             /* out: of claim.limit, after the change */
    uint64_t told;             /* of what was owed to the store, said with this change */
    uint32_t doubt_no;         /* the ledger's business: which doubt it answers */
};

/* Who has the say over limits. */
enum ledger_mode {
    LEDGER_OWN,   /* this process */
    LEDGER_NOTED, /* a shared store: what it did is only noted here */
    LEDGER_APART, /* this process, for now: the store is away and is told later (ledger_owed()) */
};

/* Does all or none (router_budget_apply()). False: *refused is the first claim without room. */
bool ledger_apply(struct ledger *l, struct ledger_change *changes, unsigned n,
                  enum ledger_mode mode, unsigned *refused);

/* What a shared store said of a counter, for headers, for `redis.on_unavailable: local`, and for the store's own loss.
 * others: held by other gateways. */
void ledger_note(struct ledger *l, struct ledger_entry *e, int64_t start_ms, int64_t end_ms,
                 uint64_t used, uint64_t others);
/* What the shared store must be told of a counter with this change. seen: what was last known to be used, said with every
 * change until one that said it is answered, since workers have connections of their own and the store may hear the second
 * before the first; 0 when the store knows (ledger_doubt()). add: used while the store was away, said once. The answer calls
 * ledger_told(), its absence ledger_untold(). */
void ledger_owed(struct ledger *l, struct ledger_change *c, uint64_t *seen, uint64_t *add);
void ledger_told(struct ledger *l, const struct ledger_change *c);
/* Nobody knows whether the store heard it: it is said again. */
void ledger_untold(struct ledger *l, struct ledger_change *c);
/* The store began anew: each counter's last known value is owed to it. */
void ledger_doubt(struct ledger *l);

/* The store went away: until it is back, LEDGER_APART lets one part in share of what is left now be used. */
void ledger_lost(struct ledger *l, unsigned share);

struct ledger_stats {
    uint64_t n;        /* counters */
    uint64_t failures; /* times the database could not be written */
    uint64_t full;     /* counters refused */
};
void ledger_stats(struct ledger *l, struct ledger_stats *out);

/* Calls each for every counter, under the lock: it may only copy. */
void ledger_each(struct ledger *l,
                 void (*each)(void *ctx, const char *key, const struct router_counter *c,
                              int64_t end_ms),
                 void *ctx);

#endif
