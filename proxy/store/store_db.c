/* proxy/store/store_db.c - the keys database: SQLite, one connection a thread. Opening, its format, transactions; the rows
 * are in store_rows.c and store_changes.c.
 *
 * Format version in user_version; WAL, so that the server reads while a command writes. Never used on an event loop. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/store/store_sql.h"

enum { BUSY_MS = 2000 };

/* ---- the format -------------------------------------------------------------------------------- */

/* Each step brings a database of the format before it (0: an empty file) to its own. A step that was released is never
 * changed: a new format is a new step. Times are Unix milliseconds; NULL: never. */
static const char *const steps[] = {
    /* 1: one key a row. A name is free again once its key is revoked. */
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
    "PRAGMA user_version = 1;",
    /* 2: whose key it is, what it may do, admin keys, rotation; and every change of a key. */
    "ALTER TABLE keys ADD COLUMN user TEXT NOT NULL DEFAULT '';" /* '': the name */
    "ALTER TABLE keys ADD COLUMN team TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE keys ADD COLUMN models TEXT NOT NULL DEFAULT '';" /* lists: separated by commas */
    "ALTER TABLE keys ADD COLUMN targets TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE keys ADD COLUMN networks TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE keys ADD COLUMN role TEXT NOT NULL DEFAULT '';" /* '': a gateway key */
    "ALTER TABLE keys ADD COLUMN old_sha256 BLOB CHECK (length(old_sha256) = 32);"
    "ALTER TABLE keys ADD COLUMN rotated_ms INTEGER;"
    "ALTER TABLE keys ADD COLUMN grace_ms INTEGER;" /* until when old_sha256 works */
    "CREATE TABLE changes ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " time_ms INTEGER NOT NULL,"
    " actor TEXT NOT NULL,"
    " via TEXT NOT NULL,"
    " address TEXT NOT NULL,"
    " action TEXT NOT NULL,"
    " key_id TEXT NOT NULL,"
    " key_name TEXT NOT NULL,"
    " before TEXT NOT NULL," /* JSON without secrets, or '' */
    " after TEXT NOT NULL,"
    " recorded_ms INTEGER" /* when its audit record was durable */
    ") STRICT;"
    "CREATE INDEX changes_open ON changes (seq) WHERE recorded_ms IS NULL;"
    "PRAGMA user_version = 2;",
};
enum { FORMAT_VERSION = sizeof(steps) / sizeof(steps[0]) };

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

    GW_TRY(store_sql_number(db, "PRAGMA user_version", &version, err));
    if (version == FORMAT_VERSION)
        return GW_OK;
    if (version > FORMAT_VERSION || version < 0)
        return gw_fail(
            err, GW_EUNSUPPORTED,
            "%s has format %lld, this sluice knows %d: run the newer sluice that wrote it, "
            "or move the file away and create keys anew with `sluice keys create`",
            db->path, (long long)version, FORMAT_VERSION);
    GW_TRY(store_db_begin(db, err));
    st = store_sql_number(db, "PRAGMA user_version", &version, err);
    for (; st == GW_OK && version >= 0 && version < FORMAT_VERSION; version++)
        st = store_sql_run(db, steps[version], "bring its format up to date", err);
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
                               : store_sql_fail(db, err, "open it");
    (void)sqlite3_busy_timeout(db->sql, BUSY_MS);
    (void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    GW_TRY(store_sql_run(db,
                         "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                         "PRAGMA trusted_schema = OFF;",
                         "open it", err));
    GW_TRY(migrate(db, err));
    if (stat(db->path, &st) != 0)
        return gw_fail(err, GW_EIO, "%s: %s", db->path, strerrordesc_np(errno));
    db->dev = st.st_dev;
    db->ino = st.st_ino;
    return store_sql_number(db, "PRAGMA data_version", &db->data_version, err);
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
    GW_TRY(store_sql_number(db, "PRAGMA data_version", &version, err));
    *changed = version != db->data_version;
    db->data_version = version;
    return GW_OK;
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
