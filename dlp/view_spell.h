/* dlp/view_spell.h - where digits that are spelled as words may stand. Private to dlp/view*.c. Any thread. */
#ifndef DLP_VIEW_SPELL_H
#define DLP_VIEW_SPELL_H

#include <stdbool.h>

#include "base/span.h"

/* Do VIEW_SPELL_WORDS words for digits stand behind each other, with nothing but digits and signs between them, in the row that begins at
 * `at`, as bits tell (VIEW_MARK_SPELL)? It ends with what is no letter, digit or sign, or a word that cannot be one. */
bool view_spells_row(struct gw_span text, size_t at);

#endif
