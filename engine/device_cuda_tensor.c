/* engine/device_cuda_tensor.c - several GPUs that share each layer: every one has some of the KV heads with their queries, some of the rows of gate and up, and
 * the columns of o and down that belong to them. What they compute is added up behind o and behind down, so there are two sums a layer; norms and the
 * stream are everywhere, the output is the first one's.
 *
 * Each GPU is a device_cuda of its own, opened with a view of the model (struct share) that has fewer heads and a narrower middle, and no more. Here they
 * are opened, and make their steps together. Keys and values lie with their heads; page numbers are the same on all. Steps are launched, not recorded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/device_cuda.h"

/* One GPU's view of the model: matrices are parts of the model's, see device_cuda_load.c for columns. */
struct share {
    struct model m;
    struct model_layer *layers;
    struct device_cuda *d;
};

struct device_tensor {
    struct device base; /* first: the engine's pointer is to it */
    struct share shares[DEVICE_MAX_PARTS];
    unsigned n;
    struct kern_cuda_group *group;
    enum gw_status failed; /* D2 */
    struct gw_err why;
};

static struct device_tensor *self(struct device *base)
{
    return (struct device_tensor *)(void *)base;
}

/* ---- sharing a model ------------------------------------------------------------------------ */

/* Whether n GPUs can each have columns of w. */
static enum gw_status check_columns(const struct kern_matrix *w, const char *name, unsigned layer,
                                    unsigned n, struct gw_err *err)
{
    const struct kern_type_info *info = kern_type_info(w->type);
    const size_t unit =
        info != NULL && info->block_elems > KERN_BLOCK ? info->block_elems : (size_t)KERN_BLOCK;

    if (w->cols % (n * unit) == 0)
        return GW_OK;
    return gw_fail(
        err, GW_EUNSUPPORTED,
        "the %zu columns of %s in layer %u cannot be shared by %u GPUs in blocks of %zu: "
        "take fewer GPUs, or split: layers",
        w->cols, name, layer, n, unit);
}

enum gw_status device_check_split(const struct device_spec *spec, const struct model *m,
                                  struct gw_err *err)
{
    const unsigned n = spec->n_parts;

    if (m->n_kv_heads % n != 0)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "the model's %u KV heads cannot be shared by %u GPUs: take a number of GPUs "
                       "that divides them, or split: layers",
                       m->n_kv_heads, n);
    if (m->n_experts != 0)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "experts are not shared by tensors: take split: layers");
    for (unsigned i = 0; i < m->n_layers; i++) {
        GW_TRY(check_columns(&m->layers[i].o, "o", i, n, err));
        GW_TRY(check_columns(&m->layers[i].down, "down", i, n, err));
    }
    return GW_OK;
}

/* Rows of w for share i of n. */
static struct kern_matrix rows_of(const struct kern_matrix *w, unsigned i, unsigned n)
{
    struct kern_matrix part = *w;
    size_t row = 0;

    (void)kern_row_bytes(w->type, w->cols, &row); /* the model was checked when it was loaded */
    part.rows = w->rows / n;
    part.data = (const char *)w->data + i * part.rows * row;
    return part;
}

/* Columns of w: the rows stay as long as they are. */
static struct kern_matrix columns_of(const struct kern_matrix *w, unsigned i, unsigned n)
{
    struct kern_matrix part = *w;
    size_t bytes = 0;

    part.cols = w->cols / n;
    (void)kern_row_bytes(w->type, part.cols, &bytes);
    part.data = (const char *)w->data + i * bytes;
    return part;
}

static const float *from(const float *x, size_t at)
{
    return x != NULL ? x + at : NULL;
}

static void share_layer(struct model_layer *l, const struct model *part, unsigned i, unsigned n)
{
    const size_t q = (size_t)part->n_heads * part->head_dim,
                 kv = (size_t)part->n_kv_heads * part->head_dim;
    struct kern_matrix *rows[] = {&l->q, &l->k, &l->v, &l->gate, &l->up};
    struct kern_matrix *columns[] = {&l->o, &l->down};

    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
        *rows[k] = rows_of(rows[k], i, n);
    for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
        *columns[k] = columns_of(columns[k], i, n);
    l->q_bias = from(l->q_bias, i * q);
    l->k_bias = from(l->k_bias, i * kv);
    l->v_bias = from(l->v_bias, i * kv);
}

/* The view of GPU i of n. */
static enum gw_status share_model(const struct model *m, unsigned i, unsigned n, struct share *out,
                                  struct gw_err *err)
{
    out->layers = calloc(m->n_layers, sizeof(*out->layers));
    if (out->layers == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    memcpy(out->layers, m->layers, m->n_layers * sizeof(*out->layers));
    out->m = *m;
    out->m.layers = out->layers;
    out->m.n_heads /= n;
    out->m.n_kv_heads /= n;
    out->m.n_ff /= n;
    for (unsigned k = 0; k < m->n_layers; k++)
        share_layer(&out->layers[k], &out->m, i, n);
    return GW_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void tensor_close(struct device *base)
{
    struct device_tensor *t = self(base);

    kern_cuda_group_free(t->group);
    for (unsigned i = 0; i < DEVICE_MAX_PARTS; i++) {
        if (t->shares[i].d != NULL)
            device_close(&t->shares[i].d->base);
        free(t->shares[i].layers);
    }
    free(t);
}

static enum gw_status open_shares(struct device_tensor *t, const struct device_spec *spec,
                                  struct gw_err *err)
{
    for (; t->n < spec->n_parts; t->n++) {
        struct share *s = &t->shares[t->n];
        const struct device_spec one = {
            .kind = DEVICE_CUDA, .n_parts = 1, .parts = {spec->parts[t->n]}};

        GW_TRY(share_model(t->base.m, t->n, spec->n_parts, s, err));
        s->d = device_cuda_new(&s->m, &t->base.limits);
        if (s->d == NULL)
            return gw_fail(err, GW_ENOMEM, "out of memory for a device");
        GW_TRY(device_cuda_find(s->d, &one, err));
        s->d->n_shares = spec->n_parts;
        s->d->share = t->n;
    }
    return GW_OK;
}

/* Joins the GPUs; what that took is no longer free. */
static enum gw_status join(struct device_tensor *t, struct gw_err *err)
{
    struct kern_cuda *c[DEVICE_MAX_PARTS] = {NULL};

    for (unsigned i = 0; i < t->n; i++)
        c[i] = t->shares[i].d->parts[0].c;
    GW_TRY(kern_cuda_group_new(c, t->n, (size_t)t->base.limits.max_tokens * t->base.m->n_embd,
                               &t->group, err));
    for (unsigned i = 0; i < t->n; i++)
        GW_TRY(kern_cuda_free_bytes(c[i], &t->shares[i].d->parts[0].info.free_bytes, err));
    return GW_OK;
}

/* As many layers everywhere as the GPU with the least room takes. */
static enum gw_status fill(struct device_tensor *t, struct gw_err *err)
{
    unsigned first = 0;

    for (unsigned i = 0; i < t->n; i++) {
        const struct device *d = &t->shares[i].d->base;

        device_cuda_place(t->shares[i].d);
        first = d->first_layer > first ? d->first_layer : first;
    }
    if (first == t->base.m->n_layers)
        return gw_fail(err, GW_ENOMEM, "a GPU has no room for its share of one layer of the model");
    for (unsigned i = 0; i < t->n; i++) {
        struct device_cuda *d = t->shares[i].d;

        d->base.first_layer = d->parts[0].from = first;
        GW_TRY(device_cuda_fill(d, err));
        t->base.token_bytes += d->base.token_bytes;
    }
    t->base.first_layer = first;
    return GW_OK;
}

static void describe(struct device_tensor *t)
{
    const unsigned n = t->base.m->n_layers, first = t->base.first_layer;
    char numbers[4 * DEVICE_MAX_PARTS + 1] = "";
    size_t at = 0;

    for (unsigned i = 0; i < t->n && at < sizeof(numbers); i++) {
        const int len = snprintf(numbers + at, sizeof(numbers) - at, "%s%u", i == 0 ? "" : ",",
                                 t->shares[i].d->parts[0].number);

        at += len > 0 ? (size_t)len : 0;
    }
    (void)snprintf(t->base.words, sizeof(t->base.words),
                   "%s (cuda:%s): %u of %u layers, shared by tensors (%s)%s",
                   t->shares[0].d->parts[0].info.name, numbers, n - first, n,
                   kern_cuda_group_way(t->group),
                   t->base.limits.fp8_weights ? ", weights fp8" : "");
}

static enum gw_status open_all(struct device_tensor *t, const struct device_spec *spec,
                               struct gw_err *err)
{
    GW_TRY(device_check_split(spec, t->base.m, err));
    GW_TRY(open_shares(t, spec, err));
    GW_TRY(join(t, err));
    GW_TRY(fill(t, err));
    describe(t);
    return GW_OK;
}

static enum gw_status tensor_open(const struct device_spec *spec, const struct model *m,
                                  const struct device_limits *limits, struct device **out,
                                  struct gw_err *err)
{
    struct device_tensor *t = calloc(1, sizeof(*t));
    enum gw_status st;

    if (t == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    t->base.ops = &device_tensor_ops;
    t->base.m = m;
    t->base.limits = *limits;
    st = open_all(t, spec, err);
    if (st != GW_OK) {
        tensor_close(&t->base);
        return st;
    }
    *out = &t->base;
    return GW_OK;
}

/* ---- pages ---------------------------------------------------------------------------------- */

/* As many pages as the GPU with the least room has, on all. */
static uint64_t tensor_room(struct device *base)
{
    struct device_tensor *t = self(base);
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < t->n; i++) {
        const uint64_t room = device_room(&t->shares[i].d->base);

        least = room < least ? room : least;
    }
    return least * t->n;
}

static enum gw_status tensor_start(struct device *base, unsigned n_pages, struct gw_err *err)
{
    struct device_tensor *t = self(base);

    base->far_tokens = 0;
    for (unsigned i = 0; i < t->n; i++) {
        struct device *d = &t->shares[i].d->base;

        GW_TRY(device_start(d, n_pages, err));
        base->far_tokens = d->far_tokens > base->far_tokens ? d->far_tokens : base->far_tokens;
    }
    base->logits = t->shares[0].d->base.logits;
    base->picked = t->shares[0].d->base.picked;
    return GW_OK;
}

static void tensor_copy_page(struct device *base, uint32_t to, uint32_t from_page)
{
    struct device_tensor *t = self(base);

    for (unsigned i = 0; i < t->n; i++)
        device_copy_page(&t->shares[i].d->base, to, from_page);
}

/* They work at the same time: the slowest one is what it costs. */
static enum gw_status tensor_cost(struct device *base, struct engine_cost *out, struct gw_err *err)
{
    struct device_tensor *t = self(base);

    for (unsigned i = 0; i < t->n; i++) {
        struct engine_cost c = {0};

        GW_TRY(device_cost(&t->shares[i].d->base, &c, err));
        out->gpu_kv_s = c.gpu_kv_s > out->gpu_kv_s ? c.gpu_kv_s : out->gpu_kv_s;
        out->host_kv_s = c.host_kv_s > out->host_kv_s ? c.host_kv_s : out->host_kv_s;
    }
    return GW_OK;
}

static void tensor_health(const struct device *base, struct engine_device *out)
{
    const struct device_tensor *t = (const struct device_tensor *)(const void *)base;

    for (unsigned i = 0; i < t->n; i++)
        device_health(&t->shares[i].d->base, out);
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* y of all becomes the sum of theirs. */
static void sum(struct device_tensor *t, const struct cuda_run *r)
{
    float *y[DEVICE_MAX_PARTS] = {NULL};

    for (unsigned i = 0; i < t->n; i++)
        y[i] = t->shares[i].d->parts[0].work.y;
    kern_cuda_group_sum(t->group, y, (size_t)r->k.n_tokens * t->base.m->n_embd);
}

static enum gw_status launch(struct device_tensor *t, const struct device_step *s,
                             struct gw_err *err)
{
    struct cuda_run r[DEVICE_MAX_PARTS] = {{0}};

    for (unsigned i = 0; i < t->n; i++) {
        r[i] = (struct cuda_run){.d = t->shares[i].d, .s = s, .n_rows = s->n_rows};
        device_cuda_note(&r[i]);
        GW_TRY(device_cuda_send(&r[i], err));
    }
    for (unsigned layer = t->base.first_layer; layer < t->base.m->n_layers; layer++) {
        for (unsigned i = 0; i < t->n; i++)
            device_cuda_attend(&r[i], &r[i].d->parts[0], layer);
        sum(t, r);
        for (unsigned i = 0; i < t->n; i++)
            device_cuda_feed(&r[i], &r[i].d->parts[0], layer);
        sum(t, r);
    }
    if (s->n_rows != 0)
        device_cuda_logits(&r[0], &r[0].d->parts[0]);
    GW_TRY(kern_cuda_group_sync(t->group, err));
    return device_cuda_fetch(&r[0], err);
}

static enum gw_status tensor_step(struct device *base, const struct device_step *s,
                                  struct gw_err *err)
{
    struct device_tensor *t = self(base);
    struct gw_err why = {0};

    if (t->failed == GW_OK) {
        t->failed = launch(t, s, &why);
        t->why = why;
    }
    return t->failed == GW_OK ? GW_OK : gw_fail(err, t->failed, "the GPU failed: %s", t->why.text);
}

const struct device_ops device_tensor_ops = {
    .name = "cuda tensors",
    .count = kern_cuda_count,
    .reason = kern_cuda_reason,
    .open = tensor_open,
    .room = tensor_room,
    .start = tensor_start,
    .step = tensor_step,
    .copy_page = tensor_copy_page,
    .cost = tensor_cost,
    .health = tensor_health,
    .close = tensor_close,
};
