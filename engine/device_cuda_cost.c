/* engine/device_cuda_cost.c - what a token's keys and values cost attention where they lie: on the GPU, and in the host's memory. Timed once at the start,
 * before there is anything on the pages, over as many pages of each kind as there are, at most COST_PAGES. */
#include "base/clock.h"
#include "engine/device_cuda.h"

enum { COST_PAGES = 128, COST_PASSES = 3 };

/* One token of one sequence whose pages are [first, first + n). */
static enum gw_status note_pages(struct device_cuda *d, struct cuda_part *p, uint32_t first,
                                 unsigned n, struct kern_cuda_step *out, struct gw_err *err)
{
    const struct cuda_meta *h = &d->host_meta, *m = &p->meta;

    h->pos[0] = (int32_t)(n * KERN_CUDA_PAGE - 1);
    h->seq[0] = h->seq_first[0] = 0;
    h->seq_first[1] = 1;
    for (unsigned i = 0; i < n; i++)
        h->pages[i] = first + i;
    *out = (struct kern_cuda_step){.n_tokens = 1,
                                   .n_seqs = 1,
                                   .max_pages = d->max_pages,
                                   .max_keys = n * KERN_CUDA_PAGE,
                                   .pos = m->pos,
                                   .seq = m->seq,
                                   .seq_first = m->seq_first,
                                   .pages = m->pages,
                                   .shared = m->shared};
    GW_TRY(kern_cuda_upload(p->meta_buf, 0, d->host, d->host_meta.bytes, err));
    return kern_cuda_sync(p->c, err);
}

/* The shortest time of attention in all layers of p, a token of context, in seconds. */
static enum gw_status time_pages(struct device_cuda *d, struct cuda_part *p, uint32_t first,
                                 unsigned n, double *out, struct gw_err *err)
{
    const struct model *m = d->base.m;
    const struct kern_cuda_attn attn = {.q = p->work.qkv,
                                        .out = p->work.att,
                                        .q_stride = d->n_qkv,
                                        .out_stride = d->n_att,
                                        .n_heads = m->n_heads,
                                        .scale = m->attn_scale};
    uint64_t best = UINT64_MAX;
    struct kern_cuda_step step;

    GW_TRY(note_pages(d, p, first, n, &step, err));
    kern_cuda_zero(p->c, p->work.qkv, d->n_qkv * sizeof(float));
    for (unsigned pass = 0; pass < COST_PASSES; pass++) {
        const uint64_t t0 = gw_clock_ns();

        for (unsigned i = p->from; i < p->to; i++) {
            unsigned of_kv;
            const struct kern_cuda_kv *kv = device_cuda_kv(p, i, &of_kv);

            kern_cuda_attn(p->c, kv, of_kv, &step, &attn);
        }
        GW_TRY(kern_cuda_sync(p->c, err));
        best = gw_clock_ns() - t0 < best ? gw_clock_ns() - t0 : best;
    }
    *out = (double)best / (double)GW_NS_PER_SEC / (n * KERN_CUDA_PAGE);
    return GW_OK;
}

enum gw_status device_cuda_cost(struct device *base, struct engine_cost *out, struct gw_err *err)
{
    struct device_cuda *d = (struct device_cuda *)(void *)base;

    for (unsigned i = 0; i < d->n_parts; i++) {
        struct cuda_part *p = &d->parts[i];
        const unsigned most = d->max_pages < COST_PAGES ? d->max_pages : COST_PAGES;
        const unsigned near = p->n_pages < most ? p->n_pages : most;
        const unsigned far = p->n_far < most ? p->n_far : most;
        double s = 0;

        if (far != 0)
            GW_TRY(time_pages(d, p, p->n_pages, far, &s, err));
        out->host_kv_s += s;
        s = 0;
        if (near != 0)
            GW_TRY(time_pages(d, p, 0, near, &s, err));
        out->gpu_kv_s += s;
    }
    return GW_OK;
}
