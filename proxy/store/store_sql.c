/* proxy/store/store_sql.c - what every database here shares: opening with its format, transactions, SQLite's manners.
 *
 * Format version in user_version; WAL, so that one process reads while another writes. Never used on an event loop. */
#include "proxy/store/store_sql.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_MS = 2000 };

/* ---- SQLite's manners ----------------------------------------------------------------------- */

enum gw_status store_sql_fail(struct store_db *db, struct gw_err *err, const char *what)
{
    int code = sqlite3_extended_errcode(db->sql);
    enum gw_status st = GW_EIO;

    if ((code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB)
        st = GW_ECORRUPT;
    else if ((code & 0xFF) == SQLITE_NOMEM)
        st = GW_ENOMEM;
    return gw_fail(err, st, "%s: cannot %s: %s", db->path, what, sqlite3_errmsg(db->sql));
}

enum gw_status store_sql_run(struct store_db *db, const char *sql, const char *what,
                             struct gw_err *err)
{
    if (sqlite3_exec(db->sql, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, what);
    return GW_OK;
}

enum gw_status store_sql_number(struct store_db *db, const char *sql, int64_t *out,
                                struct gw_err *err)
{
    sqlite3_stmt *st = NULL;
    enum gw_status status = GW_OK;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        status = store_sql_fail(db, err, "read it");
    else
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return status;
}

const char *store_sql_text(sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);

    return text == NULL ? "" : (const char *)text;
}

void store_sql_bind_text(sqlite3_stmt *st, int index, const char *text)
{
    (void)sqlite3_bind_text(st, index, text, -1, SQLITE_STATIC);
}

void store_sql_bind_time(sqlite3_stmt *st, int index, int64_t ms)
{
    if (ms == 0)
        (void)sqlite3_bind_null(st, index);
    else
        (void)sqlite3_bind_int64(st, index, ms);
}

/* ---- opening ---------------------------------------------------------------------------------- */

/* Makes the folder of path, and those above it, with mode 0700. */
static enum gw_status make_folder(const char *path, struct gw_err *err)
{
    char *dir = strdup(path);
    enum gw_status st = GW_OK;

    if (dir == NULL)
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", path);
    for (char *p = dir + 1; (p = strchr(p, '/')) != NULL && st == GW_OK; p++) {
        *p = '\0';
        if (mkdir(dir, 0700) != 0 && errno != EEXIST)
            st = gw_fail(err, GW_EIO, "cannot make the folder %s: %s", dir, strerrordesc_np(errno));
        *p = '/';
    }
    free(dir);
    return st;
}

/* Creates the file with the right mode before SQLite would with the wrong one. One that is there is never opened here: closing
 * any descriptor of a file ends all of the process's POSIX locks on it, also those of SQLite's connections, and without them
 * the next process that closes the database takes the log away from under us (sqlite.org/howtocorrupt.html, 2.2). */
static enum gw_status create_file(const char *path, struct gw_err *err)
{
    struct stat st;
    int fd;

    GW_TRY(make_folder(path, err));
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)close(fd);
        return GW_OK;
    }
    if (errno == EEXIST && lstat(path, &st) == 0) {
        if (!S_ISLNK(st.st_mode))
            return GW_OK;
        errno = ELOOP;
    }
    return gw_fail(err, GW_EIO, "cannot open %s: %s", path, strerrordesc_np(errno));
}

/* Brings the format up to date. Two processes may try at once: the version is read under the lock. */
static enum gw_status migrate(struct store_db *db, const struct store_format *f, struct gw_err *err)
{
    int64_t version = 0;
    enum gw_status st;

    GW_TRY(store_sql_number(db, "PRAGMA user_version", &version, err));
    if (version == f->n_steps)
        return GW_OK;
    if (version > f->n_steps || version < 0)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "%s has format %lld, this sluice knows %u: run the newer sluice that wrote "
                       "it, or move the file away and %s",
                       db->path, (long long)version, f->n_steps, f->anew);
    GW_TRY(store_db_begin(db, err));
    st = store_sql_number(db, "PRAGMA user_version", &version, err);
    for (; st == GW_OK && version >= 0 && version < f->n_steps; version++)
        st = store_sql_run(db, f->steps[version], "bring its format up to date", err);
    if (st != GW_OK) {
        store_db_rollback(db);
        return st;
    }
    return store_db_commit(db, err);
}

static enum gw_status connect(struct store_db *db, const struct store_format *f, struct gw_err *err)
{
    struct stat st;

    if (sqlite3_open_v2(db->path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return db->sql == NULL ? gw_fail(err, GW_ENOMEM, "%s: out of memory", db->path)
                               : store_sql_fail(db, err, "open it");
    (void)sqlite3_busy_timeout(db->sql, BUSY_MS);
    (void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    GW_TRY(store_sql_run(db, "PRAGMA trusted_schema = OFF", "open it", err));
    GW_TRY(store_sql_run(db, f->pragmas, "open it", err));
    GW_TRY(migrate(db, f, err));
    if (stat(db->path, &st) != 0)
        return gw_fail(err, GW_EIO, "%s: %s", db->path, strerrordesc_np(errno));
    db->dev = st.st_dev;
    db->ino = st.st_ino;
    return store_sql_number(db, "PRAGMA data_version", &db->data_version, err);
}

enum gw_status store_sql_open(const char *path, bool create, const struct store_format *f,
                              struct store_db **out, struct gw_err *err)
{
    struct store_db *db;
    enum gw_status st;

    if (create)
        GW_TRY(create_file(path, err));
    else if (access(path, F_OK) != 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "%s: %s", path,
                       strerrordesc_np(errno));
    db = calloc(1, sizeof(*db));
    if (db == NULL)
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", path);
    db->path = strdup(path);
    st =
        db->path == NULL ? gw_fail(err, GW_ENOMEM, "%s: out of memory", path) : connect(db, f, err);
    if (st != GW_OK) {
        store_db_close(db);
        return st;
    }
    *out = db;
    return GW_OK;
}

void store_db_close(struct store_db *db)
{
    if (db == NULL)
        return;
    (void)sqlite3_close(db->sql);
    free(db->path);
    free(db);
}

void store_db_patience(struct store_db *db, int ms)
{
    (void)sqlite3_busy_timeout(db->sql, ms);
}

/* ---- transactions -------------------------------------------------------------------------------- */

enum gw_status store_db_begin(struct store_db *db, struct gw_err *err)
{
    return store_sql_run(db, "BEGIN IMMEDIATE", "write to it", err);
}

enum gw_status store_db_commit(struct store_db *db, struct gw_err *err)
{
    enum gw_status st = store_sql_run(db, "COMMIT", "write to it", err);

    if (st != GW_OK)
        store_db_rollback(db);
    return st;
}

void store_db_rollback(struct store_db *db)
{
    (void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
}
