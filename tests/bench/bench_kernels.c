/* tests/bench/bench_kernels.c - speed of the kernels beside the limits of the machine.
 *
 * usage: bench_kernels [TABLE [TYPE]]      e.g. bench_kernels avx512 Q4_K
 *
 * For each table, weight type, and 1 and 2 threads: decode (matrix times 1 and 4 tokens, weights far
 * larger than the caches) in GB/s of packed weights with its share of the read bandwidth measured in the
 * same run, and prefill (512 tokens) in GOP/s; then attention. Each number is the best of a few passes.
 * Threads are joined by a barrier that spins, so the numbers mean nothing on a busy machine. */
#include <sys/mman.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/kernels.h"

enum {
    MAX_THREADS = 2,
    DECODE_BYTES = 160 << 20,
    DECODE_COLS = 2048,
    PREFILL_ROWS = 3072,
    PREFILL_COLS = 1024,
    PREFILL_TOKENS = 512,
    PASSES = 7,
};

/* One product, cut into row ranges. */
struct job {
    const struct kern_ops *ops;
    const struct kern_matrix *w;
    const struct kern_acts *x;
    unsigned n_tokens, n_threads;
    float *out;
    atomic_uint arrived;
    uint64_t start_ns[MAX_THREADS], end_ns[MAX_THREADS]; /* of this pass */
    uint64_t best_ns;
};

struct worker {
    struct job *job;
    unsigned id;
};

static void *bench_alloc(size_t bytes)
{
    const size_t huge = 2 << 20;
    void *p = aligned_alloc(huge, (bytes + huge) / huge * huge);

    if (p == NULL) {
        perror("aligned_alloc");
        exit(1);
    }
    (void)madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    return p;
}

/* Waits until all threads have come here `round` times. */
static void meet(struct job *job, unsigned round)
{
    atomic_fetch_add(&job->arrived, 1);
    while (atomic_load(&job->arrived) < round * job->n_threads)
        ;
}

static void *work(void *arg)
{
    struct worker *me = arg;
    struct job *job = me->job;
    size_t steps = job->w->rows / KERN_ROW_STEP;
    size_t from = steps * me->id / job->n_threads * KERN_ROW_STEP;
    size_t to = steps * (me->id + 1) / job->n_threads * KERN_ROW_STEP;

    for (unsigned i = 0; i < PASSES; i++) {
        meet(job, 3 * i + 1);
        job->start_ns[me->id] = gw_clock_ns();
        job->ops->matmul(job->w, job->x, job->n_tokens, job->out, job->w->rows, from, to);
        job->end_ns[me->id] = gw_clock_ns();
        meet(job, 3 * i + 2);
        if (me->id == 0) {
            /* A thread that comes late must not make the pass look shorter. */
            uint64_t start = job->start_ns[0], end = job->end_ns[0];

            for (unsigned t = 1; t < job->n_threads; t++) {
                start = job->start_ns[t] < start ? job->start_ns[t] : start;
                end = job->end_ns[t] > end ? job->end_ns[t] : end;
            }
            job->best_ns = end - start < job->best_ns ? end - start : job->best_ns;
        }
        meet(job, 3 * i + 3);
    }
    return NULL;
}

/* Seconds of the fastest pass. */
static double run(const struct kern_ops *ops, const struct kern_matrix *w,
                  const struct kern_acts *x, unsigned n_tokens, unsigned n_threads, float *out)
{
    struct job job = {
        .ops = ops,
        .w = w,
        .x = x,
        .n_tokens = n_tokens,
        .n_threads = n_threads,
        .out = out,
        .best_ns = UINT64_MAX,
    };
    struct worker workers[MAX_THREADS];
    pthread_t ids[MAX_THREADS];

    for (unsigned i = 1; i < n_threads; i++) {
        workers[i] = (struct worker){&job, i};
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0) {
            perror("pthread_create");
            exit(1);
        }
    }
    workers[0] = (struct worker){&job, 0};
    (void)work(&workers[0]);
    for (unsigned i = 1; i < n_threads; i++)
        (void)pthread_join(ids[i], NULL);
    return (double)job.best_ns * 1e-9;
}

/* Pseudo-random bytes with exponents that keep every scale small and finite. */
static uint8_t *make_weights(uint32_t type, size_t rows, size_t cols)
{
    const struct kern_type_info *info = kern_type_info(type);
    size_t bytes = rows * cols / info->block_elems * info->block_bytes;
    uint8_t *w = bench_alloc(bytes);
    uint64_t s = 88172645463325252ull;

    for (size_t i = 0; i < bytes; i++) {
        s = s * 6364136223846793005ull + 1442695040888963407ull;
        w[i] = (uint8_t)(s >> 56) & 0x3f;
    }
    return w;
}

struct inputs {
    struct kern_acts acts;
    float *x;
};

static struct inputs make_inputs(const struct kern_ops *ops, unsigned n_tokens, size_t cols,
                                 enum kern_acts_form form)
{
    struct inputs in = {.x = bench_alloc(n_tokens * cols * sizeof(float))};

    for (size_t i = 0; i < n_tokens * cols; i++)
        in.x[i] = (float)((i * 2654435761u >> 8) % 2001) / 1000.0f - 1.0f;
    kern_acts_init(&in.acts, bench_alloc(kern_acts_bytes(n_tokens, cols, form)), n_tokens, cols,
                   form, in.x, cols);
    ops->quantize(&in.acts, 0, n_tokens);
    return in;
}

static void inputs_free(struct inputs *in)
{
    free(in->acts.blocks);
    free(in->x);
}

struct prepared {
    struct kern_matrix m;
    uint8_t *gguf;
    void *packed;
    size_t bytes; /* that a product reads */
};

static struct prepared prepare(const struct kern_ops *ops, uint32_t type, size_t rows, size_t cols)
{
    struct prepared p = {.gguf = make_weights(type, rows, cols)};
    struct gw_err err = {0};

    if (kern_matrix_packed_bytes(ops, type, rows, cols, &p.bytes, &err) != GW_OK ||
        (p.packed = bench_alloc(p.bytes)) == NULL ||
        kern_matrix_pack(ops, type, rows, cols, p.gguf, p.packed, &p.m, &err) != GW_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    if (p.bytes == 0) {
        (void)kern_row_bytes(type, cols, &p.bytes);
        p.bytes *= rows;
    }
    return p;
}

static void prepared_free(struct prepared *p)
{
    free(p->gguf);
    free(p->packed);
}

static void bench_type(const struct kern_ops *ops, uint32_t type, enum kern_acts_form form,
                       const double *read_gb)
{
    const size_t scale = strcmp(ops->name, "scalar") == 0 ? 16 : 1;
    const struct kern_type_info *info = kern_type_info(type);
    size_t row_bytes = DECODE_COLS / info->block_elems * info->block_bytes;
    size_t rows = DECODE_BYTES / scale / row_bytes / 32 * 32;
    struct prepared big = prepare(ops, type, rows, DECODE_COLS);
    struct prepared mid = prepare(ops, type, PREFILL_ROWS / scale, PREFILL_COLS);
    struct inputs few = make_inputs(ops, 4, DECODE_COLS, form);
    struct inputs many = make_inputs(ops, PREFILL_TOKENS, PREFILL_COLS, form);
    float *out = bench_alloc((rows * 4 + PREFILL_ROWS * PREFILL_TOKENS) * sizeof(float));
    const double gop = 2e-9 * (double)mid.m.rows * PREFILL_COLS * PREFILL_TOKENS;

    for (unsigned n = 1; n <= MAX_THREADS; n++) {
        double one = (double)big.bytes * 1e-9 / run(ops, &big.m, &few.acts, 1, n, out);
        double four = (double)big.bytes * 1e-9 / run(ops, &big.m, &few.acts, 4, n, out);
        double all = gop / run(ops, &mid.m, &many.acts, PREFILL_TOKENS, n, out);

        printf("%-7s %-5s%s %u  %7.2f GB/s %4.0f %%  %7.2f GB/s  %8.1f GOP/s\n", ops->name,
               info->name, form == KERN_ACTS_FINE ? " fine" : "     ", n, one,
               100 * one / read_gb[n], four, all);
        (void)fflush(stdout);
    }
    free(out);
    inputs_free(&few);
    inputs_free(&many);
    prepared_free(&big);
    prepared_free(&mid);
}

/* Decode over 2,048 keys, 8 KV heads of 2 query heads; then prefill of 256 tokens on one of them. */
static void bench_attn(const struct kern_ops *ops, enum kern_kv_type type)
{
    enum { KEYS = 2048, DIM = 128, HEADS = 2, KV_HEADS = 8, TOKENS = 256 };
    const char *name = type == KERN_KV_I8 ? "int8" : "f16";
    struct kern_kv kv = {
        .head_dim = DIM, .block_stride = kern_kv_block_bytes(type, DIM), .type = type};
    size_t head_bytes = KEYS / KERN_KV_BLOCK * kv.block_stride;
    char *cache = bench_alloc(head_bytes * KV_HEADS); /* zeros: the speed is the same */
    float *q = bench_alloc(TOKENS * HEADS * DIM * sizeof(float));
    float *out = bench_alloc(TOKENS * HEADS * DIM * sizeof(float));
    struct kern_attn a = {.q = q,
                          .out = out,
                          .q_stride = HEADS * DIM,
                          .out_stride = HEADS * DIM,
                          .n_tokens = 1,
                          .n_heads = HEADS,
                          .n_keys = KEYS,
                          .scale = 0.1f};
    uint64_t best = UINT64_MAX, took;

    for (unsigned i = 0; i < PASSES; i++) {
        uint64_t start = gw_clock_ns();

        for (unsigned h = 0; h < KV_HEADS; h++) {
            kv.base = cache + h * head_bytes;
            ops->attn(&kv, &a);
        }
        took = gw_clock_ns() - start;
        best = took < best ? took : best;
    }
    printf("%-7s %-4s attention, decode, 1 thread, 2048 keys x 8: %.2f GB/s, %.1f us\n", ops->name,
           name, (double)head_bytes * KV_HEADS / (double)best, (double)best * 1e-3);
    a.n_tokens = TOKENS;
    a.n_keys = KEYS - TOKENS;
    best = UINT64_MAX;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t start = gw_clock_ns();

        ops->attn(&kv, &a);
        took = gw_clock_ns() - start;
        best = took < best ? took : best;
    }
    printf("%-7s %-4s attention, prefill, 1 thread, 256 tokens on 2048 keys: %.1f GFLOP/s\n",
           ops->name, name, 4.0 * TOKENS * HEADS * DIM * (KEYS - TOKENS / 2.0) / (double)best);
    free(cache);
    free(q);
    free(out);
}

int main(int argc, char **argv)
{
    static const char *const tables[] = {"scalar", "avx2", "avx512", "amx"};
    static const uint32_t types[] = {
        KERN_TYPE_Q4_0, KERN_TYPE_Q4_1, KERN_TYPE_Q5_0, KERN_TYPE_Q8_0, KERN_TYPE_Q4_K,
        KERN_TYPE_Q6_K, KERN_TYPE_F16,  KERN_TYPE_BF16, KERN_TYPE_F32,
    };
    double read_gb[MAX_THREADS + 1];

    for (unsigned n = 1; n <= MAX_THREADS; n++) {
        read_gb[n] = kern_read_bandwidth(n);
        printf("read bandwidth, %u thread%s: %.1f GB/s\n", n, n > 1 ? "s" : "", read_gb[n]);
    }
    printf("table   type       threads  decode 1: packed bytes  decode 4  prefill 512, %d -> %d\n",
           PREFILL_COLS, PREFILL_ROWS);
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        const struct kern_ops *ops = kern_ops_exact(tables[i]);

        if (ops == NULL || (argc > 1 && strcmp(argv[1], tables[i]) != 0))
            continue;
        for (unsigned t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
            if (argc >= 3 && strcmp(argv[2], kern_type_info(types[t])->name) != 0)
                continue;
            bench_type(ops, types[t], KERN_ACTS_COARSE, read_gb);
            if (kern_type_info(types[t])->quantized)
                bench_type(ops, types[t], KERN_ACTS_FINE, read_gb);
        }
        bench_attn(ops, KERN_KV_F16);
        bench_attn(ops, KERN_KV_I8);
    }
    return 0;
}
