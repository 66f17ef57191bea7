/* engine/tokenizer_chars.h - one character at a time for pre-tokenizers. Header only, private to
 * engine/tokenizer*. */
#ifndef ENGINE_TOKENIZER_CHARS_H
#define ENGINE_TOKENIZER_CHARS_H

#include <stddef.h>

#include "base/utf8.h"
#include "engine/unicode.h"

/* Reads the character at p < end; bytes that are not UTF-8 count as one character each, of class
 * UNICODE_OTHER and code point 0xFFFFFFFF. Returns its length. */
static inline unsigned tok_char(const unsigned char *p, const unsigned char *end, uint32_t *cp)
{
    unsigned len = gw_utf8_decode((const char *)p, (size_t)(end - p), cp);

    if (len != 0)
        return len;
    *cp = UINT32_MAX;
    return 1;
}

#endif
