/* engine/fold.c - look-up in the generated tables of foldings. */
#include "engine/fold.h"

#include <stddef.h>

#include "engine/fold_table.h"

/* Hangul syllables are composed by arithmetic (The Unicode Standard, 3.12). */
enum {
    HANGUL = 0xAC00,
    HANGUL_N = 11172,
    LEADS = 0x1100,
    VOWELS = 0x1161,
    TAILS = 0x11A7,
    VOWELS_N = 21,
    TAILS_N = 28
};

/* Index of the entry of cp among n entries of `width` numbers, sorted by their first; n when there is none. */
static size_t find(const uint32_t *table, size_t n, size_t width, uint32_t cp)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (table[mid * width] < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && table[low * width] == cp ? low : n;
}

static enum fold_class class_of(uint32_t cp)
{
    size_t low = 0, high = sizeof(fold_ranges) / sizeof(fold_ranges[0]);

    /* The first range begins at 0, so low always names a range that begins at or before cp. */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (fold_ranges[mid] >> 2 <= cp)
            low = mid;
        else
            high = mid;
    }
    return (enum fold_class)(fold_ranges[low] & 3u);
}

static unsigned split_hangul(uint32_t syllable, uint32_t out[FOLD_MAX])
{
    uint32_t i = syllable - HANGUL;

    out[0] = LEADS + i / (VOWELS_N * TAILS_N);
    out[1] = VOWELS + i / TAILS_N % VOWELS_N;
    out[2] = TAILS + i % TAILS_N;
    return i % TAILS_N == 0 ? 2 : 3;
}

static unsigned map(uint32_t cp, uint32_t out[FOLD_MAX])
{
    const size_t n_pairs = sizeof(fold_pairs) / sizeof(fold_pairs[0]) / 2;
    const size_t n_triples = sizeof(fold_triples) / sizeof(fold_triples[0]) / 4;
    size_t i;

    if (cp >= HANGUL && cp < HANGUL + HANGUL_N)
        return split_hangul(cp, out);
    out[0] = cp;
    i = find(fold_pairs, n_pairs, 2, cp);
    if (i < n_pairs) {
        out[0] = fold_pairs[i * 2 + 1];
        return 1;
    }
    i = find(fold_triples, n_triples, 4, cp);
    if (i == n_triples)
        return 1;
    for (unsigned k = 0; k < FOLD_MAX; k++)
        out[k] = fold_triples[i * 4 + 1 + k];
    return out[2] == 0 ? 2 : 3;
}

enum fold_class fold_char(uint32_t cp, uint32_t out[FOLD_MAX], unsigned *n)
{
    enum fold_class c = cp > 0x10FFFF ? FOLD_DROP : class_of(cp);

    *n = 0;
    if (c == FOLD_WORD || c == FOLD_ALONE)
        *n = map(cp, out);
    return c;
}
