/* kernels/ref.h - private: the scalar specification of each operation; contracts are in kernels.h. */
#ifndef KERNELS_REF_H
#define KERNELS_REF_H

#include <math.h>

#include "kernels/kernels.h"

extern const struct kern_ops kern_scalar_ops, kern_avx2_ops, kern_avx512_ops, kern_amx_ops;

/* A block of activations whose largest is below this counts as zeros: 127 / largest would overflow. */
static const float kern_min_amax = 1e-30f;

/* A block of a token has rests when the square of its largest magnitude is above this share of the mean of
 * those squares over the token's blocks: about four standard deviations of all its values. */
static const double kern_rest_share = 1.5;

/* The square above which blocks of a token have rests. d: the largest magnitude of each of its n blocks, not finite
 * where a value is not: such a block has none. The same operations in every table. */
static inline double kern_act_limit(const struct kern_act_block *blocks, size_t n)
{
    double sum = 0;

    for (size_t b = 0; b < n; b++)
        sum += isfinite(blocks[b].d) ? (double)blocks[b].d * (double)blocks[b].d : 0;
    return kern_rest_share * sum / (double)n;
}

/* Whether it has; limit -1: all have. */
static inline bool kern_act_has_rests(float amax, double limit)
{
    return isfinite(amax) && (double)amax * (double)amax > limit;
}

/* Fills in the rest of a block of activations, from the largest of their magnitudes and the sums of
 * the integers of its halves: the same operations, so the same bits, in every table. */
static inline void kern_act_scale(struct kern_act_block *o, float amax, bool finite,
                                  const int32_t sum[2], bool fine)
{
    o->d = !finite ? NAN : amax >= kern_min_amax ? amax / 127.0f : 0;
    if (fine)
        o->d /= 256.0f;
    o->nsum = -(sum[0] + sum[1]);
    o->nsum16[0] = -sum[0];
    o->nsum16[1] = -sum[1];
    o->ds = o->d * (float)(sum[0] + sum[1]);
}

void kern_ref_quantize(struct kern_acts *a, unsigned from, unsigned to);
void kern_ref_matmul(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                     float *out, size_t out_stride, size_t row_from, size_t row_to);
void kern_ref_rope(float *x, unsigned n_heads, unsigned head_dim, unsigned n_rot, const float *cos,
                   const float *sin, enum kern_rope style);
size_t kern_ref_argmax(const float *x, size_t n);

/* Weights [from, from + n) of a row of KERN_TYPE_E4M3. */
void kern_e4m3_part(const void *row, size_t from, size_t n, float *dst);

/* The first key that a token sees of its n_keys. */
static inline size_t kern_attn_first(const struct kern_attn *a, size_t n_keys)
{
    return a->window != 0 && n_keys > a->window ? n_keys - a->window : 0;
}

/* The bytes of a block of 16 tokens; as f16: K [head_dim][16], V [16][head_dim]. */
static inline void *kern_kv_block(const struct kern_kv *kv, size_t i_block)
{
    size_t n = kv->table != NULL ? kv->table[i_block] : i_block;

    return (char *)kv->base + n * kv->block_stride;
}

/* A block of KERN_KV_I8, or of KERN_KV_FP8, whose codes are e4m3. */
struct kern_kv_byte {
    int8_t *k, *v;            /* [head_dim][16], [16][head_dim] */
    float *k_scale, *v_scale; /* [16] */
};
static inline struct kern_kv_byte kern_kv_byte_block(const struct kern_kv *kv, size_t i_block)
{
    int8_t *k = kern_kv_block(kv, i_block);
    int8_t *v = k + (size_t)kv->head_dim * KERN_KV_BLOCK;
    float *scales = (float *)(void *)(v + (size_t)kv->head_dim * KERN_KV_BLOCK);

    return (struct kern_kv_byte){k, v, scales, scales + KERN_KV_BLOCK};
}
void kern_kv_put_byte(const struct kern_kv *kv, size_t pos, const float *k, const float *v);

/* Whether keys and values of this type are bytes with a scale for each. */
static inline bool kern_kv_is_byte(enum kern_kv_type type)
{
    return type == KERN_KV_I8 || type == KERN_KV_FP8;
}

#endif
