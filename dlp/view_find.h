/* dlp/view_find.h - the next byte or run of bytes that a view may be about; in C, and with AVX2 where the machine has it.
 * Private to dlp/view*.c. Pure; any thread. */
#ifndef DLP_VIEW_FIND_H
#define DLP_VIEW_FIND_H

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

static inline unsigned view_kind(char c)
{
    return view_kinds[(unsigned char)c];
}

/* The first decimal digit of text[at, to), or what begins an escape; `to` when there is none. */
size_t view_find_digit(struct gw_span text, size_t at, size_t to);
size_t view_find_escape(struct gw_span text, size_t at, size_t to);

/* The first byte of text[at, ...) that may begin an escape, as far as the byte behind it tells; the text's length when there is
 * none. */
size_t view_find_said(struct gw_span text, size_t at);

/* May the byte behind % & or a backslash belong to an escape? */
static inline bool view_is_said(char sign, char next)
{
    char lower = (char)(next | 0x20);

    if (sign == '\\')
        return next == 'x' || lower == 'u' || next == '\\';
    if (sign == '&' && lower >= 'a' && lower <= 'z')
        return true;
    return sign == '&' ? next == '#' : (view_kind(next) & VIEW_KIND_HEX) != 0;
}

/* Where the next VIEW_BLOB_MIN digits of base64 in a row begin, `at` or behind it; the text's length when there are none. */
size_t view_find_run(struct gw_span text, size_t at);

/* The same from whole rows on with AVX2; bytes, and their number. */
size_t view_find_digit_avx2(const char *p, size_t at, size_t to);
size_t view_find_escape_avx2(const char *p, size_t at, size_t to);
size_t view_find_said_avx2(const char *p, size_t at, size_t n);
size_t view_find_run_avx2(const char *p, size_t at, size_t n);

#endif
