/* base/json_pass.c - json_pass.h without SIMD, and which variant to take. Thread: any. */
#include "base/json_pass.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "skip_plain() counts from the low byte");

/* Returns the first byte from p on that is a control byte, a quote, a backslash or not ASCII. Eight
 * bytes a step: each term below marks, in the top bit of a byte, what stops the run; the lowest mark is
 * always a true one (a borrow can only disturb bytes above it). */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *lim)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;

    while ((size_t)(lim - p) >= sizeof(uint64_t)) {
        uint64_t w, quote, slash, stop;

        memcpy(&w, p, sizeof(w));
        quote = w ^ (ones * '"');
        slash = w ^ (ones * '\\');
        stop =
            (w | ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) &
            tops;
        if (stop != 0)
            return p + __builtin_ctzll(stop) / 8;
        p += sizeof(w);
    }
    while (p < lim && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Is there an escape at p, whose second byte says it all? */
static bool is_short_escape(const unsigned char *p, const unsigned char *lim)
{
    return lim - p >= 2 && *p == '\\' && p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL;
}

const unsigned char *gw_json_pass_scalar(const unsigned char *p, const unsigned char *lim,
                                         bool *escaped)
{
    for (;;) {
        p = skip_plain(p, lim);
        if (p == lim || !is_short_escape(p, lim))
            return p;
        *escaped = true;
        p += 2;
    }
}

#if defined(__x86_64__)
bool gw_json_has_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#else
bool gw_json_has_avx512(void)
{
    return false;
}
#endif

const unsigned char *gw_json_pass(const unsigned char *p, const unsigned char *lim, bool *escaped)
{
    return gw_json_has_avx512() ? gw_json_pass_avx512(p, lim, escaped)
                                : gw_json_pass_scalar(p, lim, escaped);
}
