/* proxy/admin/metrics_sinks.h - where the audit's records go and how far they are, as Prometheus text. Thread: the admin's. */
#ifndef PROXY_ADMIN_METRICS_SINKS_H
#define PROXY_ADMIN_METRICS_SINKS_H

#include "base/buf.h"
#include "proxy/net/server.h"

/* Nothing when there is no sink. */
void metrics_sinks_text(const struct server *s, struct gw_buf *out);

#endif
