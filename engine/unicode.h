/* engine/unicode.h - the general category of a character, as coarse as pre-tokenizers need it.
 *
 * Unicode 14.0; the table is generated (engine/unicode_gen.py). Pure functions: any thread. */
#ifndef ENGINE_UNICODE_H
#define ENGINE_UNICODE_H

#include <stdint.h>

/* In the order of engine/unicode_gen.py. Letters are UNICODE_LU to UNICODE_LO. */
enum unicode_class {
    UNICODE_OTHER, /* controls, formats, unassigned, private use */
    UNICODE_LU,
    UNICODE_LT,
    UNICODE_LL,
    UNICODE_LM,
    UNICODE_LO,
    UNICODE_M,
    UNICODE_N,
    UNICODE_P,
    UNICODE_S,
    UNICODE_SPACE, /* White_Space: what \s means; wins over every category */
};

/* The class of a code point; UNICODE_OTHER above U+10FFFF. */
enum unicode_class unicode_class(uint32_t cp);

#endif
