/* dlp/view_classes.c - view_bits() in C, the specification (view_marks.h). Any thread. */
#include <string.h>

#include "dlp/view_bits.h"
#include "dlp/view_find.h"

enum {
    D = 1 << VIEW_CLASS_DIGIT | 1 << VIEW_CLASS_BASE64,
    S = 1 << VIEW_CLASS_SIGN,
    O = 1 << VIEW_CLASS_BASE64,
    B = 1 << VIEW_CLASS_BASE64 | 1 << VIEW_CLASS_ALPHA,
    SB = S | O,
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
    S, 0, 0, L, 0, P, P, 0, 0, 0, 0, O, S, SB, S, SB,
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
    for (unsigned k = 0; k <= VIEW_CLASS_HIGH; k++) {
        uint64_t bits = k == VIEW_CLASS_HIGH ? high >> 7 : all >> k;

        words->of[k][i] |=
            ((bits & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56) << shift;
    }
}

/* Fills in, of each word's beginning in block i, whose first byte is text[at], VIEW_CLASS_SPELL. */
static void add_spell(struct gw_span text, size_t at, unsigned i, struct view_words *words)
{
    const uint64_t *alpha = words->of[VIEW_CLASS_ALPHA];
    uint64_t begins = alpha[i] & ~(alpha[i] << 1 | (i == 0 ? 0 : alpha[i - 1] >> (VIEW_BLOCK - 1)));

    words->of[VIEW_CLASS_SPELL][i] = 0;
    for (; begins != 0; begins &= begins - 1) {
        size_t first = at + (size_t)__builtin_ctzll(begins);

        if (first + 1 < text.len && view_may_spell(text.ptr[first], text.ptr[first + 1]))
            words->of[VIEW_CLASS_SPELL][i] |= begins & -begins;
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
    for (unsigned i = from == 0 ? 1 : 0; i < filled; i++)
        add_spell(text, from + (size_t)i * VIEW_BLOCK - VIEW_BLOCK, i, &words);
    view_bits_of(&words, out);
    for (unsigned k = 0; k < VIEW_MARK_BITS; k++) {
        out->any[k] = 0;
        for (unsigned i = 0; i < words.n; i++)
            out->any[k] |= (uint64_t)(out->at[k][i] != 0) << i;
    }
}
