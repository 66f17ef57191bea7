/* engine/radix.h - the tree of prefixes: which token sequences have keys and values in the cache.
 *
 * A radix tree whose digit is a page: a node stands for one full page and the 16 tokens that are on it,
 * and the path to it for all tokens before. Children are sorted by their tokens, so that finding one, and
 * the one that agrees longest with half a page, takes a binary search. Every sequence of an engine puts
 * its pages here, and every new one takes what is here, so a prefix is computed once.
 *
 * The tree belongs to one cache and with it to one model and one type of KV. What else decides whether keys
 * and values may be shared is the caller's name: an adapter changes them, and between tenants the time that a
 * shared prefix saves would tell one what another asked. Each name is a root of its own.
 *
 * Invariants: (T1) a node's page is held by the tree and full; (T2) who holds a node's page as part of its
 * path holds the pages of all nodes above, so an idle page has only idle ones below; (T3) in the list of
 * use a node stands before its children, so the last idle one is a leaf. Thread: the scheduler's. */
#ifndef ENGINE_RADIX_H
#define ENGINE_RADIX_H

#include <stdint.h>

#include "base/span.h"
#include "engine/kvcache.h"

struct radix;
struct radix_root;

/* kv must outlive the tree. NULL: out of memory. */
struct radix *radix_new(struct kvcache *kv);
void radix_free(
    struct radix *t); /* gives all pages back; t may be NULL; no root is entered any more */

/* The root of that name (bytes of any kind, copied), for use until radix_leave. Two names that differ never
 * share anything. NULL: out of memory. */
struct radix_root *radix_enter(struct radix *t, struct gw_span name);
/* An empty root that nobody uses is freed. root may be NULL. */
void radix_leave(struct radix *t, struct radix_root *root);

/* Gives s the pages of the longest stored prefix of ids[0..n), when that is longer than the `have` tokens
 * whose keys s holds already; else s stays as it is. Returns how many tokens have their keys then. The last
 * page may hold other tokens behind that many: kvcache_reserve_from makes a copy before s writes there. */
unsigned radix_attach(struct radix *t, struct radix_root *root, const int32_t *ids, unsigned n,
                      struct kvcache_seq *s, unsigned have);

/* Puts the full pages of s, whose keys are those of ids[0..n), into the tree. Where the tree has a page for
 * the same tokens already, s gets that one and gives its own back. Out of memory: fewer are put. */
void radix_publish(struct radix *t, struct radix_root *root, const int32_t *ids, unsigned n,
                   struct kvcache_seq *s);

/* Frees up to n_pages idle pages, least recently used first. Returns how many. */
unsigned radix_evict(struct radix *t, unsigned n_pages);

unsigned radix_n_pages(const struct radix *t);

#endif
