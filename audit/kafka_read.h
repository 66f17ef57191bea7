/* audit/kafka_read.h - reads a topic from its beginning to where it ends now. For commands: blocks. One thread. */
#ifndef AUDIT_KAFKA_READ_H
#define AUDIT_KAFKA_READ_H

#include "audit/audit.h"
#include "audit/spool_format.h"
#include "base/err.h"
#include "base/span.h"

struct kafka_message {
    struct gw_span key, value; /* borrowed */
    int64_t time_ms;
};

/* Called for each message; what partitions hold comes in their order. Anything but GW_OK ends the reading. */
typedef enum gw_status (*kafka_read_fn)(void *ctx, const struct kafka_message *m);

/* Reads what the topic of src holds at the call, from the time on (0: all). Memory: some 16 MiB, whatever the topic's size.
 * GW_ENOENT: there is no such topic; GW_ETIMEDOUT: no answer, with the last reason; GW_EDENIED; GW_EINVAL: a property; GW_ENOMEM;
 * what `each` returned. */
enum gw_status kafka_read(const struct audit_kafka *src, const char *topic, int64_t from_ms,
                          kafka_read_fn each, void *ctx, struct gw_err *err);

/* What verify and query read with, replaceable by tests. */
struct kafka_read_io {
    enum gw_status (*read)(const struct audit_kafka *src, const char *topic, int64_t from_ms,
                           kafka_read_fn each, void *ctx, struct gw_err *err);
};
extern struct kafka_read_io kafka_read_io;

/* The record that a message holds, as the spool would give it. False: it is none of ours. */
bool kafka_read_record(const struct kafka_message *m, struct spool_rec *out);

#endif
