/* audit/seal.h - signs the ledger: a tree over each chain, its head signed every few seconds.
 *
 * A thread of its own reads what is durable, as the Kafka sender does, and appends
 *
 *   spool/sNNN-NNNNNNNNNN.leaf   the hash of each record, beside its segment (audit/leaf_file.h)
 *   spool/checkpoints            signed notes (audit/note.h), one after the other
 *   spool/checkpoint.keys        the public keys, one a line
 *
 * Invariants: (L1) what a checkpoint covers was on the disk before it was signed; (L2) the hashes of a checkpoint are in leaf
 * files before it is; (L3) a segment is not deleted before it is sealed. A crash between any two of these is repeated by the
 * next start. */
#ifndef AUDIT_SEAL_H
#define AUDIT_SEAL_H

#include "audit/spool.h"
#include "base/err.h"

#define SEAL_CHECKPOINTS "checkpoints"
#define SEAL_KEYS        "checkpoint.keys"

enum { SEAL_EVERY_RECORDS = 1000, SEAL_MAX_KEYS = 4 };

struct seal;

/* The file of checkpoints is looked through (audit/seal_prune.h) when it is so long, and again when it has doubled since. Tests
 * make it short. */
extern uint64_t seal_prune_bytes;

struct seal_config {
    const char *key_file; /* secret keys, one a line; made when it is not there. All of them sign */
    const char *instance; /* the name of a new key */
    uint64_t
        prune_bytes; /* the file of checkpoints is looked through when it is so long, and has doubled since; 0: 4 MiB */
    unsigned
        interval_ms; /* a chain with new records is signed this often, or every 1,000 records */
};

/* Opens the key and the files, continues the trees and starts the thread. The spool was recovered. GW_EIO, GW_EPARSE (the
 * key file), GW_ENOMEM. */
enum gw_status seal_open(struct spool *sp, const struct seal_config *cfg, struct seal **out,
                         struct gw_err *err);

/* Signs what is durable and ends. Call it when nothing writes any more. s may be NULL. */
void seal_close(struct seal *s);

struct seal_stats {
    uint64_t checkpoints; /* signed since open */
    int64_t last_ms;      /* wall clock of the newest, 0: none */
    bool failing;         /* the last try could not be written */
};
void seal_stats(struct seal *s, struct seal_stats *out); /* thread: any */

/* The origin of the tree of a chain that begins at the record first_seq. */
void seal_origin(const char *chain, uint64_t first_seq, char *out, size_t size);

#endif
