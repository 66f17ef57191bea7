/* proxy/cache/cache.h - answers that may be given again: a bounded table in memory, shared by all workers.
 *
 * Knows keys and bytes, nothing of requests; whether an answer may be stored or given is its callers' question
 * (proxy/request/request_cache.c). Answers are texts of users: they are wiped when they go, and never written to a disk.
 *
 * Invariants: (C1) an entry is immutable from cache_put() on, so readers copy nothing under a lock; (C2) the bytes of all
 * entries, what a table needs beside them included, stay below the limit; the least recently used go first; (C3) a lock
 * is held for a look-up or a list operation only, never for I/O or a copy. Thread: any. */
#ifndef PROXY_CACHE_H
#define PROXY_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum { CACHE_KEY_BYTES = 32, CACHE_SHARDS = 8 };

/* What is kept of an answer. */
struct cache_answer {
    struct gw_span type; /* Content-Type */
    struct gw_span body;
    uint64_t tokens[5]; /* what it used, in the caller's order */
    int64_t stored_ms;  /* wall clock */
};

struct cache;
struct cache_entry;

/* max_bytes 0: nothing is kept. NULL: out of memory. */
struct cache *cache_new(uint64_t max_bytes);
void cache_free(struct cache *c); /* wipes; no entry may be held any more. c may be NULL */

/* A new limit, at once: entries above it go. */
void cache_limit(struct cache *c, uint64_t max_bytes);

/* The entry of that key that was stored at now_ms - max_age_ms or later, or NULL; an older one goes. The caller holds it
 * until cache_drop(). */
struct cache_entry *cache_get(struct cache *c, const unsigned char key[CACHE_KEY_BYTES],
                              int64_t now_ms, int64_t max_age_ms);
const struct cache_answer *cache_answer_of(const struct cache_entry *e);
void cache_drop(struct cache_entry *e); /* e may be NULL */

/* Copies the answer in, in place of one with that key. GW_ELIMIT: larger than an eighth of the limit (CACHE_SHARDS);
 * GW_ENOMEM. */
enum gw_status cache_put(struct cache *c, const unsigned char key[CACHE_KEY_BYTES],
                         const struct cache_answer *answer);

struct cache_stats {
    uint64_t entries, bytes, evicted; /* evicted: for room, since the start */
};
void cache_stats(struct cache *c, struct cache_stats *out);

#endif
