/* kernels/attn_vec.h - private template: attention with online softmax over blocks of 16 keys, f16 or
 * int8, on vectors of VF_LANES floats. Pure; any thread.
 *
 * A row is one query head of one token. Up to MAX_ROWS rows go over the keys together, so that each byte
 * of K and V is read and converted once for all of them. Keys come in tiles of 64, counted from key 0
 * whatever the rows: that and the per-row order of operations make a row's result independent of its
 * neighbours. A key that a row does not see has score -inf, weight 0, and changes nothing; a row that sees
 * nothing yet has max -inf. */
#ifndef KERNELS_ATTN_VEC_H
#define KERNELS_ATTN_VEC_H

#include <math.h>

#include "kernels/exp_vec.h"
#include "kernels/ref.h"
#include "kernels/vec.h"

enum {
    MAX_ROWS = VF_REGS / 4,
    TILE_BLOCKS = 4,
    TILE_KEYS = TILE_BLOCKS * KERN_KV_BLOCK,
};

/* The rows in work. out holds the weighted sums of V so far, relative to exp(max). */
struct rows {
    const float *q[MAX_ROWS];                 /* [head_dim] */
    float *out[MAX_ROWS];                     /* [head_dim] */
    size_t first[MAX_ROWS], n_keys[MAX_ROWS]; /* sees [first, n_keys) */
    size_t from, most_keys;                   /* smallest first, largest n_keys */
    float cap;                                /* 0: none */
    float max[MAX_ROWS];
    float fix[MAX_ROWS]; /* exp(old max - max): what this tile multiplies out with */
    vf sum[MAX_ROWS];    /* of the weights, by lane */
    float p[MAX_ROWS][TILE_KEYS] __attribute__((aligned(64))); /* scores, then weights */
};

/* VF_LANES numbers of a block, at `at` from its K or V; the first n of them, zeroes behind. */
INLINE vf load_kv(bool i8, const void *p, size_t at)
{
    return i8 ? vf_load_i8((const int8_t *)p + at) : vf_load_f16((const uint16_t *)p + at);
}
INLINE vf load_kv_n(bool i8, const void *p, size_t at, size_t n)
{
    return i8 ? vf_load_i8_n((const int8_t *)p + at, n)
              : vf_load_f16_n((const uint16_t *)p + at, n);
}

/* Scores of n rows against VF_LANES keys, those from key `in` of a block on: column k[i * 16 + in] is
 * dimension i, scales (of int8) are theirs. The first has number `key`; they go to p[.][at]. */
INLINE void score_keys(unsigned n, bool i8, struct rows *r, const void *k, const float *scales,
                       size_t in, size_t dim, size_t key, float scale, size_t at)
{
    const vf scale_of = i8 ? vf_mul(vf_load(scales + in), vf_set1(scale)) : vf_set1(scale);
    vf even[MAX_ROWS], odd[MAX_ROWS];
    size_t i = 0;

#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
        even[g] = odd[g] = vf_zero();
    for (; i + 2 <= dim; i += 2) {
        vf k0 = load_kv(i8, k, i * KERN_KV_BLOCK + in);
        vf k1 = load_kv(i8, k, (i + 1) * KERN_KV_BLOCK + in);

#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++) {
            even[g] = vf_fma(k0, vf_set1(r->q[g][i]), even[g]);
            odd[g] = vf_fma(k1, vf_set1(r->q[g][i + 1]), odd[g]);
        }
    }
#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++) {
        size_t seen = r->n_keys[g] > key ? r->n_keys[g] - key : 0;

        if (i < dim)
            even[g] = vf_fma(load_kv(i8, k, i * KERN_KV_BLOCK + in), vf_set1(r->q[g][i]), even[g]);
        even[g] = vf_mul(vf_add(even[g], odd[g]), scale_of);
        if (r->cap > 0)
            even[g] = vf_cap(even[g], vf_set1(r->cap), vf_set1(2.0f / r->cap));
        even[g] = vf_first_n(even[g], vf_set1(-INFINITY), seen);
        if (r->first[g] > key)
            even[g] = vf_first_n(vf_set1(-INFINITY), even[g], r->first[g] - key);
        vf_store(&r->p[g][at], even[g]);
    }
}

/* Turns the scores of a row in this tile into weights and updates max, fix and sum. */
INLINE void weigh_row(struct rows *r, unsigned g, size_t n_blocks)
{
    float *p = r->p[g];
    vf top = vf_load(p), all = vf_zero();

    for (size_t i = VF_LANES; i < n_blocks * KERN_KV_BLOCK; i += VF_LANES)
        top = vf_max(top, vf_load(p + i));

    const float tile_max = vf_reduce_max(top);
    const float max = tile_max > r->max[g] ? tile_max : r->max[g];
    const vf vmax = vf_set1(max > -INFINITY ? max : 0);
    const vf fix = max == r->max[g] ? vf_set1(1.0f) : vf_exp(vf_sub(vf_set1(r->max[g]), vmax));

    for (size_t i = 0; i < n_blocks * KERN_KV_BLOCK; i += VF_LANES) {
        vf e = vf_exp(vf_sub(vf_load(p + i), vmax));

        vf_store(p + i, e);
        all = vf_add(all, e);
    }
    r->sum[g] = vf_fma(r->sum[g], fix, all);
    vf_store_n(&r->fix[g], fix, 1);
    r->max[g] = max;
}

/* out = out * fix + weights * V for n rows, dimensions [at, at + VF_LANES * width) where they exist, and
 * the keys of one tile. v: the V part of each of its blocks. */
INLINE void add_values(unsigned n, bool i8, unsigned width, struct rows *r, const void *const *v,
                       size_t dim, size_t at, size_t n_keys, bool first)
{
    vf acc[MAX_ROWS][4];
    size_t left[4]; /* dimensions from vector c on */

#pragma GCC unroll 4
    for (unsigned c = 0; c < 4; c++) {
        size_t d = at + (size_t)c * VF_LANES;

        left[c] = dim > d ? dim - d : 0;
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
            acc[g][c] = first || c >= width
                            ? vf_zero()
                            : vf_mul(vf_load_n(r->out[g] + d, left[c]), vf_set1(r->fix[g]));
    }
    for (size_t key = 0; key < n_keys; key++) {
        const void *block = v[key / KERN_KV_BLOCK];
        const size_t row = key % KERN_KV_BLOCK * dim + at;
        vf x[4];

#pragma GCC unroll 4
        for (unsigned c = 0; c < width; c++)
            x[c] = load_kv_n(i8, block, row + (size_t)c * VF_LANES, left[c]);
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
#pragma GCC unroll 4
            for (unsigned c = 0; c < width; c++)
                acc[g][c] = vf_fma(vf_set1(r->p[g][key]), x[c], acc[g][c]);
    }
#pragma GCC unroll 4
    for (unsigned c = 0; c < width; c++)
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
            vf_store_n(r->out[g] + at + (size_t)c * VF_LANES, acc[g][c], left[c]);
}

/* Multiplies the weights of a block's keys by the scales of their values (int8). */
INLINE void scale_weights(unsigned n, struct rows *r, const float *scales, size_t at)
{
    for (unsigned g = 0; g < n; g++)
        for (size_t i = 0; i < KERN_KV_BLOCK; i += VF_LANES)
            vf_store(&r->p[g][at + i], vf_mul(vf_load(&r->p[g][at + i]), vf_load(scales + i)));
}

/* All keys for n rows, n and the type of the cache are constants. */
INLINE void run_rows(unsigned n, bool i8, struct rows *r, const struct kern_kv *kv, float scale)
{
    const size_t dim = kv->head_dim;
    /* n * width sums, width values and a weight fit into registers */
    const unsigned width = n <= VF_REGS / 8 ? 4 : 2;

    for (unsigned g = 0; g < n; g++) {
        r->max[g] = -INFINITY;
        r->sum[g] = vf_zero();
    }
    const size_t start = r->from / TILE_KEYS * TILE_KEYS;

    for (size_t key = start; key < r->most_keys; key += TILE_KEYS) {
        size_t n_keys = r->most_keys - key < TILE_KEYS ? r->most_keys - key : TILE_KEYS;
        size_t n_blocks = (n_keys + KERN_KV_BLOCK - 1) / KERN_KV_BLOCK;
        const void *v[TILE_BLOCKS];
        const float *v_scale[TILE_BLOCKS] = {NULL};

        for (size_t b = 0; b < n_blocks; b++) {
            const uint16_t *k = kern_kv_block(kv, key / KERN_KV_BLOCK + b);
            const float *k_scale = NULL;

            v[b] = k + dim * KERN_KV_BLOCK;
            if (i8) {
                const struct kern_kv_i8 block = kern_kv_i8_block(kv, key / KERN_KV_BLOCK + b);

                k_scale = block.k_scale;
                v[b] = block.v;
                v_scale[b] = block.v_scale;
            }
            for (size_t i = 0; i < KERN_KV_BLOCK; i += VF_LANES)
                score_keys(n, i8, r, k, k_scale, i, dim, key + b * KERN_KV_BLOCK + i, scale,
                           b * KERN_KV_BLOCK + i);
        }
        for (unsigned g = 0; g < n; g++)
            weigh_row(r, g, n_blocks);
        for (size_t b = 0; i8 && b < n_blocks; b++)
            scale_weights(n, r, v_scale[b], b * KERN_KV_BLOCK);
        for (size_t d = 0; d < dim; d += (size_t)width * VF_LANES)
            add_values(n, i8, width, r, v, dim, d, n_keys, key == start);
    }
    for (unsigned g = 0; g < n; g++) {
        const vf total = vf_set1(vf_reduce_add(r->sum[g]));

        for (size_t d = 0; d < dim; d += VF_LANES)
            vf_store_n(r->out[g] + d, vf_div(vf_load_n(r->out[g] + d, dim - d), total), dim - d);
    }
}

/* One function a number of rows, so that the compiler sees it as a constant. */
#define RUN_ROWS(n)                                                                                \
    static __attribute__((noinline)) void run_rows_##n(struct rows *r, const struct kern_kv *kv,   \
                                                       float scale)                                \
    {                                                                                              \
        run_rows(n, false, r, kv, scale);                                                          \
    }                                                                                              \
    static __attribute__((noinline)) void run_rows_i8_##n(struct rows *r,                          \
                                                          const struct kern_kv *kv, float scale)   \
    {                                                                                              \
        run_rows(n, true, r, kv, scale);                                                           \
    }
RUN_ROWS(1)
RUN_ROWS(2)
RUN_ROWS(3)
RUN_ROWS(4)
#if VF_REGS >= 32
RUN_ROWS(5)
RUN_ROWS(6)
RUN_ROWS(7)
RUN_ROWS(8)
#endif

static void attn(const struct kern_kv *kv, const struct kern_attn *a)
{
    static void (*const run[2][MAX_ROWS])(struct rows *, const struct kern_kv *, float) = {
        {
            run_rows_1,
            run_rows_2,
            run_rows_3,
            run_rows_4,
#if VF_REGS >= 32
            run_rows_5,
            run_rows_6,
            run_rows_7,
            run_rows_8,
#endif
        },
        {
            run_rows_i8_1,
            run_rows_i8_2,
            run_rows_i8_3,
            run_rows_i8_4,
#if VF_REGS >= 32
            run_rows_i8_5,
            run_rows_i8_6,
            run_rows_i8_7,
            run_rows_i8_8,
#endif
        },
    };
    const size_t all = (size_t)a->n_tokens * a->n_heads;
    struct rows r;

    for (size_t i = 0; i < all;) {
        unsigned n = 0;

        r.most_keys = 0;
        r.from = SIZE_MAX;
        r.cap = a->cap;
        for (; n < MAX_ROWS && i < all; n++, i++) {
            size_t t = i / a->n_heads, h = i % a->n_heads;

            r.q[n] = a->q + t * a->q_stride + h * kv->head_dim;
            r.out[n] = a->out + t * a->out_stride + h * kv->head_dim;
            r.n_keys[n] = a->n_keys + t;
            r.first[n] = kern_attn_first(a, r.n_keys[n]);
            r.from = r.first[n] < r.from ? r.first[n] : r.from;
            r.most_keys = r.n_keys[n] > r.most_keys ? r.n_keys[n] : r.most_keys;
        }
        run[kv->type == KERN_KV_I8][n - 1](&r, kv, a->scale);
    }
}

#endif
