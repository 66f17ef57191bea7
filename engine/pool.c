/* engine/pool.c - compute threads that meet at barriers.
 *
 * Invariants: (P1) `round` counts jobs and `phase` barriers; a thread waits for one of them to change
 * from the value it last saw; (P2) who changes such a word first stores it and then looks at
 * `sleepers`, who sleeps first counts itself and then looks at the word, both sequentially consistent:
 * one of them sees the other, so no wake-up is lost; (P3) fn, ctx and quit are written before round and
 * read after it. */
#include "engine/pool.h"

#include <sys/syscall.h>

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"
#include "engine/cpus.h"

/* Pauses before sleeping: about 20 to 50 us, longer than the threads of one phase differ and shorter
 * than anybody notices. */
enum { SPINS = 1000 };

/* Of a compute thread: a lower weight, and a slice that is longer than that of a thread which answers. Not by much: who wakes
 * when it has just had more than its share waits for the end of the slice, not for the end of its debt. */
enum { NICE = 5, SLICE_NS = 3000000 };

struct event {
    _Alignas(64) atomic_uint value;
    atomic_uint sleepers;
};

struct helper {
    struct pool *p;
    unsigned index;
    pthread_t thread;
};

struct pool {
    struct event round, phase;
    _Alignas(64) atomic_uint arrived; /* threads at the current barrier */
    void (*fn)(void *ctx, unsigned thread);
    void *ctx;
    bool quit;
    unsigned n, n_started; /* threads with the caller; helpers that run */
    struct helper helpers[POOL_MAX_THREADS];
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wait_change(struct event *e, unsigned seen)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&e->value, memory_order_acquire) != seen)
            return;
        relax();
    }
    atomic_fetch_add(&e->sleepers, 1);
    while (atomic_load(&e->value) == seen)
        (void)syscall(SYS_futex, &e->value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&e->sleepers, 1);
}

static void change(struct event *e)
{
    atomic_fetch_add(&e->value, 1);
    if (atomic_load(&e->sleepers) != 0)
        (void)syscall(SYS_futex, &e->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void pool_barrier(struct pool *p)
{
    unsigned seen;

    if (p->n == 1)
        return;
    seen = atomic_load_explicit(&p->phase.value, memory_order_relaxed);
    if (atomic_fetch_add(&p->arrived, 1) + 1 == p->n) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        change(&p->phase);
    } else {
        wait_change(&p->phase, seen);
    }
}

void pool_yield(void)
{
    gw_slice_set(NICE, SLICE_NS);
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    struct pool *p = h->p;
    unsigned seen = 0;

    pool_yield();
    for (;;) {
        wait_change(&p->round, seen++);
        if (p->quit)
            return NULL;
        p->fn(p->ctx, h->index);
        pool_barrier(p);
    }
}

void pool_run(struct pool *p, void (*fn)(void *ctx, unsigned thread), void *ctx)
{
    p->fn = fn;
    p->ctx = ctx;
    if (p->n > 1)
        change(&p->round);
    fn(ctx, 0);
    pool_barrier(p);
}

enum gw_status pool_new(unsigned n, struct pool **out, struct gw_err *err)
{
    struct pool *p = NULL;

    if (n == 0 || n > POOL_MAX_THREADS)
        return gw_fail(err, GW_EINVAL, "%u compute threads: 1 to %d are possible", n,
                       POOL_MAX_THREADS);
    if (posix_memalign((void **)&p, 64, sizeof(*p)) != 0)
        return gw_fail(err, GW_ENOMEM, "out of memory for the compute threads");
    memset(p, 0, sizeof(*p));
    p->n = n;
    for (unsigned i = 1; i < n; i++) {
        struct helper *h = &p->helpers[i];
        int rc;

        *h = (struct helper){.p = p, .index = i};
        rc = pthread_create(&h->thread, NULL, helper_main, h);
        if (rc != 0) {
            pool_free(p);
            return gw_fail(err, GW_EIO, "cannot start compute thread %u of %u: %s", i + 1, n,
                           strerrordesc_np(rc));
        }
        p->n_started++;
    }
    *out = p;
    return GW_OK;
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    p->quit = true;
    change(&p->round);
    for (unsigned i = 1; i <= p->n_started; i++)
        (void)pthread_join(p->helpers[i].thread, NULL);
    free(p);
}

unsigned pool_choose_threads(unsigned wanted)
{
    unsigned allowed = cpus_allowed("");
    unsigned n = wanted == 0 || wanted > allowed ? allowed : wanted;

    return n < POOL_MAX_THREADS ? n : POOL_MAX_THREADS;
}

unsigned pool_n_threads(const struct pool *p)
{
    return p->n;
}
