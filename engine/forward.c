/* engine/forward.c - memory and plan of a step. The computation is in forward_layers.c. */
#include "engine/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/forward_private.h"
#include "engine/hugemem.h"

enum {
    ATTN_TILE_TOKENS = 16, /* tokens whose attention is one piece of work */
    MIN_STEP_TOKENS = 16
};

/* Scratch memory beyond the size of the model itself. */
#define SPARE_BYTES ((size_t)128 << 20)

/* Memory for attention that is split, at most: what does not fit is computed by whole heads. */
#define SPLIT_BYTES ((size_t)32 << 20)

/* ---- memory ----------------------------------------------------------------------------- */

/* Hands out aligned pieces of mem; with mem NULL it only counts. */
struct carver {
    char *mem;
    size_t at;
    bool failed; /* the size overflowed */
};

static void *carve(struct carver *c, size_t n, size_t size)
{
    size_t bytes, end, at = c->at;

    if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(at, bytes, &end) ||
        end > SIZE_MAX - KERN_ALIGN) {
        c->failed = true;
        return NULL;
    }
    c->at = (end + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
    return c->mem == NULL ? NULL : c->mem + at;
}

static void *carve_acts(struct carver *c, const struct forward *f, unsigned n_tokens, size_t cols)
{
    return carve(c, 1, kern_acts_bytes(n_tokens, cols, f->m->acts_form));
}

static void carve_prep(struct carver *c, const struct forward *f, struct forward_prep *b,
                       unsigned n_tokens)
{
    b->x = carve(c, (size_t)n_tokens * f->m->n_embd, sizeof(float));
    b->xn = carve(c, (size_t)n_tokens * f->m->n_embd, sizeof(float));
    b->acts_embd = carve_acts(c, f, n_tokens, f->m->n_embd);
    b->acts_att = carve_acts(c, f, n_tokens, f->n_att);
    b->acts_ff = carve_acts(c, f, n_tokens, f->m->n_ff);
}

/* Places are tokens times the experts that each goes to. */
static void carve_moe(struct carver *c, struct forward *f)
{
    const struct model *m = f->m;
    struct forward_moe *e = &f->moe;
    const size_t n = f->max_tokens, places = n * m->n_used;

    if (m->n_experts == 0)
        return;
    e->router = carve(c, n * m->n_experts, sizeof(float));
    e->chosen = carve(c, places, sizeof(*e->chosen));
    e->weight = carve(c, places, sizeof(*e->weight));
    e->place = carve(c, places, sizeof(*e->place));
    e->token = carve(c, places, sizeof(*e->token));
    e->first = carve(c, m->n_experts + 1, sizeof(*e->first));
    e->busy = carve(c, m->n_experts, sizeof(*e->busy));
    e->x = carve(c, places * m->n_embd, sizeof(float));
    e->y = carve(c, places * m->n_embd, sizeof(float));
    e->gate = carve(c, places * m->n_ff, sizeof(float));
    e->up = carve(c, places * m->n_ff, sizeof(float));
    e->acts_embd = carve_acts(c, f, (unsigned)places, m->n_embd);
    e->acts_ff = carve_acts(c, f, (unsigned)places, m->n_ff);
}

static void carve_ropes(struct carver *c, struct forward *f)
{
    const size_t n = (size_t)f->max_context * (f->m->n_rot / 2);

    for (unsigned i = 0; i < MODEL_ROPES; i++) {
        if (f->ropes[i] == NULL)
            continue;
        f->rope_cos[i] = carve(c, n, sizeof(float));
        f->rope_sin[i] = carve(c, n, sizeof(float));
    }
}

static size_t n_counters(const struct model *m)
{
    return (size_t)m->n_layers * FORWARD_PHASES + 1;
}

/* Room for the tokens of the steps that are split, see plan(). */
static void carve_split(struct carver *c, struct forward *f)
{
    struct forward_split *s = &f->split;
    const unsigned n_threads = pool_n_threads(f->p);
    size_t spans, room;

    s->max_spans = f->max_context / KERN_ATTN_SPAN + 1;
    room = SPLIT_BYTES / ((size_t)s->max_spans * f->n_att * sizeof(float));
    s->max_tokens = n_threads > 1 ? 2 * n_threads : 0;
    s->max_tokens = s->max_tokens < f->max_tokens ? s->max_tokens : f->max_tokens;
    s->max_tokens = s->max_tokens < room ? s->max_tokens : (unsigned)room;
    spans = (size_t)s->max_tokens * s->max_spans;
    s->out = carve(c, spans * f->n_att, sizeof(float));
    s->parts = carve(c, spans * f->m->n_heads, sizeof(*s->parts));
    s->done = carve(c, (size_t)s->max_tokens * f->m->n_kv_heads, sizeof(*s->done));
}

/* Lays everything out; called once to count and once to place. */
static void carve_all(struct carver *c, struct forward *f)
{
    const struct model *m = f->m;
    size_t n = f->max_tokens;

    carve_prep(c, f, &f->shared, f->max_tokens);
    for (unsigned i = 0; i < pool_n_threads(f->p); i++)
        carve_prep(c, f, &f->alone[i], FORWARD_ALONE_TOKENS);
    f->qkv = carve(c, n * f->n_qkv, sizeof(float));
    f->att = carve(c, n * f->n_att, sizeof(float));
    f->y = carve(c, n * m->n_embd, sizeof(float));
    f->gate = carve(c, n * m->n_ff, sizeof(float));
    f->up = carve(c, n * m->n_ff, sizeof(float));
    f->logits = carve(c, (size_t)f->max_logits * m->n_vocab, sizeof(float));
    carve_ropes(c, f);
    carve_moe(c, f);
    f->tokens = carve(c, n, sizeof(*f->tokens));
    f->token_pos = carve(c, n, sizeof(*f->token_pos));
    f->token_run = carve(c, n, sizeof(*f->token_run));
    f->row_token = carve(c, f->max_logits, sizeof(*f->row_token));
    carve_split(c, f);
    f->items =
        carve(c, n * m->n_heads + (size_t)f->split.max_tokens * f->split.max_spans * m->n_kv_heads,
              sizeof(*f->items));
    f->counters = carve(c, n_counters(m), sizeof(*f->counters));
}

enum gw_status forward_new(const struct model *m, const struct kvcache *kv, struct pool *p,
                           unsigned max_tokens, unsigned max_logits, unsigned max_context,
                           struct forward **out, struct gw_err *err)
{
    struct forward *f = calloc(1, sizeof(*f));
    struct carver c;

    if (f == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a step");
    f->m = m;
    f->kv = kv;
    f->p = p;
    f->n_layers = m->n_layers;
    f->max_tokens = max_tokens;
    f->max_logits = max_logits;
    f->max_context = max_context;
    for (unsigned i = 0; i < MODEL_ROPES; i++)
        f->ropes[i] = m->ropes[i].freqs != NULL ? &m->ropes[i] : NULL;
    if (m->rope_long.freqs != NULL && max_context > m->long_from)
        f->ropes[0] = &m->rope_long;
    f->n_att = m->n_heads * m->head_dim;
    f->n_kv = m->n_kv_heads * m->head_dim;
    f->n_qkv = f->n_att + 2 * f->n_kv;
    for (;;) {
        c = (struct carver){NULL, 0, false};
        carve_all(&c, f);
        if (f->max_tokens <= MIN_STEP_TOKENS ||
            (!c.failed && c.at <= SPARE_BYTES + m->weights_bytes))
            break;
        f->max_tokens /= 2;
    }
    f->mem_bytes = c.at;
    c = (struct carver){c.failed ? NULL : hugemem_new(f->mem_bytes), 0, false};
    if (c.mem == NULL) {
        free(f);
        return gw_fail(err, GW_ENOMEM, "out of memory for steps of %u tokens", max_tokens);
    }
    f->mem = c.mem;
    carve_all(&c, f);
    *out = f;
    return GW_OK;
}

void forward_free(struct forward *f)
{
    if (f == NULL)
        return;
    forward_lora_fini(f);
    hugemem_free(f->mem, f->mem_bytes);
    free(f);
}

unsigned forward_max_tokens(const struct forward *f)
{
    return f->max_tokens;
}

void forward_use_device(struct forward *f, struct device *d)
{
    f->device = d;
    f->n_layers = d->first_layer;
}

const char *forward_error(const struct forward *f)
{
    return f->why.text;
}

float *forward_logits(const struct forward *f, unsigned row)
{
    return (f->device != NULL ? f->device->logits : f->logits) + (size_t)row * f->m->n_vocab;
}

/* Few tokens are prepared by every thread on its own. */
static bool is_alone(const struct forward *f)
{
    return pool_n_threads(f->p) > 1 && f->n_tokens <= FORWARD_ALONE_TOKENS;
}

const float *forward_hidden(const struct forward *f, unsigned row)
{
    const struct forward_prep *b = is_alone(f) ? &f->alone[0] : &f->shared;

    return f->device != NULL ? NULL : b->xn + (size_t)row * f->m->n_embd;
}

/* ---- plan ------------------------------------------------------------------------------- */

/* Angles are computed per position in double: products carried along drift at long contexts. */
static void turn(const struct model_rope *r, unsigned pos, unsigned half, float *cosines,
                 float *sines)
{
    for (unsigned i = 0; i < half; i++) {
        double angle = (double)pos * r->freqs[i];

        cosines[i] = (float)(cos(angle) * (double)r->scale);
        sines[i] = (float)(sin(angle) * (double)r->scale);
    }
}

static void extend_rope(struct forward *f, unsigned n_positions)
{
    unsigned half = f->m->n_rot / 2;

    for (; f->rope_done < n_positions; f->rope_done++)
        for (unsigned i = 0; i < MODEL_ROPES; i++)
            if (f->ropes[i] != NULL)
                turn(f->ropes[i], f->rope_done, half, f->rope_cos[i] + (size_t)f->rope_done * half,
                     f->rope_sin[i] + (size_t)f->rope_done * half);
}

static void add_item(struct forward *f, struct forward_item item)
{
    f->items[f->n_items++] = item;
}

/* One token: every thread should get the same number of query heads, and heads that share keys should
 * stay together, since they read the same memory. */
static void add_decode_items(struct forward *f, unsigned run, unsigned token, unsigned n_parts)
{
    unsigned group = f->m->n_heads / f->m->n_kv_heads, part_end, head = 0;

    for (unsigned part = 0; part < n_parts; part++) {
        part_end = (unsigned)((uint64_t)f->m->n_heads * (part + 1) / n_parts);
        while (head < part_end) {
            unsigned end = (head / group + 1) * group;

            if (end > part_end)
                end = part_end;
            add_item(f, (struct forward_item){run, token, 1, head, end - head, 0, 0});
            head = end;
        }
    }
}

/* One token with many keys: spans of them, for all heads that share them. */
static void add_split_items(struct forward *f, unsigned run, unsigned token, unsigned n_keys,
                            unsigned split)
{
    unsigned group = f->m->n_heads / f->m->n_kv_heads;

    for (unsigned span = 0; span * KERN_ATTN_SPAN < n_keys; span++)
        for (unsigned h = 0; h < f->m->n_heads; h += group)
            add_item(f, (struct forward_item){run, token, 1, h, group, span, split + 1});
}

/* Many tokens: tiles, the later ones first, because they see more keys and take longer. */
static void add_prefill_items(struct forward *f, unsigned run, unsigned token, unsigned n_tokens)
{
    unsigned group = f->m->n_heads / f->m->n_kv_heads;

    for (unsigned end = n_tokens; end != 0;) {
        unsigned from = (end - 1) / ATTN_TILE_TOKENS * ATTN_TILE_TOKENS;

        for (unsigned h = 0; h < f->m->n_heads; h += group)
            add_item(f, (struct forward_item){run, token + from, end - from, h, group, 0, 0});
        end = from;
    }
}

static void plan(struct forward *f, struct forward_run *runs, unsigned n_runs)
{
    unsigned t = 0, row = 0, n_split = 0, n_threads = pool_n_threads(f->p);
    /* With enough sequences whole KV heads keep all threads busy. */
    unsigned n_parts = n_runs >= 2 * n_threads ? f->m->n_kv_heads : n_threads;

    f->runs = runs;
    f->n_runs = n_runs;
    f->n_items = 0;
    for (unsigned r = 0; r < n_runs; r++) {
        struct forward_run *run = &runs[r];

        if (run->n_tokens == 1 && run->pos >= KERN_ATTN_SPAN && n_split < f->split.max_tokens)
            add_split_items(f, r, t, run->pos + 1, n_split++);
        else if (run->n_tokens == 1)
            add_decode_items(f, r, t, n_parts);
        else
            add_prefill_items(f, r, t, run->n_tokens);
        run->logits_row = row;
        for (unsigned i = 0; i < run->n_tokens; i++, t++) {
            f->tokens[t] = run->tokens[i];
            f->token_pos[t] = run->pos + i;
            f->token_run[t] = r;
            if (run->n_tokens - i <= run->n_logits)
                f->row_token[row++] = t;
        }
        extend_rope(f, run->pos + run->n_tokens);
    }
    f->n_tokens = t;
    f->n_logits = row;
    forward_lora_plan(f);
    for (size_t i = 0; i < n_counters(f->m); i++)
        atomic_store_explicit(&f->counters[i], 0, memory_order_relaxed);
}

/* What the device makes of the stream as the layers here left it. */
static enum gw_status finish_on_device(struct forward *f)
{
    const struct device_step step = {
        .runs = f->runs,
        .n_runs = f->n_runs,
        .n_tokens = f->n_tokens,
        .n_rows = f->n_logits,
        .row_token = f->row_token,
        .x = is_alone(f) ? f->alone[0].x : f->shared.x,
    };

    GW_TRY(device_step(f->device, &step, &f->why));
    for (unsigned i = 0; i < f->n_runs; i++)
        if (f->runs[i].n_logits != 0)
            f->runs[i].picked = f->device->picked[f->runs[i].logits_row];
    return GW_OK;
}

/* Both sides are timed: sched_cost.c. */
static enum gw_status step_with_device(struct forward *f, struct forward_run *runs, unsigned n_runs)
{
    const uint64_t t0 = gw_clock_ns();
    enum gw_status st;

    plan(f, runs, n_runs);
    pool_run(f->p, forward_layers, f);
    f->host_ns = gw_clock_ns() - t0;
    st = finish_on_device(f);
    f->device_ns = gw_clock_ns() - t0 - f->host_ns;
    return st;
}

void forward_times(const struct forward *f, uint64_t *host, uint64_t *there)
{
    *host = f->host_ns;
    *there = f->device_ns;
}

enum gw_status forward_step(struct forward *f, struct forward_run *runs, unsigned n_runs)
{
    for (unsigned i = 0; i < n_runs; i++)
        runs[i].picked = -1;
    if (f->device == NULL) {
        plan(f, runs, n_runs);
        pool_run(f->p, forward_layers, f);
        return GW_OK;
    }
    return step_with_device(f, runs, n_runs);
}
