/* engine/forward_layers.c - the transformer, straight-line; every thread of the pool runs all of it.
 *
 * A thread prepares (adds, norms, quantizes) some tokens, takes pieces of products and of attention from
 * shared counters, and meets the others where it needs their results. Steps of a few tokens are prepared
 * by every thread for itself, so that they meet only after shared work. A buffer is written again only
 * after a meeting that follows its last use. Shapes are [outer][inner], d is n_embd. */
#include "engine/forward_private.h"

enum { PANELS_PER_PIECE_MAX = 64, PIECES_PER_THREAD = 6 };

/* Waits for the others' share of what was prepared. */
static void meet_prepared(const struct forward_worker *w)
{
    if (!w->alone)
        pool_barrier(w->f->p);
}

static void meet(const struct forward_worker *w)
{
    pool_barrier(w->f->p);
}

size_t forward_piece(const struct forward_worker *w, size_t panels)
{
    size_t n = panels / ((size_t)pool_n_threads(w->f->p) * PIECES_PER_THREAD);

    if (n < 1)
        return 1;
    return n < PANELS_PER_PIECE_MAX ? n : PANELS_PER_PIECE_MAX;
}

void forward_multiply(const struct forward_worker *w, const struct forward_product *p,
                      const struct kern_acts *x, unsigned n_tokens, size_t from, size_t to)
{
    size_t row_to = to * KERN_ROW_STEP;

    if (row_to > p->w->rows)
        row_to = p->w->rows;
    w->ops->matmul(p->w, x, n_tokens, p->out, p->stride, from * KERN_ROW_STEP, row_to);
    if (p->kind != LORA_NONE && forward_has_adapters(w))
        forward_lora_raise(w, p, from * KERN_ROW_STEP, row_to);
}

/* Takes pieces of n products over the same input until none is left. */
static void multiply(const struct forward_worker *w, const struct forward_product *products,
                     unsigned n, const struct kern_acts *x, unsigned n_tokens, atomic_uint *counter)
{
    size_t all = 0, piece, from;

    for (unsigned i = 0; i < n; i++)
        all += forward_panels(products[i].w);
    piece = forward_piece(w, all);
    while ((from = pool_take(counter) * piece) < all) {
        size_t to = all - from < piece ? all : from + piece, before = 0;

        for (unsigned i = 0; i < n; i++) {
            size_t panels = forward_panels(products[i].w);
            size_t a = from > before ? from - before : 0;
            size_t b = to > before ? to - before : 0;

            if (b > panels)
                b = panels;
            if (a < b)
                forward_multiply(w, &products[i], x, n_tokens, a, b);
            before += panels;
        }
    }
}

/* Kinds of products over one input, for what adapters add. */
struct kinds {
    enum lora_kind first, last;
};

/* xn = norm(x) and its int8 form, for the tokens of this thread. */
static void prepare_norm(const struct forward_worker *w, struct kern_acts *a, const float *weight,
                         bool quantize, struct kinds kinds)
{
    size_t d = w->m->n_embd;

    for (unsigned t = w->from; t < w->to; t++)
        w->ops->rms_norm(w->b->xn + t * d, w->b->x + t * d, weight, d, w->m->eps);
    if (quantize)
        w->ops->quantize(a, w->from, w->to);
    if (forward_has_adapters(w))
        forward_lora_lower(w, kinds.first, kinds.last, a);
    meet_prepared(w);
}

/* The integers of the input of a product, out of what all threads made. */
static void prepare_shared(const struct forward_worker *w, struct kern_acts *a, bool quantize,
                           enum lora_kind kind)
{
    if (quantize)
        w->ops->quantize(a, w->from, w->to);
    if (forward_has_adapters(w))
        forward_lora_lower(w, kind, kind, a);
    if (quantize || forward_has_adapters(w))
        meet_prepared(w);
}

/* x += y, or the norm of y. */
static void add_residual(const struct forward_worker *w, const float *norm)
{
    size_t d = w->m->n_embd;

    for (unsigned t = w->from; t < w->to; t++) {
        const float *y = w->f->y + t * d;

        if (norm != NULL) { /* y is everybody's: the normed one goes where the next norm will be */
            w->ops->rms_norm(w->b->xn + t * d, y, norm, d, w->m->eps);
            y = w->b->xn + t * d;
        }
        w->ops->add(w->b->x + t * d, y, d);
    }
}

static void norm_heads(const struct forward_worker *w, float *x, unsigned n_heads,
                       const float *weight)
{
    size_t hd = w->m->head_dim;

    for (unsigned h = 0; weight != NULL && h < n_heads; h++)
        w->ops->rms_norm(x + h * hd, x + h * hd, weight, hd, w->m->eps);
}

/* Bias, head norms and rotation of one token's queries, key and value for one KV head; key and value go
 * into the cache. */
static void store_head(const struct forward_worker *w, const struct model_layer *l, unsigned layer,
                       unsigned t, unsigned head)
{
    struct forward *f = w->f;
    unsigned hd = w->m->head_dim, group = w->m->n_heads / w->m->n_kv_heads, pos = f->token_pos[t];
    float *q = f->qkv + (size_t)t * f->n_qkv + (size_t)head * group * hd;
    float *k = f->qkv + (size_t)t * f->n_qkv + f->n_att + (size_t)head * hd;
    float *v = k + f->n_kv;
    const float *cosines = f->rope_cos[l->rope] + (size_t)pos * (w->m->n_rot / 2);
    const float *sines = f->rope_sin[l->rope] + (size_t)pos * (w->m->n_rot / 2);
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

static void store(const struct forward_worker *w, const struct model_layer *l, unsigned layer,
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

/* A span of keys for a token; who is the last of its spans joins them. */
static void attend_span(const struct forward_worker *w, const struct forward_item *it,
                        const struct kern_kv *kv, const struct kern_attn *a)
{
    const struct forward *f = w->f;
    const unsigned heads = w->m->n_heads, group = heads / w->m->n_kv_heads, token = it->split - 1;
    const unsigned first = kern_attn_first_span(a), last = kern_attn_last_span(a);
    const size_t spans = (size_t)token * f->split.max_spans;
    float *out = f->split.out + spans * f->n_att + (size_t)it->head * w->m->head_dim;
    struct kern_attn_part *parts = f->split.parts + spans * heads + it->head;
    atomic_uint *done = &f->split.done[token * w->m->n_kv_heads + it->head / group];

    if (it->span < first) /* behind the layer's window */
        return;
    w->ops->attn_part(kv, a, it->span, out + (size_t)it->span * f->n_att,
                      parts + (size_t)it->span * heads);
    if (atomic_fetch_add_explicit(done, 1, memory_order_acq_rel) != last - first)
        return;
    atomic_store_explicit(done, 0,
                          memory_order_relaxed); /* the next layer's meet is before its use */
    w->ops->attn_join(kv, a, out, f->n_att, parts, heads);
}

static void attend(const struct forward_worker *w, const struct model_layer *l, unsigned layer,
                   atomic_uint *counter)
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
            .scale = w->m->attn_scale,
            .window = l->window,
            .cap = w->m->attn_cap,
        };

        if (it->split != 0)
            attend_span(w, it, &kv, &a);
        else
            w->ops->attn(&kv, &a);
    }
}

/* x += o(attention(norm(x))) */
static void attention_half(struct forward_worker *w, const struct model_layer *l, unsigned layer,
                           atomic_uint *counters)
{
    struct forward *f = w->f;
    const struct forward_product qkv[] = {
        {&l->q, f->qkv, f->n_qkv, LORA_Q},
        {&l->k, f->qkv + f->n_att, f->n_qkv, LORA_K},
        {&l->v, f->qkv + f->n_att + f->n_kv, f->n_qkv, LORA_V},
    };
    const struct forward_product o = {&l->o, f->y, w->m->n_embd, LORA_O};

    prepare_norm(w, &w->embd, l->attn_norm,
                 forward_is_quantized(&l->q) || forward_is_quantized(&l->k) ||
                     forward_is_quantized(&l->v),
                 (struct kinds){LORA_Q, LORA_V});
    multiply(w, qkv, 3, &w->embd, f->n_tokens, &counters[FORWARD_QKV]);
    meet(w);
    store(w, l, layer, &counters[FORWARD_STORE]);
    meet(w);
    attend(w, l, layer, &counters[FORWARD_ATTN]);
    meet(w);
    prepare_shared(w, &w->att, forward_is_quantized(&l->o), LORA_O);
    multiply(w, &o, 1, &w->att, f->n_tokens, &counters[FORWARD_O]);
    meet(w);
    add_residual(w, l->attn_post);
}

void forward_activate(const struct forward_worker *w, float *gate, const float *up, size_t n)
{
    if (w->m->gelu)
        w->ops->gelu_mul(gate, gate, up, n);
    else
        w->ops->silu_mul(gate, gate, up, n);
}

/* gate = function(gate) * up, in pieces of the same rows of both products. */
static void multiply_gate_up(const struct forward_worker *w, const struct model_layer *l,
                             atomic_uint *counter)
{
    struct forward *f = w->f;
    size_t n_ff = w->m->n_ff, all = forward_panels(&l->gate), piece = forward_piece(w, all), from;
    const struct forward_product gate = {&l->gate, f->gate, n_ff, LORA_GATE},
                                 up = {&l->up, f->up, n_ff, LORA_UP};

    while ((from = pool_take(counter) * piece) < all) {
        size_t to = all - from < piece ? all : from + piece;
        size_t a = from * KERN_ROW_STEP;
        size_t b = to * KERN_ROW_STEP < n_ff ? to * KERN_ROW_STEP : n_ff;

        forward_multiply(w, &gate, &w->embd, f->n_tokens, from, to);
        forward_multiply(w, &up, &w->embd, f->n_tokens, from, to);
        for (unsigned t = 0; t < f->n_tokens; t++)
            forward_activate(w, f->gate + t * n_ff + a, f->up + t * n_ff + a, b - a);
    }
}

/* x += down(function(gate(norm(x))) * up(norm(x))) */
static void ffn_half(struct forward_worker *w, const struct model_layer *l, atomic_uint *counters)
{
    const struct forward_product down = {&l->down, w->f->y, w->m->n_embd, LORA_DOWN};

    if (l->experts != NULL) {
        prepare_norm(w, &w->embd, l->ffn_norm, forward_is_quantized(&l->router),
                     (struct kinds){LORA_NONE, LORA_NONE});
        forward_experts(w, l, counters);
        return;
    }
    prepare_norm(w, &w->embd, l->ffn_norm,
                 forward_is_quantized(&l->gate) || forward_is_quantized(&l->up),
                 (struct kinds){LORA_GATE, LORA_UP});
    multiply_gate_up(w, l, &counters[FORWARD_GATE_UP]);
    meet(w);
    prepare_shared(w, &w->ff, forward_is_quantized(&l->down), LORA_DOWN);
    multiply(w, &down, 1, &w->ff, w->f->n_tokens, &counters[FORWARD_DOWN]);
    meet(w);
    add_residual(w, l->ffn_post);
}

/* The logits, each piece capped as soon as it is there. */
static void multiply_capped(const struct forward_worker *w, const struct forward_product *output,
                            const struct kern_acts *a, atomic_uint *counter)
{
    const size_t all = forward_panels(output->w), piece = forward_piece(w, all);
    size_t from;

    while ((from = pool_take(counter) * piece) < all) {
        const size_t to = all - from < piece ? all : from + piece, first = from * KERN_ROW_STEP;
        const size_t end =
            to * KERN_ROW_STEP < output->w->rows ? to * KERN_ROW_STEP : output->w->rows;

        forward_multiply(w, output, a, w->f->n_logits, from, to);
        for (unsigned row = 0; row < w->f->n_logits; row++)
            w->ops->soft_cap(output->out + row * output->stride + first, end - first,
                             w->m->logit_cap);
    }
}

/* logits[row] = cap(output(norm(x[row_token[row]]))) */
static void compute_logits(struct forward_worker *w, atomic_uint *counter)
{
    const struct forward *f = w->f;
    size_t d = w->m->n_embd;
    const struct forward_product output = {&w->m->output, f->logits, w->m->n_vocab, LORA_NONE};
    struct kern_acts a;

    if (w->m->layers[w->m->n_layers - 1].ffn_post != NULL)
        meet_prepared(w); /* add_residual wrote on xn, where rows and tokens are not the same */
    kern_acts_init(&a, w->b->acts_embd, f->n_logits, d, w->m->acts_form, w->b->xn, d);
    for (unsigned row = 0; row < f->n_logits; row++) {
        unsigned t = f->row_token[row];

        if (t < w->from || t >= w->to)
            continue;
        w->ops->rms_norm(w->b->xn + row * d, w->b->x + t * d, w->m->output_norm, d, w->m->eps);
        if (forward_is_quantized(&w->m->output))
            w->ops->quantize(&a, row, row + 1);
    }
    meet_prepared(w);
    if (w->m->logit_cap > 0)
        multiply_capped(w, &output, &a, counter);
    else
        multiply(w, &output, 1, &a, f->n_logits, counter);
}

static void worker_init(struct forward_worker *w, struct forward *f, unsigned thread)
{
    const struct model *m = f->m;
    unsigned n = f->n_tokens, n_threads = pool_n_threads(f->p);

    *w = (struct forward_worker){.f = f, .m = m, .ops = m->ops, .thread = thread};
    w->alone = n_threads > 1 && n <= FORWARD_ALONE_TOKENS;
    w->from = w->alone ? 0 : (unsigned)((uint64_t)n * thread / n_threads);
    w->to = w->alone ? n : (unsigned)((uint64_t)n * (thread + 1) / n_threads);
    w->b = w->alone ? &f->alone[thread] : &f->shared;
    kern_acts_init(&w->embd, w->b->acts_embd, n, m->n_embd, m->acts_form, w->b->xn, m->n_embd);
    kern_acts_init(&w->att, w->b->acts_att, n, f->n_att, m->acts_form, f->att, f->n_att);
    kern_acts_init(&w->ff, w->b->acts_ff, n, m->n_ff, m->acts_form, f->gate, m->n_ff);
}

/* x = embedding of the token, scaled */
static void look_up(const struct forward_worker *w)
{
    const struct model *m = w->m;

    for (unsigned t = w->from; t < w->to; t++) {
        float *x = w->b->x + (size_t)t * m->n_embd;

        kern_matrix_row_f32(&m->embedding, (size_t)w->f->tokens[t], x);
        for (unsigned i = 0; m->embed_scale != 1 && i < m->n_embd; i++)
            x[i] *= m->embed_scale;
    }
}

void forward_layers(void *ctx, unsigned thread)
{
    struct forward *f = ctx;
    atomic_uint *counters = f->counters;
    struct forward_worker w;

    worker_init(&w, f, thread);
    look_up(&w);
    for (unsigned i = 0; i < f->n_layers; i++, counters += FORWARD_PHASES) {
        w.layer = i;
        attention_half(&w, &w.m->layers[i], i, counters);
        ffn_half(&w, &w.m->layers[i], counters);
    }
    if (f->n_logits != 0 && f->device == NULL)
        compute_logits(&w, counters);
}
