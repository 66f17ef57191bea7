/* engine/forward_private.h - the memory of a step, shared by forward.c (set-up, plan), forward_layers.c (the
 * computation) and forward_moe.c (that of experts). */
#ifndef ENGINE_FORWARD_PRIVATE_H
#define ENGINE_FORWARD_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/device.h"
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
    float *low; /* [FORWARD_LOWS][token][max_rank]: A x of the products that come next */
};

/* Products over one input at most. */
enum { FORWARD_LOWS = 3 };

/* Tokens [from, to) of the step, which share an adapter. */
struct forward_segment {
    const struct lora *lora;
    unsigned from, to;
};

/* What steps with adapters need; see forward_lora.c. */
struct forward_lora {
    struct forward_segment
        *segments; /* those with an adapter, n_segments of them: 0 in most steps */
    unsigned n_segments, max_rank, max_rows;
    float *high[POOL_MAX_THREADS]; /* [FORWARD_LORA_TILE][max_rows] */
    void *mem;
    size_t mem_bytes;
};

enum { FORWARD_LORA_TILE = 8 };

/* Experts: which tokens go to which, and their inputs and outputs by place. A place is a token and one of
 * its n_used experts; places are sorted by expert, those of an expert by token. */
struct forward_moe {
    float *router;   /* [token][n_experts] */
    int32_t *chosen; /* [token][n_used] */
    float *weight;   /* [token][n_used] */
    unsigned *place; /* [token][n_used] */
    unsigned *token; /* [place] */
    unsigned *first; /* [n_experts + 1]: place of an expert's first token */
    unsigned *busy;  /* experts with tokens, n_busy of them */
    unsigned n_busy;
    float *x;         /* [place][n_embd] */
    float *y;         /* [place][n_embd] */
    float *gate, *up; /* [place][n_ff] */
    void *acts_embd, *acts_ff;
};

/* Attention of some query heads of one KV head, for some tokens of one run. */
struct forward_item {
    unsigned run, token, n_tokens; /* token: in the step */
    unsigned head, n_heads;
    unsigned span; /* of keys, which is all that is computed, */
    unsigned
        split; /* when this is not 0: one more than the number of the token among those that are split */
};

/* Tokens whose attention is cut into spans of keys, so that all threads share a long context: kernels/kernels.h. */
struct forward_split {
    unsigned max_tokens, max_spans;
    float *out;                   /* [token][span][head][head_dim] */
    struct kern_attn_part *parts; /* [token][span][head] */
    atomic_uint *done;            /* [token][KV head]: spans that are computed; 0 between layers */
};

struct forward {
    const struct model *m;
    const struct kvcache *kv;
    struct pool *p;
    struct device *device;       /* NULL: everything is computed here */
    struct gw_err why;           /* of the last step that failed there */
    uint64_t host_ns, device_ns; /* of the last step; only with a device */
    unsigned n_layers;           /* that are computed here: the first ones */
    unsigned max_tokens, max_logits, max_context;
    unsigned n_att, n_kv, n_qkv; /* values a token: queries, keys, all three */

    struct forward_prep shared, alone[POOL_MAX_THREADS];
    float *qkv;                                  /* [token][n_qkv]: queries, keys, values */
    float *att;                                  /* [token][n_att] */
    float *y;                                    /* [token][n_embd]: what is added to x */
    float *gate, *up;                            /* [token][n_ff] */
    float *logits;                               /* [row][n_vocab] */
    const struct model_rope *ropes[MODEL_ROPES]; /* NULL: not used */
    float *rope_cos[MODEL_ROPES],
        *rope_sin[MODEL_ROPES]; /* [position][n_rot / 2], up to rope_done */
    unsigned rope_done;
    struct forward_moe moe;
    struct forward_lora lora;
    struct forward_split split;

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

/* One thread's view of the step. */
struct forward_worker {
    struct forward *f;
    const struct model *m;
    const struct kern_ops *ops;
    unsigned thread;
    unsigned from, to; /* the tokens it prepares */
    bool alone;        /* all of them, in buffers of its own */
    unsigned layer;
    const struct forward_prep *b;
    struct kern_acts embd, att,
        ff; /* inputs of products: [token][d], [token][n_att], [token][n_ff] */
};

/* A product that is cut into panels of KERN_ROW_STEP rows. */
struct forward_product {
    const struct kern_matrix *w;
    float *out; /* [token][stride] */
    size_t stride;
    enum lora_kind kind; /* for what adapters add; LORA_NONE: nothing */
};

static inline size_t forward_panels(const struct kern_matrix *w)
{
    return (w->rows + KERN_ROW_STEP - 1) / KERN_ROW_STEP;
}

static inline bool forward_is_quantized(const struct kern_matrix *w)
{
    return kern_type_info(w->type)->quantized;
}

/* Panels handed out at once: few enough to even out, many enough to stream. */
size_t forward_piece(const struct forward_worker *w, size_t panels);

/* Panels [from, to) of a product with n_tokens tokens of x. */
void forward_multiply(const struct forward_worker *w, const struct forward_product *p,
                      const struct kern_acts *x, unsigned n_tokens, size_t from, size_t to);

/* gate = function(gate) * up for n values. */
void forward_activate(const struct forward_worker *w, float *gate, const float *up, size_t n);

/* What a layer's experts add to the stream, of the normed stream in w->b->xn; every thread calls it. The
 * caller has met the others since xn was written, and xn may not change before they meet again. */
void forward_experts(struct forward_worker *w, const struct model_layer *l, atomic_uint *counters);

static inline bool forward_has_adapters(const struct forward_worker *w)
{
    return w->f->lora.n_segments != 0;
}

/* Finds the step's segments; the runs are in place. */
void forward_lora_plan(struct forward *f);
/* low = A x for this thread's tokens of the step, for the kinds [first, last] over the input x. */
void forward_lora_lower(const struct forward_worker *w, enum lora_kind first, enum lora_kind last,
                        const struct kern_acts *x);
/* out += B low for rows [from, to) of the product, all tokens. */
void forward_lora_raise(const struct forward_worker *w, const struct forward_product *p,
                        size_t from, size_t to);
void forward_lora_fini(struct forward *f);

/* What each thread of the pool runs for a step. ctx: struct forward. */
void forward_layers(void *ctx, unsigned thread);

#endif
