/* proxy/store/store_admin.c - making, listing and revoking keys; each call opens the database for itself.
 *
 * The only place where the text of a new key exists: it is made here, hashed, handed to the caller, and
 * wiped. For commands and for start-up, not for event loops. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/store/store_private.h"

enum { KEY_RANDOM_BYTES = 32, KEY_DIGITS = 43, MAX_OWNER_BYTES = 128 };

/* 62^43 is just above 2^256, so 43 digits hold 32 bytes. Schoolbook division, once a key. */
static void base62(unsigned char bytes[KEY_RANDOM_BYTES], char out[KEY_DIGITS])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (int i = KEY_DIGITS - 1; i >= 0; i--) {
        unsigned rest = 0;

        for (int k = 0; k < KEY_RANDOM_BYTES; k++) {
            unsigned n = rest << 8 | bytes[k];

            bytes[k] = (unsigned char)(n / 62);
            rest = n % 62;
        }
        out[i] = digits[rest];
    }
}

static void make_key(char key[PROXY_KEY_BYTES], unsigned char sha256[GW_SHA256_BYTES])
{
    unsigned char bytes[KEY_RANDOM_BYTES];

    gw_random(bytes, sizeof(bytes));
    memcpy(key, "slk_", 4);
    base62(bytes, key + 4); /* also leaves zeroes in bytes */
    key[PROXY_KEY_BYTES - 1] = '\0';
    gw_sha256((struct gw_span){key, PROXY_KEY_BYTES - 1}, sha256);
}

/* ---- checks --------------------------------------------------------------------------------------- */

/* Names go into headers, records, policy patterns and lists with commas. */
static enum gw_status check_name(const char *what, const char *name, struct gw_err *err)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++) {
        char c = gw_ascii_lower(name[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("._@-", c) != NULL))
            n = 0;
    }
    if (n == 0 || n >= PROXY_KEY_NAME_BYTES)
        return gw_fail(err, GW_EINVAL, "a %s is 1 to %d letters, digits, '.', '_', '@' and '-'",
                       what, PROXY_KEY_NAME_BYTES - 1);
    return GW_OK;
}

static enum gw_status check_owner(const char *owner, struct gw_err *err)
{
    size_t n = strlen(owner);

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)owner[i] < 0x20 || owner[i] == 0x7F)
            return gw_fail(err, GW_EINVAL, "the owner holds a control character");
    if (n > MAX_OWNER_BYTES)
        return gw_fail(err, GW_EINVAL, "the owner is longer than %d bytes", MAX_OWNER_BYTES);
    return GW_OK;
}

/* Joins the groups with commas. */
static enum gw_status join_groups(const struct proxy_key_new *k, char *out, size_t size,
                                  struct gw_err *err)
{
    size_t used = 0;

    out[0] = '\0';
    if (k->n_groups > PROXY_KEY_MAX_GROUPS)
        return gw_fail(err, GW_EINVAL, "more than %d groups", PROXY_KEY_MAX_GROUPS);
    for (unsigned i = 0; i < k->n_groups; i++) {
        GW_TRY(check_name("group", k->groups[i], err));
        used += (size_t)snprintf(out + used, size - used, "%s%s", i == 0 ? "" : ",", k->groups[i]);
    }
    return GW_OK;
}

/* ---- calls ----------------------------------------------------------------------------------------- */

static enum gw_status create(struct store_db *db, const struct proxy_key_new *k,
                             char key[PROXY_KEY_BYTES], char id[PROXY_KEY_ID_BYTES],
                             struct gw_err *err)
{
    char groups[PROXY_KEY_MAX_GROUPS * PROXY_KEY_NAME_BYTES];
    char new_key[PROXY_KEY_BYTES], new_id[PROXY_KEY_ID_BYTES];
    struct store_row row;
    enum gw_status st;

    GW_TRY(join_groups(k, groups, sizeof(groups), err));
    make_key(new_key, row.sha256);
    gw_ulid(new_id);
    row.info = (struct proxy_key_info){.id = new_id,
                                       .name = k->name,
                                       .owner = k->owner == NULL ? "" : k->owner,
                                       .groups = groups,
                                       .created_ms = gw_clock_wall_ms(),
                                       .expires_ms = k->expires_ms};
    st = store_db_insert(db, &row, err);
    if (st == GW_OK) {
        memcpy(key, new_key, PROXY_KEY_BYTES);
        memcpy(id, new_id, PROXY_KEY_ID_BYTES);
    }
    explicit_bzero(new_key, sizeof(new_key));
    return st;
}

enum gw_status proxy_store_key_create(const char *path, const struct proxy_key_new *k,
                                      char key[PROXY_KEY_BYTES], char id[PROXY_KEY_ID_BYTES],
                                      struct gw_err *err)
{
    struct store_db *db;
    enum gw_status st;

    GW_TRY(check_name("name", k->name == NULL ? "" : k->name, err));
    GW_TRY(check_owner(k->owner == NULL ? "" : k->owner, err));
    GW_TRY(store_db_open(path, true, &db, err));
    st = create(db, k, key, id, err);
    store_db_close(db);
    return st;
}

enum gw_status proxy_store_ensure_key(const char *path, const char *name, bool *created,
                                      char key[PROXY_KEY_BYTES], struct gw_err *err)
{
    const struct proxy_key_new k = {.name = name};
    char new_key[PROXY_KEY_BYTES], id[PROXY_KEY_ID_BYTES];
    struct store_db *db;
    enum gw_status st;
    int64_t n = 0;

    GW_TRY(check_name("name", name, err));
    GW_TRY(store_db_open(path, true, &db, err));
    st = store_db_begin(db, err); /* two first starts at once must not make two keys */
    if (st == GW_OK) {
        st = store_db_count_usable(db, gw_clock_wall_ms(), &n, err);
        if (st == GW_OK && n == 0)
            st = create(db, &k, new_key, id, err);
        if (st == GW_OK)
            st = store_db_commit(db, err);
        else
            store_db_rollback(db);
    }
    store_db_close(db);
    if (st == GW_OK) {
        *created = n == 0;
        if (n == 0)
            memcpy(key, new_key, PROXY_KEY_BYTES);
    }
    explicit_bzero(new_key, sizeof(new_key));
    return st;
}

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

enum gw_status proxy_store_key_list(const char *path,
                                    void (*each)(void *ctx, const struct proxy_key_info *k),
                                    void *ctx, struct gw_err *err)
{
    struct list_ctx l = {each, ctx};
    struct store_db *db;
    enum gw_status st;

    GW_TRY(store_db_open(path, false, &db, err));
    st = store_db_each(db, list_row, &l, err);
    store_db_close(db);
    return st;
}

enum gw_status proxy_store_key_revoke(const char *path, const char *id_or_name, struct gw_err *err)
{
    struct store_db *db;
    enum gw_status st;

    GW_TRY(store_db_open(path, false, &db, err));
    st = store_db_revoke(db, id_or_name, gw_clock_wall_ms(), err);
    store_db_close(db);
    return st;
}
