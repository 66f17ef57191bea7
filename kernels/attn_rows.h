/* kernels/attn_rows.h - private template: the rows in work of kernels/attn_vec.h. */
#ifndef KERNELS_ATTN_ROWS_H
#define KERNELS_ATTN_ROWS_H

#include <math.h>

#include "kernels/exp_vec.h"
#include "kernels/ref.h"
#include "kernels/vec.h"

/* Tables with products of bytes use them for int8 (kernels/attn_i8_vec.h). */
#ifdef __AVX512VNNI__
#    include "kernels/dot_avx512.h"
#    define VF_DOT 1
#else
#    define VF_DOT 0
#endif

enum {
    MAX_ROWS = VF_REGS / 4,
    TILE_BLOCKS = 4,
    TILE_KEYS = TILE_BLOCKS * KERN_KV_BLOCK,
    ROW_DIGITS = 3,
};

/* Of numbers as integers in bytes: number = integer * step; NaN where one of them is not finite. */
struct row_scale {
    float step;
    int32_t start[ROW_DIGITS]; /* of queries: -128 times the sum of each digit */
};

/* The rows in work. out holds the weighted sums of V so far in this span, relative to exp(max). */
struct rows {
    const float *q[MAX_ROWS];                 /* [head_dim], of coded types rotated and padded */
    const float *again[MAX_ROWS];             /* rotated once more, for a sketch */
    float *out[MAX_ROWS];                     /* [head_dim] */
    size_t first[MAX_ROWS], n_keys[MAX_ROWS]; /* sees [first, n_keys) */
    size_t from, most_keys;                   /* smallest first, largest n_keys */
    float cap;                                /* 0: none */
    float max[MAX_ROWS];
    float fix[MAX_ROWS];   /* exp(old max - max): what this tile multiplies out with */
    vf sum[MAX_ROWS];      /* of the weights, by lane */
    float total[MAX_ROWS]; /* of all lanes, behind the span */
    float p[MAX_ROWS][TILE_KEYS] __attribute__((aligned(64))); /* scores, then weights */
    float scaled[2][MAX_ROWS][TILE_KEYS]
        __attribute__((aligned(64))); /* weights times scales of groups of values */
#if VF_DOT
    struct row_scale q_scale[MAX_ROWS],
        p_scale[MAX_ROWS]; /* int8: of q, and of p times the values' scales */
    /* [16 numbers][ROW_DIGITS and one unused][16], the highest digit first */
    uint8_t q_digits[MAX_ROWS][4 * KERN_MAX_HEAD_DIM] __attribute__((aligned(64)));
    uint8_t p_digits[MAX_ROWS][4 * TILE_KEYS] __attribute__((aligned(64)));
#endif
};

/* Scores of row g against VF_LANES keys, of which the first has number `key`: capped, hidden where the row does not
 * see the key, and stored at p[g][at]. */
INLINE void finish_scores(struct rows *r, unsigned g, vf score, size_t key, size_t at)
{
    const size_t seen = r->n_keys[g] > key ? r->n_keys[g] - key : 0;

    if (r->cap > 0)
        score = vf_cap(score, vf_set1(r->cap), vf_set1(2.0f / r->cap));
    score = vf_first_n(score, vf_set1(-INFINITY), seen);
    if (r->first[g] > key)
        score = vf_first_n(vf_set1(-INFINITY), score, r->first[g] - key);
    vf_store(&r->p[g][at], score);
}

#endif
