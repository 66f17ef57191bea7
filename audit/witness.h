/* audit/witness.h - has the newest checkpoint of each chain cosigned by a witness (C2SP tlog-witness): somebody else, who signs only what
 * continues what he has signed before. Two histories for two auditors are then impossible without him.
 *
 *   POST URL/add-checkpoint:  old SIZE             what the witness has signed
 *                             BASE64 ...           the proof that ours continues it, a hash a line
 *                                                  (empty)
 *                             the checkpoint
 *   200: lines of cosignatures;  409: the size that he has, and we ask again with that
 *
 * A thread of its own; the caller's post() makes the connection and may block. The newest cosigned checkpoint of each chain stands in
 * spool/checkpoints.witnessed. Nothing here delays a signature, a record or a request. */
#ifndef AUDIT_WITNESS_H
#define AUDIT_WITNESS_H

#include "audit/audit.h"
#include "audit/spool.h"
#include "base/err.h"

#define WITNESS_FILE "checkpoints.witnessed"

struct witness;

/* Starts the thread; the sealer is open. GW_EIO, GW_ENOMEM. */
enum gw_status witness_open(struct spool *sp, const struct audit_witness *cfg, struct witness **out,
                            struct gw_err *err);

/* Ends it; a call that is under way is asked to stop. w may be NULL. */
void witness_close(struct witness *w);

/* Fills in the figures. Thread: any. w may be NULL. */
void witness_stats(const struct witness *w, struct audit_stats *out);

#endif
