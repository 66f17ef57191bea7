/* proxy/store/store.c - the server's side of the keys: an immutable snapshot, and the thread that renews it.
 *
 * The store thread alone touches the database. Four times a second it asks whether somebody changed it;
 * if so it builds a new snapshot and swaps it in. A lookup takes a reference under a mutex that is held for
 * three instructions, searches without any lock, copies what it found and lets go. The day of a key's
 * last use is marked in the snapshot by lookups and written by the store thread. */
#include "proxy/store/store.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/store/store_snapshot.h"

enum {
    TICK_MS = 250,
    SERVER_PATIENCE_MS = 100, /* a busy database must not delay the next look */
    UNUSABLE_MS = 10000,      /* (K3) */
    MAX_KEY_TEXT = 256,       /* longer ones are not hashed */
    MAX_JOBS = 64,
    MAX_RECORDS = 100, /* changes that become audit records in one transaction */
};

struct proxy_store {
    char *path;
    struct store_db *db; /* the store thread's, after open */
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock; /* guards: now, stop and what says so */
    pthread_cond_t wake;
    struct store_snapshot *now;
    bool stop;
    struct proxy_store_job *todo, **todo_end; /* guarded: work for the store thread, oldest first */
    struct proxy_store_job *ready, **ready_end; /* guarded: its done() is due */
    unsigned n_jobs;                            /* guarded: in both lists, and the one that runs */
    int ready_fd;
    pthread_mutex_t sink_lock; /* guards the two below; held while sink runs */
    proxy_store_sink_fn sink;
    void *sink_ctx;
    unsigned sink_failures;   /* in a row; the store thread's */
    atomic_ullong checked_ns; /* when the database was last seen to be as the snapshot says */
    atomic_ullong reloads, failures;
};

static struct store_snapshot *snapshot_ref(struct proxy_store *s)
{
    struct store_snapshot *snap;

    (void)pthread_mutex_lock(&s->lock);
    snap = s->now;
    (void)atomic_fetch_add(&snap->refs, 1);
    (void)pthread_mutex_unlock(&s->lock);
    return snap;
}

/* ---- the store thread ---------------------------------------------------------------------------- */

/* Writes the days of use. A failure leaves the rest for the next time: it is news, not truth. */
static void write_uses(struct proxy_store *s, struct store_snapshot *snap)
{
    bool ok = true;

    if (!atomic_exchange(&snap->used_news, false))
        return;
    if (store_db_begin(s->db, NULL) != GW_OK) {
        atomic_store(&snap->used_news, true);
        return;
    }
    for (unsigned i = 0; i < snap->n && ok; i++) {
        struct store_entry *e = &snap->entries[i];

        if (!atomic_exchange(&e->used_news, false))
            continue;
        ok = store_db_used(s->db, e->who.id.ptr, atomic_load(&e->used_ms), NULL) == GW_OK;
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
    struct store_snapshot *fresh = NULL, *old;

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
    GW_TRY(store_snapshot_load(s->db, &fresh, err));
    (void)pthread_mutex_lock(&s->lock);
    old = s->now;
    s->now = fresh;
    (void)pthread_mutex_unlock(&s->lock);
    if (!replaced)
        write_uses(s, old);
    store_snapshot_unref(old);
    (void)atomic_fetch_add(&s->reloads, 1);
    return GW_OK;
}

static enum gw_status on_change(void *ctx, const struct proxy_change *c)
{
    const struct proxy_store *s = ctx;

    return s->sink(s->sink_ctx, c);
}

/* Makes audit records of the changes that have none yet. What fails is tried again at the next tick. */
static void record_changes(struct proxy_store *s)
{
    struct gw_err err = {0};
    enum gw_status st = GW_OK;

    (void)pthread_mutex_lock(&s->sink_lock);
    if (s->sink != NULL && s->db != NULL)
        st = store_db_record_changes(s->db, gw_clock_wall_ms(), MAX_RECORDS, on_change, s, &err);
    (void)pthread_mutex_unlock(&s->sink_lock);
    if (st != GW_OK && s->sink_failures++ % (60000 / TICK_MS) == 0)
        gw_log(GW_LOG_ERROR, "key_changes_unrecorded", "status=%s error=\"%s\"", gw_status_name(st),
               err.text);
    else if (st == GW_OK)
        s->sink_failures = 0;
}

static void tick(struct proxy_store *s)
{
    struct gw_err err = {0};

    if (look(s, &err) == GW_OK) {
        record_changes(s);
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

/* Takes the oldest job; NULL when there is none. */
static struct proxy_store_job *take_job(struct proxy_store *s)
{
    struct proxy_store_job *job;

    (void)pthread_mutex_lock(&s->lock);
    job = s->todo;
    if (job != NULL) {
        s->todo = job->next;
        if (s->todo == NULL)
            s->todo_end = &s->todo;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return job;
}

static void run_jobs(struct proxy_store *s)
{
    const uint64_t one = 1;
    struct proxy_store_job *job;

    while ((job = take_job(s)) != NULL) {
        job->run(job, s->path);
        (void)pthread_mutex_lock(&s->lock);
        job->next = NULL;
        *s->ready_end = job;
        s->ready_end = &job->next;
        (void)pthread_mutex_unlock(&s->lock);
        while (write(s->ready_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            continue;
    }
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
        while (!s->stop && s->todo == NULL &&
               pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
            ; /* woken for nothing */
        stop = s->stop;
        (void)pthread_mutex_unlock(&s->lock);
        run_jobs(s);
        tick(s); /* sees at once what the jobs changed */
    }
    return NULL;
}

/* ---- work for the store thread -------------------------------------------------------------------- */

enum gw_status proxy_store_submit(struct proxy_store *s, struct proxy_store_job *job)
{
    enum gw_status st = GW_EAGAIN;

    (void)pthread_mutex_lock(&s->lock);
    if (s->n_jobs < MAX_JOBS && !s->stop) {
        s->n_jobs++;
        job->next = NULL;
        *s->todo_end = job;
        s->todo_end = &job->next;
        (void)pthread_cond_signal(&s->wake);
        st = GW_OK;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

int proxy_store_fd(const struct proxy_store *s)
{
    return s->ready_fd;
}

void proxy_store_dispatch(struct proxy_store *s)
{
    struct proxy_store_job *job, *next;
    uint64_t n;

    while (read(s->ready_fd, &n, sizeof(n)) < 0 && errno == EINTR)
        continue;
    (void)pthread_mutex_lock(&s->lock);
    job = s->ready;
    s->ready = NULL;
    s->ready_end = &s->ready;
    for (struct proxy_store_job *j = job; j != NULL; j = j->next)
        s->n_jobs--;
    (void)pthread_mutex_unlock(&s->lock);
    for (; job != NULL; job = next) {
        next = job->next;
        job->done(job);
    }
}

void proxy_store_set_sink(struct proxy_store *s, proxy_store_sink_fn fn, void *ctx)
{
    (void)pthread_mutex_lock(&s->sink_lock);
    s->sink = fn;
    s->sink_ctx = ctx;
    (void)pthread_mutex_unlock(&s->sink_lock);
}

/* ---- open, close ---------------------------------------------------------------------------------- */

static enum gw_status start(struct proxy_store *s, struct gw_err *err)
{
    GW_TRY(store_db_open(s->path, true, &s->db, err));
    GW_TRY(store_snapshot_load(s->db, &s->now, err));
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
    s->todo_end = &s->todo;
    s->ready_end = &s->ready;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_mutex_init(&s->sink_lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    s->path = strdup(path);
    s->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->path == NULL)
        st = gw_fail(err, GW_ENOMEM, "keys: out of memory");
    else if (s->ready_fd < 0)
        st = gw_fail(err, GW_EIO, "keys: eventfd: %s", strerrordesc_np(errno));
    else
        st = start(s, err);
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
    store_snapshot_unref(s->now);
    store_db_close(s->db);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_mutex_destroy(&s->sink_lock);
    if (s->ready_fd >= 0)
        (void)close(s->ready_fd);
    free(s->path);
    free(s);
}

/* ---- lookups ---------------------------------------------------------------------------------------- */

static bool is_usable(struct proxy_store *s)
{
    uint64_t checked = atomic_load(&s->checked_ns);
    uint64_t now = gw_clock_ns();

    return now < checked || now - checked < UNUSABLE_MS * GW_NS_PER_MS;
}

static enum gw_status judge(const struct store_entry *e, bool old, int64_t now_ms)
{
    if (e->revoked_ms != 0)
        return GW_EDENIED;
    if ((e->who.expires_ms != 0 && now_ms >= e->who.expires_ms) || (old && now_ms >= e->grace_ms))
        return GW_ETIMEDOUT;
    return GW_OK;
}

static enum gw_status lookup(struct proxy_store *s, struct gw_span key, bool admin,
                             struct gw_arena *arena, struct proxy_principal *out,
                             enum proxy_role *role)
{
    unsigned char sha256[GW_SHA256_BYTES];
    enum gw_status st = GW_ENOENT;
    struct store_snapshot *snap;
    struct store_entry *e;
    bool old;

    if (!is_usable(s))
        return GW_EIO;
    if (key.len == 0 || key.len > MAX_KEY_TEXT)
        return GW_ENOENT;
    gw_sha256(key, sha256);
    snap = snapshot_ref(s);
    e = store_snapshot_find(snap, sha256, &old);
    if (e != NULL && (e->role != PROXY_ROLE_NONE) == admin) {
        int64_t now_ms = gw_clock_wall_ms();

        st = judge(e, old, now_ms);
        if (st == GW_OK && !proxy_principal_copy(arena, &e->who, out))
            st = GW_ENOMEM;
        if (st == GW_OK) {
            memcpy(out->key_sha256, sha256, sizeof(sha256));
            *role = e->role;
            store_snapshot_mark(snap, e, now_ms);
        }
    }
    store_snapshot_unref(snap);
    return st;
}

enum gw_status proxy_store_lookup(struct proxy_store *s, struct gw_span key, struct gw_arena *arena,
                                  struct proxy_principal *out)
{
    enum proxy_role role;

    return lookup(s, key, false, arena, out, &role);
}

enum gw_status proxy_store_check(struct proxy_store *s, const struct proxy_principal *p)
{
    int64_t now_ms = gw_clock_wall_ms();
    struct store_snapshot *snap;
    struct store_entry *e;
    enum gw_status st;
    bool old;

    if (p->via != PROXY_VIA_KEY)
        return p->expires_ms != 0 && now_ms >= p->expires_ms ? GW_ETIMEDOUT : GW_OK;
    if (!is_usable(s))
        return GW_EIO;
    snap = snapshot_ref(s);
    e = store_snapshot_find(snap, p->key_sha256, &old);
    st = e == NULL ? GW_ENOENT : judge(e, old, now_ms);
    store_snapshot_unref(snap);
    return st;
}

enum gw_status proxy_store_lookup_admin(struct proxy_store *s, struct gw_span key,
                                        struct gw_arena *arena, struct proxy_principal *out,
                                        enum proxy_role *role)
{
    return lookup(s, key, true, arena, out, role);
}

void proxy_store_stats(struct proxy_store *s, struct proxy_store_stats *out)
{
    struct store_snapshot *snap = snapshot_ref(s);

    out->n_keys = snap->n;
    out->reloads = atomic_load(&s->reloads);
    out->failures = atomic_load(&s->failures);
    out->usable = is_usable(s);
    store_snapshot_unref(snap);
}
