/* dlp/view_stretch.c - short stretches of base64 and hex that say nothing (view_stretch.h). Pure; any thread. */
#include "dlp/view_stretch.h"

#include <string.h>

#include "dlp/view.h"

enum { NO = VIEW_NO_DIGIT };

/* clang-format off */
const uint8_t view_base64[256] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, 62, NO, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
    NO,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, 63,
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
};
/* clang-format on */

/* The digits of a stretch. False: they have to be looked at more closely, or there are too many. */
static bool read_digits(struct gw_span s, bool hex, uint8_t digits[VIEW_FEW_DIGITS], unsigned *n)
{
    unsigned found = 0;

    if (memchr(s.ptr, '\\', s.len) != NULL) /* a line break that is written as an escape */
        return false;
    for (size_t i = 0; i < s.len && found < VIEW_FEW_DIGITS; i++) {
        unsigned d = hex ? view_digit(s.ptr[i], true) : view_base64[(unsigned char)s.ptr[i]];

        digits[found] = (uint8_t)d;
        found += d != NO;
    }
    *n = found;
    return found < VIEW_FEW_DIGITS;
}

/* Byte k of what digits say. */
static unsigned char byte_of(const uint8_t *digits, bool hex, unsigned k)
{
    unsigned r = k % 3;
    const uint8_t *d = digits + (hex ? 2 * k : k / 3 * 4 + r);

    if (hex)
        return (unsigned char)(d[0] << 4 | d[1]);
    return (unsigned char)(d[0] << (2 * r + 2) | d[1] >> (4 - 2 * r));
}

void view_bad_bytes(const uint8_t *digits, unsigned n, bool hex, uint64_t bad[VIEW_BAD_WORDS])
{
    unsigned n_bytes = view_bytes_of(n, hex);
    unsigned char before = 0;

    memset(bad, 0xff, VIEW_BAD_WORDS * sizeof(*bad));
    for (unsigned k = 0; k < n_bytes; k++) {
        unsigned char c = byte_of(digits, hex, k);
        bool is_tail = c >= 0x80 && c < 0xC0;
        bool is_bad = is_tail ? before < 0x80
                              : (view_kind((char)c) & VIEW_KIND_CONTROL) != 0 || c == 0xC0 ||
                                    c == 0xC1 || c > 0xF4;

        bad[k / 64] ^= (uint64_t)!is_bad << (k % 64);
        before = c;
    }
}

static void bad_bytes(const uint8_t *digits, unsigned n, bool hex, uint64_t bad[VIEW_BAD_WORDS])
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        view_bad_bytes_avx2(digits, n, hex, bad);
        return;
    }
#endif
    view_bad_bytes(digits, n, hex, bad);
}

/* Keeps the bits behind which n more are set. */
static void keep_before(uint64_t bits[VIEW_BAD_WORDS], unsigned n)
{
    for (unsigned i = 0; i < VIEW_BAD_WORDS; i++)
        bits[i] &= bits[i] >> n | (i + 1 < VIEW_BAD_WORDS ? bits[i + 1] << (64 - n) : 0);
}

/* May VIEW_SHORTEST characters of text stand in a row somewhere, or nearly all of it be text? */
static bool may_hold_text(const uint64_t bad[VIEW_BAD_WORDS], unsigned n_bytes)
{
    uint64_t good[VIEW_BAD_WORDS], any = 0;
    unsigned n_good = 0;

    for (unsigned i = 0; i < VIEW_BAD_WORDS; i++) {
        good[i] = ~bad[i];
        n_good += (unsigned)__builtin_popcountll(good[i]);
    }
    if ((n_bytes - n_good) * 10 <= n_bytes)
        return true;
    _Static_assert(VIEW_SHORTEST == 20, "the steps below");
    keep_before(good, 1);
    keep_before(good, 2);
    keep_before(good, 4);
    keep_before(good, 8);
    keep_before(good, 4);
    for (unsigned i = 0; i < VIEW_BAD_WORDS; i++)
        any |= good[i];
    return any != 0;
}

/* May decoding begin with these digits, so that compressed bytes come out or text to begin with, the last character perhaps cut? */
static bool may_begin(const uint8_t *digits, unsigned n, bool hex,
                      const uint64_t bad[VIEW_BAD_WORDS])
{
    enum { LOOKED_AT = 36, CUT = 3, MAGIC = 3 };
    unsigned n_bytes = view_bytes_of(n, hex), last = n_bytes < LOOKED_AT ? n_bytes : LOOKED_AT;
    char magic[8] = {0};

    if (n_bytes >= sizeof(magic)) {
        for (unsigned i = 0; i < MAGIC; i++)
            magic[i] = (char)byte_of(digits, hex, i);
        if (view_is_gzip((struct gw_span){magic, sizeof(magic)}))
            return true;
    }
    return last <= CUT || (bad[0] & ((UINT64_C(1) << (last - CUT)) - 1)) == 0;
}

/* Most are given away by their first byte: neither text nor what gzip and zlib begin with. */
static bool may_begin_byte(unsigned char c)
{
    return c == 0x1F || (c & 0x8F) == 8 ||
           (c < 0x80 ? (view_kind((char)c) & VIEW_KIND_CONTROL) == 0 : c >= 0xC2 && c <= 0xF4);
}

bool view_says_nothing(struct gw_span stretch, bool hex)
{
    enum { HEAD = 64 }; /* digits that say more than may_begin() looks at */
    uint8_t digits[VIEW_FEW_DIGITS + VIEW_PAD];
    uint64_t bad[VIEW_BAD_WORDS];
    unsigned n;

    if (stretch.len > VIEW_FEW_DIGITS + VIEW_FEW_DIGITS / 4 ||
        !read_digits(stretch, hex, digits, &n))
        return false;
    memset(digits + n, 0, VIEW_PAD);
    bad_bytes(digits, n, hex, bad);
    if (may_begin(digits, n, hex, bad) || may_hold_text(bad, view_bytes_of(n, hex)))
        return false;
    for (unsigned phase = 1; phase < (hex ? 2U : 4U) && phase < n; phase++) {
        unsigned left = n - phase < HEAD ? n - phase : HEAD;

        if (!may_begin_byte(byte_of(digits + phase, hex, 0)))
            continue;
        bad_bytes(digits + phase, left, hex, bad);
        if (may_begin(digits + phase, left, hex, bad))
            return false;
    }
    return true;
}
