/* proxy/admin/metrics_health.h - attempts, and the health of the targets' endpoints, as Prometheus text. Thread: the admin's. */
#ifndef PROXY_METRICS_HEALTH_H
#define PROXY_METRICS_HEALTH_H

#include "base/buf.h"

struct server;

void metrics_health_text(struct server *s, struct gw_buf *out);

#endif
