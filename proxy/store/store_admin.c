/* proxy/store/store_admin.c - making, changing, listing and revoking keys; each call opens the database for itself.
 *
 * Every change and the row that tells of it are one transaction. For commands, for start-up and for the store thread, not
 * for event loops. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/store/store_key.h"

/* A change on its way: who makes it, and the fields of the key as they are and will be. */
struct edit {
    const struct proxy_actor *by;
    const char *action;
    struct gw_arena *arena;
    struct proxy_key_info now, next;
};

/* ---- one change ------------------------------------------------------------------------------------ */

static const char *keep(struct edit *e, const char *text)
{
    return gw_arena_copy(e->arena, gw_span_str(text)).ptr;
}

static enum gw_status keep_row(void *ctx, const struct store_row *row)
{
    struct edit *e = ctx;
    struct proxy_key_info *k = &e->now;

    *k = row->info;
    k->id = keep(e, k->id);
    k->name = keep(e, k->name);
    k->user = keep(e, k->user);
    k->owner = keep(e, k->owner);
    k->team = keep(e, k->team);
    k->groups = keep(e, k->groups);
    k->models = keep(e, k->models);
    k->targets = keep(e, k->targets);
    k->networks = keep(e, k->networks);
    k->role = keep(e, k->role);
    return gw_arena_failed(e->arena) ? GW_ENOMEM : GW_OK;
}

/* Finds the key that still works. */
static enum gw_status find(struct store_db *db, struct edit *e, const char *id_or_name,
                           struct gw_err *err)
{
    enum gw_status st = store_db_each(db, id_or_name, keep_row, e, err);

    if (st == GW_ENOMEM)
        return gw_fail(err, st, "out of memory");
    if (st == GW_ENOENT || (st == GW_OK && e->now.revoked_ms != 0))
        return gw_fail(err, GW_ENOENT,
                       "no key that still works has the id or name %.64s: see `sluice keys list`",
                       id_or_name);
    e->next = e->now;
    return st;
}

/* Writes the row that tells of the change. */
static enum gw_status tell(struct store_db *db, const struct edit *e, struct gw_err *err)
{
    struct gw_buf before = {0}, after = {0};
    char id[GW_ULID_BYTES];
    struct proxy_change c = {.id = id,
                             .time_ms = gw_clock_wall_ms(),
                             .actor = e->by->name,
                             .via = e->by->via,
                             .address = e->by->address,
                             .action = e->action,
                             .key_id = e->next.id,
                             .key_name = e->next.name};
    enum gw_status st = GW_ENOMEM;

    gw_ulid(id);
    if (e->now.id != NULL)
        proxy_key_json(&before, &e->now);
    proxy_key_json(&after, &e->next);
    c.before_json = before.ptr;
    c.after_json = after.ptr;
    if (gw_buf_ok(&before) && gw_buf_ok(&after))
        st = store_db_change(db, &c, err);
    else
        (void)gw_fail(err, st, "out of memory");
    gw_buf_fini(&before);
    gw_buf_fini(&after);
    return st;
}

static void set(const char **field, const char *value)
{
    if (value != NULL)
        *field = value;
}

static void apply(struct proxy_key_info *k, const struct proxy_key_fields *f)
{
    bool own_name = strcmp(k->user, k->name) == 0;

    set(&k->name, f->name);
    if (own_name) /* a user that was never set follows the name */
        k->user = k->name;
    set(&k->user, f->user);
    if (k->user[0] == '\0')
        k->user = k->name;
    set(&k->owner, f->owner);
    set(&k->team, f->team);
    set(&k->groups, f->groups);
    set(&k->models, f->models);
    set(&k->targets, f->targets);
    set(&k->networks, f->networks);
    if (f->has_expiry)
        k->expires_ms = f->expires_ms;
}

/* As the table holds it: no user is the name. */
static struct proxy_key_info stored(const struct proxy_key_info *k)
{
    struct proxy_key_info row = *k;

    if (strcmp(row.user, row.name) == 0)
        row.user = "";
    return row;
}

/* Opens the database for one change and begins it. */
static enum gw_status open_for(const char *path, bool create, struct edit *e, struct store_db **db,
                               struct gw_err *err)
{
    enum gw_status st;

    e->arena = gw_arena_new((size_t)1 << 20);
    if (e->arena == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    st = store_db_open(path, create, db, err);
    if (st == GW_OK)
        st = store_db_begin(*db, err);
    return st;
}

/* Tells of the change and commits, or undoes it all; then closes. */
static enum gw_status close_for(struct store_db *db, struct edit *e, bool begun, enum gw_status st,
                                struct gw_err *err)
{
    if (st == GW_OK)
        st = tell(db, e, err);
    if (st == GW_OK)
        st = store_db_commit(db, err);
    else if (begun)
        store_db_rollback(db);
    store_db_close(db);
    gw_arena_free(e->arena);
    return st;
}

/* ---- calls ----------------------------------------------------------------------------------------- */

static const struct proxy_key_info no_key = {.name = "",
                                             .user = "",
                                             .owner = "",
                                             .team = "",
                                             .groups = "",
                                             .models = "",
                                             .targets = "",
                                             .networks = "",
                                             .role = ""};

/* Inserts the key; inside a transaction. */
static enum gw_status insert(struct store_db *db, struct edit *e, const struct proxy_key_fields *f,
                             char key[PROXY_KEY_BYTES], char id[PROXY_KEY_ID_BYTES],
                             struct gw_err *err)
{
    struct store_row row = {0};

    e->next = no_key;
    apply(&e->next, f);
    set(&e->next.role, f->role);
    GW_TRY(store_key_check(&e->next, err));
    gw_ulid(id);
    e->next.id = id;
    e->next.created_ms = gw_clock_wall_ms();
    store_key_make(e->next.role[0] != '\0', key, row.sha256);
    row.info = stored(&e->next);
    return store_db_insert(db, &row, err);
}

enum gw_status proxy_store_key_create(const char *path, const struct proxy_actor *by,
                                      const struct proxy_key_fields *f, char key[PROXY_KEY_BYTES],
                                      char id[PROXY_KEY_ID_BYTES], struct gw_err *err)
{
    struct edit e = {.by = by, .action = "create"};
    char new_key[PROXY_KEY_BYTES] = "", new_id[PROXY_KEY_ID_BYTES] = "";
    struct store_db *db = NULL;
    enum gw_status st = open_for(path, true, &e, &db, err);
    bool begun = st == GW_OK;

    if (begun)
        st = insert(db, &e, f, new_key, new_id, err);
    st = close_for(db, &e, begun, st, err);
    if (st == GW_OK) {
        memcpy(key, new_key, PROXY_KEY_BYTES);
        memcpy(id, new_id, PROXY_KEY_ID_BYTES);
    }
    explicit_bzero(new_key, sizeof(new_key));
    return st;
}

enum gw_status proxy_store_ensure_key(const char *path, const char *name, bool *created,
                                      char key[PROXY_KEY_BYTES], struct gw_err *err)
{
    const struct proxy_key_fields f = {.name = name};
    const struct proxy_actor by = {.name = "sluice serve --first-key", .via = "start"};
    struct edit e = {.by = &by, .action = "create"};
    char new_key[PROXY_KEY_BYTES] = "", id[PROXY_KEY_ID_BYTES] = "";
    struct store_db *db = NULL;
    enum gw_status st = open_for(path, true, &e, &db, err); /* two first starts must not make two */
    bool begun = st == GW_OK;
    int64_t n = 0;

    if (begun)
        st = store_db_count_usable(db, gw_clock_wall_ms(), &n, err);
    if (st == GW_OK && n != 0) { /* nothing to do */
        store_db_rollback(db);
        store_db_close(db);
        gw_arena_free(e.arena);
        *created = false;
        return GW_OK;
    }
    if (st == GW_OK)
        st = insert(db, &e, &f, new_key, id, err);
    st = close_for(db, &e, begun, st, err);
    if (st == GW_OK) {
        *created = true;
        memcpy(key, new_key, PROXY_KEY_BYTES);
    }
    explicit_bzero(new_key, sizeof(new_key));
    return st;
}

enum gw_status proxy_store_key_update(const char *path, const struct proxy_actor *by,
                                      const char *id_or_name, const struct proxy_key_fields *f,
                                      struct gw_err *err)
{
    struct edit e = {.by = by, .action = "update"};
    struct store_db *db = NULL;
    enum gw_status st = open_for(path, false, &e, &db, err);
    bool begun = st == GW_OK;

    if (begun)
        st = find(db, &e, id_or_name, err);
    if (st == GW_OK) {
        apply(&e.next, f);
        st = store_key_check(&e.next, err);
    }
    if (st == GW_OK) {
        const struct proxy_key_info row = stored(&e.next);

        st = store_db_update(db, &row, err);
    }
    return close_for(db, &e, begun, st, err);
}

enum gw_status proxy_store_key_rotate(const char *path, const struct proxy_actor *by,
                                      const char *id_or_name, int64_t grace_ms,
                                      char key[PROXY_KEY_BYTES], struct gw_err *err)
{
    struct edit e = {.by = by, .action = "rotate"};
    unsigned char sha256[GW_SHA256_BYTES];
    char new_key[PROXY_KEY_BYTES] = "";
    struct store_db *db = NULL;
    enum gw_status st = open_for(path, false, &e, &db, err);
    bool begun = st == GW_OK;

    if (begun)
        st = find(db, &e, id_or_name, err);
    if (st == GW_OK) {
        e.next.rotated_ms = gw_clock_wall_ms();
        e.next.grace_ms = grace_ms > 0 ? e.next.rotated_ms + grace_ms : 0;
        store_key_make(e.next.role[0] != '\0', new_key, sha256);
        st = store_db_rotate(db, e.next.id, sha256, e.next.rotated_ms, e.next.grace_ms, err);
    }
    st = close_for(db, &e, begun, st, err);
    if (st == GW_OK)
        memcpy(key, new_key, PROXY_KEY_BYTES);
    explicit_bzero(new_key, sizeof(new_key));
    return st;
}

enum gw_status proxy_store_key_revoke(const char *path, const struct proxy_actor *by,
                                      const char *id_or_name, struct gw_err *err)
{
    struct edit e = {.by = by, .action = "revoke"};
    struct store_db *db = NULL;
    enum gw_status st = open_for(path, false, &e, &db, err);
    bool begun = st == GW_OK;

    if (begun)
        st = find(db, &e, id_or_name, err);
    if (st == GW_OK) {
        e.next.revoked_ms = gw_clock_wall_ms();
        st = store_db_revoke(db, e.next.id, e.next.revoked_ms, err);
    }
    return close_for(db, &e, begun, st, err);
}

/* ---- lists ------------------------------------------------------------------------------------------- */

struct list_ctx {
    void (*each)(void *ctx, const struct proxy_key_info *k);
    void *ctx;
};

static enum gw_status list_row(void *ctx, const struct store_row *row)
{
    const struct list_ctx *l = ctx;

    l->each(l->ctx, &row->info);
    return GW_OK;
}

enum gw_status proxy_store_key_list(const char *path, const char *id_or_name,
                                    void (*each)(void *ctx, const struct proxy_key_info *k),
                                    void *ctx, struct gw_err *err)
{
    struct list_ctx l = {each, ctx};
    struct store_db *db;
    enum gw_status st;

    GW_TRY(store_db_open(path, false, &db, err));
    st = store_db_each(db, id_or_name, list_row, &l, err);
    store_db_close(db);
    return st;
}

struct change_ctx {
    void (*each)(void *ctx, const struct proxy_change *c);
    void *ctx;
};

static enum gw_status list_change(void *ctx, const struct proxy_change *c)
{
    const struct change_ctx *l = ctx;

    l->each(l->ctx, c);
    return GW_OK;
}

enum gw_status proxy_store_change_list(const char *path, unsigned max,
                                       void (*each)(void *ctx, const struct proxy_change *c),
                                       void *ctx, struct gw_err *err)
{
    struct change_ctx l = {each, ctx};
    struct store_db *db;
    enum gw_status st;

    GW_TRY(store_db_open(path, false, &db, err));
    st = store_db_changes(db, max, list_change, &l, err);
    store_db_close(db);
    return st;
}
