/* engine/bytetree.h - pieces of text as a tree over their bytes, with one look-up a byte: how tokenizers for encoders find
 * the pieces that begin at a place. See trie.h for the tree that is walked as a whole. */
#ifndef ENGINE_BYTETREE_H
#define ENGINE_BYTETREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* No node; roots are numbered from 1. */
enum { BYTETREE_NONE, BYTETREE_ROOT };

/* Of all pieces: bounds the tree, and keeps node numbers below 2^24. */
enum { BYTETREE_MAX_BYTES = 4 << 20 };

/* Invariants: (B1) there are 2^slot_bits slots, at least twice the edges, so a search ends; (B2) every node
 * but the roots has one edge to it; ids[node] is the piece that ends there or -1. */
struct bytetree {
    struct bytetree_edge {
        uint32_t from_byte; /* node << 8 | byte; 0: the slot is free */
        uint32_t to;
    } * slots;
    unsigned slot_bits; /* 8 to 31 */
    int32_t *ids;       /* [n_nodes] */
    uint32_t n_nodes;
};

/* Memory for pieces of n_bytes in all, at most BYTETREE_MAX_BYTES, below n_roots roots. GW_ENOMEM. On failure too
 * bytetree_fini frees what there is. */
enum gw_status bytetree_init(struct bytetree *t, size_t n_bytes, unsigned n_roots,
                             struct gw_err *err);
void bytetree_fini(struct bytetree *t);
/* Adds a piece below a root. An empty one is passed over, a second one of the same bytes takes the first one's place. */
void bytetree_add(struct bytetree *t, uint32_t root, struct gw_span piece, int32_t id);

/* The slot of that edge, or the free one where it belongs. */
static inline struct bytetree_edge *bytetree_slot(const struct bytetree *t, uint32_t from_byte)
{
    const uint32_t last = (1u << t->slot_bits) - 1;
    uint32_t i = (from_byte * 2654435761u) >> (32 - t->slot_bits);

    while (t->slots[i].from_byte != 0 && t->slots[i].from_byte != from_byte)
        i = (i + 1) & last;
    return &t->slots[i];
}

/* The node behind that byte, or BYTETREE_NONE. */
static inline uint32_t bytetree_step(const struct bytetree *t, uint32_t node, unsigned char byte)
{
    return bytetree_slot(t, node << 8 | byte)->to;
}

#endif
