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

/* ---- rows of digits ----------------------------------------------------------------------- */

enum {
    SIGNS = 3, /* between two digits */
};

/* Groups of words for digits, named after one each: a bit that the first three letters have in common. Behind a word of two letters anything
 * stands. The low bits of 'c' and 'i' are those of bytes of accented letters, too. */
enum {
    DOS = 1 << 0,
    CERO = 1 << 1,
    ONE = 1 << 2,
    SIX = 1 << 3,
    CINCO = 1 << 4,
    ACHT = 1 << 5,
    DEUX = 1 << 6,
    UN = 1 << 7,
};

const uint8_t view_spell_first[32] = {
    ['a' & 31] = ACHT,        ['c' & 31] = CERO | CINCO,      ['d' & 31] = DOS | DEUX,
    ['e' & 31] = CINCO,       ['f' & 31] = DOS | CERO | ACHT, ['h' & 31] = ACHT,
    ['n' & 31] = DOS | CINCO, ['o' & 31] = ONE | SIX | ACHT,  ['q' & 31] = CINCO,
    ['s' & 31] = SIX,         ['t' & 31] = CERO | ONE,        ['u' & 31] = UN,
    ['v' & 31] = SIX,         ['z' & 31] = ACHT | UN,
};
const uint8_t view_spell_second[32] = {
    ['c' & 31] = CERO | ACHT, ['e' & 31] = CERO | SIX | CINCO | DEUX | UN,
    ['h' & 31] = CERO,        ['i' & 31] = SIX | CINCO | ACHT,
    ['m' & 31] = UN,          ['n' & 31] = ONE | UN,
    ['o' & 31] = DOS | DEUX,  ['r' & 31] = ONE | DEUX,
    ['t' & 31] = ONE,         ['u' & 31] = DOS | CINCO | ACHT,
    ['w' & 31] = ONE | UN,
};
const uint8_t view_spell_third[32] = {
    UN,
    CINCO | UN,                  /* a */
    UN,                          /* b */
    ONE | SIX | CINCO | UN,      /* c */
    UN,                          /* d */
    DOS | ONE | SIX | DEUX | UN, /* e */
    UN,                          /* f */
    CINCO | UN,                  /* g */
    ACHT | UN,                   /* h */
    SIX | ACHT | DEUX | UN,      /* i */
    SIX | UN,                    /* j */
    UN,                          /* k */
    CINCO | UN,                  /* l */
    UN,                          /* m */
    CINCO | UN,                  /* n */
    ONE | UN,                    /* o */
    SIX | UN,                    /* p */
    UN,                          /* q */
    CERO | UN,                   /* r */
    DOS | UN,                    /* s */
    ONE | SIX | UN,              /* t */
    DOS | CINCO | DEUX | UN,     /* u */
    DOS | SIX | ACHT | UN,       /* v */
    UN,                          /* w */
    SIX | UN,                    /* x */
    UN,                          /* y */
    UN,                          /* z */
    UN,
    CERO | UN,
    UN,
    UN,
    UN,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum view_goes view_goes_on(struct gw_span text, size_t at)
{
    size_t from = at;

    while (at < text.len && at - from < SIGNS && view_is_sign(text.ptr[at]))
        at++;
    if (at == text.len)
        return VIEW_GOES_NOT;
    if ((unsigned char)text.ptr[at] >= 0x80)
        return VIEW_GOES_ODD;
    if (at == from)
        return VIEW_GOES_NOT;
    if (is_digit(text.ptr[at]))
        return VIEW_GOES_DIGIT;
    return (text.ptr[at] & 0x40) != 0 && at + 1 < text.len &&
                   view_may_spell(text.ptr[at], text.ptr[at + 1])
               ? VIEW_GOES_ODD
               : VIEW_GOES_NOT;
}

bool view_goes_twice(struct gw_span text, size_t at)
{
    while (view_is_sign(text.ptr[at]))
        at++;
    while (at < text.len && is_digit(text.ptr[at]))
        at++;
    return view_goes_on(text, at) != VIEW_GOES_NOT;
}

static size_t find_row(struct gw_span text, size_t at)
{
    while (at < text.len) {
        enum view_goes goes;
        size_t end;

        at = find_kind(text.ptr, at, text.len, VIEW_KIND_DIGIT);
        end = at;
        while (end < text.len && is_digit(text.ptr[end]))
            end++;
        goes = view_goes_on(text, end);
        if (goes == VIEW_GOES_ODD || (goes == VIEW_GOES_DIGIT && view_goes_twice(text, end)))
            return at;
        at = end;
    }
    return text.len;
}

/* ---- which way ---------------------------------------------------------------------------- */

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
            view_is_said(text.ptr + at, text.len - at))
            return at;
    return text.len;
}

size_t view_find_run(struct gw_span text, size_t at)
{
    return is_simd(text.len - at) ? view_find_run_avx2(text.ptr, at, text.len)
                                  : find_run(text.ptr, at, text.len);
}

size_t view_find_row(struct gw_span text, size_t at)
{
    return is_simd(text.len - at) ? view_find_row_avx2(text.ptr, at, text.len) : find_row(text, at);
}
