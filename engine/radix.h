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
 * When pages are short, idle ones go: the longest unused first, or, where the tree predicts, those first whose next use is
 * least likely (GreedyDual: a use gives a page the rank of the last one that went plus its chance of another use, reuse.h; the
 * lowest rank goes, so chances count as long as it takes the ranks of others to rise that far).
 *
 * Invariants: (T1) a node's page is held by the tree and full; (T2) who holds a node's page as part of its
 * path holds the pages of all nodes above, so an idle page has only idle ones below; (T3) a node's rank is not below its
 * children's, and in the list of a rank it stands before them, so of the idle ones a leaf goes first; (T4) ranks are at least
 * the last one's that went, and at most REUSE_MAX_GAIN above it. Thread: the scheduler's. */
#ifndef ENGINE_RADIX_H
#define ENGINE_RADIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "engine/kvcache.h"

struct radix;
struct radix_root;

/* kv must outlive the tree. predict: what goes first is predicted, see above. NULL: out of memory. */
struct radix *radix_new(struct kvcache *kv, bool predict);
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
 * the same tokens already, s gets that one and gives its own back. who: a number of the request, above 0 and those of earlier
 * ones; a page counts as used once for each. Out of memory: fewer are put. */
void radix_publish(struct radix *t, struct radix_root *root, uint64_t who, const int32_t *ids,
                   unsigned n, struct kvcache_seq *s);

/* Frees up to n_pages idle pages. Returns how many. */
unsigned radix_evict(struct radix *t, unsigned n_pages);

unsigned radix_n_pages(const struct radix *t);

/* Pages that radix_evict freed; and of them those that were made again soon, as far as is known (only where the tree predicts). */
uint64_t radix_n_evicted(const struct radix *t);
uint64_t radix_n_missed(const struct radix *t);

#endif
