/* dlp/view_find.c - view_find.h in C, and which of both ways is taken. */
#include "dlp/view_find.h"

#include "dlp/view.h"

/* The sums of bits that occur. */
enum {
    CTL = VIEW_KIND_CONTROL,
    ESC = VIEW_KIND_ESCAPE,
    EQU = VIEW_KIND_EQUALS,
    UTF = VIEW_KIND_HIGH,
    B64 = VIEW_KIND_BASE64,
    HEX = VIEW_KIND_BASE64 | VIEW_KIND_HEX,
    DIG = VIEW_KIND_BASE64 | VIEW_KIND_HEX | VIEW_KIND_DIGIT,
};

/* clang-format off */
const uint8_t view_kinds[256] = {
    0, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, 0, 0, 0, 0, 0, CTL, CTL,
    CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL,
    0, 0, 0, 0, 0, ESC, ESC, 0, 0, 0, 0, B64, 0, B64, 0, B64,
    DIG, DIG, DIG, DIG, DIG, DIG, DIG, DIG, DIG, DIG, 0, 0, 0, EQU, 0, 0,
    0, HEX, HEX, HEX, HEX, HEX, HEX, B64, B64, B64, B64, B64, B64, B64, B64, B64,
    B64, B64, B64, B64, B64, B64, B64, B64, B64, B64, B64, 0, ESC, 0, 0, B64,
    0, HEX, HEX, HEX, HEX, HEX, HEX, B64, B64, B64, B64, B64, B64, B64, B64, B64,
    B64, B64, B64, B64, B64, B64, B64, B64, B64, B64, B64, 0, 0, 0, 0, CTL,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
    UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF, UTF,
};
/* clang-format on */

/* The first byte of one of these kinds. */
static size_t find_kind(const char *p, size_t at, size_t to, unsigned kinds)
{
    while (at < to && (view_kind(p[at]) & kinds) == 0)
        at++;
    return at;
}

static size_t find_run(const char *p, size_t at, size_t n)
{
    size_t run = 0;

    for (; at < n; at++) {
        run = (view_kind(p[at]) & VIEW_KIND_BASE64) != 0 ? run + 1 : 0;
        if (run == VIEW_BLOB_MIN)
            return at + 1 - run;
    }
    return n;
}

/* Short texts are not worth the call. */
static bool is_simd(size_t n)
{
#if defined(__x86_64__)
    return n >= VIEW_FIND_ROW && __builtin_cpu_supports("avx2");
#else
    (void)n;
    return false;
#endif
}

size_t view_find_digit(struct gw_span text, size_t at, size_t to)
{
    return is_simd(to - at) ? view_find_digit_avx2(text.ptr, at, to)
                            : find_kind(text.ptr, at, to, VIEW_KIND_DIGIT);
}

size_t view_find_escape(struct gw_span text, size_t at, size_t to)
{
    return is_simd(to - at) ? view_find_escape_avx2(text.ptr, at, to)
                            : find_kind(text.ptr, at, to, VIEW_KIND_ESCAPE);
}

size_t view_find_said(struct gw_span text, size_t at)
{
    if (is_simd(text.len - at))
        return view_find_said_avx2(text.ptr, at, text.len);
    for (; at + 1 < text.len; at++)
        if ((view_kind(text.ptr[at]) & VIEW_KIND_ESCAPE) != 0 &&
            view_is_said(text.ptr[at], text.ptr[at + 1]))
            return at;
    return text.len;
}

size_t view_find_run(struct gw_span text, size_t at)
{
    return is_simd(text.len - at) ? view_find_run_avx2(text.ptr, at, text.len)
                                  : find_run(text.ptr, at, text.len);
}
