/* engine/pool.h - the compute threads: one function at a time, run by all of them together.
 *
 * A job is straight-line code that every thread executes, with barriers where a result of the others is
 * needed and a shared counter where work is handed out. Waiting is a short bounded spin and then a
 * futex, so an idle pool uses no CPU. The caller of pool_run is one of the threads. */
#ifndef ENGINE_POOL_H
#define ENGINE_POOL_H

#include <stdatomic.h>

#include "base/err.h"

struct pool;

enum { POOL_MAX_THREADS = 64 };

/* Starts n - 1 threads (n from 1 to POOL_MAX_THREADS). GW_ENOMEM, GW_EIO. On success *out is the
 * caller's (pool_free). */
enum gw_status pool_new(unsigned n, struct pool **out, struct gw_err *err);

/* Ends the threads. No pool_run may be in progress. p may be NULL. */
void pool_free(struct pool *p);

/* How many threads a model should get of the `wanted` (0: all) that the process may keep busy. */
unsigned pool_choose_threads(unsigned wanted);

unsigned pool_n_threads(const struct pool *p);

/* Runs fn(ctx, thread) once for each thread from 0 to n - 1 and returns when all are done. Thread: one
 * caller at a time. */
void pool_run(struct pool *p, void (*fn)(void *ctx, unsigned thread), void *ctx);

/* Waits until every thread of the running job has come here. Only inside fn, by all threads. */
void pool_barrier(struct pool *p);

/* The calling thread computes for long stretches: whoever sleeps most of the time, as an event loop does, goes first when
 * it wakes. For each thread of a pool, its caller too. */
void pool_yield(void);

/* Hands out 0, 1, 2, ... to the threads of a job; set to 0 before the job. */
static inline unsigned pool_take(atomic_uint *counter)
{
    return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
