/* proxy/net/metrics.h - counters of one worker, summed when /metrics is read.
 *
 * Only the worker writes, with relaxed atomics; the admin thread reads. Names: docs/metrics.md. */
#ifndef PROXY_METRICS_H
#define PROXY_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/span.h"
#include "base/types.h"

enum {
    METRICS_BUCKETS = 14,
    METRICS_TARGETS =
        64, /* names that targets have had since the start; later ones share one more place */
};

/* The last bucket is +Inf. sum: in the unit of what is observed. */
struct metrics_histogram {
    _Atomic uint64_t buckets[METRICS_BUCKETS];
    _Atomic uint64_t sum;
};

/* Upper bounds of all buckets but the last. */
extern const uint64_t metrics_bounds_us[METRICS_BUCKETS - 1]; /* whole requests: 1 ms to a minute */
extern const uint64_t metrics_bounds_stage[METRICS_BUCKETS - 1];  /* ns: 10 us to a second */
extern const uint64_t metrics_bounds_tokens[METRICS_BUCKETS - 1]; /* powers of four */

/* What a request spends its time on (`stage` of sluice_stage_seconds). */
enum metrics_stage {
    METRICS_STAGE_BODY,    /* from the head until the body is there */
    METRICS_STAGE_EXTRACT, /* decoding, parsing */
    METRICS_STAGE_SCAN,
    METRICS_STAGE_DECIDE,
    METRICS_STAGE_RESERVE, /* of limits, which may wait for a shared store */
    METRICS_STAGE_AUDIT,   /* until the decided record is durable */
    METRICS_STAGE_PREPARE, /* editing, translating for the target; one attempt */
    METRICS_STAGE_CONNECT, /* a new connection to a server, TLS included */
    METRICS_STAGE_ANSWER,  /* from the attempt's begin to the answer's head */
    METRICS_STAGE_COUNT
};

/* How long one target takes. */
struct metrics_times {
    struct metrics_histogram first_byte,
        duration; /* us: of the attempt that answered, of the request */
};

/* What one target's answers used and cost. A slot is never given back, so that a counter never goes down: names of
 * targets that a reload has removed stay. */
enum { METRICS_MAX_TARGETS = 128, METRICS_TOKEN_KINDS = 5 };
struct metrics_target {
    char name[65], currency[4]; /* written before n_targets makes the slot known */
    _Atomic uint64_t
        tokens[METRICS_TOKEN_KINDS]; /* prompt, cached, cache_write, completion, reasoning */
    _Atomic uint64_t saved_nano;     /* by the cache */
    _Atomic uint64_t cost_nano, unpriced, estimated; /* the last two: answers */
    _Atomic uint64_t lost_tokens, lost_nano;         /* of attempts that gave no answer */
};

struct metrics {
    _Atomic uint64_t requests[6];              /* by status class 1xx..5xx, index status / 100 */
    _Atomic uint64_t actions[GW_ACTION_COUNT]; /* requests by strictest action */
    _Atomic uint64_t findings[GW_CLASS_COUNT]; /* by class */
    _Atomic uint64_t would[GW_ACTION_COUNT];   /* requests: what is on trial would have done else */
    _Atomic uint64_t simulated[GW_ACTION_COUNT]; /* requests: what the policy to simulate would */
    _Atomic uint64_t allowlisted;                /* findings that an allowlist took away */
    _Atomic uint64_t justified;                  /* requests that a reason let pass */
    _Atomic uint64_t zones[3];                   /* answered in process, private, approved */
    _Atomic uint64_t blocked, rerouted, restored, client_aborts, upstream_errors, upstream_connects;
    _Atomic uint64_t retries, fallbacks, hedges, hedge_wins, error_answers;
    _Atomic uint64_t cache_hits, cache_misses, cache_bypassed;
    _Atomic uint64_t connects_denied, connects_spliced, connects_bumped;
    _Atomic uint64_t bytes_in, bytes_out, dlp_bytes, dlp_view_bytes, dlp_cut, dlp_ns;
    _Atomic uint64_t conns_refused, memory_refused; /* beyond a cap of limits */
    _Atomic int64_t conns, active;
    struct metrics_histogram duration, ttfb;              /* us */
    struct metrics_histogram stages[METRICS_STAGE_COUNT]; /* ns */
    struct metrics_histogram tokens_in, tokens_out;
    struct metrics_times times[METRICS_TARGETS + 1]; /* by setup->slots[target] */
    struct metrics_target targets[METRICS_MAX_TARGETS];
    atomic_uint n_targets;
};

static inline void metrics_add(_Atomic uint64_t *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static inline void metrics_gauge(_Atomic int64_t *c, int64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* The worker's slot of that target and currency; the last one, "other", when there are no more. Thread: the worker's. */
struct metrics_target *metrics_target_of(struct metrics *m, struct gw_span name,
                                         const char *currency);

/* bounds: those of the histogram. */
void metrics_observe(struct metrics_histogram *h, const uint64_t *bounds, uint64_t v);

static inline void metrics_stage(struct metrics *m, enum metrics_stage stage, uint64_t ns)
{
    metrics_observe(&m->stages[stage], metrics_bounds_stage, ns);
}

/* The names behind metrics_times, which outlive reloads. Returns the place of the name: the one that it has, a new one, or
 * METRICS_TARGETS when all are taken or memory is out. Thread: any. */
struct metrics_names;
struct metrics_names *metrics_names_new(void); /* NULL: out of memory */
void metrics_names_free(struct metrics_names *n);
unsigned metrics_name(struct metrics_names *n, const char *name);
/* The name of a place that was given out, "other" for METRICS_TARGETS, else NULL. Lives as long as n. */
const char *metrics_name_at(struct metrics_names *n, unsigned place);

#endif
