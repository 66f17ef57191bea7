/* dlp/view_classes.c - view_bits() in C, the specification (view_marks.h). Any thread. */
#include <string.h>

#include "dlp/view_bits.h"
#include "dlp/view_find.h"

enum {
    Q = 1 << VIEW_CLASS_QUOTED,
    D = 1 << VIEW_CLASS_DIGIT | 1 << VIEW_CLASS_BASE64 | Q,
    S = 1 << VIEW_CLASS_SIGN,
    O = 1 << VIEW_CLASS_BASE64,
    B = 1 << VIEW_CLASS_BASE64 | 1 << VIEW_CLASS_ALPHA,
    QB = Q | B,
    SB = S | O,
    K = 1 << VIEW_CLASS_SLASH,
    P = 1 << VIEW_CLASS_PERCENT,
    E = K | P,
    L = 1 << VIEW_CLASS_LETTER,
    LB = L | B,
};

/* clang-format off */
const uint8_t view_class_of[256] = {
    0, Q, Q, Q, Q, Q, Q, 0, 0, 0, Q, 0, 0, Q, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, 0, 0, L, 0, P, P, 0, 0, 0, 0, O, S, SB, S, SB,
    D, D, D, D, D, D, D, D, D, D, 0, 0, 0, E, 0, 0,
    0, QB, QB, QB, QB, QB, QB, B, B, B, QB, B, B, QB, B, B,
    B, B, B, B, B, LB, B, B, B, B, B, 0, K, 0, 0, SB,
    0, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    B, B, B, B, B, LB, B, B, LB, B, B, 0, 0, 0, 0, 0,
};
/* clang-format on */

enum { EIGHT = 8 };
#define LOW_BITS UINT64_C(0x0101010101010101)

/* Of a chunk, of the block in front of it, and of two behind. Loaded much later than stored: a load of bytes that were just stored one by one
 * waits. */
struct said {
    uint8_t of[VIEW_ALL_WORDS * VIEW_BLOCK];
};

/* One bit of each of 64 bytes; the multiplication gathers those of eight in the upper byte. */
static uint64_t bits_of(const uint8_t *p, unsigned bit)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < VIEW_BLOCK; i += EIGHT) {
        uint64_t bytes;

        memcpy(&bytes, p + i, sizeof(bytes));
        mask = mask >> 8 | ((bytes >> bit & LOW_BITS) * UINT64_C(0x0102040810204080) &
                            UINT64_C(0xFF00000000000000));
    }
    return mask;
}

/* The bits that some of 64 bytes have. */
static uint64_t any_of(const uint8_t *p)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < VIEW_BLOCK; i += EIGHT) {
        uint64_t bytes;

        memcpy(&bytes, p + i, sizeof(bytes));
        any |= bytes;
    }
    return any;
}

/* Fills in what block i is, p being what its bytes are, and block itself those bytes, of which there are n. */
static void fill_block(const uint8_t *p, const char *block, size_t n, unsigned i,
                       struct view_words *words)
{
    uint64_t any = any_of(p);
    uint8_t copy[VIEW_BLOCK] = {0};
    const uint8_t *bytes = (const uint8_t *)block;

    for (unsigned k = 0; k < VIEW_CLASS_HIGH; k++)
        words->of[k][i] = (any >> k & LOW_BITS) != 0 ? bits_of(p, k) : 0;
    if (n < VIEW_BLOCK) {
        memcpy(copy, block, n);
        bytes = copy;
    }
    words->of[VIEW_CLASS_HIGH][i] = (any_of(bytes) >> 7 & LOW_BITS) != 0 ? bits_of(bytes, 7) : 0;
}

/* Fills in, of each word's beginning in block i, whose first byte is text[at], VIEW_CLASS_SPELL. */
static void add_spell(struct gw_span text, size_t at, unsigned i, struct view_words *words)
{
    const uint64_t *alpha = words->of[VIEW_CLASS_ALPHA], *high = words->of[VIEW_CLASS_HIGH];
    uint64_t letters = alpha[i] | high[i],
             begins = letters & ~(letters << 1 | (alpha[i - 1] | high[i - 1]) >> (VIEW_BLOCK - 1)),
             spell = 0;

    /* No branch: which words are of the kind is hard to guess. */
    for (; begins != 0; begins &= begins - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(begins);
        size_t first = at + bit;

        spell |= (uint64_t)view_may_be_spelled(text.ptr + first, text.len - first) << bit;
    }
    words->of[VIEW_CLASS_SPELL][i] = spell;
}

void view_bits(struct gw_span text, size_t from, struct view_bits *out)
{
    struct view_words words;
    struct said said;
    const unsigned front = VIEW_FIRST - 1, filled = view_words_begin(&words, text.len, from),
                   first = from == 0 ? 1 : 0; /* nothing is in front of the text */
    const size_t begin = from + (size_t)first * VIEW_BLOCK - VIEW_BLOCK;
    size_t n = (size_t)(filled - first) * VIEW_BLOCK, i = 0;
    uint8_t *of = said.of + (size_t)first * VIEW_BLOCK;

    n = n < text.len - begin ? n : text.len - begin;
    for (; i + EIGHT <= n; i += EIGHT)
        for (unsigned k = 0; k < EIGHT; k++)
            of[i + k] = view_class_of[(unsigned char)text.ptr[begin + i + k]];
    for (; i < n; i++)
        of[i] = view_class_of[(unsigned char)text.ptr[begin + i]];
    memset(of + n, 0, (size_t)(filled - first) * VIEW_BLOCK - n);
    view_words_clear(&words, front + filled);
    for (unsigned block = first; block < filled; block++) {
        size_t at = from + (size_t)block * VIEW_BLOCK - VIEW_BLOCK, left = text.len - at;

        fill_block(said.of + (size_t)block * VIEW_BLOCK, text.ptr + at,
                   left < VIEW_BLOCK ? left : VIEW_BLOCK, front + block, &words);
        add_spell(text, at, front + block, &words);
    }
    view_bits_of(&words, out);
}
