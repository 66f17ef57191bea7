/* dlp/view_marks.c - the pass over a text that finds where views may begin (view_marks.h). Any thread.
 *
 * Each kind goes on behind what it has read, as a walk over the text would, so the places are those at which the walk stops. */
#include "dlp/view_marks.h"

#include <stdlib.h>
#include <string.h>

#include "dlp/view.h"
#include "dlp/view_find.h"
#include "dlp/view_spell.h"

enum {
    CHUNK_BLOCKS = 32,
    LEAST_ROW = 11, /* bytes of a row worth a view, with its signs: nine digits in three groups */
    LIST_FREE = 64, /* places, besides one for each LIST_EVERY bytes of text */
    LIST_EVERY = 128,
};

void view_marks_fini(struct view_marks *m)
{
    for (unsigned i = 0; i < VIEW_MARKS; i++)
        free(m->list[i].at); /* numbers only */
    memset(m, 0, sizeof(*m));
}

void view_marks_trim(struct view_marks *m)
{
    enum { KEEP = 4096 }; /* places */

    for (unsigned i = 0; i < VIEW_MARKS; i++)
        if (m->list[i].cap > KEEP) {
            free(m->list[i].at);
            m->list[i] = (struct view_list){.at = NULL};
        }
}

size_t view_marks_from(const struct view_marks *m, enum view_mark_kind kind, size_t at, size_t len)
{
    const struct view_list *list = m == NULL ? NULL : &m->list[kind];
    unsigned lo = 0, hi = list == NULL ? 0 : list->n;

    if (list == NULL || at >= list->upto)
        return at;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (list->at[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < list->n)
        return list->at[lo];
    return list->upto < len ? list->upto : len;
}

/* ---- the pass ------------------------------------------------------------------------------ */

/* Where it is. */
struct pass {
    struct gw_span text;
    struct view_marks *marks;
    size_t resume[VIEW_MARKS]; /* where each kind goes on */
    size_t quoted;             /* the last one; SIZE_MAX: none */
    /* Of the block before: its digits, and signs that are the first and the second behind one. */
    uint64_t digits, first, second;
    size_t row, run; /* bytes of a row of numbers, and of a run, at its end */
};

/* Notes a place. */
static void mark(struct pass *ps, enum view_mark_kind kind, size_t at)
{
    struct view_list *list = &ps->marks->list[kind];

    if (at >= list->upto || (list->n > 0 && list->at[list->n - 1] >= at))
        return;
    if (list->n == list->cap) {
        unsigned cap = list->cap == 0 ? LIST_FREE : list->cap * 2;
        uint32_t *more = cap > LIST_FREE + ps->text.len / LIST_EVERY * 2
                             ? NULL
                             : realloc(list->at, cap * sizeof(*more));

        if (more == NULL) {
            list->upto = at;
            return;
        }
        list->at = more;
        list->cap = cap;
    }
    list->at[list->n++] = (uint32_t)at;
}

/* Bits n places behind each, of a block and the one behind it. */
static inline uint64_t later(const struct view_block *b, enum view_class class_, unsigned n)
{
    return b[0].of[class_] >> n | b[1].of[class_] << (VIEW_BLOCK - n);
}

/* Those in front: bits before are of the block before. */
static inline uint64_t earlier(uint64_t bits, uint64_t before)
{
    return bits << 1 | before >> (VIEW_BLOCK - 1);
}

static inline unsigned ones_below(uint64_t bits)
{
    return bits == UINT64_MAX ? VIEW_BLOCK : (unsigned)__builtin_ctzll(~bits);
}

/* The ones at the end of a block, with those in front when it is full. */
static inline size_t ones_at_end(uint64_t bits, size_t before)
{
    return bits == UINT64_MAX ? before + VIEW_BLOCK : (size_t)(unsigned)__builtin_clzll(~bits);
}

/* ---- runs and rows ------------------------------------------------------------------------- */

static void take_run(struct pass *ps, size_t at)
{
    bool worth;

    if (at < ps->resume[VIEW_MARK_RUN])
        return;
    ps->resume[VIEW_MARK_RUN] = view_stretch_at(ps->text, at, &worth);
    if (worth)
        mark(ps, VIEW_MARK_RUN, at);
}

static inline void find_runs(struct pass *ps, size_t at, uint64_t digits)
{
    uint64_t runs = digits & digits >> 1;
    unsigned first = ones_below(digits);

    _Static_assert(VIEW_BLOB_MIN == 24, "the shifts below");
    runs &= runs >> 2;
    runs &= runs >> 4;
    runs &= runs >> 8;
    runs &= runs >> 8;
    if (ps->run < VIEW_BLOB_MIN && ps->run + first >= VIEW_BLOB_MIN)
        take_run(ps, at - ps->run);
    for (uint64_t begins = runs & ~(runs << 1) & ~UINT64_C(1); begins != 0; begins &= begins - 1)
        take_run(ps, at + (size_t)__builtin_ctzll(begins));
    ps->run = ones_at_end(digits, ps->run);
}

static void take_row(struct pass *ps, size_t at)
{
    bool worth;
    size_t end;

    if (at < ps->resume[VIEW_MARK_ROW])
        return;
    end = view_row_at(ps->text, at, &worth);
    if (worth)
        mark(ps, VIEW_MARK_ROW, at);
    ps->resume[VIEW_MARK_ROW] = end;
}

/* Of those digits that end before up to three signs, the ones behind which the row may go on in an odd way. */
static uint64_t odd_ends(const struct view_block *b, uint64_t ends)
{
    uint64_t one = ends & later(b, VIEW_CLASS_SIGN, 1), two = one & later(b, VIEW_CLASS_SIGN, 2),
             three = two & later(b, VIEW_CLASS_SIGN, 3), odd = 0;
    struct view_block letters[2];

    if (one != 0) {
        for (unsigned i = 0; i < 2; i++)
            letters[i].of[VIEW_CLASS_BASE64] =
                b[i].of[VIEW_CLASS_BASE64] & ~b[i].of[VIEW_CLASS_DIGIT] & ~b[i].of[VIEW_CLASS_SIGN];
        odd = (one & later(letters, VIEW_CLASS_BASE64, 2)) |
              (two & later(letters, VIEW_CLASS_BASE64, 3)) |
              (three & later(letters, VIEW_CLASS_BASE64, 4));
    }
    if ((b[0].of[VIEW_CLASS_HIGH] | b[1].of[VIEW_CLASS_HIGH]) != 0)
        odd |= (ends & later(b, VIEW_CLASS_HIGH, 1)) | (one & later(b, VIEW_CLASS_HIGH, 2)) |
               (two & later(b, VIEW_CLASS_HIGH, 3)) | (three & later(b, VIEW_CLASS_HIGH, 4));
    return odd;
}

/* Digits, and signs between them, three at most in a row. */
static inline uint64_t row_bits(struct pass *ps, const struct view_block *b)
{
    const uint64_t digits = b[0].of[VIEW_CLASS_DIGIT], signs = b[0].of[VIEW_CLASS_SIGN];
    const struct view_block *next = &b[1];
    /* Signs that are the first, second, third behind a digit, and before the next one. */
    uint64_t first = signs & earlier(digits, ps->digits),
             second = signs & earlier(first, ps->first),
             third = signs & earlier(second, ps->second);
    uint64_t next_last = next->of[VIEW_CLASS_SIGN] & next->of[VIEW_CLASS_DIGIT] >> 1,
             next_but_one = next->of[VIEW_CLASS_SIGN] & next_last >> 1;
    uint64_t last = signs & later(b, VIEW_CLASS_DIGIT, 1),
             but_one = signs & (last >> 1 | next_last << (VIEW_BLOCK - 1)),
             but_two = signs & (but_one >> 1 | next_but_one << (VIEW_BLOCK - 1));

    ps->digits = digits;
    ps->first = first;
    ps->second = second;
    return digits | (first & (last | but_one | but_two)) | (second & (last | but_one)) |
           (third & last);
}

/* Where the row of the digit at bit `end` begins. */
static size_t row_start(const struct pass *ps, size_t at, uint64_t row, unsigned end)
{
    uint64_t gaps = ~row & ((UINT64_C(1) << end) - 1);

    return gaps == 0 ? at - ps->row : at + VIEW_BLOCK - (size_t)(unsigned)__builtin_clzll(gaps);
}

static void find_rows(struct pass *ps, size_t at, const struct view_block *b)
{
    uint64_t row = row_bits(ps, b), ends = ps->digits & ~later(b, VIEW_CLASS_DIGIT, 1),
             runs = row & row >> 1, starts;

    _Static_assert(LEAST_ROW == 11, "the shifts below");
    runs &= runs >> 2;
    runs &= runs >> 4;
    runs &= runs >> 3;
    starts = runs & ~(runs << 1) & ~UINT64_C(1);
    if (ps->row < LEAST_ROW && ps->row + ones_below(row) >= LEAST_ROW)
        take_row(ps, at - ps->row);
    for (uint64_t odd = odd_ends(b, ends); odd != 0; odd &= odd - 1) {
        unsigned end = (unsigned)__builtin_ctzll(odd);
        size_t start;

        if (!view_row_goes_on(ps->text, at + end + 1))
            continue;
        start = row_start(ps, at, row, end);
        if (start < at)
            take_row(ps, start);
        else
            starts |= UINT64_C(1) << (start - at);
    }
    for (; starts != 0; starts &= starts - 1)
        take_row(ps, at + (size_t)__builtin_ctzll(starts));
    ps->row = ones_at_end(row, ps->row);
}

/* ---- escapes and characters ---------------------------------------------------------------- */

static void find_escapes(struct pass *ps, size_t at, const struct view_block *b)
{
    uint64_t slashes = b[0].of[VIEW_CLASS_BACKSLASH], letters = later(b, VIEW_CLASS_LETTER, 1);
    uint64_t said = slashes & letters;

    if (slashes != 0)
        said |= slashes & later(b, VIEW_CLASS_BACKSLASH, 1) &
                (later(b, VIEW_CLASS_LETTER, 2) | later(b, VIEW_CLASS_BACKSLASH, 2));
    said |= b[0].of[VIEW_CLASS_PERCENT] & (letters | later(b, VIEW_CLASS_BASE64, 1));
    for (; said != 0; said &= said - 1) {
        size_t place = at + (size_t)__builtin_ctzll(said);
        bool worth = false;
        unsigned len;

        if (place < ps->resume[VIEW_MARK_ESCAPE] ||
            !view_is_said(ps->text.ptr + place, ps->text.len - place))
            continue;
        len = view_escape_at(ps->text, place, &worth);
        if (worth)
            mark(ps, VIEW_MARK_ESCAPE, place);
        ps->resume[VIEW_MARK_ESCAPE] = place + len;
    }
}

static void find_quoted(struct pass *ps, size_t at, const struct view_block *b)
{
    uint64_t signs = b[0].of[VIEW_CLASS_EQUALS] & ~later(b, VIEW_CLASS_SIGN, 1) &
                     ~later(b, VIEW_CLASS_EQUALS, 1);

    for (; signs != 0; signs &= signs - 1) {
        size_t place = at + (size_t)__builtin_ctzll(signs);
        bool worth = false;

        if (place + 1 >= ps->text.len || !view_is_quoted(ps->text.ptr[place + 1]))
            continue;
        (void)view_quoted_at(ps->text, place, &worth);
        if (!worth)
            continue;
        if (ps->quoted != SIZE_MAX && place - ps->quoted <= VIEW_QUOTED_CLOSE) {
            mark(ps, VIEW_MARK_QUOTED, ps->quoted);
            mark(ps, VIEW_MARK_QUOTED, place);
        }
        ps->quoted = place;
    }
}

static void find_words(struct pass *ps, size_t at, uint64_t high)
{
    for (; high != 0; high &= high - 1) {
        size_t place = at + (size_t)__builtin_ctzll(high);
        bool worth;

        if (place < ps->resume[VIEW_MARK_FOLD])
            continue;
        ps->resume[VIEW_MARK_FOLD] = view_word_at(ps->text, place, &worth);
        if (worth)
            mark(ps, VIEW_MARK_FOLD, place);
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void find_in_block(struct pass *ps, size_t at, const struct view_block *b)
{
    const uint64_t *of = b->of;

    find_runs(ps, at, of[VIEW_CLASS_BASE64]);
    if (of[VIEW_CLASS_DIGIT] != 0)
        find_rows(ps, at, b);
    else
        ps->digits = ps->first = ps->second = ps->row = 0;
    if ((of[VIEW_CLASS_BACKSLASH] | of[VIEW_CLASS_PERCENT]) != 0)
        find_escapes(ps, at, b);
    if (of[VIEW_CLASS_EQUALS] != 0)
        find_quoted(ps, at, b);
    if (of[VIEW_CLASS_HIGH] != 0)
        find_words(ps, at, of[VIEW_CLASS_HIGH]);
}

static void classify(const char *p, size_t n, struct view_block *out, unsigned n_blocks)
{
#if defined(__x86_64__)
    if (view_has_avx512()) {
        view_classes_avx512(p, n, out, n_blocks);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        view_classes_avx2(p, n, out, n_blocks);
        return;
    }
#endif
    view_classes(p, n, out, n_blocks);
}

/* What the lists say that the text may hold. */
static unsigned may_hold(const struct pass *ps)
{
    static const unsigned may[VIEW_MARKS] = {
        [VIEW_MARK_QUOTED] = VIEW_MAY_QUOTE, [VIEW_MARK_ESCAPE] = VIEW_MAY_ESCAPE,
        [VIEW_MARK_FOLD] = VIEW_MAY_FOLD,    [VIEW_MARK_ROW] = VIEW_MAY_DIGIT,
        [VIEW_MARK_RUN] = VIEW_MAY_BLOB,
    };
    unsigned found = 0;

    for (unsigned i = 0; i < VIEW_MARKS; i++)
        found |= ps->marks->list[i].n != 0 || ps->marks->list[i].upto != SIZE_MAX ? may[i] : 0;
    return found;
}

unsigned view_test(struct gw_span text, struct view_marks *m)
{
    struct pass ps = {.text = text, .marks = m, .quoted = SIZE_MAX};
    struct view_block blocks[CHUNK_BLOCKS + 1];
    uint64_t high = 0;
    unsigned may = 0;

    for (unsigned i = 0; i < VIEW_MARKS; i++) {
        m->list[i].n = 0;
        m->list[i].upto = SIZE_MAX;
    }
    for (size_t from = 0; from < text.len; from += (size_t)CHUNK_BLOCKS * VIEW_BLOCK) {
        size_t left = text.len - from;
        unsigned n = left < (size_t)CHUNK_BLOCKS * VIEW_BLOCK
                         ? (unsigned)((left + VIEW_BLOCK - 1) / VIEW_BLOCK)
                         : CHUNK_BLOCKS;

        classify(text.ptr + from, left, blocks, n + 1);
        for (unsigned i = 0; i < n; i++) {
            find_in_block(&ps, from + (size_t)i * VIEW_BLOCK, &blocks[i]);
            high |= blocks[i].of[VIEW_CLASS_HIGH];
        }
    }
    may = may_hold(&ps);
    if (view_may_spell_row(text))
        may |= VIEW_MAY_SPELL;
    /* What nobody sees begins with this byte. */
    if (high != 0 && memchr(text.ptr, 0xF3, text.len) != NULL)
        may |= VIEW_MAY_TAG;
    return may;
}
