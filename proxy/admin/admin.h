/* proxy/admin/admin.h - the admin port: /healthz, /readyz, /metrics and the JSON API (admin_api.h). On the main thread's
 * loop, so that it answers while the workers are busy, and also while the gateway drains. */
#ifndef PROXY_ADMIN_H
#define PROXY_ADMIN_H

#include "base/err.h"
#include "proxy/config/config.h"

struct event_base;
struct server;
struct admin;

/* Listens on addr (off: *out is NULL). GW_EIO, GW_ENOMEM. */
enum gw_status admin_open(struct event_base *base, struct server *s,
                          const struct proxy_config_addr *addr, struct admin **out,
                          struct gw_err *err);
void admin_close(struct admin *a); /* a may be NULL */

#endif
