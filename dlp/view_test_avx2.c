/* dlp/view_test_avx2.c - view_test_bytes() with AVX2: 32 bytes a step. Any thread. */
#include <immintrin.h>

#include "dlp/view.h"
#include "dlp/view_test.h"

unsigned view_test_bytes_avx2(const char *p, size_t n)
{
    const __m256i percent = _mm256_set1_epi8('%'), amp = _mm256_set1_epi8('&');
    const __m256i back = _mm256_set1_epi8('\\'), equals = _mm256_set1_epi8('=');
    const __m256i below = _mm256_set1_epi8('0' - 1), above = _mm256_set1_epi8('9' + 1);
    __m256i escapes = _mm256_setzero_si256(), quotes = escapes, all = escapes;
    unsigned may = 0;
    size_t at = 0;

    for (; at + VIEW_TEST_ROW <= n; at += VIEW_TEST_ROW) {
        __m256i v = _mm256_loadu_si256((const void *)(p + at));
        __m256i digits = _mm256_and_si256(_mm256_cmpgt_epi8(v, below), _mm256_cmpgt_epi8(above, v));

        all = _mm256_or_si256(all, v);
        escapes = _mm256_or_si256(
            escapes, _mm256_or_si256(_mm256_cmpeq_epi8(v, percent), _mm256_cmpeq_epi8(v, amp)));
        escapes = _mm256_or_si256(escapes, _mm256_cmpeq_epi8(v, back));
        quotes = _mm256_or_si256(quotes, _mm256_cmpeq_epi8(v, equals));
        if (__builtin_popcount((unsigned)_mm256_movemask_epi8(digits)) >= VIEW_TEST_DIGITS)
            may |= VIEW_MAY_DIGIT;
    }
    may |= _mm256_movemask_epi8(all) != 0 ? VIEW_MAY_FOLD : 0;
    may |= _mm256_testz_si256(escapes, escapes) ? 0 : VIEW_MAY_ESCAPE;
    may |= _mm256_testz_si256(quotes, quotes) ? 0 : VIEW_MAY_QUOTE;
    return may | view_test_bytes(p + at, n - at);
}
