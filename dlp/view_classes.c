/* dlp/view_classes.c - view_bits() in C, the specification (view_marks.h). Any thread. */
#include <string.h>

#include "dlp/view_bits.h"

enum {
    D = 1 << VIEW_CLASS_DIGIT | 1 << VIEW_CLASS_BASE64,
    S = 1 << VIEW_CLASS_SIGN,
    B = 1 << VIEW_CLASS_BASE64,
    SB = S | B,
    K = 1 << VIEW_CLASS_BACKSLASH,
    P = 1 << VIEW_CLASS_PERCENT,
    E = 1 << VIEW_CLASS_EQUALS,
    L = 1 << VIEW_CLASS_LETTER,
    LB = L | B,
};

/* clang-format off */
const uint8_t view_class_of[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, 0, 0, L, 0, P, P, 0, 0, 0, 0, B, S, SB, S, SB,
    D, D, D, D, D, D, D, D, D, D, 0, 0, 0, E, 0, 0,
    0, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    B, B, B, B, B, LB, B, B, B, B, B, 0, K, 0, 0, SB,
    0, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    B, B, B, B, B, LB, B, B, LB, B, B, 0, 0, 0, 0, 0,
};
/* clang-format on */

/* Adds what the n bytes at p are, at most 8, to word i from bit `shift` on. */
static void add(const char *p, size_t n, unsigned i, unsigned shift, struct view_words *words)
{
    unsigned char of[8] = {0};
    uint64_t all, high;

    memcpy(of, p, n);
    memcpy(&high, of, sizeof(high));
    for (size_t k = 0; k < sizeof(of); k++)
        of[k] = k < n && of[k] < 0x80 ? view_class_of[of[k]] : 0;
    memcpy(&all, of, sizeof(all));
    /* The multiplication gathers the low bits of eight bytes in the upper byte. */
    for (unsigned k = 0; k < VIEW_CLASSES; k++) {
        uint64_t bits = k == VIEW_CLASS_HIGH ? high >> 7 : all >> k;

        words->of[k][i] |=
            ((bits & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56) << shift;
    }
}

void view_bits(struct gw_span text, size_t from, struct view_bits *out)
{
    struct view_words words;
    size_t first = from == 0 ? 0 : from - VIEW_BLOCK,
           end = from + VIEW_CHUNK + (size_t)2 * VIEW_BLOCK;
    const unsigned filled = view_words_begin(&words, text.len, from);

    for (unsigned k = 0; k < VIEW_CLASSES; k++)
        memset(words.of[k], 0, filled * sizeof(words.of[k][0]));
    end = end < text.len ? end : text.len;
    for (size_t at = first; at < end; at += 8)
        add(text.ptr + at, end - at < 8 ? end - at : 8,
            (unsigned)((at + VIEW_BLOCK - from) / VIEW_BLOCK), at % VIEW_BLOCK, &words);
    view_bits_of(&words, out);
    for (unsigned k = 0; k < VIEW_MARK_BITS; k++) {
        out->any[k] = 0;
        for (unsigned i = 0; i < words.n; i++)
            out->any[k] |= (uint64_t)(out->at[k][i] != 0) << i;
    }
}
