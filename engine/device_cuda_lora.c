/* engine/device_cuda_lora.c - adapters on GPUs: their numbers lie there from the start, and a step says which token has which. What an adapter adds is
 * computed for all tokens of a step at once (kernels/cuda_lora.cu), so a step holds any mixture of them, and a recorded one serves any other. */
#include <stdlib.h>
#include <string.h>

#include "engine/device_cuda.h"

/* This GPU's share of the columns of a. */
static enum gw_status bring_columns(const struct device_cuda *d, struct cuda_part *p,
                                    const struct kern_matrix *a, const float **out,
                                    struct gw_err *err)
{
    const size_t mine = a->cols / d->n_shares;
    float *rows = malloc(a->rows * mine * sizeof(*rows));
    enum gw_status st;

    if (rows == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a device");
    for (size_t i = 0; i < a->rows; i++)
        memcpy(rows + i * mine, (const float *)a->data + i * a->cols + d->share * mine,
               mine * sizeof(*rows));
    st = device_cuda_bring(p, rows, a->rows * mine, out, err);
    free(rows);
    return st;
}

/* Numbers of one part, on the device. GPUs that share a layer have of each matrix what goes with their share of the weights: where that is columns, what they add is a
 * part of the sum, too. */
static enum gw_status bring_part(const struct device_cuda *d, struct cuda_part *p, unsigned kind,
                                 const struct lora_part *part, struct kern_cuda_lora *out,
                                 struct gw_err *err)
{
    const struct kern_matrix *a = &part->a, *b = &part->b;
    const size_t rows = b->rows / d->n_shares;

    out->rank = part->rank;
    if (part->rank == 0)
        return GW_OK;
    if (d->n_shares > 1 && (kind == LORA_O || kind == LORA_DOWN)) {
        GW_TRY(bring_columns(d, p, a, &out->a, err));
        return device_cuda_bring(p, b->data, b->rows * b->cols, &out->b, err);
    }
    GW_TRY(device_cuda_bring(p, a->data, a->rows * a->cols, &out->a, err));
    return device_cuda_bring(p, (const float *)b->data + d->share * rows * b->cols, rows * b->cols,
                             &out->b, err);
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

        GW_TRY(bring_part(d, p, kind, part, &parts[i], err));
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
