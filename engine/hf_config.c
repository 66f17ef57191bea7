/* engine/hf_config.c - config.json: family, sizes, ropes and quantization. See hf_private.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/hf_private.h"

static const struct hf_family families[] = {
    {"llama", "llama", true, false, false, false},
    {"mistral", "llama", true, false, false, false},
    {"qwen2", "qwen2", false, false, false, false},
    {"qwen3", "qwen3", false, false, false, false},
    {"phi3", "phi3", false, false, false, true},
    {"gemma2", "gemma2", false, true, true, false},
    {"gemma3_text", "gemma3", false, true, true, false},
};

static enum gw_status find_family(struct hf *h)
{
    const struct gw_json_node *type = gw_json_get(h->config.root, "model_type");

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (gw_json_text_is(type, families[i].model_type)) {
            h->family = &families[i];
            return GW_OK;
        }
    }
    return gw_fail(h->err, GW_EUNSUPPORTED,
                   "config.json: this model_type is not built in; llama, mistral, qwen2, qwen3, "
                   "phi3, gemma2 and gemma3_text are (others as GGUF files)");
}

/* A number from 1 to 2^24; 0 for otherwise: it must be there. */
static enum gw_status size_of(struct hf *h, const char *name, unsigned otherwise, unsigned *out)
{
    const double v = hf_number(h->config.root, name, otherwise);

    if (!(v >= 1 && v <= 1 << 24) || v != floor(v))
        return gw_fail(h->err, GW_EPARSE, "config.json: %s is not a number from 1 to %d", name,
                       1 << 24);
    *out = (unsigned)v;
    return GW_OK;
}

static const char *key(const struct hf *h, char buf[96], const char *suffix)
{
    (void)snprintf(buf, 96, "%s.%s", h->family->arch, suffix);
    return buf;
}

static void put_u32(struct hf *h, const char *suffix, unsigned v)
{
    char buf[96];

    gguf_write_u32(&h->w, key(h, buf, suffix), v);
}

static void put_f32(struct hf *h, const char *suffix, double v)
{
    char buf[96];

    gguf_write_f32(&h->w, key(h, buf, suffix), (float)v);
}

/* A number of config.json under another name, when it is there. */
static void copy_number(struct hf *h, const char *from, const char *to, bool whole)
{
    const double v = hf_number(h->config.root, from, NAN);

    if (isnan(v) || v < 0 || v > 1e9)
        return;
    if (whole)
        put_u32(h, to, (unsigned)v);
    else
        put_f32(h, to, v);
}

static enum gw_status read_sizes(struct hf *h)
{
    unsigned context = 0;

    GW_TRY(size_of(h, "num_hidden_layers", 0, &h->layers));
    if (h->layers > HF_MAX_LAYERS)
        return gw_fail(h->err, GW_ELIMIT, "config.json: more than %d layers", HF_MAX_LAYERS);
    GW_TRY(size_of(h, "hidden_size", 0, &h->embd));
    GW_TRY(size_of(h, "intermediate_size", 0, &h->ff));
    GW_TRY(size_of(h, "num_attention_heads", 0, &h->heads));
    GW_TRY(size_of(h, "num_key_value_heads", h->heads, &h->kv_heads));
    GW_TRY(size_of(h, "head_dim", h->embd / h->heads, &h->head_dim));
    GW_TRY(size_of(h, "vocab_size", 0, &h->vocab));
    GW_TRY(size_of(h, "max_position_embeddings", 0, &context));
    put_u32(h, "block_count", h->layers);
    put_u32(h, "embedding_length", h->embd);
    put_u32(h, "feed_forward_length", h->ff);
    put_u32(h, "attention.head_count", h->heads);
    put_u32(h, "attention.head_count_kv", h->kv_heads);
    put_u32(h, "attention.key_length", h->head_dim);
    put_u32(h, "attention.value_length", h->head_dim);
    put_u32(h, "rope.dimension_count", h->head_dim);
    put_u32(h, "vocab_size", h->vocab);
    put_u32(h, "context_length", context);
    put_f32(h, "attention.layer_norm_rms_epsilon", hf_number(h->config.root, "rms_norm_eps", 1e-6));
    return GW_OK;
}

/* Llama 3.1: slow pairs are divided by factor, fast ones kept, those between by something between. */
static enum gw_status llama3_factors(struct hf *h, const struct gw_json_node *scaling, double base)
{
    const double factor = hf_number(scaling, "factor", 8);
    const double low = hf_number(scaling, "low_freq_factor", 1);
    const double high = hf_number(scaling, "high_freq_factor", 4);
    const double context = hf_number(scaling, "original_max_position_embeddings", 8192);
    const unsigned half = h->head_dim / 2;

    if (!(factor > 0 && low > 0 && high > low && context > 0))
        return gw_fail(h->err, GW_EPARSE, "config.json: rope_scaling has impossible factors");
    h->rope_factors = calloc(half + 1, sizeof(*h->rope_factors));
    if (h->rope_factors == NULL)
        return gw_fail(h->err, GW_ENOMEM, "out of memory for the model");
    for (unsigned i = 0; i < half; i++) {
        const double turns =
            context * pow(base, -2.0 * (double)i / (double)h->head_dim) / (2 * M_PI);
        const double kept = fmin(1, fmax(0, (turns - low) / (high - low)));

        h->rope_factors[i] = (float)(1 / ((1 - kept) / factor + kept));
    }
    return GW_OK;
}

static enum gw_status read_ropes(struct hf *h)
{
    const struct gw_json_node *scaling = gw_json_get(h->config.root, "rope_scaling");
    const struct gw_json_node *type = gw_json_get(scaling, "rope_type");
    const double base = hf_number(h->config.root, "rope_theta", 10000);
    char buf[96];

    put_f32(h, "rope.freq_base", base);
    copy_number(h, "rope_local_base_freq", "rope.freq_base_swa", false);
    if (type == NULL)
        type = gw_json_get(scaling, "type");
    if (type == NULL || gw_json_text_is(type, "default"))
        return GW_OK;
    if (gw_json_text_is(type, "llama3"))
        return llama3_factors(h, scaling, base);
    if (!gw_json_text_is(type, "linear") && !gw_json_text_is(type, "yarn"))
        return gw_fail(h->err, GW_EUNSUPPORTED,
                       "config.json: this rope_scaling is not built in; llama3, linear and yarn "
                       "are");
    gguf_write_str(&h->w, key(h, buf, "rope.scaling.type"), type->raw);
    put_f32(h, "rope.scaling.factor", hf_number(scaling, "factor", 1));
    if (gw_json_get(scaling, "original_max_position_embeddings") != NULL)
        put_u32(
            h, "rope.scaling.original_context_length",
            (unsigned)gw_json_uint(gw_json_get(scaling, "original_max_position_embeddings"), 0));
    return GW_OK;
}

static enum gw_status unsupported(struct hf *h, const char *what)
{
    return gw_fail(h->err, GW_EUNSUPPORTED, "config.json: quantization_config: %s", what);
}

static enum gw_status read_block(struct hf *h, const struct gw_json_node *q)
{
    const struct gw_json_node *size = gw_json_get(q, "weight_block_size");

    h->quant = HF_FP8;
    if (!gw_json_is(size, GW_JSON_ARRAY_BEGIN) || size->n != 2)
        return GW_OK;
    h->block[0] = (unsigned)gw_json_uint(size->child, 0);
    h->block[1] = (unsigned)gw_json_uint(size->child->next, 0);
    if (h->block[0] == 0 || h->block[0] > 65536 || h->block[1] == 0 || h->block[1] > 65536)
        return gw_fail(h->err, GW_EPARSE, "config.json: weight_block_size is impossible");
    return GW_OK;
}

static enum gw_status read_quantization(struct hf *h)
{
    const struct gw_json_node *q = gw_json_get(h->config.root, "quantization_config");
    const struct gw_json_node *method = gw_json_get(q, "quant_method");
    const double group = hf_number(q, "group_size", 128);

    if (!gw_json_is(q, GW_JSON_OBJECT_BEGIN))
        return GW_OK;
    if (gw_json_text_is(method, "fp8"))
        return read_block(h, q);
    if (gw_json_text_is(method, "gptq"))
        h->quant = HF_GPTQ;
    else if (gw_json_text_is(method, "awq"))
        h->quant = HF_AWQ;
    else
        return unsupported(h, "this quant_method is not built in; gptq, awq and fp8 are");
    if (hf_number(q, "bits", 4) != 4)
        return unsupported(h, "bits other than 4 are not built in");
    if (h->quant == HF_AWQ && gw_json_get(q, "version") != NULL &&
        !gw_json_text_is(gw_json_get(q, "version"), "gemm") &&
        !gw_json_text_is(gw_json_get(q, "version"), "GEMM"))
        return unsupported(h, "AWQ versions other than gemm are not built in");
    if (group != -1 && !(group >= 1 && group <= 1 << 20 && group == floor(group)))
        return unsupported(h, "group_size is impossible");
    h->group = group == -1 ? 0 : (unsigned)group;
    h->zero_is_stored = gw_json_text_is(gw_json_get(q, "checkpoint_format"), "gptq_v2");
    return GW_OK;
}

enum gw_status hf_read_config(struct hf *h)
{
    double scalar;

    GW_TRY(find_family(h));
    gguf_write_str(&h->w, "general.architecture", gw_span_str(h->family->arch));
    GW_TRY(read_sizes(h));
    GW_TRY(read_ropes(h));
    copy_number(h, "attn_logit_softcapping", "attn_logit_softcapping", false);
    copy_number(h, "final_logit_softcapping", "final_logit_softcapping", false);
    copy_number(h, "sliding_window_pattern", "attention.sliding_window_pattern", true);
    if (!gw_json_is(gw_json_get(h->config.root, "use_sliding_window"), GW_JSON_FALSE))
        copy_number(h, "sliding_window", "attention.sliding_window", true);
    scalar = hf_number(h->config.root, "query_pre_attn_scalar", 0);
    if (scalar > 0)
        put_f32(h, "attention.scale", 1 / sqrt(scalar));
    return read_quantization(h);
}
