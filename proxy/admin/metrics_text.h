/* proxy/admin/metrics_text.h - everything /metrics says, in Prometheus' text format 0.0.4 or OpenMetrics 1.0. */
#ifndef PROXY_METRICS_TEXT_H
#define PROXY_METRICS_TEXT_H

#include "base/buf.h"

struct server;

/* The two lines in front of a family; name without "sluice_". */
void metrics_head(struct gw_buf *out, const char *name, const char *type, const char *help);

/* A family of one number. */
void metrics_one(struct gw_buf *out, const char *name, const char *type, const char *help,
                 uint64_t v);
/* A line of a family, with one label; value is written as it is. */
void metrics_labelled(struct gw_buf *out, const char *name, const char *label, const char *value,
                      uint64_t v);

/* The sum over all workers of the counter at that offset of struct metrics. */
uint64_t metrics_sum(const struct server *s, size_t offset);

/* Sums the workers and asks audit, engines and store. Thread: the admin's. */
void metrics_text(struct server *s, struct gw_buf *out);

/* The same in OpenMetrics 1.0: families of counters without _total, and an end. text: what metrics_text() made. */
void metrics_openmetrics(struct gw_span text, struct gw_buf *out);

/* The content types of the two. */
extern const char metrics_text_type[], metrics_openmetrics_type[];

#endif
