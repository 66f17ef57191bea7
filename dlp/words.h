/* dlp/words.h - the words of a text, to tell what surely does not stand in it. Private to dlp/.
 *
 * A word is a run of ASCII letters and digits, in capitals. Kept is a bit for each word's hash, two bits a word: a text that
 * was added is always known, and now and then one that was not. Built by one thread, then read-only. */
#ifndef DLP_WORDS_H
#define DLP_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct dlp_words {
    uint64_t *bits; /* NULL: nothing was made */
    size_t n_bits;  /* a power of two */
};

/* Makes room for texts of so many bytes in all: at most 16 MiB, beyond which more is taken for known. False: out of memory. */
bool dlp_words_init(struct dlp_words *w, size_t text_bytes);
void dlp_words_fini(struct dlp_words *w);

void dlp_words_add(struct dlp_words *w, struct gw_span text);

/* True when all words of the text may have been added; so also of a text without any. */
bool dlp_words_has_all(const struct dlp_words *w, struct gw_span text);

#endif
