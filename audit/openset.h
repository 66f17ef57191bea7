/* audit/openset.h - which requests were decided and have not ended.
 *
 * A compact hash set of request ids: 32 bytes an entry, ids are kept as a 128-bit keyed hash. Each entry
 * counts (an id that is used twice is open twice) and remembers where its decided record stands. One
 * thread at a time. */
#ifndef AUDIT_OPENSET_H
#define AUDIT_OPENSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct openset_entry {
    uint64_t a, b;   /* hash of the id */
    uint64_t segno;  /* 0: the entry is free */
    uint32_t offset; /* in the segment, of the oldest decided record */
    uint32_t count;
};

/* Zeroes are an empty set. */
struct openset {
    struct openset_entry *entries; /* n_slots, a power of two */
    size_t n_slots, len;
};

void openset_fini(struct openset *os);

/* Counts id in. *segno (above 0) and offset say where the decided record stands; for an id that is in
 * already, the older place is kept and *segno is set to it. False when out of memory: the set is
 * unchanged. */
bool openset_add(struct openset *os, struct gw_span id, uint64_t *segno, uint32_t offset);

/* The entry of id, valid until the set changes, or NULL. Others may use the set for values of their own: segno (not 0) and
 * offset. */
struct openset_entry *openset_find(const struct openset *os, struct gw_span id);

/* Counts id out once. False when it is not in; else *segno is where it was decided. */
bool openset_remove(struct openset *os, struct gw_span id, uint64_t *segno);

/* The next entry at or after *at, or NULL; *at moves behind it. Start with 0. */
const struct openset_entry *openset_next(const struct openset *os, size_t *at);

#endif
