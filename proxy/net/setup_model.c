/* proxy/net/setup_model.c - see setup_model.h. */
#include "proxy/net/setup_model.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "proxy/cli.h"
#include "proxy/net/model_digest.h"

static void on_load(void *ctx, uint64_t done, uint64_t total)
{
    cli_progress(ctx, done, total);
}

/* Targets that no file names have no keys. */
static const char *device_of(const struct proxy_config_target *t)
{
    return t->device != NULL ? t->device : "auto";
}

/* What it costs that a GPU has no room for all of a model, and what would change that. */
static void log_cost(const struct setup_model *m, const struct proxy_config_target *t)
{
    struct engine_device d;

    engine_device(m->engine, &d);
    if (d.cost.host_layers != 0)
        gw_log(
            GW_LOG_WARN, "layers_on_cpu",
            "target=%s layers=%u of=%u layer_us=%.1f gpu_layer_us=%.1f token_ms=%.2f "
            "advice=\"fewer bits a weight, an int4 kv, a smaller max_context or one more GPU bring "
            "them to the GPU\"",
            t->name, d.cost.host_layers, d.cost.host_layers + d.n_layers, 1e6 * d.cost.host_layer_s,
            1e6 * d.cost.gpu_layer_s,
            1e3 * (d.cost.host_layers * d.cost.host_layer_s + d.n_layers * d.cost.gpu_layer_s));
    if (d.cost.host_kv_tokens != 0)
        gw_log(
            GW_LOG_WARN, "kv_on_host",
            "target=%s tokens=%u us_per_1k=%.1f gpu_us_per_1k=%.1f advice=\"contexts that the GPU "
            "has no room for are read over the bus: an int4 kv, a smaller max_context or one "
            "more GPU avoid it\"",
            t->name, d.cost.host_kv_tokens, 1e9 * d.cost.host_kv_s, 1e9 * d.cost.gpu_kv_s);
}

static enum gw_status open_engine(struct setup_model *m, const struct proxy_config_target *t,
                                  bool progress, struct gw_err *err)
{
    char label[96];
    struct engine_adapter adapters[ENGINE_MAX_ADAPTERS];
    const struct engine_config cfg = {
        .model_path = t->model,
        .draft_path = t->draft[0] == '\0' ? NULL : t->draft,
        .medusa_path = t->medusa[0] == '\0' ? NULL : t->medusa,
        .adapters = adapters,
        .n_adapters = t->adapters.n,
        .threads = t->threads,
        .max_context = t->max_context,
        .max_seqs = t->max_seqs,
        .kv = (enum engine_kv)t->kv,
        .prefixes = (enum engine_prefixes)t->prefixes,
        .weights = (enum engine_weights)t->weights,
        .device = device_of(t),
        .split = (enum engine_split)t->split,
        .progress = progress ? on_load : NULL,
        .progress_ctx = label,
    };
    struct engine_info info;

    if (t->adapters.n > ENGINE_MAX_ADAPTERS)
        return gw_fail(err, GW_ELIMIT, "at most %d adapters are possible", ENGINE_MAX_ADAPTERS);
    for (unsigned i = 0; i < t->adapters.n; i++)
        adapters[i] =
            (struct engine_adapter){t->adapters.items[i].from.ptr, t->adapters.items[i].to.ptr};
    (void)snprintf(label, sizeof(label), "loading %s", t->name);
    GW_TRY(engine_open(&cfg, &m->engine, err));
    engine_info(m->engine, &info);
    gw_log(
        GW_LOG_INFO, "model_loaded",
        "target=%s name=\"%s\" arch=%s quant=%s threads=%u context=%u adapters=%u kernels=\"%s\" "
        "device=\"%s\" warning=\"%s\"",
        t->name, info.name, info.arch, info.quant, info.threads, info.max_context, info.n_adapters,
        info.kernels, info.device, info.warning);
    log_cost(m, t);
    return GW_OK;
}

static enum gw_status open_embedder(struct setup_model *m, const struct proxy_config_target *t,
                                    struct gw_err *err)
{
    const struct engine_embed_config cfg = {.model_path = t->model, .threads = t->threads};
    struct engine_embed_info info;

    GW_TRY(engine_embedder_open(&cfg, &m->embedder, err));
    engine_embedder_info(m->embedder, &info);
    gw_log(GW_LOG_INFO, "model_loaded",
           "target=%s name=\"%s\" arch=%s quant=%s threads=%u dimensions=%u kernels=\"%s\"",
           t->name, info.name, info.arch, info.quant, info.threads, info.n_dims, info.kernels);
    return GW_OK;
}

static void print_file(struct gw_buf *out, const char *name, const char *path)
{
    struct stat st = {.st_size = -1};

    (void)stat(path, &st);
    gw_buf_printf(out, "%s\n%s\n%ju %ju %jd %jd.%09ld\n", name, path, (uintmax_t)st.st_dev,
                  (uintmax_t)st.st_ino, (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec,
                  st.st_mtim.tv_nsec);
}

/* The heads' own files: a folder does not look changed when they are. */
static void print_heads(struct gw_buf *out, const char *path)
{
    static const char *const names[] = {"config.json", "medusa_lm_head.safetensors"};
    struct gw_buf file = {0};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        gw_buf_clear(&file);
        gw_buf_printf(&file, "%s/%s", path, names[i]);
        if (gw_buf_ok(&file))
            print_file(out, "", file.ptr);
    }
    gw_buf_fini(&file);
}

/* What tells adapters, draft models and heads apart: names, places, and the files as they are now. NULL: out of memory. */
static char *print_adapters(const struct proxy_config_target *t)
{
    struct gw_buf out = {0};

    gw_buf_adds(&out, "");
    for (unsigned i = 0; i < t->adapters.n; i++)
        print_file(&out, t->adapters.items[i].from.ptr, t->adapters.items[i].to.ptr);
    if (t->draft[0] != '\0')
        print_file(&out, "", t->draft);
    if (t->medusa[0] != '\0')
        print_heads(&out, t->medusa);
    gw_buf_addc(&out, '\0');
    if (gw_buf_ok(&out))
        return out.ptr;
    gw_buf_fini(&out);
    return NULL;
}

static bool has_adapters(const struct setup_model *m, const struct proxy_config_target *t)
{
    char *now = print_adapters(t);
    const bool same = now != NULL && strcmp(now, m->adapters) == 0;

    free(now);
    return same;
}

static bool is_trusted(const struct proxy_config *cfg, const struct model_manifest *m)
{
    for (unsigned i = 0; i < cfg->models.trusted_keys.n; i++)
        if (gw_span_eq_nocase(cfg->models.trusted_keys.items[i], gw_span_str(m->signer)))
            return true;
    return false;
}

/* Who vouches for the file or folder at path. One that is signed by somebody else counts as not signed. */
static enum gw_status check_manifest(const char *path, const char *digest,
                                     const struct proxy_config_target *t,
                                     const struct proxy_config *cfg, struct model_manifest *out,
                                     struct gw_err *err)
{
    struct model_manifest m = {.digest = ""};

    GW_TRY(model_manifest_read(path, digest, &m, err));
    if (is_trusted(cfg, &m)) {
        gw_log(GW_LOG_INFO, "model_signed", "target=%s path=\"%s\" sha256=%s manifest=%s signer=%s",
               t->name, path, digest, m.digest, m.signer);
        *out = m;
        return GW_OK;
    }
    if (cfg->models.require_signed)
        return gw_fail(err, GW_EDENIED,
                       "%s has no manifest that one of models.trusted_keys signed%s%s", path,
                       m.signer[0] == '\0' ? "" : ", but one of ", m.signer);
    /* Who trusts nobody's key has not asked for signatures. */
    gw_log(cfg->models.trusted_keys.n != 0 ? GW_LOG_WARN : GW_LOG_INFO, "model_unsigned",
           "target=%s path=\"%s\" sha256=%s signer=%s", t->name, path, digest,
           m.signer[0] == '\0' ? "-" : m.signer);
    return GW_OK;
}

/* That what belongs to the model may be opened. */
static enum gw_status check_part(const char *path, const struct proxy_config_target *t,
                                 const struct proxy_config *cfg, struct gw_err *err)
{
    char digest[GW_SHA256_HEX_BYTES];
    struct model_manifest m;

    GW_TRY(model_digest(path, cfg->state_dir, digest, err));
    return check_manifest(path, digest, t, cfg, &m, err);
}

/* What the model is, and that it, its adapters and what guesses for it may be opened. */
static enum gw_status identify(struct setup_model *m, const struct proxy_config_target *t,
                               const struct proxy_config *cfg, struct gw_err *err)
{
    GW_TRY(model_digest(t->model, cfg->state_dir, m->digest, err));
    GW_TRY(check_manifest(t->model, m->digest, t, cfg, &m->manifest, err));
    for (unsigned i = 0; i < t->adapters.n; i++)
        GW_TRY(check_part(t->adapters.items[i].to.ptr, t, cfg, err));
    if (t->medusa[0] != '\0')
        GW_TRY(check_part(t->medusa, t, cfg, err));
    return t->draft[0] == '\0' ? GW_OK : check_part(t->draft, t, cfg, err);
}

enum gw_status setup_model_open(const struct proxy_config_target *t, const struct proxy_config *cfg,
                                bool progress, struct setup_model **out, struct gw_err *err)
{
    struct setup_model *m = calloc(1, sizeof(*m));
    enum gw_status st;

    if (m != NULL) {
        m->path = strdup(t->model);
        m->adapters = print_adapters(t);
        m->device = strdup(device_of(t));
    }
    if (m == NULL || m->path == NULL || m->adapters == NULL || m->device == NULL) {
        if (m != NULL) {
            free(m->path);
            free(m->adapters);
            free(m->device);
        }
        free(m);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    atomic_init(&m->refs, 1);
    m->threads = t->threads;
    m->max_context = t->max_context;
    m->max_seqs = t->max_seqs;
    m->kv = t->kv;
    m->prefixes = t->prefixes;
    m->split = t->split;
    m->weights = t->weights;
    /* What cannot be looked at cannot be opened either, and that says why. */
    (void)stat(t->model, &m->file);
    switch (engine_kind(t->model)) {
    case ENGINE_KIND_EMBED:
    case ENGINE_KIND_RERANK:
        st = t->adapters.n != 0 || t->draft[0] != '\0' || t->medusa[0] != '\0' || t->weights != 0
                 ? gw_fail(err, GW_EUNSUPPORTED,
                           "adapters, draft models, Medusa heads and weights fp8 are for chat "
                           "models, which this is not")
                 : open_embedder(m, t, err);
        break;
    case ENGINE_KIND_ADAPTER:
        st = gw_fail(err, GW_EINVAL,
                     "%s is a LoRA adapter: name the model it changes as model:, "
                     "and the adapter below adapters:",
                     t->model);
        break;
    case ENGINE_KIND_MEDUSA:
        st = gw_fail(err, GW_EINVAL,
                     "%s are Medusa heads: name the model they guess for as model:, and the heads "
                     "as medusa:",
                     t->model);
        break;
    case ENGINE_KIND_CHAT:
    default:
        st = open_engine(m, t, progress, err);
    }
    if (st == GW_OK)
        st = identify(m, t, cfg, err);
    if (st != GW_OK) {
        (void)gw_fail_prefix(err, "targets.%s", t->name);
        setup_model_unref(m);
        return st;
    }
    *out = m;
    return GW_OK;
}

bool setup_model_suits(const struct setup_model *m, const struct proxy_config_target *t)
{
    struct stat now;

    return m != NULL && t->kind == PROXY_TARGET_ENGINE && strcmp(m->path, t->model) == 0 &&
           m->threads == t->threads && m->max_context == t->max_context &&
           m->max_seqs == t->max_seqs && m->kv == t->kv && m->prefixes == t->prefixes &&
           m->weights == t->weights && m->split == t->split &&
           strcmp(m->device, device_of(t)) == 0 && stat(t->model, &now) == 0 &&
           now.st_dev == m->file.st_dev && now.st_ino == m->file.st_ino &&
           now.st_size == m->file.st_size && now.st_mtim.tv_sec == m->file.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == m->file.st_mtim.tv_nsec && has_adapters(m, t);
}

struct setup_model *setup_model_ref(struct setup_model *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void setup_model_unref(struct setup_model *m)
{
    if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    engine_close(m->engine);
    engine_embedder_close(m->embedder);
    free(m->path);
    free(m->adapters);
    free(m->device);
    free(m);
}
