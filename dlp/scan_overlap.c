/* dlp/scan_overlap.c - of findings that overlap, the strongest stays: confidence, then length, then the
 * earlier start, then the earlier rule. Thread: the scanner's. */
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"

enum {
    MAX_ALTERNATIVES = 64, /* looked back at for one of the same rule */
    MAX_STEPS = 4096,      /* of an insertion */
    FEW = 64,              /* findings that overlap, of which each is inserted where it belongs */
};

static int by_strength(const void *a, const void *b)
{
    const struct dlp_finding *x = a, *y = b;
    uint32_t x_len = x->end - x->start, y_len = y->end - y->start;

    if (x->confidence != y->confidence)
        return x->confidence > y->confidence ? -1 : 1;
    if (x_len != y_len)
        return x_len > y_len ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static int by_start(const void *a, const void *b)
{
    const struct dlp_finding *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* Are they in order, and does none overlap another? */
static bool are_apart(const struct dlp_finding *f, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        if (f[i].start < f[i - 1].end)
            return false;
    return true;
}

/* Where f belongs among n findings that are sorted and do not overlap. */
static unsigned place_of(const struct dlp_finding *kept, unsigned n, const struct dlp_finding *f)
{
    unsigned lo = 0, hi = n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (kept[mid].start < f->start)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int by_place(const void *a, const void *b)
{
    const struct dlp_finding *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return by_strength(a, b);
}

/* Of the n findings in s->order, by strength: behind the kept ones come those of other rules that lie inside a kept one,
 * each rule once in it; then all are sorted by place. */
static void add_alternatives(struct dlp_scanner *s, unsigned first, unsigned n)
{
    struct dlp_finding *kept = s->found + first;
    unsigned n_kept = s->n_found - first, n_all = n_kept;

    for (unsigned i = 0; i < n; i++) {
        const struct dlp_finding *f = &s->order[i];
        unsigned at = place_of(kept, n_kept, f);
        const struct dlp_finding *over = at < n_kept && kept[at].start == f->start ? &kept[at]
                                         : at > 0                                  ? &kept[at - 1]
                                                                                   : NULL;
        bool is_known = over == NULL || f->end > over->end || f->rule == over->rule;
        unsigned back = n_all - n_kept < MAX_ALTERNATIVES ? n_kept : n_all - MAX_ALTERNATIVES;

        for (unsigned k = back; k < n_all && !is_known; k++)
            is_known =
                kept[k].rule == f->rule && kept[k].start < over->end && kept[k].end > over->start;
        if (!is_known)
            kept[n_all++] = *f;
    }
    qsort(kept, n_all, sizeof(*kept), by_place);
    s->n_found = first + n_all;
}

/* Sorts by start, in a few steps where nearly all are in order as they are. Findings at one start keep theirs. */
static void sort_by_start(struct dlp_finding *f, unsigned n)
{
    unsigned steps = 0;

    for (unsigned i = 1; i < n; i++) {
        struct dlp_finding one = f[i];
        unsigned k = i;

        for (; k > 0 && f[k - 1].start > one.start; k--, steps++)
            f[k] = f[k - 1];
        f[k] = one;
        if (steps > MAX_STEPS) {
            qsort(f, n, sizeof(*f), by_start);
            return;
        }
    }
}

/* Of n findings in order of their strength keeps those that overlap no stronger one, in order. Returns how many. */
static unsigned insert_strongest(struct dlp_finding *kept, unsigned n,
                                 const struct dlp_finding *order)
{
    unsigned n_kept = 0;

    for (unsigned i = 0; i < n; i++) {
        const struct dlp_finding *f = &order[i];
        unsigned at = place_of(kept, n_kept, f);

        if ((at > 0 && kept[at - 1].end > f->start) || (at < n_kept && kept[at].start < f->end))
            continue;
        memmove(kept + at + 1, kept + at, (n_kept - at) * sizeof(*kept));
        kept[at] = *f;
        n_kept++;
    }
    return n_kept;
}

/* Takes the bits [from, to), at least one, if none of them is taken. */
static bool take(uint64_t *map, size_t from, size_t to)
{
    const uint64_t first = UINT64_MAX << (from % 64), last = UINT64_MAX >> (63 - (to - 1) % 64);
    const size_t begin = from / 64, end = (to - 1) / 64;

    for (size_t w = begin; w <= end; w++)
        if ((map[w] & (w == begin ? first : UINT64_MAX) & (w == end ? last : UINT64_MAX)) != 0)
            return false;
    for (size_t w = begin; w <= end; w++)
        map[w] |= (w == begin ? first : UINT64_MAX) & (w == end ? last : UINT64_MAX);
    return true;
}

/* The same for many: the bytes that are taken are noted, a bit each, since insertions would take as many steps as there are pairs. False
 * when out of memory. */
static bool map_strongest(struct dlp_finding *kept, unsigned n, const struct dlp_finding *order,
                          unsigned *n_kept)
{
    uint32_t from = UINT32_MAX, to = 0;
    uint64_t *map;

    for (unsigned i = 0; i < n; i++) {
        from = order[i].start < from ? order[i].start : from;
        to = order[i].end > to ? order[i].end : to;
    }
    map = calloc(((size_t)to - from) / 64 + 1, sizeof(*map));
    if (map == NULL)
        return false;
    *n_kept = 0;
    for (unsigned i = 0; i < n; i++)
        if (take(map, order[i].start - from, order[i].end - from))
            kept[(*n_kept)++] = order[i];
    free(map);
    qsort(kept, *n_kept, sizeof(*kept), by_start);
    return true;
}

/* Of n findings keeps the strongest that do not overlap, in order, and says how many. False when out of memory. */
static bool keep_strongest(struct dlp_finding *kept, unsigned n, struct dlp_finding *order,
                           unsigned *n_kept)
{
    memcpy(order, kept, n * sizeof(*kept));
    qsort(order, n, sizeof(*order), by_strength);
    if (n > FEW)
        return map_strongest(kept, n, order, n_kept);
    *n_kept = insert_strongest(kept, n, order);
    return true;
}

/* The same for n findings in order, of which most overlap none. */
static bool keep_apart(struct dlp_finding *f, unsigned n, struct dlp_finding *order,
                       unsigned *n_kept)
{
    *n_kept = 0;
    for (unsigned i = 0, more; i < n; i += more) {
        uint32_t end = f[i].end;
        unsigned kept = 1;

        for (more = 1; i + more < n && f[i + more].start < end; more++)
            end = f[i + more].end > end ? f[i + more].end : end;
        if (*n_kept != i)
            memmove(f + *n_kept, f + i, more * sizeof(*f));
        if (more > 1 && !keep_strongest(f + *n_kept, more, order, &kept))
            return false;
        *n_kept += kept;
    }
    return true;
}

enum gw_status scan_resolve(struct dlp_scanner *s, unsigned first)
{
    unsigned n = s->n_found - first, n_kept = 0;
    struct dlp_finding *kept = s->found + first;

    if (n > s->cap_order) {
        struct dlp_finding *grown = realloc(s->order, s->cap_found * sizeof(*grown));

        if (grown == NULL)
            return GW_ENOMEM;
        s->order = grown;
        s->cap_order = s->cap_found;
    }
    if (s->alternatives) {
        if (n > 0 && !keep_strongest(kept, n, s->order, &n_kept))
            return GW_ENOMEM;
        s->n_found = first + n_kept;
        add_alternatives(s, first, n);
        return GW_OK;
    }
    if (are_apart(kept, n))
        return GW_OK;
    sort_by_start(kept, n);
    if (!keep_apart(kept, n, s->order, &n_kept))
        return GW_ENOMEM;
    s->n_found = first + n_kept;
    return GW_OK;
}

void scan_count_apart(struct scan_leaf *x, const struct dlp_finding *f, bool counts)
{
    struct scan_heaps *h = &x->heaps;
    const bool is_kept = !counts;

    if (f->start >= h->to) {
        *h = (struct scan_heaps){h->n + is_kept, is_kept, f->start, f->end};
    } else {
        /* It may begin in front of others: a heap has a byte at least, so no more than there are bytes between become one. */
        size_t fewer = (f->start < h->from ? h->from - f->start : 0) + (h->is_kept && !is_kept);

        h->n -= h->n < fewer ? h->n : (unsigned)fewer;
        h->is_kept = h->is_kept && is_kept;
        h->from = f->start < h->from ? f->start : h->from;
        h->to = f->end > h->to ? f->end : h->to;
    }
    if (x->s->most != 0 && h->n > x->s->most)
        x->st = GW_ELIMIT;
}
