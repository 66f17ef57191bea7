/* engine/model_family.c - what the families compute differently: activation, caps, scales, windows, experts.
 * Keys of the file decide where there are some. Pure; any thread. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/model_private.h"

static const struct model_family families[] = {
    {.arch = "llama", .rope = KERN_ROPE_NORM, .experts = true, .windows = true},
    {.arch = "qwen2", .rope = KERN_ROPE_NEOX, .bias = true},
    {.arch = "qwen3", .rope = KERN_ROPE_NEOX, .head_norms = true},
    {.arch = "qwen3moe", .rope = KERN_ROPE_NEOX, .head_norms = true, .experts = true},
    {.arch = "phi3", .rope = KERN_ROPE_NEOX, .windows = true},
    {.arch = "gemma2",
     .rope = KERN_ROPE_NEOX,
     .post_norms = true,
     .gelu = true,
     .embed_sqrt = true,
     .windows = true,
     .local_every = 2,
     .attn_cap = 50,
     .logit_cap = 30,
     .wide_layers = 46},
    {.arch = "gemma3",
     .rope = KERN_ROPE_NEOX,
     .head_norms = true,
     .post_norms = true,
     .gelu = true,
     .embed_sqrt = true,
     .windows = true,
     .local_every = 6,
     .local_base = 10000,
     .wide_layers = 62},
};

const struct model_family *model_family(const char *arch)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strcmp(families[i].arch, arch) == 0)
            return &families[i];
    return NULL;
}

const char *model_family_names(void)
{
    return "llama, qwen2, qwen3, qwen3moe, phi3, gemma2, gemma3";
}

/* Refuses a feature that would change the result and is not built in: the key is there and not 0. */
static enum gw_status refuse(struct model_reader *r, const char *suffix)
{
    uint64_t v = 0;
    double f = 0;

    if (!gguf_has(r->g, model_key(r, suffix)))
        return GW_OK;
    if (gguf_uint_at(r->g, r->key, 0, UINT64_MAX, &v, NULL) == GW_OK && v == 0)
        return GW_OK;
    if (gguf_float(r->g, r->key, &f, NULL) == GW_OK && f == 0)
        return GW_OK;
    return gw_fail(r->err, GW_EUNSUPPORTED, "this model uses %s, which is not built in", r->key);
}

static enum gw_status refuse_features(struct model_reader *r)
{
    static const char *const unsupported[] = {"embedding_scale",     "residual_scale",
                                              "logit_scale",         "attention.max_alibi_bias",
                                              "attention.clamp_kqv", "expert_shared_count",
                                              "expert_group_count",  "leading_dense_block_count",
                                              "nextn_predict_layers"};

    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
        GW_TRY(refuse(r, unsupported[i]));
    if (!r->family->experts)
        GW_TRY(refuse(r, "expert_count"));
    return GW_OK;
}

/* A number from 0 to 1e6 that is a float. */
static enum gw_status read_factor(struct model_reader *r, const char *suffix, float otherwise,
                                  float *out)
{
    double v = 0;

    GW_TRY(model_maybe_float(r, suffix, (double)otherwise, &v));
    if (!(v >= 0 && v <= 1e6))
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is not from 0 to 1,000,000", r->key);
    *out = (float)v;
    return GW_OK;
}

/* Experts that are chosen by softmax over all of them; their weights are then made to sum to 1. */
static enum gw_status read_experts(struct model_reader *r)
{
    struct model *m = r->m;
    uint64_t n = 0, gating = 0;
    double scale = 1;

    if (!r->family->experts || !gguf_has(r->g, model_key(r, "expert_count")))
        return GW_OK;
    GW_TRY(gguf_uint(r->g, r->key, MODEL_MAX_EXPERTS, &n, r->err));
    if (n == 0)
        return GW_OK;
    m->n_experts = (unsigned)n;
    GW_TRY(model_need(r, "expert_used_count", m->n_experts, &m->n_used));
    if (m->n_used > MODEL_MAX_USED)
        return gw_fail(r->err, GW_ELIMIT, "GGUF: %s is %u, at most %d are built in", r->key,
                       m->n_used, MODEL_MAX_USED);
    if (gguf_has(r->g, model_key(r, "expert_gating_func")))
        GW_TRY(gguf_uint(r->g, r->key, UINT32_MAX, &gating, r->err));
    if (gating > 1)
        return gw_fail(r->err, GW_EUNSUPPORTED, "%s %llu is not built in, 1 (softmax) is", r->key,
                       (unsigned long long)gating);
    GW_TRY(model_maybe_float(r, "expert_weights_scale", 1, &scale));
    if (scale != 1 && scale != 0)
        return gw_fail(r->err, GW_EUNSUPPORTED, "%s other than 1 is not built in", r->key);
    return GW_OK;
}

enum gw_status model_read_features(struct model_reader *r)
{
    const struct model_family *f = r->family;
    struct model *m = r->m;
    const unsigned width =
        f->wide_layers != 0 && m->n_layers == f->wide_layers ? m->n_embd / m->n_heads : m->head_dim;

    GW_TRY(refuse_features(r));
    m->gelu = f->gelu;
    m->embed_scale = f->embed_sqrt ? sqrtf((float)m->n_embd) : 1;
    GW_TRY(read_factor(r, "attention.scale", 0, &m->attn_scale));
    if (m->attn_scale == 0)
        m->attn_scale = 1.0f / sqrtf((float)width);
    GW_TRY(read_factor(r, "attn_logit_softcapping", f->attn_cap, &m->attn_cap));
    GW_TRY(read_factor(r, "final_logit_softcapping", f->logit_cap, &m->logit_cap));
    return read_experts(r);
}

/* Does layer i see a window only? pattern: NULL, or the file's word for each layer. */
static bool is_local(unsigned i, const struct gguf_array *pattern, unsigned every)
{
    if (pattern != NULL)
        return i < pattern->n && gguf_array_bool(pattern, i);
    return every == 0 || i % every < every - 1;
}

enum gw_status model_read_windows(struct model_reader *r)
{
    struct model *m = r->m;
    struct gguf_array pattern = {.n = 0};
    unsigned every = r->family->local_every;
    uint64_t window = 0;
    bool listed;

    if (!gguf_has(r->g, model_key(r, "attention.sliding_window")))
        return GW_OK;
    GW_TRY(gguf_uint_at(r->g, r->key, 0, UINT32_MAX, &window, r->err));
    if (window == 0)
        return GW_OK;
    if (!r->family->windows) {
        if (window < m->max_context) {
            m->max_context = (unsigned)window;
            (void)snprintf(m->warning, sizeof(m->warning),
                           "context limited to the model's attention window of %u tokens",
                           m->max_context);
        }
        return GW_OK;
    }
    (void)model_key(r, "attention.sliding_window_pattern");
    listed = gguf_array(r->g, r->key, GGUF_BOOL, &pattern, NULL) == GW_OK;
    if (!listed)
        GW_TRY(model_maybe(r, "attention.sliding_window_pattern", MODEL_MAX_LAYERS, every, &every));
    for (unsigned i = 0; i < m->n_layers; i++) {
        if (!is_local(i, listed ? &pattern : NULL, every))
            continue;
        m->layers[i].window = (unsigned)window;
        m->layers[i].rope = r->family->local_base != 0;
    }
    return GW_OK;
}
