/* kernels/kv_turn_vec.h - private template: the rotation of kernels/kv_code.h on vectors, the same bits. */
#ifndef KERNELS_KV_TURN_VEC_H
#define KERNELS_KV_TURN_VEC_H

#include <math.h>

#include "kernels/kv_code.h"
#include "kernels/vec.h"

/* The transform of a power of two of numbers, VF_LANES at least. */
INLINE void transform_piece(float *x, size_t n)
{
    const vf norm = vf_set1(1.0f / sqrtf((float)n));

    for (size_t i = 0; i < n; i += VF_LANES) {
        vf v = vf_load(x + i);

#pragma GCC unroll 4
        for (unsigned half = 1; half < VF_LANES; half *= 2)
            v = vf_butterfly(v, half);
        vf_store(x + i, v);
    }
    for (size_t half = VF_LANES; half < n; half *= 2) {
        for (size_t i = 0; i < n; i += 2 * half) {
            for (size_t j = i; j < i + half; j += VF_LANES) {
                const vf a = vf_load(x + j), b = vf_load(x + j + half);

                vf_store(x + j, vf_add(a, b));
                vf_store(x + j + half, vf_sub(a, b));
            }
        }
    }
    for (size_t i = 0; i < n; i += VF_LANES)
        vf_store(x + i, vf_mul(vf_load(x + i), norm));
}

INLINE void flip_by(float *x, size_t n, enum kern_kv_turn turn)
{
    for (size_t i = 0; i < n; i += VF_LANES)
        vf_store(x + i, vf_flip(vf_load(x + i), (unsigned)(kern_kv_signs[turn][i / 64] >> i % 64) &
                                                    ((1u << VF_LANES) - 1)));
}

/* n is a multiple of VF_LANES, and x too small for a vector never. */
static void turn_vectors(float *x, size_t n, enum kern_kv_turn turn, bool back)
{
    if (!back)
        flip_by(x, n, turn);
    for (size_t at = 0, piece; at < n; at += piece) {
        piece = kern_kv_piece(n - at);
        transform_piece(x + at, piece);
    }
    if (back)
        flip_by(x, n, turn);
}

/* kern_kv_rotate, or kern_kv_rotate_back. */
INLINE void rotate(float *x, size_t n, enum kern_kv_turn turn, bool back)
{
    if (n % VF_LANES == 0)
        turn_vectors(x, n, turn, back);
    else if (back)
        kern_kv_rotate_back(x, n, turn);
    else
        kern_kv_rotate(x, n, turn);
}

#endif
