/* proxy/admin/metrics_engine.h - /metrics of the models in this process: tokens, batches, pages, GPUs, energy. */
#ifndef PROXY_METRICS_ENGINE_H
#define PROXY_METRICS_ENGINE_H

#include "base/buf.h"

struct server;
struct setup;

/* Thread: the admin's. */
void metrics_engine_text(const struct server *server, const struct setup *s, struct gw_buf *out);

#endif
