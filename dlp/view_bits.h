/* dlp/view_bits.h - where views may begin in 64 blocks of 64 bytes, in bits (view_marks.h). Private to dlp/view_classes*.c, each of which
 * compiles it for its instructions: words are taken by as many as a register holds. */
#ifndef DLP_VIEW_BITS_H
#define DLP_VIEW_BITS_H

#include <string.h>

#include "dlp/view.h"
#include "dlp/view_marks.h"

/* Words of a register; loops over words take VIEW_STEP or less a step. */
#if defined(__AVX512F__)
typedef uint64_t view_lanes __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef uint64_t view_lanes __attribute__((vector_size(32)));
#else
typedef uint64_t view_lanes __attribute__((vector_size(16)));
#endif
enum { VIEW_STEP = 8, VIEW_LANES = sizeof(view_lanes) / sizeof(uint64_t) };

static inline view_lanes view_load(const uint64_t *w)
{
    view_lanes v;

    memcpy(&v, w, sizeof(v));
    return v;
}

static inline void view_store(uint64_t *w, view_lanes v)
{
    memcpy(w, &v, sizeof(v));
}

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

/* Bits n places behind those of the words at w, and in front of them. */
static inline view_lanes view_later(const uint64_t *w, unsigned n)
{
    return view_load(w) >> n | view_load(w + 1) << (VIEW_BLOCK - n);
}

static inline view_lanes view_before(const uint64_t *w, unsigned n)
{
    return view_load(w) << n | view_load(w - 1) >> (VIEW_BLOCK - n);
}

/* Leaves the bits of low, high being those behind them, that have another one k places behind. */
static inline void view_keep(view_lanes *low, view_lanes *high, unsigned k)
{
    *low &= *low >> k | *high << (VIEW_BLOCK - k);
    *high &= *high >> k;
}

/* Which bits of the words at w are the first of VIEW_BLOB_MIN in a row, of VIEW_SPELL_MIN, or of VIEW_ROW_MIN. */
static inline view_lanes view_first_of(const uint64_t *w, unsigned least)
{
    view_lanes low = view_load(w), high = view_load(w + 1);

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

    for (unsigned i = 0; i <= n; i += VIEW_LANES)
        view_store(&runs[i], view_first_of(&w[i], least));
    for (unsigned i = 0; i < n; i += VIEW_LANES)
        view_store(&begin[i], view_load(&runs[i + 1]) & ~view_before(&runs[i + 1], 1));
}

/* Digits, and signs between them, three at most in a row; of the first word only the end is right. */
static inline void view_rows_of(const struct view_words *words, uint64_t row[VIEW_ALL_WORDS])
{
    const uint64_t *digits = words->of[VIEW_CLASS_DIGIT], *signs = words->of[VIEW_CLASS_SIGN];

    /* Asked for is its last bit, with those behind it: whether a digit comes then, these say. */
    row[0] = digits[0];
    for (unsigned n = 1; n <= 3; n++)
        row[0] |= row[0] << 1 & signs[0];
    for (unsigned i = 1; i <= words->n + 1; i += VIEW_LANES) {
        view_lanes d = view_load(&digits[i]), s = view_load(&signs[i]);
        /* Signs with one in front, and two; behind. */
        view_lanes s1 = s & view_before(&signs[i], 1), s2 = s1 & view_before(&signs[i], 2),
                   t1 = s & view_later(&signs[i], 1), t2 = t1 & view_later(&signs[i], 2);
        /* Those that are the first, second and third behind a digit, and the last ones before the next. */
        view_lanes first = s & view_before(&digits[i], 1), second = s1 & view_before(&digits[i], 2),
                   third = s2 & view_before(&digits[i], 3), last = s & view_later(&digits[i], 1),
                   but_one = last | (t1 & view_later(&digits[i], 2)),
                   but_two = but_one | (t2 & view_later(&digits[i], 3));

        view_store(&row[i], d | (first & but_two) | (second & but_one) | (third & last));
    }
}

/* Last digits behind which, after up to three signs, a letter or a character beyond ASCII stands. */
static inline void view_odd_of(const struct view_words *words, uint64_t odd[VIEW_CHUNK_BLOCKS])
{
    const uint64_t *digits = words->of[VIEW_CLASS_DIGIT], *signs = words->of[VIEW_CLASS_SIGN],
                   *high = words->of[VIEW_CLASS_HIGH], *base64 = words->of[VIEW_CLASS_BASE64];

    for (unsigned i = 1; i <= words->n; i += VIEW_LANES) {
        view_lanes ends = view_load(&digits[i]) & ~view_later(&digits[i], 1),
                   one = ends & view_later(&signs[i], 1), two = one & view_later(&signs[i], 2),
                   three = two & view_later(&signs[i], 3),
                   now = view_load(&high[i]) |
                         (view_load(&base64[i]) & ~view_load(&digits[i]) & ~view_load(&signs[i])),
                   then = view_load(&high[i + 1]) |
                          (view_load(&base64[i + 1]) & ~view_load(&digits[i + 1]) &
                           ~view_load(&signs[i + 1]));

        view_store(&odd[i - 1], (ends & view_later(&high[i], 1)) | (one & (now >> 2 | then << 62)) |
                                    (two & (now >> 3 | then << 61)) |
                                    (three & (now >> 4 | then << 60)));
    }
}

/* What may begin an escape, and equals signs that may. */
static inline void view_said_of(const struct view_words *words, struct view_bits *out)
{
    const uint64_t *slash = words->of[VIEW_CLASS_BACKSLASH],
                   *percent = words->of[VIEW_CLASS_PERCENT], *letter = words->of[VIEW_CLASS_LETTER],
                   *base64 = words->of[VIEW_CLASS_BASE64], *equals = words->of[VIEW_CLASS_EQUALS],
                   *signs = words->of[VIEW_CLASS_SIGN], *high = words->of[VIEW_CLASS_HIGH];

    for (unsigned i = 1; i <= words->n; i += VIEW_LANES) {
        view_lanes letters = view_later(&letter[i], 1),
                   doubled = view_later(&slash[i], 1) &
                             (view_later(&letter[i], 2) | view_later(&slash[i], 2));

        view_store(&out->at[VIEW_MARK_ESCAPE][i - 1],
                   (view_load(&slash[i]) & (letters | doubled)) |
                       (view_load(&percent[i]) & (letters | view_later(&base64[i], 1))));
        view_store(&out->at[VIEW_MARK_QUOTED][i - 1],
                   view_load(&equals[i]) & ~view_later(&signs[i], 1) & ~view_later(&equals[i], 1));
        view_store(&out->at[VIEW_MARK_FOLD][i - 1], view_load(&high[i]));
    }
}

/* Do VIEW_SPELL_WORDS words begin in the row that begins at bit `at` of word i? Behind the words that are there, they may. */
static inline bool view_has_words(const uint64_t *row, const uint64_t *begins, unsigned n,
                                  unsigned i, unsigned at)
{
    /* The 64 bits from there on: most rows end among them. */
    uint64_t over = ~(row[i] >> at | row[i + 1] << 1 << (63 - at)),
             here = begins[i] >> at | begins[i + 1] << 1 << (63 - at), from = UINT64_MAX << at;
    unsigned found = (unsigned)__builtin_popcountll(here & ~over & (over - 1));

    if (found >= VIEW_SPELL_WORDS || over != 0)
        return found >= VIEW_SPELL_WORDS;
    for (found = 0; i < n; i++, from = UINT64_MAX) {
        over = ~row[i] & from;
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
    uint64_t begins[VIEW_ALL_WORDS], row[VIEW_ALL_WORDS];

    /* Of the first word only the end is asked for. */
    begins[0] = alpha[0] | high[0];
    begins[0] &= ~(begins[0] << 1);
    row[0] = ((alpha[0] | high[0]) & ~(begins[0] & alpha[0] & ~spell[0])) | digits[0] | signs[0];
    for (unsigned i = 1; i <= words->n + 1; i += VIEW_LANES) {
        view_lanes a = view_load(&alpha[i]), letters = a | view_load(&high[i]),
                   begin_here = letters & ~(view_before(&alpha[i], 1) | view_before(&high[i], 1));

        view_store(&begins[i], begin_here);
        view_store(&row[i], (letters & ~(begin_here & a & ~view_load(&spell[i]))) |
                                view_load(&digits[i]) | view_load(&signs[i]));
    }
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
