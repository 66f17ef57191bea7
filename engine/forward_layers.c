/* engine/forward_layers.c - the transformer, straight-line; every thread of the pool runs all of it.
 *
 * A thread prepares (adds, norms, quantizes) some tokens, takes pieces of products and of attention from
 * shared counters, and meets the others where it needs their results. Steps of a few tokens are prepared
 * by every thread for itself, so that they meet only after shared work. A buffer is written again only
 * after a meeting that follows its last use. Shapes are [outer][inner], d is n_embd. */
#include <math.h>

#include "engine/forward_private.h"

enum { PANELS_PER_PIECE_MAX = 64, PIECES_PER_THREAD = 6 };

/* One thread's view of the step. */
struct worker {
    struct forward *f;
    const struct model *m;
    const struct kern_ops *ops;
    unsigned from, to; /* the tokens it prepares */
    bool alone;        /* all of them, in buffers of its own */
    const struct forward_prep *b;
    struct kern_acts embd, att,
        ff; /* inputs of products: [token][d], [token][n_att], [token][n_ff] */
};

/* A product that is cut into panels of KERN_ROW_STEP rows. */
struct product {
    const struct kern_matrix *w;
    float *out; /* [token][stride] */
    size_t stride;
};

/* Waits for the others' share of what was prepared. */
static void meet_prepared(const struct worker *w)
{
    if (!w->alone)
        pool_barrier(w->f->p);
}

static void meet(const struct worker *w)
{
    pool_barrier(w->f->p);
}

static bool is_quantized(const struct kern_matrix *w)
{
    return kern_type_info(w->type)->quantized;
}

static size_t n_panels(const struct kern_matrix *w)
{
    return (w->rows + KERN_ROW_STEP - 1) / KERN_ROW_STEP;
}

/* Panels handed out at once: few enough to even out, many enough to stream. */
static size_t piece_panels(const struct worker *w, size_t panels)
{
    size_t n = panels / ((size_t)pool_n_threads(w->f->p) * PIECES_PER_THREAD);

    if (n < 1)
        return 1;
    return n < PANELS_PER_PIECE_MAX ? n : PANELS_PER_PIECE_MAX;
}

static void multiply_panels(const struct worker *w, const struct product *p,
                            const struct kern_acts *x, unsigned n_tokens, size_t from, size_t to)
{
    size_t row_to = to * KERN_ROW_STEP;

    w->ops->matmul(p->w, x, n_tokens, p->out, p->stride, from * KERN_ROW_STEP,
                   row_to < p->w->rows ? row_to : p->w->rows);
}

/* Takes pieces of n products over the same input until none is left. */
static void multiply(const struct worker *w, const struct product *products, unsigned n,
                     const struct kern_acts *x, unsigned n_tokens, atomic_uint *counter)
{
    size_t all = 0, piece, from;

    for (unsigned i = 0; i < n; i++)
        all += n_panels(products[i].w);
    piece = piece_panels(w, all);
    while ((from = pool_take(counter) * piece) < all) {
        size_t to = all - from < piece ? all : from + piece, before = 0;

        for (unsigned i = 0; i < n; i++) {
            size_t panels = n_panels(products[i].w);
            size_t a = from > before ? from - before : 0;
            size_t b = to > before ? to - before : 0;

            if (b > panels)
                b = panels;
            if (a < b)
                multiply_panels(w, &products[i], x, n_tokens, a, b);
            before += panels;
        }
    }
}

/* xn = norm(x) and its int8 form, for the tokens of this thread. */
static void prepare_norm(const struct worker *w, struct kern_acts *a, const float *weight,
                         bool quantize)
{
    size_t d = w->m->n_embd;

    for (unsigned t = w->from; t < w->to; t++)
        w->ops->rms_norm(w->b->xn + t * d, w->b->x + t * d, weight, d, w->m->eps);
    if (quantize)
        w->ops->quantize(a, w->from, w->to);
    meet_prepared(w);
}

/* The integers of the input of a product, out of what all threads made. */
static void prepare_shared(const struct worker *w, struct kern_acts *a, bool quantize)
{
    if (!quantize)
        return;
    w->ops->quantize(a, w->from, w->to);
    meet_prepared(w);
}

/* x += y */
static void add_residual(const struct worker *w)
{
    size_t d = w->m->n_embd;

    for (unsigned t = w->from; t < w->to; t++)
        w->ops->add(w->b->x + t * d, w->f->y + t * d, d);
}

static void norm_heads(const struct worker *w, float *x, unsigned n_heads, const float *weight)
{
    size_t hd = w->m->head_dim;

    for (unsigned h = 0; weight != NULL && h < n_heads; h++)
        w->ops->rms_norm(x + h * hd, x + h * hd, weight, hd, w->m->eps);
}

/* Bias, head norms and rotation of one token's queries, key and value for one KV head; key and value go
 * into the cache. */
static void store_head(const struct worker *w, const struct model_layer *l, unsigned layer,
                       unsigned t, unsigned head)
{
    struct forward *f = w->f;
    unsigned hd = w->m->head_dim, group = w->m->n_heads / w->m->n_kv_heads, pos = f->token_pos[t];
    float *q = f->qkv + (size_t)t * f->n_qkv + (size_t)head * group * hd;
    float *k = f->qkv + (size_t)t * f->n_qkv + f->n_att + (size_t)head * hd;
    float *v = k + f->n_kv;
    const float *cosines = f->rope_cos + (size_t)pos * (w->m->n_rot / 2);
    const float *sines = f->rope_sin + (size_t)pos * (w->m->n_rot / 2);
    struct kern_kv kv = kvcache_view(f->kv, f->runs[f->token_run[t]].seq, layer, head);

    if (l->q_bias != NULL)
        w->ops->add(q, l->q_bias + (size_t)head * group * hd, (size_t)group * hd);
    if (l->k_bias != NULL)
        w->ops->add(k, l->k_bias + (size_t)head * hd, hd);
    if (l->v_bias != NULL)
        w->ops->add(v, l->v_bias + (size_t)head * hd, hd);
    norm_heads(w, q, group, l->q_norm);
    norm_heads(w, k, 1, l->k_norm);
    w->ops->rope(q, group, hd, w->m->n_rot, cosines, sines, w->m->rope);
    w->ops->rope(k, 1, hd, w->m->n_rot, cosines, sines, w->m->rope);
    w->ops->kv_put(&kv, pos, k, v);
}

static void store(const struct worker *w, const struct model_layer *l, unsigned layer,
                  atomic_uint *counter)
{
    unsigned heads = w->m->n_kv_heads, t;

    if (w->f->n_tokens <= FORWARD_ALONE_TOKENS) { /* few: hand out heads */
        unsigned i;

        while ((i = pool_take(counter)) < heads * w->f->n_tokens)
            store_head(w, l, layer, i / heads, i % heads);
        return;
    }
    while ((t = pool_take(counter)) < w->f->n_tokens)
        for (unsigned h = 0; h < heads; h++)
            store_head(w, l, layer, t, h);
}

static void attend(const struct worker *w, unsigned layer, atomic_uint *counter)
{
    const struct forward *f = w->f;
    unsigned hd = w->m->head_dim, group = w->m->n_heads / w->m->n_kv_heads, i;

    while ((i = pool_take(counter)) < f->n_items) {
        const struct forward_item *it = &f->items[i];
        struct kern_kv kv = kvcache_view(f->kv, f->runs[it->run].seq, layer, it->head / group);
        struct kern_attn a = {
            .q = f->qkv + (size_t)it->token * f->n_qkv + (size_t)it->head * hd,
            .out = f->att + (size_t)it->token * f->n_att + (size_t)it->head * hd,
            .q_stride = f->n_qkv,
            .out_stride = f->n_att,
            .n_tokens = it->n_tokens,
            .n_heads = it->n_heads,
            .n_keys = f->token_pos[it->token] + 1,
            .scale = 1.0f / sqrtf((float)hd),
        };

        w->ops->attn(&kv, &a);
    }
}

/* x += o(attention(norm(x))) */
static void attention_half(struct worker *w, const struct model_layer *l, unsigned layer,
                           atomic_uint *counters)
{
    struct forward *f = w->f;
    const struct product qkv[] = {
        {&l->q, f->qkv, f->n_qkv},
        {&l->k, f->qkv + f->n_att, f->n_qkv},
        {&l->v, f->qkv + f->n_att + f->n_kv, f->n_qkv},
    };
    const struct product o = {&l->o, f->y, w->m->n_embd};

    prepare_norm(w, &w->embd, l->attn_norm,
                 is_quantized(&l->q) || is_quantized(&l->k) || is_quantized(&l->v));
    multiply(w, qkv, 3, &w->embd, f->n_tokens, &counters[FORWARD_QKV]);
    meet(w);
    store(w, l, layer, &counters[FORWARD_STORE]);
    meet(w);
    attend(w, layer, &counters[FORWARD_ATTN]);
    meet(w);
    prepare_shared(w, &w->att, is_quantized(&l->o));
    multiply(w, &o, 1, &w->att, f->n_tokens, &counters[FORWARD_O]);
    meet(w);
    add_residual(w);
}

/* gate = silu(gate) * up, in pieces of the same rows of both products. */
static void multiply_gate_up(const struct worker *w, const struct model_layer *l,
                             atomic_uint *counter)
{
    struct forward *f = w->f;
    size_t n_ff = w->m->n_ff, all = n_panels(&l->gate), piece = piece_panels(w, all), from;
    const struct product gate = {&l->gate, f->gate, n_ff}, up = {&l->up, f->up, n_ff};

    while ((from = pool_take(counter) * piece) < all) {
        size_t to = all - from < piece ? all : from + piece;
        size_t a = from * KERN_ROW_STEP;
        size_t b = to * KERN_ROW_STEP < n_ff ? to * KERN_ROW_STEP : n_ff;

        multiply_panels(w, &gate, &w->embd, f->n_tokens, from, to);
        multiply_panels(w, &up, &w->embd, f->n_tokens, from, to);
        for (unsigned t = 0; t < f->n_tokens; t++)
            w->ops->silu_mul(f->gate + t * n_ff + a, f->gate + t * n_ff + a, f->up + t * n_ff + a,
                             b - a);
    }
}

/* x += down(silu(gate(norm(x))) * up(norm(x))) */
static void ffn_half(struct worker *w, const struct model_layer *l, atomic_uint *counters)
{
    const struct product down = {&l->down, w->f->y, w->m->n_embd};

    prepare_norm(w, &w->embd, l->ffn_norm, is_quantized(&l->gate) || is_quantized(&l->up));
    multiply_gate_up(w, l, &counters[FORWARD_GATE_UP]);
    meet(w);
    prepare_shared(w, &w->ff, is_quantized(&l->down));
    multiply(w, &down, 1, &w->ff, w->f->n_tokens, &counters[FORWARD_DOWN]);
    meet(w);
    add_residual(w);
}

/* logits[row] = output(norm(x[row_token[row]])) */
static void compute_logits(struct worker *w, atomic_uint *counter)
{
    const struct forward *f = w->f;
    size_t d = w->m->n_embd;
    const struct product output = {&w->m->output, f->logits, w->m->n_vocab};
    struct kern_acts a;

    kern_acts_init(&a, w->b->acts_embd, f->n_logits, d, w->m->acts_form, w->b->xn, d);
    for (unsigned row = 0; row < f->n_logits; row++) {
        unsigned t = f->row_token[row];

        if (t < w->from || t >= w->to)
            continue;
        w->ops->rms_norm(w->b->xn + row * d, w->b->x + t * d, w->m->output_norm, d, w->m->eps);
        if (is_quantized(&w->m->output))
            w->ops->quantize(&a, row, row + 1);
    }
    meet_prepared(w);
    multiply(w, &output, 1, &a, f->n_logits, counter);
}

static void worker_init(struct worker *w, struct forward *f, unsigned thread)
{
    const struct model *m = f->m;
    unsigned n = f->n_tokens, n_threads = pool_n_threads(f->p);

    *w = (struct worker){.f = f, .m = m, .ops = m->ops};
    w->alone = n_threads > 1 && n <= FORWARD_ALONE_TOKENS;
    w->from = w->alone ? 0 : (unsigned)((uint64_t)n * thread / n_threads);
    w->to = w->alone ? n : (unsigned)((uint64_t)n * (thread + 1) / n_threads);
    w->b = w->alone ? &f->alone[thread] : &f->shared;
    kern_acts_init(&w->embd, w->b->acts_embd, n, m->n_embd, m->acts_form, w->b->xn, m->n_embd);
    kern_acts_init(&w->att, w->b->acts_att, n, f->n_att, m->acts_form, f->att, f->n_att);
    kern_acts_init(&w->ff, w->b->acts_ff, n, m->n_ff, m->acts_form, f->gate, m->n_ff);
}

/* x = embedding of the token */
static void look_up(const struct worker *w)
{
    const struct model *m = w->m;

    for (unsigned t = w->from; t < w->to; t++)
        kern_matrix_row_f32(&m->embedding, (size_t)w->f->tokens[t],
                            w->b->x + (size_t)t * m->n_embd);
}

void forward_layers(void *ctx, unsigned thread)
{
    struct forward *f = ctx;
    atomic_uint *counters = f->counters;
    struct worker w;

    worker_init(&w, f, thread);
    look_up(&w);
    for (unsigned i = 0; i < w.m->n_layers; i++, counters += FORWARD_PHASES) {
        attention_half(&w, &w.m->layers[i], i, counters);
        ffn_half(&w, &w.m->layers[i], counters);
    }
    if (f->n_logits != 0)
        compute_logits(&w, counters);
}
