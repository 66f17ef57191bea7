/* kernels/ops_avx512.h - private: the functions of the table "avx512" and small helpers they share.
 * Contracts are in kernels.h. */
#ifndef KERNELS_OPS_AVX512_H
#define KERNELS_OPS_AVX512_H

#include <immintrin.h>

#include "kernels/kernels.h"

#define INLINE static inline __attribute__((always_inline))

void kern_avx512_matmul(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                        float *out, size_t out_stride, size_t row_from, size_t row_to);
void kern_avx512_matmul_float(const struct kern_matrix *w, const struct kern_acts *x,
                              unsigned n_tokens, float *out, size_t out_stride, size_t row_from,
                              size_t row_to);
void kern_avx512_attn(const struct kern_kv *kv, const struct kern_attn *a);

/* 16 half-precision numbers as floats. */
INLINE __m512 load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* The lanes below n. */
INLINE __mmask16 lanes_below(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

/* exp(x), relative error below 2e-7 (more where the result is subnormal); exp(-inf) is 0, NaN stays.
 * x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by its Taylor polynomial, 2^n by scalef. */
INLINE __m512 exp_ps(__m512 x)
{
    /* max and min return their second operand when one is NaN */
    x = _mm512_max_ps(_mm512_set1_ps(-110.0f), x);
    x = _mm512_min_ps(_mm512_set1_ps(90.0f), x);

    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    /* ln 2 in two parts, so that r keeps its low bits */
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    __m512 p = _mm512_set1_ps(1.0f / 720);

    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

#endif
