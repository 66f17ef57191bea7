/* engine/bert_step.c - the encoder, straight-line; every thread of the pool runs all of it.
 *
 * The texts of a step lie one after the other, without padding. A thread takes pieces of products and of
 * attention from shared counters, norms some tokens, and meets the others where it needs their results. Shapes
 * are [outer][inner], d is n_embd. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bert.h"
#include "engine/hugemem.h"
#include "engine/pool.h"

enum {
    TILE_TOKENS = 64, /* queries whose scores are computed at once */
    PIECES_PER_THREAD = 6
};

/* Encoders are small: coarse inputs would show in their vectors. */
#define ACTS_FORM KERN_ACTS_FINE

enum phase { PHASE_QKV, PHASE_ATTN, PHASE_O, PHASE_UP, PHASE_DOWN, N_PHASES };

/* What a thread needs for the attention of one head of one text. */
struct scratch {
    float *keys;   /* [token][head_dim], then packed behind it */
    float *values; /* [head_dim][token], likewise */
    void *packed_keys, *packed_values;
    float *scores; /* [TILE_TOKENS][token] */
};

struct bert_space {
    const struct bert *b;
    struct pool *p;
    unsigned max_tokens, max_text;
    float *x;       /* [token][d] */
    float *qkv;     /* [token][3 d] */
    float *att, *y; /* [token][d] */
    float *up;      /* [token][n_ff] */
    void *acts_x, *acts_att,
        *acts_up;    /* memory of the three as integers; NULL: no matrix takes them */
    unsigned *texts; /* [token]: which run it belongs to */
    struct scratch scratch[POOL_MAX_THREADS];

    struct bert_run *runs;
    unsigned n_runs, n_tokens;
    atomic_uint *counters; /* [layer][phase] */

    void *mem;
    size_t mem_bytes;
};

/* ---- memory ------------------------------------------------------------------------------------ */

struct carver {
    char *mem; /* NULL: only counts */
    size_t at;
};

static void *carve(struct carver *c, size_t n, size_t size)
{
    size_t at = c->at;

    /* The limits of bert_config.c keep every size far below an overflow. */
    c->at = (at + n * size + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
    return c->mem == NULL ? NULL : c->mem + at;
}

static enum gw_status carve_scratch(struct carver *c, const struct bert_space *s, struct scratch *t,
                                    struct gw_err *err)
{
    size_t dim = s->b->head_dim, n = s->max_text, keys = 0, values = 0;

    GW_TRY(kern_matrix_packed_bytes(s->b->ops, KERN_TYPE_F32, n, dim, &keys, err));
    GW_TRY(kern_matrix_packed_bytes(s->b->ops, KERN_TYPE_F32, dim, n, &values, err));
    t->keys = carve(c, n * dim, sizeof(float));
    t->values = carve(c, n * dim, sizeof(float));
    t->packed_keys = carve(c, 1, keys);
    t->packed_values = carve(c, 1, values);
    t->scores = carve(c, TILE_TOKENS * n, sizeof(float));
    return GW_OK;
}

static enum gw_status carve_all(struct carver *c, struct bert_space *s, struct gw_err *err)
{
    size_t n = s->max_tokens, d = s->b->n_embd;

    s->x = carve(c, n * d, sizeof(float));
    s->qkv = carve(c, n * d * 3, sizeof(float));
    s->att = carve(c, n * d, sizeof(float));
    s->y = carve(c, n * d, sizeof(float));
    s->up = carve(c, n * s->b->n_ff, sizeof(float));
    if (s->b->quantized) {
        s->acts_x = carve(c, 1, kern_acts_bytes(s->max_tokens, d, ACTS_FORM));
        s->acts_att = carve(c, 1, kern_acts_bytes(s->max_tokens, d, ACTS_FORM));
        s->acts_up = carve(c, 1, kern_acts_bytes(s->max_tokens, s->b->n_ff, ACTS_FORM));
    }
    s->texts = carve(c, n, sizeof(*s->texts));
    s->counters = carve(c, (size_t)s->b->n_layers * N_PHASES, sizeof(*s->counters));
    for (unsigned i = 0; i < pool_n_threads(s->p); i++)
        GW_TRY(carve_scratch(c, s, &s->scratch[i], err));
    return GW_OK;
}

enum gw_status bert_space_new(const struct bert *b, struct pool *p, unsigned max_tokens,
                              unsigned max_text, struct bert_space **out, struct gw_err *err)
{
    struct bert_space *s = calloc(1, sizeof(*s));
    struct carver c = {NULL, 0};
    enum gw_status st;

    if (s == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a step");
    *s = (struct bert_space){.b = b, .p = p, .max_tokens = max_tokens, .max_text = max_text};
    st = carve_all(&c, s, err);
    if (st == GW_OK) {
        s->mem_bytes = c.at;
        s->mem = hugemem_new(c.at);
        c = (struct carver){s->mem, 0};
        st = s->mem == NULL
                 ? gw_fail(err, GW_ENOMEM, "out of memory for steps of %u tokens", max_tokens)
                 : carve_all(&c, s, err);
    }
    if (st != GW_OK) {
        bert_space_free(s);
        return st;
    }
    *out = s;
    return GW_OK;
}

void bert_space_free(struct bert_space *s)
{
    if (s == NULL)
        return;
    hugemem_free(s->mem, s->mem_bytes);
    free(s);
}

/* ---- one thread's work ------------------------------------------------------------------------- */

struct worker {
    struct bert_space *s;
    const struct bert *b;
    const struct kern_ops *ops;
    struct scratch *scratch;
    unsigned from, to;           /* tokens it norms */
    struct kern_acts x, att, up; /* inputs of products */
};

/* out = w x + bias, behind it GELU when asked for; in pieces of rows. */
struct product {
    const struct kern_matrix *w;
    const float *bias;
    const struct kern_acts *x;
    float *out;
    size_t out_stride;
    bool gelu;
};

/* The integers of this thread's tokens, where some matrix takes them. The others wait for them. */
static void prepare(const struct worker *w, struct kern_acts *x)
{
    if (!w->b->quantized)
        return;
    w->ops->quantize(x, w->from, w->to);
    pool_barrier(w->s->p);
}

static void multiply_rows(const struct worker *w, const struct product *p, size_t from, size_t to)
{
    const unsigned n = w->s->n_tokens;

    w->ops->matmul(p->w, p->x, n, p->out, p->out_stride, from, to);
    for (size_t t = 0; t < n; t++) {
        float *out = p->out + t * p->out_stride + from;

        w->ops->add(out, p->bias + from, to - from);
        if (p->gelu)
            w->ops->gelu(out, to - from);
    }
}

/* Takes pieces of n products with equally many rows until none is left. */
static void multiply(const struct worker *w, const struct product *p, unsigned n,
                     atomic_uint *counter)
{
    const size_t rows = p->w->rows;
    const size_t panels = (rows + KERN_ROW_STEP - 1) / KERN_ROW_STEP;
    size_t piece = n * panels / ((size_t)pool_n_threads(w->s->p) * PIECES_PER_THREAD), per, i;

    piece = piece == 0 ? 1 : piece < panels ? piece : panels;
    per = (panels + piece - 1) / piece; /* pieces of a product */
    while ((i = pool_take(counter)) < n * per) {
        size_t from = i % per * piece * KERN_ROW_STEP, to = from + piece * KERN_ROW_STEP;

        multiply_rows(w, &p[i / per], from, to < rows ? to : rows);
    }
}

/* softmax(scale q k^T) v of one head of one text, as two products with keys and values as weights. */
static void attend_head(const struct worker *w, const struct bert_run *run, unsigned head)
{
    const struct bert_space *s = w->s;
    const size_t d = w->b->n_embd, dim = w->b->head_dim, n = run->n;
    const struct scratch *t = w->scratch;
    const float *qkv = s->qkv + (size_t)run->first * 3 * d + head * dim;
    struct kern_matrix keys, values;

    for (size_t i = 0; i < n; i++) {
        memcpy(t->keys + i * dim, qkv + i * 3 * d + d, dim * sizeof(float));
        for (size_t k = 0; k < dim; k++)
            t->values[k * n + i] = qkv[i * 3 * d + 2 * d + k];
    }
    /* Sizes below those of bert_space_new: neither can fail. */
    (void)kern_matrix_pack(w->ops, KERN_TYPE_F32, n, dim, t->keys, t->packed_keys, &keys, NULL);
    (void)kern_matrix_pack(w->ops, KERN_TYPE_F32, dim, n, t->values, t->packed_values, &values,
                           NULL);
    for (size_t i = 0; i < n; i += TILE_TOKENS) {
        const unsigned rows = (unsigned)(n - i < TILE_TOKENS ? n - i : TILE_TOKENS);
        const struct kern_acts q = {
            .n_tokens = rows, .cols = dim, .x = qkv + i * 3 * d, .x_stride = 3 * d};
        const struct kern_acts p = {.n_tokens = rows, .cols = n, .x = t->scores, .x_stride = n};

        w->ops->matmul(&keys, &q, rows, t->scores, n, 0, n);
        for (size_t k = 0; k < rows; k++)
            w->ops->softmax(t->scores + k * n, n, 1.0f / sqrtf((float)dim));
        w->ops->matmul(&values, &p, rows, s->att + (run->first + i) * d + head * dim, d, 0, dim);
    }
}

static void attend(const struct worker *w, atomic_uint *counter)
{
    const unsigned heads = w->b->n_heads;
    unsigned i;

    while ((i = pool_take(counter)) < w->s->n_runs * heads)
        attend_head(w, &w->s->runs[i / heads], i % heads);
}

/* x = norm(x + y) for this thread's tokens; the others wait for them. */
static void add_and_norm(struct worker *w, const float *weight, const float *bias)
{
    const size_t d = w->b->n_embd;

    for (size_t t = w->from; t < w->to; t++) {
        float *x = w->s->x + t * d;

        w->ops->add(x, w->s->y + t * d, d);
        w->ops->layer_norm(x, x, weight, bias, d, w->b->eps);
    }
    if (w->b->quantized)
        w->ops->quantize(&w->x, w->from, w->to);
    pool_barrier(w->s->p);
}

static void run_layer(struct worker *w, const struct bert_layer *l, atomic_uint *counters)
{
    const struct bert_space *s = w->s;
    const size_t d = w->b->n_embd, ff = w->b->n_ff;
    const struct product qkv[] = {{&l->q, l->q_bias, &w->x, s->qkv, 3 * d, false},
                                  {&l->k, l->k_bias, &w->x, s->qkv + d, 3 * d, false},
                                  {&l->v, l->v_bias, &w->x, s->qkv + 2 * d, 3 * d, false}};
    const struct product o = {&l->o, l->o_bias, &w->att, s->y, d, false};
    const struct product up = {&l->up, l->up_bias, &w->x, s->up, ff, true};
    const struct product down = {&l->down, l->down_bias, &w->up, s->y, d, false};

    multiply(w, qkv, 3, &counters[PHASE_QKV]);
    pool_barrier(s->p);
    attend(w, &counters[PHASE_ATTN]);
    pool_barrier(s->p);
    prepare(w, &w->att);
    multiply(w, &o, 1, &counters[PHASE_O]);
    pool_barrier(s->p);
    add_and_norm(w, l->att_norm, l->att_norm_bias);
    multiply(w, &up, 1, &counters[PHASE_UP]);
    pool_barrier(s->p);
    prepare(w, &w->up);
    multiply(w, &down, 1, &counters[PHASE_DOWN]);
    pool_barrier(s->p);
    add_and_norm(w, l->out_norm, l->out_norm_bias);
}

/* x = norm(word + position + token type) */
static void look_up(const struct worker *w, struct kern_acts *acts)
{
    const struct bert *b = w->b;
    const size_t d = b->n_embd;

    for (size_t t = w->from; t < w->to; t++) {
        const struct bert_run *run = &w->s->runs[w->s->texts[t]];
        const size_t at = t - run->first;
        const size_t type = b->two_types && at >= run->n_query ? 1 : 0;
        float *x = w->s->x + t * d;

        kern_row_f32(b->word_type, b->words + (size_t)run->ids[at] * b->word_bytes, d, x);
        w->ops->add(x, b->positions + (type * b->n_positions + at) * d, d);
        w->ops->layer_norm(x, x, b->embd_norm, b->embd_norm_bias, d, b->eps);
    }
    if (b->quantized)
        w->ops->quantize(acts, w->from, w->to);
    pool_barrier(w->s->p);
}

/* The mean of the text's tokens, or its first one, scaled to length 1. */
static void pool_text(const struct worker *w, const struct bert_run *run)
{
    const size_t d = w->b->n_embd, n = w->b->pool == BERT_POOL_CLS ? 1 : run->n;
    double squares = 0, scale;

    memset(run->out, 0, d * sizeof(*run->out));
    for (size_t t = 0; t < n; t++)
        w->ops->add(run->out, w->s->x + (run->first + t) * d, d);
    for (size_t k = 0; k < d; k++)
        squares += (double)run->out[k] * (double)run->out[k];
    scale = squares > 0 ? 1 / sqrt(squares) : 1; /* the length takes the mean's divisor in */
    for (size_t k = 0; k < d; k++)
        run->out[k] = (float)((double)run->out[k] * scale);
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* The head's number for a query and a document. */
static void score_text(const struct worker *w, const struct bert_run *run)
{
    const struct bert_head *h = &w->b->head;
    const size_t d = w->b->n_embd;
    const float *x = w->s->x + run->first * d;
    double sum = (double)h->out_bias;

    if (h->dense == NULL) {
        *run->out = (float)(sum + dot(h->out, x, d));
        return;
    }
    for (size_t k = 0; k < d; k++)
        sum += (double)h->out[k] * tanh(dot(h->dense + k * d, x, d) + (double)h->dense_bias[k]);
    *run->out = (float)sum;
}

static void finish_texts(const struct worker *w, unsigned thread)
{
    for (unsigned i = thread; i < w->s->n_runs; i += pool_n_threads(w->s->p)) {
        if (w->b->head.out != NULL)
            score_text(w, &w->s->runs[i]);
        else
            pool_text(w, &w->s->runs[i]);
    }
}

static void init_acts(struct worker *w)
{
    const struct bert_space *s = w->s;
    const size_t d = w->b->n_embd, ff = w->b->n_ff;
    const struct {
        struct kern_acts *a;
        void *mem;
        const float *x;
        size_t cols;
    } all[] = {{&w->x, s->acts_x, s->x, d},
               {&w->att, s->acts_att, s->att, d},
               {&w->up, s->acts_up, s->up, ff}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (w->b->quantized)
            kern_acts_init(all[i].a, all[i].mem, s->n_tokens, all[i].cols, ACTS_FORM, all[i].x,
                           all[i].cols);
        else
            *all[i].a = (struct kern_acts){.n_tokens = s->n_tokens,
                                           .cols = all[i].cols,
                                           .x = all[i].x,
                                           .x_stride = all[i].cols};
    }
}

static void run_all(void *ctx, unsigned thread)
{
    struct bert_space *s = ctx;
    const unsigned n = pool_n_threads(s->p);
    struct worker w = {.s = s,
                       .b = s->b,
                       .ops = s->b->ops,
                       .scratch = &s->scratch[thread],
                       .from = (unsigned)((uint64_t)s->n_tokens * thread / n),
                       .to = (unsigned)((uint64_t)s->n_tokens * (thread + 1) / n)};

    init_acts(&w);
    look_up(&w, &w.x);
    for (unsigned i = 0; i < s->b->n_layers; i++)
        run_layer(&w, &s->b->layers[i], s->counters + (size_t)i * N_PHASES);
    finish_texts(&w, thread);
}

void bert_step(struct bert_space *s, struct bert_run *runs, unsigned n_runs)
{
    s->runs = runs;
    s->n_runs = n_runs;
    s->n_tokens = 0;
    for (unsigned i = 0; i < n_runs; i++) {
        runs[i].first = s->n_tokens;
        for (unsigned k = 0; k < runs[i].n; k++)
            s->texts[s->n_tokens++] = i;
    }
    for (size_t i = 0; i < (size_t)s->b->n_layers * N_PHASES; i++)
        atomic_store_explicit(&s->counters[i], 0, memory_order_relaxed);
    pool_run(s->p, run_all, s);
}
