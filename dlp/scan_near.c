/* dlp/scan_near.c - a rule's second pattern, beside a match of its first. Thread: the scanner's.
 *
 * A near has no anchor: every place within its reach is tried, so its cost is the window times its matcher, and counts as
 * work like a matcher's. The nearest one is taken, so that what is found does not depend on what else stands further off. */
#include "dlp/scan.h"

/* Tries the pattern at `at`, reading below lim. */
static bool matches_at(struct scan_leaf *x, uint32_t pattern, size_t at, size_t lim, size_t *start,
                       size_t *end)
{
    const struct bundle_pattern *p = &x->rules->b->patterns[pattern];
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const struct bundle_set *first = &x->rules->b->sets[p->first];
    struct bundle_match m = {.epoch = x->s->epoch, .memo = x->s->memo + p->first_memo};
    size_t left = lim - at;

    x->work++;
    if ((first->w[text[at] >> 5] >> (text[at] & 31) & 1u) == 0 ||
        !scan_boundary_before(p->before, x->text, at))
        return false;
    bundle_match(x->rules, pattern, text + at, text + at + (left < p->reach ? left : p->reach), &m);
    x->work += m.work;
    if (m.len == 0 || m.end <= m.start || !scan_boundary_after(p->after, x->text, at + m.len))
        return false;
    *start = at + m.start;
    *end = at + m.end;
    return true;
}

bool scan_near(struct scan_leaf *x, const struct bundle_near *near, const struct scan_match *m,
               size_t *start, size_t *end)
{
    size_t left = x->text.len - m->match_end;
    size_t lim = left > near->behind ? m->match_end + near->behind : x->text.len;
    size_t least = m->match_start > near->before ? m->match_start - near->before : 0;
    size_t ahead = SIZE_MAX; /* bytes between the match and what was found behind it */

    for (size_t at = m->match_end; at < lim; at++) {
        if (matches_at(x, near->pattern, at, lim, start, end)) {
            ahead = at - m->match_end;
            break;
        }
    }
    for (size_t at = m->match_start; at > least && m->match_start - at < ahead; at--)
        if (matches_at(x, near->pattern, at - 1, m->match_start, start, end))
            return true;
    return ahead != SIZE_MAX;
}
