/* engine/wordpiece_private.h - the vocabulary. Private to engine/wordpiece*.c. */
#ifndef ENGINE_WORDPIECE_PRIVATE_H
#define ENGINE_WORDPIECE_PRIVATE_H

#include "engine/bytetree.h"

/* Longest word, in characters, that a tokenizer may ask to be cut; the usual limit is 100. */
enum { WORDPIECE_MAX_CHARS = 256 };

enum { WORDPIECE_MAX_VOCAB = 1 << 20 };

/* Roots of the tree. */
enum { WORDPIECE_BEGIN = BYTETREE_ROOT, WORDPIECE_INSIDE, WORDPIECE_N_ROOTS = 2 };

/* Pieces are UTF-8, so matching bytes matches whole characters. */
struct wordpiece {
    struct bytetree tree;
    unsigned n_vocab, max_chars;
    int32_t first, last, unknown; /* [CLS], [SEP], [UNK] */
};

#endif
