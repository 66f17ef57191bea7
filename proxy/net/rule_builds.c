/* proxy/net/rule_builds.c - see rule_builds.h. Its own thread, and what others ask of it under its lock. */
#include "proxy/net/rule_builds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/net/server.h"
#include "proxy/net/worker.h"

struct rule_builds {
    struct server *server;
    char *dir;
    pthread_t thread;
    atomic_bool give_up; /* the build under way */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    bool stop;
    struct dlp_rules *wanted; /* a reference; NULL: nothing to do */
    struct rule_builds_stats stats;
};

/* ---- the thread ------------------------------------------------------------------------- */

static void record_failure(struct rule_builds *b, const struct dlp_rules *rules, const char *why)
{
    struct setup *now = server_setup(b->server);
    const struct audit_reload a = {
        .ok = false,
        .by = GW_SPAN("rule compiler"),
        .config_digest = gw_span_str(now->cfg->digest),
        .rules_digest = gw_span_str(dlp_rules_digest(rules)),
        .old_config_digest = gw_span_str(now->cfg->digest),
        .old_rules_digest = gw_span_str(dlp_rules_digest(now->rules)),
        .reason = gw_span_str(why),
    };

    if (audit_reloaded(b->server->audit, &a) != GW_OK)
        gw_log(GW_LOG_ERROR, "audit_lost", "kind=rules");
    server_setup_done(b->server, now);
}

static void build(struct rule_builds *b, struct dlp_rules *rules)
{
    struct dlp_compile c = {.dir = b->dir, .stop = &b->give_up};
    struct gw_err err = {GW_OK, ""};
    uint64_t start = gw_clock_ns();
    enum gw_status st = dlp_rules_compile(rules, &c, &err);
    uint64_t ms = (gw_clock_ns() - start) / GW_NS_PER_MS;

    if (st == GW_ECANCELED)
        return;
    if (st == GW_OK)
        gw_log(GW_LOG_INFO, "rules_compiled", "rules=%.12s objects=%u built=%u ms=%llu",
               dlp_rules_digest(rules), c.n_shards, c.n_built, (unsigned long long)ms);
    else if (st == GW_ENOENT)
        gw_log(GW_LOG_INFO, "rules_interpreted", "rules=%.12s reason=\"%s\"",
               dlp_rules_digest(rules), err.text);
    else
        gw_log(GW_LOG_ERROR, "rules_not_compiled", "rules=%.12s reason=\"%s\"",
               dlp_rules_digest(rules), err.text);
    if (st != GW_OK && st != GW_ENOENT)
        record_failure(b, rules, err.text);
    (void)pthread_mutex_lock(&b->lock);
    b->stats.ok += st == GW_OK;
    b->stats.failed += st != GW_OK && st != GW_ENOENT;
    (void)pthread_mutex_unlock(&b->lock);
}

static void *run(void *arg)
{
    struct rule_builds *b = arg;

    (void)pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        struct dlp_rules *rules = b->wanted;

        if (rules == NULL) {
            (void)pthread_cond_wait(&b->wake, &b->lock);
            continue;
        }
        b->wanted = NULL;
        atomic_store(&b->give_up, false);
        (void)pthread_mutex_unlock(&b->lock);
        build(b, rules);
        dlp_rules_unref(rules);
        (void)pthread_mutex_lock(&b->lock);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------- */

static void builds_free(struct rule_builds *b)
{
    dlp_rules_unref(b->wanted);
    (void)pthread_cond_destroy(&b->wake);
    (void)pthread_mutex_destroy(&b->lock);
    free(b->dir);
    free(b);
}

enum gw_status rule_builds_open(struct server *s, const char *state_dir, struct rule_builds **out,
                                struct gw_err *err)
{
    struct rule_builds *b = calloc(1, sizeof(*b));
    int rc;

    if (b == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    b->server = s;
    atomic_init(&b->give_up, false);
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->wake, NULL);
    if (asprintf(&b->dir, "%s/rules", state_dir) < 0) {
        b->dir = NULL;
        builds_free(b);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    rc = pthread_create(&b->thread, NULL, run, b);
    if (rc != 0) {
        builds_free(b);
        return gw_fail(err, GW_EIO, "cannot start a thread: %s", strerrordesc_np(rc));
    }
    *out = b;
    return GW_OK;
}

void rule_builds_close(struct rule_builds *b)
{
    if (b == NULL)
        return;
    (void)pthread_mutex_lock(&b->lock);
    b->stop = true;
    atomic_store(&b->give_up, true);
    (void)pthread_cond_signal(&b->wake);
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_join(b->thread, NULL);
    builds_free(b);
}

void rule_builds_want(struct rule_builds *b, const struct setup *setup)
{
    struct dlp_rules *rules = NULL;

    if (setup->cfg->dlp.native == PROXY_NATIVE_AUTO && dlp_rules_interpreted(setup->rules) > 0)
        rules = dlp_rules_ref(setup->rules);
    (void)pthread_mutex_lock(&b->lock);
    dlp_rules_unref(b->wanted);
    b->wanted = rules;
    atomic_store(&b->give_up, true);
    (void)pthread_cond_signal(&b->wake);
    (void)pthread_mutex_unlock(&b->lock);
}

void rule_builds_stats(struct rule_builds *b, struct rule_builds_stats *out)
{
    (void)pthread_mutex_lock(&b->lock);
    *out = b->stats;
    (void)pthread_mutex_unlock(&b->lock);
}
