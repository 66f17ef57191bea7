/* engine/device_cuda.c - the back end for NVIDIA's GPUs: which layers go where, memory of pages and steps. See device.h.
 *
 * The last layers and the output go to GPUs, in order, each GPU a share by its free memory; what does not fit stays on the CPU. Whatever a step
 * needs is taken at the start. */
#include "engine/device_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256 };

/* Memory that is left to the driver, to recorded steps, and to others. */
#define SPARE_BYTES ((uint64_t)384 << 20)

static struct device_cuda *self(struct device *base)
{
    return (struct device_cuda *)(void *)base;
}

/* ---- laying out ----------------------------------------------------------------------------- */

/* Hands out aligned pieces of mem; with mem NULL it only counts. */
struct carver {
    char *mem;
    size_t at;
};

static void *carve(struct carver *c, size_t n, size_t size)
{
    char *p = c->mem == NULL ? NULL : c->mem + c->at;

    c->at += (n * size + ALIGN - 1) / ALIGN * ALIGN;
    return p;
}

void device_cuda_lay_meta(const struct device_cuda *d, void *mem, struct cuda_meta *out)
{
    const struct device_limits *l = &d->base.limits;
    struct carver c = {mem, 0};

    out->base = mem;
    out->pos = carve(&c, l->max_tokens, sizeof(int32_t));
    out->seq = carve(&c, l->max_tokens, sizeof(int32_t));
    out->seq_first = carve(&c, (size_t)l->max_seqs + 1, sizeof(int32_t));
    out->shared = carve(&c, 3 * (size_t)l->max_seqs, sizeof(int32_t));
    out->rows = carve(&c, l->max_rows, sizeof(int32_t));
    out->picks = carve(&c, l->max_rows, sizeof(*out->picks));
    out->copies = carve(&c, (size_t)2 * CUDA_MAX_COPIES, sizeof(uint32_t));
    out->pages = carve(&c, (size_t)l->max_seqs * d->max_pages, sizeof(uint32_t));
    out->bytes = c.at;
}

static void *carve_acts(struct carver *c, const struct device_cuda *d, size_t n, size_t cols)
{
    return carve(c, 1, kern_cuda_acts_bytes((unsigned)n, cols, d->fine));
}

void device_cuda_lay_work(const struct device_cuda *d, void *mem, bool last, struct cuda_work *out)
{
    const struct model *m = d->base.m;
    const size_t n = d->base.limits.max_tokens, rows = d->base.limits.max_rows;
    const size_t places = m->n_experts == 0 ? n : n * m->n_used, f = sizeof(float);
    struct carver c = {mem, 0};

    *out = (struct cuda_work){.base = mem};
    out->x = carve(&c, n * m->n_embd, f);
    out->y = carve(&c, n * m->n_embd, f);
    out->xn = carve(&c, n * m->n_embd, f);
    out->qkv = carve(&c, n * d->n_qkv, f);
    out->att = carve(&c, n * d->n_att, f);
    out->gate = carve(&c, places * m->n_ff, f);
    out->up = carve(&c, places * m->n_ff, f);
    out->acts_embd = carve_acts(&c, d, n, m->n_embd);
    out->acts_att = carve_acts(&c, d, n, d->n_att);
    out->acts_ff = carve_acts(&c, d, places, m->n_ff);
    if (m->n_experts != 0) {
        out->router = carve(&c, n * m->n_experts, f);
        out->weight = carve(&c, places, f);
        out->chosen = carve(&c, places, sizeof(int32_t));
        out->token_of = carve(&c, places, sizeof(int32_t));
        out->place_of = carve(&c, places, sizeof(int32_t));
        out->in = carve(&c, places * m->n_embd, f);
        out->out = carve(&c, places * m->n_embd, f);
        out->acts_in = carve_acts(&c, d, places, m->n_embd);
    }
    if (last) {
        out->row_x = carve(&c, rows * m->n_embd, f);
        out->row_y = carve(&c, rows * m->n_embd, f);
        out->acts_row = carve_acts(&c, d, rows, m->n_embd);
        out->logits = carve(&c, rows * m->n_vocab, f);
        out->picked = carve(&c, rows, sizeof(int32_t));
    }
    out->bytes = c.at;
}

/* ---- where layers go ------------------------------------------------------------------------ */

/* What a layer's keys and values take for the longest sequence alone. */
static uint64_t kv_bytes(const struct device_cuda *d)
{
    return (uint64_t)(d->max_pages + 1) * d->base.m->n_kv_heads *
           kern_cuda_kv_block_bytes(d->kv_type, d->base.m->head_dim);
}

/* Bytes of a GPU that weights and pages may take. */
static uint64_t capacity(const struct device_cuda *d, const struct cuda_part *p)
{
    const struct model *m = d->base.m;
    const struct device_limits *l = &d->base.limits;
    struct cuda_meta meta;
    struct cuda_work work;
    uint64_t fixed = SPARE_BYTES;

    device_cuda_lay_meta(d, NULL, &meta);
    device_cuda_lay_work(d, NULL, true, &work);
    fixed += meta.bytes + work.bytes +
             kern_cuda_attn_scratch(p->c, l->max_tokens, l->max_context, m->n_heads, m->head_dim) +
             (uint64_t)l->max_context * m->n_rot * sizeof(float) * MODEL_ROPES;
    return p->info.free_bytes > fixed ? p->info.free_bytes - fixed : 0;
}

/* Gives layers to the GPUs, the last ones first, to each as many as its memory's share. */
static void place(struct device_cuda *d)
{
    const struct model *m = d->base.m;
    uint64_t room[DEVICE_MAX_PARTS] = {0}, used = 0, all = 0, rooms = 0;
    unsigned p = d->n_parts == 0 ? 0 : d->n_parts - 1, i = m->n_layers;

    for (unsigned k = 0; k < d->n_parts; k++)
        rooms += room[k] = capacity(d, &d->parts[k]);
    for (unsigned k = 0; k < m->n_layers; k++)
        all += device_cuda_layer_bytes(m, k) + kv_bytes(d);
    used = device_cuda_layer_bytes(m, m->n_layers);
    all += used;
    d->parts[p].to = d->parts[p].from = i;
    while (i > 0 && used <= room[p]) {
        const uint64_t need = device_cuda_layer_bytes(m, i - 1) + kv_bytes(d);
        const uint64_t share =
            rooms == 0 ? 0 : (uint64_t)((double)all / (double)rooms * (double)room[p]);

        if (device_cuda_refuses(m, i - 1) != NULL)
            break;
        if (used + need > room[p] || (p > 0 && used >= share)) {
            if (p == 0)
                break;
            used = 0;
            p--;
            d->parts[p].to = d->parts[p].from = i;
            continue;
        }
        used += need;
        d->parts[p].from = --i;
    }
    d->base.first_layer = i;
}

/* Closes GPUs that got nothing. */
static void drop_empty(struct device_cuda *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->n_parts; i++) {
        if (d->parts[i].from == d->parts[i].to) {
            device_cuda_unload(&d->parts[i], 0);
            continue;
        }
        if (n != i) {
            d->parts[n] = d->parts[i];
            d->parts[i] = (struct cuda_part){0};
        }
        n++;
    }
    d->n_parts = n;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void cuda_close(struct device *base)
{
    struct device_cuda *d = self(base);

    for (unsigned i = 0; i < CUDA_GRAPHS; i++)
        kern_cuda_graph_free(d->graphs[i].g);
    if (d->n_parts != 0) {
        struct kern_cuda *c = d->parts[d->n_parts - 1].c;

        kern_cuda_host_free(c, d->host);
        kern_cuda_host_free(c, d->host_x);
        kern_cuda_host_free(c, d->host_index);
        kern_cuda_host_free(c, d->base.logits);
        kern_cuda_host_free(c, d->base.picked);
    }
    for (unsigned i = 0; i < DEVICE_MAX_PARTS; i++)
        if (d->parts[i].c != NULL)
            device_cuda_unload(&d->parts[i], d->base.m->n_experts);
    free(d);
}

/* Pages on a GPU hold what the CPU's would, or what is nearest to it. */
static enum kern_cuda_kv_type type_of(enum kern_kv_type type)
{
    return type == KERN_KV_F16 ? KERN_CUDA_KV_F16 : KERN_CUDA_KV_I8;
}

static enum gw_status open_parts(struct device_cuda *d, const struct device_spec *spec,
                                 struct gw_err *err)
{
    for (unsigned i = 0; i < spec->n_parts; i++) {
        struct cuda_part *p = &d->parts[i];

        GW_TRY(kern_cuda_open(spec->parts[i], &p->c, &p->info, err));
        p->number = spec->parts[i];
        d->n_parts++;
    }
    return GW_OK;
}

static void describe(struct device_cuda *d)
{
    const unsigned n = d->base.m->n_layers, first = d->base.first_layer;
    size_t at = 0;

    for (unsigned i = 0; i < d->n_parts && at < sizeof(d->base.words); i++) {
        const struct cuda_part *p = &d->parts[i];
        int len = snprintf(d->base.words + at, sizeof(d->base.words) - at, "%s%s (cuda:%u)",
                           i == 0 ? "" : ", ", p->info.name, p->number);

        at += len > 0 ? (size_t)len : 0;
    }
    if (at < sizeof(d->base.words))
        (void)snprintf(d->base.words + at, sizeof(d->base.words) - at, ": %u of %u layers",
                       n - first, n);
}

static enum gw_status check_model(const struct device_cuda *d, struct gw_err *err)
{
    const struct model *m = d->base.m;
    const char *refused = device_cuda_refuses(m, m->n_layers);

    if (kern_cuda_kv_block_bytes(d->kv_type, m->head_dim) == 0)
        return gw_fail(err, GW_EUNSUPPORTED, "heads of %u numbers are not built in for GPUs",
                       m->head_dim);
    if (m->n_embd % 32 != 0 || d->n_att % 32 != 0 || m->n_ff % 32 != 0 || m->n_experts > 512 ||
        m->n_used > 32)
        return gw_fail(err, GW_EUNSUPPORTED, "the model's shape is not built in for GPUs");
    if (refused == NULL && m->n_layers != 0)
        refused = device_cuda_refuses(m, m->n_layers - 1);
    if (refused != NULL)
        return gw_fail(err, GW_EUNSUPPORTED, "not built in for GPUs: %s", refused);
    return GW_OK;
}

static enum gw_status fill(struct device_cuda *d, const struct device_spec *spec,
                           struct gw_err *err)
{
    const struct model *m = d->base.m;

    GW_TRY(open_parts(d, spec, err));
    GW_TRY(check_model(d, err));
    place(d);
    drop_empty(d);
    if (d->n_parts == 0)
        return gw_fail(err, GW_ENOMEM, "the GPU has no room for one layer of the model");
    for (unsigned i = 0; i < d->n_parts; i++)
        GW_TRY(device_cuda_load(d, &d->parts[i], i + 1 == d->n_parts, err));
    d->base.token_bytes = (uint64_t)(m->n_layers - d->base.first_layer) * m->n_kv_heads *
                          kern_cuda_kv_block_bytes(d->kv_type, m->head_dim) / KERN_CUDA_PAGE;
    describe(d);
    return GW_OK;
}

static enum gw_status cuda_open(const struct device_spec *spec, const struct model *m,
                                const struct device_limits *limits, struct device **out,
                                struct gw_err *err)
{
    struct device_cuda *d = calloc(1, sizeof(*d));
    enum gw_status st;

    if (d == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    d->base.ops = &device_cuda_ops;
    d->base.m = m;
    d->base.limits = *limits;
    d->base.first_layer = m->n_layers;
    d->n_att = m->n_heads * m->head_dim;
    d->n_kv = m->n_kv_heads * m->head_dim;
    d->n_qkv = d->n_att + 2 * d->n_kv;
    d->max_pages = (limits->max_context + KERN_CUDA_PAGE - 1) / KERN_CUDA_PAGE;
    d->fine = m->acts_form != KERN_ACTS_COARSE;
    d->kv_type = type_of(limits->kv_type);
    st = fill(d, spec, err);
    if (st != GW_OK) {
        cuda_close(&d->base);
        return st;
    }
    *out = &d->base;
    return GW_OK;
}

/* ---- pages and steps ------------------------------------------------------------------------ */

/* What pages may take: the least of all GPUs, as all hold the same page numbers. */
static uint64_t cuda_room(struct device *base)
{
    struct device_cuda *d = self(base);
    const unsigned n = base->m->n_layers - base->first_layer;
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < d->n_parts; i++) {
        const struct cuda_part *p = &d->parts[i];
        uint64_t bytes = capacity(d, p), used = 0;

        for (unsigned k = p->from; k < p->to; k++)
            used += device_cuda_layer_bytes(base->m, k);
        if (i + 1 == d->n_parts)
            used += device_cuda_layer_bytes(base->m, base->m->n_layers);
        bytes = bytes > used ? bytes - used : 0;
        bytes = bytes / (p->to - p->from) * n; /* as if it held all layers */
        least = bytes < least ? bytes : least;
    }
    return least;
}

static enum gw_status start_part(struct device_cuda *d, struct cuda_part *p, bool last,
                                 unsigned n_pages, struct gw_err *err)
{
    const struct model *m = d->base.m;
    const struct device_limits *l = &d->base.limits;
    const size_t page = (size_t)(p->to - p->from) * m->n_kv_heads *
                        kern_cuda_kv_block_bytes(d->kv_type, m->head_dim);
    size_t bytes;

    if (p->meta_buf == NULL) {
        device_cuda_lay_meta(d, NULL, &p->meta);
        GW_TRY(device_cuda_take(p, p->meta.bytes, &p->meta_buf, err));
        device_cuda_lay_meta(d, kern_cuda_at(p->meta_buf, 0), &p->meta);
    }
    if (p->work_buf == NULL) {
        device_cuda_lay_work(d, NULL, last, &p->work);
        GW_TRY(device_cuda_take(p, p->work.bytes, &p->work_buf, err));
        device_cuda_lay_work(d, kern_cuda_at(p->work_buf, 0), last, &p->work);
        GW_TRY(kern_cuda_reserve(
            p->c,
            kern_cuda_attn_scratch(p->c, l->max_tokens, l->max_context, m->n_heads, m->head_dim),
            err));
    }
    if (p->kv_buf == NULL) {
        if (__builtin_mul_overflow(page, (size_t)n_pages, &bytes))
            return gw_fail(err, GW_ENOMEM, "a KV cache of %u pages does not fit", n_pages);
        GW_TRY(device_cuda_take(p, bytes, &p->kv_buf, err));
        p->kv = (struct kern_cuda_kv){.base = kern_cuda_at(p->kv_buf, 0),
                                      .page_bytes = page,
                                      .n_kv_heads = m->n_kv_heads,
                                      .head_dim = m->head_dim,
                                      .type = d->kv_type};
    }
    return GW_OK;
}

static enum gw_status start_host(struct device_cuda *d, struct gw_err *err)
{
    const struct model *m = d->base.m;
    const struct device_limits *l = &d->base.limits;
    struct kern_cuda *c = d->parts[d->n_parts - 1].c;
    const size_t places = (size_t)l->max_tokens * (m->n_used + 1), f = sizeof(float);
    void *p;

    if (d->host != NULL)
        return GW_OK;
    device_cuda_lay_meta(d, NULL, &d->host_meta);
    GW_TRY(kern_cuda_host_new(c, (size_t)l->max_tokens * m->n_embd * f, &p, err));
    d->host_x = p;
    GW_TRY(kern_cuda_host_new(c, 3 * places * sizeof(int32_t), &p, err));
    d->host_index = p;
    GW_TRY(kern_cuda_host_new(c, (size_t)l->max_rows * m->n_vocab * f, &p, err));
    d->base.logits = p;
    GW_TRY(kern_cuda_host_new(c, l->max_rows * sizeof(int32_t), &p, err));
    d->base.picked = p;
    GW_TRY(kern_cuda_host_new(c, d->host_meta.bytes, &p, err));
    d->host = p;
    memset(d->host, 0, d->host_meta.bytes);
    device_cuda_lay_meta(d, d->host, &d->host_meta);
    return GW_OK;
}

static enum gw_status cuda_start(struct device *base, unsigned n_pages, struct gw_err *err)
{
    struct device_cuda *d = self(base);

    GW_TRY(start_host(d, err));
    for (unsigned i = 0; i < d->n_parts; i++)
        GW_TRY(start_part(d, &d->parts[i], i + 1 == d->n_parts, n_pages, err));
    return GW_OK;
}

/* Copies wait for the next step, unless one needs what another one writes. */
static void cuda_copy_page(struct device *base, uint32_t to, uint32_t from)
{
    struct device_cuda *d = self(base);
    uint32_t *pairs = d->host_meta.copies, *pair;
    bool busy = d->n_copies == CUDA_MAX_COPIES;

    for (size_t i = 0; i < d->n_copies; i++)
        busy = busy || pairs[2 * i + 1] == from || pairs[2 * i] == to || pairs[2 * i + 1] == to;
    if (busy)
        device_cuda_flush(d);
    pair = pairs + (size_t)2 * d->n_copies++;
    pair[0] = from;
    pair[1] = to;
}

static void cuda_health(const struct device *base, struct engine_device *out)
{
    const struct device_cuda *d = (const struct device_cuda *)(const void *)base;

    out->n_layers = base->m->n_layers - base->first_layer;
    for (unsigned i = 0; i < d->n_parts && i < ENGINE_MAX_GPUS; i++) {
        struct engine_gpu *g = &out->gpus[out->n_gpus++];
        struct kern_cuda_health h = {0};

        *g = (struct engine_gpu){.number = d->parts[i].number, .bytes = d->parts[i].info.bytes};
        (void)snprintf(g->name, sizeof(g->name), "%s", d->parts[i].info.name);
        if (kern_cuda_health(g->number, &h, NULL) != GW_OK)
            continue;
        g->known = true;
        g->sm_mhz = h.sm_mhz;
        g->mem_mhz = h.mem_mhz;
        g->celsius = h.celsius;
        g->percent = h.gpu_percent;
        g->watts = h.watts;
        g->joules = h.joules;
        g->used_bytes = h.used_bytes;
        g->ecc_errors = h.ecc_errors;
        g->throttled = h.throttle != 0;
    }
}

const struct device_ops device_cuda_ops = {
    .name = "cuda",
    .count = kern_cuda_count,
    .reason = kern_cuda_reason,
    .open = cuda_open,
    .room = cuda_room,
    .start = cuda_start,
    .step = device_cuda_step,
    .copy_page = cuda_copy_page,
    .health = cuda_health,
    .close = cuda_close,
};
