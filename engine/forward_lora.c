/* engine/forward_lora.c - what adapters add to the products of a step: out += B (A x), for the tokens that have one.
 *
 * Tokens that follow each other and share an adapter are a segment; A x of a product's input is computed by each
 * thread for its own tokens, before the threads meet for the product, and B (A x) with each piece of the product's
 * rows. Both are matrix products of the kernels, whose outputs do not depend on what else is in the call: so a
 * sequence's numbers do not depend on its neighbours' adapters (F1 of forward.h). */
#include <stdlib.h>

#include "engine/forward_private.h"
#include "engine/hugemem.h"

/* ---- memory ----------------------------------------------------------------------------- */

static size_t round_up(size_t bytes)
{
    return (bytes + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

static size_t low_bytes(const struct forward *f, unsigned n_tokens)
{
    return round_up(FORWARD_LOWS * (size_t)n_tokens * f->lora.max_rank * sizeof(float));
}

/* Sizes are bounded by those of forward_new and LORA_MAX_RANK: none overflows. */
enum gw_status forward_allow_adapters(struct forward *f, unsigned max_rank, struct gw_err *err)
{
    const struct model *m = f->m;
    const size_t widths[] = {m->n_embd, m->n_ff, f->n_att, f->n_kv};
    const unsigned n_threads = pool_n_threads(f->p);
    struct forward_lora *l = &f->lora;
    size_t high, shared, alone;
    char *at;

    l->max_rank = max_rank;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
        l->max_rows = widths[i] > l->max_rows ? (unsigned)widths[i] : l->max_rows;
    high = round_up((size_t)FORWARD_LORA_TILE * l->max_rows * sizeof(float));
    shared = low_bytes(f, f->max_tokens);
    alone = low_bytes(f, FORWARD_ALONE_TOKENS);
    l->mem_bytes = shared + n_threads * (alone + high);
    l->mem = hugemem_new(l->mem_bytes);
    l->segments = calloc(f->max_tokens, sizeof(*l->segments));
    if (l->mem == NULL || l->segments == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for steps with adapters");
    at = l->mem;
    f->shared.low = (float *)(void *)at;
    at += shared;
    for (unsigned i = 0; i < n_threads; i++) {
        f->alone[i].low = (float *)(void *)at;
        l->high[i] = (float *)(void *)(at + alone);
        at += alone + high;
    }
    return GW_OK;
}

void forward_lora_fini(struct forward *f)
{
    hugemem_free(f->lora.mem, f->lora.mem_bytes);
    free(f->lora.segments);
}

/* ---- the step --------------------------------------------------------------------------- */

void forward_lora_plan(struct forward *f)
{
    struct forward_lora *l = &f->lora;
    unsigned t = 0;

    l->n_segments = 0;
    for (unsigned r = 0; r < f->n_runs; t += f->runs[r].n_tokens, r++) {
        const struct forward_run *run = &f->runs[r];
        struct forward_segment *last = l->n_segments == 0 ? NULL : &l->segments[l->n_segments - 1];

        if (run->lora == NULL)
            continue;
        if (last != NULL && last->lora == run->lora && last->to == t)
            last->to += run->n_tokens;
        else
            l->segments[l->n_segments++] =
                (struct forward_segment){run->lora, t, t + run->n_tokens};
    }
}

/* Where A x of a kind lies, and the first of its token. Products over one input have places of their own. */
static float *low_of(const struct forward_worker *w, enum lora_kind kind, unsigned token)
{
    static const unsigned char slots[LORA_KINDS] = {
        [LORA_Q] = 0,    [LORA_K] = 1,  [LORA_V] = 2,   [LORA_O] = 0,
        [LORA_GATE] = 0, [LORA_UP] = 1, [LORA_DOWN] = 0};
    const size_t tokens = w->alone ? FORWARD_ALONE_TOKENS : w->f->max_tokens;

    return w->b->low + (slots[kind] * tokens + token) * w->f->lora.max_rank;
}

void forward_lora_lower(const struct forward_worker *w, enum lora_kind first, enum lora_kind last,
                        const struct kern_acts *x)
{
    const struct forward_lora *l = &w->f->lora;

    for (unsigned i = 0; first != LORA_NONE && i < l->n_segments; i++) {
        const struct forward_segment *s = &l->segments[i];
        const unsigned from = s->from > w->from ? s->from : w->from;
        const unsigned to = s->to < w->to ? s->to : w->to;

        for (unsigned kind = first; from < to && kind <= last; kind++) {
            const struct lora_part *part = &s->lora->layers[w->layer].parts[kind];
            const struct kern_acts in = {.n_tokens = to - from,
                                         .cols = x->cols,
                                         .x = x->x + from * x->x_stride,
                                         .x_stride = x->x_stride};

            if (part->rank != 0)
                w->ops->matmul(&part->a, &in, to - from, low_of(w, (enum lora_kind)kind, from),
                               l->max_rank, 0, part->rank);
        }
    }
}

void forward_lora_raise(const struct forward_worker *w, const struct forward_product *p,
                        size_t from, size_t to)
{
    const struct forward_lora *l = &w->f->lora;
    float *high = l->high[w->thread];

    for (unsigned i = 0; i < l->n_segments; i++) {
        const struct forward_segment *s = &l->segments[i];
        const struct lora_part *part = &s->lora->layers[w->layer].parts[p->kind];

        for (unsigned t = s->from, n; part->rank != 0 && t < s->to; t += n) {
            n = s->to - t < FORWARD_LORA_TILE ? s->to - t : FORWARD_LORA_TILE;

            const struct kern_acts in = {.n_tokens = n,
                                         .cols = part->rank,
                                         .x = low_of(w, p->kind, t),
                                         .x_stride = l->max_rank};

            w->ops->matmul(&part->b, &in, n, high, l->max_rows, from, to);
            for (unsigned k = 0; k < n; k++)
                w->ops->add(p->out + (t + k) * p->stride + from,
                            high + (size_t)k * l->max_rows + from, to - from);
        }
    }
}
