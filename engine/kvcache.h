/* engine/kvcache.h - keys and values of all sequences, in pages of KERN_KV_BLOCK tokens.
 *
 * One pool of pages serves all sequences; a page holds the blocks of every layer and KV head for 16
 * consecutive tokens of one sequence. Memory is taken from the system when a page is first written, and
 * low pages are given out first, so a quiet engine stays small. Invariants: (K1) a page belongs to one
 * sequence or to the free list; (K2) a reservation is all or nothing. Thread: the scheduler's. */
#ifndef ENGINE_KVCACHE_H
#define ENGINE_KVCACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/kernels.h"

struct kvcache;

/* The pages of one sequence, in order. Starts as zeroes; give back with kvcache_release. */
struct kvcache_seq {
    uint32_t *pages; /* numbers, n_pages of them; room for the longest context */
    unsigned n_pages;
};

struct kvcache_shape {
    unsigned n_layers, n_kv_heads, head_dim;
    unsigned n_tokens;       /* in all, rounded up to pages */
    unsigned max_seq_tokens; /* of one sequence, at most n_tokens */
};

/* GW_ELIMIT: the size overflows; GW_ENOMEM. On success *out is the caller's (kvcache_free). */
enum gw_status kvcache_new(const struct kvcache_shape *shape, struct kvcache **out,
                           struct gw_err *err);
void kvcache_free(struct kvcache *kv); /* kv may be NULL */

/* Makes room for tokens 0 to n_tokens - 1 of s, keeping what is there. GW_EAGAIN: not enough free pages
 * now; GW_ELIMIT: more than max_seq_tokens; GW_ENOMEM. s is unchanged on failure. */
enum gw_status kvcache_reserve(struct kvcache *kv, struct kvcache_seq *s, unsigned n_tokens);

/* Gives all pages back and frees the list. */
void kvcache_release(struct kvcache *kv, struct kvcache_seq *s);

/* What a kernel needs to read and write the cache of one layer and KV head of s. Valid until the next
 * reserve or release of s. */
struct kern_kv kvcache_view(const struct kvcache *kv, const struct kvcache_seq *s, unsigned layer,
                            unsigned kv_head);

unsigned kvcache_used_tokens(const struct kvcache *kv);
unsigned kvcache_total_tokens(const struct kvcache *kv);
uint64_t kvcache_bytes(const struct kvcache *kv);

/* Bytes a token takes with this shape. */
static inline uint64_t kvcache_token_bytes(const struct kvcache_shape *shape)
{
    return (uint64_t)shape->n_layers * shape->n_kv_heads * shape->head_dim * 2 * sizeof(uint16_t);
}

#endif
