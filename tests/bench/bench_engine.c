/* tests/bench/bench_engine.c - the steps of the engine, timed one case at a time as llama.cpp's own bench does it: made-up
 * ids, no sampling. For tests/bench/engine.py, which runs it in turn with others.
 *
 * usage: bench_engine MODEL THREADS [f16|i8|fp8|int4|polar4|polar3|qjl]
 * Reads words from standard input and answers each with a line:
 *   place  what the two first CPUs are to each other right now: one-way delay in ns of a cache line between them, and the
 *          arithmetic of both over that of one (1.0: they are one core)
 *   read   memory bandwidth, GB/s
 *   pp     tokens/s of a prompt of 512
 *   tg     tokens/s of 128 decoded from nothing
 *   d2k    tokens/s of 32 decoded behind 2,048
 *   b16    tokens/s of 16 streams together, 32 each behind 128
 *   sh     requests/s: 8 at once, a prefix of 512 that is there, 32 tokens of their own and 32 out
 *   shc    the same with the prefix computed once within the time
 *   bytes  weight bytes a decoded token reads, and bytes a token in the cache takes */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/forward.h"
#include "engine/gguf.h"

enum {
    CONTEXT = 4096,
    STREAMS = 16,
    SHARED = 512,
    OWN = 32,
    OUT = 32,
    CROWD = 8,
    STEP_TOKENS = 256, /* the scheduler's */
    ALL_TOKENS = CONTEXT + (STREAMS + 1) * 1024
};

struct bed {
    struct gguf *g;
    struct pool *p;
    struct model m;
    struct kvcache *kv;
    struct kvcache_shape shape;
    struct forward *f;
    struct kvcache_seq seqs[STREAMS + 1]; /* the last holds the prefix */
    unsigned seed;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_engine: %s\n", what);
    exit(1);
}

/* ---- where the CPUs are ---------------------------------------------------------------------- */

enum { ROUNDS = 4000, CHAINS = 12 };

static struct {
    _Alignas(128) atomic_uint ball;
    _Alignas(128) atomic_uint go;
    _Alignas(128) double other_ns;
} court;

static void pin(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

/* Arithmetic that fills the multipliers of a core: as many independent chains as hide their delay. */
static double work_ns(void)
{
    typedef float four __attribute__((vector_size(16)));
    volatile float seed = 1.0f;
    four x[CHAINS];
    uint64_t t0;
    float all = 0;

    for (unsigned i = 0; i < CHAINS; i++)
        x[i] = (four){seed, seed, seed, seed};
    t0 = gw_clock_ns();
    for (unsigned n = 0; n < 400000; n++)
#pragma GCC unroll 12
        for (unsigned i = 0; i < CHAINS; i++)
            x[i] = x[i] * x[i];
    for (unsigned i = 0; i < CHAINS; i++)
        all += x[i][0];
    seed = all;
    return (double)(gw_clock_ns() - t0);
}

static void *second(void *arg)
{
    (void)arg;
    pin(1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        while (atomic_load_explicit(&court.ball, memory_order_acquire) != 2 * i + 1)
            continue;
        atomic_store_explicit(&court.ball, 2 * i + 2, memory_order_release);
    }
    while (atomic_load(&court.go) == 0)
        continue;
    court.other_ns = work_ns();
    return NULL;
}

static void place(void)
{
    double alone, both, delay;
    cpu_set_t before;
    pthread_t t;
    uint64_t t0;

    (void)sched_getaffinity(0, sizeof(before), &before);
    pin(0);
    alone = fmin(work_ns(), work_ns());
    atomic_store(&court.ball, 0);
    atomic_store(&court.go, 0);
    if (pthread_create(&t, NULL, second, NULL) != 0)
        die("no thread");
    t0 = gw_clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        atomic_store_explicit(&court.ball, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(&court.ball, memory_order_acquire) != 2 * i + 2)
            continue;
    }
    delay = (double)(gw_clock_ns() - t0) / ROUNDS / 2;
    atomic_store(&court.go, 1);
    both = work_ns();
    (void)pthread_join(t, NULL);
    both = fmax(both, court.other_ns);
    (void)sched_setaffinity(0, sizeof(before), &before);
    printf("%.0f %.2f\n", delay, 2 * alone / both);
}

/* ---- the cases ----------------------------------------------------------------------------- */

static int32_t next_id(struct bed *b)
{
    b->seed = b->seed * 1664525u + 1013904223u;
    return (int32_t)(300 + (b->seed >> 8) % (b->m.n_vocab - 1000));
}

static void clear(struct bed *b)
{
    for (unsigned i = 0; i <= STREAMS; i++)
        kvcache_truncate(b->kv, &b->seqs[i], 0);
}

/* Feeds n ids to one sequence behind pos, in the scheduler's steps. */
static void feed(struct bed *b, unsigned seq, unsigned pos, unsigned n)
{
    int32_t ids[STEP_TOKENS];

    if (kvcache_reserve_from(b->kv, &b->seqs[seq], pos, pos + n) != GW_OK)
        die("no room in the cache");
    for (unsigned done = 0; done < n;) {
        struct forward_run run = {.seq = &b->seqs[seq], .tokens = ids, .pos = pos + done};

        for (; run.n_tokens < STEP_TOKENS && done < n; done++)
            ids[run.n_tokens++] = next_id(b);
        run.n_logits = done == n;
        forward_step(b->f, &run, 1);
    }
}

/* One step of n ids for each of n_seqs sequences. */
static void step_all(struct bed *b, unsigned n_seqs, unsigned pos, unsigned n)
{
    struct forward_run runs[STREAMS];
    int32_t ids[STEP_TOKENS];

    for (unsigned i = 0; i < n_seqs; i++) {
        if (kvcache_reserve_from(b->kv, &b->seqs[i], pos, pos + n) != GW_OK)
            die("no room in the cache");
        runs[i] = (struct forward_run){.seq = &b->seqs[i],
                                       .tokens = ids + (size_t)i * n,
                                       .n_tokens = n,
                                       .pos = pos,
                                       .n_logits = 1};
        for (unsigned k = 0; k < n; k++)
            ids[i * n + k] = next_id(b);
    }
    forward_step(b->f, runs, n_seqs);
}

static double rate(unsigned n, uint64_t t0)
{
    return (double)n * 1e9 / (double)(gw_clock_ns() - t0);
}

static double prompt(struct bed *b)
{
    uint64_t t0;

    clear(b);
    t0 = gw_clock_ns();
    feed(b, 0, 0, SHARED);
    return rate(SHARED, t0);
}

static double decode(struct bed *b, unsigned n_seqs, unsigned behind, unsigned n)
{
    uint64_t t0;

    clear(b);
    for (unsigned i = 0; i < n_seqs && behind != 0; i++)
        feed(b, i, 0, behind);
    t0 = gw_clock_ns();
    for (unsigned i = 0; i < n; i++)
        step_all(b, n_seqs, behind + i, 1);
    return rate(n_seqs * n, t0);
}

static double crowd(struct bed *b, bool cold)
{
    const struct kvcache_seq *prefix = &b->seqs[STREAMS];
    uint64_t t0;

    clear(b);
    t0 = gw_clock_ns();
    feed(b, STREAMS, 0, SHARED);
    if (!cold)
        t0 = gw_clock_ns();
    for (unsigned i = 0; i < CROWD; i++)
        for (unsigned k = 0; k < SHARED / KERN_KV_BLOCK; k++)
            if (kvcache_put(b->kv, &b->seqs[i], k, prefix->pages[k]) != GW_OK)
                die("cannot share a page");
    step_all(b, CROWD, SHARED, OWN);
    for (unsigned i = 1; i < OUT; i++)
        step_all(b, CROWD, SHARED + OWN + i - 1, 1);
    return rate(CROWD, t0);
}

static void answer(struct bed *b, const char *word)
{
    if (strcmp(word, "place") == 0)
        place();
    else if (strcmp(word, "read") == 0)
        printf("%.2f\n", kern_read_bandwidth(pool_n_threads(b->p)));
    else if (strcmp(word, "pp") == 0)
        printf("%.3f\n", prompt(b));
    else if (strcmp(word, "tg") == 0)
        printf("%.3f\n", decode(b, 1, 0, 128));
    else if (strcmp(word, "d2k") == 0)
        printf("%.3f\n", decode(b, 1, 2048, 32));
    else if (strcmp(word, "b16") == 0)
        printf("%.3f\n", decode(b, STREAMS, 128, 32));
    else if (strncmp(word, "sh", 2) == 0)
        printf("%.3f\n", crowd(b, word[2] == 'c'));
    else if (strcmp(word, "bytes") == 0)
        printf("%llu %llu\n", (unsigned long long)b->m.token_bytes,
               (unsigned long long)kvcache_token_bytes(&b->shape));
    else
        die("unknown word");
    (void)fflush(stdout);
}

static void open_bed(struct bed *b, const char *path, unsigned threads, enum kern_kv_type type)
{
    struct gw_err err;
    enum gw_status st = gguf_open(path, &b->g, &err);

    if (st == GW_OK)
        st = pool_new(threads, &b->p, &err);
    if (st == GW_OK)
        st = model_load(&b->m, b->g, kern_ops(NULL), b->p, NULL, NULL, &err);
    if (st == GW_OK) {
        b->shape = (struct kvcache_shape){.n_layers = b->m.n_layers,
                                          .n_kv_heads = b->m.n_kv_heads,
                                          .head_dim = b->m.head_dim,
                                          .n_tokens = ALL_TOKENS,
                                          .max_seq_tokens = CONTEXT,
                                          .type = type};
        st = kvcache_new(&b->shape, &b->kv, &err);
    }
    if (st == GW_OK)
        st = forward_new(&b->m, b->kv, b->p, STEP_TOKENS, STREAMS, CONTEXT, &b->f, &err);
    if (st != GW_OK)
        die(err.text);
}

static enum kern_kv_type kv_type(const char *name)
{
    static const char *const names[KERN_KV_TYPES] = {"f16",    "i8",     "fp8", "int4",
                                                     "polar4", "polar3", "qjl"};

    for (int t = 0; t < KERN_KV_TYPES; t++)
        if (strcmp(name, names[t]) == 0)
            return (enum kern_kv_type)t;
    die("unknown type of keys and values");
    return KERN_KV_I8;
}

int main(int argc, char **argv)
{
    static struct bed b = {.seed = 1};
    char word[16];

    if (argc < 3)
        die("usage: bench_engine MODEL THREADS [f16|i8|fp8|int4|polar4|polar3|qjl]");
    open_bed(&b, argv[1], (unsigned)strtoul(argv[2], NULL, 10),
             argc > 3 ? kv_type(argv[3]) : KERN_KV_I8);
    (void)prompt(&b); /* the first touch of weights and buffers is not what is measured */
    while (scanf("%15s", word) == 1)
        answer(&b, word);
    for (unsigned i = 0; i <= STREAMS; i++)
        kvcache_release(b.kv, &b.seqs[i]);
    forward_free(b.f);
    kvcache_free(b.kv);
    model_fini(&b.m);
    pool_free(b.p);
    gguf_close(b.g);
    return 0;
}
