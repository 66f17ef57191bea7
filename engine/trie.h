/* engine/trie.h - tokens as a tree over their bytes, so that what cannot continue is passed over with all that follows it.
 *
 * Nodes are in preorder: the children of node i stand in (i, end of i). Node 0 is the root, of no bytes. Immutable once
 * made: any thread may read it. */
#ifndef ENGINE_TRIE_H
#define ENGINE_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct tok;

enum { TRIE_MAX_DEPTH = 250 }; /* longer tokens are left out */

struct trie_node {
    uint32_t end; /* first node behind all that begin with this one */
    uint32_t
        first_id; /* ids[first_id, first_id + n_ids) are exactly these bytes; ids of nodes stand in the order of nodes */
    uint16_t n_ids;
    uint8_t byte, depth;
};

struct trie {
    struct trie_node *nodes;
    uint64_t *
        below; /* [n_nodes]: groups (trie_group) of the bytes behind each node, its own left out; NULL: not known */
    uint8_t *height; /* [n_nodes]: of the bytes behind each node at most; as below */
    uint32_t n_nodes;
    int32_t *ids;
    uint32_t n_ids;
    unsigned max_depth; /* of a node */
};

struct trie_entry {
    struct gw_span bytes;
    int32_t id;
};

/* Makes a tree of the entries, which are sorted. GW_ENOMEM: *out is unchanged. Needs trie_fini. */
enum gw_status trie_make(struct trie_entry *entries, size_t n, struct trie *out);
/* Of all tokens of a vocabulary that stand for bytes, ends of answers and control tokens left out. */
enum gw_status trie_of_vocab(const struct tok *t, struct trie *out);
void trie_fini(struct trie *t);

/* Makes `below` and `height`, for trees that are walked often. GW_ENOMEM. */
enum gw_status trie_measure(struct trie *t);
/* A bit for a byte of ASCII: letters have their own, others share some; all other bytes have TRIE_CHARS. In `below` that stands
 * for whole characters, or the beginning of one where a token ends; TRIE_BROKEN is set where there are other bytes, or where the
 * node itself ends within a character. */
#define TRIE_CHARS  (UINT64_C(1) << 52)
#define TRIE_BROKEN (UINT64_C(1) << 62)
uint64_t trie_group(uint8_t byte);

#endif
