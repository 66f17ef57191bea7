/* audit/records.h - every record of a spool or of a topic, once, whichever it is. One thread. */
#ifndef AUDIT_RECORDS_H
#define AUDIT_RECORDS_H

#include "audit/audit.h"
#include "audit/spool_format.h"
#include "base/err.h"

/* Called for each record, which is borrowed. Anything but GW_OK ends the reading and is returned. */
typedef enum gw_status (*records_fn)(void *ctx, const struct spool_rec *rec);

/* Of a spool in the order of their times; of a topic (kafka is not NULL) each chain in its order, what was delivered again left out.
 * from_ms: older ones need not come; 0: all. Errors of spool_merge_open() and kafka_read(), and of each. */
enum gw_status records_each(const char *spool_dir, const struct audit_kafka *kafka, int64_t from_ms,
                            records_fn each, void *ctx, struct gw_err *err);

#endif
