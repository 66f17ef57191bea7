/* proxy/net/server.c - makes and unmakes a gateway. Main thread. */
#include "proxy/net/server.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "proxy/cli.h"
#include "proxy/dirs.h"
#include "proxy/net/worker.h"
#include "proxy/provider/provider_token.h"
#include "proxy/store/store.h"
#include "proxy/tls/ca.h"
#include "proxy/tls/tls.h"
#include "proxy/version.h"

enum { KAFKA_DRAIN_MS = 2000 };

/* ---- state ------------------------------------------------------------------------------ */

/* The key behind every HMAC in records and every placeholder: made once per state directory. */
static enum gw_status load_hmac_key(struct server *s, struct gw_err *err)
{
    char path[4096];
    int fd;
    ssize_t n;

    if (snprintf(path, sizeof(path), "%s/hmac.key", s->cfg->state_dir) >= (int)sizeof(path))
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", s->cfg->state_dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, s->hmac_key, sizeof(s->hmac_key));
        (void)close(fd);
        if (n != (ssize_t)sizeof(s->hmac_key))
            return gw_fail(err, GW_ECORRUPT,
                           "%s must hold 32 bytes; restore it, or remove it to start new HMACs",
                           path);
        return GW_OK;
    }
    gw_random(s->hmac_key, sizeof(s->hmac_key));
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return gw_fail(err, GW_EIO, "cannot write %s: %s", path, strerrordesc_np(errno));
    n = write(fd, s->hmac_key, sizeof(s->hmac_key));
    if (fsync(fd) != 0 || n != (ssize_t)sizeof(s->hmac_key)) {
        (void)close(fd);
        return gw_fail(err, GW_EIO, "cannot write %s: %s", path, strerrordesc_np(errno));
    }
    (void)close(fd);
    return GW_OK;
}

/* ---- rules ------------------------------------------------------------------------------ */

static enum gw_status open_rules(struct server *s, struct gw_err *err)
{
    const struct proxy_config_list *list = &s->cfg->dlp.rules;
    const char *paths[64];
    char so[4096];
    struct dlp_build build = {paths, 0, NULL, so};
    enum gw_status st;

    if (list->n == 0 || (list->n == 1 && gw_span_is(list->items[0], "builtin"))) {
        s->rules = dlp_rules_ref(dlp_rules_builtin());
        return GW_OK;
    }
    if (list->n == 1 && gw_span_ends(list->items[0], GW_SPAN(".so")))
        return dlp_rules_load(list->items[0].ptr, &s->rules, err);
    for (unsigned i = 0; i < list->n && build.n_paths < 64; i++)
        paths[build.n_paths++] = list->items[i].ptr;
    if (snprintf(so, sizeof(so), "%s/rules.so", s->cfg->state_dir) >= (int)sizeof(so))
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", s->cfg->state_dir);
    st = dlp_rules_build(&build, err);
    return st == GW_OK ? dlp_rules_load(so, &s->rules, err) : st;
}

/* ---- targets ---------------------------------------------------------------------------- */

static void on_load(void *ctx, uint64_t done, uint64_t total)
{
    cli_progress(ctx, done, total);
}

static enum gw_status open_engine(struct server *s, unsigned i, bool progress, struct gw_err *err)
{
    const struct proxy_config_target *t = &s->cfg->targets[i];
    char label[96];
    const struct engine_config cfg = {
        .model_path = t->model,
        .threads = t->threads,
        .max_context = t->max_context,
        .max_seqs = t->max_seqs,
        .progress = progress ? on_load : NULL,
        .progress_ctx = label,
    };
    struct engine_info info;
    enum gw_status st;

    (void)snprintf(label, sizeof(label), "loading %s", t->name);
    st = engine_open(&cfg, &s->engines[i], err);
    if (st != GW_OK) {
        (void)gw_fail_prefix(err, "targets.%s", t->name);
        return st;
    }
    engine_info(s->engines[i], &info);
    gw_log(GW_LOG_INFO, "model_loaded",
           "target=%s name=\"%s\" arch=%s quant=%s threads=%u context=%u kernels=\"%s\"%s%s",
           t->name, info.name, info.arch, info.quant, info.threads, info.max_context, info.kernels,
           info.warning[0] != '\0' ? " warning=" : "", info.warning);
    return GW_OK;
}

static enum gw_status open_embedder(struct server *s, unsigned i, struct gw_err *err)
{
    const struct proxy_config_target *t = &s->cfg->targets[i];
    const struct engine_embed_config cfg = {.model_path = t->model, .threads = t->threads};
    struct engine_embed_info info;
    enum gw_status st = engine_embedder_open(&cfg, &s->embedders[i], err);

    if (st != GW_OK) {
        (void)gw_fail_prefix(err, "targets.%s", t->name);
        return st;
    }
    engine_embedder_info(s->embedders[i], &info);
    gw_log(GW_LOG_INFO, "model_loaded",
           "target=%s name=\"%s\" arch=%s quant=%s threads=%u dimensions=%u kernels=\"%s\"",
           t->name, info.name, info.arch, info.quant, info.threads, info.n_dims, info.kernels);
    return GW_OK;
}

/* A folder holds an embedding model (safetensors), a file a chat model (GGUF). */
static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Targets that trust the same file share one context. */
static enum gw_status open_target_tls(struct server *s, unsigned i, struct gw_err *err)
{
    const struct proxy_config_target *t = &s->cfg->targets[i];

    for (unsigned k = 0; k < i; k++) {
        if (s->target_tls[k] != NULL && strcmp(s->cfg->targets[k].ca, t->ca) == 0) {
            s->target_tls[i] = s->target_tls[k];
            return GW_OK;
        }
    }
    return tls_client_ctx(t->ca, &s->target_tls[i], err);
}

static enum gw_status open_targets(struct server *s, bool progress, struct gw_err *err)
{
    unsigned n = s->cfg->n_targets;

    s->engines = calloc(n + 1, sizeof(struct engine *));
    s->embedders = calloc(n + 1, sizeof(struct engine_embedder *));
    s->target_tls = calloc(n + 1, sizeof(struct ssl_ctx_st *));
    if (s->engines == NULL || s->embedders == NULL || s->target_tls == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < n; i++) {
        if (s->cfg->targets[i].kind == PROXY_TARGET_ENGINE)
            GW_TRY(is_folder(s->cfg->targets[i].model) ? open_embedder(s, i, err)
                                                       : open_engine(s, i, progress, err));
        else if (s->cfg->targets[i].base_url.tls)
            GW_TRY(open_target_tls(s, i, err));
    }
    return provider_tokens_open(s->cfg, &s->tokens, err);
}

static enum gw_status open_tls(struct server *s, struct gw_err *err)
{
    if (s->cfg->listen.tls_cert[0] != '\0')
        GW_TRY(
            tls_server_ctx(s->cfg->listen.tls_cert, s->cfg->listen.tls_key, &s->listen_tls, err));
    if (s->cfg->listen.proxy.off)
        return GW_OK;
    GW_TRY(tls_client_ctx(s->cfg->intercept.upstream_ca, &s->intercept_tls, err));
    return leaf_mint_open(s->cfg->intercept.ca_dir, &s->mint, err);
}

/* ---- audit ------------------------------------------------------------------------------ */

static enum gw_status open_audit(struct server *s, struct gw_err *err)
{
    const struct proxy_config *c = s->cfg;
    const struct audit_config cfg = {
        .spool_dir = c->audit.spool,
        .instance = c->instance,
        .version = sluice_version(),
        .config_digest = c->digest,
        .rules_digest = dlp_rules_digest(s->rules),
        .durability = (enum audit_durability)c->audit.durability,
        .on_full = (enum audit_on_full)c->audit.on_full,
        .max_spool_bytes = c->audit.max_spool,
        .segment_bytes = c->audit.segment,
        .retain_seconds = (unsigned)(c->audit.retain_ms / 1000),
        .n_channels = c->workers,
        .kafka_brokers = c->audit.kafka_brokers,
        .kafka_topic = c->audit.kafka_topic,
        .kafka_properties = c->audit.kafka_properties,
    };

    GW_TRY(dirs_make(c->audit.spool, err));
    return audit_open(&cfg, &s->audit, err);
}

/* ---- life ------------------------------------------------------------------------------- */

static enum gw_status open_workers(struct server *s, struct gw_err *err)
{
    s->workers = calloc(s->cfg->workers, sizeof(*s->workers));
    if (s->workers == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (; s->n_workers < s->cfg->workers; s->n_workers++)
        GW_TRY(worker_init(&s->workers[s->n_workers], s, s->n_workers, err));
    for (unsigned i = 0; i < s->n_workers; i++)
        GW_TRY(worker_start(&s->workers[i], err));
    return GW_OK;
}

enum gw_status server_open(const struct proxy_config *cfg, bool progress, struct server **out,
                           struct gw_err *err)
{
    struct server *s = calloc(1, sizeof(*s));
    enum gw_status st;

    if (s == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    s->cfg = cfg;
    s->start_ns = gw_clock_ns();
    st = dirs_make(cfg->state_dir, err);
    if (st == GW_OK)
        st = load_hmac_key(s, err);
    if (st == GW_OK)
        st = open_rules(s, err);
    if (st == GW_OK)
        st = proxy_store_open(cfg->auth.keys, &s->store, err);
    if (st == GW_OK)
        st = open_tls(s, err);
    if (st == GW_OK)
        st = open_targets(s, progress, err);
    if (st == GW_OK)
        st = open_audit(s, err);
    if (st == GW_OK)
        st = open_workers(s, err);
    if (st != GW_OK) {
        server_stop(s, 2);
        server_close(s);
        return st;
    }
    *out = s;
    return GW_OK;
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

static void close_targets(struct server *s)
{
    provider_tokens_close(s->tokens);
    for (unsigned i = 0; i < s->cfg->n_targets; i++) {
        bool shared = false;

        if (s->engines != NULL)
            engine_close(s->engines[i]);
        if (s->embedders != NULL)
            engine_embedder_close(s->embedders[i]);
        for (unsigned k = 0; s->target_tls != NULL && k < i; k++)
            shared |= s->target_tls[k] == s->target_tls[i];
        if (s->target_tls != NULL && !shared)
            tls_ctx_free(s->target_tls[i]);
    }
    free(s->engines);
    free(s->embedders);
    free(s->target_tls);
}

void server_close(struct server *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_fini(&s->workers[i]);
    if (s->workers != NULL && s->n_workers < s->cfg->workers)
        worker_fini(&s->workers[s->n_workers]); /* the one whose making failed */
    free(s->workers);
    audit_close(s->audit, KAFKA_DRAIN_MS);
    close_targets(s);
    leaf_mint_close(s->mint);
    tls_ctx_free(s->intercept_tls);
    tls_ctx_free(s->listen_tls);
    proxy_store_close(s->store);
    dlp_rules_unref(s->rules);
    explicit_bzero(s->hmac_key, sizeof(s->hmac_key));
    free(s);
}
