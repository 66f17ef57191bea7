/* proxy/net/server.h - everything a running gateway has, in the order it is made; closing is the reverse. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "base/err.h"
#include "proxy/config/config.h"

struct server;

/* Opens rules, keys, models, the CA, the audit spool and the workers' listeners, then starts the workers. cfg is the
 * server's from here on, also on failure. progress: prints what takes long (model loading) to standard error. */
enum gw_status server_open(struct proxy_config *cfg, bool progress, struct server **out,
                           struct gw_err *err);

/* level 1: stop accepting and drain; 2: the drain time is over, end what still runs. */
void server_stop(struct server *s, int level);

/* Waits for the workers, closes everything in reverse order, frees. s may be NULL. */
void server_close(struct server *s);

/* True when every worker's loop has ended: server_close() will not wait. */
bool server_stopped(const struct server *s);

#endif
