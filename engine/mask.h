/* engine/mask.h - which tokens of a vocabulary may come next.
 *
 * For a stack what may come is found in two parts: tokens that fit whatever lies below its top frame, which are computed
 * once for each frame and kept (for the rules common to all grammars: once for all requests); and tokens that complete
 * the top frame's rule and go on below it, which are a small tree of the bytes behind that point and looked up each time.
 * The memory for what is kept is bounded; what was not used for longest goes. One thread at a time. */
#ifndef ENGINE_MASK_H
#define ENGINE_MASK_H

#include "engine/matcher.h"
#include "engine/tokenizer.h"

struct mask_cache;

enum { MASK_CACHE_BYTES = 64 << 20 };

/* For the tokens of t, which must outlive it. NULL: out of memory. */
struct mask_cache *mask_cache_new(const struct tok *t);
void mask_cache_free(struct mask_cache *c); /* c may be NULL */

/* Computes what all grammars have in common ahead: where JSON's strings, numbers, words and brackets begin, go on and
 * end. Without it the first answer that comes to such a place waits for it. Best effort: on failure less is there. */
void mask_warm(struct mask_cache *c);

/* Looks so far: places whose tokens were known, and those that were walked; bytes that are kept. Thread: any. */
struct mask_stats {
    uint64_t hits, misses, bytes;
};
void mask_cache_stats(const struct mask_cache *c, struct mask_stats *out);

/* Words of a mask: bit i % 64 of word i / 64 is token i. */
size_t mask_words(const struct mask_cache *c);

/* Sets the bits of the tokens that may come where m stands, and of the ends of answers when it may end; clears the others.
 * False: m failed (too many ways to read the answer), or out of memory. */
bool mask_fill(struct mask_cache *c, struct matcher *m, uint64_t *bits);

#endif
