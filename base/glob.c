/* base/glob.c - matches names against patterns. */
#include "base/glob.h"

#include <stdint.h>

bool gw_glob(struct gw_span pattern, struct gw_span text)
{
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX, resume = 0; /* the last `*`, and where its run ends next */

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' || gw_ascii_lower(pattern.ptr[p]) ==
                                                                    gw_ascii_lower(text.ptr[t]))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) { /* a later star makes earlier ones irrelevant */
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
