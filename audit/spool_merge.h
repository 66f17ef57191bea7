/* audit/spool_merge.h - all records of a spool, also of one that is being written, in the order of their times.
 *
 * Takes no lock and writes nothing. The chains are merged record by record; within a chain order is kept, whatever the times
 * say. One thread. */
#ifndef AUDIT_SPOOL_MERGE_H
#define AUDIT_SPOOL_MERGE_H

#include "audit/spool_read.h"

/* One slot being read. Private to spool_merge.c. */
struct spool_source {
    unsigned slot;
    struct spool_reader r; /* r.segno: where reading goes on; fd -1: not opened yet */
    uint64_t next_segno;   /* to open when fd is -1 */
    struct spool_rec rec;  /* the next record, when there is one */
    bool has;
};

struct spool_merge {
    int dirfd;
    struct spool_source *sources;
    size_t n_sources;
    enum gw_status st; /* what ended it: GW_EUNSUPPORTED, GW_ENOMEM; else GW_OK */
    struct gw_err *err;
};

/* Opens the directory and stands before its first record. err is kept, for what comes later. GW_ENOENT, GW_EIO; then there
 * is nothing to release. */
enum gw_status spool_merge_open(struct spool_merge *m, const char *spool_dir, struct gw_err *err);
void spool_merge_fini(struct spool_merge *m);

/* Before the first record: begins where the last n certainly are. */
void spool_merge_skip_to_last(struct spool_merge *m, size_t n);

/* The next record, borrowed until the next call; NULL: there is none now (m->st says whether there can be more). */
const struct spool_rec *spool_merge_next(struct spool_merge *m);

/* Looks for slots that are new. */
void spool_merge_look(struct spool_merge *m);

#endif
