/* engine/wordpiece_private.h - the vocabulary as a tree of bytes. Private to engine/wordpiece*.c. */
#ifndef ENGINE_WORDPIECE_PRIVATE_H
#define ENGINE_WORDPIECE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* Longest word, in characters, that a tokenizer may ask to be cut; the usual limit is 100. */
enum { WORDPIECE_MAX_CHARS = 256 };

enum {
    WORDPIECE_MAX_VOCAB = 1 << 20,
    WORDPIECE_MAX_PIECE_BYTES = 4 << 20, /* of all pieces: bounds the tree */
};

/* Nodes that are always there. */
enum { WORDPIECE_NONE, WORDPIECE_BEGIN, WORDPIECE_INSIDE, WORDPIECE_FIRST_NODE };

/* Invariants: (W1) there are 2^slot_bits slots, at least twice the edges, so a search ends; (W2) every node
 * but the two roots has one edge to it; ids[node] is the piece that ends there or -1; (W3) pieces are UTF-8,
 * so matching bytes matches whole characters. */
struct wordpiece {
    struct wordpiece_edge {
        uint32_t from_byte; /* node << 8 | byte; 0: the slot is free */
        uint32_t to;
    } * slots;
    unsigned slot_bits; /* 8 to 31 */
    int32_t *ids;       /* [n_nodes] */
    uint32_t n_nodes;
    unsigned n_vocab, max_chars;
    int32_t first, last, unknown; /* [CLS], [SEP], [UNK] */
};

/* The slot of that edge, or the free one where it belongs. */
static inline struct wordpiece_edge *wordpiece_slot(const struct wordpiece *wp, uint32_t from_byte)
{
    const uint32_t last = (1u << wp->slot_bits) - 1;
    uint32_t i = (from_byte * 2654435761u) >> (32 - wp->slot_bits);

    while (wp->slots[i].from_byte != 0 && wp->slots[i].from_byte != from_byte)
        i = (i + 1) & last;
    return &wp->slots[i];
}

/* The node behind that byte, or WORDPIECE_NONE. */
static inline uint32_t wordpiece_step(const struct wordpiece *wp, uint32_t node, unsigned char byte)
{
    return wordpiece_slot(wp, node << 8 | byte)->to;
}

/* Memory of the tree, for pieces of n_bytes in all. GW_ENOMEM. */
enum gw_status wordpiece_tree_new(struct wordpiece *wp, size_t n_bytes, struct gw_err *err);
/* Adds a piece below WORDPIECE_BEGIN or WORDPIECE_INSIDE. */
void wordpiece_tree_add(struct wordpiece *wp, uint32_t root, struct gw_span piece, int32_t id);

#endif
