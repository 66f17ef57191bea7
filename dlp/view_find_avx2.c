/* dlp/view_find_avx2.c - view_find.h with AVX2: 32 bytes a step. Any thread. */
#include <string.h>

#include "dlp/view_avx2.h"
#include "dlp/view_find.h"

size_t view_find_digit_avx2(const char *p, size_t at, size_t to)
{
    for (; at + VIEW_FIND_ROW <= to; at += VIEW_FIND_ROW) {
        uint32_t digits = view_digits_avx2(_mm256_loadu_si256((const void *)(p + at)));

        if (digits != 0)
            return at + (size_t)__builtin_ctz(digits);
    }
    while (at < to && (view_kind(p[at]) & VIEW_KIND_DIGIT) == 0)
        at++;
    return at;
}

size_t view_find_escape_avx2(const char *p, size_t at, size_t to)
{
    for (; at + VIEW_FIND_ROW <= to; at += VIEW_FIND_ROW) {
        uint32_t escapes = view_escapes_avx2(_mm256_loadu_si256((const void *)(p + at)));

        if (escapes != 0)
            return at + (size_t)__builtin_ctz(escapes);
    }
    while (at < to && (view_kind(p[at]) & VIEW_KIND_ESCAPE) == 0)
        at++;
    return at;
}

static inline __m256i equal(__m256i v, char c)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c));
}

/* Bytes above one and below another, which are ASCII. */
static inline __m256i between(__m256i v, char above, char below)
{
    return _mm256_and_si256(_mm256_cmpgt_epi8(v, _mm256_set1_epi8(above)),
                            _mm256_cmpgt_epi8(_mm256_set1_epi8(below), v));
}

/* view_is_said() of each byte and the one behind it. */
static inline uint32_t said(__m256i v, __m256i next)
{
    __m256i lower = _mm256_or_si256(next, _mm256_set1_epi8(0x20));
    __m256i hex = _mm256_or_si256(between(lower, 'a' - 1, 'g'), between(next, '0' - 1, '9' + 1));
    __m256i name = _mm256_or_si256(between(lower, 'a' - 1, 'z' + 1), equal(next, '#'));
    __m256i kind =
        _mm256_or_si256(_mm256_or_si256(equal(next, 'x'), equal(lower, 'u')), equal(next, '\\'));
    __m256i slash = _mm256_and_si256(equal(v, '\\'), kind);
    __m256i amp = _mm256_and_si256(equal(v, '&'), name);
    __m256i percent = _mm256_and_si256(equal(v, '%'), hex);

    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(amp, slash), percent));
}

size_t view_find_said_avx2(const char *p, size_t at, size_t n)
{
    for (; at + VIEW_FIND_ROW < n; at += VIEW_FIND_ROW) {
        __m256i v = _mm256_loadu_si256((const void *)(p + at));
        uint32_t places = 0;

        if (view_escapes_avx2(v) != 0)
            places = said(v, _mm256_loadu_si256((const void *)(p + at + 1)));
        if (places != 0)
            return at + (size_t)__builtin_ctz(places);
    }
    for (; at + 1 < n; at++)
        if ((view_kind(p[at]) & VIEW_KIND_ESCAPE) != 0 && view_is_said(p[at], p[at + 1]))
            return at;
    return n;
}

size_t view_find_run_avx2(const char *p, size_t at, size_t n)
{
    enum { BLOCK = 64 };
    unsigned before = 0;

    for (; at < n; at += BLOCK) {
        char tail[BLOCK] = {0};
        const char *row = p + at;
        uint64_t digits;
        int begins;

        if (n - at < sizeof(tail)) {
            memcpy(tail, row, n - at);
            row = tail;
        }
        digits = view_base64_avx2(_mm256_loadu_si256((const void *)row)) |
                 (uint64_t)view_base64_avx2(_mm256_loadu_si256((const void *)(row + VIEW_FIND_ROW)))
                     << VIEW_FIND_ROW;
        begins = view_run_begins(digits, &before);
        if (begins != VIEW_NO_RUN)
            return at + (size_t)(ptrdiff_t)begins;
    }
    return n;
}
