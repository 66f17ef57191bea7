/* proxy/request/pins.h - conversations that must stay in some zones: a bounded table in memory, shared by all workers, which
 * outlives reloads.
 *
 * Knows keyed hashes, nothing of conversations (conversation.h). The table is made when the first one is put; when a row is full
 * the one that ends first makes room. Thread: any. */
#ifndef PROXY_PINS_H
#define PROXY_PINS_H

#include <stdbool.h>
#include <stdint.h>

enum { PINS_KEY_BYTES = 16, PINS_MAX = 1 << 17 };

struct pins_key {
    unsigned char bytes[PINS_KEY_BYTES]; /* the beginning of an HMAC */
};

struct pins;

struct pins *pins_new(void); /* NULL: out of memory */
void pins_free(struct pins *p);

/* Is there anything to find? */
bool pins_any(const struct pins *p);

/* The zones of that key, or those of all zones when it is not known. */
unsigned pins_get(struct pins *p, const struct pins_key *key, int64_t now_ms);

/* Remembers zones until then; of a key that is known the zones intersect, and the later end holds. False: out of memory, or
 * one that had not ended yet was forgotten for it. */
bool pins_put(struct pins *p, const struct pins_key *key, unsigned zones, int64_t now_ms,
              int64_t until_ms);

#endif
