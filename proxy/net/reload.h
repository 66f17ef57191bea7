/* proxy/net/reload.h - the keeper: the thread that makes new setups and closes old ones. For server.c and the metrics.
 *
 *   server_reload() ─► load file ─► compare with what is fixed ─► setup_open() ─► publish ─► workers switch ─► result
 *                          └──────────────┴──────────────────────────┴─► refused: the problems, nothing changed
 *
 * Invariants: (L1) a new setup is published only when all of it was opened; (L2) a result that says ok comes after every
 * worker has switched, so that who asked sees the new configuration with the next request; (L3) a setup that nobody holds
 * is closed here, on no loop. */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proxy/net/setup.h"

struct keeper;
struct server;

/* Starts the thread. path: see server_open(); copied. */
enum gw_status keeper_open(struct server *s, const char *path, struct keeper **out,
                           struct gw_err *err);
/* Ends it: a load under way is finished, its result dropped. k may be NULL. */
void keeper_close(struct keeper *k);

/* Has a setup closed that nobody holds. Thread: any. */
void keeper_bury(struct keeper *k, struct setup *dead);

struct keeper_stats {
    uint64_t ok, refused; /* reloads */
    int64_t last_ms;      /* wall clock of the last one; 0: none */
    bool last_ok;         /* also true without any */
};
void keeper_stats(struct keeper *k, struct keeper_stats *out);

/* Reports each key that differs between the two and cannot change in a running gateway: "audit.spool: cannot change
 * without a restart ..." to problems, a line each. Returns how many (reload_fixed.c). */
unsigned reload_fixed(const struct proxy_config *now, const struct proxy_config *then,
                      struct gw_buf *problems);

#endif
