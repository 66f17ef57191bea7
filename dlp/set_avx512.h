/* dlp/set_avx512.h - which of 64 bytes are of a set. Private to dlp. */
#ifndef DLP_SET_AVX512_H
#define DLP_SET_AVX512_H

#include <immintrin.h>

#include "dlp/bundle_abi.h"

/* As prefilter_members_fn. A set is 32 bytes: which one is said by the upper five bits of a byte, its bit by the lower three. vpermb sees no
 * other bits, since either table repeats itself. */
static inline uint64_t set_members_avx512(const struct bundle_set *set, const unsigned char *p,
                                          size_t n)
{
    const __mmask64 asked = n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
    __m512i v = _mm512_maskz_loadu_epi8(asked, p),
            bits = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)set->w)),
            bit = _mm512_permutexvar_epi8(v, _mm512_set1_epi64((long long)0x8040201008040201));

    return _mm512_mask_test_epi8_mask(asked, _mm512_permutexvar_epi8(_mm512_srli_epi16(v, 3), bits),
                                      bit);
}

#endif
