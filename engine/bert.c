/* engine/bert.c - finds each tensor of a BERT model, checks its shape, and moves it into memory of ours.
 *
 * One walk over all tensors runs twice: first it only adds sizes up, then it copies. See bert.h. */
#include "engine/bert.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/folder.h"
#include "engine/hugemem.h"
#include "engine/safetensors.h"

/* For find(): however many rows there are. */
#define ANY_ROWS SIZE_MAX

struct binder {
    struct bert *b;
    const struct safetensors *s;
    const char *prefix; /* of every name: "" or "bert." */
    char *mem;          /* NULL: the walk that counts */
    size_t at;
    enum gw_status status; /* of the last find() that failed */
    struct gw_err *err;
    char name[128];
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

static bool find_type(const struct safetensors_tensor *t, enum kern_type *out)
{
    static const struct {
        const char *name;
        enum kern_type type;
    } types[] = {{"F32", KERN_TYPE_F32}, {"F16", KERN_TYPE_F16}, {"BF16", KERN_TYPE_BF16}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (gw_span_is(t->dtype, types[i].name)) {
            *out = types[i].type;
            return true;
        }
    }
    return false;
}

/* The tensor of that name, of rows x cols (rows 0: a vector of cols; ANY_ROWS: at least one), and its type. NULL:
 * w->status says why. */
static const struct safetensors_tensor *find(struct binder *w, const char *name, size_t rows,
                                             size_t cols, enum kern_type *type)
{
    const struct safetensors_tensor *t;
    bool fits;

    (void)snprintf(w->name, sizeof(w->name), "%s%s", w->prefix, name);
    t = safetensors_get(w->s, w->name);
    if (t == NULL) {
        w->status = gw_fail(w->err, GW_EPARSE, "tensor %s is missing", w->name);
        return NULL;
    }
    if (rows == 0)
        fits = t->n_dims == 1 && t->dims[0] == cols;
    else
        fits = t->n_dims == 2 && t->dims[1] == cols &&
               (t->dims[0] == rows || (rows == ANY_ROWS && t->dims[0] != 0));
    if (!fits) {
        w->status = gw_fail(w->err, GW_EPARSE, "tensor %s has another shape than config.json says",
                            w->name);
        return NULL;
    }
    if (!find_type(t, type)) {
        w->status =
            gw_fail(w->err, GW_EUNSUPPORTED,
                    "tensor %s has a type that is not built in; F32, F16 and BF16 are", w->name);
        return NULL;
    }
    return t;
}

/* The tensor's first n numbers as floats; the file's bytes may lie anywhere. */
static void to_floats(const struct safetensors_tensor *t, enum kern_type type, size_t n, float *out)
{
    const size_t width = type == KERN_TYPE_F32 ? 4 : 2;
    const char *p = t->data;

    if (type == KERN_TYPE_F32) {
        memcpy(out, p, n * width);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, p + i * width, sizeof(h));
        out[i] = type == KERN_TYPE_F16 ? kern_f16_f32(h) : kern_bf16_f32(h);
    }
}

/* ---- tensors ----------------------------------------------------------------------------------- */

static enum gw_status bind_vector(struct binder *w, const char *name, size_t n, const float **out)
{
    enum kern_type type = KERN_TYPE_F32;
    const struct safetensors_tensor *t = find(w, name, 0, n, &type);
    char *at = NULL;

    if (t == NULL)
        return w->status;
    GW_TRY(take(w, n, sizeof(float), &at));
    w->b->n_params += n;
    if (at != NULL) {
        to_floats(t, type, n, (float *)(void *)at);
        *out = (const float *)(void *)at;
    }
    return GW_OK;
}

static enum gw_status bind_matrix(struct binder *w, const char *name, size_t rows, size_t cols,
                                  struct kern_matrix *out)
{
    const struct kern_ops *ops = w->b->ops;
    enum kern_type type = KERN_TYPE_F32;
    const struct safetensors_tensor *t = find(w, name, rows, cols, &type);
    size_t bytes = 0;
    char *at = NULL;

    if (t == NULL)
        return w->status;
    GW_TRY(kern_matrix_packed_bytes(ops, type, rows, cols, &bytes, w->err));
    GW_TRY(take(w, 1, bytes != 0 ? bytes : (size_t)(t->end - t->begin), &at));
    w->b->n_params += rows * cols;
    (void)snprintf(w->b->quant, sizeof(w->b->quant), "%s", kern_type_info(type)->name);
    if (at == NULL)
        return GW_OK;
    if (bytes == 0) /* rows as they are in the file */
        memcpy(at, t->data, (size_t)(t->end - t->begin));
    GW_TRY(kern_matrix_init(ops, type, rows, cols, at, at, out, w->err));
    kern_matrix_pack_rows(out, t->data, at, 0, rows);
    return GW_OK;
}

static enum gw_status bind_pair(struct binder *w, const char *stem, size_t n, const float **weight,
                                const float **bias)
{
    char name[112];

    (void)snprintf(name, sizeof(name), "%s.weight", stem);
    GW_TRY(bind_vector(w, name, n, weight));
    (void)snprintf(name, sizeof(name), "%s.bias", stem);
    return bind_vector(w, name, n, bias);
}

static enum gw_status bind_linear(struct binder *w, unsigned layer, const char *stem, size_t rows,
                                  size_t cols, struct kern_matrix *out, const float **bias)
{
    char name[112];

    (void)snprintf(name, sizeof(name), "encoder.layer.%u.%s.weight", layer, stem);
    GW_TRY(bind_matrix(w, name, rows, cols, out));
    (void)snprintf(name, sizeof(name), "encoder.layer.%u.%s.bias", layer, stem);
    return bind_vector(w, name, rows, bias);
}

static enum gw_status bind_layer(struct binder *w, unsigned i)
{
    struct bert_layer *l = &w->b->layers[i];
    size_t d = w->b->n_embd, ff = w->b->n_ff;
    char stem[96];

    GW_TRY(bind_linear(w, i, "attention.self.query", d, d, &l->q, &l->q_bias));
    GW_TRY(bind_linear(w, i, "attention.self.key", d, d, &l->k, &l->k_bias));
    GW_TRY(bind_linear(w, i, "attention.self.value", d, d, &l->v, &l->v_bias));
    GW_TRY(bind_linear(w, i, "attention.output.dense", d, d, &l->o, &l->o_bias));
    (void)snprintf(stem, sizeof(stem), "encoder.layer.%u.attention.output.LayerNorm", i);
    GW_TRY(bind_pair(w, stem, d, &l->att_norm, &l->att_norm_bias));
    GW_TRY(bind_linear(w, i, "intermediate.dense", ff, d, &l->up, &l->up_bias));
    GW_TRY(bind_linear(w, i, "output.dense", d, ff, &l->down, &l->down_bias));
    (void)snprintf(stem, sizeof(stem), "encoder.layer.%u.output.LayerNorm", i);
    return bind_pair(w, stem, d, &l->out_norm, &l->out_norm_bias);
}

/* Word embeddings keep their type. */
static enum gw_status bind_words(struct binder *w)
{
    struct bert *b = w->b;
    const struct safetensors_tensor *t =
        find(w, "embeddings.word_embeddings.weight", b->n_vocab, b->n_embd, &b->word_type);
    char *at = NULL;

    if (t == NULL)
        return w->status;
    GW_TRY(take(w, 1, (size_t)(t->end - t->begin), &at));
    b->n_params += (uint64_t)b->n_vocab * b->n_embd;
    if (at != NULL)
        b->words = memcpy(at, t->data, (size_t)(t->end - t->begin));
    return GW_OK;
}

/* Position embeddings take in the one of token type 0: no text has another. */
static enum gw_status bind_positions(struct binder *w)
{
    struct bert *b = w->b;
    size_t d = b->n_embd;
    enum kern_type type = KERN_TYPE_F32, kind_type = KERN_TYPE_F32;
    const struct safetensors_tensor *kinds, *t;
    char *at = NULL, *kind = NULL;

    t = find(w, "embeddings.position_embeddings.weight", b->n_positions, d, &type);
    if (t == NULL)
        return w->status;
    kinds = find(w, "embeddings.token_type_embeddings.weight", ANY_ROWS, d, &kind_type);
    if (kinds == NULL)
        return w->status;
    GW_TRY(take(w, b->n_positions * d, sizeof(float), &at));
    GW_TRY(take(w, d, sizeof(float), &kind));
    b->n_params += (b->n_positions + kinds->dims[0]) * d;
    if (at != NULL && kind != NULL) {
        float *out = (float *)(void *)at;

        to_floats(kinds, kind_type, d, (float *)(void *)kind);
        to_floats(t, type, b->n_positions * d, out);
        for (size_t i = 0; i < b->n_positions; i++)
            b->ops->add(out + i * d, (const float *)(void *)kind, d);
        b->positions = out;
    }
    return GW_OK;
}

static enum gw_status bind_all(struct binder *w)
{
    w->at = 0;
    w->b->n_params = 0;
    GW_TRY(bind_words(w));
    GW_TRY(bind_positions(w));
    GW_TRY(bind_pair(w, "embeddings.LayerNorm", w->b->n_embd, &w->b->embd_norm,
                     &w->b->embd_norm_bias));
    for (unsigned i = 0; i < w->b->n_layers; i++)
        GW_TRY(bind_layer(w, i));
    return GW_OK;
}

static enum gw_status bind_weights(struct bert *b, const struct safetensors *s, struct gw_err *err)
{
    struct binder w = {.b = b, .s = s, .prefix = "", .err = err};

    if (safetensors_get(s, "embeddings.word_embeddings.weight") == NULL)
        w.prefix = "bert.";
    b->file_bytes = safetensors_file_bytes(s);
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

enum gw_status bert_load(struct bert *b, const char *folder, const struct kern_ops *ops,
                         struct gw_err *err)
{
    struct safetensors *s = NULL;
    char path[FOLDER_PATH_BYTES];
    enum gw_status st;

    *b = (struct bert){.ops = ops};
    GW_TRY(bert_read_config(b, folder, err));
    GW_TRY(folder_path(folder, "model.safetensors", path, err));
    GW_TRY(safetensors_open(path, &s, err));
    st = bind_weights(b, s, err);
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
