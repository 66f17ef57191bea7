/* proxy/store/store_changes.c - the table `changes`: who changed which key, from what to what. Never on an event loop.
 *
 * A row is written in the transaction of its change, by whoever makes it; the running gateway reads those that have no
 * audit record yet. Rows with a record are kept for a while, for `sluice keys log`, then dropped: the ledger has them. */
#include <stdio.h>

#include "base/clock.h"
#include "base/digest.h"
#include "proxy/store/store_sql.h"

#define COLUMNS "id, time_ms, actor, via, address, action, key_id, key_name, before, after, seq"

enum { KEPT_CHANGES = 10000 };

enum gw_status store_db_change(struct store_db *db, const struct proxy_change *c,
                               struct gw_err *err)
{
    static const char sql[] =
        "INSERT INTO changes (id, time_ms, actor, via, address, action,"
        " key_id, key_name, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    const char *const texts[] = {c->actor,  c->via,      c->address,     c->action,
                                 c->key_id, c->key_name, c->before_json, c->after_json};
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "note a change");
    store_sql_bind_text(st, 1, c->id);
    (void)sqlite3_bind_int64(st, 2, c->time_ms);
    for (int i = 0; i < 8; i++)
        store_sql_bind_text(st, i + 3, texts[i] == NULL ? "" : texts[i]);
    if (sqlite3_step(st) != SQLITE_DONE)
        status = store_sql_fail(db, err, "note a change");
    (void)sqlite3_finalize(st);
    return status;
}

static struct proxy_change read_change(sqlite3_stmt *st)
{
    return (struct proxy_change){
        .id = store_sql_text(st, 0),
        .time_ms = sqlite3_column_int64(st, 1),
        .actor = store_sql_text(st, 2),
        .via = store_sql_text(st, 3),
        .address = store_sql_text(st, 4),
        .action = store_sql_text(st, 5),
        .key_id = store_sql_text(st, 6),
        .key_name = store_sql_text(st, 7),
        .before_json = store_sql_text(st, 8),
        .after_json = store_sql_text(st, 9),
    };
}

/* Calls each for the rows of a query that takes one number; *last gets the seq of the last that each took. */
static enum gw_status each_change(struct store_db *db, const char *sql, int64_t number,
                                  enum gw_status (*each)(void *ctx, const struct proxy_change *c),
                                  void *ctx, int64_t *last, struct gw_err *err)
{
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;
    int rc;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "read its changes");
    (void)sqlite3_bind_int64(st, 1, number);
    while (status == GW_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        struct proxy_change c;

        if (rc != SQLITE_ROW) {
            status = store_sql_fail(db, err, "read its changes");
            break;
        }
        c = read_change(st);
        status = each(ctx, &c);
        if (status == GW_OK)
            *last = sqlite3_column_int64(st, 10);
    }
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status store_db_changes(struct store_db *db, unsigned max,
                                enum gw_status (*each)(void *ctx, const struct proxy_change *c),
                                void *ctx, struct gw_err *err)
{
    int64_t last;

    return each_change(db, "SELECT " COLUMNS " FROM changes ORDER BY seq DESC LIMIT ?1",
                       (int64_t)max, each, ctx, &last, err);
}

enum gw_status store_db_record_changes(struct store_db *db, int64_t now_ms, unsigned max,
                                       enum gw_status (*each)(void *ctx,
                                                              const struct proxy_change *c),
                                       void *ctx, struct gw_err *err)
{
    int64_t n = 0, last = 0;
    enum gw_status st, ended;
    char sql[160];

    /* Asked without the lock first: nothing to do is the usual case. */
    GW_TRY(store_sql_number(db, "SELECT count(*) FROM changes WHERE recorded_ms IS NULL", &n, err));
    if (n == 0)
        return GW_OK;
    /* The write lock is held while the records are made durable, so that two gateways with one database do not both
     * make them. */
    GW_TRY(store_db_begin(db, err));
    st = each_change(
        db, "SELECT " COLUMNS " FROM changes WHERE recorded_ms IS NULL ORDER BY seq LIMIT ?1",
        (int64_t)max, each, ctx, &last, err);
    (void)snprintf(
        sql, sizeof(sql),
        "UPDATE changes SET recorded_ms = %lld WHERE recorded_ms IS NULL AND seq <= %lld;"
        "DELETE FROM changes WHERE recorded_ms IS NOT NULL AND seq <= %lld;",
        (long long)now_ms, (long long)last, (long long)last - KEPT_CHANGES);
    /* What was recorded before a failure stays recorded. */
    ended = store_sql_run(db, sql, "note what was recorded", err);
    if (ended == GW_OK)
        ended = store_db_commit(db, err);
    else
        store_db_rollback(db);
    return st != GW_OK ? st : ended;
}

enum gw_status proxy_store_note(const char *path, const struct proxy_actor *by, const char *action,
                                const char *name, const char *after_json, struct gw_err *err)
{
    char id[GW_ULID_BYTES];
    const struct proxy_change c = {.id = id,
                                   .time_ms = gw_clock_wall_ms(),
                                   .actor = by->name,
                                   .via = by->via,
                                   .address = by->address,
                                   .action = action,
                                   .key_name = name,
                                   .after_json = after_json};
    struct store_db *db = NULL;
    enum gw_status st;

    gw_ulid(id);
    GW_TRY(store_db_open(path, true, &db, err));
    st = store_db_begin(db, err);
    if (st == GW_OK) {
        st = store_db_change(db, &c, err);
        if (st == GW_OK)
            st = store_db_commit(db, err);
        else
            store_db_rollback(db);
    }
    store_db_close(db);
    return st;
}
