/* dlp/scan_list.c - values that are no findings: words in them, globs over them. Thread: any; no state. */
#include "base/glob.h"
#include "dlp/scan.h"

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
        if (gw_glob((struct gw_span){l->globs[i].ptr, l->globs[i].len}, value))
            return true;
    return false;
}
