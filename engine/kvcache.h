/* engine/kvcache.h - keys and values of all sequences, in pages of KERN_KV_BLOCK tokens.
 *
 * One pool of pages serves all sequences; a page holds the blocks of every layer and KV head for 16
 * consecutive tokens. Sequences that begin alike hold the same pages: each page counts its holders, and
 * who writes on a page that others hold gets a copy first. The tree of prefixes (radix.h) is one more
 * holder, which keeps pages that no sequence needs: those are idle and can be taken back. Memory is taken
 * from the system when a page is first written, and low pages are given out first, so a quiet engine stays
 * small.
 *
 * Invariants: (K1) a page is free, or held by as many as its count says; the tree holds it at most once;
 * (K2) a reservation is all or nothing; (K3) positions that a sequence reserved for writing lie on pages
 * that it alone holds. Thread: the scheduler's. */
#ifndef ENGINE_KVCACHE_H
#define ENGINE_KVCACHE_H

#include <stdbool.h>
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
    enum kern_kv_type type;
    const enum kern_kv_type
        *layer_types; /* [n_layers], borrowed by the call; NULL: all are of `type` */
    /* Somebody else holds pages of the same numbers, and copies one when this does; or NULL. n_layers may then be 0. */
    void (*copy)(void *ctx, uint32_t to, uint32_t from);
    void *copy_ctx;
};

/* The type of a layer. */
static inline enum kern_kv_type kvcache_layer_type(const struct kvcache_shape *shape,
                                                   unsigned layer)
{
    return shape->layer_types != NULL ? shape->layer_types[layer] : shape->type;
}

/* Types by layer for kv "adaptive": int8 for the first sixth of the layers, where 4 bits cost most, int4 for the
 * others. The table of the measurement that says so is in docs/engine.md. out: [n_layers]. */
void kvcache_adapt(unsigned n_layers, enum kern_kv_type *out);

/* GW_ELIMIT: the size overflows; GW_ENOMEM. On success *out is the caller's (kvcache_free). */
enum gw_status kvcache_new(const struct kvcache_shape *shape, struct kvcache **out,
                           struct gw_err *err);
void kvcache_free(struct kvcache *kv); /* kv may be NULL */

/* ---- a sequence's pages ------------------------------------------------------------------ */

/* Makes room for tokens 0 to n_tokens - 1 of s, keeping what is there, and makes positions from `from` on
 * safe to write: pages there that others hold too are replaced by copies. GW_EAGAIN: not enough free pages
 * now (kvcache_missing tells how many); GW_ELIMIT: more than max_seq_tokens; GW_ENOMEM. s is unchanged on
 * failure. */
enum gw_status kvcache_reserve_from(struct kvcache *kv, struct kvcache_seq *s, unsigned from,
                                    unsigned n_tokens);

/* The same for a sequence that shares nothing: only room is made. */
enum gw_status kvcache_reserve(struct kvcache *kv, struct kvcache_seq *s, unsigned n_tokens);

/* Free pages that kvcache_reserve_from would lack now; 0 when it would succeed. */
unsigned kvcache_missing(const struct kvcache *kv, const struct kvcache_seq *s, unsigned from,
                         unsigned n_tokens);

/* Page i of s (i <= n_pages) becomes `page`, which somebody holds; what was there is given back. The
 * caller knows that the tokens are the same. GW_ELIMIT: behind the longest context; GW_ENOMEM. */
enum gw_status kvcache_put(struct kvcache *kv, struct kvcache_seq *s, unsigned i, uint32_t page);

/* Gives pages behind the first n_tokens tokens back. */
void kvcache_truncate(struct kvcache *kv, struct kvcache_seq *s, unsigned n_tokens);

/* Gives all pages back and frees the list. */
void kvcache_release(struct kvcache *kv, struct kvcache_seq *s);

/* What a kernel needs to read and write the cache of one layer and KV head of s. Valid until the pages of
 * s change. */
struct kern_kv kvcache_view(const struct kvcache *kv, const struct kvcache_seq *s, unsigned layer,
                            unsigned kv_head);

/* ---- the tree's pages -------------------------------------------------------------------- */

/* The tree becomes a holder of a page that a sequence holds, once; and stops being one. */
void kvcache_keep(struct kvcache *kv, uint32_t page);
void kvcache_drop(struct kvcache *kv, uint32_t page);

/* Does nobody but the tree hold it? */
bool kvcache_is_idle(const struct kvcache *kv, uint32_t page);

/* ---- numbers ----------------------------------------------------------------------------- */

unsigned kvcache_free_tokens(const struct kvcache *kv); /* on free pages */
unsigned kvcache_idle_tokens(const struct kvcache *kv); /* on pages that only the tree holds */
unsigned kvcache_used_tokens(const struct kvcache *kv); /* on pages that sequences hold */
unsigned kvcache_total_tokens(const struct kvcache *kv);
uint64_t kvcache_copied_tokens(const struct kvcache *kv); /* on pages that were copied, ever */
uint64_t kvcache_bytes(const struct kvcache *kv);

/* Bytes a token takes with this shape, in pages that are full. */
uint64_t kvcache_token_bytes(const struct kvcache_shape *shape);

#endif
