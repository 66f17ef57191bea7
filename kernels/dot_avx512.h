/* kernels/dot_avx512.h - private: products of bytes, four to a lane, as kernels/attn_i8_vec.h uses them. */
#ifndef KERNELS_DOT_AVX512_H
#define KERNELS_DOT_AVX512_H

#include "kernels/vec.h"

typedef __m512i vi;
struct four_bytes {
    int8_t b[4];
};

INLINE vi vi_set1(int x)
{
    return _mm512_set1_epi32(x);
}
INLINE vf vi_float(vi v)
{
    return _mm512_cvtepi32_ps(v);
}
/* acc + the sum of a lane's four products. bytes: unsigned; four: signed, the same for all lanes. In assembly because gcc 12
 * copies the sums before and after each of its intrinsic. */
INLINE vi vi_dot_keys(vi acc, vi bytes, const int8_t *four)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(acc)
            : "v"(bytes), "m"(*(const struct four_bytes *)(const void *)four));
    return acc;
}
/* The same with four unsigned bytes in all lanes, and signed ones. */
INLINE vi vi_dot_values(vi acc, vi four, vi bytes)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(four), "v"(bytes));
    return acc;
}
INLINE vi vi_four(const uint8_t *four)
{
    int32_t v;

    __builtin_memcpy(&v, four, sizeof(v));
    return _mm512_set1_epi32(v);
}
/* The bits of |v|, as integers: ordered like the numbers, NaN on top. */
INLINE vi vi_magnitude(vf v)
{
    return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}
INLINE vi vi_max(vi a, vi b)
{
    return _mm512_max_epi32(a, b);
}
INLINE int vi_reduce_max(vi v)
{
    return _mm512_reduce_max_epi32(v);
}
/* x times y, 0 where x is 0. */
INLINE vf vf_mul_or_zero(vf x, vf y)
{
    return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ), x, y);
}

/* x, rounded to integers below 2^24, plus `bias`, in bytes: the third of each to d, the second 16 bytes behind it, the
 * lowest 32 behind it. */
INLINE void vi_store_bytes(vf x, int bias, uint8_t *d)
{
    const __m512i order = _mm512_setr_epi32(
        0x0e0a0602, 0x1e1a1612, 0x2e2a2622, 0x3e3a3632, 0x0d090501, 0x1d191511, 0x2d292521,
        0x3d393531, 0x0c080400, 0x1c181410, 0x2c282420, 0x3c383430, 0, 0, 0, 0);
    const __m512i y = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(bias));

    _mm512_storeu_si512(d, _mm512_permutexvar_epi8(order, y));
}

/* Four rows of 16 bytes become lanes of four. */
INLINE vi interleave(__m512i rows)
{
    const __m512i order =
        _mm512_setr_epi32(0x30201000, 0x31211101, 0x32221202, 0x33231303, 0x34241404, 0x35251505,
                          0x36261606, 0x37271707, 0x38281808, 0x39291909, 0x3a2a1a0a, 0x3b2b1b0b,
                          0x3c2c1c0c, 0x3d2d1d0d, 0x3e2e1e0e, 0x3f2f1f0f);

    return _mm512_permutexvar_epi8(order, rows);
}
/* Four dimensions of VF_LANES keys, plus 128: k is [4][16], the keys begin with number `in`. */
INLINE vi vi_keys(const int8_t *k, size_t in)
{
    return _mm512_xor_si512(interleave(_mm512_loadu_si512(k + in)), _mm512_set1_epi8(-128));
}
/* VF_LANES dimensions of four keys: v is [4][dim]. Reads VF_LANES bytes of each row. */
INLINE vi vi_values(const int8_t *v, size_t dim)
{
    __m512i rows = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)v));

    rows = _mm512_inserti32x4(rows, _mm_loadu_si128((const __m128i *)(const void *)(v + dim)), 1);
    rows =
        _mm512_inserti32x4(rows, _mm_loadu_si128((const __m128i *)(const void *)(v + 2 * dim)), 2);
    rows =
        _mm512_inserti32x4(rows, _mm_loadu_si128((const __m128i *)(const void *)(v + 3 * dim)), 3);
    return interleave(rows);
}

#endif
