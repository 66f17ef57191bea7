/* proxy/store/limits_db.c - see limits_db.h. WAL with synchronous NORMAL: what was committed survives kill -9; a power loss may
 * take the last commits, never the file. */
#include "proxy/store/limits_db.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

enum { FORMAT_VERSION = 1, BUSY_MS = 2000 };

struct limits_db {
    sqlite3 *sql;
    sqlite3_stmt *put;
    int64_t data_version; /* as last seen: another connection's writes raise it */
    bool looked;
    char path[];
};

static const char schema[] =
    "CREATE TABLE counters ("
    " key TEXT PRIMARY KEY NOT NULL,"
    " start_ms INTEGER NOT NULL,"
    " end_ms INTEGER NOT NULL,"
    " used INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE resets (prefix TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;"
    "PRAGMA user_version = 1;";

static enum gw_status fail_sql(struct limits_db *db, struct gw_err *err, const char *what)
{
    int code = sqlite3_extended_errcode(db->sql) & 0xFF;
    enum gw_status st = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? GW_ECORRUPT
                        : code == SQLITE_NOMEM                          ? GW_ENOMEM
                                                                        : GW_EIO;

    return gw_fail(err, st, "%s: cannot %s: %s", db->path, what, sqlite3_errmsg(db->sql));
}

static enum gw_status run(struct limits_db *db, const char *sql, const char *what,
                          struct gw_err *err)
{
    return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? GW_OK
                                                                     : fail_sql(db, err, what);
}

static enum gw_status get_number(struct limits_db *db, const char *sql, int64_t *out,
                                 struct gw_err *err)
{
    sqlite3_stmt *st = NULL;
    enum gw_status status = GW_OK;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        status = fail_sql(db, err, "read it");
    else
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return status;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Makes the file with the right mode before SQLite would with the wrong one. */
static enum gw_status create_file(const char *path, struct gw_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return gw_fail(err, GW_EIO, "cannot open %s: %s", path, strerrordesc_np(errno));
    (void)close(fd);
    return GW_OK;
}

static enum gw_status migrate(struct limits_db *db, struct gw_err *err)
{
    int64_t version = 0;
    enum gw_status st;

    GW_TRY(get_number(db, "PRAGMA user_version", &version, err));
    if (version == FORMAT_VERSION)
        return GW_OK;
    GW_TRY(limits_db_begin(db, err));
    st = get_number(db, "PRAGMA user_version", &version, err);
    if (st == GW_OK && version == 0)
        st = run(db, schema, "create its tables", err);
    else if (st == GW_OK && version != FORMAT_VERSION)
        st = gw_fail(err, GW_EUNSUPPORTED,
                     "%s has format %lld, this sluice knows %d: run the newer sluice that wrote "
                     "it, or move the file away to let all budgets begin anew",
                     db->path, (long long)version, FORMAT_VERSION);
    if (st == GW_OK)
        return limits_db_commit(db, err);
    limits_db_rollback(db);
    return st;
}

static enum gw_status connect(struct limits_db *db, struct gw_err *err)
{
    static const char upsert[] =
        "INSERT INTO counters (key, start_ms, end_ms, used) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET start_ms = excluded.start_ms,"
        " end_ms = excluded.end_ms, used = excluded.used";
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;

    if (sqlite3_open_v2(db->path, &db->sql, flags, NULL) != SQLITE_OK)
        return db->sql == NULL ? gw_fail(err, GW_ENOMEM, "%s: out of memory", db->path)
                               : fail_sql(db, err, "open it");
    (void)sqlite3_busy_timeout(db->sql, BUSY_MS);
    GW_TRY(run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", "set it up", err));
    GW_TRY(migrate(db, err));
    if (sqlite3_prepare_v2(db->sql, upsert, -1, &db->put, NULL) != SQLITE_OK)
        return fail_sql(db, err, "write to it");
    return get_number(db, "PRAGMA data_version", &db->data_version, err);
}

enum gw_status limits_db_open(const char *path, bool create, struct limits_db **out,
                              struct gw_err *err)
{
    size_t n = strlen(path) + 1;
    struct limits_db *db;
    enum gw_status st;

    if (create)
        GW_TRY(create_file(path, err));
    else if (access(path, F_OK) != 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "%s: %s", path,
                       strerrordesc_np(errno));
    db = calloc(1, sizeof(*db) + n);
    if (db == NULL)
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", path);
    memcpy(db->path, path, n);
    st = connect(db, err);
    if (st != GW_OK) {
        limits_db_close(db);
        return st;
    }
    *out = db;
    return GW_OK;
}

void limits_db_close(struct limits_db *db)
{
    if (db == NULL)
        return;
    (void)sqlite3_finalize(db->put);
    (void)sqlite3_close(db->sql);
    free(db);
}

/* ---- counters --------------------------------------------------------------------------- */

static const char *text_of(sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);

    return text == NULL ? "" : (const char *)text;
}

enum gw_status limits_db_each(struct limits_db *db, int64_t now_ms,
                              enum gw_status (*each)(void *ctx, const struct limits_row *row),
                              void *ctx, struct gw_err *err)
{
    static const char sql[] =
        "SELECT key, start_ms, end_ms, used FROM counters WHERE end_ms > ? ORDER BY key";
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;
    int rc;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(db, err, "read its counters");
    (void)sqlite3_bind_int64(st, 1, now_ms);
    while (status == GW_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        int64_t used = sqlite3_column_int64(st, 3);
        const struct limits_row row = {text_of(st, 0), sqlite3_column_int64(st, 1),
                                       sqlite3_column_int64(st, 2), used < 0 ? 0 : (uint64_t)used};

        status = rc == SQLITE_ROW ? each(ctx, &row) : fail_sql(db, err, "read its counters");
    }
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status limits_db_begin(struct limits_db *db, struct gw_err *err)
{
    return run(db, "BEGIN IMMEDIATE", "write to it", err);
}

enum gw_status limits_db_put(struct limits_db *db, const struct limits_row *row, struct gw_err *err)
{
    bool ok;

    (void)sqlite3_bind_text(db->put, 1, row->key, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(db->put, 2, row->start_ms);
    (void)sqlite3_bind_int64(db->put, 3, row->end_ms);
    (void)sqlite3_bind_int64(db->put, 4, row->used > INT64_MAX ? INT64_MAX : (int64_t)row->used);
    ok = sqlite3_step(db->put) == SQLITE_DONE;
    (void)sqlite3_reset(db->put);
    return ok ? GW_OK : fail_sql(db, err, "write a counter");
}

void limits_db_rollback(struct limits_db *db)
{
    (void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
}

enum gw_status limits_db_commit(struct limits_db *db, struct gw_err *err)
{
    enum gw_status st = run(db, "COMMIT", "write to it", err);

    if (st != GW_OK)
        limits_db_rollback(db);
    return st;
}

enum gw_status limits_db_forget(struct limits_db *db, int64_t before_ms, struct gw_err *err)
{
    char sql[96];

    (void)snprintf(sql, sizeof(sql), "DELETE FROM counters WHERE end_ms < %lld",
                   (long long)before_ms);
    return run(db, sql, "remove old counters", err);
}

/* ---- resets ----------------------------------------------------------------------------- */

static enum gw_status run_with(struct limits_db *db, const char *sql, const char *prefix,
                               int64_t now_ms, struct gw_err *err)
{
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(db, err, "reset it");
    (void)sqlite3_bind_text(st, 1, prefix, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 2, now_ms);
    if (sqlite3_step(st) != SQLITE_DONE)
        status = fail_sql(db, err, "reset it");
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status limits_db_reset(struct limits_db *db, const char *prefix, int64_t now_ms,
                               unsigned *n, struct gw_err *err)
{
    enum gw_status st;

    GW_TRY(limits_db_begin(db, err));
    st = run_with(db,
                  "UPDATE counters SET used = 0"
                  " WHERE substr(key, 1, length(?1)) = ?1 AND end_ms > ?2",
                  prefix, now_ms, err);
    if (st == GW_OK) {
        *n = (unsigned)sqlite3_changes(db->sql);
        st =
            run_with(db, "INSERT INTO resets (prefix, at_ms) VALUES (?1, ?2)", prefix, now_ms, err);
    }
    if (st == GW_OK)
        return limits_db_commit(db, err);
    limits_db_rollback(db);
    return st;
}

enum gw_status limits_db_resets(struct limits_db *db, void (*each)(void *ctx, const char *prefix),
                                void *ctx, struct gw_err *err)
{
    int64_t version = 0;
    sqlite3_stmt *st = NULL;
    bool any = false;

    GW_TRY(get_number(db, "PRAGMA data_version", &version, err));
    if (version == db->data_version && db->looked)
        return GW_OK;
    if (sqlite3_prepare_v2(db->sql, "SELECT prefix FROM resets", -1, &st, NULL) != SQLITE_OK)
        return fail_sql(db, err, "read its resets");
    while (sqlite3_step(st) == SQLITE_ROW) {
        any = true;
        each(ctx, text_of(st, 0));
    }
    (void)sqlite3_finalize(st);
    db->data_version = version;
    db->looked = true;
    return any ? run(db, "DELETE FROM resets", "take up its resets", err) : GW_OK;
}
