/* proxy/net/server.c - makes and unmakes a gateway. Main thread. */
#include "proxy/net/server.h"

#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/energy.h"
#include "base/log.h"
#include "proxy/cache/cache.h"
#include "proxy/dirs.h"
#include "proxy/limits/limits.h"
#include "proxy/net/changes.h"
#include "proxy/net/clients.h"
#include "proxy/net/hmac_key.h"
#include "proxy/net/reload.h"
#include "proxy/net/rule_builds.h"
#include "proxy/net/witness_post.h"
#include "proxy/net/worker.h"
#include "proxy/request/pins.h"
#include "proxy/sink/sink.h"
#include "proxy/store/store.h"
#include "proxy/version.h"

enum { KAFKA_DRAIN_MS = 2000 };

/* ---- audit ------------------------------------------------------------------------------ */

static enum gw_status open_audit(struct server *s, const struct setup *setup, struct gw_err *err)
{
    const struct proxy_config *c = setup->cfg;
    struct audit_sink sinks[PROXY_MAX_SINKS];
    char key[4096];
    struct gw_buf models = {0};
    enum gw_status st;
    struct audit_config cfg = {
        .spool_dir = c->audit.spool,
        .instance = c->instance,
        .version = sluice_version(),
        .config_digest = c->digest,
        .rules_digest = dlp_rules_digest(setup->rules),
        .durability = (enum audit_durability)c->audit.durability,
        .on_full = (enum audit_on_full)c->audit.on_full,
        .max_spool_bytes = c->audit.max_spool,
        .segment_bytes = c->audit.segment,
        .retain_seconds = (unsigned)(c->audit.retain_ms / 1000),
        .n_channels = c->workers + 1, /* the workers, and the changes of keys */
        .kafka_brokers = c->audit.kafka_brokers,
        .kafka_topic = c->audit.kafka_topic,
        .kafka_checkpoints = c->audit.kafka_checkpoints,
        .kafka_properties = c->audit.kafka_properties,
        .kafka_partitions = c->audit.kafka_partitions,
        .kafka_replication = c->audit.kafka_replication,
        .seal_key = c->audit.checkpoint_ms == 0 ? NULL : key,
        .seal_interval_ms = (unsigned)c->audit.checkpoint_ms,
        .payload = s->payload,
    };

    if (snprintf(key, sizeof(key), "%s/checkpoint.key", c->state_dir) >= (int)sizeof(key))
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", c->state_dir);
    GW_TRY(dirs_make(c->audit.spool, err));
    if (c->audit.witness_url[0] != '\0') {
        s->witness = calloc(1, sizeof(*s->witness));
        if (s->witness == NULL)
            return gw_fail(err, GW_ENOMEM, "out of memory");
        GW_TRY(witness_post_init(s->witness, c->audit.witness_url, c->audit.witness_ca, err));
        cfg.witness = &s->witness->witness;
    }
    GW_TRY(sinks_make(c, sinks, &cfg.n_sinks, err));
    cfg.sinks = sinks;
    setup_models_text(setup, &models);
    gw_buf_addc(&models, '\0');
    if (!gw_buf_ok(&models))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    cfg.models = models.ptr;
    st = audit_open(&cfg, &s->audit, err);
    gw_buf_fini(&models);
    return st;
}

/* The keys of subjects, where an auditor can open what they seal. */
static enum gw_status open_payload(struct server *s, const struct proxy_config *c,
                                   struct gw_err *err)
{
    const struct audit_payload_config cfg = {.keys_path = c->audit.subject_keys,
                                             .auditor_path = c->audit.auditor_key,
                                             .keep_ms = (uint64_t)c->audit.payload_keep_ms};

    return c->audit.auditor_key[0] == '\0' ? GW_OK : audit_payload_open(&cfg, &s->payload, err);
}

/* ---- life ------------------------------------------------------------------------------- */

static enum gw_status open_workers(struct server *s, unsigned n, struct gw_err *err)
{
    s->max_workers = n;
    s->workers = calloc(s->max_workers, sizeof(*s->workers));
    if (s->workers == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (; s->n_workers < s->max_workers; s->n_workers++)
        GW_TRY(worker_init(&s->workers[s->n_workers], s, s->n_workers, err));
    for (unsigned i = 0; i < s->n_workers; i++)
        GW_TRY(worker_start(&s->workers[i], err));
    return GW_OK;
}

/* What the configuration names, up to its setup, which owns it then. */
static enum gw_status open_config(struct server *s, struct proxy_config *cfg, bool progress,
                                  struct gw_err *err)
{
    enum gw_status st = dirs_make(cfg->state_dir, err);

    if (st == GW_OK)
        st = hmac_key_load(cfg->state_dir, true, s->hmac_key, err);
    if (st == GW_OK)
        st = proxy_store_open(cfg->auth.keys, &s->store, err);
    if (st == GW_OK)
        st = setup_open(cfg, NULL, cfg->workers, progress, &s->setup, err);
    if (st != GW_OK)
        proxy_config_free(cfg);
    return st;
}

static enum gw_status name_targets(struct server *s, struct gw_err *err)
{
    s->target_names = metrics_names_new();
    if (s->target_names == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    setup_name_targets(s->setup, s->target_names);
    return GW_OK;
}

static enum gw_status open_cache(struct server *s, const struct proxy_config *cfg,
                                 struct gw_err *err)
{
    s->cache = cache_new(cfg->cache.enabled ? cfg->cache.max_size : 0);
    s->pins = pins_new();
    return s->cache == NULL || s->pins == NULL ? gw_fail(err, GW_ENOMEM, "out of memory") : GW_OK;
}

/* As many descriptors as this process may have. A tenth of them, and a few, are kept for targets, files and the admin port;
 * what is left is the most connections that are taken. */
static void raise_descriptors(struct server *s, unsigned wanted)
{
    struct rlimit limit;
    rlim_t room;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    room = limit.rlim_cur - limit.rlim_cur / 10;
    room = room > 128 ? room - 64 : room / 2;
    s->max_conns = room < UINT32_MAX ? (unsigned)room : UINT32_MAX;
    if (s->max_conns < wanted)
        gw_log(GW_LOG_WARN, "few_descriptors",
               "limit=%llu max_connections=%u taken=%u hint=\"raise the limit of open files "
               "(ulimit -n, LimitNOFILE=)\"",
               (unsigned long long)limit.rlim_cur, wanted, s->max_conns);
}

static enum gw_status open_clients(struct server *s, struct gw_err *err)
{
    raise_descriptors(s, s->setup->cfg->limits.max_connections);
    s->half_memory = clients_half_of_memory();
    s->clients = clients_new();
    return s->clients == NULL ? gw_fail(err, GW_ENOMEM, "out of memory") : GW_OK;
}

enum gw_status server_open(struct proxy_config *cfg, const char *path, bool progress,
                           struct server **out, struct gw_err *err)
{
    struct server *s = calloc(1, sizeof(*s));
    enum gw_status st;

    if (s == NULL) {
        proxy_config_free(cfg);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    (void)pthread_mutex_init(&s->lock, NULL);
    s->start_ns = gw_clock_ns();
    s->energy = gw_energy_open(NULL);
    st = open_config(s, cfg, progress, err);
    if (st == GW_OK)
        st = open_clients(s, err);
    if (st == GW_OK)
        st = name_targets(s, err);
    if (st == GW_OK)
        st = open_cache(s, s->setup->cfg, err);
    if (st == GW_OK)
        st = open_payload(s, s->setup->cfg, err);
    if (st == GW_OK)
        st = open_audit(s, s->setup, err);
    if (st == GW_OK)
        st = changes_open(s->audit, s->store, &s->changes, err);
    if (st == GW_OK)
        st = limits_open(s->setup->cfg, &s->limits, err);
    if (st == GW_OK)
        st = open_workers(s, s->setup->cfg->workers, err);
    if (st == GW_OK)
        st = rule_builds_open(s, s->setup->cfg->state_dir, &s->rule_builds, err);
    if (st == GW_OK)
        st = keeper_open(s, path, &s->keeper, err);
    if (st == GW_OK)
        rule_builds_want(s->rule_builds, s->setup);
    if (st != GW_OK) {
        server_stop(s, 2);
        server_close(s);
        return st;
    }
    *out = s;
    return GW_OK;
}

struct setup *server_setup(struct server *s)
{
    struct setup *setup;

    (void)pthread_mutex_lock(&s->lock);
    setup = setup_ref(s->setup);
    (void)pthread_mutex_unlock(&s->lock);
    return setup;
}

void server_setup_done(struct server *s, struct setup *setup)
{
    if (!setup_unref(setup))
        return;
    if (s->keeper != NULL)
        keeper_bury(s->keeper, setup);
    else
        setup_close(setup); /* starting or closing: no loop runs */
}

void server_leave(struct server *s)
{
    atomic_store(&s->leaving, true);
}

void server_stop(struct server *s, int level)
{
    atomic_store(&s->stop_level, level);
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_wake(&s->workers[i]);
}

bool server_stopped(const struct server *s)
{
    return atomic_load(&s->n_running) == 0;
}

void server_close(struct server *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_join(&s->workers[i]);
    keeper_close(
        s->keeper); /* no loop runs any more that would need it, and it must not publish into what goes */
    s->keeper = NULL;
    rule_builds_close(s->rule_builds);
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_fini(&s->workers[i]);
    if (s->workers != NULL && s->n_workers < s->max_workers)
        worker_fini(&s->workers[s->n_workers]); /* the one whose making failed */
    free(s->workers);
    changes_close(s->changes);
    cache_free(s->cache);
    pins_free(s->pins);
    clients_free(s->clients);
    audit_close(s->audit, KAFKA_DRAIN_MS);
    free(s->witness);
    audit_payload_close(s->payload);
    server_setup_done(s, s->setup);
    limits_close(s->limits);
    proxy_store_close(s->store);
    metrics_names_free(s->target_names);
    gw_energy_close(s->energy);
    explicit_bzero(s->hmac_key, sizeof(s->hmac_key));
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
