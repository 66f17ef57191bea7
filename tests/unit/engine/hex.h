/* tests/unit/engine/hex.h - texts of golden files, which stand there in hexadecimal. */
#ifndef TESTS_UNIT_ENGINE_HEX_H
#define TESTS_UNIT_ENGINE_HEX_H

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>

/* Takes the digits at *p, at most 2 * max, which it moves behind them and a space. Returns how many bytes out got. */
static inline size_t take_hex(char **p, char *out, size_t max)
{
    size_t n = 0;

    for (; n < max && isxdigit((unsigned char)(*p)[0]) && isxdigit((unsigned char)(*p)[1]);
         *p += 2) {
        const char pair[3] = {(*p)[0], (*p)[1], '\0'};

        out[n++] = (char)(unsigned char)strtoul(pair, NULL, 16);
    }
    if ((*p)[0] == '-' && ((*p)[1] == ' ' || (*p)[1] == '\0')) /* no text */
        ++*p;
    *p += **p == ' ';
    return n;
}

#endif
