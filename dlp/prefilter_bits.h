/* dlp/prefilter_bits.h - what the filter's find functions decide of a chunk in bits. Private to dlp/prefilter*.c, each of which compiles it
 * for its instructions: words are taken by as many as a register holds. */
#ifndef DLP_PREFILTER_BITS_H
#define DLP_PREFILTER_BITS_H

#include "dlp/lanes.h"
#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

/* Bits that have one at most n places behind; `high` are the bits behind `low`, and both go on to the next step. */
static inline void prefilter_spread(lanes *low, lanes *high, unsigned n)
{
    *low |= lanes_shift(*low, *high, n);
    *high |= *high >> n;
}

/* Bits of the words at w, and those that have one in the next 12 places, or in the next 6. */
static inline lanes prefilter_digits_near(const uint64_t *w)
{
    lanes low = lanes_load(w), high = lanes_load(w + 1);

    _Static_assert(PREFILTER_NEAR_DIGIT == 1 + 1 + 2 + 4 + 4, "the steps");
    prefilter_spread(&low, &high, 1);
    prefilter_spread(&low, &high, 2);
    prefilter_spread(&low, &high, 4);
    prefilter_spread(&low, &high, 4);
    return low;
}

static inline lanes prefilter_colons_near(const uint64_t *w)
{
    lanes low = lanes_load(w), high = lanes_load(w + 1);

    _Static_assert(PREFILTER_NEAR_COLON == 1 + 1 + 2 + 2, "the steps");
    prefilter_spread(&low, &high, 1);
    prefilter_spread(&low, &high, 2);
    prefilter_spread(&low, &high, 2);
    return low;
}

/* Which bits of the words at w are the first of n in a row: from RULEC_MIN_RUN to 64. */
static inline lanes prefilter_first_of(const uint64_t *w, unsigned n)
{
    const unsigned more = n - RULEC_MIN_RUN < RULEC_MIN_RUN ? n - RULEC_MIN_RUN : RULEC_MIN_RUN,
                   rest = n - RULEC_MIN_RUN - more;
    lanes low = lanes_load(w), high = lanes_load(w + 1);

    for (unsigned k = 1; k < RULEC_MIN_RUN; k *= 2) {
        low &= lanes_shift(low, high, k);
        high &= high >> k;
    }
    low &= lanes_shift(low, high, more);
    high &= high >> more;
    return low & lanes_shift(low, high, rest);
}

/* Those of the bits, one a word, whose word has some. */
static inline lanes prefilter_bits_of(lanes words, lanes bits)
{
    return (lanes)(words != 0) & bits;
}

/* The bits of all words. */
static inline uint64_t prefilter_all_of(lanes words)
{
    uint64_t all = 0;

    for (unsigned k = 0; k < LANES_WORDS; k++)
        all |= words[k];
    return all;
}

/* For prefilter_sum_up: of the 64 bytes in front of `from` the last one, as a bit of words. */
static inline uint64_t prefilter_word_before(const unsigned char *text, size_t from)
{
    return from > 0 ? (uint64_t)(prefilter_flags[text[from - 1]] & 1) << 63 : 0;
}

/* For prefilter_sum_up: behind n bytes there are no places, and digits and colons may be. */
static inline void prefilter_end(struct prefilter_places *places, size_t n)
{
    const size_t last = (n - 1) / 64;
    const uint64_t valid = UINT64_MAX >> (63 - (n - 1) % 64);

    places->by_digit[last] &= valid;
    places->by_colon[last] &= valid;
    places->start[last] &= valid;
    places->token[last] &= valid;
    places->run[last] &= valid;
    places->digit[last] |= ~valid;
    places->colon[last] |= ~valid;
    places->digit[last + 1] = places->colon[last + 1] = UINT64_MAX;
}

/* For find functions, when the masks of n bytes are there: leaves only places that are below n, and starts only where a word begins; adds to
 * the starts those by a digit or a colon that have it near, as far as these bytes say; and sets busy and rows. word: bytes of words, behind a
 * mask of those in front of these bytes. */
static inline void prefilter_sum_up(const struct prefilter *f, const uint64_t *word, size_t n,
                                    struct prefilter_places *places)
{
    static const uint64_t ones[] = {1, 2, 4, 8, 16, 32, 64, 128};
    const size_t blocks = (n + 63) / 64;
    const uint64_t *run = prefilter_run_bytes(f, places);
    const uint64_t valid = blocks < PREFILTER_BLOCKS ? (UINT64_C(1) << blocks) - 1 : UINT64_MAX;
    lanes bits = lanes_load(ones), busy = bits ^ bits, rows = busy;

    _Static_assert(LANES_WORDS <= sizeof(ones) / sizeof(ones[0]), "a bit a word");
    places->busy = places->rows = 0;
    if (n == 0)
        return;
    prefilter_end(places, n);
    for (size_t i = 0; i < blocks; i += LANES_WORDS, bits <<= LANES_WORDS) {
        /* Where the word before a byte is over, or none was, one begins or another byte stands. */
        lanes digit = prefilter_digits_near(&places->digit[i]),
              colon = prefilter_colons_near(&places->colon[i]),
              begin = ~(lanes_load(&word[i + 1]) << 1 | lanes_load(&word[i]) >> 63),
              start = lanes_load(&places->start[i]) | (lanes_load(&places->by_digit[i]) & digit) |
                      (lanes_load(&places->by_colon[i]) & colon);

        start &= begin;
        lanes_store(&places->digit[i], digit);
        lanes_store(&places->colon[i], colon);
        lanes_store(&places->begin[i], begin);
        lanes_store(&places->start[i], start);
        busy |= prefilter_bits_of(start, bits);
        if (f->least_row != 0)
            rows |= prefilter_bits_of(prefilter_first_of(&run[i], f->least_row), bits);
    }
    places->begin[blocks - 1] &= UINT64_MAX >> (63 - (n - 1) % 64);
    places->busy = prefilter_all_of(busy) & valid;
    places->rows = prefilter_all_of(rows) & valid;
}

/* Keeps of n starts, which are listed, those of which the first or the other places leave something; returns how many. No branch: at which
 * something is left is hard to guess. */
static inline __attribute__((always_inline)) unsigned prefilter_keep_left(
    const struct prefilter *f, const unsigned char *text, size_t len, unsigned n, bool is_first,
    struct prefilter_places *places)
{
    const uint64_t *rows = f->start_rows, *nears = prefilter_near_row(f, 0);
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned at = places->start_at[i];
        unsigned char tail[BUNDLE_HEAD_BYTES];
        const unsigned char *p = text + at;
        uint64_t left;

        if (len - at < sizeof(tail)) {
            memset(tail, 0, sizeof(tail));
            memcpy(tail, p, len - at);
            p = tail;
        }
        left = is_first ? prefilter_starts_first(rows, p, nears[prefilter_near_at(places, at)])
                        : prefilter_starts_rest(rows, p, places->start_left[i]);
        places->start_at[kept] = (uint16_t)at;
        places->start_left[kept] = left;
        kept += left != 0;
    }
    return kept;
}

/* For find functions: keeps of n places of wide windows, listed in wide_at, those at which something is left, where rows tell that in a word.
 * No branch, as above. */
static inline void prefilter_keep_wide(const struct prefilter *f, const unsigned char *text,
                                       size_t from, size_t len, unsigned n,
                                       struct prefilter_places *places)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < n && f->wide_words == 1; i++) {
        const unsigned at = places->wide_at[i];
        unsigned char copy[BUNDLE_AROUND_BYTES];
        const uint64_t left =
            prefilter_wide_left(f, 1, 0, prefilter_around(text, from + at, len, copy));

        places->wide_at[kept] = (uint16_t)at;
        places->wide_left[kept] = left;
        kept += left != 0;
    }
    places->n_wide = f->wide_words == 1 ? kept : n;
}

/* For find functions, where rows of starts are a word: keeps of n of them, listed in start_at, those at which something is left. */
static inline void prefilter_keep_starts(const struct prefilter *f, const unsigned char *text,
                                         size_t from, size_t len, unsigned n,
                                         struct prefilter_places *places)
{
    n = prefilter_keep_left(f, text + from, len - from, n, true, places);
    places->n_start = prefilter_keep_left(f, text + from, len - from, n, false, places);
}

#endif
