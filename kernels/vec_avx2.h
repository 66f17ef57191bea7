/* kernels/vec_avx2.h - private: a vector of 8 floats under the names that the shared templates use
 * (kernels/ops_vec.h, attn_vec.h, float_vec.h); vec_avx512.h has the same names for 16. */
#ifndef KERNELS_VEC_AVX2_H
#define KERNELS_VEC_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __m256 vf;
enum { VF_LANES = 8 };
#define VF_REGS 16 /* vector registers */

/* All bits set in the lanes below n. */
INLINE __m256i lanes_below(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= 8 ? 8 : (int)n), lane);
}

INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
INLINE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}
INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}

/* The first n lanes, all when n >= VF_LANES; the others are read as 0 and not written. */
INLINE vf vf_load_n(const float *p, size_t n)
{
    return n >= VF_LANES ? vf_load(p) : _mm256_maskload_ps(p, lanes_below(n));
}
INLINE void vf_store_n(float *p, vf v, size_t n)
{
    if (n >= VF_LANES)
        vf_store(p, v);
    else
        _mm256_maskstore_ps(p, lanes_below(n), v);
}
/* v in the first n lanes, other in the rest. */
INLINE vf vf_first_n(vf v, vf other, size_t n)
{
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(lanes_below(n)));
}

INLINE vf vf_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
INLINE vf vf_load_f16_n(const uint16_t *p, size_t n)
{
    uint16_t h[VF_LANES] = {0};

    if (n >= VF_LANES)
        return vf_load_f16(p);
    memcpy(h, p, n * sizeof(*p));
    return vf_load_f16(h);
}
INLINE vf vf_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
INLINE vf vf_load_i8_n(const int8_t *p, size_t n)
{
    int8_t q[VF_LANES] = {0};

    if (n >= VF_LANES)
        return vf_load_i8(p);
    memcpy(q, p, n);
    return vf_load_i8(q);
}
/* e4m3 but NaN, 256 times smaller: binary16 has the same fields, and a bias that is 8 more. */
INLINE vf vf_load_e4m3(const uint8_t *p)
{
    const __m128i x = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p));

    return _mm256_cvtph_ps(_mm_and_si128(_mm_slli_epi16(x, 7), _mm_set1_epi16((short)0xbf80)));
}
INLINE vf vf_load_e4m3_n(const uint8_t *p, size_t n)
{
    uint8_t q[VF_LANES] = {0};

    if (n >= VF_LANES)
        return vf_load_e4m3(p);
    memcpy(q, p, n);
    return vf_load_e4m3(q);
}
/* To nearest even; writes all lanes. */
INLINE void vf_store_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* The first or the second of pairs. */
INLINE vf vf_load_bf16(const uint16_t *p, bool second)
{
    const __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)p);

    return _mm256_castsi256_ps(second ? _mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u))
                                      : _mm256_slli_epi32(pairs, 16));
}

INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
/* a * b + c */
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
/* b where a is NaN */
INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
INLINE float vf_reduce_add(vf v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
INLINE float vf_reduce_max(vf v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
/* Sum of the squares, in double. */
INLINE double vf_sum_squares(vf v)
{
    __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
    __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    __m256d s = _mm256_fmadd_pd(a, a, _mm256_mul_pd(b, b));
    __m128d t = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));

    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}

/* x rounded to a whole number n, and p * 2^n for |n| < 160: see vf_exp in kernels/ops_vec.h. */
INLINE vf vf_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* In two steps, because 2^n itself may lie outside the floats. */
INLINE vf vf_scale_exp2(vf p, vf n)
{
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    __m256i rest = _mm256_sub_epi32(i, half);
    vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));

    return _mm256_mul_ps(_mm256_mul_ps(p, a), b);
}
/* x held between lo and hi; NaN stays. */
INLINE vf vf_clamp(vf x, float lo, float hi)
{
    return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), x));
}

INLINE int reduce_add_epi32(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}
/* 16 integers as bytes; those beyond int8 become its limits. */
INLINE void store_bytes(int8_t *p, __m256i a, __m256i b)
{
    __m256i w = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8); /* in order again */

    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm_packs_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)));
}
/* 256 times what rounding v to i lost, rounded, -127..127. */
INLINE __m256i rounding_rest(__m256 v, __m256i i)
{
    __m256i r = _mm256_cvtps_epi32(
        _mm256_mul_ps(_mm256_sub_ps(v, _mm256_cvtepi32_ps(i)), _mm256_set1_ps(256.0f)));

    return _mm256_min_epi32(_mm256_max_epi32(r, _mm256_set1_epi32(-127)), _mm256_set1_epi32(127));
}
/* 16 floats of a block of activations, scaled and rounded to int8, and unless r is NULL what that lost,
 * times 256, likewise; returns the sum of q, or of 256 * q + r. */
INLINE int vf_quantize16(const float x[16], float inv, int8_t *q, int8_t *r)
{
    const __m256 va = _mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(inv));
    const __m256 vb = _mm256_mul_ps(_mm256_loadu_ps(x + 8), _mm256_set1_ps(inv));
    const __m256i a = _mm256_cvtps_epi32(va), b = _mm256_cvtps_epi32(vb);
    __m256i sum = _mm256_add_epi32(a, b);

    store_bytes(q, a, b);
    if (r != NULL) {
        const __m256i ra = rounding_rest(va, a), rb = rounding_rest(vb, b);

        store_bytes(r, ra, rb);
        sum = _mm256_add_epi32(_mm256_slli_epi32(sum, 8), _mm256_add_epi32(ra, rb));
    }
    return reduce_add_epi32(sum);
}
/* The largest of the bits of |x| of 32 floats, as integers: ordered like the numbers, NaN on top. */
INLINE int vf_top_bits(const float x[32])
{
    const __m256i all = _mm256_set1_epi32(0x7fffffff);
    __m256i top = _mm256_setzero_si256();
    __m128i s;

    for (int i = 0; i < 32; i += 8)
        top = _mm256_max_epi32(
            top, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)(x + i)), all));
    s = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    s = _mm_max_epi32(s, _mm_unpackhi_epi64(s, s));
    return _mm_cvtsi128_si32(_mm_max_epi32(s, _mm_shuffle_epi32(s, 1)));
}

/* ---- codes: a table of 16 levels, and VF_LANES codes whose bits above the lowest four do not matter ---- */

typedef struct vtable {
    __m256 low, high;
} vtable;
typedef __m256i vcodes;

INLINE vtable vtable_load(const float levels[16])
{
    return (vtable){_mm256_loadu_ps(levels), _mm256_loadu_ps(levels + 8)};
}
INLINE vf vtable_pick(vtable t, vcodes codes)
{
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(t.low, codes),
                            _mm256_permutevar8x32_ps(t.high, codes),
                            _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
}
/* VF_LANES bytes, each in a lane; and the lanes of n bits more. */
INLINE vcodes vcodes_load(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
INLINE vcodes vcodes_shift(vcodes c, unsigned n)
{
    return _mm256_srli_epi32(c, (int)n);
}
/* Lanes of 24 bits out of three rows of bytes. */
INLINE vcodes vcodes_load3(const uint8_t *p, size_t row)
{
    return _mm256_or_si256(
        _mm256_or_si256(vcodes_load(p), _mm256_slli_epi32(vcodes_load(p + row), 8)),
        _mm256_slli_epi32(vcodes_load(p + 2 * row), 16));
}
/* Codes of a row of values from number i on, a multiple of VF_LANES: see kernels/kv_code.h. Reads up to 8 bytes. */
INLINE vcodes vcodes_row4(const uint8_t *row, size_t i)
{
    return _mm256_srli_epi32(vcodes_load(row + i / 16 * 8), i & 8 ? 4 : 0);
}
INLINE vcodes vcodes_row3(const uint8_t *row, size_t i)
{
    uint32_t x;

    memcpy(&x, row + i / 8 * 3, sizeof(x));
    return _mm256_srlv_epi32(_mm256_set1_epi32((int)x),
                             _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21));
}

/* v with the signs of the lanes flipped whose bit is set. */
INLINE vf vf_flip(vf v, unsigned bits)
{
    const __m256i set =
        _mm256_srlv_epi32(_mm256_set1_epi32((int)bits), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));

    return _mm256_xor_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(set, 31)));
}
/* Lanes i and i + half become their sum and their difference. half: a power of two below VF_LANES. */
INLINE vf vf_butterfly(vf v, unsigned half)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i step = _mm256_set1_epi32((int)half);
    const vf other = _mm256_permutevar8x32_ps(v, _mm256_xor_si256(lane, step));
    const __m256i upper = _mm256_cmpeq_epi32(_mm256_and_si256(lane, step), step);

    return _mm256_blendv_ps(_mm256_add_ps(v, other), _mm256_sub_ps(other, v),
                            _mm256_castsi256_ps(upper));
}

#endif
