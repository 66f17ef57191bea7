/* proxy/net/metrics.h - counters of one worker, summed when /metrics is read.
 *
 * Only the worker writes, with relaxed atomics; the admin thread reads. Names: docs/metrics.md. */
#ifndef PROXY_METRICS_H
#define PROXY_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/span.h"
#include "base/types.h"

enum { METRICS_BUCKETS = 14 };

/* Seconds: 0.001 0.0025 0.005 ... ; the last bucket is +Inf. */
struct metrics_histogram {
    _Atomic uint64_t buckets[METRICS_BUCKETS];
    _Atomic uint64_t sum_us, count;
};

/* What one target's answers used and cost. A slot is never given back, so that a counter never goes down: names of
 * targets that a reload has removed stay. */
enum { METRICS_MAX_TARGETS = 128, METRICS_TOKEN_KINDS = 5 };
struct metrics_target {
    char name[65], currency[4]; /* written before n_targets makes the slot known */
    _Atomic uint64_t
        tokens[METRICS_TOKEN_KINDS]; /* prompt, cached, cache_write, completion, reasoning */
    _Atomic uint64_t cost_nano, unpriced, estimated; /* the last two: answers */
};

struct metrics {
    _Atomic uint64_t requests[6];              /* by status class 1xx..5xx, index status / 100 */
    _Atomic uint64_t actions[GW_ACTION_COUNT]; /* requests by strictest action */
    _Atomic uint64_t findings[GW_CLASS_COUNT]; /* by class */
    _Atomic uint64_t zones[3];                 /* answered in process, private, approved */
    _Atomic uint64_t blocked, rerouted, restored, client_aborts, upstream_errors, upstream_connects;
    _Atomic uint64_t connects_denied, connects_spliced, connects_bumped;
    _Atomic uint64_t bytes_in, bytes_out, dlp_bytes, dlp_ns;
    _Atomic int64_t conns, active;
    struct metrics_histogram duration, ttfb;
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

void metrics_observe(struct metrics_histogram *h, uint64_t us);

#endif
