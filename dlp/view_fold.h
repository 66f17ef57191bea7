/* dlp/view_fold.h - what characters beyond ASCII look like in ASCII. Pure; any thread.
 *
 * Compatibility forms (full-width, mathematical, circled), letters with marks, digits of all scripts, and look-alikes of
 * other scripts have an ASCII text; what cannot be seen (zero-width, soft hyphen, variation selectors, tags) and marks that
 * stand over a letter have an empty one. Everything else has none. */
#ifndef DLP_VIEW_FOLD_H
#define DLP_VIEW_FOLD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    VIEW_FOLD_PAGE = 16,                        /* characters */
    VIEW_FOLD_PAGES = 0x20000 / VIEW_FOLD_PAGE, /* planes 0 and 1 */
    VIEW_FOLD_MAX = 4,                          /* bytes of the text */
    VIEW_TAG_FIRST = 0xE0000,                   /* U+E0020 to U+E007E spell ASCII */
    VIEW_TAG_LAST = 0xE007F,
};

/* n characters from first on; step: the one letter of text goes up with them. */
struct view_fold_row {
    uint32_t first;
    uint8_t n, step;
    char text[VIEW_FOLD_MAX + 1];
};

/* Ascending; made by dlp/view_fold_table.py. Page p's rows begin at view_fold_pages[p]. */
extern const struct view_fold_row view_fold_rows[];
extern const uint16_t view_fold_pages[VIEW_FOLD_PAGES + 1];

/* The ASCII text of cp (0x80 or more): its length, 0 when it is invisible; -1 when it has none. */
int view_fold_char(uint32_t cp, char out[VIEW_FOLD_MAX]);

#endif
