/* engine/device_cuda_lora.c - adapters on GPUs: their numbers lie there from the start, and a step says which token has which. What an adapter adds is
 * computed for all tokens of a step at once (kernels/cuda_lora.cu), so a step holds any mixture of them, and a recorded one serves any other. */
#include <stdlib.h>

#include "engine/device_cuda.h"

/* Numbers of one part, on the device. */
static enum gw_status bring_part(struct cuda_part *p, const struct lora_part *part,
                                 struct kern_cuda_lora *out, struct gw_err *err)
{
    const struct kern_matrix *from[] = {&part->a, &part->b};
    const float **to[] = {&out->a, &out->b};

    out->rank = part->rank;
    for (size_t i = 0; part->rank != 0 && i < sizeof(from) / sizeof(from[0]); i++)
        GW_TRY(device_cuda_bring(p, from[i]->data, from[i]->rows * from[i]->cols, to[i], err));
    return GW_OK;
}

static enum gw_status bring_kind(struct device_cuda *d, struct cuda_part *p, unsigned layer,
                                 unsigned kind, struct gw_err *err)
{
    const struct device_limits *l = &d->base.limits;
    struct cuda_loras *out = &p->layers[layer - p->from].loras[kind];
    struct kern_cuda_lora parts[ENGINE_MAX_ADAPTERS] = {{0}};
    struct kern_cuda_buf *b = NULL;

    for (unsigned i = 0; i < l->n_adapters; i++) {
        const struct lora_part *part = &l->adapters[i]->layers[layer].parts[kind];

        GW_TRY(bring_part(p, part, &parts[i], err));
        out->max_rank = part->rank > out->max_rank ? part->rank : out->max_rank;
    }
    if (out->max_rank == 0)
        return GW_OK;
    GW_TRY(device_cuda_take(p, l->n_adapters * sizeof(parts[0]), &b, err));
    GW_TRY(kern_cuda_upload(b, 0, parts, l->n_adapters * sizeof(parts[0]), err));
    out->parts = kern_cuda_at(b, 0);
    return GW_OK;
}

enum gw_status device_cuda_load_adapters(struct device_cuda *d, struct cuda_part *p, unsigned layer,
                                         struct gw_err *err)
{
    for (unsigned kind = LORA_NONE + 1; d->base.limits.n_adapters != 0 && kind < LORA_KINDS; kind++)
        GW_TRY(bring_kind(d, p, layer, kind, err));
    return GW_OK;
}

uint64_t device_cuda_adapter_bytes(const struct device_limits *l, unsigned layer)
{
    uint64_t numbers = 0;

    for (unsigned i = 0; i < l->n_adapters; i++)
        for (unsigned kind = LORA_NONE + 1; kind < LORA_KINDS; kind++) {
            const struct lora_part *part = &l->adapters[i]->layers[layer].parts[kind];

            numbers += part->rank == 0 ? 0 : part->rank * (part->a.cols + part->b.rows);
        }
    return numbers * sizeof(float);
}

unsigned device_cuda_max_rank(const struct device_limits *l)
{
    unsigned most = 0;

    for (unsigned i = 0; i < l->n_adapters; i++)
        most = l->adapters[i]->max_rank > most ? l->adapters[i]->max_rank : most;
    return most;
}

bool device_cuda_note_adapters(const struct device_limits *l, const struct device_step *s,
                               int32_t *of)
{
    bool any = false;

    for (unsigned r = 0, t = 0; l->n_adapters != 0 && r < s->n_runs; r++) {
        int32_t mine = -1;

        for (unsigned i = 0; s->runs[r].lora != NULL && i < l->n_adapters; i++)
            mine = l->adapters[i] == s->runs[r].lora ? (int32_t)i : mine;
        any = any || mine >= 0;
        for (unsigned k = 0; k < s->runs[r].n_tokens; k++)
            of[t++] = mine;
    }
    return any;
}

void device_cuda_adapt(struct cuda_part *p, unsigned layer, enum lora_kind kind,
                       const struct kern_cuda_acts *x, size_t rows, float *out, size_t stride)
{
    const struct cuda_loras *l = &p->layers[layer - p->from].loras[kind];

    kern_cuda_lora(
        p->c,
        &(struct kern_cuda_loras){
            .parts = l->parts, .max_rank = l->max_rank, .of = p->meta.adapter, .low = p->work.low},
        x->x, x->n_tokens, rows, x->cols, out, stride);
}
