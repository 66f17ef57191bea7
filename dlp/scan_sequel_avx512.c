/* dlp/scan_sequel_avx512.c - which of 64 bytes are of the sets of a sequel, all sets at once. Thread: any; no state. */
#include "dlp/scan.h"

#if defined(__x86_64__)
#    include <immintrin.h>

/* As prefilter_members_avx512() does. */
static inline uint64_t members_of(const struct bundle_set *set, __m512i bytes, __m512i bit)
{
    const __m512i bits = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)set->w));

    return _mm512_test_epi8_mask(_mm512_permutexvar_epi8(bytes, bits), bit);
}

void scan_sequel_words_avx512(const struct bundle_set *sets, const struct bundle_sequel *q,
                              const unsigned char *p, struct scan_sequel_words *words)
{
    const __m512i v = _mm512_loadu_si512(p), bytes = _mm512_srli_epi16(v, 3),
                  bit =
                      _mm512_permutexvar_epi8(v, _mm512_set1_epi64((long long)0x8040201008040201));

    for (unsigned k = 0; k < BUNDLE_SEQUEL_PARTS; k++) {
        words->run[k] = members_of(&sets[q->part[k].run], bytes, bit);
        words->skip[k] = members_of(&sets[q->part[k].skip], bytes, bit);
    }
}
#else
void scan_sequel_words_avx512(const struct bundle_set *sets, const struct bundle_sequel *q,
                              const unsigned char *p, struct scan_sequel_words *words)
{
    for (unsigned k = 0; k < BUNDLE_SEQUEL_PARTS; k++) {
        words->run[k] = prefilter_members_scalar(&sets[q->part[k].run], p, 64);
        words->skip[k] = prefilter_members_scalar(&sets[q->part[k].skip], p, 64);
    }
}
#endif
