/* proxy/store/store_snapshot.c - all keys of the database at one moment: built by the store thread, immutable but for the
 * marks of use, searched by any thread. */
#include "proxy/store/store_snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/store/store_key.h"

enum { DAY_MS = 86400000, MAX_SNAPSHOT_BYTES = 256 << 20 };

/* ---- building ---------------------------------------------------------------------------------- */

void store_snapshot_unref(struct store_snapshot *snap)
{
    if (snap == NULL || atomic_fetch_sub(&snap->refs, 1) != 1)
        return;
    gw_arena_free(snap->arena);
    free(snap->entries);
    free(snap->table);
    free(snap);
}

static struct store_snapshot *snapshot_new(void)
{
    struct store_snapshot *snap = calloc(1, sizeof(*snap));

    if (snap == NULL)
        return NULL;
    atomic_init(&snap->refs, 1);
    snap->arena = gw_arena_new(MAX_SNAPSHOT_BYTES);
    if (snap->arena == NULL) {
        free(snap);
        return NULL;
    }
    return snap;
}

/* Parts "a,b" into spans in the arena. */
static bool split(struct gw_arena *arena, const char *text, unsigned max,
                  const struct gw_span **out, unsigned *n)
{
    struct gw_span all = gw_span_str(text), item;
    struct gw_span *items;
    unsigned count = all.len == 0 ? 0 : 1;

    for (size_t i = 0; i < all.len; i++)
        count += all.ptr[i] == ',';
    if (count > max)
        return false;
    all = gw_arena_copy(arena, all);
    items = gw_arena_array(arena, count, sizeof(*items));
    if (all.ptr == NULL || items == NULL)
        return false;
    for (*n = 0; store_key_next(&all, &item); (*n)++)
        items[*n] = item;
    *out = items;
    return true;
}

/* A range that cannot be read must not become none at all: the row counts as damaged. */
static bool split_networks(struct gw_arena *arena, const char *text, struct proxy_principal *who)
{
    struct proxy_network *nets;
    const struct gw_span *items;
    unsigned n;

    if (!split(arena, text, PROXY_PRINCIPAL_MAX_NETWORKS, &items, &n))
        return false;
    nets = gw_arena_array(arena, n, sizeof(*nets));
    for (unsigned i = 0; i < n; i++)
        if (nets == NULL || !proxy_network_parse(items[i], &nets[i]))
            return false;
    who->networks = nets;
    who->n_networks = n;
    return true;
}

static bool set_principal(struct gw_arena *arena, const struct proxy_key_info *k,
                          struct proxy_principal *who)
{
    who->via = PROXY_VIA_KEY;
    who->id = gw_arena_copy(arena, gw_span_str(k->id));
    who->name = gw_arena_copy(arena, gw_span_str(k->name));
    who->user = gw_arena_copy(arena, gw_span_str(k->user));
    who->owner = gw_arena_copy(arena, gw_span_str(k->owner));
    who->team = gw_arena_copy(arena, gw_span_str(k->team));
    who->expires_ms = k->expires_ms;
    return split(arena, k->groups, PROXY_PRINCIPAL_MAX_GROUPS, &who->groups, &who->n_groups) &&
           split(arena, k->models, PROXY_PRINCIPAL_MAX_NAMES, &who->models, &who->n_models) &&
           split(arena, k->targets, PROXY_PRINCIPAL_MAX_NAMES, &who->targets, &who->n_targets) &&
           split_networks(arena, k->networks, who);
}

static enum gw_status add_entry(void *ctx, const struct store_row *row)
{
    struct store_snapshot *snap = ctx;
    struct store_entry *e;

    if (snap->n == snap->cap) {
        unsigned cap = snap->cap == 0 ? 64 : snap->cap * 2;
        struct store_entry *grown = realloc(snap->entries, cap * sizeof(*grown));

        if (grown == NULL)
            return GW_ENOMEM;
        snap->entries = grown;
        snap->cap = cap;
    }
    e = &snap->entries[snap->n];
    memset(e, 0, sizeof(*e));
    memcpy(e->sha256, row->sha256, sizeof(e->sha256));
    if (row->has_old) {
        memcpy(e->old_sha256, row->old_sha256, sizeof(e->old_sha256));
        e->grace_ms = row->info.grace_ms;
    }
    e->revoked_ms = row->info.revoked_ms;
    if (row->info.role[0] != '\0' && !proxy_role_parse(gw_span_str(row->info.role), &e->role))
        return GW_EINVAL;
    atomic_init(&e->used_ms, row->info.last_used_ms);
    atomic_init(&e->used_news, false);
    if (!set_principal(snap->arena, &row->info, &e->who))
        return gw_arena_failed(snap->arena) ? GW_ENOMEM : GW_EINVAL;
    snap->n++;
    return GW_OK;
}

/* The digest is uniform, so its first bytes are the hash. */
static uint32_t slot_of(const unsigned char *sha256, uint32_t mask)
{
    uint32_t h;

    memcpy(&h, sha256, sizeof(h));
    return h & mask;
}

static void put_in_table(struct store_snapshot *snap, const unsigned char *sha256, uint32_t value)
{
    uint32_t at = slot_of(sha256, snap->mask);

    while (snap->table[at] != 0)
        at = (at + 1) & snap->mask;
    snap->table[at] = value + 1;
}

static bool make_table(struct store_snapshot *snap)
{
    uint32_t size = 16;

    while (size < snap->n * 4)
        size *= 2;
    snap->table = calloc(size, sizeof(*snap->table));
    if (snap->table == NULL)
        return false;
    snap->mask = size - 1;
    for (unsigned i = 0; i < snap->n; i++) {
        put_in_table(snap, snap->entries[i].sha256, i << 1);
        if (snap->entries[i].grace_ms != 0)
            put_in_table(snap, snap->entries[i].old_sha256, i << 1 | 1);
    }
    return true;
}

enum gw_status store_snapshot_load(struct store_db *db, struct store_snapshot **out,
                                   struct gw_err *err)
{
    struct store_snapshot *snap = snapshot_new();
    enum gw_status st;

    if (snap == NULL)
        return gw_fail(err, GW_ENOMEM, "keys: out of memory");
    st = store_db_each(db, NULL, add_entry, snap, err);
    if (st == GW_ENOMEM || (st == GW_OK && !make_table(snap)))
        st = gw_fail(err, GW_ENOMEM, "keys: out of memory");
    else if (st == GW_EINVAL)
        st = gw_fail(err, GW_ECORRUPT, "keys: a row of the table `keys` is damaged");
    if (st != GW_OK) {
        store_snapshot_unref(snap);
        return st;
    }
    *out = snap;
    return GW_OK;
}

/* ---- searching ---------------------------------------------------------------------------------- */

struct store_entry *store_snapshot_find(const struct store_snapshot *snap,
                                        const unsigned char *sha256, bool *old)
{
    uint32_t at = slot_of(sha256, snap->mask);

    /* Half of the table is free, so the walk ends. Where it begins depends on the digest alone, which
     * says nothing of a key; the comparison takes the same time wherever two digests differ. */
    for (; snap->table[at] != 0; at = (at + 1) & snap->mask) {
        uint32_t value = snap->table[at] - 1;
        struct store_entry *e = &snap->entries[value >> 1];

        *old = (value & 1) != 0;
        if (gw_equal_ct(*old ? e->old_sha256 : e->sha256, sha256, GW_SHA256_BYTES))
            return e;
    }
    return NULL;
}

void store_snapshot_mark(struct store_snapshot *snap, struct store_entry *e, int64_t now_ms)
{
    int64_t day = now_ms - now_ms % DAY_MS;

    if (atomic_load_explicit(&e->used_ms, memory_order_relaxed) >= day)
        return;
    atomic_store(&e->used_ms, day);
    atomic_store(&e->used_news, true);
    atomic_store(&snap->used_news, true);
}
