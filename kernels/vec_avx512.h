/* kernels/vec_avx512.h - private: a vector of 16 floats under the names that the shared templates use
 * (kernels/ops_vec.h, attn_vec.h, float_vec.h); vec_avx2.h has the same names for 8. */
#ifndef KERNELS_VEC_AVX512_H
#define KERNELS_VEC_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vf;
enum { VF_LANES = 16 };
#define VF_REGS 32 /* vector registers */

/* The lanes below n. */
INLINE __mmask16 lanes_below(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}

/* The first n lanes, all when n >= VF_LANES; the others are read as 0 and not written. */
INLINE vf vf_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(lanes_below(n), p);
}
INLINE void vf_store_n(float *p, vf v, size_t n)
{
    _mm512_mask_storeu_ps(p, lanes_below(n), v);
}
/* v in the first n lanes, other in the rest. */
INLINE vf vf_first_n(vf v, vf other, size_t n)
{
    return _mm512_mask_blend_ps(lanes_below(n), other, v);
}

INLINE vf vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
INLINE vf vf_load_f16_n(const uint16_t *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes_below(n), p));
}
INLINE vf vf_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
INLINE vf vf_load_i8_n(const int8_t *p, size_t n)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes_below(n), p)));
}
/* e4m3 but NaN, 256 times smaller: binary16 has the same fields, and a bias that is 8 more. */
INLINE vf vf_of_e4m3(__m128i x)
{
    return _mm512_cvtph_ps(_mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepi8_epi16(x), 7),
                                            _mm256_set1_epi16((short)0xbf80)));
}
INLINE vf vf_load_e4m3(const uint8_t *p)
{
    return vf_of_e4m3(_mm_loadu_si128((const __m128i *)(const void *)p));
}
INLINE vf vf_load_e4m3_n(const uint8_t *p, size_t n)
{
    return vf_of_e4m3(_mm_maskz_loadu_epi8(lanes_below(n), p));
}
/* To nearest even; writes all lanes. */
INLINE void vf_store_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* The first or the second of pairs. */
INLINE vf vf_load_bf16(const uint16_t *p, bool second)
{
    const __m512i pairs = _mm512_loadu_si512(p);

    return _mm512_castsi512_ps(second ? _mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u))
                                      : _mm512_slli_epi32(pairs, 16));
}

INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
/* a * b + c */
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* b where a is NaN */
INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
INLINE float vf_reduce_add(vf v)
{
    return _mm512_reduce_add_ps(v);
}
INLINE float vf_reduce_max(vf v)
{
    return _mm512_reduce_max_ps(v);
}
/* Sum of the squares, in double. */
INLINE double vf_sum_squares(vf v)
{
    __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));

    return _mm512_reduce_add_pd(_mm512_fmadd_pd(a, a, _mm512_mul_pd(b, b)));
}

/* x rounded to a whole number n, and p * 2^n for |n| < 160: see vf_exp in kernels/ops_vec.h. */
INLINE vf vf_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vf vf_scale_exp2(vf p, vf n)
{
    return _mm512_scalef_ps(p, n);
}
/* x held between lo and hi; NaN stays. */
INLINE vf vf_clamp(vf x, float lo, float hi)
{
    return _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), x));
}

/* 16 floats of a block of activations, scaled and rounded to int8, and unless r is NULL what that lost,
 * times 256, likewise; returns the sum of q, or of 256 * q + r. */
INLINE int vf_quantize16(const float x[16], float inv, int8_t *q, int8_t *r)
{
    const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inv));
    const __m512i i = _mm512_cvtps_epi32(v);
    __m512i rest;

    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(i));
    if (r == NULL)
        return _mm512_reduce_add_epi32(i);
    rest = _mm512_cvtps_epi32(
        _mm512_mul_ps(_mm512_sub_ps(v, _mm512_cvtepi32_ps(i)), _mm512_set1_ps(256.0f)));
    rest =
        _mm512_min_epi32(_mm512_max_epi32(rest, _mm512_set1_epi32(-127)), _mm512_set1_epi32(127));
    _mm_storeu_si128((__m128i *)(void *)r, _mm512_cvtepi32_epi8(rest));
    return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(i, 8), rest));
}
/* The largest of the bits of |x| of 32 floats, as integers: ordered like the numbers, NaN on top. */
INLINE int vf_top_bits(const float x[32])
{
    const __m512i all = _mm512_set1_epi32(0x7fffffff);
    __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), all);
    __m512i b = _mm512_and_si512(_mm512_loadu_si512(x + 16), all);

    return _mm512_reduce_max_epi32(_mm512_max_epi32(a, b));
}

/* ---- codes: a table of 16 levels, and VF_LANES codes whose bits above the lowest four do not matter ---- */

typedef __m512 vtable;
typedef __m512i vcodes;

INLINE vtable vtable_load(const float levels[16])
{
    return _mm512_loadu_ps(levels);
}
INLINE vf vtable_pick(vtable t, vcodes codes)
{
    return _mm512_permutexvar_ps(codes, t);
}
/* VF_LANES bytes, each in a lane; and the lanes of n bits more. */
INLINE vcodes vcodes_load(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
INLINE vcodes vcodes_shift(vcodes c, unsigned n)
{
    return _mm512_srli_epi32(c, n);
}
/* Lanes of 24 bits out of three rows of bytes. */
INLINE vcodes vcodes_load3(const uint8_t *p, size_t row)
{
    return _mm512_or_si512(
        _mm512_or_si512(vcodes_load(p), _mm512_slli_epi32(vcodes_load(p + row), 8)),
        _mm512_slli_epi32(vcodes_load(p + 2 * row), 16));
}
/* Codes of a row of values from number i on, a multiple of VF_LANES: see kernels/kv_code.h. Reads up to 8 bytes. */
INLINE vcodes vcodes_row4(const uint8_t *row, size_t i)
{
    const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)(row + i / 2));

    return _mm512_cvtepu8_epi32(_mm_unpacklo_epi64(x, _mm_srli_epi16(x, 4)));
}
INLINE vcodes vcodes_row3(const uint8_t *row, size_t i)
{
    const __m512i shifts =
        _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 0, 3, 6, 9, 12, 15, 18, 21);
    uint64_t x;

    __builtin_memcpy(&x, row + i / 8 * 3, sizeof(x));
    return _mm512_srlv_epi32(
        _mm512_mask_set1_epi32(_mm512_set1_epi32((int)(uint32_t)x), 0xff00, (int)(x >> 24)),
        shifts);
}

/* v with the signs of the lanes flipped whose bit is set. */
INLINE vf vf_flip(vf v, unsigned bits)
{
    return _mm512_castsi512_ps(_mm512_mask_xor_epi32(_mm512_castps_si512(v), (__mmask16)bits,
                                                     _mm512_castps_si512(v),
                                                     _mm512_set1_epi32((int)0x80000000u)));
}
/* Lanes i and i + half become their sum and their difference. half: a power of two below VF_LANES. */
INLINE vf vf_butterfly(vf v, unsigned half)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i step = _mm512_set1_epi32((int)half);
    const vf other = _mm512_permutexvar_ps(_mm512_xor_si512(lane, step), v);

    return _mm512_mask_sub_ps(_mm512_add_ps(v, other), _mm512_test_epi32_mask(lane, step), other,
                              v);
}

#endif
