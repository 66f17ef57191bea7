/* proxy/store/limits_db.c - see limits_db.h. WAL with synchronous NORMAL: what was committed survives kill -9; a power loss may
 * take the last commits, never the file. */
#include "proxy/store/limits_db.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/store/store_sql.h"

struct limits_db {
    struct store_db *db;
    sqlite3_stmt *put;
    bool looked; /* for resets, since data_version was that of db */
};

static const char *const steps[] = {
    "CREATE TABLE counters ("
    " key TEXT PRIMARY KEY NOT NULL,"
    " start_ms INTEGER NOT NULL,"
    " end_ms INTEGER NOT NULL,"
    " used INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE resets (prefix TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;"
    "PRAGMA user_version = 1;",
};

enum gw_status limits_db_open(const char *path, bool create, struct limits_db **out,
                              struct gw_err *err)
{
    static const struct store_format format = {
        .steps = steps,
        .n_steps = sizeof(steps) / sizeof(steps[0]),
        .pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
        .anew = "let all budgets begin anew",
    };
    static const char upsert[] =
        "INSERT INTO counters (key, start_ms, end_ms, used) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET start_ms = excluded.start_ms,"
        " end_ms = excluded.end_ms, used = excluded.used";
    struct limits_db *db = calloc(1, sizeof(*db));
    enum gw_status st;

    if (db == NULL)
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", path);
    st = store_sql_open(path, create, &format, &db->db, err);
    if (st == GW_OK && sqlite3_prepare_v2(db->db->sql, upsert, -1, &db->put, NULL) != SQLITE_OK)
        st = store_sql_fail(db->db, err, "write to it");
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
    store_db_close(db->db);
    free(db);
}

/* ---- counters --------------------------------------------------------------------------- */

enum gw_status limits_db_each(struct limits_db *db, int64_t now_ms,
                              enum gw_status (*each)(void *ctx, const struct limits_row *row),
                              void *ctx, struct gw_err *err)
{
    static const char sql[] =
        "SELECT key, start_ms, end_ms, used FROM counters WHERE end_ms > ? ORDER BY key";
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;
    int rc;

    if (sqlite3_prepare_v2(db->db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db->db, err, "read its counters");
    (void)sqlite3_bind_int64(st, 1, now_ms);
    while (status == GW_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        int64_t used = sqlite3_column_int64(st, 3);
        const struct limits_row row = {store_sql_text(st, 0), sqlite3_column_int64(st, 1),
                                       sqlite3_column_int64(st, 2), used < 0 ? 0 : (uint64_t)used};

        status =
            rc == SQLITE_ROW ? each(ctx, &row) : store_sql_fail(db->db, err, "read its counters");
    }
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status limits_db_begin(struct limits_db *db, struct gw_err *err)
{
    return store_db_begin(db->db, err);
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
    return ok ? GW_OK : store_sql_fail(db->db, err, "write a counter");
}

void limits_db_rollback(struct limits_db *db)
{
    store_db_rollback(db->db);
}

enum gw_status limits_db_commit(struct limits_db *db, struct gw_err *err)
{
    return store_db_commit(db->db, err);
}

enum gw_status limits_db_forget(struct limits_db *db, int64_t before_ms, struct gw_err *err)
{
    char sql[96];

    (void)snprintf(sql, sizeof(sql), "DELETE FROM counters WHERE end_ms < %lld",
                   (long long)before_ms);
    return store_sql_run(db->db, sql, "remove old counters", err);
}

/* ---- resets ----------------------------------------------------------------------------- */

static enum gw_status run_with(struct limits_db *db, const char *sql, const char *prefix,
                               int64_t now_ms, struct gw_err *err)
{
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db->db, err, "reset it");
    (void)sqlite3_bind_text(st, 1, prefix, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 2, now_ms);
    if (sqlite3_step(st) != SQLITE_DONE)
        status = store_sql_fail(db->db, err, "reset it");
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
        *n = (unsigned)sqlite3_changes(db->db->sql);
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

    GW_TRY(store_sql_number(db->db, "PRAGMA data_version", &version, err));
    if (version == db->db->data_version && db->looked)
        return GW_OK;
    if (sqlite3_prepare_v2(db->db->sql, "SELECT prefix FROM resets", -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db->db, err, "read its resets");
    while (sqlite3_step(st) == SQLITE_ROW) {
        any = true;
        each(ctx, store_sql_text(st, 0));
    }
    (void)sqlite3_finalize(st);
    db->db->data_version = version;
    db->looked = true;
    return any ? store_sql_run(db->db, "DELETE FROM resets", "take up its resets", err) : GW_OK;
}
