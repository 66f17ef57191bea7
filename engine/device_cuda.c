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
    if (l->n_adapters != 0)
        out->adapter = carve(&c, l->max_tokens, sizeof(int32_t));
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
    const unsigned rank = device_cuda_max_rank(&d->base.limits);
    struct carver c = {mem, 0};

    *out = (struct cuda_work){.base = mem};
    out->x = carve(&c, n * m->n_embd, f);
    out->y = carve(&c, n * m->n_embd, f);
    out->xn = carve(&c, n * m->n_embd, f);
    out->qkv = carve(&c, n * d->n_qkv, f);
    out->att = carve(&c, n * d->n_att, f);
    out->gate = carve(&c, places * m->n_ff, f);
    out->up = carve(&c, places * m->n_ff, f);
    if (rank != 0)
        out->low = carve(&c, n * rank, f);
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

/* How a layer's keys and values are kept: as on the CPU. */
static enum kern_cuda_kv_type kv_type(const struct device_cuda *d, unsigned layer)
{
    const struct device_limits *l = &d->base.limits;
    const enum kern_kv_type type = l->layer_types != NULL ? l->layer_types[layer] : l->kv_type;

    return type == KERN_KV_F16   ? KERN_CUDA_KV_F16
           : type == KERN_KV_I4  ? KERN_CUDA_KV_Q4
           : type == KERN_KV_FP8 ? KERN_CUDA_KV_FP8
                                 : KERN_CUDA_KV_I8;
}

/* Bytes of a page of layers [from, to). */
static uint64_t page_bytes(const struct device_cuda *d, unsigned from, unsigned to)
{
    const struct model *m = d->base.m;
    uint64_t bytes = 0;

    for (unsigned i = from; i < to; i++)
        bytes += (uint64_t)m->n_kv_heads * kern_cuda_kv_block_bytes(kv_type(d, i), m->head_dim);
    return bytes;
}

/* What a layer wants: its weights, what adapters add to them, and the keys and values of the longest sequence alone; those of a very long one need
 * not all be there. */
static uint64_t wanted_bytes(const struct device_cuda *d, unsigned layer)
{
    const unsigned pages = d->max_pages < CUDA_NEAR_PAGES ? d->max_pages : CUDA_NEAR_PAGES;

    return device_cuda_layer_bytes(&d->base, layer) +
           device_cuda_adapter_bytes(&d->base.limits, layer) +
           (pages + 2) * page_bytes(d, layer, layer + 1);
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

/* The last ones first, to each GPU as many as its memory's share. */
void device_cuda_place(struct device_cuda *d)
{
    const struct model *m = d->base.m;
    uint64_t room[DEVICE_MAX_PARTS] = {0}, used = 0, all = 0, rooms = 0;
    unsigned p = d->n_parts == 0 ? 0 : d->n_parts - 1, i = m->n_layers;

    for (unsigned k = 0; k < d->n_parts; k++)
        rooms += room[k] = capacity(d, &d->parts[k]);
    for (unsigned k = 0; k < m->n_layers; k++)
        all += wanted_bytes(d, k);
    used = device_cuda_layer_bytes(&d->base, m->n_layers);
    all += used;
    d->parts[p].to = d->parts[p].from = i;
    while (i > 0 && used <= room[p]) {
        const uint64_t need = wanted_bytes(d, i - 1);
        const uint64_t share =
            rooms == 0 ? 0 : (uint64_t)((double)all / (double)rooms * (double)room[p]);

        if (device_cuda_refuses(&d->base, i - 1) != NULL)
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
        (void)snprintf(d->base.words + at, sizeof(d->base.words) - at, ": %u of %u layers%s",
                       n - first, n, d->base.limits.fp8_weights ? ", weights fp8" : "");
}

static enum gw_status check_model(const struct device_cuda *d, struct gw_err *err)
{
    const struct model *m = d->base.m;
    const char *refused = device_cuda_refuses(&d->base, m->n_layers);
    unsigned changes = 0;

    for (unsigned i = 0; i < m->n_layers; i++)
        changes += i != 0 && kv_type(d, i) != kv_type(d, i - 1);
    if (!device_has_kv(d->base.limits.kv_type) || changes > 1)
        return gw_fail(err, GW_EUNSUPPORTED, "this type of kv is not built in for GPUs");
    if (page_bytes(d, 0, 1) == 0 || page_bytes(d, m->n_layers - 1, m->n_layers) == 0)
        return gw_fail(err, GW_EUNSUPPORTED, "heads of %u numbers are not built in for GPUs",
                       m->head_dim);
    if (m->n_embd % 32 != 0 || d->n_att % 32 != 0 || m->n_ff % 32 != 0 || m->n_experts > 512 ||
        m->n_used > 32)
        return gw_fail(err, GW_EUNSUPPORTED, "the model's shape is not built in for GPUs");
    if (refused == NULL && m->n_layers != 0)
        refused = device_cuda_refuses(&d->base, m->n_layers - 1);
    if (refused != NULL)
        return gw_fail(err, GW_EUNSUPPORTED, "not built in for GPUs: %s", refused);
    return GW_OK;
}

enum gw_status device_cuda_find(struct device_cuda *d, const struct device_spec *spec,
                                struct gw_err *err)
{
    GW_TRY(open_parts(d, spec, err));
    return check_model(d, err);
}

/* Does part i have the output? */
static bool has_output(const struct device_cuda *d, unsigned i)
{
    return d->share == 0 && i + 1 == d->n_parts;
}

enum gw_status device_cuda_fill(struct device_cuda *d, struct gw_err *err)
{
    const struct model *m = d->base.m;

    drop_empty(d);
    if (d->n_parts == 0)
        return gw_fail(err, GW_ENOMEM, "the GPU has no room for one layer of the model");
    for (unsigned i = 0; i < d->n_parts; i++)
        GW_TRY(device_cuda_load(d, &d->parts[i], has_output(d, i), err));
    d->base.token_bytes = page_bytes(d, d->base.first_layer, m->n_layers) / KERN_CUDA_PAGE;
    describe(d);
    return GW_OK;
}

struct device_cuda *device_cuda_new(const struct model *m, const struct device_limits *limits)
{
    struct device_cuda *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return NULL;
    d->base.ops = &device_cuda_ops;
    d->base.m = m;
    d->base.limits = *limits;
    d->base.first_layer = m->n_layers;
    d->n_shares = 1;
    d->n_att = m->n_heads * m->head_dim;
    d->n_kv = m->n_kv_heads * m->head_dim;
    d->n_qkv = d->n_att + 2 * d->n_kv;
    d->max_pages = (limits->max_context + KERN_CUDA_PAGE - 1) / KERN_CUDA_PAGE;
    d->fine = m->acts_form != KERN_ACTS_COARSE;
    return d;
}

static enum gw_status cuda_open(const struct device_spec *spec, const struct model *m,
                                const struct device_limits *limits, struct device **out,
                                struct gw_err *err)
{
    struct device_cuda *d = device_cuda_new(m, limits);
    enum gw_status st;

    if (d == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    st = device_cuda_find(d, spec, err);
    if (st == GW_OK) {
        device_cuda_place(d);
        st = device_cuda_fill(d, err);
    }
    if (st != GW_OK) {
        cuda_close(&d->base);
        return st;
    }
    *out = &d->base;
    return GW_OK;
}

/* ---- pages and steps ------------------------------------------------------------------------ */

/* Pages of its layers that a GPU has room for. */
static uint64_t room_of(const struct device_cuda *d, const struct cuda_part *p, bool last)
{
    const uint64_t bytes = capacity(d, p), page = page_bytes(d, p->from, p->to);
    uint64_t used = last ? device_cuda_layer_bytes(&d->base, d->base.m->n_layers) : 0;

    for (unsigned k = p->from; k < p->to; k++)
        used +=
            device_cuda_layer_bytes(&d->base, k) + device_cuda_adapter_bytes(&d->base.limits, k);
    return page == 0 || bytes < used ? 0 : (bytes - used) / page; /* 0: a GPU without layers */
}

/* What pages may take: as many as the GPU with the least room has, as all hold the same page numbers. */
static uint64_t cuda_room(struct device *base)
{
    struct device_cuda *d = self(base);
    uint64_t least = UINT32_MAX;

    for (unsigned i = 0; i < d->n_parts; i++) {
        const uint64_t pages = room_of(d, &d->parts[i], has_output(d, i));

        least = pages < least ? pages : least;
    }
    return least * page_bytes(d, base->first_layer, base->m->n_layers);
}

/* Pages on the GPU, and in the host's memory what it has no room for. Fewer than one long sequence needs are not enough: then the host holds more. */
static enum gw_status take_pages(struct device_cuda *d, struct cuda_part *p, bool last,
                                 unsigned n_pages, struct gw_err *err)
{
    const uint64_t page = page_bytes(d, p->from, p->to), room = room_of(d, p, last);
    uint64_t here = room < n_pages ? room : n_pages;
    enum gw_status st = GW_OK;

    for (; p->kv_buf == NULL; here /= 2) {
        st = device_cuda_take(p, here * page, &p->kv_buf, err);
        p->n_pages = (uint32_t)here;
        if (st != GW_OK && (st != GW_ENOMEM || here == 0 || n_pages > d->max_pages + 2))
            return st;
    }
    p->n_far = n_pages > p->n_pages ? n_pages - p->n_pages : 0;
    return p->n_far == 0 || p->kv_host != NULL
               ? GW_OK
               : kern_cuda_host_new(p->c, p->n_far * page, &p->kv_host, err);
}

/* Where the layers' keys and values lie in a page. */
static void lay_pages(const struct device_cuda *d, struct cuda_part *p)
{
    const struct model *m = d->base.m;
    char *here = kern_cuda_at(p->kv_buf, 0);
    char *far = p->kv_host == NULL ? NULL : kern_cuda_host_at(p->c, p->kv_host);

    for (p->kv_split = 1; p->from + p->kv_split < p->to; p->kv_split++)
        if (kv_type(d, p->from + p->kv_split) != kv_type(d, p->from))
            break;
    for (unsigned i = 0; i < 2; i++) {
        const unsigned first =
            i == 0 || p->from + p->kv_split == p->to ? p->from : p->from + p->kv_split;
        const size_t before = page_bytes(d, p->from, first);

        p->kv[i] = (struct kern_cuda_kv){.base = here + before,
                                         .host = far == NULL ? NULL : far + before,
                                         .n_pages = p->n_pages,
                                         .page_bytes = page_bytes(d, p->from, p->to),
                                         .n_kv_heads = m->n_kv_heads,
                                         .head_dim = m->head_dim,
                                         .type = kv_type(d, first)};
    }
}

static enum gw_status start_part(struct device_cuda *d, struct cuda_part *p, bool last,
                                 unsigned n_pages, struct gw_err *err)
{
    const struct model *m = d->base.m;
    const struct device_limits *l = &d->base.limits;

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
    GW_TRY(take_pages(d, p, last, n_pages, err));
    lay_pages(d, p);
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
        GW_TRY(start_part(d, &d->parts[i], has_output(d, i), n_pages, err));
    base->far_tokens = 0;
    for (unsigned i = 0; i < d->n_parts; i++)
        if (d->parts[i].n_far * KERN_CUDA_PAGE > base->far_tokens)
            base->far_tokens = d->parts[i].n_far * KERN_CUDA_PAGE;
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
    .cost = device_cuda_cost,
    .health = cuda_health,
    .close = cuda_close,
};
