/* proxy/store/store_rows.c - the table `keys`: reading, inserting, updating its rows. Never on an event loop. */
#include <stdio.h>
#include <string.h>

#include "proxy/store/store_sql.h"

/* ---- small helpers --------------------------------------------------------------------------- */

/* ---- reading --------------------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
    "id, name, owner, groups, user, team, models, targets, networks, role, created_ms,"            \
    " expires_ms, revoked_ms, rotated_ms, grace_ms, last_used_ms, sha256, old_sha256"

static bool read_sum(sqlite3_stmt *st, int column, unsigned char *out)
{
    const void *sum = sqlite3_column_blob(st, column);

    if (sum == NULL || sqlite3_column_bytes(st, column) != GW_SHA256_BYTES)
        return false;
    memcpy(out, sum, GW_SHA256_BYTES);
    return true;
}

static bool read_row(sqlite3_stmt *st, struct store_row *row)
{
    struct proxy_key_info *k = &row->info;
    enum proxy_role role;

    *k = (struct proxy_key_info){
        .id = store_sql_text(st, 0),
        .name = store_sql_text(st, 1),
        .owner = store_sql_text(st, 2),
        .groups = store_sql_text(st, 3),
        .user = store_sql_text(st, 4),
        .team = store_sql_text(st, 5),
        .models = store_sql_text(st, 6),
        .targets = store_sql_text(st, 7),
        .networks = store_sql_text(st, 8),
        .role = store_sql_text(st, 9),
        .created_ms = sqlite3_column_int64(st, 10),
        .expires_ms = sqlite3_column_int64(st, 11), /* NULL reads as 0 */
        .revoked_ms = sqlite3_column_int64(st, 12),
        .rotated_ms = sqlite3_column_int64(st, 13),
        .grace_ms = sqlite3_column_int64(st, 14),
        .last_used_ms = sqlite3_column_int64(st, 15),
    };
    if (k->user[0] == '\0')
        k->user = k->name;
    row->has_old = sqlite3_column_type(st, 17) != SQLITE_NULL;
    /* A role that this program does not know must not become a gateway key. */
    return read_sum(st, 16, row->sha256) && (!row->has_old || read_sum(st, 17, row->old_sha256)) &&
           k->id[0] != '\0' && strlen(k->id) < PROXY_KEY_ID_BYTES &&
           (k->role[0] == '\0' || proxy_role_parse(gw_span_str(k->role), &role));
}

enum gw_status store_db_each(struct store_db *db, const char *id_or_name,
                             enum gw_status (*each)(void *ctx, const struct store_row *row),
                             void *ctx, struct gw_err *err)
{
    /* A name may have belonged to keys that are revoked by now: it means the one that still works. */
    static const char sql[] = "SELECT " COLUMNS " FROM keys WHERE ?1 IS NULL OR id = ?1 OR"
                              " (name = ?1 AND revoked_ms IS NULL) ORDER BY created_ms, id";
    sqlite3_stmt *st = NULL;
    enum gw_status status = GW_OK;
    unsigned n = 0;
    int rc;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "read its keys");
    store_sql_bind_text(st, 1, id_or_name); /* NULL binds as NULL */
    while (status == GW_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        struct store_row row;

        if (rc != SQLITE_ROW)
            status = store_sql_fail(db, err, "read its keys");
        else if (++n > PROXY_KEY_MAX)
            status = gw_fail(err, GW_ELIMIT, "%s: more than %d keys", db->path, PROXY_KEY_MAX);
        else if (!read_row(st, &row))
            status = gw_fail(err, GW_ECORRUPT, "%s: a row of `keys` is damaged", db->path);
        else
            status = each(ctx, &row);
    }
    (void)sqlite3_finalize(st);
    if (status == GW_OK && n == 0 && id_or_name != NULL)
        status = gw_fail(err, GW_ENOENT, "no key has the id or name %.64s: see `sluice keys list`",
                         id_or_name);
    return status;
}

enum gw_status store_db_count_usable(struct store_db *db, int64_t now_ms, int64_t *out,
                                     struct gw_err *err)
{
    char sql[180];

    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM keys WHERE revoked_ms IS NULL AND role = '' AND "
                   "(expires_ms IS NULL OR expires_ms > %lld)",
                   (long long)now_ms);
    return store_sql_number(db, sql, out, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Ends a statement that writes. name: of the key, for a name that is taken. */
static enum gw_status finish(struct store_db *db, sqlite3_stmt *st, const char *name,
                             const char *what, struct gw_err *err)
{
    enum gw_status status = GW_OK;

    if (sqlite3_step(st) != SQLITE_DONE) {
        if ((sqlite3_extended_errcode(db->sql) & 0xFF) == SQLITE_CONSTRAINT)
            status =
                gw_fail(err, GW_EEXIST,
                        "a key named %.64s exists: revoke it first, or choose another name", name);
        else
            status = store_sql_fail(db, err, what);
    }
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status store_db_insert(struct store_db *db, const struct store_row *row, struct gw_err *err)
{
    static const char sql[] =
        "INSERT INTO keys (id, name, owner, groups, user, team, models, targets, networks, role,"
        " created_ms, expires_ms, sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    const struct proxy_key_info *k = &row->info;
    const char *const texts[] = {k->id,   k->name,   k->owner,   k->groups,   k->user,
                                 k->team, k->models, k->targets, k->networks, k->role};
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "add a key");
    for (int i = 0; i < 10; i++)
        store_sql_bind_text(st, i + 1, texts[i]);
    (void)sqlite3_bind_int64(st, 11, k->created_ms);
    store_sql_bind_time(st, 12, k->expires_ms);
    (void)sqlite3_bind_blob(st, 13, row->sha256, GW_SHA256_BYTES, SQLITE_STATIC);
    return finish(db, st, k->name, "add a key", err);
}

enum gw_status store_db_update(struct store_db *db, const struct proxy_key_info *k,
                               struct gw_err *err)
{
    static const char sql[] =
        "UPDATE keys SET name = ?2, owner = ?3, groups = ?4, user = ?5, team = ?6, models = ?7,"
        " targets = ?8, networks = ?9, expires_ms = ?10 WHERE id = ?1";
    const char *const texts[] = {k->id,   k->name,   k->owner,   k->groups,  k->user,
                                 k->team, k->models, k->targets, k->networks};
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "change a key");
    for (int i = 0; i < 9; i++)
        store_sql_bind_text(st, i + 1, texts[i]);
    store_sql_bind_time(st, 10, k->expires_ms);
    return finish(db, st, k->name, "change a key", err);
}

enum gw_status store_db_revoke(struct store_db *db, const char *id, int64_t now_ms,
                               struct gw_err *err)
{
    static const char sql[] = "UPDATE keys SET revoked_ms = ?1 WHERE id = ?2";
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "revoke a key");
    (void)sqlite3_bind_int64(st, 1, now_ms);
    store_sql_bind_text(st, 2, id);
    return finish(db, st, id, "revoke a key", err);
}

enum gw_status store_db_rotate(struct store_db *db, const char *id, const unsigned char *sha256,
                               int64_t now_ms, int64_t grace_ms, struct gw_err *err)
{
    static const char sql[] =
        "UPDATE keys SET old_sha256 = CASE WHEN ?4 IS NULL THEN NULL ELSE sha256 END,"
        " sha256 = ?2, rotated_ms = ?3, grace_ms = ?4 WHERE id = ?1";
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "rotate a key");
    store_sql_bind_text(st, 1, id);
    (void)sqlite3_bind_blob(st, 2, sha256, GW_SHA256_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 3, now_ms);
    store_sql_bind_time(st, 4, grace_ms);
    return finish(db, st, id, "rotate a key", err);
}

enum gw_status store_db_used(struct store_db *db, const char *id, int64_t day_ms,
                             struct gw_err *err)
{
    static const char sql[] = "UPDATE keys SET last_used_ms = ?1 WHERE id = ?2";
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return store_sql_fail(db, err, "note a key's use");
    (void)sqlite3_bind_int64(st, 1, day_ms);
    store_sql_bind_text(st, 2, id);
    return finish(db, st, id, "note a key's use", err);
}
