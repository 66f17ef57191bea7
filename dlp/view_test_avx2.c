/* dlp/view_test_avx2.c - view_test_bytes() with AVX2: 32 bytes a step. Any thread. */
#include <immintrin.h>

#include "dlp/view.h"
#include "dlp/view_test.h"

/* Bit 8i: bytes 8i to 8i + 7 of the row may all be digits of base64; also commas and dots. */
static inline uint32_t full_groups(__m256i v)
{
    const __m256i below_a = _mm256_set1_epi8('a' - 1), above_z = _mm256_set1_epi8('z' + 1);
    const __m256i below_plus = _mm256_set1_epi8('+' - 1), above_nine = _mm256_set1_epi8('9' + 1);
    __m256i lower = _mm256_or_si256(v, _mm256_set1_epi8(0x20));
    __m256i letters =
        _mm256_and_si256(_mm256_cmpgt_epi8(lower, below_a), _mm256_cmpgt_epi8(above_z, lower));
    __m256i others =
        _mm256_and_si256(_mm256_cmpgt_epi8(v, below_plus), _mm256_cmpgt_epi8(above_nine, v));
    __m256i all = _mm256_or_si256(_mm256_or_si256(letters, others),
                                  _mm256_cmpeq_epi8(v, _mm256_set1_epi8('_')));
    uint32_t m = (uint32_t)_mm256_movemask_epi8(all);

    m &= m >> 1;
    m &= m >> 2;
    m &= m >> 4;
    return m & 0x01010101;
}

unsigned view_test_bytes_avx2(const char *p, size_t n)
{
    const __m256i percent = _mm256_set1_epi8('%'), amp = _mm256_set1_epi8('&');
    const __m256i back = _mm256_set1_epi8('\\'), equals = _mm256_set1_epi8('=');
    const __m256i below = _mm256_set1_epi8('0' - 1), above = _mm256_set1_epi8('9' + 1);
    __m256i escapes = _mm256_setzero_si256(), quotes = escapes, all = escapes;
    unsigned may = 0;
    uint32_t runs = 0, before = 0; /* two full groups in a row; the last group of the row before */
    size_t at = 0;

    for (; at + VIEW_TEST_ROW <= n; at += VIEW_TEST_ROW) {
        __m256i v = _mm256_loadu_si256((const void *)(p + at));
        uint32_t groups;
        __m256i digits = _mm256_and_si256(_mm256_cmpgt_epi8(v, below), _mm256_cmpgt_epi8(above, v));

        all = _mm256_or_si256(all, v);
        escapes = _mm256_or_si256(
            escapes, _mm256_or_si256(_mm256_cmpeq_epi8(v, percent), _mm256_cmpeq_epi8(v, amp)));
        escapes = _mm256_or_si256(escapes, _mm256_cmpeq_epi8(v, back));
        quotes = _mm256_or_si256(quotes, _mm256_cmpeq_epi8(v, equals));
        if (__builtin_popcount((unsigned)_mm256_movemask_epi8(digits)) >= VIEW_TEST_DIGITS)
            may |= VIEW_MAY_DIGIT;
        groups = full_groups(v);
        runs |= groups & (groups << 8 | before);
        before = groups >> 24;
    }
    may |= runs != 0 ? VIEW_MAY_BLOB : 0;
    may |= _mm256_movemask_epi8(all) != 0 ? VIEW_MAY_FOLD : 0;
    may |= _mm256_testz_si256(escapes, escapes) ? 0 : VIEW_MAY_ESCAPE;
    may |= _mm256_testz_si256(quotes, quotes) ? 0 : VIEW_MAY_QUOTE;
    return may | (view_test_bytes(p + at, n - at) & ~(unsigned)VIEW_MAY_BLOB);
}
