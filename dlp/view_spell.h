/* dlp/view_spell.h - where digits that are spelled as words may stand. Private to dlp/view*.c. Any thread. */
#ifndef DLP_VIEW_SPELL_H
#define DLP_VIEW_SPELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum { VIEW_SPELL_EVERY = 25, VIEW_TRIGRAMS = 1 << 15 };

/* May a row of digits that are spelled as words be in the text? */
bool view_may_spell_row(struct gw_span text);

/* Of the n bytes at p, the first place at `at`, or VIEW_SPELL_EVERY and so on behind it, whose three bytes and the three from its last one
 * on are known trigrams, a bit each; or the first that was not looked at, near the end. A trigram is five bits of each byte, the first
 * lowest. */
size_t view_spell_find_avx512(const uint64_t trigrams[VIEW_TRIGRAMS / 64], const char *p, size_t at,
                              size_t n);

#endif
