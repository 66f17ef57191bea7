/* audit/merkle.h - the tree over the records of a chain (RFC 9162 section 2.1): roots and proofs.
 *
 *   leaf = SHA-256(0x00 || record)          spool_print() in spool_format.h
 *   node = SHA-256(0x01 || left || right)   the left side holds the largest power of two that leaves a right side
 *
 * A growing tree keeps only its right edge: the roots of its complete subtrees, one for each bit that is set in its size.
 * A part of a tree whose first leaves are gone is that edge at the cut, and the leaves behind it. Pure; any thread. */
#ifndef AUDIT_MERKLE_H
#define AUDIT_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

enum { MERKLE_BYTES = GW_SHA256_BYTES, MERKLE_MAX_EDGE = 64, MERKLE_MAX_PROOF = 128 };

struct merkle_hash {
    unsigned char bytes[MERKLE_BYTES];
};

/* The right edge of a tree, largest subtree first; n is the number of bits set in size. Zeroes are the empty tree. */
struct merkle {
    uint64_t size;
    unsigned n;
    struct merkle_hash edge[MERKLE_MAX_EDGE];
};

void merkle_add(struct merkle *t, const struct merkle_hash *leaf);

/* The root; of the empty tree SHA-256(""). */
void merkle_root(const struct merkle *t, struct merkle_hash *out);

/* A tree with all its leaves from base.size on. */
struct merkle_part {
    struct merkle base;
    const struct merkle_hash *leaves; /* leaf base.size + i */
    uint64_t n_leaves;
};

/* The root of the first `size` leaves; false when that many are not there, or fewer than base.size. */
bool merkle_part_root(const struct merkle_part *p, uint64_t size, struct merkle_hash *out);

/* The path of the leaf in the tree of that size (RFC 9162 2.1.3.1). Returns the number of hashes, at most
 * MERKLE_MAX_PROOF; -1 when the leaf or the size is not in the part. */
int merkle_prove_inclusion(const struct merkle_part *p, uint64_t leaf, uint64_t size,
                           struct merkle_hash *out);
/* RFC 9162 2.1.3.2. */
bool merkle_check_inclusion(const struct merkle_hash *leaf_hash, uint64_t leaf, uint64_t size,
                            const struct merkle_hash *path, unsigned n,
                            const struct merkle_hash *root);

/* The proof that the tree of `from` leaves is a prefix of that of `to` leaves (RFC 9162 2.1.4.1), 0 < from <= to. -1: not in
 * the part. */
int merkle_prove_consistency(const struct merkle_part *p, uint64_t from, uint64_t to,
                             struct merkle_hash *out);
/* RFC 9162 2.1.4.2. */
bool merkle_check_consistency(uint64_t from, const struct merkle_hash *from_root, uint64_t to,
                              const struct merkle_hash *to_root, const struct merkle_hash *proof,
                              unsigned n);

#endif
