/* proxy/store/store_private.h - what store.c (thread, snapshot), store_admin.c and store_db.c (SQLite) share. */
#ifndef PROXY_STORE_PRIVATE_H
#define PROXY_STORE_PRIVATE_H

#include "base/digest.h"
#include "proxy/store/store.h"

/* The database of one thread or one call. */
struct store_db;

/* Opens path, creates it (mode 0600, and its folder 0700) when create is set, brings the format up to
 * date. Errors as proxy_store_open; GW_ENOENT without create. */
enum gw_status store_db_open(const char *path, bool create, struct store_db **out,
                             struct gw_err *err);
void store_db_close(struct store_db *db); /* db may be NULL */

/* How long a call may wait for another process's write; 2,000 after opening. */
void store_db_patience(struct store_db *db, int ms);

/* True when another connection changed the database, or the file at the path is another one (then the
 * caller opens it anew), since the last call or the opening. *replaced says which. GW_EIO. */
enum gw_status store_db_changed(struct store_db *db, bool *changed, bool *replaced,
                                struct gw_err *err);

/* One row. The pointers are valid during the call. */
struct store_row {
    struct proxy_key_info info;
    unsigned char sha256[GW_SHA256_BYTES];
    unsigned char old_sha256[GW_SHA256_BYTES]; /* with has_old: works until info.grace_ms */
    bool has_old;
};

/* Calls each for every key, oldest first, until it returns something else than GW_OK, which is then
 * returned. id_or_name: only that one (a name: of a key that is not revoked), GW_ENOENT; NULL: all. GW_ECORRUPT for a row
 * of the wrong form, GW_ELIMIT above PROXY_KEY_MAX. */
enum gw_status store_db_each(struct store_db *db, const char *id_or_name,
                             enum gw_status (*each)(void *ctx, const struct store_row *row),
                             void *ctx, struct gw_err *err);

/* GW_EEXIST when a key of that name is not revoked. */
enum gw_status store_db_insert(struct store_db *db, const struct store_row *row,
                               struct gw_err *err);

/* Writes the fields of the key with that id that people may change. */
enum gw_status store_db_update(struct store_db *db, const struct proxy_key_info *k,
                               struct gw_err *err);

enum gw_status store_db_revoke(struct store_db *db, const char *id, int64_t now_ms,
                               struct gw_err *err);

/* Gives it a new digest; the one before works until grace_ms (0: no longer). */
enum gw_status store_db_rotate(struct store_db *db, const char *id, const unsigned char *sha256,
                               int64_t now_ms, int64_t grace_ms, struct gw_err *err);

/* Notes that the key was used on the day that begins at day_ms. */
enum gw_status store_db_used(struct store_db *db, const char *id, int64_t day_ms,
                             struct gw_err *err);

/* Groups several writes: begin (takes the write lock), then commit or, when one failed, rollback. */
enum gw_status store_db_begin(struct store_db *db, struct gw_err *err);
enum gw_status store_db_commit(struct store_db *db, struct gw_err *err);
void store_db_rollback(struct store_db *db);

/* How many gateway keys are neither revoked nor expired at now_ms. */
enum gw_status store_db_count_usable(struct store_db *db, int64_t now_ms, int64_t *out,
                                     struct gw_err *err);

/* ---- changes ---------------------------------------------------------------------------------- */

/* Adds one; inside the transaction of what it tells. NULL texts count as "". */
enum gw_status store_db_change(struct store_db *db, const struct proxy_change *c,
                               struct gw_err *err);

/* Calls each for the newest first, at most max, until it returns something else than GW_OK. */
enum gw_status store_db_changes(struct store_db *db, unsigned max,
                                enum gw_status (*each)(void *ctx, const struct proxy_change *c),
                                void *ctx, struct gw_err *err);

/* Calls each for at most max changes without a record, oldest first, and marks those for which it returned GW_OK as
 * recorded, all in one transaction. */
enum gw_status store_db_record_changes(struct store_db *db, int64_t now_ms, unsigned max,
                                       enum gw_status (*each)(void *ctx,
                                                              const struct proxy_change *c),
                                       void *ctx, struct gw_err *err);

#endif
