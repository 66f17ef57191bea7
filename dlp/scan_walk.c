/* dlp/scan_walk.c - from a window to the starts in front of it, where its distance is not fixed. Thread: the scanner's. */
#include "dlp/rulec_anchor.h"
#include "dlp/scan.h"

enum { WORD = 64 }; /* bytes that are asked at once */

static bool is_word(unsigned char c)
{
    return (prefilter_flags[c] & 1) != 0;
}

/* Where the word that ends at `at` begins; at itself when none does. Places ascend by and large, so the
 * walk back stops where the last one was: linear over a leaf. */
static size_t word_start(struct scan_leaf *x, size_t at)
{
    size_t start = at;

    if (at >= x->word_start && at <= x->word_end)
        return x->word_start;
    while (start > 0 && is_word((unsigned char)x->text.ptr[start - 1])) {
        start--;
        if (start == x->word_end) {
            start = x->word_start;
            break;
        }
    }
    x->word_end = at;
    x->word_start = start;
    return start;
}

/* Where the target's window was last, unless that was too long ago. */
static struct scan_walk *walk_of(struct scan_leaf *x, const struct bundle_target *t, size_t at)
{
    uint32_t target = (uint32_t)(t - x->filter->targets);
    struct scan_walk *w = &x->s->walks[target % SCAN_WALKS];

    if (w->find != x->s->finds || w->target != target || w->at > at)
        *w = (struct scan_walk){.find = x->s->finds, .target = target};
    return w;
}

/* The first of those bytes of the set that stand in a row in front of `at`, not in front of stop. */
static inline size_t first_of_row(const struct scan_leaf *x, const struct bundle_set *set,
                                  size_t at, size_t stop)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;

    /* No byte is asked alone: where a row begins is hard to guess. */
    while (x->filter->level != PREFILTER_SCALAR && at > stop) {
        size_t n = at - stop < WORD ? at - stop : WORD;
        uint64_t others = ~x->filter->members(set, text + at - n, n) << (WORD - n);

        if (others != 0)
            return at - (size_t)__builtin_clzll(others);
        at -= n;
    }
    while (at > stop && rx_set_has(set, text[at - 1]))
        at--;
    return at;
}

/* The first byte of those in a row in front of `at` that may stand between a start and the window there; `least`: as far as one looks. Each
 * byte is read once, since windows ascend by and large. */
static size_t row_start(const struct scan_leaf *x, struct scan_walk *w,
                        const struct bundle_set *between, size_t at, size_t least)
{
    size_t start = first_of_row(x, between, at, w->at > least ? w->at : least);

    if (start == w->at && start > least)
        start = w->from > least ? w->from : least;
    w->at = at;
    w->from = start;
    return start;
}

/* Which bytes from `start` to `last`, and WORD at most, a match of the pattern can begin with: a bit each. */
static inline uint64_t firsts_at(const struct scan_leaf *x, const struct bundle_pattern *p,
                                 size_t start, size_t last)
{
    return x->filter->members(&x->rules->b->sets[p->first],
                              (const unsigned char *)x->text.ptr + start,
                              last - start < WORD ? last - start + 1 : WORD);
}

/* Offers the starts from `start` on. */
static void offer_each(struct scan_leaf *x, const struct bundle_target *t, size_t start, size_t at)
{
    const struct bundle_pattern *p = &x->rules->b->patterns[t->pattern];
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const bool word = prefilter_at_word(p);

    for (; start + t->min <= at; start += WORD) {
        for (uint64_t left = firsts_at(x, p, start, at - t->min); left != 0; left &= left - 1) {
            const size_t first = start + (size_t)__builtin_ctzll(left);

            if (!word || first == 0 || !is_word(text[first - 1]))
                scan_offer(x, t->pattern, first);
        }
    }
}

/* The same of starts that are alike: the first one stands for all. */
static void offer_first(struct scan_leaf *x, const struct bundle_target *t, size_t start, size_t at)
{
    for (; scan_next_start(x, t->pattern, at - t->min, &start); start++) {
        if (scan_is_refused(x, t->pattern, start) || scan_sleeps(x, t->pattern, start))
            continue;
        if (scan_name_fits(x, t->pattern, start) && scan_fits(x, t->pattern, start))
            scan_push_first(x, t->pattern, start, at - t->min);
        return;
    }
}

bool scan_next_start(const struct scan_leaf *x, uint32_t pattern, size_t last, size_t *start)
{
    const struct bundle_pattern *p = &x->rules->b->patterns[pattern];

    for (; *start <= last; *start += WORD) {
        for (uint64_t left = firsts_at(x, p, *start, last); left != 0; left &= left - 1) {
            const size_t first = *start + (size_t)__builtin_ctzll(left);

            if (scan_boundary_before(p->before, x->text, first)) {
                *start = first;
                return true;
            }
        }
    }
    return false;
}

void scan_offer_all(struct scan_leaf *x, const struct bundle_target *t, size_t at)
{
    const struct bundle_set *between = &x->rules->b->sets[t->between];
    bool alike = t->alike != 0 && !x->growing;
    size_t start, least = at > t->max ? at - t->max : 0;
    struct scan_walk *w;

    if (at < t->min || scan_is_dead(x, t->pattern))
        return;
    /* Deep inside a long word no start can be at a boundary. */
    if (x->filter->needs[t->pattern].at_word && word_start(x, at) < least)
        return;
    w = walk_of(x, t, at);
    /* Starts that an earlier window led to were offered then. */
    if (!alike && w->at > 0 && w->at + 1 > least + t->min)
        least = w->at + 1 - t->min;
    start = row_start(x, w, between, at, least);
    x->work += (at - start) / 4;
    if (alike)
        offer_first(x, t, start, at);
    else
        offer_each(x, t, start, at);
}
