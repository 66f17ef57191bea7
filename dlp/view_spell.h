/* dlp/view_spell.h - where digits that are spelled as words may stand. Private to dlp/view*.c. Any thread. */
#ifndef DLP_VIEW_SPELL_H
#define DLP_VIEW_SPELL_H

#include <stdbool.h>

#include "base/span.h"

/* Does a row of VIEW_SPELL_WORDS words for digits, with separators and digits between them, begin in [from, to)? *done, where nothing was
 * found: no row begins in front of it and ends behind it. */
bool view_spells_row(struct gw_span text, size_t from, size_t to, size_t *done);

/* Where a row that holds what is at `at` may begin, at `least` or behind it; it may begin later. */
size_t view_spell_begin(struct gw_span text, size_t at, size_t least);

#endif
