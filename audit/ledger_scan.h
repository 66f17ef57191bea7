/* audit/ledger_scan.h - reads and hashes the segments of a spool on all cores, ahead of the one that judges them in their order.
 *
 *   threads:  segment i, i+1, i+2, ... each whole: frames, checksums, hashes, links --> slots
 *   caller:   ledger_scan_take() of 0, 1, 2, ... in order
 *
 * Memory: some ten segments' hashes (80 bytes a record), and a buffer a thread. */
#ifndef AUDIT_LEDGER_SCAN_H
#define AUDIT_LEDGER_SCAN_H

#include "audit/leaf_file.h"
#include "audit/ledger.h"
#include "audit/spool_link.h"
#include "audit/spool_read.h"

struct ledger_scan_rec {
    uint64_t seq;
    struct merkle_hash print;
    unsigned char before[SPOOL_PRINT_BYTES]; /* what it names, when linked says so */
    unsigned char linked;                    /* enum spool_linked */
};

/* A segment as it was read. */
struct ledger_scan {
    enum gw_status
        st; /* GW_ENOENT: deleted meanwhile; GW_ECORRUPT: its header; GW_EUNSUPPORTED, GW_ENOMEM */
    struct gw_err err;
    struct spool_header header;
    enum gw_status
        leaf_st; /* of leaf_read(): read before the records, so that it never knows more of a live segment than they do */
    struct leaf_file leaf;
    struct ledger_scan_rec *recs; /* in the order of the file, repetitions too */
    size_t n, cap;
    struct ledger_gap *gaps; /* that its records tell of */
    size_t n_gaps;
    uint64_t bad_bytes;
    bool unreadable; /* the system refused to read on */
};

struct ledger_scanner;

/* Starts; files are borrowed. NULL: out of memory. */
struct ledger_scanner *ledger_scanner_new(int dirfd, const struct spool_file *files, size_t n);

/* The next segment in order, borrowed until the next call. */
const struct ledger_scan *ledger_scanner_take(struct ledger_scanner *s);

/* Ends the threads. s may be NULL. */
void ledger_scanner_free(struct ledger_scanner *s);

#endif
