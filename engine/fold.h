/* engine/fold.h - what an uncased BERT tokenizer makes of a character: clean, lower case, without accents.
 *
 * The tables are generated (engine/fold_gen.py says by which rules). Marks that stay after decomposition
 * are not put into canonical order: no vocabulary knows such words. Pure functions: any thread. */
#ifndef ENGINE_FOLD_H
#define ENGINE_FOLD_H

#include <stdint.h>

/* In the order of engine/fold_gen.py. */
enum fold_class {
    FOLD_WORD,  /* part of a word */
    FOLD_DROP,  /* nothing is left: controls, accents */
    FOLD_SPACE, /* ends a word */
    FOLD_ALONE, /* a word by itself: punctuation, ideographs */
};

enum { FOLD_MAX = 3 };

/* Sets out to the 1 to FOLD_MAX code points that cp becomes (WORD, ALONE: *n, else *n is 0) and returns
 * its class. What is above U+10FFFF or a surrogate is dropped. */
enum fold_class fold_char(uint32_t cp, uint32_t out[FOLD_MAX], unsigned *n);

#endif
