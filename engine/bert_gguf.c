/* engine/bert_gguf.c - a BERT model out of a GGUF file: sizes from its keys, tensors by its names. See bert.h. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/bert_private.h"
#include "engine/gguf.h"

/* How vectors become one, numbered as in the file. */
enum { POOLING_NONE, POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_RANK };

static const struct bert_names file_names = {
    .words = "token_embd",
    .positions = "position_embd",
    .types = "token_types",
    .embd_norm = "token_embd_norm",
    .layer = "blk.",
    .q = "attn_q",
    .k = "attn_k",
    .v = "attn_v",
    .o = "attn_output",
    .att_norm = "attn_output_norm",
    .up = "ffn_up",
    .down = "ffn_down",
    .out_norm = "layer_output_norm",
    .dense = "cls",
    .out = "cls.output",
};

struct file {
    const struct gguf *g;
    bool *used; /* by tensor */
};

static bool get(void *ctx, const char *name, struct bert_tensor *out)
{
    const struct file *f = ctx;
    const struct gguf_tensor *t = gguf_tensor(f->g, name);

    if (t == NULL)
        return false;
    f->used[t - gguf_tensor_at(f->g, 0)] = true;
    *out = (struct bert_tensor){.data = t->data,
                                .bytes = t->bytes,
                                .type = t->type,
                                .n_dims = t->n_dims <= 2 ? t->n_dims : 0,
                                .rows = t->dims[1],
                                .cols = t->dims[0]};
    return true;
}

/* A required number from 1 to max. */
static enum gw_status need(const struct gguf *g, const char *key, unsigned max, unsigned *out,
                           struct gw_err *err)
{
    uint64_t v = 0;

    GW_TRY(gguf_uint(g, key, max, &v, err));
    if (v == 0)
        return gw_fail(err, GW_EPARSE, "GGUF: key %s is 0", key);
    *out = (unsigned)v;
    return GW_OK;
}

static enum gw_status read_vocab(struct bert *b, const struct gguf *g, struct gw_err *err)
{
    const struct gguf_tensor *t = gguf_tensor(g, "token_embd.weight");

    if (t == NULL)
        return gw_fail(err, GW_EPARSE,
                       "GGUF: tensor token_embd.weight is missing (a file with a "
                       "vocabulary only?)");
    if (t->n_dims != 2 || t->dims[1] > BERT_MAX_VOCAB)
        return gw_fail(err, GW_EPARSE, "GGUF: token_embd.weight has the wrong shape");
    b->n_vocab = (unsigned)t->dims[1];
    return GW_OK;
}

static enum gw_status read_eps(struct bert *b, const struct gguf *g, struct gw_err *err)
{
    double eps = 0;

    GW_TRY(gguf_float(g, "bert.attention.layer_norm_epsilon", &eps, err));
    if (!(eps >= 0 && eps < 1))
        return gw_fail(err, GW_EPARSE,
                       "GGUF: bert.attention.layer_norm_epsilon is not from 0 to 1");
    b->eps = (float)eps;
    return GW_OK;
}

static enum gw_status read_sizes(struct bert *b, const struct gguf *g, struct gw_err *err)
{
    const struct {
        const char *key;
        unsigned max, *out;
    } sizes[] = {{"bert.embedding_length", BERT_MAX_EMBD, &b->n_embd},
                 {"bert.block_count", BERT_MAX_LAYERS, &b->n_layers},
                 {"bert.attention.head_count", BERT_MAX_EMBD, &b->n_heads},
                 {"bert.feed_forward_length", BERT_MAX_FF, &b->n_ff},
                 {"bert.context_length", BERT_MAX_POSITIONS, &b->n_positions}};

    GW_TRY(read_vocab(b, g, err));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        GW_TRY(need(g, sizes[i].key, sizes[i].max, sizes[i].out, err));
    GW_TRY(read_eps(b, g, err));
    if (b->n_embd % b->n_heads != 0 || b->n_embd / b->n_heads > BERT_MAX_HEAD_DIM)
        return gw_fail(err, GW_EPARSE, "GGUF: %u numbers cannot be %u heads of at most %d",
                       b->n_embd, b->n_heads, BERT_MAX_HEAD_DIM);
    if (b->n_positions < BERT_MIN_TOKENS)
        return gw_fail(err, GW_EPARSE, "GGUF: there are no positions for a text");
    b->head_dim = b->n_embd / b->n_heads;
    b->max_tokens = b->n_positions;
    return GW_OK;
}

/* How one vector is made, and whether the model has a head instead. */
static enum gw_status read_pooling(struct bert *b, const struct gguf *g, bool *head,
                                   struct gw_err *err)
{
    uint64_t pooling = POOLING_MEAN;
    bool causal = false;

    *head = gguf_tensor(g, "cls.output.weight") != NULL;
    if (gguf_has(g, "bert.pooling_type"))
        GW_TRY(gguf_uint(g, "bert.pooling_type", UINT32_MAX, &pooling, err));
    if (gguf_has(g, "bert.attention.causal"))
        GW_TRY(gguf_bool(g, "bert.attention.causal", &causal, err));
    if (causal)
        return gw_fail(err, GW_EUNSUPPORTED, "GGUF: causal attention is not built in for bert");
    if (pooling == POOLING_RANK && !*head)
        return gw_fail(err, GW_EPARSE,
                       "GGUF: tensor cls.output.weight is missing; this model is "
                       "said to rank");
    if (!*head && pooling != POOLING_MEAN && pooling != POOLING_CLS)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "GGUF: bert.pooling_type %llu is not built in; 1 (mean) and 2 (first token) "
                       "are",
                       (unsigned long long)pooling);
    b->pool = pooling == POOLING_CLS ? BERT_POOL_CLS : BERT_POOL_MEAN;
    return GW_OK;
}

static enum gw_status check_all_used(const struct file *f, struct gw_err *err)
{
    for (size_t i = 0; i < gguf_n_tensors(f->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(f->g, i);

        if (!f->used[i])
            return gw_fail(err, GW_EUNSUPPORTED,
                           "tensor %.*s is not part of bert as it is built in", (int)t->name.len,
                           t->name.ptr);
    }
    return GW_OK;
}

static enum gw_status load(struct bert *b, const struct gguf *g, struct gw_err *err)
{
    struct file f = {.g = g, .used = calloc(gguf_n_tensors(g) + 1, sizeof(bool))};
    struct bert_source source = {.names = &file_names,
                                 .prefix = "",
                                 .get = get,
                                 .ctx = &f,
                                 .file_bytes = gguf_file_bytes(g)};
    enum gw_status st;

    if (f.used == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the model");
    st = read_sizes(b, g, err);
    if (st == GW_OK)
        st = read_pooling(b, g, &source.head, err);
    if (st == GW_OK)
        st = bert_bind(b, &source, err);
    if (st == GW_OK)
        st = check_all_used(&f, err);
    free(f.used);
    return st;
}

enum gw_status bert_load_gguf(struct bert *b, const struct gguf *g, const struct kern_ops *ops,
                              struct gw_err *err)
{
    struct gw_span arch = {NULL, 0};
    enum gw_status st;

    *b = (struct bert){.ops = ops};
    st = gguf_str(g, "general.architecture", &arch, err);
    if (st == GW_OK && !gw_span_is(arch, "bert"))
        st = gw_fail(err, GW_EUNSUPPORTED,
                     "architecture %.*s is no encoder that is built in; bert is",
                     (int)(arch.len < 32 ? arch.len : 32), arch.ptr);
    if (st == GW_OK)
        st = load(b, g, err);
    if (st != GW_OK)
        bert_fini(b);
    /* For the caller a missing key is a malformed file; "not there" would mean the file. */
    return st == GW_ENOENT ? GW_EPARSE : st;
}
