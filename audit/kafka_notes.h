/* audit/kafka_notes.h - the checkpoints' way to their own topic.
 *
 * A thread and a producer of its own, so that a topic that is not there stops no record. A checkpoint goes when the records that it
 * covers have been acknowledged: who reads the topics never sees one that names records which are still to come. */
#ifndef AUDIT_KAFKA_NOTES_H
#define AUDIT_KAFKA_NOTES_H

#include "audit/audit.h"
#include "audit/spool.h"
#include "base/err.h"

struct kafka_notes;

/* Starts the thread; the sealer is open. cfg->kafka_checkpoints names the topic. GW_EINVAL, GW_EIO, GW_ENOMEM. */
enum gw_status kafka_notes_open(struct spool *sp, const struct audit_config *cfg,
                                struct kafka_notes **out, struct gw_err *err);

/* Gives it up to drain_ms to deliver, ends the thread. k may be NULL. */
void kafka_notes_close(struct kafka_notes *k, int drain_ms);

/* Checkpoints delivered since open. Thread: any. */
uint64_t kafka_notes_delivered(const struct kafka_notes *k);

#endif
