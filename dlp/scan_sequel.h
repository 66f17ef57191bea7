/* dlp/scan_sequel.h - what the 64 bytes behind a window say of what has to stand there, for each level of instructions. Private to
 * dlp/scan_sequel*.c. */
#ifndef DLP_SCAN_SEQUEL_H
#define DLP_SCAN_SEQUEL_H

#include "dlp/scan.h"

enum { SCAN_SEQUEL_WORD = 64 }; /* bytes that are looked at at once */

enum scan_answer { SCAN_NO, SCAN_YES, SCAN_UNTOLD };

/* Which bits have n - 1 others set behind them; what is behind the last one may be. */
static inline uint64_t scan_sequel_in_rows(uint64_t bits, uint32_t n)
{
    uint64_t gaps = ~bits;

    for (uint32_t more, row = 1; row < n && row < SCAN_SEQUEL_WORD; row += more) {
        more = n - row < row ? n - row : row;
        gaps |= gaps >> more;
    }
    return ~gaps;
}

/* What the SCAN_SEQUEL_WORD bytes from `at` on, all of the text, say: no byte is asked alone, so there is little to guess. */
static inline enum scan_answer scan_sequel_ask(struct scan_leaf *x, const struct bundle_sequel *q,
                                               size_t at, prefilter_members_fn *members)
{
    const struct bundle_set *sets = x->rules->b->sets;
    const unsigned char *p = (const unsigned char *)x->text.ptr + at;
    unsigned done = 0;

    for (unsigned k = 0; k < q->n_parts && done < SCAN_SEQUEL_WORD; k++) {
        const uint64_t run = members(&sets[q->part[k].run], p, SCAN_SEQUEL_WORD) >> done;
        const uint32_t n = q->part[k].n, most = q->part[k].most;
        unsigned skipped = 0;

        if (most != 0) {
            uint64_t others = ~members(&sets[q->part[k].skip], p, SCAN_SEQUEL_WORD) >> done;

            if (others == 0) /* what is behind may fit: far away is not worth a look */
                return most >= SCAN_SEQUEL_WORD - done ? SCAN_YES : SCAN_UNTOLD;
            skipped = (unsigned)__builtin_ctzll(others);
            x->work += skipped / 4;
        }
        if (k + 1 == q->n_parts) { /* the run may begin in what could be skipped */
            uint64_t starts = scan_sequel_in_rows(run | ~(UINT64_MAX >> done), n) &
                              ((UINT64_C(2) << (skipped < most ? skipped : most)) - 1);

            if (starts == 0)
                return SCAN_NO;
            return done + (unsigned)__builtin_ctzll(starts) + n <= SCAN_SEQUEL_WORD ? SCAN_YES
                                                                                    : SCAN_UNTOLD;
        }
        if (skipped > most)
            return SCAN_NO;
        done += skipped + n;
        if (done <= SCAN_SEQUEL_WORD && (scan_sequel_in_rows(run, n) >> skipped & 1) == 0)
            return SCAN_NO;
    }
    return SCAN_UNTOLD;
}

/* The same where the machine has AVX-512. */
enum scan_answer scan_sequel_ask_avx512(struct scan_leaf *x, const struct bundle_sequel *q,
                                        size_t at);

#endif
