/* proxy/net/server.h - everything a running gateway has, in the order it is made; closing is the reverse. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "proxy/config/config.h"

struct server;

/* Opens rules, keys, models, the CA, the audit spool and the workers' listeners, then starts the workers. cfg is the
 * server's from here on, also on failure. path: the file that a reload reads, as proxy_config_load() takes it (NULL: the
 * environment's or the built-in one). progress: prints what takes long (model loading) to standard error. */
enum gw_status server_open(struct proxy_config *cfg, const char *path, bool progress,
                           struct server **out, struct gw_err *err);

/* Says that it will stop: not ready any more, each answer ends its connection; everything is served as before. */
void server_leave(struct server *s);

/* level 1: stop accepting and drain; 2: the drain time is over, end what still runs. */
void server_stop(struct server *s, int level);

/* Waits for the workers, closes everything in reverse order, frees. s may be NULL. */
void server_close(struct server *s);

/* True when every worker's loop has ended: server_close() will not wait. */
bool server_stopped(const struct server *s);

/* ---- reloading (reload.c) ------------------------------------------------------------------- */

/* Asks for the configuration, and all that it names, to be read anew: key and certificate files, rules, models. It
 * happens on a thread of its own; while it runs, and when it is refused, everything goes on as before. Asked again before
 * it has begun, it is done once for both. who: for the log and the record ("SIGHUP", an operator's name). Returns a ticket
 * for server_reload_result(), above 0. Thread: any. */
uint64_t server_reload(struct server *s, const char *who);

enum { SERVER_WHO_BYTES = 192 };

struct server_reload_result {
    bool ok;         /* in force in every worker; else nothing has changed */
    int64_t time_ms; /* wall clock of the end */
    uint64_t duration_ms;
    char who[SERVER_WHO_BYTES];
    char old_config[GW_SHA256_HEX_BYTES],
        new_config[GW_SHA256_HEX_BYTES]; /* new: "" when it was not read */
    char old_rules[GW_SHA256_HEX_BYTES], new_rules[GW_SHA256_HEX_BYTES];
    struct gw_buf
        problems; /* one a line, with file and line where there is one; also warnings of one that is ok */
};

/* Of that ticket's reload, or a later one's; ticket 0: of the last one. False: there is none yet. On true the caller frees
 * out->problems (gw_buf_fini). Thread: any. */
bool server_reload_result(struct server *s, uint64_t ticket, struct server_reload_result *out);

/* An eventfd that is readable when a reload has ended; who watches it reads it. One watcher. */
int server_reload_fd(const struct server *s);

#endif
