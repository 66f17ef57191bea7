/* engine/unicode.c - look-up in the generated table of categories. */
#include "engine/unicode.h"

#include <stddef.h>

#include "engine/unicode_table.h"

enum unicode_class unicode_class(uint32_t cp)
{
    size_t low = 0, high = sizeof(unicode_ranges) / sizeof(unicode_ranges[0]);

    if (cp > 0x10FFFF)
        return UNICODE_OTHER;
    /* The first range begins at 0, so low always names a range that begins at or before cp. */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (unicode_ranges[mid] >> 4 <= cp)
            low = mid;
        else
            high = mid;
    }
    return (enum unicode_class)(unicode_ranges[low] & 15u);
}
