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
