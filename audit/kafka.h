/* audit/kafka.h - the sender: a thread that reads the spool in order and feeds Kafka.
 *
 * Nothing here can block or fail a request: the spool is the truth, Kafka catches up. */
#ifndef AUDIT_KAFKA_H
#define AUDIT_KAFKA_H

#include "audit/audit.h"
#include "base/err.h"

struct kafka;

enum { KAFKA_SINK = 0 }; /* its index among the sinks of the spool, where it is configured */

/* Starts the sender for a's spool. GW_EINVAL: a property that librdkafka refuses, with its reason. */
enum gw_status kafka_open(struct audit *a, const struct audit_config *cfg, struct kafka **out,
                          struct gw_err *err);

/* Gives it up to drain_ms to deliver all, saves the cursor, ends the thread. k may be NULL. */
void kafka_close(struct kafka *k, int drain_ms);

/* There may be new durable records. Cheap; thread: any. */
void kafka_wake(struct kafka *k);

/* Fills in the Kafka figures. Thread: any. */
void kafka_stats(struct kafka *k, struct audit_stats *out);

#endif
