/* dlp/scan_overlap.c - of findings that overlap, the strongest stays: confidence, then length, then the
 * earlier start, then the earlier rule. Thread: the scanner's. */
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"

enum { MAX_ALTERNATIVES = 64 }; /* looked back at for one of the same rule */

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
    memcpy(s->order, kept, n * sizeof(*kept));
    qsort(s->order, n, sizeof(*s->order), by_strength);
    for (unsigned i = 0; i < n; i++) {
        const struct dlp_finding *f = &s->order[i];
        unsigned at = place_of(kept, n_kept, f);

        if ((at > 0 && kept[at - 1].end > f->start) || (at < n_kept && kept[at].start < f->end))
            continue;
        memmove(kept + at + 1, kept + at, (n_kept - at) * sizeof(*kept));
        kept[at] = *f;
        n_kept++;
    }
    s->n_found = first + n_kept;
    if (s->alternatives)
        add_alternatives(s, first, n);
    return GW_OK;
}
