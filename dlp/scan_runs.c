/* dlp/scan_runs.c - runs of long tokens that stand elsewhere than where a word begins (scan_find.c has the others).
 *
 * Nearly all of them have their match's beginning at one distance in front, mostly where a word begins: so the beginnings are gone
 * through and asked for what is known of a match's first bytes, and the run's bytes are looked at last, each once for a run.
 * Thread: the scanner's. */
#include "dlp/rulec.h"
#include "dlp/rulec_regex.h"
#include "dlp/scan.h"

static bool is_word(unsigned char c)
{
    return (prefilter_flags[c] & 1) != 0;
}

void scan_words_in(const struct scan_leaf *x, size_t from, size_t to, struct scan_words *words)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const uint64_t *begin = x->s->places.begin;
    unsigned n = 0;
    size_t at = from;

    words->base = from;
    for (; at < to && at < x->chunk; at++)
        if (at == 0 || !is_word(text[at - 1]))
            words->at[n++] = (uint16_t)(at - from);
    while (at < to) {
        size_t block = (at - x->chunk) / 64, bit = (at - x->chunk) % 64;
        uint64_t left = begin[block] >> bit;

        if (to - at < 64)
            left &= (UINT64_C(1) << (to - at)) - 1;
        for (; left != 0; left &= left - 1)
            words->at[n++] = (uint16_t)(at - from + (size_t)__builtin_ctzll(left));
        at += 64 - bit;
    }
    words->n = n;
}

/* text[from, to) has only bytes of a set; closed: the one behind has not. */
struct stretch {
    size_t from, to;
    bool closed;
};

/* Do n bytes of the set stand at `at`? Places ascend, so each byte is looked at once. */
static bool stands(const struct scan_leaf *x, const struct bundle_set *set, struct stretch *s,
                   size_t at, size_t n, size_t end)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;

    if (at < s->from || at > s->to || (s->closed && at == s->to))
        *s = (struct stretch){at, at, false};
    while (!s->closed && s->to < end && s->to < at + n) {
        s->closed = !rx_set_has(set, text[s->to]);
        s->to += !s->closed;
    }
    return s->to - at >= n;
}

/* Notes a run that can only begin where a token does, and so only at `from`, where the row begins. */
static void offer_first(struct scan_leaf *x, const struct bundle_run *run, size_t from, size_t end)
{
    const struct bundle_target *t = &run->target;
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    struct stretch s = {SIZE_MAX, SIZE_MAX, false};

    x->work++;
    if (from >= t->min && (prefilter_flags[text[from - 1]] & 2) == 0 &&
        rx_set_has(&x->rules->b->sets[t->between], text[from - 1]) &&
        scan_fits(x, t->pattern, from - t->min) &&
        stands(x, &x->rules->b->sets[run->set], &s, from, run->n, end))
        scan_push(x, t->pattern, from - t->min);
}

/* Notes a run with its match's beginning at one distance in front. */
static void offer_fixed(struct scan_leaf *x, const struct bundle_run *run,
                        const struct scan_words *words, size_t from, size_t to, size_t end)
{
    const struct bundle *b = x->rules->b;
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const struct bundle_target *t = &run->target;
    const struct bundle_pattern *p = &b->patterns[t->pattern];
    const struct bundle_set *set = &b->sets[run->set], *first = &b->sets[p->first];
    size_t start = from < t->min ? 0 : from - t->min;
    struct stretch s = {SIZE_MAX, SIZE_MAX, false};

    if (to < t->min)
        return;
    to -= t->min;
    if (!prefilter_at_word(p)) {
        x->work += (to - start) / 4;
        for (; start < to && x->st == GW_OK; start++)
            if (rx_set_has(first, text[start]) && scan_fits(x, t->pattern, start) &&
                stands(x, set, &s, start + t->min, run->n, end))
                scan_push(x, t->pattern, start);
        return;
    }
    for (unsigned i = 0; i < words->n && x->st == GW_OK; i++) {
        size_t at = words->base + words->at[i];

        if (at < start || at >= to || !rx_set_has(first, text[at]))
            continue;
        x->work++;
        if (scan_fits(x, t->pattern, at) && stands(x, set, &s, at + t->min, run->n, end))
            scan_push(x, t->pattern, at);
    }
}

/* The same when the distance may be any of some and the run stands at all of [from, to): each start once, with the first place that it
 * can have. */
static void offer_any(struct scan_leaf *x, const struct bundle_run *run, size_t from, size_t to)
{
    const struct bundle_target *t = &run->target;
    const struct bundle_pattern *p = &x->rules->b->patterns[t->pattern];
    const struct bundle_set *between = &x->rules->b->sets[t->between];
    const struct bundle_set *first = &x->rules->b->sets[p->first];
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    size_t start = from, least = from > t->max ? from - t->max : 0, done;
    bool word = prefilter_at_word(p);

    if (from >= to)
        return;
    while (start > least && rx_set_has(between, text[start - 1]))
        start--;
    x->work += (to - start) / 4;
    /* text[start, done) may stand between. */
    for (done = from; start + t->min < to && x->st == GW_OK; start++) {
        size_t at = start + t->min > from ? start + t->min : from;

        done = done > start ? done : start;
        while (done < at && rx_set_has(between, text[done]))
            done++;
        if (done < at) {
            start = done; /* nothing goes over this byte */
            continue;
        }
        if (rx_set_has(first, text[start]) && (!word || start == 0 || !is_word(text[start - 1])) &&
            scan_fits(x, t->pattern, start))
            scan_push(x, t->pattern, start);
    }
}

/* Looks for each stretch of such a run's set. */
static void find_any(struct scan_leaf *x, const struct bundle_run *run, size_t from, size_t to,
                     size_t end)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const struct bundle_set *set = &x->rules->b->sets[run->set];

    for (size_t start = from; start < to && start + run->n <= end && x->st == GW_OK;) {
        size_t stop = start, last;

        while (stop < end && rx_set_has(set, text[stop]))
            stop++;
        last = stop - start < run->n ? start : stop - run->n + 1;
        offer_any(x, run, start, last < to ? last : to);
        start = stop + 1;
    }
}

void scan_runs_anywhere(struct scan_leaf *x, const struct prefilter_runs *group,
                        const struct scan_words *words, size_t from, size_t to, size_t end)
{
    for (uint32_t i = group->first; i < group->end && x->st == GW_OK; i++) {
        const struct prefilter_run *known = &x->filter->runs[i];
        const struct bundle_run *run = &x->rules->b->runs[known->index];

        if (end - from < known->n || scan_is_dead(x, known->pattern))
            continue;
        if (known->is_first)
            offer_first(x, run, from, end);
        else if (run->target.min == run->target.max)
            offer_fixed(x, run, words, from, to, end);
        else
            find_any(x, run, from, to, end);
    }
}
