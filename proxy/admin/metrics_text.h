/* proxy/admin/metrics_text.h - everything /metrics says, in Prometheus' text format 0.0.4. */
#ifndef PROXY_METRICS_TEXT_H
#define PROXY_METRICS_TEXT_H

#include "base/buf.h"
#include "proxy/net/metrics.h"

struct server;

/* Upper bounds of the buckets but the last, microseconds. */
extern const uint64_t metrics_bounds_us[METRICS_BUCKETS - 1];

/* Sums the workers and asks audit, engines and store. Thread: the admin's. */
void metrics_text(struct server *s, struct gw_buf *out);

#endif
