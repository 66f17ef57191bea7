/* engine/lora.c - an adapter checked against its model and moved into memory of ours. See lora.h.
 *
 * Two walks over the pairs: the first adds sizes up, the second copies. */
#include "engine/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hugemem.h"
#include "engine/lora_private.h"

struct binder {
    struct lora *l;
    const struct model *m;
    const struct lora_file *f;
    char *mem; /* NULL: the walk that counts */
    size_t at;
    float *row; /* memory for the widest tensor's numbers */
    struct gw_err *err;
};

/* What a target of a file changes: one matrix of a layer, or some that are one behind the other in it. */
struct place {
    enum lora_kind kind;
    size_t rows;    /* outputs */
    unsigned heads; /* not 0: outputs are so many heads, which are turned */
};

/* The matrices of a target in order; *cols: their inputs. Returns how many, 0: the model has no such matrix. */
static unsigned places_of(const struct model *m, unsigned target, struct place out[3], size_t *cols)
{
    const size_t d = m->n_embd, q = (size_t)m->n_heads * m->head_dim,
                 kv = (size_t)m->n_kv_heads * m->head_dim, ff = m->n_experts != 0 ? 0 : m->n_ff;
    const struct place k = {LORA_K, kv, m->n_kv_heads}, v = {LORA_V, kv, 0};

    *cols = d;
    out[0] = (struct place){(enum lora_kind)target, ff, 0};
    switch (target) {
    case LORA_Q:
    case LORA_TARGET_QKV:
        out[0] = (struct place){LORA_Q, q, m->n_heads};
        out[1] = k;
        out[2] = v;
        return target == LORA_Q ? 1 : 3;
    case LORA_K:
        out[0] = k;
        return 1;
    case LORA_V:
        out[0] = v;
        return 1;
    case LORA_O:
        out[0].rows = d;
        *cols = q;
        return 1;
    case LORA_DOWN:
        out[0].rows = d;
        *cols = ff;
        break;
    case LORA_TARGET_GATE_UP:
        out[0].kind = LORA_GATE;
        out[1] = (struct place){LORA_UP, ff, 0};
        return ff == 0 ? 0 : 2;
    default: /* LORA_GATE, LORA_UP */
        break;
    }
    return ff == 0 ? 0 : 1;
}

/* Takes n * size bytes. *out is NULL while counting. */
static enum gw_status take(struct binder *w, size_t n, size_t size, char **out)
{
    size_t bytes, end;

    if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(w->at, bytes, &end) ||
        end > SIZE_MAX - KERN_ALIGN)
        return gw_fail(w->err, GW_ELIMIT, "the adapter does not fit into the address space");
    *out = w->mem == NULL ? NULL : w->mem + w->at;
    w->at = (end + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
    return GW_OK;
}

/* The n numbers from number `from` of t on. False: one of them is not finite. */
static bool to_floats(const struct lora_tensor *t, size_t from, size_t n, float *out)
{
    bool finite = true;

    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        if (t->type == KERN_TYPE_F32) {
            memcpy(&out[i], t->data + (from + i) * sizeof(float), sizeof(float));
        } else {
            memcpy(&h, t->data + (from + i) * sizeof(h), sizeof(h));
            out[i] = t->type == KERN_TYPE_F16 ? kern_f16_f32(h) : kern_bf16_f32(h);
        }
        finite = finite && isfinite(out[i]);
    }
    return finite;
}

/* w->row, rows x cols, becomes a matrix. */
static enum gw_status make_matrix(struct binder *w, size_t rows, size_t cols,
                                  struct kern_matrix *out)
{
    const struct kern_ops *ops = w->m->ops;
    size_t bytes = 0;
    char *at = NULL;

    GW_TRY(kern_matrix_packed_bytes(ops, KERN_TYPE_F32, rows, cols, &bytes, w->err));
    GW_TRY(take(w, 1, bytes != 0 ? bytes : rows * cols * sizeof(float), &at));
    w->l->n_params += rows * cols;
    if (at == NULL)
        return GW_OK;
    if (bytes == 0)
        memcpy(at, w->row, rows * cols * sizeof(float));
    GW_TRY(kern_matrix_init(ops, KERN_TYPE_F32, rows, cols, at, at, out, w->err));
    kern_matrix_pack_rows(out, w->row, at, 0, rows);
    return GW_OK;
}

/* The row of the file for row r of n: within heads [2][half] becomes [half][2]. */
static size_t source_row(size_t r, size_t n, unsigned heads)
{
    const size_t dim = heads == 0 ? 0 : n / heads, half = dim / 2;

    if (half == 0)
        return r;
    return r / dim * dim + r % dim % 2 * half + r % dim / 2;
}

static enum gw_status not_finite(struct binder *w, const struct lora_pair *p)
{
    return gw_fail(w->err, GW_ECORRUPT, "layer %u holds a number that is not finite", p->layer);
}

/* Rows [from, from + place->rows) of B, scaled, and all of A. */
static enum gw_status bind_part(struct binder *w, const struct lora_pair *p,
                                const struct place *place, size_t from)
{
    struct lora_part *part = &w->l->layers[p->layer].parts[place->kind];
    const size_t rank = p->a.rows, cols = p->a.cols;
    const double alpha = w->f->alpha;
    const double scale = alpha == 0 ? 1 : alpha / (w->f->rs ? sqrt((double)rank) : (double)rank);
    const unsigned heads = w->f->halves && w->m->rope == KERN_ROPE_NORM ? place->heads : 0;

    if (w->mem == NULL && part->rank != 0)
        return gw_fail(w->err, GW_EPARSE, "layer %u has the same matrix twice", p->layer);
    part->rank = (unsigned)rank;
    w->l->max_rank = part->rank > w->l->max_rank ? part->rank : w->l->max_rank;
    if (w->mem != NULL && !to_floats(&p->a, 0, rank * cols, w->row))
        return not_finite(w, p);
    GW_TRY(make_matrix(w, rank, cols, &part->a));
    for (size_t r = 0; w->mem != NULL && r < place->rows; r++) {
        const size_t row = from + source_row(r, place->rows, heads);

        if (!to_floats(&p->b, row * rank, rank, w->row + r * rank))
            return not_finite(w, p);
        for (size_t k = 0; k < rank; k++) {
            float *b = &w->row[r * rank + k];

            *b = (float)((double)*b * scale);
            if (!isfinite(*b))
                return not_finite(w, p);
        }
    }
    return make_matrix(w, place->rows, rank, &part->b);
}

static enum gw_status bind_pair(struct binder *w, const struct lora_pair *p)
{
    struct place places[3];
    size_t cols = 0, rows = 0;
    unsigned n = places_of(w->m, p->target, places, &cols);

    if (n == 0)
        return gw_fail(
            w->err, GW_EUNSUPPORTED,
            "layer %u: the model's feed-forward layers are experts, which adapters cannot "
            "change here",
            p->layer);
    for (unsigned i = 0; i < n; i++)
        rows += places[i].rows;
    /* In some files gate and up are called up, as in the model's own. */
    if (p->target == LORA_UP && p->b.rows == 2 * rows)
        n = places_of(w->m, LORA_TARGET_GATE_UP, places, &cols);
    else if (p->b.rows != rows)
        n = 0;
    if (p->layer >= w->m->n_layers || n == 0 || p->a.cols != cols)
        return gw_fail(
            w->err, GW_EINVAL,
            "layer %u is %llu to %llu numbers, which the model has not: the adapter is of "
            "another model",
            p->layer, (unsigned long long)p->a.cols, (unsigned long long)p->b.rows);
    rows = 0;
    for (unsigned i = 0; i < n; i++) {
        GW_TRY(bind_part(w, p, &places[i], rows));
        rows += places[i].rows;
    }
    return GW_OK;
}

static enum gw_status bind_all(struct binder *w)
{
    w->at = 0;
    w->l->n_params = 0;
    for (size_t i = 0; i < w->f->n_pairs; i++)
        GW_TRY(bind_pair(w, &w->f->pairs[i]));
    return GW_OK;
}

static size_t widest(const struct lora_file *f)
{
    size_t most = 1;

    for (size_t i = 0; i < f->n_pairs; i++) {
        const size_t a = f->pairs[i].a.rows * f->pairs[i].a.cols,
                     b = f->pairs[i].b.rows * f->pairs[i].b.cols;

        most = a > most ? a : most;
        most = b > most ? b : most;
    }
    return most;
}

static enum gw_status bind(struct lora *l, const struct lora_file *f, const struct model *m,
                           struct gw_err *err)
{
    struct binder w = {.l = l, .m = m, .f = f, .err = err};
    enum gw_status st;

    if (f->arch.len != 0 && !gw_span_is(f->arch, m->arch))
        return gw_fail(err, GW_EINVAL, "the adapter is for %.*s, the model is %s",
                       (int)(f->arch.len < 32 ? f->arch.len : 32), f->arch.ptr, m->arch);
    l->layers = calloc(m->n_layers, sizeof(*l->layers));
    if (l->layers == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the adapter");
    GW_TRY(bind_all(&w)); /* shapes are those of the model from here on */
    l->mem_bytes = w.at;
    l->mem = w.mem = hugemem_new(w.at);
    w.row = malloc(widest(f) * sizeof(*w.row));
    if (l->mem == NULL || w.row == NULL)
        st = gw_fail(err, GW_ENOMEM, "out of memory for %zu MB of an adapter", w.at >> 20);
    else
        st = bind_all(&w);
    free(w.row);
    return st;
}

enum gw_status lora_open(const char *path, const struct model *m, struct lora **out,
                         struct gw_err *err)
{
    struct lora *l = calloc(1, sizeof(*l));
    struct lora_file f = {.g = NULL};
    enum gw_status st;

    if (l == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the adapter");
    st = lora_file_open(&f, path, err);
    if (st == GW_OK)
        st = bind(l, &f, m, err);
    lora_file_fini(&f);
    if (st != GW_OK) {
        if (err != NULL)
            (void)gw_fail_prefix(err, "%s", path);
        lora_free(l);
        return st;
    }
    *out = l;
    return GW_OK;
}

/* One matrix, at mem + *at when mem is not NULL; *at counts on. */
static enum gw_status repack_matrix(const struct kern_ops *ops, struct kern_matrix *w, char *mem,
                                    size_t *at, struct gw_err *err)
{
    const size_t floats = w->rows * w->cols * sizeof(float);
    size_t bytes = 0;

    GW_TRY(kern_matrix_packed_bytes(ops, w->type, w->rows, w->cols, &bytes, err));
    if (mem != NULL && bytes == 0)
        w->data = memcpy(mem + *at, w->data, floats);
    else if (mem != NULL)
        GW_TRY(kern_matrix_pack(ops, w->type, w->rows, w->cols, w->data, mem + *at, w, err));
    *at += ((bytes == 0 ? floats : bytes) + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
    return GW_OK;
}

static enum gw_status repack_layers(struct lora *l, const struct kern_ops *ops, unsigned n_layers,
                                    char *mem, size_t *at, struct gw_err *err)
{
    for (unsigned i = 0; i < n_layers; i++)
        for (unsigned kind = LORA_NONE + 1; kind < LORA_KINDS; kind++) {
            struct lora_part *part = &l->layers[i].parts[kind];

            if (part->rank == 0)
                continue;
            GW_TRY(repack_matrix(ops, &part->a, mem, at, err));
            GW_TRY(repack_matrix(ops, &part->b, mem, at, err));
        }
    return GW_OK;
}

enum gw_status lora_repack(struct lora *l, const struct kern_ops *ops, unsigned n_layers,
                           struct gw_err *err)
{
    size_t bytes = 0, at = 0;
    void *mem;

    GW_TRY(repack_layers(l, ops, n_layers, NULL, &bytes, err));
    mem = hugemem_new(bytes + KERN_ALIGN);
    if (mem == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for %zu MB of an adapter", bytes >> 20);
    GW_TRY(repack_layers(l, ops, n_layers, mem, &at, err)); /* its sizes were checked above */
    hugemem_free(l->mem, l->mem_bytes);
    l->mem = mem;
    l->mem_bytes = bytes + KERN_ALIGN;
    return GW_OK;
}

void lora_free(struct lora *l)
{
    if (l == NULL)
        return;
    hugemem_free(l->mem, l->mem_bytes);
    free(l->layers);
    free(l);
}

enum gw_status engine_adapter_inspect(const char *path, struct engine_adapter_info *out,
                                      struct gw_err *err)
{
    struct lora_file f = {.g = NULL};
    enum gw_status st = lora_file_open(&f, path, err);

    if (st == GW_OK) {
        *out = (struct engine_adapter_info){
            .file_bytes = f.file_bytes, .alpha = f.alpha, .n_matrices = (unsigned)f.n_pairs};
        for (size_t i = 0; i < f.arch.len && i < sizeof(out->arch) - 1; i++)
            out->arch[i] =
                (char)(f.arch.ptr[i] >= 0x20 && f.arch.ptr[i] < 0x7F ? f.arch.ptr[i] : '?');
        for (size_t i = 0; i < f.n_pairs; i++) {
            const struct lora_pair *p = &f.pairs[i];

            out->n_params += p->a.rows * p->a.cols + p->b.rows * p->b.cols;
            out->rank = p->a.rows > out->rank ? (unsigned)p->a.rows : out->rank;
            out->n_layers = p->layer >= out->n_layers ? p->layer + 1 : out->n_layers;
        }
    }
    lora_file_fini(&f);
    if (st != GW_OK && err != NULL)
        (void)gw_fail_prefix(err, "%s", path);
    return st;
}
