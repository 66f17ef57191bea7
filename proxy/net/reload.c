/* proxy/net/reload.c - see reload.h. The keeper's thread, and what others ask of it under its lock. */
#include "proxy/net/reload.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/cache/cache.h"
#include "proxy/net/rule_builds.h"
#include "proxy/net/server.h"
#include "proxy/net/worker.h"

enum {
    MAX_PROBLEM_BYTES = 16 * 1024,
    SWITCH_MS = 5000, /* a worker switches in its next turn; this is for one that is stuck */
    LOGGED_PROBLEMS = 10,
    WATCH_S = 1,
};

struct keeper {
    struct server *server;
    char *path; /* NULL: the environment's or the built-in configuration */
    pthread_t thread;
    int done_fd;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    bool stop;
    uint64_t asked, ended;      /* tickets */
    char who[SERVER_WHO_BYTES]; /* of the last ask */
    struct setup *dead;         /* to close */
    struct server_reload_result last;
    struct keeper_stats stats;
    struct proxy_config_stamp tried; /* the allowlist's file, for which a reload was begun */
};

/* ---- one reload ------------------------------------------------------------------------- */

struct gathering {
    struct gw_buf *problems;
};

static void gather(void *ctx, bool warning, const char *message)
{
    const struct gathering *g = ctx;

    if (g->problems->len + strlen(message) < MAX_PROBLEM_BYTES)
        gw_buf_printf(g->problems, "%s%s\n", warning ? "warning: " : "", message);
}

/* Loads, compares and opens. GW_OK: *out; else the problems say why. */
static enum gw_status make(struct keeper *k, const struct setup *now,
                           struct server_reload_result *r, struct setup **out)
{
    struct gathering g = {&r->problems};
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    enum gw_status st;

    st = proxy_config_load(k->path, 0, &cfg, gather, &g, &err);
    if (st != GW_OK) {
        if (st != GW_EINVAL) /* else each of its problems was reported */
            gather(&g, false, err.text);
        return st;
    }
    (void)snprintf(r->new_config, sizeof(r->new_config), "%s", cfg->digest);
    if (reload_fixed(now->cfg, cfg, &r->problems) != 0 ||
        proxy_config_check_files(cfg, gather, &g) != 0) {
        proxy_config_free(cfg);
        return GW_EINVAL;
    }
    st = setup_open(cfg, now, now->n_seats, false, out, &err);
    if (st != GW_OK) {
        gather(&g, false, err.text);
        proxy_config_free(cfg);
        return st;
    }
    (void)snprintf(r->new_rules, sizeof(r->new_rules), "%s", dlp_rules_digest((*out)->rules));
    return GW_OK;
}

/* Makes it the current one and waits until every worker has taken it. */
static void publish(struct server *s, struct setup *new, struct gw_buf *problems)
{
    const struct timespec tick = {0, 1000000};
    struct setup *old;

    (void)pthread_mutex_lock(&s->lock);
    old = s->setup;
    s->setup = setup_ref(new);
    (void)pthread_mutex_unlock(&s->lock);
    gw_log_set_level(new->cfg->log.level);
    gw_log_set_format((enum gw_log_format) new->cfg->log.format);
    cache_limit(s->cache, new->cfg->cache.enabled ? new->cfg->cache.max_size : 0);
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_wake(&s->workers[i]);
    for (int ms = 0; ms < SWITCH_MS && atomic_load(&new->n_seated) < atomic_load(&s->n_running);
         ms++)
        (void)nanosleep(&tick, NULL);
    if (atomic_load(&new->n_seated) < atomic_load(&s->n_running))
        gw_buf_adds(problems, "warning: a worker is out of memory or very busy and still has the "
                              "configuration before; it goes on trying\n");
    server_setup_done(s, old);
}

static void log_result(const struct server_reload_result *r)
{
    struct gw_span rest = gw_buf_span(&r->problems);

    gw_log(r->ok ? GW_LOG_INFO : GW_LOG_ERROR, r->ok ? "config_reloaded" : "config_refused",
           "by=%s ms=%llu config=%.12s rules=%.12s was_config=%.12s was_rules=%.12s", r->who,
           (unsigned long long)r->duration_ms, r->new_config, r->new_rules, r->old_config,
           r->old_rules);
    for (unsigned i = 0; i < LOGGED_PROBLEMS && rest.len != 0; i++) {
        const char *nl = memchr(rest.ptr, '\n', rest.len);
        size_t n = nl == NULL ? rest.len : (size_t)(nl - rest.ptr);

        gw_log(r->ok ? GW_LOG_WARN : GW_LOG_ERROR, "config_problem", "problem=\"%.*s\"", (int)n,
               rest.ptr);
        rest = gw_span_from(rest, nl == NULL ? n : n + 1);
    }
}

static void record(const struct server *s, const struct server_reload_result *r)
{
    const struct audit_reload a = {
        .ok = r->ok,
        .by = gw_span_str(r->who),
        .config_digest = gw_span_str(r->new_config),
        .rules_digest = gw_span_str(r->new_rules),
        .old_config_digest = gw_span_str(r->old_config),
        .old_rules_digest = gw_span_str(r->old_rules),
        .reason =
            r->ok ? GW_SPAN("") : gw_buf_span(&r->problems), /* cut as every text of a record */
    };

    if (audit_reloaded(s->audit, &a) != GW_OK)
        gw_log(GW_LOG_ERROR, "audit_lost", "kind=reload");
}

static void reload(struct keeper *k, struct server_reload_result *r)
{
    struct server *s = k->server;
    struct setup *now = server_setup(s), *new = NULL;
    uint64_t start = gw_clock_ns();

    audit_reopen_sinks(s->audit); /* whatever becomes of the rest: files may have been rotated */
    (void)snprintf(r->old_config, sizeof(r->old_config), "%s", now->cfg->digest);
    (void)snprintf(r->old_rules, sizeof(r->old_rules), "%s", dlp_rules_digest(now->rules));
    r->ok = make(k, now, r, &new) == GW_OK;
    if (r->ok) {
        setup_name_targets(new, s->target_names);
        publish(s, new, &r->problems);
        rule_builds_want(s->rule_builds, new);
        server_setup_done(s, new);
    }
    server_setup_done(s, now);
    r->duration_ms = (gw_clock_ns() - start) / GW_NS_PER_MS;
    r->time_ms = gw_clock_wall_ms();
    record(s, r);
    log_result(r);
}

/* ---- the thread ------------------------------------------------------------------------- */

static void close_dead(struct setup *dead)
{
    while (dead != NULL) {
        struct setup *next = dead->next;

        setup_close(dead);
        dead = next;
    }
    (void)malloc_trim(0); /* a setup is megabytes, and this is seldom */
}

/* The lock is held, and again at the end. */
static void serve(struct keeper *k)
{
    struct server_reload_result r = {.ok = false};
    uint64_t ticket = k->asked;
    const uint64_t one = 1;

    memcpy(r.who, k->who, sizeof(r.who));
    (void)pthread_mutex_unlock(&k->lock);
    reload(k, &r);
    (void)pthread_mutex_lock(&k->lock);
    gw_buf_fini(&k->last.problems);
    k->last = r;
    k->ended = ticket;
    k->stats.last_ok = r.ok;
    k->stats.last_ms = r.time_ms;
    if (r.ok)
        k->stats.ok++;
    else
        k->stats.refused++;
    while (write(k->done_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* Waits for work; true: a while has passed without any. The lock is held. */
static bool wait(struct keeper *k)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WATCH_S;
    return pthread_cond_timedwait(&k->wake, &k->lock, &until) == ETIMEDOUT;
}

/* The allowlist's file is written by commands and people; when it has changed, that is a reload. The lock is held, and again
 * at the end. */
static void look_at_files(struct keeper *k)
{
    struct proxy_config_stamp stamp, loaded;
    struct setup *now;
    bool watches;

    (void)pthread_mutex_unlock(&k->lock);
    now = server_setup(k->server);
    watches = now->cfg->allow.file[0] != '\0';
    loaded = now->cfg->allow.stamp;
    if (watches)
        proxy_config_stamp(now->cfg->allow.file, &stamp);
    server_setup_done(k->server, now);
    (void)pthread_mutex_lock(&k->lock);
    /* What is gone may be about to be replaced; what was refused is not tried again until it changes. */
    if (!watches || stamp.inode == 0 || memcmp(&stamp, &loaded, sizeof(stamp)) == 0 ||
        memcmp(&stamp, &k->tried, sizeof(stamp)) == 0)
        return;
    k->tried = stamp;
    (void)snprintf(k->who, sizeof(k->who), "allowlist_file");
    k->asked++;
}

static void *run(void *arg)
{
    struct keeper *k = arg;

    (void)pthread_mutex_lock(&k->lock);
    for (;;) {
        struct setup *dead = k->dead;

        k->dead = NULL;
        if (dead != NULL) {
            (void)pthread_mutex_unlock(&k->lock);
            close_dead(dead);
            (void)pthread_mutex_lock(&k->lock);
        } else if (k->stop) {
            break;
        } else if (k->asked != k->ended) {
            serve(k);
        } else if (wait(k)) {
            look_at_files(k);
        }
    }
    (void)pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------- */

static void keeper_free(struct keeper *k)
{
    gw_buf_fini(&k->last.problems);
    if (k->done_fd >= 0)
        (void)close(k->done_fd);
    (void)pthread_cond_destroy(&k->wake);
    (void)pthread_mutex_destroy(&k->lock);
    free(k->path);
    free(k);
}

enum gw_status keeper_open(struct server *s, const char *path, struct keeper **out,
                           struct gw_err *err)
{
    struct keeper *k = calloc(1, sizeof(*k));
    int rc;

    if (k == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    k->server = s;
    k->stats.last_ok = true;
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_cond_init(&k->wake, NULL);
    k->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    k->path = path == NULL ? NULL : strdup(path);
    if (k->done_fd < 0 || (path != NULL && k->path == NULL)) {
        keeper_free(k);
        return gw_fail(err, GW_ENOMEM, "out of memory or descriptors");
    }
    rc = pthread_create(&k->thread, NULL, run, k);
    if (rc != 0) {
        keeper_free(k);
        return gw_fail(err, GW_EIO, "cannot start a thread: %s", strerrordesc_np(rc));
    }
    *out = k;
    return GW_OK;
}

void keeper_close(struct keeper *k)
{
    if (k == NULL)
        return;
    (void)pthread_mutex_lock(&k->lock);
    k->stop = true;
    (void)pthread_cond_signal(&k->wake);
    (void)pthread_mutex_unlock(&k->lock);
    (void)pthread_join(k->thread, NULL);
    keeper_free(k);
}

void keeper_bury(struct keeper *k, struct setup *dead)
{
    (void)pthread_mutex_lock(&k->lock);
    dead->next = k->dead;
    k->dead = dead;
    (void)pthread_cond_signal(&k->wake);
    (void)pthread_mutex_unlock(&k->lock);
}

void keeper_stats(struct keeper *k, struct keeper_stats *out)
{
    (void)pthread_mutex_lock(&k->lock);
    *out = k->stats;
    (void)pthread_mutex_unlock(&k->lock);
}

/* ---- what others ask ---------------------------------------------------------------------- */

uint64_t server_reload(struct server *s, const char *who)
{
    struct keeper *k = s->keeper;
    uint64_t ticket;

    (void)pthread_mutex_lock(&k->lock);
    ticket = ++k->asked;
    (void)snprintf(k->who, sizeof(k->who), "%s", who);
    (void)pthread_cond_signal(&k->wake);
    (void)pthread_mutex_unlock(&k->lock);
    return ticket;
}

bool server_reload_result(struct server *s, uint64_t ticket, struct server_reload_result *out)
{
    struct keeper *k = s->keeper;
    bool there;

    (void)pthread_mutex_lock(&k->lock);
    there = k->ended != 0 && k->ended >= ticket;
    if (there) {
        *out = k->last;
        out->problems = (struct gw_buf){0};
        gw_buf_add(&out->problems, gw_buf_span(&k->last.problems));
    }
    (void)pthread_mutex_unlock(&k->lock);
    return there;
}

int server_reload_fd(const struct server *s)
{
    return s->keeper->done_fd;
}
