/* dlp/view_test_avx512.c - view_test_bytes() with AVX-512: 64 bytes a step, each byte's kinds from a table of 128. Any thread. */
#include "dlp/view_test.h"

#if defined(__x86_64__)
#    include <immintrin.h>

#    include "dlp/view.h"
#    include "dlp/view_avx2.h"
#    include "dlp/view_find.h"

/* The bytes at p that stand below n; beyond they are NUL. */
static inline __m512i load(const char *p, size_t n)
{
    return n >= 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8((UINT64_C(1) << n) - 1, p);
}

static inline __mmask64 equal(__m512i v, char c)
{
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
}

/* Bytes from first on, n of them. */
static inline __mmask64 among(__m512i v, char first, char n)
{
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8(first)), _mm512_set1_epi8(n));
}

/* Places at which view_is_said(); n bytes can be read at p. */
static __mmask64 said(__m512i v, const char *p, size_t n)
{
    __m512i next = load(p + 1, n - 1), third = n > 1 ? load(p + 2, n - 2) : _mm512_setzero_si512();
    __m512i lower = _mm512_or_si512(next, _mm512_set1_epi8(0x20)),
            lower_third = _mm512_or_si512(third, _mm512_set1_epi8(0x20));
    __mmask64 letter = equal(next, 'x') | equal(lower, 'u'),
              doubled = equal(next, '\\') &
                        (equal(third, 'x') | equal(lower_third, 'u') | equal(third, '\\'));

    return (equal(v, '\\') & (letter | doubled)) |
           (equal(v, '&') & (among(lower, 'a', 26) | equal(next, '#'))) |
           (equal(v, '%') & (among(next, '0', 10) | among(lower, 'a', 6)));
}

/* Equals signs with view_is_quoted() behind them. */
static __mmask64 quoted(__m512i v, const char *p, size_t n)
{
    __m512i next = load(p + 1, n - 1);

    return equal(v, '=') &
           (among(next, '0', 10) | among(next, 'A', 6) | equal(next, '\n') | equal(next, '\r'));
}

unsigned view_test_bytes_avx512(const char *p, size_t n)
{
    const __m512i low = _mm512_loadu_si512(view_kinds), high = _mm512_loadu_si512(view_kinds + 64);
    unsigned may = 0, before = 0;

    for (size_t at = 0; at < n; at += 64) {
        size_t left = n - at;
        __m512i v = load(p + at, left), kinds = _mm512_permutex2var_epi8(low, v, high);
        __mmask64 beyond = _mm512_movepi8_mask(v),
                  digits =
                      _mm512_test_epi8_mask(kinds, _mm512_set1_epi8(VIEW_KIND_DIGIT)) & ~beyond,
                  base64 =
                      _mm512_test_epi8_mask(kinds, _mm512_set1_epi8(VIEW_KIND_BASE64)) & ~beyond,
                  signs = _mm512_test_epi8_mask(
                      kinds, _mm512_set1_epi8(VIEW_KIND_ESCAPE | VIEW_KIND_EQUALS));

        may |= beyond != 0 ? VIEW_MAY_FOLD : 0;
        if (digits != 0 && (__builtin_popcountll(digits & UINT32_MAX) >= VIEW_TEST_DIGITS ||
                            __builtin_popcountll(digits >> 32) >= VIEW_TEST_DIGITS))
            may |= VIEW_MAY_DIGIT;
        if (view_run_begins(base64, &before) != VIEW_NO_RUN) {
            may |= VIEW_MAY_BLOB;
            before = 0; /* one is enough */
        }
        if (signs == 0)
            continue;
        if ((may & VIEW_MAY_ESCAPE) == 0 && said(v, p + at, left) != 0)
            may |= VIEW_MAY_ESCAPE;
        if ((may & VIEW_MAY_QUOTE) == 0 && quoted(v, p + at, left) != 0)
            may |= VIEW_MAY_QUOTE;
    }
    return may;
}
#endif
