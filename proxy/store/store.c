/* proxy/store/store.c - the server's side of the keys: an immutable snapshot, and the thread that renews it.
 *
 * The store thread alone touches the database. Four times a second it asks whether somebody changed it;
 * if so it builds a new snapshot and swaps it in. A lookup takes a reference under a mutex that is held for
 * three instructions, searches without any lock, copies what it found and lets go. The day of a key's
 * last use is marked in the snapshot by lookups and written by the store thread. */
#include "proxy/store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/store/store_private.h"

enum {
    TICK_MS = 250,
    SERVER_PATIENCE_MS = 100, /* a busy database must not delay the next look */
    UNUSABLE_MS = 10000,      /* (K3) */
    DAY_MS = 86400000,
    MAX_KEY_TEXT = 256, /* longer ones are not hashed */
    MAX_SNAPSHOT_BYTES = 256 << 20,
};

struct entry {
    unsigned char sha256[GW_SHA256_BYTES];
    struct gw_span id, name, owner;
    const struct gw_span *groups;
    unsigned n_groups;
    int64_t expires_ms, revoked_ms;
    atomic_llong used_ms;  /* start of the last day of use */
    atomic_bool used_news; /* used_ms is not in the database yet */
};

/* Immutable but for the marks of use. */
struct snapshot {
    atomic_uint refs;
    struct gw_arena *arena; /* what the entries point to */
    struct entry *entries;
    uint32_t *table; /* index + 1 into entries, 0: free; open addressing */
    uint32_t mask;
    unsigned n, cap;
    atomic_bool used_news; /* some entry has news */
};

struct proxy_store {
    char *path;
    struct store_db *db; /* the store thread's, after open */
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock; /* guards: now, stop */
    pthread_cond_t wake;
    struct snapshot *now;
    bool stop;
    atomic_ullong checked_ns; /* when the database was last seen to be as the snapshot says */
    atomic_ullong reloads, failures;
};

/* ---- snapshots --------------------------------------------------------------------------------- */

static void snapshot_unref(struct snapshot *snap)
{
    if (snap == NULL || atomic_fetch_sub(&snap->refs, 1) != 1)
        return;
    gw_arena_free(snap->arena);
    free(snap->entries);
    free(snap->table);
    free(snap);
}

static struct snapshot *snapshot_ref(struct proxy_store *s)
{
    struct snapshot *snap;

    (void)pthread_mutex_lock(&s->lock);
    snap = s->now;
    (void)atomic_fetch_add(&snap->refs, 1);
    (void)pthread_mutex_unlock(&s->lock);
    return snap;
}

static struct snapshot *snapshot_new(void)
{
    struct snapshot *snap = calloc(1, sizeof(*snap));

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
static bool split_groups(struct gw_arena *arena, const char *text, struct entry *e)
{
    struct gw_span all = gw_arena_copy(arena, gw_span_str(text));
    struct gw_span *groups = gw_arena_array(arena, PROXY_KEY_MAX_GROUPS, sizeof(*groups));
    unsigned n = 0;

    if (all.ptr == NULL || groups == NULL)
        return false;
    while (all.len > 0 && n < PROXY_KEY_MAX_GROUPS) {
        const char *comma = memchr(all.ptr, ',', all.len);
        size_t len = comma == NULL ? all.len : (size_t)(comma - all.ptr);

        if (len > 0)
            groups[n++] = (struct gw_span){all.ptr, len};
        all = gw_span_from(all, len + 1);
    }
    e->groups = groups;
    e->n_groups = n;
    return true;
}

static enum gw_status add_entry(void *ctx, const struct store_row *row)
{
    struct snapshot *snap = ctx;
    struct entry *e;

    if (snap->n == snap->cap) {
        unsigned cap = snap->cap == 0 ? 64 : snap->cap * 2;
        struct entry *grown = realloc(snap->entries, cap * sizeof(*grown));

        if (grown == NULL)
            return GW_ENOMEM;
        snap->entries = grown;
        snap->cap = cap;
    }
    e = &snap->entries[snap->n];
    memset(e, 0, sizeof(*e));
    memcpy(e->sha256, row->sha256, sizeof(e->sha256));
    e->id = gw_arena_copy(snap->arena, gw_span_str(row->info.id));
    e->name = gw_arena_copy(snap->arena, gw_span_str(row->info.name));
    e->owner = gw_arena_copy(snap->arena, gw_span_str(row->info.owner));
    e->expires_ms = row->info.expires_ms;
    e->revoked_ms = row->info.revoked_ms;
    atomic_init(&e->used_ms, row->info.last_used_ms);
    atomic_init(&e->used_news, false);
    if (e->id.ptr == NULL || e->name.ptr == NULL || e->owner.ptr == NULL ||
        !split_groups(snap->arena, row->info.groups, e))
        return GW_ENOMEM;
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

static bool make_table(struct snapshot *snap)
{
    uint32_t size = 16;

    while (size < snap->n * 2)
        size *= 2;
    snap->table = calloc(size, sizeof(*snap->table));
    if (snap->table == NULL)
        return false;
    snap->mask = size - 1;
    for (unsigned i = 0; i < snap->n; i++) {
        uint32_t at = slot_of(snap->entries[i].sha256, snap->mask);

        while (snap->table[at] != 0)
            at = (at + 1) & snap->mask;
        snap->table[at] = i + 1;
    }
    return true;
}

static enum gw_status snapshot_load(struct store_db *db, struct snapshot **out, struct gw_err *err)
{
    struct snapshot *snap = snapshot_new();
    enum gw_status st;

    if (snap == NULL)
        return gw_fail(err, GW_ENOMEM, "keys: out of memory");
    st = store_db_each(db, add_entry, snap, err);
    if (st == GW_ENOMEM || (st == GW_OK && !make_table(snap)))
        st = gw_fail(err, GW_ENOMEM, "keys: out of memory");
    if (st != GW_OK) {
        snapshot_unref(snap);
        return st;
    }
    *out = snap;
    return GW_OK;
}

/* ---- the store thread ---------------------------------------------------------------------------- */

/* Writes the days of use. A failure leaves the rest for the next time: it is news, not truth. */
static void write_uses(struct proxy_store *s, struct snapshot *snap)
{
    bool ok = true;

    if (!atomic_exchange(&snap->used_news, false))
        return;
    if (store_db_begin(s->db, NULL) != GW_OK) {
        atomic_store(&snap->used_news, true);
        return;
    }
    for (unsigned i = 0; i < snap->n && ok; i++) {
        struct entry *e = &snap->entries[i];

        if (!atomic_exchange(&e->used_news, false))
            continue;
        ok = store_db_used(s->db, e->id.ptr, atomic_load(&e->used_ms), NULL) == GW_OK;
        if (!ok) {
            atomic_store(&e->used_news, true);
            atomic_store(&snap->used_news, true);
        }
    }
    (void)store_db_commit(s->db, NULL);
}

/* Looks once: renews the snapshot when the database changed. */
static enum gw_status look(struct proxy_store *s, struct gw_err *err)
{
    bool changed = false, replaced = false;
    struct snapshot *fresh = NULL, *old;

    if (s->db == NULL) {
        GW_TRY(store_db_open(s->path, false, &s->db, err));
        store_db_patience(s->db, SERVER_PATIENCE_MS);
        changed = true;
    } else {
        GW_TRY(store_db_changed(s->db, &changed, &replaced, err));
    }
    if (replaced) { /* another file lies there now: everything is different */
        store_db_close(s->db);
        s->db = NULL;
        GW_TRY(store_db_open(s->path, false, &s->db, err));
        store_db_patience(s->db, SERVER_PATIENCE_MS);
    }
    if (!changed)
        return GW_OK;
    GW_TRY(snapshot_load(s->db, &fresh, err));
    (void)pthread_mutex_lock(&s->lock);
    old = s->now;
    s->now = fresh;
    (void)pthread_mutex_unlock(&s->lock);
    if (!replaced)
        write_uses(s, old);
    snapshot_unref(old);
    (void)atomic_fetch_add(&s->reloads, 1);
    return GW_OK;
}

static void tick(struct proxy_store *s)
{
    struct gw_err err = {0};

    if (look(s, &err) == GW_OK) {
        atomic_store(&s->checked_ns, gw_clock_ns());
        write_uses(s, s->now); /* only this thread changes s->now */
        return;
    }
    if (atomic_fetch_add(&s->failures, 1) % (60000 / TICK_MS) == 0) /* once a minute is enough */
        gw_log(GW_LOG_ERROR, "keys_unreadable", "error=\"%s\"", err.text);
    /* Opened anew next time: a connection that failed half-way must not hide a change that it had
     * already counted. */
    store_db_close(s->db);
    s->db = NULL;
}

static void *store_thread(void *arg)
{
    struct proxy_store *s = arg;
    bool stop = false;

    while (!stop) {
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_MS * (long)GW_NS_PER_MS;
        if (until.tv_nsec >= (long)GW_NS_PER_SEC) {
            until.tv_nsec -= (long)GW_NS_PER_SEC;
            until.tv_sec++;
        }
        (void)pthread_mutex_lock(&s->lock);
        while (!s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
            ; /* woken for nothing */
        stop = s->stop;
        (void)pthread_mutex_unlock(&s->lock);
        tick(s);
    }
    return NULL;
}

/* ---- open, close ---------------------------------------------------------------------------------- */

static enum gw_status start(struct proxy_store *s, struct gw_err *err)
{
    GW_TRY(store_db_open(s->path, true, &s->db, err));
    GW_TRY(snapshot_load(s->db, &s->now, err));
    store_db_patience(s->db, SERVER_PATIENCE_MS);
    atomic_store(&s->checked_ns, gw_clock_ns());
    if (pthread_create(&s->thread, NULL, store_thread, s) != 0)
        return gw_fail(err, GW_ENOMEM, "keys: cannot start a thread");
    s->thread_runs = true;
    return GW_OK;
}

enum gw_status proxy_store_open(const char *path, struct proxy_store **out, struct gw_err *err)
{
    struct proxy_store *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;
    enum gw_status st;

    if (s == NULL)
        return gw_fail(err, GW_ENOMEM, "keys: out of memory");
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    s->path = strdup(path);
    st = s->path == NULL ? gw_fail(err, GW_ENOMEM, "keys: out of memory") : start(s, err);
    if (st != GW_OK) {
        proxy_store_close(s);
        return st;
    }
    *out = s;
    return GW_OK;
}

void proxy_store_close(struct proxy_store *s)
{
    if (s == NULL)
        return;
    if (s->thread_runs) {
        (void)pthread_mutex_lock(&s->lock);
        s->stop = true;
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->thread, NULL);
    }
    snapshot_unref(s->now);
    store_db_close(s->db);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

/* ---- lookups ---------------------------------------------------------------------------------------- */

static struct entry *find(const struct snapshot *snap, const unsigned char *sha256)
{
    uint32_t at = slot_of(sha256, snap->mask);

    /* Half of the table is free, so the walk ends. Where it begins depends on the digest alone, which
     * says nothing of a key; the comparison takes the same time wherever two digests differ. */
    for (; snap->table[at] != 0; at = (at + 1) & snap->mask) {
        struct entry *e = &snap->entries[snap->table[at] - 1];

        if (gw_equal_ct(e->sha256, sha256, GW_SHA256_BYTES))
            return e;
    }
    return NULL;
}

static void mark_used(struct snapshot *snap, struct entry *e, int64_t now_ms)
{
    int64_t day = now_ms - now_ms % DAY_MS;

    if (atomic_load_explicit(&e->used_ms, memory_order_relaxed) >= day)
        return;
    atomic_store(&e->used_ms, day);
    atomic_store(&e->used_news, true);
    atomic_store(&snap->used_news, true);
}

static enum gw_status copy_principal(const struct entry *e, struct gw_arena *arena,
                                     struct proxy_principal *out)
{
    struct proxy_principal p = {.n_groups = e->n_groups, .expires_ms = e->expires_ms};
    struct gw_span *groups = gw_arena_array(arena, e->n_groups, sizeof(*groups));

    p.id = gw_arena_copy(arena, e->id);
    p.name = gw_arena_copy(arena, e->name);
    p.owner = gw_arena_copy(arena, e->owner);
    if (groups == NULL || p.id.ptr == NULL || p.name.ptr == NULL || p.owner.ptr == NULL)
        return GW_ENOMEM;
    for (unsigned i = 0; i < e->n_groups; i++) {
        groups[i] = gw_arena_copy(arena, e->groups[i]);
        if (groups[i].ptr == NULL)
            return GW_ENOMEM;
    }
    p.groups = groups;
    *out = p;
    return GW_OK;
}

static bool is_usable(struct proxy_store *s)
{
    uint64_t checked = atomic_load(&s->checked_ns);
    uint64_t now = gw_clock_ns();

    return now < checked || now - checked < UNUSABLE_MS * GW_NS_PER_MS;
}

enum gw_status proxy_store_lookup(struct proxy_store *s, struct gw_span key, struct gw_arena *arena,
                                  struct proxy_principal *out)
{
    unsigned char sha256[GW_SHA256_BYTES];
    enum gw_status st = GW_ENOENT;
    struct snapshot *snap;
    struct entry *e;

    if (!is_usable(s))
        return GW_EIO;
    if (key.len == 0 || key.len > MAX_KEY_TEXT)
        return GW_ENOENT;
    gw_sha256(key, sha256);
    snap = snapshot_ref(s);
    e = find(snap, sha256);
    if (e != NULL) {
        int64_t now_ms = gw_clock_wall_ms();

        if (e->revoked_ms != 0)
            st = GW_EDENIED;
        else if (e->expires_ms != 0 && now_ms >= e->expires_ms)
            st = GW_ETIMEDOUT;
        else
            st = copy_principal(e, arena, out);
        if (st == GW_OK)
            mark_used(snap, e, now_ms);
    }
    snapshot_unref(snap);
    return st;
}

void proxy_store_stats(struct proxy_store *s, struct proxy_store_stats *out)
{
    struct snapshot *snap = snapshot_ref(s);

    out->n_keys = snap->n;
    out->reloads = atomic_load(&s->reloads);
    out->failures = atomic_load(&s->failures);
    out->usable = is_usable(s);
    snapshot_unref(snap);
}
