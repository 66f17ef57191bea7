/* engine/model.c - hyper-parameters: read, bounded, checked against each other. See model.h. */
#include "engine/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hugemem.h"
#include "engine/model_private.h"

/* The file's key "ARCH.suffix". */
const char *model_key(struct model_reader *r, const char *suffix)
{
    (void)snprintf(r->key, sizeof(r->key), "%s.%s", r->m->arch, suffix);
    return r->key;
}

enum gw_status model_need(struct model_reader *r, const char *suffix, unsigned max, unsigned *out)
{
    uint64_t v = 0;

    GW_TRY(gguf_uint_at(r->g, model_key(r, suffix), 0, max, &v, r->err));
    if (v == 0)
        return gw_fail(r->err, GW_EPARSE, "GGUF: key %s is 0", r->key);
    *out = (unsigned)v;
    return GW_OK;
}

enum gw_status model_maybe(struct model_reader *r, const char *suffix, unsigned max,
                           unsigned otherwise, unsigned *out)
{
    if (!gguf_has(r->g, model_key(r, suffix))) {
        *out = otherwise;
        return GW_OK;
    }
    return model_need(r, suffix, max, out);
}

enum gw_status model_maybe_float(struct model_reader *r, const char *suffix, double otherwise,
                                 double *out)
{
    if (!gguf_has(r->g, model_key(r, suffix))) {
        *out = otherwise;
        return GW_OK;
    }
    return gguf_float(r->g, r->key, out, r->err);
}

/* Copies text from the file for people: what is not printable ASCII becomes '?'. */
static void copy_printable(char *out, size_t size, struct gw_span s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.ptr[i] >= 0x20 && s.ptr[i] < 0x7F ? s.ptr[i] : '?');
    out[n] = '\0';
}

static enum gw_status read_family(struct model_reader *r)
{
    struct gw_span arch = {NULL, 0}, name = {NULL, 0};
    struct model *m = r->m;

    GW_TRY(gguf_str(r->g, "general.architecture", &arch, r->err));
    copy_printable(m->arch, sizeof(m->arch), arch);
    r->family = model_family(m->arch);
    if (r->family == NULL)
        return gw_fail(r->err, GW_EUNSUPPORTED, "architecture %s is not built in; %s are", m->arch,
                       model_family_names());
    m->rope = r->family->rope;
    if (gguf_str(r->g, "general.name", &name, NULL) == GW_OK)
        copy_printable(m->name, sizeof(m->name), name);
    else
        copy_printable(m->name, sizeof(m->name), arch);
    return GW_OK;
}

/* Every layer must have as many KV heads as the first. */
static enum gw_status check_kv_heads(struct model_reader *r)
{
    if (!gguf_has(r->g, model_key(r, "attention.head_count_kv")))
        return GW_OK;
    for (unsigned i = 1; i < r->m->n_layers; i++) {
        uint64_t n = 0;

        GW_TRY(gguf_uint_at(r->g, r->key, i, MODEL_MAX_HEADS, &n, r->err));
        if (n != r->m->n_kv_heads)
            return gw_fail(r->err, GW_EUNSUPPORTED,
                           "layers with different numbers of KV heads are not built in");
    }
    return GW_OK;
}

static enum gw_status read_heads(struct model_reader *r)
{
    struct model *m = r->m;

    GW_TRY(model_need(r, "attention.head_count", MODEL_MAX_HEADS, &m->n_heads));
    GW_TRY(model_maybe(r, "attention.head_count_kv", MODEL_MAX_HEADS, m->n_heads, &m->n_kv_heads));
    if (m->n_heads % m->n_kv_heads != 0)
        return gw_fail(r->err, GW_EPARSE, "GGUF: %u heads cannot share %u KV heads", m->n_heads,
                       m->n_kv_heads);
    return check_kv_heads(r);
}

static enum gw_status read_head_dim(struct model_reader *r)
{
    struct model *m = r->m;
    unsigned value_length = 0;

    GW_TRY(model_maybe(r, "attention.key_length", KERN_MAX_HEAD_DIM, m->n_embd / m->n_heads,
                       &m->head_dim));
    GW_TRY(model_maybe(r, "attention.value_length", KERN_MAX_HEAD_DIM, m->head_dim, &value_length));
    if (value_length != m->head_dim)
        return gw_fail(r->err, GW_EUNSUPPORTED,
                       "keys of %u and values of %u numbers are not built in", m->head_dim,
                       value_length);
    if (m->head_dim == 0 || m->head_dim > KERN_MAX_HEAD_DIM ||
        m->n_heads * m->head_dim > MODEL_MAX_HEAD_VALUES)
        return gw_fail(r->err, GW_ELIMIT, "%u heads of %u numbers are more than is built in",
                       m->n_heads, m->head_dim);
    GW_TRY(model_maybe(r, "rope.dimension_count", m->head_dim, m->head_dim, &m->n_rot));
    if (m->n_rot % 2 != 0)
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is odd", r->key);
    return GW_OK;
}

static enum gw_status read_sizes(struct model_reader *r)
{
    struct model *m = r->m;
    double eps = 0;

    GW_TRY(model_need(r, "block_count", MODEL_MAX_LAYERS, &m->n_layers));
    GW_TRY(model_need(r, "embedding_length", MODEL_MAX_EMBD, &m->n_embd));
    if (gguf_has(r->g, model_key(r, "expert_feed_forward_length")))
        GW_TRY(model_need(r, "expert_feed_forward_length", MODEL_MAX_FF, &m->n_ff));
    else
        GW_TRY(model_need(r, "feed_forward_length", MODEL_MAX_FF, &m->n_ff));
    GW_TRY(model_need(r, "context_length", MODEL_MAX_CONTEXT, &m->max_context));
    GW_TRY(gguf_float(r->g, model_key(r, "attention.layer_norm_rms_epsilon"), &eps, r->err));
    if (!(eps >= 0 && eps < 1))
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is not from 0 to 1", r->key);
    m->eps = (float)eps;
    return GW_OK;
}

static enum gw_status read_params(struct model_reader *r)
{
    GW_TRY(read_family(r));
    GW_TRY(read_sizes(r));
    GW_TRY(read_heads(r));
    GW_TRY(read_head_dim(r));
    GW_TRY(model_read_features(r));
    r->m->layers = calloc(r->m->n_layers, sizeof(*r->m->layers));
    if (r->m->layers == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory for the model");
    GW_TRY(model_read_windows(r));
    return model_read_ropes(r);
}

/* The vocabulary's size is that of the embedding; a key that says otherwise is an error. */
static enum gw_status read_vocab(struct model_reader *r)
{
    const struct gguf_tensor *t = gguf_tensor(r->g, "token_embd.weight");
    unsigned said = 0;

    if (t == NULL)
        return gw_fail(
            r->err, GW_EPARSE,
            "GGUF: tensor token_embd.weight is missing (a file with a vocabulary only?)");
    if (t->n_dims != 2 || t->dims[1] > MODEL_MAX_VOCAB)
        return gw_fail(r->err, GW_EPARSE, "GGUF: token_embd.weight has the wrong shape");
    r->m->n_vocab = (unsigned)t->dims[1];
    GW_TRY(model_maybe(r, "vocab_size", MODEL_MAX_VOCAB, r->m->n_vocab, &said));
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
    struct model_reader r = {.m = m, .g = g, .err = err};
    enum gw_status st;

    *m = (struct model){.ops = ops, .file_bytes = gguf_file_bytes(g)};
    st = read_params(&r);
    if (st == GW_OK)
        st = read_vocab(&r);
    if (st == GW_OK)
        st = model_bind(m, r.family, g, p, progress, progress_ctx, err);
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
    hugemem_free(m->repacked, m->repacked_bytes);
    for (unsigned i = 0; i < MODEL_ROPES; i++)
        free(m->ropes[i].freqs);
    free(m->rope_long.freqs);
    free(m->layers);
    free(m->experts);
    *m = (struct model){0};
}
