/* dlp/prefilter_sequel.h - what stands behind a window that is that of many targets, asked of all of them at once. Private to dlp.
 *
 * A sequel (struct bundle_sequel) is read as an automaton with a state for each part, and a state is a bit of a word for each target. How
 * many bytes may be skipped is not counted, and a run's first byte stands for all of it, so it accepts more than
 * scan_sequel_fits() does, never less. */
#ifndef DLP_PREFILTER_SEQUEL_H
#define DLP_PREFILTER_SEQUEL_H

#include "dlp/prefilter.h"

enum {
    PREFILTER_SEQUEL_BEGINS = 4,
    PREFILTER_SEQUEL_FAR = 12, /* bytes that are looked at: further on few are refused */
};

/* What a byte does, a bit for each target: in each part it may be skipped, or begins the run. */
struct prefilter_sequel_row {
    uint64_t skip[BUNDLE_SEQUEL_PARTS], run[BUNDLE_SEQUEL_PARTS];
};

/* Of PREFILTER_AROUNDS targets of a window, or fewer, a bit each: */
struct prefilter_sequels {
    uint64_t begin
        [PREFILTER_SEQUEL_BEGINS]; /* those whose sequel begins at `at`, or so many bytes further */
    uint64_t others;               /* of which nothing is known */
    uint64_t more; /* that have a second part, right behind the first byte of the first run */
    uint32_t at;   /* counted from the window's beginning */
    uint32_t first_row;
    uint8_t class_of[256]; /* the row of a byte, counted from the first one */
};

/* Those of the targets behind whose window at `at` there is what has to be, as far as some bytes of text[0, len) tell. What is behind the
 * text is not known. */
static inline uint64_t prefilter_sequels_left(const struct prefilter *f,
                                              const struct prefilter_sequels *s, uint64_t targets,
                                              const unsigned char *text, size_t at, size_t len)
{
    const struct prefilter_sequel_row *rows = f->sequel_rows + s->first_row;
    const size_t from = at + s->at, left = from < len ? len - from : 0;
    uint64_t first = 0, second = 0, found = targets & s->others;
    size_t i = 0;

    for (; i < left && i < PREFILTER_SEQUEL_FAR; i++) {
        const struct prefilter_sequel_row *row = &rows[s->class_of[text[from + i]]];
        uint64_t over;

        if (i < PREFILTER_SEQUEL_BEGINS)
            first |= targets & s->begin[i];
        else if ((first | second) == 0)
            return found;
        over = first & row->run[0];
        found |= (second & row->run[1]) | (over & ~s->more);
        second = ((second & row->skip[1]) | (over & s->more)) & ~found;
        first &= row->skip[0] & ~found;
    }
    for (; i < PREFILTER_SEQUEL_BEGINS; i++)
        first |= targets & s->begin[i];
    return found | first | second;
}

#endif
