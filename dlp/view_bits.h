/* dlp/view_bits.h - where views may begin in 64 blocks of 64 bytes, in bits (view_marks.h). Private to dlp/view_classes*.c, each of which
 * compiles it for its instructions: words are taken by as many as a register holds. */
#ifndef DLP_VIEW_BITS_H
#define DLP_VIEW_BITS_H

#include <string.h>

#include "dlp/lanes.h"
#include "dlp/view.h"
#include "dlp/view_marks.h"

/* Loops over words take so many a step. */
enum { VIEW_STEP = 8 };
_Static_assert((int)VIEW_STEP % (int)LANES_WORDS == 0, "whole registers");

/* Classes of a chunk, from VIEW_FIRST on; a block in front of it, and two behind and what fills up a step. */
enum { VIEW_FIRST = 8, VIEW_ALL_WORDS = VIEW_FIRST + VIEW_CHUNK_BLOCKS + 2 * VIEW_STEP };
struct view_words {
    _Alignas(64) uint64_t of[VIEW_CLASSES][VIEW_ALL_WORDS];
    unsigned n; /* words of the chunk in which a text is, a multiple of VIEW_STEP */
};

/* Says how many words the chunk at `from` has, and returns how many of them have text, with the one in front and at most two behind. */
static inline unsigned view_words_begin(struct view_words *words, size_t len, size_t from)
{
    const size_t blocks = (len - from + VIEW_BLOCK - 1) / VIEW_BLOCK;
    unsigned n = blocks < VIEW_CHUNK_BLOCKS ? (unsigned)blocks : VIEW_CHUNK_BLOCKS;

    words->n = (n + VIEW_STEP - 1) / VIEW_STEP * VIEW_STEP;
    return 1 + (blocks < n + 2 ? (unsigned)blocks : n + 2);
}

/* Makes those from i on zeroes, to the last that is asked for, and those in front of all that are filled. */
static inline void view_words_clear(struct view_words *words, unsigned i)
{
    for (unsigned k = 0; k < VIEW_CLASSES; k++) {
        words->of[k][VIEW_FIRST - 2] = words->of[k][VIEW_FIRST - 1] = 0;
        for (unsigned at = i; at < VIEW_FIRST + words->n + VIEW_STEP; at += LANES_WORDS)
            lanes_store(&words->of[k][at], (lanes){0});
    }
}

/* Bits n places behind those of the words at w, and in front of them. */
static inline lanes view_later(const uint64_t *w, unsigned n)
{
    return lanes_shift(lanes_load(w), lanes_load(w + 1), n);
}

static inline lanes view_before(const uint64_t *w, unsigned n)
{
    return lanes_shift(lanes_load(w - 1), lanes_load(w), VIEW_BLOCK - n);
}

/* Words that have n bits or more, not as 0; the rest as 0. */
static inline lanes view_close(lanes v, unsigned n)
{
    while (--n > 0)
        v &= v - 1;
    return v;
}

/* Leaves the bits of low, high being those behind them, that have another one k places behind. */
static inline void view_keep(lanes *low, lanes *high, unsigned k)
{
    *low &= lanes_shift(*low, *high, k);
    *high &= *high >> k;
}

/* Where VIEW_BLOB_MIN digits of base64 in a row begin. */
static inline lanes view_runs_at(const struct view_words *words, unsigned i)
{
    const uint64_t *w = &words->of[VIEW_CLASS_BASE64][i];
    lanes low = lanes_load(w), high = lanes_load(w + 1);

    _Static_assert(VIEW_BLOB_MIN == 24, "the steps below");
    view_keep(&low, &high, 1);
    view_keep(&low, &high, 2);
    view_keep(&low, &high, 4);
    view_keep(&low, &high, 8);
    view_keep(&low, &high, 8);
    return low & ~view_before(w, 1);
}

/* Digits, and signs between them, three at most in a row. */
static inline lanes view_row_of(const struct view_words *words, unsigned i)
{
    const uint64_t *digits = &words->of[VIEW_CLASS_DIGIT][i],
                   *signs = &words->of[VIEW_CLASS_SIGN][i];
    lanes d = lanes_load(digits), s = lanes_load(signs);
    /* Signs with one in front, and two; behind. */
    lanes s1 = s & view_before(signs, 1), s2 = s1 & view_before(signs, 2),
          t1 = s & view_later(signs, 1), t2 = t1 & view_later(signs, 2);
    /* Those that are the first, second and third behind a digit, and the last ones before the next. */
    lanes first = s & view_before(digits, 1), second = s1 & view_before(digits, 2),
          third = s2 & view_before(digits, 3), last = s & view_later(digits, 1),
          but_one = last | (t1 & view_later(digits, 2)),
          but_two = but_one | (t2 & view_later(digits, 3));

    return d | (first & but_two) | (second & but_one) | (third & last);
}

/* Where VIEW_ROW_MIN of a row begin, of which VIEW_ROW_CLOSE digits are in this block or the next. */
static inline lanes view_rows_at(const struct view_words *words, unsigned i)
{
    const uint64_t *digits = &words->of[VIEW_CLASS_DIGIT][i];
    lanes few = view_close(lanes_load(digits), VIEW_ROW_CLOSE), low, high, before;

    /* Mostly there are none, in the one behind the last block either. */
    if ((lanes_any(few) | (digits[LANES_WORDS] & (digits[LANES_WORDS] - 1))) == 0)
        return few;
    few |= view_close(lanes_load(digits + 1), VIEW_ROW_CLOSE);
    low = view_row_of(words, i);
    high = view_row_of(words, i + 1);
    before = lanes_shift(view_row_of(words, i - 1), low, VIEW_BLOCK - 1);
    _Static_assert(VIEW_ROW_MIN == 11, "the steps below");
    view_keep(&low, &high, 1);
    view_keep(&low, &high, 2);
    view_keep(&low, &high, 4);
    view_keep(&low, &high, 3);
    return low & ~before & (lanes)(few != 0);
}

/* What may be words, and bytes beyond ASCII, two to four places behind a digit; or beyond ASCII, behind one. */
static inline lanes view_odd_at(const struct view_words *words, unsigned i)
{
    const uint64_t *digits = &words->of[VIEW_CLASS_DIGIT][i],
                   *signs = &words->of[VIEW_CLASS_SIGN][i];
    lanes high = lanes_load(&words->of[VIEW_CLASS_HIGH][i]),
          words_at = high | (lanes_load(&words->of[VIEW_CLASS_ALPHA][i]) &
                             lanes_load(&words->of[VIEW_CLASS_SPELL][i]));

    return (high & view_before(digits, 1)) |
           (words_at & view_before(signs, 1) &
            (view_before(digits, 2) | view_before(digits, 3) | view_before(digits, 4)));
}

/* Words that may be digits. */
static inline lanes view_spells_at(const struct view_words *words, unsigned i)
{
    const uint64_t *alpha = &words->of[VIEW_CLASS_ALPHA][i], *high = &words->of[VIEW_CLASS_HIGH][i];
    lanes letters = lanes_load(alpha) | lanes_load(high);

    return letters & lanes_load(&words->of[VIEW_CLASS_SPELL][i]) &
           ~lanes_shift(lanes_load(alpha - 1) | lanes_load(high - 1), letters, VIEW_BLOCK - 1);
}

/* What may begin an escape. */
static inline lanes view_escapes_at(const struct view_words *words, unsigned i)
{
    const uint64_t *slash = &words->of[VIEW_CLASS_SLASH][i],
                   *letter = &words->of[VIEW_CLASS_LETTER][i],
                   *base64 = &words->of[VIEW_CLASS_BASE64][i];
    lanes slashes = lanes_load(slash), percent = lanes_load(&words->of[VIEW_CLASS_PERCENT][i]),
          letters = view_later(letter, 1),
          doubled = view_later(slash, 1) & (view_later(letter, 2) | view_later(slash, 2));

    return (slashes & ~percent & (letters | doubled)) |
           (percent & ~slashes & (letters | view_later(base64, 1)));
}

/* Equals signs that may begin one. */
static inline lanes view_quoted_in(const struct view_words *words, unsigned i)
{
    return lanes_load(&words->of[VIEW_CLASS_SLASH][i]) &
           lanes_load(&words->of[VIEW_CLASS_PERCENT][i]) &
           view_later(&words->of[VIEW_CLASS_QUOTED][i], 1);
}

/* Notes the places of a kind in the words from i on. */
static inline void view_put(struct view_bits *out, enum view_mark_kind kind, unsigned i, lanes v)
{
    lanes_store(&out->at[kind][i], v);
    out->any[kind] |= lanes_any(v) << i;
}

static inline void view_bits_of(const struct view_words *words, struct view_bits *out)
{
    memset(out->any, 0, sizeof(out->any));
    for (unsigned i = 0; i < words->n; i += LANES_WORDS) {
        unsigned at = VIEW_FIRST + i;
        lanes spells = view_spells_at(words, at);

        view_put(out, VIEW_MARK_RUN, i, view_runs_at(words, at));
        view_put(out, VIEW_MARK_ROW, i, view_rows_at(words, at));
        view_put(out, VIEW_MARK_ODD, i, view_odd_at(words, at));
        view_put(out, VIEW_MARK_ESCAPE, i, view_escapes_at(words, at));
        view_put(out, VIEW_MARK_QUOTED, i, view_quoted_in(words, at));
        view_put(out, VIEW_MARK_FOLD, i, lanes_load(&words->of[VIEW_CLASS_HIGH][at]));
        lanes_store(&out->at[VIEW_MARK_SPELL][i], spells);
        out->any[VIEW_MARK_SPELL] |= lanes_any(view_close(spells, VIEW_SPELL_CLOSE)) << i;
    }
}

#endif
