/* kernels/attn_i8_vec.h - private template: scores and weighted sums of int8 keys and values by products of bytes
 * (vpdpbusd), for the rows of kernels/attn_rows.h. Pure; any thread.
 *
 * A query, and the weights of a tile's keys times the scales of their values, become integers of 24 bits with one scale:
 * three digits of base 256, each a byte. Sums of products of a digit with what the cache holds are exact integers, so
 * the result is as near as with floats: 24 bits are what a float has. One operand of the instruction is unsigned.
 * Weights are, so their digits are 0 to 255. Keys become so by adding 128, and 128 times the sum of the query's digits,
 * -128 to 127, is taken away. */
#ifndef KERNELS_ATTN_I8_VEC_H
#define KERNELS_ATTN_I8_VEC_H

#include <string.h>

#include "kernels/attn_rows.h"

/* The largest integers of signed and of unsigned digits, with a margin for the rounding of what they are scaled by. */
static const float signed_most = 8355000.0f, unsigned_most = 16776000.0f;
/* Numbers of which the largest is below this count as zeros: the factor would overflow. */
static const float digits_least = 1e-30f;

/* From where the digits of number i of four are. */
INLINE size_t digits_at(size_t i)
{
    return i / 16 * 64 + i % 16;
}

/* The factor from numbers to integers, of which the largest becomes `to`, and its inverse. top: the bits of their
 * magnitudes, by lane. */
INLINE float digits_scale(vi top, float to, float *step)
{
    const int bits = vi_reduce_max(top);
    float most, times;

    memcpy(&most, &bits, sizeof(most));
    times = most >= digits_least && most < INFINITY ? to / most : 0;
    *step = times > 0 ? most / to : most < INFINITY ? 0 : NAN;
    return times;
}

/* A query of n numbers; zeroes where its last vector has none. */
INLINE void query_digits(const float *x, size_t n, uint8_t *d, struct row_scale *o)
{
    vi top = vi_set1(0);
    float times;

    for (size_t i = 0; i < n; i += VF_LANES)
        top = vi_max(top, vi_magnitude(vf_load_n(x + i, n - i)));
    times = digits_scale(top, signed_most, &o->step);
    memset(o->start, 0, sizeof(o->start));
    for (size_t i = 0; i < (n + 15) / 16 * 16; i += VF_LANES) {
        const vf v = i < n ? vf_load_n(x + i, n - i) : vf_zero();

        /* bytes that are 128 more than the digits */
        vi_store_bytes(times > 0 ? vf_mul(v, vf_set1(times)) : vf_zero(), 0x808080,
                       d + digits_at(i));
    }
    for (size_t i = 0; i < n; i += 16) {
        for (size_t k = 0; k < ROW_DIGITS; k++) {
            for (size_t j = 0; j < 16; j++) {
                uint8_t *at = &d[digits_at(i) + 16 * k + j];

                o->start[k] -= 128 * (*at - 128);
                *at ^= 128;
            }
        }
    }
}

/* What three sums of digits are together. */
INLINE vf join_digits(const vi sum[ROW_DIGITS])
{
    const vf low = vf_fma(vi_float(sum[1]), vf_set1(256.0f), vi_float(sum[2]));

    return vf_fma(vi_float(sum[0]), vf_set1(65536.0f), low);
}

INLINE void prepare_queries(unsigned n, struct rows *r, size_t dim)
{
    for (unsigned g = 0; g < n; g++)
        query_digits(r->q[g], dim, r->q_digits[g], &r->q_scale[g]);
}

/* Scores of n rows against VF_LANES keys of a block, those from `in` on, as score_keys of attn_vec.h. The last
 * dimensions are read in fours: behind K lies V, and the digits there are 0. */
INLINE void score_keys_i8(unsigned n, struct rows *r, const struct kern_kv_byte *block, size_t in,
                          size_t dim, size_t key, float scale, size_t at)
{
    const vf scale_of = vf_mul(vf_load(block->k_scale + in), vf_set1(scale));
    vi sum[MAX_ROWS][ROW_DIGITS];

#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
#pragma GCC unroll 3
        for (unsigned k = 0; k < ROW_DIGITS; k++)
            sum[g][k] = vi_set1(r->q_scale[g].start[k]);
    for (size_t i = 0; i < dim; i += 4) {
        const vi x = vi_keys(block->k + i * KERN_KV_BLOCK, in);

#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
#pragma GCC unroll 3
            for (unsigned k = 0; k < ROW_DIGITS; k++)
                sum[g][k] = vi_dot_keys(sum[g][k], x,
                                        (const int8_t *)&r->q_digits[g][digits_at(i) + 16 * k]);
    }
#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++) {
        const vf score = vf_mul(join_digits(sum[g]), vf_set1(r->q_scale[g].step));

        finish_scores(r, g, vf_mul(score, scale_of), key, at);
    }
}

/* The digits of the weights of a tile's keys times the scales of their values: scales[b] are those of block b. What
 * has no weight has none either where the scale is not finite or was never written. */
INLINE void prepare_weights(unsigned n, struct rows *r, const float *const scales[TILE_BLOCKS],
                            size_t n_blocks)
{
    for (unsigned g = 0; g < n; g++) {
        vf w[TILE_KEYS / VF_LANES];
        vi top = vi_set1(0);
        float times;

        for (size_t i = 0; i < n_blocks * KERN_KV_BLOCK; i += VF_LANES) {
            const vf s = vf_load(scales[i / KERN_KV_BLOCK] + i % KERN_KV_BLOCK);

            w[i / VF_LANES] = vf_mul_or_zero(vf_load(&r->p[g][i]), s);
            top = vi_max(top, vi_magnitude(w[i / VF_LANES]));
        }
        times = digits_scale(top, unsigned_most, &r->p_scale[g].step);
        for (size_t i = 0; i < n_blocks * KERN_KV_BLOCK; i += VF_LANES)
            vi_store_bytes(times > 0 ? vf_mul(w[i / VF_LANES], vf_set1(times)) : vf_zero(), 0,
                           r->p_digits[g] + digits_at(i));
    }
}

/* out = out * fix + weights * V for n rows, dimensions [at, at + VF_LANES * width) where they exist, and the keys of
 * one tile, as add_values of attn_vec.h. What is read behind a row of V is the next row, or the block's scales. */
INLINE void add_values_i8(unsigned n, unsigned width, struct rows *r,
                          const void *const v[TILE_BLOCKS], size_t dim, size_t at, size_t n_keys,
                          bool first)
{
    vi sum[MAX_ROWS][4][ROW_DIGITS];

#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
#pragma GCC unroll 4
        for (unsigned c = 0; c < width; c++)
#pragma GCC unroll 3
            for (unsigned k = 0; k < ROW_DIGITS; k++)
                sum[g][c][k] = vi_set1(0);
    for (size_t key = 0; key < n_keys; key += 4) {
        const int8_t *row = (const int8_t *)v[key / KERN_KV_BLOCK] + key % KERN_KV_BLOCK * dim + at;
        vi x[4];

#pragma GCC unroll 4
        for (unsigned c = 0; c < width; c++)
            x[c] = vi_values(row + (size_t)c * VF_LANES, dim);
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
#pragma GCC unroll 3
            for (unsigned k = 0; k < ROW_DIGITS; k++) {
                const vi four = vi_four(&r->p_digits[g][digits_at(key) + 16 * k]);

#pragma GCC unroll 4
                for (unsigned c = 0; c < width; c++)
                    sum[g][c][k] = vi_dot_values(sum[g][c][k], four, x[c]);
            }
    }
#pragma GCC unroll 4
    for (unsigned c = 0; c < width; c++) {
        const size_t d = at + (size_t)c * VF_LANES, left = dim > d ? dim - d : 0;

#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++) {
            vf more = vf_mul(join_digits(sum[g][c]), vf_set1(r->p_scale[g].step));

            if (!first)
                more = vf_fma(vf_load_n(r->out[g] + d, left), vf_set1(r->fix[g]), more);
            vf_store_n(r->out[g] + d, more, left);
        }
    }
}

/* The weighted sums of a tile's int8 values. */
INLINE void add_tile_i8(unsigned n, struct rows *r, const void *const v[TILE_BLOCKS],
                        const float *const scales[TILE_BLOCKS], size_t dim, size_t n_keys,
                        bool first)
{
    /* n * width * ROW_DIGITS sums and width vectors of values fit into registers */
    const unsigned room = VF_REGS / 4 / n, width = room >= 4 ? 4 : room >= 2 ? 2 : 1;

    prepare_weights(n, r, scales, (n_keys + KERN_KV_BLOCK - 1) / KERN_KV_BLOCK);
    for (size_t d = 0; d < dim; d += (size_t)width * VF_LANES)
        add_values_i8(n, width, r, v, dim, d, n_keys, first);
}

#endif
