/* audit/spool_index.h - what a start need not read again: the segments that are closed, on the disk and whole.
 *
 * The file `index` in the spool holds an entry for each of them in which no decided request is open. It may be lost, cut or
 * garbled: then a start reads every segment. An entry counts only while the segment has the size and the time of change that
 * it had. Thread: one at a time. */
#ifndef AUDIT_SPOOL_INDEX_H
#define AUDIT_SPOOL_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "audit/spool.h"

struct spool_index_entry {
    uint64_t slot, segno;
    uint64_t bytes, changed_ns; /* size and time of change of the file */
    uint64_t records, last_seq; /* in it, and of the last one */
    int64_t last_ms;            /* latest time of a record */
};

/* Entries in the order of slot and number; n is 0 when there is no index that can be believed. */
struct spool_index {
    struct spool_index_entry *entries;
    size_t n;
};

void spool_index_load(int dirfd, struct spool_index *out);
void spool_index_fini(struct spool_index *index);

/* The entry of a segment if its file is as it was, else NULL. */
const struct spool_index_entry *spool_index_find(const struct spool_index *index, int dirfd,
                                                 unsigned slot, uint64_t segno);

/* Writes the index anew if it would be another one. Not synced: it is only worth what a later start makes of it. */
void spool_index_save(struct spool *sp);

#endif
