/* base/json_avx512.c - json_pass.h with AVX-512, 64 bytes a step. Thread: any. */
#include "base/json_pass.h"

#if defined(__x86_64__)
#    include <stddef.h>

#    include "base/json_avx512.h"

static inline __mmask64 are(__m512i v, char c)
{
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
}

/* Which bytes a backslash may stand in front of: ["\/bfnrt]. Those with the same upper nibble have a bit. */
static inline uint64_t are_short(__m512i v)
{
    enum { IN_2 = 1, IN_5 = 2, IN_6 = 4, IN_7 = 8 };
    const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, IN_2 | IN_6 | IN_7, 0, IN_7, 0,
                                                             IN_6, 0, 0, 0, 0, 0, IN_5, 0, IN_6,
                                                             IN_2)),
                  high = _mm512_broadcast_i32x4(
                      _mm_setr_epi8(0, 0, IN_2, 0, 0, IN_5, IN_6, IN_7, 0, 0, 0, 0, 0, 0, 0, 0)),
                  nibble = _mm512_set1_epi8(15);

    return _mm512_test_epi8_mask(
        _mm512_shuffle_epi8(low, _mm512_and_si512(v, nibble)),
        _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble)));
}

const unsigned char *gw_json_pass_avx512(const unsigned char *p, const unsigned char *lim,
                                         bool *escaped)
{
    enum { ROW = 64 };

    for (;;) {
        const size_t left = (size_t)(lim - p);
        /* Behind the end are zeroes, which are not plain. */
        const __m512i v =
            _mm512_maskz_loadu_epi8(left >= ROW ? UINT64_MAX : (UINT64_C(1) << left) - 1, p);
        const uint64_t slashes = are(v, '\\');
        uint64_t stop = _mm512_movepi8_mask(v) | are(v, '"') |
                        _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(' ')),
                 begins = 0, second = 0;

        if (slashes != 0) {
            begins = gw_json_escapes(slashes, &second);
            stop = (stop & ~second) | (second & ~are_short(v)) >> 1;
        }
        if (stop != 0) {
            *escaped |= (begins & (stop ^ (stop - 1)) >> 1) != 0;
            return p + __builtin_ctzll(stop);
        }
        *escaped |= begins != 0;
        p += ROW;
        /* An escape may go on behind. A branch, seldom taken: then the next row need not wait for this one. */
        if (__builtin_expect((begins >> (ROW - 1)) != 0, 0)) {
            __asm__ volatile(""); /* or it becomes a subtraction */
            p--;
        }
    }
}
#else
const unsigned char *gw_json_pass_avx512(const unsigned char *p, const unsigned char *lim,
                                         bool *escaped)
{
    return gw_json_pass_scalar(p, lim, escaped);
}
#endif
