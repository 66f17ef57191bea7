/* dlp/view_find.h - the next byte or run of bytes that a view may be about; in C, and with AVX2 where the machine has it.
 * Private to dlp/view*.c. Pure; any thread. */
#ifndef DLP_VIEW_FIND_H
#define DLP_VIEW_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* What a byte is: bits of view_kinds. */
enum {
    VIEW_KIND_BASE64 = 1 << 0, /* a digit of one of both alphabets */
    VIEW_KIND_HEX = 1 << 1,
    VIEW_KIND_DIGIT = 1 << 2,
    VIEW_KIND_ESCAPE = 1 << 3, /* begins one: % & and the backslash */
    VIEW_KIND_EQUALS = 1 << 4,
    VIEW_KIND_HIGH = 1 << 5,    /* beyond ASCII */
    VIEW_KIND_CONTROL = 1 << 6, /* of ASCII, in no text; not NUL */
};
extern const uint8_t view_kinds[256];

enum { VIEW_FIND_ROW = 32 };

#if defined(__x86_64__)
/* Has the machine what the variants for AVX-512 need? */
static inline bool view_has_avx512(void)
{
    return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni") &&
           __builtin_cpu_supports("bmi2");
}
#endif

static inline unsigned view_kind(char c)
{
    return view_kinds[(unsigned char)c];
}

/* The first byte of text[at, to) that begins an escape; `to` when there is none. */
size_t view_find_escape(struct gw_span text, size_t at, size_t to);

/* The first byte of text[at, ...) that may begin an escape, as far as the two bytes behind it tell; the text's length when there is
 * none. */
size_t view_find_said(struct gw_span text, size_t at);

/* May the two bytes behind % & or a backslash at p belong to an escape? left: bytes of the text from p on. */
static inline bool view_is_said(const char *p, size_t left)
{
    const char sign = *p;
    char next = 0, third = 0, lower;

    if (left > 1)
        next = p[1];
    if (left > 2)
        third = p[2];
    lower = (char)(next | 0x20);

    /* Of several backslashes all but the last may be doubled. */
    if (sign == '\\' && next == '\\')
        return third == 'x' || (third | 0x20) == 'u' || third == '\\';
    if (sign == '\\')
        return next == 'x' || lower == 'u';
    if (sign == '&' && lower >= 'a' && lower <= 'z')
        return true;
    return sign == '&' ? next == '#' : (view_kind(next) & VIEW_KIND_HEX) != 0;
}

/* Behind a digit of which a number may go on: up to three signs and another digit, or what may be a word for one, or a character
 * beyond ASCII. `at` is behind the digit. */
enum view_goes { VIEW_GOES_NOT, VIEW_GOES_DIGIT, VIEW_GOES_ODD };
enum view_goes view_goes_on(struct gw_span text, size_t at);

/* Where digits stand, at `at` or behind it, behind which a number may go on twice, or in an odd way; the text's length when there are
 * none. */
size_t view_find_row(struct gw_span text, size_t at);

/* Signs between the digits of a number: bytes of them. */
static inline bool view_is_sign(char c)
{
    return c == ' ' || c == '.' || c == '-' || c == '/' || c == '_' || c == ',';
}

/* Which letters words for digits begin with: those that have a bit in common, by the low five bits of each. */
extern const uint8_t view_spell_first[32], view_spell_second[32], view_spell_third[32];

/* As far as two letters tell. */
static inline bool view_may_spell(char first, char second)
{
    return (view_spell_first[first & 31] & view_spell_second[second & 31]) != 0;
}

/* The same of the word at p, of a text that has `left` bytes from there on. */
static inline bool view_may_be_spelled(const char *p, size_t left)
{
    const char third = left > 2 ? p[2] : 0;

    return left > 1 && (view_spell_first[p[0] & 31] & view_spell_second[p[1] & 31] &
                        view_spell_third[third & 31]) != 0;
}

/* With AVX-512: the first byte of text[at, to) that, as far as its neighbours tell, may begin a word for a digit, is a sign behind a digit or
 * behind the word that began in front of `at`, or is beyond ASCII; `to` when there is none. */
size_t view_find_unplain_avx512(struct gw_span text, size_t at, size_t to);

/* May the byte behind an equals sign belong to quoted-printable? */
static inline bool view_is_quoted(char next)
{
    return (next >= '0' && next <= '9') || (next >= 'A' && next <= 'F') || next == '\n' ||
           next == '\r';
}

/* Where the next VIEW_BLOB_MIN digits of base64 in a row begin, `at` or behind it; the text's length when there are none. */
size_t view_find_run(struct gw_span text, size_t at);

/* The same from whole rows on with AVX2; bytes, and their number. */
size_t view_find_escape_avx2(const char *p, size_t at, size_t to);
size_t view_find_said_avx2(const char *p, size_t at, size_t n);
size_t view_find_run_avx2(const char *p, size_t at, size_t n);
size_t view_find_row_avx2(const char *p, size_t at, size_t n);
/* Does a number go on behind the digits that begin behind the signs at `at`? As view_goes_on() said. */
bool view_goes_twice(struct gw_span text, size_t at);

#endif
