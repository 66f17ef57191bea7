/* dlp/view_bits.h - where views may begin in 64 blocks of 64 bytes, in bits (view_marks.h). Private to dlp/view_classes*.c, each of which
 * compiles it for its instructions: loops over words, which are vectorized. */
#ifndef DLP_VIEW_BITS_H
#define DLP_VIEW_BITS_H

#include <string.h>

#include "dlp/view.h"
#include "dlp/view_marks.h"

/* Loops over words take so many a step. */
enum { VIEW_STEP = 8 };
/* Classes of a chunk; a block in front of it, and two behind and what fills up a step. */
enum { VIEW_WORDS = 1 + VIEW_CHUNK_BLOCKS + VIEW_STEP, VIEW_ALL_WORDS = VIEW_WORDS + 1 };
struct view_words {
    _Alignas(64) uint64_t of[VIEW_CLASSES][VIEW_ALL_WORDS];
    unsigned n; /* words of the chunk in which a text is, a multiple of VIEW_STEP */
};

/* Makes room for what the text has in the chunk at `from`: zeroes behind. Returns how many words it has, with the one in front and at most two
 * behind. */
static inline unsigned view_words_begin(struct view_words *words, size_t len, size_t from)
{
    const size_t blocks = (len - from + VIEW_BLOCK - 1) / VIEW_BLOCK;
    unsigned n = blocks < VIEW_CHUNK_BLOCKS ? (unsigned)blocks : VIEW_CHUNK_BLOCKS,
             filled = 1 + (blocks < n + 2 ? (unsigned)blocks : n + 2);

    words->n = (n + VIEW_STEP - 1) / VIEW_STEP * VIEW_STEP;
    for (unsigned k = 0; k < VIEW_CLASSES; k++)
        memset(&words->of[k][filled], 0,
               (words->n + VIEW_STEP + 2 - filled) * sizeof(words->of[k][0]));
    return filled;
}

/* Bits n places behind those of word i, and one in front. */
static inline uint64_t view_later(const uint64_t *w, unsigned i, unsigned n)
{
    return w[i] >> n | w[i + 1] << (VIEW_BLOCK - n);
}

static inline uint64_t view_earlier(const uint64_t *w, unsigned i)
{
    return w[i] << 1 | w[i - 1] >> (VIEW_BLOCK - 1);
}

/* Leaves the bits of low, high being those behind them, that have another one k places behind. */
static inline void view_keep(uint64_t *low, uint64_t *high, unsigned k)
{
    *low &= *low >> k | *high << (VIEW_BLOCK - k);
    *high &= *high >> k;
}

/* Which of the first 64 bits, high being those behind them, are the first of VIEW_BLOB_MIN in a row, of VIEW_SPELL_MIN, or of
 * VIEW_ROW_MIN. Shifts are constants, so that loops over words can be vectorized. */
static inline uint64_t view_first_of(uint64_t low, uint64_t high, unsigned least)
{
    _Static_assert(VIEW_ROW_MIN == 11 && VIEW_SPELL_MIN == 20 && VIEW_BLOB_MIN == 24,
                   "the steps below");
    view_keep(&low, &high, 1);
    view_keep(&low, &high, 2);
    view_keep(&low, &high, 4);
    if (least == VIEW_ROW_MIN) {
        view_keep(&low, &high, 3);
        return low;
    }
    view_keep(&low, &high, 8);
    view_keep(&low, &high, least == VIEW_BLOB_MIN ? 8 : 4);
    return low;
}

/* Where ones in a row begin in the words of the chunk. */
static inline void view_runs_of(const uint64_t *w, unsigned n, unsigned least, uint64_t *begin)
{
    uint64_t runs[VIEW_WORDS];

    runs[0] = view_first_of(w[0], w[1], least);
    for (unsigned i = 1; i <= n; i++)
        runs[i] = view_first_of(w[i], w[i + 1], least);
    for (unsigned i = 0; i < n; i++)
        begin[i] = runs[i + 1] & ~view_earlier(runs, i + 1);
}

/* Digits, and signs between them, three at most in a row; of the first word only the end is right. */
static inline void view_rows_of(const struct view_words *words, uint64_t row[VIEW_ALL_WORDS])
{
    const uint64_t *digits = words->of[VIEW_CLASS_DIGIT], *signs = words->of[VIEW_CLASS_SIGN];
    /* Signs that are the first, second and third behind a digit, and the last and last but one before the next. */
    uint64_t first[VIEW_WORDS], second[VIEW_WORDS], third[VIEW_WORDS], last[VIEW_ALL_WORDS],
        but_one[VIEW_ALL_WORDS];
    const unsigned n = words->n + VIEW_STEP;

    first[0] = signs[0] & digits[0] << 1;
    second[0] = signs[0] & first[0] << 1;
    third[0] = signs[0] & second[0] << 1;
    for (unsigned i = 1; i <= n; i++)
        first[i] = signs[i] & view_earlier(digits, i);
    for (unsigned i = 1; i <= n; i++)
        second[i] = signs[i] & view_earlier(first, i);
    for (unsigned i = 1; i <= n; i++)
        third[i] = signs[i] & view_earlier(second, i);
    for (unsigned i = 0; i < n; i++)
        last[i] = signs[i] & view_later(digits, i, 1);
    last[n] = 0; /* there is no text, or nobody asks */
    for (unsigned i = 0; i < n; i++)
        but_one[i] = signs[i] & view_later(last, i, 1);
    but_one[n] = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t but_two = signs[i] & view_later(but_one, i, 1);

        row[i] = digits[i] | (first[i] & (last[i] | but_one[i] | but_two)) |
                 (second[i] & (last[i] | but_one[i])) | (third[i] & last[i]);
    }
    row[n] = 0;
}

/* Last digits behind which, after up to three signs, a letter or a character beyond ASCII stands. */
static inline void view_odd_of(const struct view_words *words, uint64_t odd[VIEW_CHUNK_BLOCKS])
{
    const uint64_t *digits = words->of[VIEW_CLASS_DIGIT], *signs = words->of[VIEW_CLASS_SIGN],
                   *high = words->of[VIEW_CLASS_HIGH];
    uint64_t other[VIEW_WORDS];

    for (unsigned i = 0; i < words->n + VIEW_STEP; i++)
        other[i] = high[i] | (words->of[VIEW_CLASS_BASE64][i] & ~digits[i] & ~signs[i]);
    for (unsigned i = 0; i < words->n; i++) {
        uint64_t ends = digits[i + 1] & ~view_later(digits, i + 1, 1),
                 one = ends & view_later(signs, i + 1, 1), two = one & view_later(signs, i + 1, 2),
                 three = two & view_later(signs, i + 1, 3);

        odd[i] = (ends & view_later(high, i + 1, 1)) | (one & view_later(other, i + 1, 2)) |
                 (two & view_later(other, i + 1, 3)) | (three & view_later(other, i + 1, 4));
    }
}

/* What may begin an escape, and equals signs that may. */
static inline void view_said_of(const struct view_words *words, struct view_bits *out)
{
    const uint64_t *slash = words->of[VIEW_CLASS_BACKSLASH],
                   *percent = words->of[VIEW_CLASS_PERCENT], *letter = words->of[VIEW_CLASS_LETTER],
                   *base64 = words->of[VIEW_CLASS_BASE64], *equals = words->of[VIEW_CLASS_EQUALS],
                   *signs = words->of[VIEW_CLASS_SIGN];

    for (unsigned i = 0; i < words->n; i++) {
        uint64_t letters = view_later(letter, i + 1, 1),
                 doubled = view_later(slash, i + 1, 1) &
                           (view_later(letter, i + 1, 2) | view_later(slash, i + 1, 2));

        out->at[VIEW_MARK_ESCAPE][i] = (slash[i + 1] & (letters | doubled)) |
                                       (percent[i + 1] & (letters | view_later(base64, i + 1, 1)));
        out->at[VIEW_MARK_QUOTED][i] =
            equals[i + 1] & ~view_later(signs, i + 1, 1) & ~view_later(equals, i + 1, 1);
        out->at[VIEW_MARK_FOLD][i] = words->of[VIEW_CLASS_HIGH][i + 1];
    }
}

/* Do VIEW_SPELL_WORDS words begin in the row that begins at bit `at` of word i? Behind the words that are there, they may. */
static inline bool view_has_words(const uint64_t *row, const uint64_t *begins, unsigned n,
                                  unsigned i, unsigned at)
{
    uint64_t from = UINT64_MAX << at;
    unsigned found = 0;

    for (; i < n; i++, from = UINT64_MAX) {
        uint64_t over = ~row[i] & from;

        /* All in front of the first bit that is not in the row; without any, all. */
        found += (unsigned)__builtin_popcountll(begins[i] & from & ~over & (over - 1));
        if (found >= VIEW_SPELL_WORDS)
            return true;
        if (over != 0)
            return false;
    }
    return true;
}

/* Where rows begin of words that may be spelled digits, with digits and signs between them. */
static inline void view_spells_of(const struct view_words *words, uint64_t begin[VIEW_CHUNK_BLOCKS])
{
    const uint64_t *alpha = words->of[VIEW_CLASS_ALPHA], *high = words->of[VIEW_CLASS_HIGH],
                   *digits = words->of[VIEW_CLASS_DIGIT], *signs = words->of[VIEW_CLASS_SIGN],
                   *spell = words->of[VIEW_CLASS_SPELL];
    uint64_t letters[VIEW_ALL_WORDS], begins[VIEW_ALL_WORDS], row[VIEW_ALL_WORDS];
    const unsigned n = words->n + VIEW_STEP;

    letters[0] = alpha[0] | high[0];
    for (unsigned i = 1; i < n; i++)
        letters[i] = alpha[i] | high[i];
    /* Of the first word only the end is asked for. */
    begins[0] = letters[0] & ~(letters[0] << 1);
    row[0] = (letters[0] & ~(begins[0] & alpha[0] & ~spell[0])) | digits[0] | signs[0];
    for (unsigned i = 1; i < n; i++)
        begins[i] = letters[i] & ~view_earlier(letters, i);
    for (unsigned i = 1; i < n; i++)
        row[i] = (letters[i] & ~(begins[i] & alpha[i] & ~spell[i])) | digits[i] | signs[i];
    row[n] = 0;
    view_runs_of(row, words->n, VIEW_SPELL_MIN, begin);
    for (unsigned i = 0; i < words->n; i++)
        for (uint64_t left = begin[i]; left != 0; left &= left - 1)
            if (!view_has_words(row, begins, words->n + 2, i + 1, (unsigned)__builtin_ctzll(left)))
                begin[i] &= ~(left & -left);
}

static inline void view_bits_of(const struct view_words *words, struct view_bits *out)
{
    uint64_t row[VIEW_ALL_WORDS];

    view_runs_of(words->of[VIEW_CLASS_BASE64], words->n, VIEW_BLOB_MIN, out->at[VIEW_MARK_RUN]);
    view_rows_of(words, row);
    view_runs_of(row, words->n, VIEW_ROW_MIN, out->at[VIEW_MARK_ROW]);
    view_odd_of(words, out->at[VIEW_MARK_ODD]);
    view_spells_of(words, out->at[VIEW_MARK_SPELL]);
    view_said_of(words, out);
}

#endif
