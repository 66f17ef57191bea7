/* dlp/prefilter_bits.h - what the filter's find functions decide of a chunk in bits. Private to dlp/prefilter*.c, each of which compiles it
 * for its instructions: words are taken by as many as a register holds. */
#ifndef DLP_PREFILTER_BITS_H
#define DLP_PREFILTER_BITS_H

#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

#if defined(__AVX512VBMI2__)
#    include <immintrin.h>
#endif

/* Words of a register. */
#if defined(__AVX512F__)
typedef uint64_t prefilter_lanes __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef uint64_t prefilter_lanes __attribute__((vector_size(32)));
#else
typedef uint64_t prefilter_lanes __attribute__((vector_size(16)));
#endif
enum { PREFILTER_LANES = sizeof(prefilter_lanes) / sizeof(uint64_t) };
_Static_assert((int)PREFILTER_BLOCKS % (int)PREFILTER_LANES == 0, "whole registers");

static inline prefilter_lanes prefilter_load(const uint64_t *w)
{
    prefilter_lanes v;

    memcpy(&v, w, sizeof(v));
    return v;
}

static inline void prefilter_store(uint64_t *w, prefilter_lanes v)
{
    memcpy(w, &v, sizeof(v));
}

/* The bits n places behind those of `low`, below 64, `high` being those behind these. */
static inline prefilter_lanes prefilter_later(prefilter_lanes low, prefilter_lanes high, unsigned n)
{
#if defined(__AVX512VBMI2__)
    return (prefilter_lanes)_mm512_shrdv_epi64((__m512i)low, (__m512i)high,
                                               _mm512_set1_epi64((long long)n));
#else
    return n == 0 ? low : low >> n | high << (64 - n);
#endif
}

/* Bits that have one at most n places behind; `high` are the bits behind `low`, and both go on to the next step. */
static inline void prefilter_spread(prefilter_lanes *low, prefilter_lanes *high, unsigned n)
{
    *low |= prefilter_later(*low, *high, n);
    *high |= *high >> n;
}

/* Bits of the words at w, and those that have one in the next 12 places, or in the next 6. */
static inline prefilter_lanes prefilter_digits_near(const uint64_t *w)
{
    prefilter_lanes low = prefilter_load(w), high = prefilter_load(w + 1);

    _Static_assert(PREFILTER_NEAR_DIGIT == 1 + 1 + 2 + 4 + 4, "the steps");
    prefilter_spread(&low, &high, 1);
    prefilter_spread(&low, &high, 2);
    prefilter_spread(&low, &high, 4);
    prefilter_spread(&low, &high, 4);
    return low;
}

static inline prefilter_lanes prefilter_colons_near(const uint64_t *w)
{
    prefilter_lanes low = prefilter_load(w), high = prefilter_load(w + 1);

    _Static_assert(PREFILTER_NEAR_COLON == 1 + 1 + 2 + 2, "the steps");
    prefilter_spread(&low, &high, 1);
    prefilter_spread(&low, &high, 2);
    prefilter_spread(&low, &high, 2);
    return low;
}

/* Which bits of the words at w are the first of n in a row: from RULEC_MIN_RUN to 64. */
static inline prefilter_lanes prefilter_first_of(const uint64_t *w, unsigned n)
{
    const unsigned more = n - RULEC_MIN_RUN < RULEC_MIN_RUN ? n - RULEC_MIN_RUN : RULEC_MIN_RUN,
                   rest = n - RULEC_MIN_RUN - more;
    prefilter_lanes low = prefilter_load(w), high = prefilter_load(w + 1);

    for (unsigned k = 1; k < RULEC_MIN_RUN; k *= 2) {
        low &= prefilter_later(low, high, k);
        high &= high >> k;
    }
    low &= prefilter_later(low, high, more);
    high &= high >> more;
    return low & prefilter_later(low, high, rest);
}

/* Those of the bits, one a word, whose word has some. */
static inline prefilter_lanes prefilter_bits_of(prefilter_lanes words, prefilter_lanes bits)
{
    return (prefilter_lanes)(words != 0) & bits;
}

/* The bits of all words. */
static inline uint64_t prefilter_all_of(prefilter_lanes words)
{
    uint64_t all = 0;

    for (unsigned k = 0; k < PREFILTER_LANES; k++)
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
    places->wide[last] &= valid;
    places->token[last] &= valid;
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
    const size_t blocks = (n + 63) / 64;
    const uint64_t valid = blocks < PREFILTER_BLOCKS ? (UINT64_C(1) << blocks) - 1 : UINT64_MAX;
    prefilter_lanes bits, busy, rows;

    places->busy = places->rows = 0;
    if (n == 0)
        return;
    prefilter_end(places, n);
    for (unsigned k = 0; k < PREFILTER_LANES; k++)
        bits[k] = UINT64_C(1) << k;
    busy = rows = bits ^ bits;
    for (size_t i = 0; i < blocks; i += PREFILTER_LANES, bits <<= PREFILTER_LANES) {
        /* Where the word before a byte is over, or none was, one begins or another byte stands. */
        prefilter_lanes digit = prefilter_digits_near(&places->digit[i]),
                        colon = prefilter_colons_near(&places->colon[i]),
                        begin =
                            ~(prefilter_load(&word[i + 1]) << 1 | prefilter_load(&word[i]) >> 63),
                        start = prefilter_load(&places->start[i]) |
                                (prefilter_load(&places->by_digit[i]) & digit) |
                                (prefilter_load(&places->by_colon[i]) & colon);

        start &= begin;
        prefilter_store(&places->digit[i], digit);
        prefilter_store(&places->colon[i], colon);
        prefilter_store(&places->begin[i], begin);
        prefilter_store(&places->start[i], start);
        busy |= prefilter_bits_of(start | prefilter_load(&places->wide[i]), bits);
        if (f->least_row != 0)
            rows |= prefilter_bits_of(prefilter_first_of(&places->token[i], f->least_row), bits);
    }
    places->begin[blocks - 1] &= UINT64_MAX >> (63 - (n - 1) % 64);
    places->busy = prefilter_all_of(busy) & valid;
    places->rows = prefilter_all_of(rows) & valid;
}

#endif
