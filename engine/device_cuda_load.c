/* engine/device_cuda_load.c - a model's weights on their way to a GPU, and what of a model a GPU can compute. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/device_cuda.h"

/* ---- what fits a GPU ----------------------------------------------------------------------- */

/* Calls f for each matrix of layer l but its router. */
static bool each_matrix(const struct model *m, const struct model_layer *l,
                        bool (*f)(const struct kern_matrix *w, void *ctx), void *ctx)
{
    const struct kern_matrix *all[] = {&l->q, &l->k, &l->v, &l->o};
    const struct kern_matrix *dense[] = {&l->gate, &l->up, &l->down};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (!f(all[i], ctx))
            return false;
    for (size_t i = 0; l->experts == NULL && i < sizeof(dense) / sizeof(dense[0]); i++)
        if (!f(dense[i], ctx))
            return false;
    for (unsigned e = 0; l->experts != NULL && e < m->n_experts; e++)
        if (!f(&l->experts[e].gate, ctx) || !f(&l->experts[e].up, ctx) ||
            !f(&l->experts[e].down, ctx))
            return false;
    return true;
}

/* Whether a matrix becomes e4m3. Routers do not: they are small, and the smallest error of theirs may choose another expert. */
static bool becomes_e4m3(const struct device_limits *l, const struct kern_matrix *w)
{
    return l->fp8_weights && kern_cuda_matrix_e4m3_bytes(w->type, w->rows, w->cols) != 0;
}

/* 0: it cannot be there. */
static uint64_t matrix_bytes(const struct device_limits *l, const struct kern_matrix *w)
{
    return becomes_e4m3(l, w) ? kern_cuda_matrix_e4m3_bytes(w->type, w->rows, w->cols)
                              : kern_cuda_matrix_bytes(w->type, w->rows, w->cols);
}

static uint64_t router_bytes(const struct model_layer *l)
{
    return kern_cuda_matrix_bytes(l->router.type, l->router.rows, l->router.cols);
}

struct total {
    const struct device_limits *limits;
    uint64_t bytes;
};

static bool is_possible(const struct kern_matrix *w, void *ctx)
{
    const struct total *t = ctx;

    return matrix_bytes(t->limits, w) != 0;
}

static bool add_bytes(const struct kern_matrix *w, void *ctx)
{
    struct total *t = ctx;

    t->bytes += matrix_bytes(t->limits, w);
    return true;
}

const char *device_cuda_refuses(const struct device *d, unsigned i)
{
    const struct model *m = d->m;
    const struct model_layer *l;
    struct total t = {&d->limits, 0};

    if (i == m->n_layers)
        return is_possible(&m->output, &t) ? NULL : "the type of its output matrix";
    l = &m->layers[i];
    if (l->experts != NULL && l->router.type != KERN_TYPE_F32 && router_bytes(l) == 0)
        return "the types of its matrices";
    return each_matrix(m, l, is_possible, &t) ? NULL : "the types of its matrices";
}

uint64_t device_cuda_layer_bytes(const struct device *d, unsigned i)
{
    const struct model *m = d->m;
    struct total t = {&d->limits, 0};

    if (i == m->n_layers) {
        (void)add_bytes(&m->output, &t);
        return t.bytes;
    }
    if (m->layers[i].experts != NULL && m->layers[i].router.type != KERN_TYPE_F32)
        t.bytes += router_bytes(&m->layers[i]);
    (void)each_matrix(m, &m->layers[i], add_bytes, &t);
    return t.bytes;
}

/* ---- taking memory -------------------------------------------------------------------------- */

enum gw_status device_cuda_take(struct cuda_part *p, size_t bytes, struct kern_cuda_buf **out,
                                struct gw_err *err)
{
    struct kern_cuda_buf *b = NULL;

    if (p->n_bufs == p->max_bufs) {
        const size_t max = p->max_bufs == 0 ? 64 : 2 * p->max_bufs;
        struct kern_cuda_buf **bufs =
            realloc((void *)p->bufs, max * sizeof(struct kern_cuda_buf *));

        if (bufs == NULL)
            return gw_fail(err, GW_ENOMEM, "out of memory for a device");
        p->bufs = bufs;
        p->max_bufs = max;
    }
    GW_TRY(kern_cuda_buf_new(p->c, bytes, &b, err));
    p->bufs[p->n_bufs++] = b;
    *out = b;
    return GW_OK;
}

enum gw_status device_cuda_bring(struct cuda_part *p, const float *x, size_t n, const float **out,
                                 struct gw_err *err)
{
    struct kern_cuda_buf *b = NULL;

    if (x == NULL)
        return GW_OK;
    GW_TRY(device_cuda_take(p, n * sizeof(*x), &b, err));
    GW_TRY(kern_cuda_upload(b, 0, x, n * sizeof(*x), err));
    *out = kern_cuda_at(b, 0);
    return GW_OK;
}

static enum gw_status bring_as_stored(struct cuda_part *p, const struct kern_matrix *w,
                                      struct kern_cuda_matrix **out, struct gw_err *err)
{
    return kern_cuda_matrix_new(p->c, w->type, w->rows, w->cols, w->data, false, out, err);
}

static enum gw_status bring(const struct device_cuda *d, struct cuda_part *p,
                            const struct kern_matrix *w, struct kern_cuda_matrix **out,
                            struct gw_err *err)
{
    if (becomes_e4m3(&d->base.limits, w))
        return kern_cuda_matrix_new_e4m3(p->c, w->type, w->rows, w->cols, w->data, out, err);
    return bring_as_stored(p, w, out, err);
}

/* A matrix whose columns are shared by GPUs: w->data is where this one's begin in the first row, and rows are as long as in the file. */
static enum gw_status bring_columns(const struct device_cuda *d, struct cuda_part *p,
                                    const struct kern_matrix *w, struct kern_cuda_matrix **out,
                                    struct gw_err *err)
{
    struct kern_matrix part = *w;
    size_t row = 0, mine = 0;
    enum gw_status st;
    char *rows;

    if (d->n_shares == 1)
        return bring(d, p, w, out, err);
    if (!kern_row_bytes(w->type, w->cols, &mine) ||
        !kern_row_bytes(w->type, w->cols * d->n_shares, &row))
        return gw_fail(err, GW_EINVAL, "a matrix of %zu columns cannot be shared", w->cols);
    rows = malloc(w->rows * mine);
    if (rows == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    for (size_t i = 0; i < w->rows; i++)
        memcpy(rows + i * mine, (const char *)w->data + i * row, mine);
    part.data = rows;
    st = bring(d, p, &part, out, err);
    free(rows);
    return st;
}

/* ---- layers --------------------------------------------------------------------------------- */

static enum gw_status bring_experts(const struct device_cuda *d, struct cuda_part *p,
                                    const struct model_layer *l, struct cuda_layer *out,
                                    struct gw_err *err)
{
    const struct model *m = d->base.m;

    out->experts = calloc(m->n_experts, sizeof(*out->experts));
    if (out->experts == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    if (l->router.type == KERN_TYPE_F32)
        GW_TRY(device_cuda_bring(p, l->router.data, l->router.rows * l->router.cols,
                                 &out->router_f32, err));
    else
        GW_TRY(bring_as_stored(p, &l->router, &out->router, err));
    for (unsigned e = 0; e < m->n_experts; e++) {
        GW_TRY(bring(d, p, &l->experts[e].gate, &out->experts[e].gate, err));
        GW_TRY(bring(d, p, &l->experts[e].up, &out->experts[e].up, err));
        GW_TRY(bring(d, p, &l->experts[e].down, &out->experts[e].down, err));
    }
    return GW_OK;
}

/* Norms and biases. */
static enum gw_status bring_vectors(struct device_cuda *d, struct cuda_part *p,
                                    const struct model_layer *l, struct cuda_layer *out,
                                    struct gw_err *err)
{
    const struct model *m = d->base.m;
    const struct {
        const float *x;
        size_t n;
        const float **out;
    } vectors[] = {
        {l->attn_norm, m->n_embd, &out->attn_norm}, {l->ffn_norm, m->n_embd, &out->ffn_norm},
        {l->attn_post, m->n_embd, &out->attn_post}, {l->ffn_post, m->n_embd, &out->ffn_post},
        {l->q_norm, m->head_dim, &out->q_norm},     {l->k_norm, m->head_dim, &out->k_norm},
        {l->q_bias, d->n_att, &out->q_bias},        {l->k_bias, d->n_kv, &out->k_bias},
        {l->v_bias, d->n_kv, &out->v_bias},
    };

    for (size_t k = 0; k < sizeof(vectors) / sizeof(vectors[0]); k++)
        GW_TRY(device_cuda_bring(p, vectors[k].x, vectors[k].n, vectors[k].out, err));
    return GW_OK;
}

static enum gw_status bring_layer(struct device_cuda *d, struct cuda_part *p, unsigned i,
                                  struct gw_err *err)
{
    const struct model *m = d->base.m;
    const struct model_layer *l = &m->layers[i];
    struct cuda_layer *out = &p->layers[i - p->from];

    GW_TRY(bring_vectors(d, p, l, out, err));
    GW_TRY(device_cuda_load_adapters(d, p, i, err));
    GW_TRY(bring(d, p, &l->q, &out->q, err));
    GW_TRY(bring(d, p, &l->k, &out->k, err));
    GW_TRY(bring(d, p, &l->v, &out->v, err));
    GW_TRY(bring_columns(d, p, &l->o, &out->o, err));
    if (l->experts != NULL)
        return bring_experts(d, p, l, out, err);
    GW_TRY(bring(d, p, &l->gate, &out->gate, err));
    GW_TRY(bring(d, p, &l->up, &out->up, err));
    return bring_columns(d, p, &l->down, &out->down, err);
}

/* Cosines and sines of all positions, as forward.c computes them. */
static enum gw_status bring_rope(struct device_cuda *d, struct cuda_part *p, unsigned i,
                                 struct gw_err *err)
{
    const struct model *m = d->base.m;
    const struct model_rope *r =
        i == 0 && m->rope_long.freqs != NULL && d->base.limits.max_context > m->long_from
            ? &m->rope_long
            : &m->ropes[i];
    const size_t half = m->n_rot / 2, n = d->base.limits.max_context * half;
    enum gw_status st = GW_OK;
    float *table;

    if (r->freqs == NULL)
        return GW_OK;
    table = malloc((n + 1) * sizeof(*table));
    if (table == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    for (unsigned sine = 0; sine < 2 && st == GW_OK; sine++) {
        for (size_t k = 0; k < n; k++) {
            const size_t pos = k / half;
            const double angle = (double)pos * r->freqs[k % half];

            table[k] = (float)((sine ? sin(angle) : cos(angle)) * (double)r->scale);
        }
        st = device_cuda_bring(p, table, n, sine ? &p->rope_sin[i] : &p->rope_cos[i], err);
    }
    free(table);
    return st;
}

enum gw_status device_cuda_load(struct device_cuda *d, struct cuda_part *p, bool last,
                                struct gw_err *err)
{
    const struct model *m = d->base.m;

    p->layers = calloc(p->to - p->from + 1, sizeof(*p->layers));
    if (p->layers == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    for (unsigned i = p->from; i < p->to; i++)
        GW_TRY(bring_layer(d, p, i, err));
    for (unsigned i = 0; i < MODEL_ROPES; i++)
        GW_TRY(bring_rope(d, p, i, err));
    if (!last)
        return kern_cuda_sync(p->c, err);
    GW_TRY(device_cuda_bring(p, m->output_norm, m->n_embd, &p->output_norm, err));
    GW_TRY(bring(d, p, &m->output, &p->output, err));
    return kern_cuda_sync(p->c, err);
}

static void free_layer(struct cuda_layer *l, unsigned n_experts)
{
    struct kern_cuda_matrix *all[] = {l->q, l->k, l->v, l->o, l->gate, l->up, l->down, l->router};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        kern_cuda_matrix_free(all[i]);
    for (unsigned e = 0; l->experts != NULL && e < n_experts; e++) {
        kern_cuda_matrix_free(l->experts[e].gate);
        kern_cuda_matrix_free(l->experts[e].up);
        kern_cuda_matrix_free(l->experts[e].down);
    }
    free(l->experts);
}

void device_cuda_unload(struct cuda_part *p, unsigned n_experts)
{
    for (unsigned i = 0; p->layers != NULL && i < p->to - p->from; i++)
        free_layer(&p->layers[i], n_experts);
    free(p->layers);
    kern_cuda_matrix_free(p->output);
    for (size_t i = 0; i < p->n_bufs; i++)
        kern_cuda_buf_free(p->bufs[i]);
    free((void *)p->bufs);
    kern_cuda_host_free(p->c, p->kv_host);
    kern_cuda_close(p->c);
    *p = (struct cuda_part){0};
}
