/* dlp/bundle_run.h - what every matcher does beside its automata: counted loops over one set of bytes, and keeping the
 * longest match.
 *
 * This text is copied into every emitted source behind dlp/bundle_abi.h, and the interpreter includes it, so that both
 * mean the same. */
#ifndef DLP_BUNDLE_RUN_H
#define DLP_BUNDLE_RUN_H

/* Walks over at most max bytes of set from p on; NULL when there are fewer than min. */
static inline const unsigned char *bundle_run(const unsigned char *p, const unsigned char *lim,
                                              const struct bundle_set *set, uint32_t min,
                                              uint32_t max, struct bundle_match *m)
{
    const unsigned char *s = p, *end = lim;

    if ((size_t)(lim - p) > max)
        lim = p + max;
    while (p < lim && (set->w[*p >> 5] >> (*p & 31) & 1u) != 0)
        p++;
    m->cut |= p == end && (size_t)(p - s) < max;
    m->work += (uint32_t)(p - s) + 1;
    return (size_t)(p - s) < min ? NULL : p;
}

/* The same for long runs: goes on where an earlier one in the same bytes stopped. */
static inline const unsigned char *bundle_long_run(const unsigned char *p, const unsigned char *lim,
                                                   const struct bundle_set *set, uint32_t min,
                                                   uint32_t max, struct bundle_match *m,
                                                   struct bundle_memo *known)
{
    const unsigned char *s = p, *end = lim;

    if ((size_t)(lim - p) > max)
        lim = p + max;
    if (known->epoch != m->epoch || p < known->from || p > known->to) {
        known->epoch = m->epoch;
        known->from = known->to = p;
    }
    p = known->to < lim ? known->to : lim;
    m->work++;
    while (p < lim && (set->w[*p >> 5] >> (*p & 31) & 1u) != 0) {
        p++;
        m->work++;
    }
    if (p > known->to)
        known->to = p;
    m->cut |= p == end && (size_t)(p - s) < max;
    return (size_t)(p - s) < min ? NULL : p;
}

/* Takes the match [s, e) with the reported part [a, b) when it is longer than the one so far. */
static inline void bundle_keep(struct bundle_match *m, const unsigned char *s,
                               const unsigned char *a, const unsigned char *b,
                               const unsigned char *e)
{
    if (e - s <= (ptrdiff_t)m->len)
        return;
    m->len = (uint32_t)(e - s);
    m->start = (uint32_t)(a - s);
    m->end = (uint32_t)(b - s);
}

#endif
