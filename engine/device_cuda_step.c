/* engine/device_cuda_step.c - a step on GPUs: what changes is uploaded at once, then launches, then what is wanted comes back.
 *
 * A step of single tokens is recorded once for its shape and replayed (CUDA graphs): launches are what such a step is made of. What is added
 * to the stream waits for the next norm, so that both are one pass. Shapes are [outer][inner]. */
#include <string.h>

#include "engine/device_cuda.h"

/* ---- what changes --------------------------------------------------------------------------- */

/* Pages that two sequences begin with. */
static unsigned n_same(const struct forward_run *a, const struct forward_run *b, unsigned most)
{
    unsigned n = 0;

    while (n < most && a->seq->pages[n] == b->seq->pages[n])
        n++;
    return n;
}

/* Neighbours that share enough of their beginnings; full pages before what the step writes. */
static unsigned find_shared(const struct device_step *s, int32_t *shared)
{
    unsigned n = 0;

    for (unsigned i = 0; i + 1 < s->n_runs;) {
        unsigned end = i + 1, pages = s->runs[i].pos / KERN_CUDA_PAGE;

        for (; end < s->n_runs; end++) {
            const unsigned most = s->runs[end].pos / KERN_CUDA_PAGE;
            const unsigned same = n_same(&s->runs[i], &s->runs[end], most < pages ? most : pages);

            if (same < CUDA_SHARED_PAGES)
                break;
            pages = same;
        }
        if (end - i > 1) {
            int32_t *group = shared + (size_t)3 * n++;

            group[0] = (int32_t)i;
            group[1] = (int32_t)(end - i);
            group[2] = (int32_t)pages;
        }
        i = end;
    }
    return n;
}

/* Keys of the longest sequence, rounded so that few shapes of steps occur. */
static unsigned round_keys(const struct device_cuda *d, unsigned keys)
{
    const unsigned most = d->max_pages * KERN_CUDA_PAGE;
    unsigned n = 256;

    while (n < keys)
        n *= 2;
    return n < most ? n : most;
}

static void note_picks(struct cuda_run *r)
{
    for (unsigned i = 0, row = 0; i < r->s->n_runs; row += r->s->runs[i++].n_logits) {
        const struct device_pick *p = r->s->runs[i].pick;
        struct kern_cuda_pick *to = &r->d->host_meta.picks[row];

        if (r->s->runs[i].n_logits == 0)
            continue;
        for (unsigned k = 0; k < r->s->runs[i].n_logits; k++)
            to[k] = (struct kern_cuda_pick){.repeat = 1, .top_p = 1};
        if (p == NULL)
            continue;
        r->picks = true;
        to->temperature = p->temperature;
        to->top_p = p->top_p;
        to->min_p = p->min_p;
        to->top_k = p->top_k;
        to->random = p->random;
    }
}

void device_cuda_note(struct cuda_run *r)
{
    struct device_cuda *d = r->d;
    const struct device_step *s = r->s;
    const struct cuda_meta *m = &d->host_meta;
    unsigned t = 0, keys = 0;

    for (unsigned i = 0; i < s->n_runs; i++) {
        const struct forward_run *run = &s->runs[i];
        const unsigned end = run->pos + run->n_tokens;

        m->seq_first[i] = (int32_t)t;
        keys = end > keys ? end : keys;
        memcpy(m->pages + (size_t)i * d->max_pages, run->seq->pages,
               (end + KERN_CUDA_PAGE - 1) / KERN_CUDA_PAGE * sizeof(*m->pages));
        for (unsigned k = 0; k < run->n_tokens; k++, t++) {
            m->pos[t] = (int32_t)(run->pos + k);
            m->seq[t] = (int32_t)i;
        }
    }
    m->seq_first[s->n_runs] = (int32_t)t;
    for (unsigned row = 0; row < s->n_rows; row++)
        m->rows[row] = (int32_t)s->row_token[row];
    r->k = (struct kern_cuda_step){.n_tokens = s->n_tokens,
                                   .n_seqs = s->n_runs,
                                   .max_pages = d->max_pages,
                                   .max_keys = round_keys(d, keys),
                                   .n_shared =
                                       s->n_tokens == s->n_runs ? find_shared(s, m->shared) : 0};
    note_picks(r);
    r->adapts = device_cuda_note_adapters(&d->base.limits, s, m->adapter);
}

static void point_at(struct cuda_run *r, const struct cuda_meta *m)
{
    r->k.pos = m->pos;
    r->k.seq = m->seq;
    r->k.seq_first = m->seq_first;
    r->k.pages = m->pages;
    r->k.shared = m->shared;
}

/* ---- layers --------------------------------------------------------------------------------- */

static struct kern_cuda_acts acts(const struct cuda_run *r, void *mem, unsigned n, size_t cols,
                                  const float *x)
{
    struct kern_cuda_acts a;

    kern_cuda_acts_init(&a, mem, n, cols, r->d->fine, x);
    return a;
}

/* xn = norm(x += what waits), and its integers. */
static struct kern_cuda_acts add_and_norm(struct cuda_run *r, struct cuda_part *p,
                                          const float *norm)
{
    const struct model *m = r->d->base.m;
    struct kern_cuda_acts a = acts(r, p->work.acts_embd, r->k.n_tokens, m->n_embd, p->work.xn);

    kern_cuda_add_norm_quantize(p->c, p->work.x, r->add, r->add_norm, norm, m->eps, &a);
    r->add = r->add_norm = NULL;
    return a;
}

static void wait_to_add(struct cuda_run *r, const float *y, const float *norm)
{
    r->add = y;
    r->add_norm = norm;
}

/* out = w x, and what adapters add to it. The floats of x are there. */
static void multiply(const struct cuda_run *r, struct cuda_part *p, unsigned i, enum lora_kind kind,
                     const struct kern_cuda_matrix *w, const struct kern_cuda_acts *x, size_t rows,
                     float *out, size_t stride)
{
    kern_cuda_matmul(p->c, w, x, out, stride, false);
    if (r->adapts)
        device_cuda_adapt(p, i, kind, x, rows, out, stride);
}

void device_cuda_attend(struct cuda_run *r, struct cuda_part *p, unsigned i)
{
    const struct device_cuda *d = r->d;
    const struct model *m = d->base.m;
    const struct model_layer *ml = &m->layers[i];
    const struct cuda_layer *l = &p->layers[i - p->from];
    unsigned of_kv;
    const struct kern_cuda_kv *kv = device_cuda_kv(p, i, &of_kv);
    struct cuda_work *w = &p->work;
    struct kern_cuda_acts a = add_and_norm(r, p, l->attn_norm);
    const struct kern_cuda_qkv qkv = {
        .qkv = w->qkv,
        .n_heads = m->n_heads,
        .q_bias = l->q_bias,
        .k_bias = l->k_bias,
        .v_bias = l->v_bias,
        .q_norm = l->q_norm,
        .k_norm = l->k_norm,
        .eps = m->eps,
        .rope = {.cos = p->rope_cos[ml->rope],
                 .sin = p->rope_sin[ml->rope],
                 .n_rot = m->n_rot,
                 .neox = m->rope == KERN_ROPE_NEOX},
    };
    const struct kern_cuda_attn attn = {
        .q = w->qkv,
        .out = w->att,
        .q_stride = d->n_qkv,
        .out_stride = d->n_att,
        .n_heads = m->n_heads,
        .scale = m->attn_scale,
        .cap = m->attn_cap,
        .window = ml->window,
    };

    multiply(r, p, i, LORA_Q, l->q, &a, d->n_att, w->qkv, d->n_qkv);
    multiply(r, p, i, LORA_K, l->k, &a, d->n_kv, w->qkv + d->n_att, d->n_qkv);
    multiply(r, p, i, LORA_V, l->v, &a, d->n_kv, w->qkv + d->n_att + d->n_kv, d->n_qkv);
    kern_cuda_qkv_write(p->c, kv, of_kv, &r->k, &qkv);
    kern_cuda_attn(p->c, kv, of_kv, &r->k, &attn);
    a = acts(r, w->acts_att, r->k.n_tokens, d->n_att, w->att);
    kern_cuda_quantize(p->c, &a);
    multiply(r, p, i, LORA_O, l->o, &a, m->n_embd, w->y, m->n_embd);
    wait_to_add(r, w->y, l->attn_post);
}

/* gate = function(gate x) * (up x), of n tokens. */
static void gate_up(struct cuda_run *r, struct cuda_part *p, const struct kern_cuda_matrix *gate,
                    const struct kern_cuda_matrix *up, const struct kern_cuda_acts *a, bool alike,
                    float *gate_out, float *up_out)
{
    const struct model *m = r->d->base.m;
    const enum kern_cuda_gate f = m->gelu ? KERN_CUDA_GELU : KERN_CUDA_SILU;

    if (alike && a->n_tokens <= KERN_CUDA_GEMV_TOKENS) {
        kern_cuda_gate_up(p->c, gate, up, a, f, gate_out);
        return;
    }
    kern_cuda_matmul(p->c, gate, a, gate_out, m->n_ff, false);
    kern_cuda_matmul(p->c, up, a, up_out, m->n_ff, false);
    kern_cuda_gate_mul(p->c, gate_out, gate_out, up_out, (size_t)a->n_tokens * m->n_ff, f);
}

void device_cuda_feed(struct cuda_run *r, struct cuda_part *p, unsigned i)
{
    const struct model *m = r->d->base.m;
    const struct model_layer *ml = &m->layers[i];
    const struct cuda_layer *l = &p->layers[i - p->from];
    struct cuda_work *w = &p->work;
    struct kern_cuda_acts a = add_and_norm(r, p, l->ffn_norm);

    if (r->adapts) {
        const enum kern_cuda_gate f = m->gelu ? KERN_CUDA_GELU : KERN_CUDA_SILU;

        multiply(r, p, i, LORA_GATE, l->gate, &a, m->n_ff, w->gate, m->n_ff);
        multiply(r, p, i, LORA_UP, l->up, &a, m->n_ff, w->up, m->n_ff);
        kern_cuda_gate_mul(p->c, w->gate, w->gate, w->up, (size_t)a.n_tokens * m->n_ff, f);
    } else {
        gate_up(r, p, l->gate, l->up, &a, ml->gate.type == ml->up.type, w->gate, w->up);
    }
    a = acts(r, w->acts_ff, r->k.n_tokens, m->n_ff, w->gate);
    kern_cuda_quantize(p->c, &a);
    multiply(r, p, i, LORA_DOWN, l->down, &a, m->n_embd, w->y, m->n_embd);
    wait_to_add(r, w->y, l->ffn_post);
}

/* ---- experts -------------------------------------------------------------------------------- */

/* The tokens [first, first + n) of a. */
static struct kern_cuda_acts part_of(const struct kern_cuda_acts *a, size_t first, unsigned n)
{
    struct kern_cuda_acts o = *a;

    o.n_tokens = n;
    o.x = a->x != NULL ? a->x + first * a->cols : NULL;
    o.q += first * a->cols;
    o.r = a->r != NULL ? a->r + first * a->cols : NULL;
    o.d += first * (a->cols / 32);
    o.ds += first * (a->cols / 32);
    return o;
}

/* Sorts places by expert, those of an expert by token: token_of[place], place_of[token][n_used]; first[n_experts + 1]. */
static void sort_places(const struct model *m, const int32_t *chosen, unsigned n_tokens,
                        int32_t *token_of, int32_t *place_of, unsigned *first)
{
    const unsigned n = n_tokens * m->n_used;
    unsigned place = 0;

    for (unsigned e = 0; e < m->n_experts; e++) {
        first[e] = place;
        for (unsigned i = 0; i < n; i++) {
            if (chosen[i] != (int32_t)e)
                continue;
            token_of[place] = (int32_t)(i / m->n_used);
            place_of[i] = (int32_t)place++;
        }
    }
    first[m->n_experts] = place;
}

/* Who goes where comes back to the host, which launches each expert that has tokens. */
static enum gw_status experts_half(struct cuda_run *r, struct cuda_part *p, unsigned i,
                                   struct gw_err *err)
{
    const struct device_cuda *d = r->d;
    const struct model *m = d->base.m;
    const struct cuda_layer *l = &p->layers[i - p->from];
    struct cuda_work *w = &p->work;
    const unsigned n = r->k.n_tokens, places = n * m->n_used;
    const size_t bytes = places * sizeof(int32_t),
                 all = (size_t)d->base.limits.max_tokens * m->n_used;
    int32_t *chosen = d->host_index, *token_of = chosen + all, *place_of = token_of + all;
    struct kern_cuda_acts a = add_and_norm(r, p, l->ffn_norm), in, ff;
    unsigned first[512 + 1];

    if (l->router_f32 != NULL)
        kern_cuda_matmul_f32(p->c, w->router, l->router_f32, w->xn, n, m->n_experts, m->n_embd);
    else
        kern_cuda_matmul(p->c, l->router, &a, w->router, m->n_experts, false);
    kern_cuda_route(p->c, w->router, n, m->n_experts, m->n_used, w->chosen, w->weight);
    GW_TRY(
        kern_cuda_download(p->work_buf, (size_t)((char *)w->chosen - w->base), chosen, bytes, err));
    GW_TRY(kern_cuda_sync(p->c, err));
    sort_places(m, chosen, n, token_of, place_of, first);
    GW_TRY(kern_cuda_upload(p->work_buf, (size_t)((char *)w->token_of - w->base), token_of, bytes,
                            err));
    GW_TRY(kern_cuda_upload(p->work_buf, (size_t)((char *)w->place_of - w->base), place_of, bytes,
                            err));
    kern_cuda_gather(p->c, w->in, w->xn, w->token_of, places, 1, m->n_embd);
    in = acts(r, w->acts_in, places, m->n_embd, w->in);
    kern_cuda_quantize(p->c, &in);
    for (unsigned e = 0; e < m->n_experts; e++) {
        const struct model_expert *x = &m->layers[i].experts[e];
        const unsigned of = first[e + 1] - first[e];
        const struct kern_cuda_acts mine = part_of(&in, first[e], of);

        if (of != 0)
            gate_up(r, p, l->experts[e].gate, l->experts[e].up, &mine, x->gate.type == x->up.type,
                    w->gate + (size_t)first[e] * m->n_ff, w->up + (size_t)first[e] * m->n_ff);
    }
    ff = acts(r, w->acts_ff, places, m->n_ff, w->gate);
    kern_cuda_quantize(p->c, &ff);
    for (unsigned e = 0; e < m->n_experts; e++) {
        const unsigned of = first[e + 1] - first[e];
        const struct kern_cuda_acts mine = part_of(&ff, first[e], of);

        if (of != 0)
            kern_cuda_matmul(p->c, l->experts[e].down, &mine, w->out + (size_t)first[e] * m->n_embd,
                             m->n_embd, false);
    }
    kern_cuda_gather(p->c, w->in, w->out, w->place_of, places, 1, m->n_embd);
    kern_cuda_combine(p->c, w->x, w->in, w->weight, n, m->n_used, m->n_embd);
    return GW_OK;
}

/* ---- the step ------------------------------------------------------------------------------- */

static enum gw_status layers(struct cuda_run *r, struct cuda_part *p, struct gw_err *err)
{
    for (unsigned i = p->from; i < p->to; i++) {
        device_cuda_attend(r, p, i);
        if (p->layers[i - p->from].experts != NULL)
            GW_TRY(experts_half(r, p, i, err));
        else
            device_cuda_feed(r, p, i);
    }
    return GW_OK;
}

void device_cuda_logits(struct cuda_run *r, struct cuda_part *p)
{
    const struct model *m = r->d->base.m;
    struct cuda_work *w = &p->work;
    const unsigned n = r->n_rows;
    struct kern_cuda_acts a = acts(r, w->acts_row, n, m->n_embd, w->row_y);

    kern_cuda_gather(p->c, w->row_x, w->x, p->meta.rows, n, 1, m->n_embd);
    if (r->add != NULL)
        kern_cuda_gather(p->c, w->row_y, r->add, p->meta.rows, n, 1, m->n_embd);
    kern_cuda_add_norm_quantize(p->c, w->row_x, r->add != NULL ? w->row_y : NULL, r->add_norm,
                                p->output_norm, m->eps, &a);
    kern_cuda_matmul(p->c, p->output, &a, w->logits, m->n_vocab, false);
    if (m->logit_cap > 0)
        kern_cuda_soft_cap(p->c, w->logits, (size_t)n * m->n_vocab, m->logit_cap);
    if (r->picks)
        kern_cuda_sample(p->c, &(struct kern_cuda_sample){.logits = w->logits,
                                                          .n_rows = n,
                                                          .n_vocab = r->d->base.limits.n_ids,
                                                          .stride = m->n_vocab,
                                                          .pick = p->meta.picks,
                                                          .out = w->picked});
}

/* The stream goes on from one GPU to the next. */
static void hand_over(struct cuda_run *r, struct cuda_part *from, struct cuda_part *to)
{
    const struct model *m = r->d->base.m;
    const size_t n = (size_t)r->k.n_tokens * m->n_embd;

    if (r->add_norm != NULL)
        kern_cuda_rms_norm(from->c, from->work.y, r->add, r->add_norm, r->k.n_tokens, m->n_embd,
                           m->eps);
    if (r->add != NULL)
        kern_cuda_add(from->c, from->work.x, from->work.y, n);
    r->add = r->add_norm = NULL;
    kern_cuda_peer_copy(to->c, to->work.x, from->c, from->work.x, n * sizeof(float));
}

static bool is_of(const struct cuda_graph *g, const struct cuda_run *r)
{
    return g->n_tokens == r->k.n_tokens && g->n_rows == r->n_rows && g->max_keys == r->k.max_keys &&
           g->n_shared == r->k.n_shared && g->picks == r->picks && g->adapts == r->adapts;
}

/* The graph for a step, or the place of the one that was not used for longest. */
static struct cuda_graph *find_graph(struct device_cuda *d, const struct cuda_run *r)
{
    struct cuda_graph *oldest = &d->graphs[0];

    for (unsigned i = 0; i < CUDA_GRAPHS; i++) {
        if (is_of(&d->graphs[i], r))
            return &d->graphs[i];
        if (d->graphs[i].used < oldest->used)
            oldest = &d->graphs[i];
    }
    return oldest;
}

static enum gw_status launch_all(struct cuda_run *r, struct cuda_part *p, struct gw_err *err)
{
    GW_TRY(layers(r, p, err));
    if (r->n_rows != 0)
        device_cuda_logits(r, p);
    return GW_OK;
}

/* A step of the one GPU there is whose shape may recur: launched when it comes first, which takes what scratch it needs; recorded when it
 * comes again; then replayed. */
static enum gw_status replay(struct cuda_run *r, struct cuda_part *p, struct gw_err *err)
{
    struct device_cuda *d = r->d;
    struct cuda_graph *g = find_graph(d, r);
    enum gw_status st;

    if (!is_of(g, r)) {
        kern_cuda_graph_free(g->g);
        *g = (struct cuda_graph){.n_tokens = r->k.n_tokens,
                                 .n_rows = r->n_rows,
                                 .max_keys = r->k.max_keys,
                                 .n_shared = r->k.n_shared,
                                 .picks = r->picks,
                                 .adapts = r->adapts,
                                 .used = d->n_steps};
        return launch_all(r, p, err);
    }
    g->used = d->n_steps;
    if (g->g == NULL) {
        GW_TRY(kern_cuda_graph_begin(p->c, err));
        st = launch_all(r, p, err);
        GW_TRY(kern_cuda_graph_end(p->c, &g->g, err));
        GW_TRY(st);
    }
    kern_cuda_graph_launch(g->g);
    return GW_OK;
}

enum gw_status device_cuda_send(struct cuda_run *r, struct gw_err *err)
{
    struct device_cuda *d = r->d;
    const size_t x_bytes = (size_t)r->k.n_tokens * d->base.m->n_embd * sizeof(float);
    struct cuda_part *p = &d->parts[0];

    for (unsigned i = 0; i < d->n_parts; i++)
        GW_TRY(kern_cuda_upload(d->parts[i].meta_buf, 0, d->host, d->host_meta.bytes, err));
    device_cuda_flush(d);
    memcpy(d->host_x, r->s->x, x_bytes);
    GW_TRY(kern_cuda_upload(p->work_buf, (size_t)((char *)p->work.x - p->work.base), d->host_x,
                            x_bytes, err));
    point_at(r, &p->meta);
    return GW_OK;
}

static enum gw_status launch(struct cuda_run *r, struct gw_err *err)
{
    struct device_cuda *d = r->d;
    struct cuda_part *p = &d->parts[0];

    GW_TRY(device_cuda_send(r, err));
    if (d->n_parts == 1 && d->base.m->n_experts == 0 && r->k.n_tokens == r->k.n_seqs)
        return replay(r, p, err);
    for (unsigned i = 0; i < d->n_parts; i++) {
        p = &d->parts[i];
        point_at(r, &p->meta);
        GW_TRY(layers(r, p, err));
        if (i + 1 < d->n_parts)
            hand_over(r, p, p + 1);
    }
    if (r->n_rows != 0)
        device_cuda_logits(r, p);
    return GW_OK;
}

static enum gw_status fetch_row(struct cuda_run *r, const struct cuda_part *p, unsigned row,
                                struct gw_err *err)
{
    const size_t n = r->d->base.m->n_vocab;
    const size_t at = (size_t)((char *)p->work.logits - p->work.base) + row * n * sizeof(float);

    return kern_cuda_download(p->work_buf, at, r->d->base.logits + row * n, n * sizeof(float), err);
}

/* Brings the logits of rows that nothing was picked from: those of runs without a pick, or (again) those whose pick was left to
 * the CPU. *n counts them. */
static enum gw_status fetch_rows(struct cuda_run *r, const struct cuda_part *p, bool again,
                                 unsigned *n, struct gw_err *err)
{
    int32_t *picked = r->d->base.picked;

    for (unsigned i = 0, row = 0; i < r->s->n_runs; i++) {
        const struct forward_run *run = &r->s->runs[i];

        for (unsigned k = 0; k < run->n_logits; k++, row++) {
            if ((run->pick != NULL) != again || (again && picked[row] >= 0))
                continue;
            picked[row] = -1;
            (*n)++;
            GW_TRY(fetch_row(r, p, row, err));
        }
    }
    return GW_OK;
}

static enum gw_status sync_all(struct device_cuda *d, struct gw_err *err)
{
    for (unsigned i = 0; i < d->n_parts; i++)
        GW_TRY(kern_cuda_sync(d->parts[i].c, err));
    return GW_OK;
}

enum gw_status device_cuda_fetch(struct cuda_run *r, struct gw_err *err)
{
    struct device_cuda *d = r->d;
    const struct cuda_part *p = &d->parts[d->n_parts - 1];
    unsigned n = 0;

    if (r->picks)
        GW_TRY(kern_cuda_download(p->work_buf, (size_t)((char *)p->work.picked - p->work.base),
                                  d->base.picked, r->n_rows * sizeof(int32_t), err));
    GW_TRY(sync_all(d, err));
    GW_TRY(fetch_rows(r, p, false, &n, err));
    GW_TRY(fetch_rows(r, p, true, &n, err));
    return n != 0 ? kern_cuda_sync(p->c, err) : GW_OK;
}

void device_cuda_flush(struct device_cuda *d)
{
    for (unsigned i = 0; d->n_copies != 0 && i < d->n_parts; i++) {
        struct cuda_part *p = &d->parts[i];
        const size_t at = (size_t)((char *)p->meta.copies - p->meta.base);

        /* A failure stays in the context. */
        (void)kern_cuda_upload(p->meta_buf, at, d->host_meta.copies,
                               2 * sizeof(uint32_t) * d->n_copies, NULL);
        kern_cuda_kv_copy(p->c, &p->kv[0], p->meta.copies, d->n_copies);
        (void)kern_cuda_sync(p->c, NULL);
    }
    d->n_copies = 0;
}

enum gw_status device_cuda_step(struct device *base, const struct device_step *s,
                                struct gw_err *err)
{
    struct device_cuda *d = (struct device_cuda *)(void *)base;
    struct cuda_run r = {.d = d, .s = s, .n_rows = s->n_rows};
    struct gw_err why = {0};
    enum gw_status st = d->failed;

    if (st == GW_OK) {
        d->n_steps++;
        device_cuda_note(&r);
        st = launch(&r, &why);
        if (st == GW_OK)
            st = device_cuda_fetch(&r, &why);
        if (st != GW_OK) {
            d->failed = st;
            d->why = why;
        }
    }
    return st == GW_OK ? GW_OK : gw_fail(err, st, "the GPU failed: %s", d->why.text);
}
