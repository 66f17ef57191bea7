/* engine/forward_private.h - the memory of a step, shared by forward.c (set-up, plan) and
 * forward_layers.c (the computation). */
#ifndef ENGINE_FORWARD_PRIVATE_H
#define ENGINE_FORWARD_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/forward.h"

/* Steps of up to this many tokens are prepared (norms, quantizing) by every thread on its own: that
 * costs less than meeting. */
enum { FORWARD_ALONE_TOKENS = 4 };

/* Shared counters a layer, in the order of use. */
enum forward_phase {
    FORWARD_QKV,
    FORWARD_STORE,
    FORWARD_ATTN,
    FORWARD_O,
    FORWARD_GATE_UP,
    FORWARD_DOWN,
    FORWARD_PHASES
};

/* Buffers that prepare the inputs of products: shared by all threads, or one set a thread. */
struct forward_prep {
    float *x;                             /* [token][n_embd]: the residual stream */
    float *xn;                            /* [token][n_embd]: x after a norm */
    void *acts_embd, *acts_att, *acts_ff; /* memory of kern_acts of n_embd, n_att, n_ff columns */
};

/* Attention of some query heads of one KV head, for some tokens of one run. */
struct forward_item {
    unsigned run, token, n_tokens; /* token: in the step */
    unsigned head, n_heads;
};

struct forward {
    const struct model *m;
    const struct kvcache *kv;
    struct pool *p;
    unsigned max_tokens, max_logits, max_context;
    unsigned n_att, n_kv, n_qkv; /* values a token: queries, keys, all three */

    struct forward_prep shared, alone[POOL_MAX_THREADS];
    float *qkv;                 /* [token][n_qkv]: queries, keys, values */
    float *att;                 /* [token][n_att] */
    float *y;                   /* [token][n_embd]: what is added to x */
    float *gate, *up;           /* [token][n_ff] */
    float *logits;              /* [row][n_vocab] */
    float *rope_cos, *rope_sin; /* [position][n_rot / 2], computed up to rope_done */
    unsigned rope_done;

    /* the step */
    struct forward_run *runs;
    unsigned n_runs, n_tokens, n_logits, n_items;
    int32_t *tokens;     /* [token] */
    unsigned *token_pos; /* [token] */
    unsigned *token_run; /* [token] */
    unsigned *row_token; /* [row]: the token that the logits belong to */
    struct forward_item *items;
    atomic_uint *counters; /* [layer][phase], then one for the logits */

    void *mem; /* everything above lies in here */
    size_t mem_bytes;
};

/* What each thread of the pool runs for a step. ctx: struct forward. */
void forward_layers(void *ctx, unsigned thread);

#endif
