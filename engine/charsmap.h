/* engine/charsmap.h - how a SentencePiece model rewrites characters before it looks for pieces: the "precompiled_charsmap"
 * of its file.
 *
 * The bytes are a number of bytes (32 bits, little-endian), so many bytes of a double-array trie (units of 32 bits), and
 * NUL-terminated texts; what the trie finds is where in these the replacement begins. Nothing in it is believed:
 * every look-up stays inside. Immutable: any thread. Facts: sentencepiece's normalizer.cc, darts-clone's darts.h. */
#ifndef ENGINE_CHARSMAP_H
#define ENGINE_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct charsmap {
    uint32_t *units; /* [n_units]; NULL: nothing is rewritten */
    size_t n_units;
    char *texts; /* ends with a NUL */
    size_t n_text_bytes;
    size_t longest; /* bytes of a replacement at most */
};

/* Copies the map out of bytes; no bytes are the map that rewrites nothing. GW_EPARSE, GW_ENOMEM; *m is unchanged then. */
enum gw_status charsmap_init(struct charsmap *m, struct gw_span bytes, struct gw_err *err);
void charsmap_fini(struct charsmap *m);

/* Rewrites what text begins with, which is not empty: the longest entry, else one character. *n gets how many bytes of
 * text that is, at least 1. Returns what stands for it: of the map, or of text; U+FFFD for a byte that is not UTF-8. */
struct gw_span charsmap_next(const struct charsmap *m, struct gw_span text, size_t *n);

#endif
