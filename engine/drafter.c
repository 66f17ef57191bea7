/* engine/drafter.c - see drafter.h. */
#include "engine/drafter.h"

#include <stdlib.h>

#include "engine/forward.h"
#include "engine/gguf.h"
#include "engine/hf.h"

enum {
    READ_TOKENS = 128, /* of what came before, in a call */
    INT8_HEAD_DIM = 64,
};

/* Memory that its pages may take at most. */
#define MAX_KV_BYTES ((uint64_t)512 << 20)

struct drafter {
    struct model m;
    struct kvcache *kv;
    struct forward *f;
    unsigned n_ids, max_context;
};

/* Both must mean the same by every id. */
static enum gw_status compare(const struct tok *own, const struct tok *other, struct gw_err *err)
{
    if (tok_n_vocab(own) != tok_n_vocab(other))
        return gw_fail(err, GW_EINVAL,
                       "its vocabulary has %u tokens, that of the model it would guess for %u",
                       tok_n_vocab(own), tok_n_vocab(other));
    for (unsigned i = 0; i < tok_n_vocab(own); i++) {
        const int32_t id = (int32_t)i;

        if (!gw_span_eq(tok_text(own, id), tok_text(other, id)) ||
            tok_is_end(own, id) != tok_is_end(other, id))
            return gw_fail(err, GW_EINVAL,
                           "its vocabulary is not that of the model it would guess for: token %u "
                           "differs",
                           i);
    }
    return GW_OK;
}

static enum gw_status make_memory(struct drafter *d, const struct drafter_config *cfg,
                                  struct gw_err *err)
{
    struct kvcache_shape shape = {.n_layers = d->m.n_layers,
                                  .n_kv_heads = d->m.n_kv_heads,
                                  .head_dim = d->m.head_dim,
                                  .type =
                                      d->m.head_dim >= INT8_HEAD_DIM ? KERN_KV_I8 : KERN_KV_F16};
    uint64_t tokens = MAX_KV_BYTES / kvcache_token_bytes(&shape);

    d->max_context = cfg->max_context < d->m.max_context ? cfg->max_context : d->m.max_context;
    if (tokens > (uint64_t)d->max_context * cfg->max_seqs)
        tokens = (uint64_t)d->max_context * cfg->max_seqs;
    if (tokens < d->max_context)
        d->max_context = (unsigned)tokens;
    shape.n_tokens = (unsigned)tokens + KERN_KV_BLOCK;
    shape.max_seq_tokens = d->max_context;
    GW_TRY(kvcache_new(&shape, &d->kv, err));
    return forward_new(&d->m, d->kv, cfg->p, READ_TOKENS, 1, d->max_context, &d->f, err);
}

static enum gw_status load(struct drafter *d, const struct drafter_config *cfg, struct gw_err *err)
{
    struct gguf *g = NULL;
    struct tok *tok = NULL;
    enum gw_status st = hf_open_any(cfg->path, true, &g, err);

    if (st == GW_OK)
        st = tok_open(g, &tok, err);
    if (st == GW_OK)
        st = compare(tok, cfg->tok, err);
    if (st == GW_OK)
        st = model_load(&d->m, g, cfg->ops, cfg->p, NULL, NULL, err);
    if (st == GW_OK && d->m.n_vocab < tok_n_vocab(tok))
        st = gw_fail(err, GW_EPARSE, "the tokenizer has %u tokens, the model %u", tok_n_vocab(tok),
                     d->m.n_vocab);
    if (st == GW_OK)
        st = make_memory(d, cfg, err);
    d->n_ids = tok == NULL ? 0 : tok_n_vocab(tok);
    tok_free(tok);
    gguf_close(g);
    return st;
}

enum gw_status drafter_open(const struct drafter_config *cfg, struct drafter **out,
                            struct gw_err *err)
{
    struct drafter *d = calloc(1, sizeof(*d));
    enum gw_status st;

    if (d == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the draft model");
    st = load(d, cfg, err);
    if (st != GW_OK) {
        if (err != NULL)
            (void)gw_fail_prefix(err, "draft model %s", cfg->path);
        drafter_close(d);
        return st;
    }
    *out = d;
    return GW_OK;
}

void drafter_close(struct drafter *d)
{
    if (d == NULL)
        return;
    forward_free(d->f);
    kvcache_free(d->kv);
    model_fini(&d->m);
    free(d);
}

/* Feeds n tokens behind what it has. */
static bool feed(struct drafter *d, struct drafter_seq *s, const int32_t *ids, unsigned n,
                 bool logits)
{
    struct forward_run run = {
        .seq = &s->kv, .tokens = ids, .n_tokens = n, .pos = s->n_cached, .n_logits = logits};

    if (forward_step(d->f, &run, 1) != GW_OK)
        return false;
    s->n_cached += n;
    return true;
}

unsigned drafter_guess(struct drafter *d, struct drafter_seq *s, const int32_t *ids, unsigned n,
                       unsigned k, int32_t *out)
{
    const unsigned most = forward_max_tokens(d->f);

    if (n >= d->max_context)
        return 0;
    if (k > d->max_context - n)
        k = d->max_context - n;
    if (k == 0 || s->n_cached >= n || kvcache_reserve(d->kv, &s->kv, n + k) != GW_OK)
        return 0;
    if (n - s->n_cached > most) {
        (void)feed(d, s, ids + s->n_cached, most, false);
        return 0;
    }
    for (unsigned i = 0; i < k; i++) {
        const int32_t *from = i == 0 ? ids + s->n_cached : out + i - 1;

        if (!feed(d, s, from, i == 0 ? n - s->n_cached : 1, true))
            return 0;
        out[i] = (int32_t)d->m.ops->argmax(forward_logits(d->f, 0), d->n_ids);
    }
    return k;
}

void drafter_keep(struct drafter *d, struct drafter_seq *s, unsigned n)
{
    if (s->n_cached > n)
        s->n_cached = n;
    if (s->n_cached != 0)
        kvcache_truncate(d->kv, &s->kv, s->n_cached);
}

void drafter_release(struct drafter *d, struct drafter_seq *s)
{
    if (d != NULL)
        kvcache_release(d->kv, &s->kv);
    *s = (struct drafter_seq){0};
}

uint64_t drafter_bytes(const struct drafter *d)
{
    return d == NULL ? 0 : kvcache_bytes(d->kv);
}
