/* engine/bert.c - finds each tensor of a BERT model, checks its shape, and moves it into memory of ours.
 *
 * One walk over all tensors runs twice: first it only adds sizes up, then it copies. See bert.h. */
#include "engine/bert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bert_private.h"
#include "engine/folder.h"
#include "engine/hugemem.h"
#include "engine/safetensors.h"

/* For find(): however many rows there are. */
#define ANY_ROWS SIZE_MAX

enum { NAME_BYTES = 128 };

struct binder {
    struct bert *b;
    const struct bert_source *source;
    char *mem; /* NULL: the walk that counts */
    size_t at;
    struct gw_err *err;
    char name[NAME_BYTES]; /* of the last tensor looked for */
};

/* ---- pieces of memory ------------------------------------------------------------------------ */

/* Takes n * size bytes. *out is NULL while counting. */
static enum gw_status take(struct binder *w, size_t n, size_t size, char **out)
{
    size_t bytes, end;

    if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(w->at, bytes, &end) ||
        end > SIZE_MAX - KERN_ALIGN)
        return gw_fail(w->err, GW_ELIMIT, "the model does not fit into the address space");
    *out = w->mem == NULL ? NULL : w->mem + w->at;
    w->at = (end + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
    return GW_OK;
}

/* Sets w->name; stem and what are ours. */
static void make_name(struct binder *w, const char *stem, const char *what)
{
    (void)snprintf(w->name, sizeof(w->name), "%s%s.%s", w->source->prefix, stem, what);
}

static enum gw_status check_shape(struct binder *w, const struct bert_tensor *t, size_t rows,
                                  size_t cols)
{
    bool fits;

    if (rows == 0)
        fits = t->n_dims == 1 && t->cols == cols;
    else
        fits = t->n_dims == 2 && t->cols == cols &&
               (t->rows == rows || (rows == ANY_ROWS && t->rows != 0));
    if (!fits)
        return gw_fail(w->err, GW_EPARSE,
                       "tensor %s has another shape than the model's numbers say", w->name);
    return GW_OK;
}

/* The tensor w->name, of rows x cols (rows 0: a vector of cols; ANY_ROWS: at least one), of a type that is built
 * in. */
static enum gw_status find(struct binder *w, size_t rows, size_t cols, struct bert_tensor *t)
{
    if (!w->source->get(w->source->ctx, w->name, t))
        return gw_fail(w->err, GW_EPARSE, "tensor %s is missing", w->name);
    GW_TRY(check_shape(w, t, rows, cols));
    if (kern_type_info(t->type) == NULL)
        return gw_fail(w->err, GW_EUNSUPPORTED, "tensor %s has a type that is not built in",
                       w->name);
    if (cols % kern_type_info(t->type)->block_elems != 0)
        return gw_fail(w->err, GW_EPARSE, "tensor %s: rows of %zu are not whole blocks of %s",
                       w->name, cols, kern_type_info(t->type)->name);
    return GW_OK;
}

/* The tensor's first n numbers as floats; halves and floats may lie anywhere. */
static void to_floats(const struct bert_tensor *t, size_t n, float *out)
{
    if (t->type == KERN_TYPE_F32) {
        memcpy(out, t->data, n * sizeof(float));
        return;
    }
    if (t->type != KERN_TYPE_F16 && t->type != KERN_TYPE_BF16) {
        kern_row_f32((enum kern_type)t->type, t->data, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, t->data + i * sizeof(h), sizeof(h));
        out[i] = t->type == KERN_TYPE_F16 ? kern_f16_f32(h) : kern_bf16_f32(h);
    }
}

/* ---- tensors ----------------------------------------------------------------------------------- */

/* The numbers of w->name as floats; rows as in find(). */
static enum gw_status bind_floats(struct binder *w, size_t rows, size_t cols, const float **out)
{
    const size_t n = (rows == 0 ? 1 : rows) * cols;
    struct bert_tensor t = {.data = NULL};
    char *at = NULL;

    GW_TRY(find(w, rows, cols, &t));
    GW_TRY(take(w, n, sizeof(float), &at));
    w->b->n_params += n;
    if (at != NULL) {
        to_floats(&t, n, (float *)(void *)at);
        *out = (const float *)(void *)at;
    }
    return GW_OK;
}

static enum gw_status bind_matrix(struct binder *w, size_t rows, size_t cols,
                                  struct kern_matrix *out)
{
    const struct kern_ops *ops = w->b->ops;
    struct bert_tensor t = {.data = NULL};
    size_t bytes = 0;
    char *at = NULL;

    GW_TRY(find(w, rows, cols, &t));
    GW_TRY(kern_matrix_packed_bytes(ops, t.type, rows, cols, &bytes, w->err));
    GW_TRY(take(w, 1, bytes != 0 ? bytes : t.bytes, &at));
    w->b->n_params += rows * cols;
    w->b->quantized = w->b->quantized || kern_type_info(t.type)->quantized;
    (void)snprintf(w->b->quant, sizeof(w->b->quant), "%s", kern_type_info(t.type)->name);
    if (at == NULL)
        return GW_OK;
    if (bytes == 0) /* rows as they are in the file */
        memcpy(at, t.data, t.bytes);
    GW_TRY(kern_matrix_init(ops, t.type, rows, cols, at, at, out, w->err));
    kern_matrix_pack_rows(out, t.data, at, 0, rows);
    return GW_OK;
}

static enum gw_status bind_pair(struct binder *w, const char *stem, size_t n, const float **weight,
                                const float **bias)
{
    make_name(w, stem, "weight");
    GW_TRY(bind_floats(w, 0, n, weight));
    make_name(w, stem, "bias");
    return bind_floats(w, 0, n, bias);
}

/* What a layer has under one name: a matrix and what is added, or a norm (no matrix). */
struct part {
    const char *stem;
    size_t rows, cols;
    struct kern_matrix *matrix;
    const float **weight, **bias;
};

static enum gw_status bind_part(struct binder *w, unsigned layer, const struct part *p)
{
    char stem[NAME_BYTES / 2];

    (void)snprintf(stem, sizeof(stem), "%s%u.%s", w->source->names->layer, layer, p->stem);
    if (p->matrix == NULL)
        return bind_pair(w, stem, p->cols, p->weight, p->bias);
    make_name(w, stem, "weight");
    GW_TRY(bind_matrix(w, p->rows, p->cols, p->matrix));
    make_name(w, stem, "bias");
    return bind_floats(w, 0, p->rows, p->bias);
}

static enum gw_status bind_layer(struct binder *w, unsigned i)
{
    const struct bert_names *n = w->source->names;
    struct bert_layer *l = &w->b->layers[i];
    const size_t d = w->b->n_embd, ff = w->b->n_ff;
    const struct part parts[] = {
        {n->q, d, d, &l->q, NULL, &l->q_bias},
        {n->k, d, d, &l->k, NULL, &l->k_bias},
        {n->v, d, d, &l->v, NULL, &l->v_bias},
        {n->o, d, d, &l->o, NULL, &l->o_bias},
        {n->att_norm, 0, d, NULL, &l->att_norm, &l->att_norm_bias},
        {n->up, ff, d, &l->up, NULL, &l->up_bias},
        {n->down, d, ff, &l->down, NULL, &l->down_bias},
        {n->out_norm, 0, d, NULL, &l->out_norm, &l->out_norm_bias},
    };

    for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++)
        GW_TRY(bind_part(w, i, &parts[k]));
    return GW_OK;
}

/* Word embeddings keep their type. */
static enum gw_status bind_words(struct binder *w)
{
    struct bert *b = w->b;
    struct bert_tensor t = {.data = NULL};
    char *at = NULL;

    make_name(w, w->source->names->words, "weight");
    GW_TRY(find(w, b->n_vocab, b->n_embd, &t));
    GW_TRY(take(w, 1, t.bytes, &at));
    b->n_params += (uint64_t)b->n_vocab * b->n_embd;
    b->word_type = (enum kern_type)t.type;
    b->word_bytes = t.bytes / b->n_vocab;
    if (at != NULL)
        b->words = memcpy(at, t.data, t.bytes);
    return GW_OK;
}

/* The token types of the model; rows 0: it has none. */
static enum gw_status find_types(struct binder *w, struct bert_tensor *types)
{
    make_name(w, w->source->names->types, "weight");
    if (!w->source->get(w->source->ctx, w->name, types)) {
        *types = (struct bert_tensor){.data = NULL};
        return GW_OK;
    }
    GW_TRY(find(w, ANY_ROWS, w->b->n_embd, types));
    if (types->rows > w->b->n_positions)
        return gw_fail(w->err, GW_EPARSE, "tensor %s has %llu token types", w->name,
                       (unsigned long long)types->rows);
    return GW_OK;
}

/* Position embeddings take in that of the token type: no text has another than 0, but for a document, which has 1 where the
 * model knows it. */
static enum gw_status bind_positions(struct binder *w)
{
    struct bert *b = w->b;
    const size_t d = b->n_embd, n = b->n_positions, n_unused = w->source->n_unused;
    size_t n_types;
    struct bert_tensor types = {.data = NULL}, t = {.data = NULL};
    char *at = NULL, *type = NULL;

    GW_TRY(find_types(w, &types));
    b->two_types = w->source->head && types.rows >= 2;
    n_types = b->two_types ? 2 : 1;
    make_name(w, w->source->names->positions, "weight");
    GW_TRY(find(w, n_unused + n, d, &t));
    GW_TRY(take(w, n_types * n * d, sizeof(float), &at));
    GW_TRY(take(w, n_types * d, sizeof(float), &type));
    b->n_params += (n + types.rows) * d;
    t.data += n_unused * (t.bytes / t.rows);
    if (at != NULL && type != NULL) {
        float *out = (float *)(void *)at;

        memset(type, 0, n_types * d * sizeof(float));
        if (types.rows != 0)
            to_floats(&types, n_types * d, (float *)(void *)type);
        for (size_t k = 0; k < n_types; k++) {
            to_floats(&t, n * d, out + k * n * d);
            for (size_t i = 0; i < n; i++)
                b->ops->add(out + (k * n + i) * d, (const float *)(void *)type + k * d, d);
        }
        b->positions = out;
    }
    return GW_OK;
}

static void make_dense_name(struct binder *w, const char *what)
{
    (void)snprintf(w->name, sizeof(w->name), "%s%s.%s",
                   w->source->bare_head ? "" : w->source->prefix, w->source->names->dense, what);
}

static enum gw_status bind_head(struct binder *w)
{
    struct bert_head *h = &w->b->head;
    const size_t d = w->b->n_embd;
    struct bert_tensor t;
    const float *bias = NULL;

    make_dense_name(w, "weight");
    if (w->source->get(w->source->ctx, w->name, &t)) {
        GW_TRY(bind_floats(w, d, d, &h->dense));
        make_dense_name(w, "bias");
        GW_TRY(bind_floats(w, 0, d, &h->dense_bias));
    }
    (void)snprintf(w->name, sizeof(w->name), "%s.weight", w->source->names->out);
    if (w->source->get(w->source->ctx, w->name, &t) && t.n_dims == 2 && t.rows != 1)
        return gw_fail(
            w->err, GW_EUNSUPPORTED,
            "tensor %s has %llu labels; a reranker has one, and nothing else is built in", w->name,
            (unsigned long long)t.rows);
    GW_TRY(bind_floats(w, t.n_dims == 1 ? 0 : 1, d, &h->out));
    (void)snprintf(w->name, sizeof(w->name), "%s.bias", w->source->names->out);
    GW_TRY(bind_floats(w, 0, 1, &bias));
    if (bias != NULL)
        h->out_bias = *bias;
    return GW_OK;
}

static enum gw_status bind_all(struct binder *w)
{
    w->at = 0;
    w->b->n_params = 0;
    GW_TRY(bind_words(w));
    GW_TRY(bind_positions(w));
    GW_TRY(bind_pair(w, w->source->names->embd_norm, w->b->n_embd, &w->b->embd_norm,
                     &w->b->embd_norm_bias));
    for (unsigned i = 0; i < w->b->n_layers; i++)
        GW_TRY(bind_layer(w, i));
    return w->source->head ? bind_head(w) : GW_OK;
}

enum gw_status bert_bind(struct bert *b, const struct bert_source *source, struct gw_err *err)
{
    struct binder w = {.b = b, .source = source, .err = err};

    b->file_bytes = source->file_bytes;
    b->layers = calloc(b->n_layers, sizeof(*b->layers));
    if (b->layers == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the model");
    GW_TRY(bind_all(&w));
    b->mem_bytes = w.at;
    b->mem = w.mem = hugemem_new(w.at);
    if (b->mem == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for %zu MB of weights", w.at >> 20);
    return bind_all(&w);
}

/* ---- folders ------------------------------------------------------------------------------------ */

static const struct bert_names folder_names = {
    .words = "embeddings.word_embeddings",
    .positions = "embeddings.position_embeddings",
    .types = "embeddings.token_type_embeddings",
    .embd_norm = "embeddings.LayerNorm",
    .layer = "encoder.layer.",
    .q = "attention.self.query",
    .k = "attention.self.key",
    .v = "attention.self.value",
    .o = "attention.output.dense",
    .att_norm = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .out_norm = "output.LayerNorm",
    .dense = "pooler.dense",
    .out = "classifier",
};

/* XLM-RoBERTa's are the same but for the head. */
static struct bert_names roberta_names(void)
{
    struct bert_names names = folder_names;

    names.dense = "classifier.dense";
    names.out = "classifier.out_proj";
    return names;
}

static uint32_t type_of(struct gw_span dtype)
{
    static const struct {
        const char *name;
        enum kern_type type;
    } types[] = {{"F32", KERN_TYPE_F32}, {"F16", KERN_TYPE_F16}, {"BF16", KERN_TYPE_BF16}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (gw_span_is(dtype, types[i].name))
            return types[i].type;
    return BERT_TYPE_UNKNOWN;
}

static bool get_of_folder(void *ctx, const char *name, struct bert_tensor *out)
{
    const struct safetensors_tensor *t = safetensors_get(ctx, name);

    if (t == NULL)
        return false;
    *out = (struct bert_tensor){.data = t->data,
                                .bytes = (size_t)(t->end - t->begin),
                                .type = type_of(t->dtype),
                                .n_dims = t->n_dims <= 2 ? t->n_dims : 0};
    if (t->n_dims != 0) {
        out->cols = t->dims[t->n_dims - 1];
        out->rows = t->n_dims == 2 ? t->dims[0] : 1;
    }
    return true;
}

enum gw_status bert_load(struct bert *b, const char *folder, const struct kern_ops *ops,
                         struct gw_err *err)
{
    const struct bert_names roberta = roberta_names();
    struct bert_folder f = {.head = false};
    struct bert_source source = {.names = &folder_names, .prefix = "", .get = get_of_folder};
    struct safetensors *s = NULL;
    char path[FOLDER_PATH_BYTES];
    enum gw_status st;

    *b = (struct bert){.ops = ops};
    GW_TRY(bert_read_config(b, folder, &f, err));
    GW_TRY(folder_path(folder, "model.safetensors", path, err));
    GW_TRY(safetensors_open(path, &s, err));
    source.ctx = s;
    source.head = f.head;
    source.n_unused = f.n_unused;
    source.file_bytes = safetensors_file_bytes(s);
    if (f.roberta) {
        source.names = &roberta;
        source.bare_head = true;
    }
    if (safetensors_get(s, "embeddings.word_embeddings.weight") == NULL)
        source.prefix = f.roberta ? "roberta." : "bert.";
    st = bert_bind(b, &source, err);
    safetensors_close(s);
    if (st != GW_OK)
        bert_fini(b);
    return st;
}

void bert_fini(struct bert *b)
{
    hugemem_free(b->mem, b->mem_bytes);
    free(b->layers);
    *b = (struct bert){0};
}
