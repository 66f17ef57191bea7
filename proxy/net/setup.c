/* proxy/net/setup.c - opens and closes what a configuration needs. On the thread that starts or reloads the server. */
#include "proxy/net/setup.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/identity/identity.h"
#include "proxy/net/health.h"
#include "proxy/net/metrics.h"
#include "proxy/net/setup_model.h"
#include "proxy/net/setup_private.h"
#include "proxy/provider/provider_token.h"
#include "proxy/tls/ca.h"
#include "proxy/tls/tls.h"

enum { TOKEN_WAIT_MS = 5000 };

/* ---- targets ---------------------------------------------------------------------------- */

static bool needs_tls(const struct proxy_config_target *t)
{
    bool any = false;

    for (unsigned i = 0; i < t->endpoints.n; i++)
        any |= t->endpoints.items[i].tls;
    return any;
}

/* Targets that trust the same file share one context. */
static enum gw_status open_target_tls(struct setup *s, unsigned i, struct gw_err *err)
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

static enum gw_status open_model(struct setup *s, const struct setup *like, unsigned i,
                                 bool progress, struct gw_err *err)
{
    const struct proxy_config_target *t = &s->cfg->targets[i];

    for (unsigned k = 0; like != NULL && s->models[i] == NULL && k < like->cfg->n_targets; k++)
        if (setup_model_suits(like->models[k], t))
            s->models[i] = setup_model_ref(like->models[k]);
    if (s->models[i] == NULL)
        GW_TRY(setup_model_open(t, s->cfg, progress, &s->models[i], err));
    s->engines[i] = s->models[i]->engine;
    s->embedders[i] = s->models[i]->embedder;
    return GW_OK;
}

static enum gw_status open_targets(struct setup *s, const struct setup *like, bool progress,
                                   struct gw_err *err)
{
    unsigned n = s->cfg->n_targets;

    s->models = calloc(n + 1, sizeof(struct setup_model *));
    s->engines = calloc(n + 1, sizeof(struct engine *));
    s->embedders = calloc(n + 1, sizeof(struct engine_embedder *));
    s->target_tls = calloc(n + 1, sizeof(struct ssl_ctx_st *));
    s->slots = calloc(n + 1, 1);
    if (s->slots == NULL || s->models == NULL || s->engines == NULL || s->embedders == NULL ||
        s->target_tls == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < n; i++) {
        if (s->cfg->targets[i].kind == PROXY_TARGET_ENGINE)
            GW_TRY(open_model(s, like, i, progress, err));
        else if (needs_tls(&s->cfg->targets[i]))
            GW_TRY(open_target_tls(s, i, err));
    }
    s->health = health_new(s->cfg, like == NULL ? NULL : like->health);
    if (s->health == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    GW_TRY(provider_tokens_open(s->cfg, like == NULL ? NULL : like->tokens, &s->tokens, err));
    if (like !=
        NULL) /* a new target must not be asked before it has a token; one that gets none is as at a start */
        provider_tokens_wait(s->tokens, TOKEN_WAIT_MS);
    return GW_OK;
}

static enum gw_status open_tls(struct setup *s, struct gw_err *err)
{
    if (s->cfg->listen.tls_cert[0] != '\0')
        GW_TRY(
            tls_server_ctx(s->cfg->listen.tls_cert, s->cfg->listen.tls_key, &s->listen_tls, err));
    if (s->listen_tls != NULL && s->cfg->listen.clients != PROXY_CLIENTS_NONE)
        GW_TRY(tls_server_clients(s->listen_tls, s->cfg->listen.client_ca,
                                  s->cfg->listen.client_crl,
                                  s->cfg->listen.clients == PROXY_CLIENTS_REQUIRED, err));
    if (s->cfg->listen.proxy.off)
        return GW_OK;
    GW_TRY(tls_client_ctx(s->cfg->intercept.upstream_ca, &s->intercept_tls, err));
    return leaf_mint_open(s->cfg->intercept.ca_dir, &s->mint, err);
}

/* ---- life ------------------------------------------------------------------------------- */

static struct setup *setup_new(unsigned n_workers)
{
    struct setup *s = calloc(1, sizeof(*s));
    size_t bytes = n_workers * sizeof(struct setup_seat);

    if (s == NULL)
        return NULL;
    s->seats = aligned_alloc(_Alignof(struct setup_seat), bytes);
    if (s->seats == NULL) {
        free(s);
        return NULL;
    }
    memset(s->seats, 0, bytes);
    s->n_seats = n_workers;
    s->serial = 1;
    atomic_init(&s->refs, 1);
    return s;
}

static void close_targets(struct setup *s)
{
    provider_tokens_close(s->tokens);
    health_free(s->health);
    for (unsigned i = 0; i < s->cfg->n_targets; i++) {
        bool shared = false;

        if (s->models != NULL)
            setup_model_unref(s->models[i]);
        for (unsigned k = 0; s->target_tls != NULL && k < i; k++)
            shared |= s->target_tls[k] == s->target_tls[i];
        if (s->target_tls != NULL && !shared)
            tls_ctx_free(s->target_tls[i]);
    }
    free(s->models);
    free(s->engines);
    free(s->embedders);
    free(s->target_tls);
    free(s->slots);
}

static void setup_close_but_config(struct setup *s)
{
    close_targets(s);
    identity_close(s->identity);
    leaf_mint_close(s->mint);
    tls_ctx_free(s->intercept_tls);
    tls_ctx_free(s->listen_tls);
    dlp_rules_unref(s->rules);
    free(s->seats);
    free(s);
}

enum gw_status setup_open(struct proxy_config *cfg, const struct setup *like, unsigned n_workers,
                          bool progress, struct setup **out, struct gw_err *err)
{
    struct setup *s = setup_new(n_workers);
    enum gw_status st;

    if (s == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    s->cfg = cfg;
    if (like != NULL)
        s->serial = like->serial + 1;
    st = setup_open_rules(s, like, err);
    if (st == GW_OK)
        st = open_tls(s, err);
    if (st == GW_OK)
        st = identity_open(cfg, like == NULL ? NULL : like->identity, &s->identity, err);
    if (st == GW_OK)
        st = open_targets(s, like, progress, err);
    if (st != GW_OK) {
        setup_close_but_config(s);
        return st;
    }
    *out = s;
    return GW_OK;
}

void setup_name_targets(struct setup *s, struct metrics_names *names)
{
    for (unsigned i = 0; i < s->cfg->n_targets; i++)
        s->slots[i] = (unsigned char)metrics_name(names, s->cfg->targets[i].name);
}

const char *setup_model_digest(const struct setup *s, unsigned target)
{
    return s->models[target] == NULL ? "" : s->models[target]->digest;
}

void setup_models_text(const struct setup *s, struct gw_buf *out)
{
    for (unsigned i = 0; i < s->cfg->n_targets; i++) {
        const struct model_manifest *m = setup_model_manifest(s, i);
        const bool is_signed = m->digest[0] != '\0';

        if (s->models[i] != NULL)
            gw_buf_printf(out, "%s%s %s %s %s", out->len == 0 ? "" : "\n", s->cfg->targets[i].name,
                          s->models[i]->digest, is_signed ? m->digest : "-",
                          is_signed ? m->signer : "-");
    }
}

const struct model_manifest *setup_model_manifest(const struct setup *s, unsigned target)
{
    static const struct model_manifest none = {.digest = ""};

    return s->models[target] == NULL ? &none : &s->models[target]->manifest;
}

struct setup *setup_ref(struct setup *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

bool setup_unref(struct setup *s)
{
    return s != NULL && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1;
}

void setup_close(struct setup *s)
{
    struct proxy_config *cfg;

    if (s == NULL)
        return;
    cfg = s->cfg;
    setup_close_but_config(s);
    proxy_config_free(cfg);
}
