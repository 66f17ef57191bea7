/* dlp/prefilter_sequel.h - what stands behind a window that is that of many targets, asked of all of them at once. Private to dlp.
 *
 * A sequel (struct bundle_sequel) is read as an automaton, and a state is a bit of a word for each target: in front of the first of two
 * parts' runs, in front of the last part's, in that one. How many bytes may be skipped is not counted, nor more bytes of a run than a
 * few, so it accepts more than scan_sequel_fits() does, never less. */
#ifndef DLP_PREFILTER_SEQUEL_H
#define DLP_PREFILTER_SEQUEL_H

#include "dlp/prefilter.h"

enum {
    PREFILTER_SEQUEL_BEGINS = 4,
    PREFILTER_SEQUEL_RUN = 4, /* bytes of the last run that are counted */
    PREFILTER_SEQUEL_FAR = 8, /* bytes that are looked at: further on few are refused */
};

/* Which part of a sequel: the first of two, and the last one. */
enum prefilter_sequel_part {
    PREFILTER_SEQUEL_FIRST,
    PREFILTER_SEQUEL_LAST,
    PREFILTER_SEQUEL_PARTS
};

/* What a byte does, a bit for each target: in each part it may be skipped, or may be one of the run. */
struct prefilter_sequel_row {
    uint64_t skip[PREFILTER_SEQUEL_PARTS], run[PREFILTER_SEQUEL_PARTS];
};

/* Of PREFILTER_AROUNDS targets of a window, or fewer, a bit each: */
struct prefilter_sequels {
    /* those whose sequel begins with that part at `at`, or so many bytes further; */
    uint64_t begin[PREFILTER_SEQUEL_PARTS][PREFILTER_SEQUEL_BEGINS];
    uint64_t others;                  /* of which nothing is known; */
    uint64_t more;                    /* of whose first run one byte is all; */
    uint64_t n[PREFILTER_SEQUEL_RUN]; /* whose last run has one byte, two, and so on; or more; */
    uint64_t exact;                   /* where nothing had to be counted that was not */
    uint32_t at;                      /* counted from the window's beginning */
    uint32_t first_row;
    uint8_t class_of[256]; /* the row of a byte, counted from the first one */
};

/* Those of the targets behind whose window at `at` there is what has to be, as far as some bytes of text[0, len) tell: what is behind the
 * text is not known. Of those in *sure scan_sequel_fits() would say the same. */
static inline uint64_t prefilter_sequels_left(const struct prefilter *f,
                                              const struct prefilter_sequels *s, uint64_t targets,
                                              const unsigned char *text, size_t at, size_t len,
                                              uint64_t *sure)
{
    enum { FIRST = PREFILTER_SEQUEL_FIRST, LAST = PREFILTER_SEQUEL_LAST };
    const struct prefilter_sequel_row *rows = f->sequel_rows + s->first_row;
    const size_t from = at + s->at, left = from < len ? len - from : 0;
    uint64_t first = 0, last = 0, one = 0, two = 0, three = 0, found = 0;
    size_t i = 0;

    for (; i < left && i < PREFILTER_SEQUEL_FAR; i++) {
        const struct prefilter_sequel_row *row = &rows[s->class_of[text[from + i]]];
        const uint64_t run = row->run[LAST];
        uint64_t over;

        if (i < PREFILTER_SEQUEL_BEGINS) {
            first |= targets & s->begin[FIRST][i];
            last |= targets & s->begin[LAST][i];
        } else {
            const uint64_t open = (first | last | one | two | three) & ~found;

            if ((open & (open - 1)) == 0) /* one is asked alone */
                break;
        }
        over = first & row->run[FIRST];
        found |= (over & ~s->more) | (last & run & s->n[0]) | (one & run & s->n[1]) |
                 (two & run & s->n[2]) | (three & run & s->n[3]);
        three = two & run;
        two = one & run;
        one = last & run;
        last = (last & row->skip[LAST]) | (over & s->more);
        first &= row->skip[FIRST];
    }
    for (; i < PREFILTER_SEQUEL_BEGINS; i++)
        first |= targets & (s->begin[FIRST][i] | s->begin[LAST][i]);
    *sure = found & s->exact;
    return found | first | last | one | two | three | (targets & s->others);
}

#endif
