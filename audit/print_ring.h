/* audit/print_ring.h - fingerprints of the newest records of a slot, so that the sealer need not hash again what the writer has
 * hashed. They are told by their sequence, so they are of one chain. One thread puts, one takes; a fingerprint that was overwritten meanwhile is simply not there. */
#ifndef AUDIT_PRINT_RING_H
#define AUDIT_PRINT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/spool_format.h"

enum {
    PRINT_RING_RECORDS = 8192, /* what a busy worker writes between two looks of the sealer */
    PRINT_RING_WORDS = SPOOL_PRINT_BYTES / sizeof(uint64_t),
};

/* All zero is an empty ring: no record has sequence 0. */
struct print_ring {
    struct print_ring_entry {
        atomic_uint_fast64_t seq; /* 0: nothing, or being written */
        atomic_uint_fast64_t words[PRINT_RING_WORDS];
    } entries[PRINT_RING_RECORDS];
};

/* Thread: the writing one. */
void print_ring_put(struct print_ring *r, uint64_t seq,
                    const unsigned char print[SPOOL_PRINT_BYTES]);
/* False: it is not there (any more), and print is unchanged. Thread: any. */
bool print_ring_get(const struct print_ring *r, uint64_t seq,
                    unsigned char print[SPOOL_PRINT_BYTES]);

#endif
