/* kernels/cuda_sample.cu - picks the next token of each row of logits, by the steps of engine/sampler.c and with its numbers.
 *
 * A block does a row: biases and penalties, the largest, a histogram of the distance to it, which tells how far down the cuts can reach,
 * and what lies above, sorted in shared memory. Equal logits and an equal random number give the token that the CPU picks, as far as exp() of the
 * two agrees to the last bit where a cut is that close. A row that leaves more than MAX_CANDIDATES is left to the CPU. */
#include <limits.h>

#include "kernels/cuda_dev.cuh"
#include "kernels/cuda_private.h"

enum { THREADS = 512, WARPS = THREADS / 32, BUCKETS = 1024, MAX_CANDIDATES = 2048 };

static __device__ const float REACH = 28.0f; /* see engine/sampler.c */

struct candidate {
    float logit; /* divided by the temperature, the largest is 0 */
    int32_t id;
};

struct sample_shared {
    struct candidate c[MAX_CANDIDATES];
    union {
        double upper[BUCKETS];         /* mass of a bucket, as if all of it lay at its upper end */
        double weight[MAX_CANDIDATES]; /* of the sorted candidates */
    };
    unsigned counts[BUCKETS];
    float best[WARPS];
    int32_t at[WARPS];
    unsigned n, last;
    double rest;
};

/* ---- before ----------------------------------------------------------------------------- */

/* The biases in order, by one thread: a token may have two. */
static __device__ void add_biases(float *z, const struct kern_cuda_pick &p,
                                  const struct kern_cuda_bias *biases, unsigned n_vocab)
{
    for (int i = p.bias_first; threadIdx.x == 0 && i < p.bias_first + p.n_biases; i++)
        if (biases[i].token >= 0 && (unsigned)biases[i].token < n_vocab)
            z[biases[i].token] += biases[i].add;
    __syncthreads();
}

/* Each token of the history stands there once. */
static __device__ void penalize(float *z, const struct kern_cuda_pick &p,
                                const struct kern_cuda_count *history, unsigned n_vocab)
{
    for (int i = p.history_first + (int)threadIdx.x; i < p.history_first + p.n_history;
         i += THREADS) {
        const struct kern_cuda_count h = history[i];
        float v;

        if (h.token < 0 || (unsigned)h.token >= n_vocab)
            continue;
        v = z[h.token] > 0 ? z[h.token] / p.repeat : z[h.token] * p.repeat;
        if (h.generated != 0)
            v -= p.presence + p.frequency * (float)h.generated;
        z[h.token] = v;
    }
    __syncthreads();
}

/* Is a ahead of b? Numbers before none (id -1), larger ones first, the first of equals first. */
static __device__ __forceinline__ bool is_before(float a, int32_t a_id, float b, int32_t b_id)
{
    if (a_id < 0 || b_id < 0)
        return a_id >= 0;
    return a > b || (a == b && a_id < b_id);
}

/* The largest that is a number and allowed, in every thread; -1: there is none. */
static __device__ int32_t largest(const float *z, const uint32_t *mask, unsigned n_vocab,
                                  struct sample_shared *s)
{
    float best = 0;
    int32_t at = -1;

    for (unsigned i = threadIdx.x; i < n_vocab; i += THREADS)
        if (!isnan(z[i]) && (mask == NULL || (mask[i / 32] >> i % 32 & 1) != 0) &&
            is_before(z[i], (int32_t)i, best, at)) {
            best = z[i];
            at = (int32_t)i;
        }
    for (int step = 16; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(WARP_ALL, best, step);
        const int32_t there = __shfl_xor_sync(WARP_ALL, at, step);

        if (is_before(other, there, best, at)) {
            best = other;
            at = there;
        }
    }
    if (threadIdx.x % 32 == 0) {
        s->best[threadIdx.x / 32] = best;
        s->at[threadIdx.x / 32] = at;
    }
    __syncthreads();
    best = s->best[0];
    at = s->at[0];
    for (unsigned w = 1; w < WARPS; w++)
        if (is_before(s->best[w], s->at[w], best, at)) {
            best = s->best[w];
            at = s->at[w];
        }
    return at;
}

/* ---- what the cuts may leave ---------------------------------------------------------------- */

static __device__ __forceinline__ unsigned bucket_of(float distance)
{
    const unsigned b = (unsigned)(distance * ((float)BUCKETS / REACH));

    return b < BUCKETS ? b : BUCKETS - 1;
}

/* Last bucket that can hold a token which the cuts leave, and the mass beyond it. One thread. */
static __device__ void find_last(const struct kern_cuda_pick &p, struct sample_shared *s)
{
    const double width = (double)REACH / BUCKETS;
    double total = 0, mass = 0;
    unsigned count = 0, last = 0;

    for (unsigned b = 0; b < BUCKETS; b++)
        total += s->upper[b];
    for (; last < BUCKETS - 1; last++) {
        count += s->counts[last];
        mass += s->upper[last];
        if (p.top_k != 0 && count >= p.top_k)
            break;
        if (mass * exp(-width) >= (double)p.top_p * total || total - mass < 1e-7 * total)
            break;
        if (p.min_p > 0 && exp(-width * (last + 1)) < (double)p.min_p)
            break;
    }
    s->rest = 0;
    for (unsigned b = last + 1; b < BUCKETS; b++)
        s->rest += s->upper[b] * exp(-width / 2);
    s->last = last;
}

/* Fills s->c with the n candidates, in any order. False: there are too many. */
static __device__ bool collect(const float *z, const uint32_t *mask, unsigned n_vocab, float top,
                               const struct kern_cuda_pick &p, struct sample_shared *s)
{
    const float inverse = 1.0f / p.temperature;
    const float least = p.min_p > 0 ? -logf(p.min_p) : REACH;

    for (unsigned b = threadIdx.x; b < BUCKETS; b += THREADS)
        s->counts[b] = 0;
    if (threadIdx.x == 0)
        s->n = 0;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < n_vocab; i += THREADS) {
        const float distance = (top - z[i]) * inverse;

        if (distance <= REACH && (mask == NULL || (mask[i / 32] >> i % 32 & 1) != 0))
            atomicAdd(&s->counts[bucket_of(distance)], 1u);
    }
    __syncthreads();
    for (unsigned b = threadIdx.x; b < BUCKETS; b += THREADS)
        s->upper[b] = s->counts[b] == 0 ? 0 : s->counts[b] * exp(-((double)REACH / BUCKETS) * b);
    __syncthreads();
    if (threadIdx.x == 0)
        find_last(p, s);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < n_vocab; i += THREADS) {
        const float distance = (top - z[i]) * inverse;
        unsigned at;

        if (!(distance <= REACH && distance <= least && bucket_of(distance) <= s->last) ||
            (mask != NULL && (mask[i / 32] >> i % 32 & 1) == 0))
            continue;
        at = atomicAdd(&s->n, 1u);
        if (at < MAX_CANDIDATES)
            s->c[at] = candidate{-distance, (int32_t)i};
    }
    __syncthreads();
    return s->n <= MAX_CANDIDATES;
}

/* Sorts the n candidates by likelihood, or by number; what is behind n does not count. Bitonic. */
static __device__ void sort(struct sample_shared *s, bool by_id)
{
    unsigned size = 2;

    while (size < s->n)
        size *= 2;
    for (unsigned i = s->n + threadIdx.x; i < size; i += THREADS)
        s->c[i] = candidate{-INFINITY, INT_MAX};
    for (unsigned run = 2; run <= size; run *= 2) {
        for (unsigned gap = run / 2; gap > 0; gap /= 2) {
            __syncthreads();
            for (unsigned i = threadIdx.x; i < size / 2; i += THREADS) {
                const unsigned a = i / gap * 2 * gap + i % gap, b = a + gap;
                const struct candidate ca = s->c[a], cb = s->c[b];
                const bool wrong =
                    by_id ? cb.id < ca.id : is_before(cb.logit, cb.id, ca.logit, ca.id);

                if (wrong == ((a & run) == 0)) {
                    s->c[a] = cb;
                    s->c[b] = ca;
                }
            }
        }
    }
    __syncthreads();
}

/* ---- the draw --------------------------------------------------------------------------- */

/* Draws one of the first n, whose weights are `mass`. One thread. */
static __device__ int32_t draw(const struct sample_shared *s, unsigned n, double mass,
                               double random)
{
    double at = random * mass;

    for (unsigned i = 0; i + 1 < n; i++) {
        at -= s->weight[i];
        if (at < 0)
            return s->c[i].id;
    }
    return s->c[n - 1].id;
}

/* What top_k and top_p leave of the sorted candidates, and one of it. One thread. */
static __device__ int32_t cut_and_draw(const struct sample_shared *s,
                                       const struct kern_cuda_pick &p)
{
    const unsigned k = p.top_k != 0 && p.top_k < s->n ? p.top_k : s->n;
    double total = p.top_k != 0 || p.min_p > 0 ? 0 : s->rest, mass = 0;
    unsigned n_kept = 0;

    for (unsigned i = 0; i < k; i++)
        total += s->weight[i];
    if (p.top_k == 0 && !(p.top_p < 1))
        return draw(s, s->n, total, p.random);
    while (n_kept < k && (n_kept == 0 || mass < (double)p.top_p * total))
        mass += s->weight[n_kept++];
    return draw(s, n_kept, mass, p.random);
}

/* blockIdx.x: row. */
static __global__ void __launch_bounds__(THREADS) sample_kernel(struct kern_cuda_sample g)
{
    __shared__ struct sample_shared s;
    const struct kern_cuda_pick p = g.pick[blockIdx.x];
    float *z = g.logits + (size_t)blockIdx.x * g.stride;
    const uint32_t *mask =
        g.mask == NULL ? NULL : g.mask + (size_t)blockIdx.x * ((g.n_vocab + 31) / 32);
    const bool cut = p.top_k != 0 || p.top_p < 1;
    int32_t top;

    if (p.n_biases != 0)
        add_biases(z, p, g.biases, g.n_vocab);
    if (p.n_history != 0)
        penalize(z, p, g.history, g.n_vocab);
    top = largest(z, mask, g.n_vocab, &s);
    if (top < 0 || !(p.temperature > 1e-6f) || isinf(z[top])) {
        if (threadIdx.x == 0)
            g.out[blockIdx.x] = top;
        return;
    }
    if (!collect(z, mask, g.n_vocab, z[top], p, &s)) {
        if (threadIdx.x == 0)
            g.out[blockIdx.x] = -2;
        return;
    }
    sort(&s, !cut);
    for (unsigned i = threadIdx.x; i < s.n; i += THREADS)
        s.weight[i] = exp((double)s.c[i].logit);
    __syncthreads();
    if (threadIdx.x == 0)
        g.out[blockIdx.x] = cut_and_draw(&s, p);
}

/* ---- launcher --------------------------------------------------------------------------- */

void kern_cuda_sample(struct kern_cuda *c, const struct kern_cuda_sample *s)
{
    if (s->n_rows != 0)
        kern_cuda_run(c, "sample", sample_kernel, dim3(s->n_rows), dim3(THREADS), 0, *s);
}
