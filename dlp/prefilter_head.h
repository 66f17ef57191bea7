/* dlp/prefilter_head.h - what a match of a pattern begins with, for what leads to one start and no other. Private to dlp/prefilter*.c and
 * scan_offer.c. */
#ifndef DLP_PREFILTER_HEAD_H
#define DLP_PREFILTER_HEAD_H

#include "dlp/prefilter.h"

enum { PREFILTER_HEAD_SETS = 8 };

/* The first sixteen bytes of a match, as far as bits tell: a necessary condition that costs a compare. unsaid: at which places sets tell more
 * than that, and enough to be worth a look; a set is named by its index, and behind the last one there are no places. It is a line of the
 * cache. */
struct prefilter_head {
    _Alignas(64) uint64_t value[2];
    uint64_t mask[2];
    struct {
        uint16_t places, set;
    } unsaid[PREFILTER_HEAD_SETS];
};
_Static_assert(sizeof(struct prefilter_head) == 64, "a line");

/* May a match begin with these sixteen bytes? */
static inline bool prefilter_head_fits(const struct prefilter_head *h, const uint64_t head[2])
{
    return (((head[0] & h->mask[0]) ^ h->value[0]) | ((head[1] & h->mask[1]) ^ h->value[1])) == 0;
}

/* The same, as far as that compare does not say it. */
bool prefilter_unsaid_scalar(const struct prefilter_head *h, const struct bundle_set *sets,
                             const unsigned char *p);
bool prefilter_unsaid_avx512(const struct prefilter_head *h, const struct bundle_set *sets,
                             const unsigned char *p);

#endif
