/* audit/spool_recover.h - what a start finds in the spool, and how it goes on.
 *
 * Recovery reads every segment once that the index does not vouch for (audit/spool_index.h), as a stream: counts records, finds requests that were decided and
 * never ended, and notes damage. Damage is only noted: the caller writes the sluice.gap records first,
 * then spool_repair() moves the bad bytes to quarantine/, so that a crash between the two repeats the
 * gap record rather than losing it. */
#ifndef AUDIT_SPOOL_RECOVER_H
#define AUDIT_SPOOL_RECOVER_H

#include "audit/spool.h"

/* One damaged segment. */
struct spool_damage {
    unsigned slot;
    uint64_t segno;
    uint64_t bytes; /* not readable as records */
    uint64_t before,
        after; /* sequences of the sound records before the first and behind the last hole; 0: none */
    uint64_t
        missing; /* records, as far as sequences tell: what a hole at the end held is not known */
    bool header; /* the segment's header is damaged */
    bool torn;   /* only the file's end is missing, as after a crash in a write */
    bool told;   /* an earlier start wrote its gap record and ended before the repair */
    char chain[SPOOL_CHAIN_BYTES];
};

struct spool_recovery {
    struct spool_damage *damages; /* n_damages, the first SPOOL_MAX_DAMAGES of n_damaged */
    size_t n_damages, n_damaged;
    uint64_t n_records;
};
enum { SPOOL_MAX_DAMAGES = 1024 };

/* Reads the spool and prepares every slot for writing; what the cursors say stands in each
 * slot's marks before. Damage is
 * no error. Errors: GW_EUNSUPPORTED for a format version it does not know, GW_EIO, GW_ENOMEM. */
enum gw_status spool_recover(struct spool *sp, struct spool_recovery *out, struct gw_err *err);
void spool_recovery_fini(struct spool_recovery *rec);

/* Rewrites a damaged segment without the bad bytes, which go to quarantine/. A failure leaves the
 * segment as it is, for the next start. */
enum gw_status spool_repair(struct spool *sp, const struct spool_damage *d, struct gw_err *err);

/* Makes a fresh chain id for the slot and starts its sequence at 1. */
void spool_new_chain(struct spool_slot *s);

#endif
