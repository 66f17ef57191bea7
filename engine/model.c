/* engine/model.c - hyper-parameters: read, bounded, checked against each other. See model.h. */
#include "engine/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hugemem.h"
#include "engine/model_private.h"

/* Larger than any model that exists, small enough that no product of two overflows. */
enum {
    MAX_VOCAB = 1 << 20,
    MAX_LAYERS = 1024,
    MAX_EMBD = 1 << 15,
    MAX_FF = 1 << 18,
    MAX_HEADS = 1024,
    MAX_HEAD_VALUES = 1 << 16, /* heads * head_dim */
    MAX_CONTEXT = 1 << 24
};

struct reader {
    struct model *m;
    const struct gguf *g;
    struct gw_err *err;
    char key[96];
};

/* The file's key "ARCH.suffix". */
static const char *key(struct reader *r, const char *suffix)
{
    (void)snprintf(r->key, sizeof(r->key), "%s.%s", r->m->arch, suffix);
    return r->key;
}

/* Reads a required number from 1 to max. */
static enum gw_status need(struct reader *r, const char *suffix, unsigned max, unsigned *out)
{
    uint64_t v = 0;

    GW_TRY(gguf_uint_at(r->g, key(r, suffix), 0, max, &v, r->err));
    if (v == 0)
        return gw_fail(r->err, GW_EPARSE, "GGUF: key %s is 0", r->key);
    *out = (unsigned)v;
    return GW_OK;
}

/* The same with a value for when it is missing. */
static enum gw_status maybe(struct reader *r, const char *suffix, unsigned max, unsigned otherwise,
                            unsigned *out)
{
    *out = otherwise;
    if (!gguf_has(r->g, key(r, suffix)))
        return GW_OK;
    return need(r, suffix, max, out);
}

static enum gw_status maybe_float(struct reader *r, const char *suffix, double otherwise,
                                  double *out)
{
    *out = otherwise;
    if (!gguf_has(r->g, key(r, suffix)))
        return GW_OK;
    return gguf_float(r->g, r->key, out, r->err);
}

/* Refuses a feature that would change the result and is not built in: the key is there and not 0. */
static enum gw_status refuse(struct reader *r, const char *suffix)
{
    uint64_t v = 0;
    double f = 0;

    if (!gguf_has(r->g, key(r, suffix)))
        return GW_OK;
    if (gguf_uint_at(r->g, r->key, 0, UINT64_MAX, &v, NULL) == GW_OK && v == 0)
        return GW_OK;
    if (gguf_float(r->g, r->key, &f, NULL) == GW_OK && f == 0)
        return GW_OK;
    return gw_fail(r->err, GW_EUNSUPPORTED, "this model uses %s, which is not built in", r->key);
}

/* Copies text from the file for people: what is not printable ASCII becomes '?'. */
static void copy_printable(char *out, size_t size, struct gw_span s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.ptr[i] >= 0x20 && s.ptr[i] < 0x7F ? s.ptr[i] : '?');
    out[n] = '\0';
}

static enum gw_status read_family(struct reader *r)
{
    struct gw_span arch = {NULL, 0}, name = {NULL, 0};
    struct model *m = r->m;

    GW_TRY(gguf_str(r->g, "general.architecture", &arch, r->err));
    copy_printable(m->arch, sizeof(m->arch), arch);
    if (strcmp(m->arch, "llama") == 0)
        m->rope = KERN_ROPE_NORM;
    else if (strcmp(m->arch, "qwen2") == 0 || strcmp(m->arch, "qwen3") == 0)
        m->rope = KERN_ROPE_NEOX;
    else
        return gw_fail(r->err, GW_EUNSUPPORTED,
                       "architecture %s is not built in; llama, qwen2, qwen3 are", m->arch);
    if (gguf_str(r->g, "general.name", &name, NULL) == GW_OK)
        copy_printable(m->name, sizeof(m->name), name);
    else
        copy_printable(m->name, sizeof(m->name), arch);
    return GW_OK;
}

/* Every layer must have as many KV heads as the first. */
static enum gw_status check_kv_heads(struct reader *r)
{
    if (!gguf_has(r->g, key(r, "attention.head_count_kv")))
        return GW_OK;
    for (unsigned i = 1; i < r->m->n_layers; i++) {
        uint64_t n = 0;

        GW_TRY(gguf_uint_at(r->g, r->key, i, MAX_HEADS, &n, r->err));
        if (n != r->m->n_kv_heads)
            return gw_fail(r->err, GW_EUNSUPPORTED,
                           "layers with different numbers of KV heads are not built in");
    }
    return GW_OK;
}

static enum gw_status read_heads(struct reader *r)
{
    struct model *m = r->m;

    GW_TRY(need(r, "attention.head_count", MAX_HEADS, &m->n_heads));
    GW_TRY(maybe(r, "attention.head_count_kv", MAX_HEADS, m->n_heads, &m->n_kv_heads));
    if (m->n_heads % m->n_kv_heads != 0)
        return gw_fail(r->err, GW_EPARSE, "GGUF: %u heads cannot share %u KV heads", m->n_heads,
                       m->n_kv_heads);
    return check_kv_heads(r);
}

static enum gw_status read_head_dim(struct reader *r)
{
    struct model *m = r->m;
    unsigned value_length = 0;

    GW_TRY(
        maybe(r, "attention.key_length", KERN_MAX_HEAD_DIM, m->n_embd / m->n_heads, &m->head_dim));
    GW_TRY(maybe(r, "attention.value_length", KERN_MAX_HEAD_DIM, m->head_dim, &value_length));
    if (value_length != m->head_dim)
        return gw_fail(r->err, GW_EUNSUPPORTED,
                       "keys of %u and values of %u numbers are not built in", m->head_dim,
                       value_length);
    if (m->head_dim == 0 || m->head_dim > KERN_MAX_HEAD_DIM ||
        m->n_heads * m->head_dim > MAX_HEAD_VALUES)
        return gw_fail(r->err, GW_ELIMIT, "%u heads of %u numbers are more than is built in",
                       m->n_heads, m->head_dim);
    GW_TRY(maybe(r, "rope.dimension_count", m->head_dim, m->head_dim, &m->n_rot));
    if (m->n_rot % 2 != 0)
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is odd", r->key);
    return GW_OK;
}

/* The factors of rope_freqs.weight (Llama 3.1): each divides its frequency. */
static enum gw_status apply_rope_factors(struct reader *r)
{
    const struct gguf_tensor *t = gguf_tensor(r->g, "rope_freqs.weight");
    unsigned n = r->m->n_rot / 2;

    if (t == NULL)
        return GW_OK;
    if (t->type != KERN_TYPE_F32 || t->n_dims != 1 || t->dims[0] != n)
        return gw_fail(r->err, GW_EPARSE, "GGUF: rope_freqs.weight must be %u F32 values", n);
    for (unsigned i = 0; i < n; i++) {
        float f;

        memcpy(&f, (const char *)t->data + i * sizeof(f), sizeof(f));
        if (!(f > 0) || !isfinite(f))
            return gw_fail(r->err, GW_EPARSE, "GGUF: rope_freqs.weight[%u] is not above 0", i);
        r->m->rope_freqs[i] /= (double)f;
    }
    return GW_OK;
}

static enum gw_status read_rope(struct reader *r)
{
    struct model *m = r->m;
    struct gw_span scaling = {NULL, 0};
    double base = 0, factor = 1;

    GW_TRY(maybe_float(r, "rope.freq_base", 10000.0, &base));
    if (base < 1)
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is below 1", r->key);
    if (gguf_has(r->g, key(r, "rope.scaling.type")))
        GW_TRY(gguf_str(r->g, r->key, &scaling, r->err));
    if (gw_span_is(scaling, "linear")) {
        GW_TRY(maybe_float(r, "rope.scaling.factor", 1, &factor));
        if (!(factor > 0))
            return gw_fail(r->err, GW_EPARSE, "GGUF: %s is not above 0", r->key);
    } else if (scaling.len != 0 && !gw_span_is(scaling, "none")) {
        return gw_fail(r->err, GW_EUNSUPPORTED,
                       "this model's %s is not built in; none and linear are", r->key);
    }
    m->rope_freqs = calloc(m->n_rot / 2, sizeof(*m->rope_freqs));
    if (m->rope_freqs == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory for the model");
    for (unsigned i = 0; i < m->n_rot / 2; i++)
        m->rope_freqs[i] = pow(base, -2.0 * (double)i / (double)m->n_rot) / factor;
    return apply_rope_factors(r);
}

/* A window of w tokens changes nothing while a context is no longer than w. */
static enum gw_status read_window(struct reader *r)
{
    struct model *m = r->m;
    uint64_t window = 0;

    if (!gguf_has(r->g, key(r, "attention.sliding_window")))
        return GW_OK;
    GW_TRY(gguf_uint_at(r->g, r->key, 0, UINT32_MAX, &window, r->err));
    if (window != 0 && window < m->max_context) {
        m->max_context = (unsigned)window;
        (void)snprintf(m->warning, sizeof(m->warning),
                       "context limited to the model's attention window of %u tokens",
                       m->max_context);
    }
    return GW_OK;
}

/* What would change the result and is not built in. */
static enum gw_status refuse_features(struct reader *r)
{
    static const char *const unsupported[] = {
        "expert_count",    "attn_logit_softcapping",   "final_logit_softcapping",
        "attention.scale", "embedding_scale",          "residual_scale",
        "logit_scale",     "attention.max_alibi_bias", "attention.clamp_kqv"};

    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
        GW_TRY(refuse(r, unsupported[i]));
    return GW_OK;
}

static enum gw_status read_sizes(struct reader *r)
{
    struct model *m = r->m;
    double eps = 0;

    GW_TRY(need(r, "block_count", MAX_LAYERS, &m->n_layers));
    GW_TRY(need(r, "embedding_length", MAX_EMBD, &m->n_embd));
    GW_TRY(need(r, "feed_forward_length", MAX_FF, &m->n_ff));
    GW_TRY(need(r, "context_length", MAX_CONTEXT, &m->max_context));
    GW_TRY(gguf_float(r->g, key(r, "attention.layer_norm_rms_epsilon"), &eps, r->err));
    if (!(eps >= 0 && eps < 1))
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is not from 0 to 1", r->key);
    m->eps = (float)eps;
    return GW_OK;
}

static enum gw_status read_params(struct reader *r)
{
    GW_TRY(read_family(r));
    GW_TRY(refuse_features(r));
    GW_TRY(read_sizes(r));
    GW_TRY(read_heads(r));
    GW_TRY(read_head_dim(r));
    GW_TRY(read_rope(r));
    return read_window(r);
}

/* The vocabulary's size is that of the embedding; a key that says otherwise is an error. */
static enum gw_status read_vocab(struct reader *r)
{
    const struct gguf_tensor *t = gguf_tensor(r->g, "token_embd.weight");
    unsigned said = 0;

    if (t == NULL)
        return gw_fail(
            r->err, GW_EPARSE,
            "GGUF: tensor token_embd.weight is missing (a file with a vocabulary only?)");
    if (t->n_dims != 2 || t->dims[1] > MAX_VOCAB)
        return gw_fail(r->err, GW_EPARSE, "GGUF: token_embd.weight has the wrong shape");
    r->m->n_vocab = (unsigned)t->dims[1];
    GW_TRY(maybe(r, "vocab_size", MAX_VOCAB, r->m->n_vocab, &said));
    if (said != r->m->n_vocab)
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is %u, but the embedding has %u rows", r->key,
                       said, r->m->n_vocab);
    return GW_OK;
}

static enum gw_status load(struct model *m, const struct gguf *g, const struct kern_ops *ops,
                           struct pool *p,
                           void (*progress)(void *ctx, uint64_t done, uint64_t total),
                           void *progress_ctx, struct gw_err *err)
{
    struct reader r = {.m = m, .g = g, .err = err};
    enum gw_status st;

    *m = (struct model){.ops = ops, .file_bytes = gguf_file_bytes(g)};
    st = read_params(&r);
    if (st == GW_OK)
        st = read_vocab(&r);
    if (st == GW_OK)
        st = model_bind(m, g, p, progress, progress_ctx, err);
    /* For the caller a missing key is a malformed file; "not there" would mean the file. */
    return st == GW_ENOENT ? GW_EPARSE : st;
}

enum gw_status model_inspect(struct model *m, const struct gguf *g, const struct kern_ops *ops,
                             struct gw_err *err)
{
    return load(m, g, ops, NULL, NULL, NULL, err);
}

enum gw_status model_load(struct model *m, const struct gguf *g, const struct kern_ops *ops,
                          struct pool *p,
                          void (*progress)(void *ctx, uint64_t done, uint64_t total),
                          void *progress_ctx, struct gw_err *err)
{
    return load(m, g, ops, p, progress, progress_ctx, err);
}

void model_fini(struct model *m)
{
    hugemem_free(m->weights, m->weights_bytes);
    free(m->rope_freqs);
    free(m->layers);
    *m = (struct model){0};
}
