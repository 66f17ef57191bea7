/* dlp/scan_list.c - values that are no findings: words in them, globs over them. Thread: any; no state. */
#include "dlp/scan.h"

/* Glob over the whole span, * and ?, without case; linear but for one level of going back. */
static bool glob_matches(struct gw_span s, const struct bundle_text *g)
{
    size_t i = 0, k = 0, star = SIZE_MAX, mark = 0;

    while (i < s.len) {
        if (k < g->len && g->ptr[k] == '*') {
            star = k++;
            mark = i;
        } else if (k < g->len &&
                   (g->ptr[k] == '?' || gw_ascii_lower(g->ptr[k]) == gw_ascii_lower(s.ptr[i]))) {
            i++;
            k++;
        } else if (star != SIZE_MAX) {
            k = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (k < g->len && g->ptr[k] == '*')
        k++;
    return k == g->len;
}

bool scan_list_has(const struct dlp_rules *r, uint32_t list, struct gw_span value)
{
    const struct bundle_list *l = &r->b->lists[list];
    const struct bundle_slots *slots = &r->lists[list];

    for (size_t at = 0; at < value.len && l->n_words > 0; at++) {
        unsigned slot = (unsigned char)value.ptr[at] & 31; /* of both cases */
        unsigned second = at + 1 < value.len ? (unsigned char)value.ptr[at + 1] & 31 : 0;

        if ((slots->pair[slot] >> second & 1) == 0)
            continue;
        for (unsigned i = slots->first[slot]; i < slots->first[slot + 1]; i++) {
            const struct bundle_text *word = &l->words[i];

            if (word->len <= value.len - at &&
                gw_span_eq_nocase((struct gw_span){value.ptr + at, word->len},
                                  (struct gw_span){word->ptr, word->len}))
                return true;
        }
    }
    for (unsigned i = 0; i < l->n_globs; i++)
        if (glob_matches(value, &l->globs[i]))
            return true;
    return false;
}
