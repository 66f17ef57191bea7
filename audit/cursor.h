/* audit/cursor.h - how far a sink has acknowledged, in one small file that may be lost.
 *
 * Written to a temporary name, synced, renamed, directory synced. Missing, short or damaged: everything
 * that the spool holds is sent again, consumers de-duplicate on metadata.uid. */
#ifndef AUDIT_CURSOR_H
#define AUDIT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/spool.h"
#include "base/err.h"

/* One slot: all before and with sequence seq of segment segno is acknowledged. */
struct cursor_entry {
    unsigned slot;
    uint64_t segno, seq;
    char chain[SPOOL_CHAIN_BYTES]; /* of that segment */
};

/* Reads the cursor of the sink of that name ("": Kafka's) into entries (max of them). Returns how many; 0 when
 * the file is missing or damaged. */
size_t cursor_load(int dirfd, const char *sink, struct cursor_entry *entries, size_t max);

/* Replaces the cursor. GW_EIO leaves the old one. */
enum gw_status cursor_save(int dirfd, const char *sink, const struct cursor_entry *entries,
                           size_t n, struct gw_err *err);

#endif
