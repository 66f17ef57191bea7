/* proxy/store/limits_db.h - what budgets have used, in SQLite: limits.db in the state directory.
 *
 * A row is one counter: its name, the window, and what was used of it. Only the gateway that owns the state directory
 * writes rows; commands read them, and ask for resets through a table of their own, which the gateway takes up within a
 * quarter of a second. Each connection is one thread's; never for event loops. */
#ifndef PROXY_LIMITS_DB_H
#define PROXY_LIMITS_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct limits_db;

struct limits_row {
    const char *key; /* "daily|tokens|user:ann" */
    int64_t start_ms, end_ms;
    uint64_t used;
};

/* Opens path; create: makes it (mode 0600, its folder 0700) when it is not there. GW_ENOENT without create, GW_EIO,
 * GW_ECORRUPT, GW_EUNSUPPORTED (a newer format), GW_ENOMEM. */
enum gw_status limits_db_open(const char *path, bool create, struct limits_db **out,
                              struct gw_err *err);
void limits_db_close(struct limits_db *db); /* db may be NULL */

/* Calls each for every row whose window ends after now_ms; stops at anything but GW_OK, which is returned. */
enum gw_status limits_db_each(struct limits_db *db, int64_t now_ms,
                              enum gw_status (*each)(void *ctx, const struct limits_row *row),
                              void *ctx, struct gw_err *err);

/* One transaction: begin, any number of puts, commit (which undoes all when it fails). */
enum gw_status limits_db_begin(struct limits_db *db, struct gw_err *err);
enum gw_status limits_db_put(struct limits_db *db, const struct limits_row *row,
                             struct gw_err *err);
enum gw_status limits_db_commit(struct limits_db *db, struct gw_err *err);
/* Undoes what was begun. */
void limits_db_rollback(struct limits_db *db);
/* Removes the rows whose window ended before that. */
enum gw_status limits_db_forget(struct limits_db *db, int64_t before_ms, struct gw_err *err);

/* Asks for a reset: of one counter, or of all whose names begin with prefix. Rows are set to 0 at once, so that it also
 * works while no gateway runs. *n: how many rows. */
enum gw_status limits_db_reset(struct limits_db *db, const char *prefix, int64_t now_ms,
                               unsigned *n, struct gw_err *err);
/* Calls each for every reset asked for, and takes them off the list. Cheap while there is none. */
enum gw_status limits_db_resets(struct limits_db *db, void (*each)(void *ctx, const char *prefix),
                                void *ctx, struct gw_err *err);

#endif
