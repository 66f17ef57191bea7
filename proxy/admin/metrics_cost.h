/* proxy/admin/metrics_cost.h - tokens and money by target, as Prometheus text. Any thread but the workers'. */
#ifndef PROXY_METRICS_COST_H
#define PROXY_METRICS_COST_H

#include "base/buf.h"

struct server;

void metrics_cost_text(const struct server *s, struct gw_buf *out);

#endif
