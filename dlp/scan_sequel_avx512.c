/* dlp/scan_sequel_avx512.c - see scan_sequel.h. Thread: the scanner's. */
#include "dlp/scan_sequel.h"

#if defined(__x86_64__)
#    include "dlp/set_avx512.h"

enum scan_answer scan_sequel_ask_avx512(struct scan_leaf *x, const struct bundle_sequel *q,
                                        size_t at)
{
    return scan_sequel_ask(x, q, at, set_members_avx512);
}
#else
enum scan_answer scan_sequel_ask_avx512(struct scan_leaf *x, const struct bundle_sequel *q,
                                        size_t at)
{
    (void)x, (void)q, (void)at;
    return SCAN_UNTOLD;
}
#endif
