/* dlp/scan_offer.c - from a window to the starts that are worth a try: what stands there, what the match would begin with, the name
 * that it begins with, what follows the window. Thread: the scanner's. */
#include <string.h>

#include "dlp/prefilter_head.h"
#include "dlp/prefilter_sequel.h"
#include "dlp/rulec.h"
#include "dlp/rulec_anchor.h"
#include "dlp/scan.h"

static bool is_word(unsigned char c)
{
    return (prefilter_flags[c] & 1) != 0;
}

/* ---- names -------------------------------------------------------------------------------- */

/* What may follow a name that ends at `to`. */
static uint64_t alive_behind(const struct scan_leaf *x, size_t to)
{
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    uint64_t alive = UINT64_MAX;

    for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++) {
        if (to + k < x->text.len)
            alive &= x->filter->behind_name[k][text[to + k]];
        else if (!x->growing || x->ended)
            alive &= x->filter->behind_name[k][0];
    }
    return alive;
}

/* Where the name that goes on at `at` ends, not behind stop. */
static inline size_t name_end(const struct scan_leaf *x, size_t at, size_t stop)
{
    enum { WORD = 64 };
    const unsigned char *text = (const unsigned char *)x->text.ptr;

    /* No byte is asked alone: where a name ends is hard to guess. */
    while (x->filter->level != PREFILTER_SCALAR && at < stop) {
        size_t n = stop - at < WORD ? stop - at : WORD;
        uint64_t others = ~x->filter->members(rx_names(), text + at, n);

        if (others != 0 && (size_t)__builtin_ctzll(others) < n)
            return at + (size_t)__builtin_ctzll(others);
        at += n;
    }
    while (at < stop && rx_is_name(text[at]))
        at++;
    return at;
}

/* The name that goes on at `at` and is none of the last ones. Many starts stand in one: each is read once, but for those that end soon
 * behind a start. */
static const struct scan_name *read_name(struct scan_leaf *x, size_t at)
{
    struct scan_name *further = &x->names[x->names[1].to > x->names[0].to], *n;
    size_t to = name_end(
        x, at, further->from > at && further->from < x->text.len ? further->from : x->text.len);

    x->work += to - at;
    if (to == further->from) {
        further->from = at;
        return further;
    }
    n = &x->names[further == x->names];
    *n = (struct scan_name){at, to, alive_behind(x, to)};
    return n;
}

static inline const struct scan_name *name_at(struct scan_leaf *x, size_t at)
{
    for (unsigned i = 0; i < 2; i++)
        if (at >= x->names[i].from && at <= x->names[i].to)
            return &x->names[i];
    return read_name(x, at);
}

bool scan_name_fits(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    const struct prefilter_need *need = &x->filter->needs[pattern];
    const struct scan_name *n;

    if (need->name == PREFILTER_ANY_NAME)
        return true;
    n = name_at(x, at);
    return (n->alive >> need->name & 1) != 0 &&
           (n->to - at <= need->name_max || need->name_max == UINT16_MAX);
}

/* ---- beginnings --------------------------------------------------------------------------- */

/* Can a match begin with these bytes, as far as the head's compare does not say it? */
static inline bool head_fits(const struct scan_leaf *x, const struct prefilter_head *h,
                             const unsigned char *p)
{
    const struct bundle_set *sets = x->rules->b->sets;

    return x->filter->level == PREFILTER_AVX512 ? prefilter_unsaid_avx512(h, sets, p)
                                                : prefilter_unsaid_scalar(h, sets, p);
}

/* Can a match of pattern begin at `at`, and end with a token at one of its lengths? by_name: and does what is behind the name there fit? */
static bool begins(struct scan_leaf *x, uint32_t pattern, size_t at, bool by_name)
{
    const struct prefilter *f = x->filter;
    const unsigned char *p = (const unsigned char *)x->text.ptr + at;
    unsigned char tail[BUNDLE_HEAD_BYTES] = {0};
    uint64_t head[2];

    if (f->needs[pattern].lengths != UINT64_MAX &&
        (f->needs[pattern].lengths & scan_ends_at(x, at)) == 0)
        return false;
    if (x->text.len - at < sizeof(tail))
        p = memcpy(tail, p, x->text.len - at);
    memcpy(head, p, sizeof(head));
    for (uint32_t i = f->first_head[pattern]; i < f->first_head[pattern + 1]; i++) {
        if (!prefilter_head_fits(&f->heads[i], head))
            continue;
        /* It is the same for all heads, and costs less than the sets. */
        if (by_name && !scan_name_fits(x, pattern, at))
            return false;
        by_name = false;
        if (head_fits(x, &f->heads[i], p))
            return true;
    }
    return false;
}

bool scan_fits(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    return begins(x, pattern, at, false);
}

/* ---- targets ------------------------------------------------------------------------------ */

void scan_offer(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    if (!scan_is_refused(x, pattern, at) && begins(x, pattern, at, true))
        scan_push(x, pattern, at);
}

/* Is there a word's beginning at `start`, if the pattern's matches have to begin with one? */
static inline bool has_boundary(const struct scan_leaf *x, uint32_t pattern, size_t start)
{
    return !x->filter->needs[pattern].at_word || start == 0 ||
           !is_word((unsigned char)x->text.ptr[start - 1]);
}

/* Can a match of the pattern begin at `start`? */
static inline bool may_begin(struct scan_leaf *x, uint32_t pattern, size_t start)
{
    return has_boundary(x, pattern, start) && begins(x, pattern, start, true) &&
           !scan_is_dead(x, pattern);
}

/* Is it worth asking what follows a window of the pattern's match at `start`? Windows stand together, and many lead to one start: it is asked
 * once. */
static struct scan_asked *ask(struct scan_leaf *x, uint32_t pattern, size_t start)
{
    struct scan_asked *a = &x->s->asked[pattern % SCAN_ASKED];

    if (a->find == x->s->finds && a->pattern == pattern && a->start == start)
        return a;
    *a = (struct scan_asked){x->s->finds, pattern, (uint32_t)start, false};
    a->is_open = may_begin(x, pattern, start);
    return a;
}

/* Can a match of the target, with but one distance, hold what stands in front of a window at `at`? That is asked where the window is far
 * behind the match's start, such as the == of a long key in base64: what is between is next to the window, and tells most. */
static inline bool may_lead(const struct scan_leaf *x, const struct bundle_target *t, size_t at)
{
    enum { FAR = BUNDLE_HEAD_BYTES + BUNDLE_AROUND_BEFORE, WORD = 64 };
    const size_t n = t->min < WORD ? t->min : WORD;

    return at >= t->min &&
           (t->min < FAR || x->filter->members(&x->rules->b->sets[t->between],
                                               (const unsigned char *)x->text.ptr + at - n,
                                               n) == UINT64_MAX >> (WORD - n));
}

/* Offers the start of a target with but one distance: most have. follows: it is known that what follows fits. */
static inline void offer_fixed(struct scan_leaf *x, const struct bundle_target *t, size_t at,
                               bool follows)
{
    struct scan_asked *a;

    if (!may_lead(x, t, at))
        return;
    a = ask(x, t->pattern, at - t->min);
    if (!a->is_open || (!follows && !scan_sequel_fits(x, t->sequel, at + t->sequel_at)))
        return;
    a->is_open = false;
    scan_push(x, t->pattern, at - t->min);
}

void scan_offer_target(struct scan_leaf *x, const struct bundle_target *t, size_t at)
{
    x->work++;
    if (t->min != t->max) {
        if (scan_sequel_fits(x, t->sequel, at + t->sequel_at))
            scan_offer_all(x, t, at);
    } else if (may_lead(x, t, at) && may_begin(x, t->pattern, at - t->min) &&
               scan_sequel_fits(x, t->sequel, at + t->sequel_at)) {
        scan_push(x, t->pattern, at - t->min);
    }
}

void scan_offer_seen(struct scan_leaf *x, const struct bundle_target *t, size_t at)
{
    const size_t start = at - t->min;

    x->work++;
    if (t->min != t->max) {
        if (scan_sequel_fits(x, t->sequel, at + t->sequel_at))
            scan_offer_all(x, t, at);
    } else if (at >= t->min && has_boundary(x, t->pattern, start) &&
               (x->filter->needs[t->pattern].lengths & scan_ends_at(x, start)) != 0 &&
               !scan_is_dead(x, t->pattern) && scan_name_fits(x, t->pattern, start) &&
               scan_sequel_fits(x, t->sequel, at + t->sequel_at)) {
        scan_push(x, t->pattern, start);
    }
}

/* Which of n targets from the i-th on fit what is around a window at `at`. Where many do, the name that it stands in is asked, which is one for
 * all, and what follows, which *follows then says of some; else each start is asked, where most have been refused for less. */
static inline uint64_t fitting(struct scan_leaf *x, uint32_t i, unsigned n,
                               const uint64_t around[2], size_t at, uint64_t *follows)
{
    const struct prefilter *f = x->filter;
    uint64_t found = f->fitting(f->arounds + (size_t)PREFILTER_AROUND_WORDS * i, n, around),
             others = found & (found - 1);
    const struct scan_name *name;

    *follows = 0;
    if (found == 0 || (others & (others - 1)) == 0)
        return found;
    name = name_at(x, at);
    x->work++;
    found = f->named(f, i, found, name->alive, name->to - at);
    if (f->sequels_of[i] == 0)
        return found;
    x->work++;
    return prefilter_sequels_left(f, &f->sequels[f->sequels_of[i] - 1], found,
                                  (const unsigned char *)x->text.ptr, at, x->text.len, follows);
}

void scan_offer_targets(struct scan_leaf *x, uint32_t i, uint32_t end, const uint64_t around[2],
                        size_t at)
{
    const struct prefilter *f = x->filter;

    for (; i < end; i += PREFILTER_AROUNDS) {
        unsigned n = end - i < PREFILTER_AROUNDS ? end - i : PREFILTER_AROUNDS;
        uint64_t follows;

        for (uint64_t left = fitting(x, i, n, around, at, &follows); left != 0; left &= left - 1) {
            const unsigned bit = (unsigned)__builtin_ctzll(left);
            const struct bundle_target *t = &f->targets[i + bit];
            const bool is_sure = (follows >> bit & 1) != 0;

            x->work++;
            if (t->min == t->max)
                offer_fixed(x, t, at, is_sure);
            else if (is_sure || scan_sequel_fits(x, t->sequel, at + t->sequel_at))
                scan_offer_all(x, t, at);
        }
    }
}
