/* proxy/store/store_sql.h - a connection to a database, for the files that know its SQL: store_db.c, store_rows.c and
 * store_changes.c that of the keys, limits_db.c that of the budgets. One thread at a time. */
#ifndef PROXY_STORE_SQL_H
#define PROXY_STORE_SQL_H

#include <sys/types.h>

#include <sqlite3.h>

#include "proxy/store/store_private.h"

struct store_db {
    sqlite3 *sql;
    char *path;
    dev_t dev; /* of the file that is open */
    ino_t ino;
    int64_t data_version; /* as last seen */
};

/* How a database is laid out. */
struct store_format {
    /* Each brings a database of the format before it (the first: an empty file) to its own and sets user_version. One that
     * was released is never changed: a new format is a new step. */
    const char *const *steps;
    unsigned n_steps;
    const char *pragmas; /* of each connection */
    const char *anew; /* what to do after "move the file away and", for a format from the future */
};

/* Opens path, creates it (mode 0600, and its folder 0700) when create is set, brings the format up to date. GW_ENOENT without
 * create, GW_EIO, GW_ECORRUPT, GW_EUNSUPPORTED (a newer format), GW_ENOMEM. Release with store_db_close(). */
enum gw_status store_sql_open(const char *path, bool create, const struct store_format *f,
                              struct store_db **out, struct gw_err *err);

/* What SQLite says of the last call: "PATH: cannot WHAT: ...". GW_ECORRUPT, GW_ENOMEM, else GW_EIO. */
enum gw_status store_sql_fail(struct store_db *db, struct gw_err *err, const char *what);
enum gw_status store_sql_run(struct store_db *db, const char *sql, const char *what,
                             struct gw_err *err);
/* The one number that a statement answers. */
enum gw_status store_sql_number(struct store_db *db, const char *sql, int64_t *out,
                                struct gw_err *err);

/* A column's text, "" for NULL; valid until the next step. */
const char *store_sql_text(sqlite3_stmt *st, int column);
void store_sql_bind_text(sqlite3_stmt *st, int index,
                         const char *text);                        /* must live until the step */
void store_sql_bind_time(sqlite3_stmt *st, int index, int64_t ms); /* 0 becomes NULL */

#endif
