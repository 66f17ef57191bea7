/* audit/spool_link.h - each record names the one before it in its chain.
 *
 *   "unmapped":{"sluice":{...},"record_integrity":{"chain_uid":"gw-1/5f1c0a77.0","prev_event":{"uid":"01J...",
 *     "fingerprint":{"algorithm_id":99,"algorithm":"RFC 9162 leaf","value":"<64 hex digits>"}}}},"metadata":{...}}
 *
 * The form is that of OCSF 1.9's profile record_integrity; the fingerprint is spool_print() of the record before. The first record
 * of a chain has no prev_event, and records of versions that knew no links have no record_integrity. Added when the order is fixed:
 * by spool_put(). Pure; any thread. */
#ifndef AUDIT_SPOOL_LINK_H
#define AUDIT_SPOOL_LINK_H

#include <stdbool.h>

#include "audit/spool_format.h"
#include "base/buf.h"
#include "base/digest.h"

/* What the next record has to say of a record. Zeroes: there is none before. */
struct spool_link {
    bool any;
    unsigned char print[SPOOL_PRINT_BYTES];
    char uid[GW_ULID_BYTES];
};

/* Bytes that a link adds to a record at most. A chain id that escapes make longer than SPOOL_CHAIN_BYTES is left out. */
enum { SPOOL_LINK_BYTES = 384 };

/* Puts the link into a record in the making, which ends with `..."unmapped":{...},"metadata":{...` as audit/event.c writes it; any
 * other text is left as it is. False: out of memory. */
bool spool_link_put(struct gw_buf *record, const char *chain, const struct spool_link *before);

/* The link that the record behind this one needs. */
void spool_link_of(struct gw_span record, struct spool_link *out);

enum spool_linked {
    SPOOL_LINKED_NONE,  /* it says nothing of links */
    SPOOL_LINKED_FIRST, /* it is the first of its chain */
    SPOOL_LINKED_TO,    /* print is set: of the record before */
};
enum spool_linked spool_link_read(struct gw_span record, unsigned char print[SPOOL_PRINT_BYTES]);

#endif
