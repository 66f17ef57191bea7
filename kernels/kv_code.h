/* kernels/kv_code.h - private: keys and values of a head as codes of 3 or 4 bits.
 *
 * Before it is coded a head is rotated (kern_kv_rotate): signs of its numbers are flipped by a fixed pattern, then
 * comes a Walsh-Hadamard transform. So an outlier is spread over all, and what is left looks normal, whatever the
 * model. Both are orthonormal: queries that are rotated alike have the same scores, and the weighted sum of
 * rotated values is rotated back once. A code is a place in a table of levels; a number is level * scale.
 *
 *   type     levels                             bits   scale
 *   int4     -8 to 7                            4      for each 32 numbers
 *   polar4   best for the normal law, 16        4      for each head
 *   polar3   best for the normal law, 8         3      for each head
 *   qjl      keys 8 of these and one bit of the sketch; values 16   4      for each head; keys: and of the sketch
 *
 * Source: TurboQuant (Zandieh et al., arXiv 2504.19874): rotation, Lloyd-Max levels, and QJL: the sign of each
 * number of what was lost, after a second rotation, which makes the inner product unbiased. Theirs multiplies with a
 * matrix of normal numbers; here it is a second signed Walsh-Hadamard transform, so it costs n log n.
 *
 * A block: codes of K, codes of V, rows of scales as f16 [row][16 tokens], K's and then V's.
 *   K of 4 bits: [head_dim / 2][16], dimension 2i in the low half of a byte. Of 3 bits: [head_dim / 8][3][16], the
 *   three bytes are 24 bits, the lowest first, three for each dimension. V: [16] rows; of 4 bits 8 bytes for each
 *   16 dimensions, byte j has j in the low half and j + 8 in the high one; of 3 bits 3 bytes for each 8 dimensions.
 *   head_dim counts as the next multiple of 16; what is beyond it decodes to something finite. */
#ifndef KERNELS_KV_CODE_H
#define KERNELS_KV_CODE_H

#include "kernels/ref.h"

enum { KV_CODE_GROUP = 32, KV_CODE_MAX_DIM = KERN_MAX_HEAD_DIM };

/* How a type codes. */
struct kern_kv_form {
    unsigned k_bits, v_bits;          /* of storage */
    unsigned k_rows, v_rows;          /* of scales; K's include the sketch's */
    unsigned group;                   /* numbers under one scale */
    const float *k_levels, *v_levels; /* [16]; of 3 bits twice the same 8 */
    const float *k_sketch;            /* [16], the sign that bit 3 means, or NULL */
};

/* type is one of which kern_kv_is_coded is true. */
struct kern_kv_form kern_kv_form(enum kern_kv_type type, unsigned head_dim);

static inline bool kern_kv_is_coded(enum kern_kv_type type)
{
    return type >= KERN_KV_I4;
}

/* head_dim, or more: what codes are stored for. */
static inline size_t kern_kv_padded(unsigned head_dim)
{
    return ((size_t)head_dim + 15) / 16 * 16;
}

/* A block of a coded type. */
struct kern_kv_coded {
    uint8_t *k, *v;
    uint16_t *k_scale, *v_scale; /* [row][16] */
};
static inline struct kern_kv_coded kern_kv_coded(const struct kern_kv *kv,
                                                 const struct kern_kv_form *f, size_t i_block)
{
    const size_t dim = kern_kv_padded(kv->head_dim);
    uint8_t *k = kern_kv_block(kv, i_block);
    uint8_t *v = k + dim * f->k_bits * KERN_KV_BLOCK / 8;
    uint16_t *scales = (uint16_t *)(void *)(v + dim * f->v_bits * KERN_KV_BLOCK / 8);

    return (struct kern_kv_coded){k, v, scales, scales + (size_t)f->k_rows * KERN_KV_BLOCK};
}

/* The patterns of signs: bit i % 64 of word i / 64 flips number i. */
enum kern_kv_turn { KERN_KV_TURN, KERN_KV_TURN_SKETCH, KERN_KV_TURNS };
extern const uint64_t kern_kv_signs[KERN_KV_TURNS][KV_CODE_MAX_DIM / 64];

/* Rotates n numbers in place; a length that is no power of two in pieces that are, the largest first. And back.
 * Every table gives the same bits: there is nothing but sums of two, and one product at the end. */
void kern_kv_rotate(float *x, size_t n, enum kern_kv_turn turn);
void kern_kv_rotate_back(float *x, size_t n, enum kern_kv_turn turn);

/* Codes the key and the value of token pos, which are rotated and held within the range of f16. */
void kern_kv_put_code(const struct kern_kv *kv, size_t pos, const float *k, const float *v);

/* The largest power of two that is at most n; n >= 1. */
static inline size_t kern_kv_piece(size_t n)
{
    return (size_t)1 << (63 - __builtin_clzll(n));
}

/* x within the range of f16; NaN stays. */
static inline float kern_kv_held(float x)
{
    return x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x;
}

#endif
