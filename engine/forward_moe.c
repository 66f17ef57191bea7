/* engine/forward_moe.c - a layer of experts: each token goes to a few of many.
 *
 * One thread sorts (token, expert) pairs by expert, so that each expert's weights are read once for all of its
 * tokens; everything else is shared like the dense layers. The experts of a token and the order in which
 * their results are added depend on that token alone (F1 of forward.h). */
#include <math.h>
#include <string.h>

#include "engine/forward_private.h"

/* The n_used largest of the router's numbers, the first of equals first, and their softmax among themselves:
 * that over all experts made to sum to 1 again. */
static void choose(const struct forward_worker *w, unsigned t)
{
    const unsigned n = w->m->n_experts, used = w->m->n_used;
    const float *z = w->f->moe.router + (size_t)t * n;
    int32_t *chosen = w->f->moe.chosen + (size_t)t * used;
    float *weight = w->f->moe.weight + (size_t)t * used;
    unsigned n_chosen = 0;

    for (unsigned e = 0; e < n; e++) {
        unsigned at = n_chosen < used ? n_chosen++ : used;

        for (; at > 0 && !(z[chosen[at - 1]] >= z[e]); at--)
            if (at < used)
                chosen[at] = chosen[at - 1];
        if (at < used)
            chosen[at] = (int32_t)e;
    }
    for (unsigned i = 0; i < used; i++)
        weight[i] = z[chosen[i]];
    w->ops->softmax(weight, used, 1.0f);
}

/* Routes all tokens and sorts their places by expert. */
static void route(const struct forward_worker *w, const struct model_layer *l)
{
    struct forward_moe *e = &w->f->moe;
    const unsigned n = w->m->n_experts, used = w->m->n_used, n_tokens = w->f->n_tokens;
    const struct forward_product router = {&l->router, e->router, n, LORA_NONE};
    unsigned at = 0;

    forward_multiply(w, &router, &w->embd, n_tokens, 0, forward_panels(&l->router));
    memset(e->first, 0, ((size_t)n + 1) * sizeof(*e->first));
    for (unsigned t = 0; t < n_tokens; t++) {
        choose(w, t);
        for (unsigned i = 0; i < used; i++)
            e->first[e->chosen[(size_t)t * used + i] + 1]++;
    }
    e->n_busy = 0;
    for (unsigned i = 0; i < n; i++) {
        if (e->first[i + 1] != 0)
            e->busy[e->n_busy++] = i;
        at += e->first[i + 1];
        e->first[i + 1] = at;
    }
    /* first[i] moves to the end of expert i while its places are given out, and then back. */
    for (size_t p = 0; p < (size_t)n_tokens * used; p++) {
        const unsigned place = e->first[e->chosen[p]]++;

        e->place[p] = place;
        e->token[place] = (unsigned)(p / used);
    }
    memmove(e->first + 1, e->first, n * sizeof(*e->first));
    e->first[0] = 0;
}

/* The places whose inputs this thread prepares. */
static void share_places(const struct forward_worker *w, unsigned *from, unsigned *to)
{
    const uint64_t n = (uint64_t)w->f->n_tokens * w->m->n_used;
    const unsigned threads = pool_n_threads(w->f->p);

    *from = (unsigned)(n * w->thread / threads);
    *to = (unsigned)(n * (w->thread + 1) / threads);
}

/* The tokens of one expert out of all places. */
static struct kern_acts acts_of(const struct kern_acts *all, size_t first, size_t n)
{
    struct kern_acts a = *all;

    a.n_tokens = (unsigned)n;
    a.x += first * a.x_stride;
    a.blocks += first * a.stride;
    if (a.rests != NULL)
        a.rests += first * a.stride * KERN_BLOCK;
    return a;
}

/* A piece of work: panels [from, to) of the i-th busy expert. False: none left. pieces: of one expert. */
static bool take(const struct forward_worker *w, size_t panels, atomic_uint *counter, size_t *i,
                 size_t *from, size_t *to)
{
    const size_t piece = forward_piece(w, panels * w->f->moe.n_busy);
    const size_t pieces = (panels + piece - 1) / piece, n = pool_take(counter);

    if (n >= pieces * w->f->moe.n_busy)
        return false;
    *i = n / pieces;
    *from = n % pieces * piece;
    *to = panels - *from < piece ? panels : *from + piece;
    return true;
}

static void gate_and_up(const struct forward_worker *w, const struct model_layer *l,
                        const struct kern_acts *all, atomic_uint *counter)
{
    const struct forward_moe *e = &w->f->moe;
    const size_t n_ff = w->m->n_ff, panels = forward_panels(&l->experts[0].gate);
    size_t i, from, to;

    while (take(w, panels, counter, &i, &from, &to)) {
        const struct model_expert *x = &l->experts[e->busy[i]];
        const size_t first = e->first[e->busy[i]], n = e->first[e->busy[i] + 1] - first;
        const struct kern_acts a = acts_of(all, first, n);
        const struct forward_product gate = {&x->gate, e->gate + first * n_ff, n_ff, LORA_NONE};
        const struct forward_product up = {&x->up, e->up + first * n_ff, n_ff, LORA_NONE};
        const size_t at = from * KERN_ROW_STEP;
        const size_t end = to * KERN_ROW_STEP < n_ff ? to * KERN_ROW_STEP : n_ff;

        forward_multiply(w, &gate, &a, (unsigned)n, from, to);
        forward_multiply(w, &up, &a, (unsigned)n, from, to);
        for (size_t t = 0; t < n; t++)
            forward_activate(w, gate.out + t * n_ff + at, up.out + t * n_ff + at, end - at);
    }
}

static void down(const struct forward_worker *w, const struct model_layer *l,
                 const struct kern_acts *all, atomic_uint *counter)
{
    const struct forward_moe *e = &w->f->moe;
    const size_t d = w->m->n_embd, panels = forward_panels(&l->experts[0].down);
    size_t i, from, to;

    while (take(w, panels, counter, &i, &from, &to)) {
        const size_t first = e->first[e->busy[i]], n = e->first[e->busy[i] + 1] - first;
        const struct kern_acts a = acts_of(all, first, n);
        const struct forward_product p = {&l->experts[e->busy[i]].down, e->y + first * d, d,
                                          LORA_NONE};

        forward_multiply(w, &p, &a, (unsigned)n, from, to);
    }
}

/* x += the weighted sum of what its experts say, in the order of their choice. */
static void combine(const struct forward_worker *w)
{
    const struct forward_moe *e = &w->f->moe;
    const size_t d = w->m->n_embd, used = w->m->n_used;

    for (size_t t = w->from; t < w->to; t++) {
        for (size_t i = 0; i < used; i++) {
            const float *y = e->y + (size_t)e->place[t * used + i] * d;
            const float weight = e->weight[t * used + i];
            float *x = w->b->x + t * d;

            for (size_t k = 0; k < d; k++)
                x[k] += weight * y[k];
        }
    }
}

void forward_experts(struct forward_worker *w, const struct model_layer *l, atomic_uint *counters)
{
    struct forward_moe *e = &w->f->moe;
    const size_t d = w->m->n_embd, n_ff = w->m->n_ff;
    const unsigned places = w->f->n_tokens * w->m->n_used;
    struct kern_acts in, ff;
    unsigned from, to;

    kern_acts_init(&in, e->acts_embd, places, d, w->m->acts_form, e->x, d);
    kern_acts_init(&ff, e->acts_ff, places, n_ff, w->m->acts_form, e->gate, n_ff);
    share_places(w, &from, &to);
    if (w->thread == 0)
        route(w, l);
    pool_barrier(w->f->p);
    for (size_t p = from; p < to; p++)
        memcpy(e->x + p * d, w->b->xn + (size_t)e->token[p] * d, d * sizeof(float));
    if (forward_is_quantized(&l->experts[0].gate) || forward_is_quantized(&l->experts[0].up))
        w->ops->quantize(&in, from, to);
    pool_barrier(w->f->p);
    gate_and_up(w, l, &in, &counters[FORWARD_GATE_UP]);
    pool_barrier(w->f->p);
    if (forward_is_quantized(&l->experts[0].down)) {
        w->ops->quantize(&ff, from, to);
        pool_barrier(w->f->p);
    }
    down(w, l, &ff, &counters[FORWARD_DOWN]);
    pool_barrier(w->f->p);
    combine(w);
}
