/* audit/sinks.h - runs the sinks of one audit, Kafka apart (audit/kafka.h). */
#ifndef AUDIT_SINKS_H
#define AUDIT_SINKS_H

#include "audit/audit.h"
#include "audit/sink.h"

struct sinks;

/* Starts a thread for each sink; the first has index `first` in the spool. Takes over what they are made of, also on failure.
 * GW_ENOMEM, GW_EIO. */
enum gw_status sinks_open(struct audit *a, const struct audit_sink *list, unsigned n,
                          unsigned first, struct sinks **out, struct gw_err *err);

/* Tells them to end within drain_ms; sinks_close() waits for that and frees. s may be NULL. */
void sinks_stop(struct sinks *s, int drain_ms);
void sinks_close(struct sinks *s);

/* There may be new durable records. Cheap; thread: any. */
void sinks_wake(struct sinks *s);
void sinks_reopen(struct sinks *s);

/* Fills in up to max; returns how many. Thread: any. */
unsigned sinks_stats(struct sinks *s, struct audit_sink_stats *out, unsigned max);

#endif
