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
    size_t worded,
        numbered; /* no row of words for digits begins in front, without digits and with */
    bool spells;  /* one was seen */
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

/* ---- what a place is ----------------------------------------------------------------------- */

static void take_run(struct pass *ps, size_t at)
{
    bool worth;

    if (at < ps->resume[VIEW_MARK_RUN])
        return;
    ps->resume[VIEW_MARK_RUN] = view_stretch_at(ps->text, at, &worth);
    if (worth)
        mark(ps, VIEW_MARK_RUN, at);
}

static void take_row(struct pass *ps, size_t at)
{
    bool worth;

    if (at < ps->resume[VIEW_MARK_ROW])
        return;
    ps->resume[VIEW_MARK_ROW] = view_row_at(ps->text, at, &worth);
    if (worth)
        mark(ps, VIEW_MARK_ROW, at);
}

static void take_escape(struct pass *ps, size_t at)
{
    bool worth;
    unsigned len;

    if (at < ps->resume[VIEW_MARK_ESCAPE] || !view_is_said(ps->text.ptr + at, ps->text.len - at))
        return;
    len = view_escape_at(ps->text, at, &worth);
    if (worth)
        mark(ps, VIEW_MARK_ESCAPE, at);
    ps->resume[VIEW_MARK_ESCAPE] = at + len;
}

static void take_quoted(struct pass *ps, size_t at)
{
    bool worth;

    if (at + 1 >= ps->text.len || !view_is_quoted(ps->text.ptr[at + 1]))
        return;
    (void)view_quoted_at(ps->text, at, &worth);
    if (!worth)
        return;
    if (ps->quoted != SIZE_MAX && at - ps->quoted <= VIEW_QUOTED_CLOSE) {
        mark(ps, VIEW_MARK_QUOTED, ps->quoted);
        mark(ps, VIEW_MARK_QUOTED, at);
    }
    ps->quoted = at;
}

static void take_word(struct pass *ps, size_t at)
{
    bool worth;

    if (at < ps->resume[VIEW_MARK_FOLD])
        return;
    ps->resume[VIEW_MARK_FOLD] = view_word_at(ps->text, at, &worth);
    if (worth)
        mark(ps, VIEW_MARK_FOLD, at);
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* Takes all places of a kind in a chunk. */
static inline void take_all(struct pass *ps, size_t from, const struct view_bits *bits,
                            enum view_mark_kind kind, void (*take)(struct pass *, size_t))
{
    for (uint64_t any = bits->any[kind]; any != 0; any &= any - 1) {
        unsigned block = (unsigned)__builtin_ctzll(any);
        size_t at = from + (size_t)block * VIEW_BLOCK;

        for (uint64_t left = bits->at[kind][block]; left != 0; left &= left - 1)
            take(ps, at + (size_t)__builtin_ctzll(left));
    }
}

/* Looks at the blocks of a chunk in which words for digits are close. */
static void take_words(struct pass *ps, size_t from, const struct view_bits *bits)
{
    for (uint64_t any = bits->any[VIEW_MARK_SPELL]; any != 0 && !ps->spells; any &= any - 1) {
        const unsigned block = (unsigned)__builtin_ctzll(any);
        const size_t at = from + (size_t)block * VIEW_BLOCK,
                     begin = at < VIEW_SPELL_MOST ? 0 : at - VIEW_SPELL_MOST;
        uint64_t left = bits->at[VIEW_MARK_SPELL][block];
        unsigned n = 0, len = 0;

        for (int more = __builtin_popcountll(left);
             n + (unsigned)more >= VIEW_SPELL_CLOSE && more > 0; more--, left &= left - 1)
            n += view_spelled(ps->text, at + (size_t)__builtin_ctzll(left), &len) >= 0;
        if (n >= VIEW_SPELL_CLOSE)
            ps->spells = view_spells_row(ps->text, begin < ps->worded ? ps->worded : begin,
                                         at + VIEW_BLOCK, &ps->worded);
    }
}

/* A row of digits that begins at `start` goes on in an odd way behind `end`: do words for digits? */
static void take_words_at(struct pass *ps, size_t start, size_t end)
{
    if (ps->spells)
        return; /* it is not looked for any more, so what is in front would be passed again and again */
    if (start >= ps->numbered)
        ps->spells = view_spells_row(ps->text, view_spell_begin(ps->text, start, ps->numbered), end,
                                     &ps->numbered);
}

/* Turns places at which a row may go on in an odd way into where these rows begin. A row in front of the chunk is taken at once: those
 * that begin there are taken already. */
static void find_odd(struct pass *ps, size_t from, struct view_bits *bits)
{
    for (uint64_t any = bits->any[VIEW_MARK_ODD]; any != 0; any &= any - 1) {
        unsigned block = (unsigned)__builtin_ctzll(any);
        size_t at = from + (size_t)block * VIEW_BLOCK;

        for (uint64_t left = bits->at[VIEW_MARK_ODD][block]; left != 0; left &= left - 1) {
            size_t end = view_digit_before(ps->text, at + (size_t)__builtin_ctzll(left)), start;

            if (end == 0 || !view_row_goes_on(ps->text, end))
                continue;
            start = view_row_start(ps->text, end - 1);
            take_words_at(ps, start, end);
            if (start < from) {
                take_row(ps, start);
                continue;
            }
            block = (unsigned)((start - from) / VIEW_BLOCK);
            bits->at[VIEW_MARK_ROW][block] |= UINT64_C(1) << (start % VIEW_BLOCK);
            bits->any[VIEW_MARK_ROW] |= UINT64_C(1) << block;
        }
    }
}

/* Takes the rows of digits of a chunk, and words for them. */
static void take_numbers(struct pass *ps, size_t from, struct view_bits *bits)
{
    find_odd(ps, from, bits);
    take_all(ps, from, bits, VIEW_MARK_ROW, take_row);
    take_words(ps, from, bits);
}

static void find_bits(struct gw_span text, size_t from, struct view_bits *out)
{
#if defined(__x86_64__)
    if (view_has_avx512()) {
        view_bits_avx512(text, from, out);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        view_bits_avx2(text, from, out);
        return;
    }
#endif
    view_bits(text, from, out);
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

/* Is it plain that a short text holds nothing? */
static bool is_plain(struct gw_span text)
{
    enum { SPECIAL = 1 << VIEW_CLASS_SLASH | 1 << VIEW_CLASS_PERCENT | 1 << VIEW_CLASS_HIGH };
    unsigned digits = 0, any = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        any |= view_class_of[c] | (unsigned)(c >> 7) << VIEW_CLASS_HIGH;
        digits += view_class_of[c] >> VIEW_CLASS_DIGIT & 1;
    }
    return (any & SPECIAL) == 0 && digits < VIEW_ROW_CLOSE;
}

unsigned view_test(struct gw_span text, struct view_marks *m, bool numbers)
{
    struct pass ps = {.text = text, .marks = m, .quoted = SIZE_MAX};
    struct view_bits bits;
    uint64_t high = 0;
    unsigned may;

    for (unsigned i = 0; i < VIEW_MARKS; i++) {
        m->list[i].n = 0;
        m->list[i].upto = SIZE_MAX;
    }
    if (text.len <= VIEW_SHORT && is_plain(text))
        return 0;
    for (size_t from = 0; from < text.len; from += VIEW_CHUNK) {
        find_bits(text, from, &bits);
        high |= bits.any[VIEW_MARK_FOLD];
        take_all(&ps, from, &bits, VIEW_MARK_RUN, take_run);
        if (numbers)
            take_numbers(&ps, from, &bits);
        take_all(&ps, from, &bits, VIEW_MARK_ESCAPE, take_escape);
        take_all(&ps, from, &bits, VIEW_MARK_QUOTED, take_quoted);
        take_all(&ps, from, &bits, VIEW_MARK_FOLD, take_word);
    }
    may = may_hold(&ps);
    if (ps.spells)
        may |= VIEW_MAY_SPELL;
    /* What nobody sees begins with this byte. */
    if (high != 0 && memchr(text.ptr, 0xF3, text.len) != NULL)
        may |= VIEW_MAY_TAG;
    return may;
}
