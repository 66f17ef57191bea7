/* proxy/store/store_db.c - the keys database: its format, and whether somebody else wrote to it; the rows are in store_rows.c
 * and store_changes.c, opening and transactions in store_sql.c. */
#include <sys/stat.h>

#include <errno.h>
#include <string.h>

#include "proxy/store/store_sql.h"

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

enum gw_status store_db_open(const char *path, bool create, struct store_db **out,
                             struct gw_err *err)
{
    static const struct store_format format = {
        .steps = steps,
        .n_steps = sizeof(steps) / sizeof(steps[0]),
        .pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
        .anew = "create keys anew with `sluice keys create`",
    };

    return store_sql_open(path, create, &format, out, err);
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
