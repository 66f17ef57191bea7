/* dlp/scan_sequel.c - asks what stands behind a window, before any start in front of it is. Thread: the scanner's. */
#include "dlp/rulec_regex.h"
#include "dlp/scan.h"

/* Where the bytes of the set in a row that begin at `at` end, at most `most` further. */
static inline size_t end_of(const unsigned char *text, size_t len, size_t at, size_t most,
                            const struct bundle_set *set)
{
    size_t end = len - at < most ? len : at + most;

    while (at < end && rx_set_has(set, text[at]))
        at++;
    return at;
}

/* Can n bytes of the set in a row begin in [from, to]? What is behind the text is of the set if it goes on. */
static bool has_run(const unsigned char *text, size_t len, size_t from, size_t to, uint32_t n,
                    const struct bundle_set *set, bool goes_on)
{
    size_t first = from;

    for (size_t at = from; at < len && first <= to; at++) {
        if (!rx_set_has(set, text[at]))
            first = at + 1;
        else if (at + 1 - first >= n)
            return true;
    }
    return first <= to && goes_on;
}

static bool fits(struct scan_leaf *x, const struct bundle_sequel *q, size_t at)
{
    const struct bundle_set *sets = x->rules->b->sets;
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const size_t len = x->text.len;
    const bool goes_on = x->growing && !x->ended;

    for (unsigned k = 0; k < q->n_parts && at < len; k++) {
        const struct bundle_set *skip = &sets[q->part[k].skip], *run = &sets[q->part[k].run];
        const uint32_t n = q->part[k].n, most = q->part[k].most;
        size_t from = at, to = end_of(text, len, at, BUNDLE_SEQUEL_FAR + 1, skip);

        x->work += (to - at) / 4;
        if (to - from > BUNDLE_SEQUEL_FAR && most > BUNDLE_SEQUEL_FAR)
            return true;
        if (k + 1 == q->n_parts) /* the run may begin in what could be skipped */
            return has_run(text, len, from, to - from > most ? from + most : to, n, run, goes_on);
        if (to - from > most)
            return false;
        at = end_of(text, len, to, n, run);
        if (at < len && at - to < n)
            return false;
    }
    return goes_on;
}

bool scan_sequel_fits(struct scan_leaf *x, uint32_t sequel, size_t at)
{
    const struct bundle_sequel *q = &x->rules->b->sequels[sequel];

    if (q->n_parts == 0)
        return true;
    if (x->sequel_at != at || x->sequel != sequel) {
        x->sequel = sequel;
        x->sequel_at = at;
        x->sequel_fits = fits(x, q, at);
    }
    return x->sequel_fits;
}
