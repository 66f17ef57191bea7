/* proxy/identity/keyring.c - fetches and reads key sets. The thread owns everything but what `lock` guards. */
#include "proxy/identity/keyring.h"

#include <sys/stat.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/fetch/fetch_answer.h"

enum {
    LOOK_MS = 1000,   /* at a file */
    GAP_MS = 10000,   /* between fetches that tokens ask for */
    SOON_MS = 2000,   /* a client that tries again meanwhile finds the new keys */
    RETRY_MS = 15000, /* after a failure; less when refresh is less */
    TIMEOUT_S = 10,
};

struct keyring {
    char *issuer, *source, *ca;
    bool is_url;
    int64_t refresh_ms, stale_ms;
    atomic_uint refs;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct jwt_keys *keys;      /* guarded; NULL: none yet */
    int64_t good_ms;            /* guarded: when they were last seen to be so; monotonic */
    int64_t tried_ms;           /* guarded: begin of the last fetch */
    bool busy, wanted, stop;    /* guarded */
    struct timespec file_mtime; /* of what was read */
    off_t file_size;
    ino_t file_ino;
    unsigned failures; /* in a row */
};

static int64_t now_ms(void)
{
    return (int64_t)(gw_clock_ns() / GW_NS_PER_MS);
}

/* ---- fetching ------------------------------------------------------------------------------------- */

static bool stopped(void *ctx)
{
    struct keyring *k = ctx;
    bool stop;

    (void)pthread_mutex_lock(&k->lock);
    stop = k->stop;
    (void)pthread_mutex_unlock(&k->lock);
    return stop;
}

static enum gw_status fetch_url(struct keyring *k, struct gw_buf *out, struct gw_err *err)
{
    struct fetch_answer f = {
        .url = k->source,
        .ca = k->ca[0] == '\0' ? NULL : k->ca,
        .no_proxy = strncmp(k->source, "https", 5) != 0, /* http: this machine's own */
        .max_bytes = JWT_MAX_SET_BYTES,
        .connect_s = TIMEOUT_S,
        .total_s = TIMEOUT_S,
        .stopped = stopped,
        .ctx = k,
    };
    bool answered = fetch_answer(&f);

    *out = f.body;
    if (!answered)
        return gw_fail(err, GW_EIO, "%s", f.why);
    if (f.status != 200)
        return gw_fail(err, GW_EIO, "status %ld", f.status);
    return GW_OK;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static bool file_changed(const struct keyring *k, const struct stat *st)
{
    return st->st_ino != k->file_ino || st->st_size != k->file_size ||
           st->st_mtim.tv_sec != k->file_mtime.tv_sec ||
           st->st_mtim.tv_nsec != k->file_mtime.tv_nsec;
}

static enum gw_status read_file(struct keyring *k, struct gw_buf *out, struct gw_err *err)
{
    FILE *f = fopen(k->source, "rbe");
    struct stat st;
    size_t n = 0;

    if (f == NULL || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        if (f != NULL)
            (void)fclose(f);
        return gw_fail(err, GW_EIO, "%s: cannot be read: %s", k->source, strerrordesc_np(errno));
    }
    if (gw_buf_reserve(out, JWT_MAX_SET_BYTES + 1)) {
        n = fread(out->ptr, 1, JWT_MAX_SET_BYTES + 1, f);
        out->len = n;
    }
    (void)fclose(f);
    if (n == 0)
        return gw_fail(err, GW_EIO, "%s: is empty, or cannot be read", k->source);
    k->file_mtime = st.st_mtim;
    k->file_size = st.st_size;
    k->file_ino = st.st_ino;
    return GW_OK;
}

/* ---- the two together ------------------------------------------------------------------------------ */

static enum gw_status load(struct keyring *k, struct gw_err *err)
{
    struct jwt_keys *fresh = NULL, *old;
    struct gw_buf set = {0};
    enum gw_status st = k->is_url ? fetch_url(k, &set, err) : read_file(k, &set, err);

    if (st == GW_OK)
        st = jwt_keys_read(gw_buf_span(&set), &fresh, err);
    gw_buf_fini(&set);
    if (st != GW_OK)
        return st;
    (void)pthread_mutex_lock(&k->lock);
    old = k->keys;
    k->keys = fresh;
    k->good_ms = now_ms();
    (void)pthread_mutex_unlock(&k->lock);
    jwt_keys_unref(old);
    return GW_OK;
}

static void try_load(struct keyring *k)
{
    struct gw_err err = {0};
    enum gw_status st = load(k, &err);

    if (st == GW_OK) {
        if (k->failures != 0 || !k->is_url)
            gw_log(GW_LOG_INFO, "jwks_loaded", "issuer=%.100s", k->issuer);
        k->failures = 0;
        return;
    }
    if (k->failures++ % 20 == 0)
        gw_log(GW_LOG_WARN, "jwks_failed", "issuer=%.100s tries=%u why=\"%.150s\"", k->issuer,
               k->failures, err.text);
}

/* A file that is as it was read is good, however long ago that was. */
static void look_at_file(struct keyring *k)
{
    struct stat st;

    if (stat(k->source, &st) == 0 && !file_changed(k, &st) && k->failures == 0) {
        (void)pthread_mutex_lock(&k->lock);
        k->good_ms = now_ms();
        (void)pthread_mutex_unlock(&k->lock);
        return;
    }
    try_load(k);
}

/* How long to wait for the next turn. Called with the lock held. */
static int64_t pause_ms(const struct keyring *k)
{
    int64_t ms = k->refresh_ms;

    if (!k->is_url)
        return LOOK_MS;
    if (k->failures != 0 && ms > RETRY_MS)
        ms = RETRY_MS;
    return ms;
}

static bool wait_turn(struct keyring *k)
{
    int64_t due;
    bool stop;

    (void)pthread_mutex_lock(&k->lock);
    k->busy = false;
    due = (k->tried_ms == 0 ? now_ms() : k->tried_ms + pause_ms(k));
    while (!k->stop) {
        int64_t at = k->wanted && k->tried_ms + GAP_MS < due ? k->tried_ms + GAP_MS : due;
        struct timespec until = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};

        if (now_ms() >= at)
            break;
        (void)pthread_cond_timedwait(&k->wake, &k->lock, &until);
    }
    stop = k->stop;
    k->wanted = false;
    k->busy = true;
    k->tried_ms = now_ms();
    (void)pthread_mutex_unlock(&k->lock);
    return !stop;
}

static void *run(void *arg)
{
    struct keyring *k = arg;

    while (wait_turn(k)) {
        if (k->is_url)
            try_load(k);
        else
            look_at_file(k);
    }
    return NULL;
}

/* ---- opening and closing ---------------------------------------------------------------------------- */

static enum gw_status start(struct keyring *k, struct gw_err *err)
{
    if (!fetch_answer_init())
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (!k->is_url) {
        GW_TRY(load(k, err));
        k->tried_ms = now_ms();
    }
    if (pthread_create(&k->thread, NULL, run, k) != 0)
        return gw_fail(err, GW_EIO, "cannot start the thread that fetches keys: %s",
                       strerrordesc_np(errno));
    k->started = true;
    return GW_OK;
}

enum gw_status keyring_open(const struct proxy_config_jwt *cfg, struct keyring **out,
                            struct gw_err *err)
{
    struct keyring *k = calloc(1, sizeof(*k));
    pthread_condattr_t attr;
    enum gw_status st;

    if (k == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    atomic_init(&k->refs, 1);
    (void)pthread_mutex_init(&k->lock, NULL); /* on Linux these take nothing */
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&k->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    k->issuer = strdup(cfg->issuer);
    k->source = strdup(cfg->jwks);
    k->ca = strdup(cfg->ca);
    k->refresh_ms = cfg->refresh_ms;
    k->stale_ms = cfg->stale_ms;
    k->is_url = strncmp(cfg->jwks, "http", 4) == 0 && strstr(cfg->jwks, "://") != NULL;
    st = k->issuer == NULL || k->source == NULL || k->ca == NULL
             ? gw_fail(err, GW_ENOMEM, "out of memory")
             : start(k, err);
    if (st != GW_OK) {
        keyring_unref(k);
        return gw_fail_prefix(err, "auth.jwt: %.100s", cfg->issuer);
    }
    *out = k;
    return GW_OK;
}

bool keyring_suits(const struct keyring *k, const struct proxy_config_jwt *cfg)
{
    return strcmp(k->issuer, cfg->issuer) == 0 && strcmp(k->source, cfg->jwks) == 0 &&
           strcmp(k->ca, cfg->ca) == 0 && k->refresh_ms == cfg->refresh_ms &&
           k->stale_ms == cfg->stale_ms;
}

struct keyring *keyring_ref(struct keyring *k)
{
    atomic_fetch_add(&k->refs, 1);
    return k;
}

void keyring_unref(struct keyring *k)
{
    if (k == NULL || atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    if (k->started) {
        (void)pthread_mutex_lock(&k->lock);
        k->stop = true;
        (void)pthread_cond_signal(&k->wake);
        (void)pthread_mutex_unlock(&k->lock);
        (void)pthread_join(k->thread, NULL);
    }
    jwt_keys_unref(k->keys);
    (void)pthread_cond_destroy(&k->wake);
    (void)pthread_mutex_destroy(&k->lock);
    free(k->issuer);
    free(k->source);
    free(k->ca);
    free(k);
}

/* ---- asking ------------------------------------------------------------------------------------------ */

struct jwt_keys *keyring_get(struct keyring *k)
{
    struct jwt_keys *keys = NULL;

    (void)pthread_mutex_lock(&k->lock);
    if (k->keys != NULL && now_ms() - k->good_ms < k->stale_ms)
        keys = jwt_keys_ref(k->keys);
    (void)pthread_mutex_unlock(&k->lock);
    return keys;
}

bool keyring_want(struct keyring *k)
{
    bool soon;

    (void)pthread_mutex_lock(&k->lock);
    soon = k->is_url && (k->busy || now_ms() - k->tried_ms >= GAP_MS - SOON_MS);
    if (k->is_url && !k->busy && !k->wanted) {
        k->wanted = true;
        (void)pthread_cond_signal(&k->wake);
    }
    (void)pthread_mutex_unlock(&k->lock);
    return soon;
}
