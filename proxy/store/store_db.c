/* proxy/store/store_db.c - the keys database: SQLite, one connection a thread.
 *
 * The only file that knows SQL. Format version in user_version; WAL, so that the server reads while a
 * command writes. Never used on an event loop. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "proxy/store/store_private.h"

enum { FORMAT_VERSION = 1, BUSY_MS = 2000 };

struct store_db {
    sqlite3 *sql;
    char *path;
    dev_t dev; /* of the file that is open */
    ino_t ino;
    int64_t data_version; /* as last seen */
};

/* One key a row. A name is free again once its key is revoked. Times are Unix milliseconds; NULL: never.
 */
static const char schema[] =
    "CREATE TABLE keys ("
    " id TEXT PRIMARY KEY NOT NULL,"
    " name TEXT NOT NULL,"
    " owner TEXT NOT NULL,"
    " groups TEXT NOT NULL," /* separated by commas */
    " sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),"
    " created_ms INTEGER NOT NULL,"
    " expires_ms INTEGER,"
    " revoked_ms INTEGER,"
    " last_used_ms INTEGER"
    ") STRICT;"
    "CREATE UNIQUE INDEX keys_name ON keys (name) WHERE revoked_ms IS NULL;"
    "PRAGMA user_version = 1;";

/* ---- SQLite's manners ----------------------------------------------------------------------- */

static enum gw_status fail_sql(struct store_db *db, struct gw_err *err, const char *what)
{
    int code = sqlite3_extended_errcode(db->sql);
    enum gw_status st = GW_EIO;

    if ((code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB)
        st = GW_ECORRUPT;
    else if ((code & 0xFF) == SQLITE_NOMEM)
        st = GW_ENOMEM;
    return gw_fail(err, st, "%s: cannot %s: %s", db->path, what, sqlite3_errmsg(db->sql));
}

static enum gw_status run_sql(struct store_db *db, const char *sql, const char *what,
                              struct gw_err *err)
{
    if (sqlite3_exec(db->sql, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail_sql(db, err, what);
    return GW_OK;
}

/* The one number that a statement answers. */
static enum gw_status get_number(struct store_db *db, const char *sql, int64_t *out,
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

/* Creates the file with the right mode before SQLite would with the wrong one. */
static enum gw_status create_file(const char *path, struct gw_err *err)
{
    int fd;

    GW_TRY(make_folder(path, err));
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return gw_fail(err, GW_EIO, "cannot open %s: %s", path, strerrordesc_np(errno));
    (void)close(fd);
    return GW_OK;
}

/* Brings the format up to date. Two processes may try at once: the version is read under the lock. */
static enum gw_status migrate(struct store_db *db, struct gw_err *err)
{
    int64_t version = 0;
    enum gw_status st;

    GW_TRY(get_number(db, "PRAGMA user_version", &version, err));
    if (version == FORMAT_VERSION)
        return GW_OK;
    GW_TRY(store_db_begin(db, err));
    st = get_number(db, "PRAGMA user_version", &version, err);
    if (st == GW_OK && version == 0)
        st = run_sql(db, schema, "create its tables", err);
    else if (st == GW_OK && version != FORMAT_VERSION)
        st =
            gw_fail(err, GW_EUNSUPPORTED,
                    "%s has format %lld, this sluice knows %d: run the newer sluice that wrote it, "
                    "or move the file away and create keys anew with `sluice keys create`",
                    db->path, (long long)version, FORMAT_VERSION);
    if (st != GW_OK) {
        store_db_rollback(db);
        return st;
    }
    return store_db_commit(db, err);
}

static enum gw_status connect(struct store_db *db, struct gw_err *err)
{
    struct stat st;

    if (sqlite3_open_v2(db->path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return db->sql == NULL ? gw_fail(err, GW_ENOMEM, "%s: out of memory", db->path)
                               : fail_sql(db, err, "open it");
    (void)sqlite3_busy_timeout(db->sql, BUSY_MS);
    (void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    GW_TRY(run_sql(db,
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                   "PRAGMA trusted_schema = OFF;",
                   "open it", err));
    GW_TRY(migrate(db, err));
    if (stat(db->path, &st) != 0)
        return gw_fail(err, GW_EIO, "%s: %s", db->path, strerrordesc_np(errno));
    db->dev = st.st_dev;
    db->ino = st.st_ino;
    return get_number(db, "PRAGMA data_version", &db->data_version, err);
}

enum gw_status store_db_open(const char *path, bool create, struct store_db **out,
                             struct gw_err *err)
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
    st = db->path == NULL ? gw_fail(err, GW_ENOMEM, "%s: out of memory", path) : connect(db, err);
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

enum gw_status store_db_changed(struct store_db *db, bool *changed, bool *replaced,
                                struct gw_err *err)
{
    int64_t version = 0;
    struct stat st;

    if (stat(db->path, &st) != 0)
        return gw_fail(err, GW_EIO, "%s: %s", db->path, strerrordesc_np(errno));
    *replaced = st.st_dev != db->dev || st.st_ino != db->ino;
    if (*replaced) {
        *changed = true;
        return GW_OK;
    }
    GW_TRY(get_number(db, "PRAGMA data_version", &version, err));
    *changed = version != db->data_version;
    db->data_version = version;
    return GW_OK;
}

/* ---- rows -------------------------------------------------------------------------------------- */

static const char *text_of(sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);

    return text == NULL ? "" : (const char *)text;
}

static bool read_row(sqlite3_stmt *st, struct store_row *row)
{
    const void *sum = sqlite3_column_blob(st, 4);

    if (sum == NULL || sqlite3_column_bytes(st, 4) != GW_SHA256_BYTES)
        return false;
    memcpy(row->sha256, sum, GW_SHA256_BYTES);
    row->info = (struct proxy_key_info){
        .id = text_of(st, 0),
        .name = text_of(st, 1),
        .owner = text_of(st, 2),
        .groups = text_of(st, 3),
        .created_ms = sqlite3_column_int64(st, 5),
        .expires_ms = sqlite3_column_int64(st, 6), /* NULL reads as 0 */
        .revoked_ms = sqlite3_column_int64(st, 7),
        .last_used_ms = sqlite3_column_int64(st, 8),
    };
    return row->info.id[0] != '\0' && strlen(row->info.id) < PROXY_KEY_ID_BYTES;
}

enum gw_status store_db_each(struct store_db *db,
                             enum gw_status (*each)(void *ctx, const struct store_row *row),
                             void *ctx, struct gw_err *err)
{
    static const char sql[] =
        "SELECT id, name, owner, groups, sha256, created_ms, expires_ms, revoked_ms, last_used_ms"
        " FROM keys ORDER BY created_ms, id";
    sqlite3_stmt *st = NULL;
    enum gw_status status = GW_OK;
    unsigned n = 0;
    int rc;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(db, err, "read its keys");
    while (status == GW_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        struct store_row row;

        if (rc != SQLITE_ROW)
            status = fail_sql(db, err, "read its keys");
        else if (++n > PROXY_KEY_MAX)
            status = gw_fail(err, GW_ELIMIT, "%s: more than %d keys", db->path, PROXY_KEY_MAX);
        else if (!read_row(st, &row))
            status = gw_fail(err, GW_ECORRUPT, "%s: a row of `keys` is damaged", db->path);
        else
            status = each(ctx, &row);
    }
    (void)sqlite3_finalize(st);
    return status;
}

static void bind_time(sqlite3_stmt *st, int index, int64_t ms)
{
    if (ms == 0)
        (void)sqlite3_bind_null(st, index);
    else
        (void)sqlite3_bind_int64(st, index, ms);
}

enum gw_status store_db_insert(struct store_db *db, const struct store_row *row, struct gw_err *err)
{
    static const char sql[] = "INSERT INTO keys (id, name, owner, groups, sha256, created_ms, "
                              "expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?)";
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(db, err, "add a key");
    (void)sqlite3_bind_text(st, 1, row->info.id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, row->info.name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 3, row->info.owner, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 4, row->info.groups, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(st, 5, row->sha256, GW_SHA256_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int64(st, 6, row->info.created_ms);
    bind_time(st, 7, row->info.expires_ms);
    if (sqlite3_step(st) != SQLITE_DONE) {
        if ((sqlite3_extended_errcode(db->sql) & 0xFF) == SQLITE_CONSTRAINT)
            status = gw_fail(err, GW_EEXIST,
                             "a key named %s exists: revoke it first, or choose another name",
                             row->info.name);
        else
            status = fail_sql(db, err, "add a key");
    }
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status store_db_revoke(struct store_db *db, const char *id_or_name, int64_t now_ms,
                               struct gw_err *err)
{
    static const char sql[] =
        "UPDATE keys SET revoked_ms = ?1 WHERE revoked_ms IS NULL AND (id = ?2 OR name = ?2)";
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(db, err, "revoke a key");
    (void)sqlite3_bind_int64(st, 1, now_ms);
    (void)sqlite3_bind_text(st, 2, id_or_name, -1, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_DONE)
        status = fail_sql(db, err, "revoke a key");
    else if (sqlite3_changes(db->sql) == 0)
        status = gw_fail(err, GW_ENOENT,
                         "no key that still works has the id or name %.64s: see `sluice keys list`",
                         id_or_name);
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status store_db_used(struct store_db *db, const char *id, int64_t day_ms,
                             struct gw_err *err)
{
    static const char sql[] = "UPDATE keys SET last_used_ms = ?1 WHERE id = ?2";
    enum gw_status status = GW_OK;
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(db, err, "note a key's use");
    (void)sqlite3_bind_int64(st, 1, day_ms);
    (void)sqlite3_bind_text(st, 2, id, -1, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_DONE)
        status = fail_sql(db, err, "note a key's use");
    (void)sqlite3_finalize(st);
    return status;
}

enum gw_status store_db_begin(struct store_db *db, struct gw_err *err)
{
    return run_sql(db, "BEGIN IMMEDIATE", "write to it", err);
}

enum gw_status store_db_commit(struct store_db *db, struct gw_err *err)
{
    enum gw_status st = run_sql(db, "COMMIT", "write to it", err);

    if (st != GW_OK)
        store_db_rollback(db);
    return st;
}

void store_db_rollback(struct store_db *db)
{
    (void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
}

enum gw_status store_db_count_usable(struct store_db *db, int64_t now_ms, int64_t *out,
                                     struct gw_err *err)
{
    char sql[160];

    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM keys WHERE revoked_ms IS NULL AND "
                   "(expires_ms IS NULL OR expires_ms > %lld)",
                   (long long)now_ms);
    return get_number(db, sql, out, err);
}
