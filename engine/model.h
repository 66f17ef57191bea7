/* engine/model.h - the weights and hyper-parameters of one model, bound and checked.
 *
 * Families: llama (mistral, mixtral and SmolLM among them), qwen2, qwen3, qwen3moe, phi3, gemma2, gemma3.
 * Invariants after a load: (M1) every
 * hyper-parameter agrees with the shapes of the tensors; (M2) every tensor of the file is used, so a
 * variant that computes something else is refused instead of answering nonsense; (M3) all weights live
 * in memory of ours, the file may be closed. Immutable after loading: any thread may read. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/gguf.h"
#include "kernels/kernels.h"

struct pool;

/* Angles: position p turns pair i by p * freqs[i]; cosine and sine are then multiplied by scale. */
struct model_rope {
    double *freqs; /* [n_rot / 2], scaling included; NULL: there is no such rope */
    float scale;
};

struct model_expert {
    struct kern_matrix gate, up, down; /* n_embd to n_ff and back */
};

struct model_layer {
    const float *attn_norm, *ffn_norm; /* [n_embd] */
    const float *attn_post, *ffn_post; /* [n_embd]: norms of what is added to the stream, or NULL */
    const float *q_norm, *k_norm;      /* [head_dim], or NULL */
    const float *q_bias, *k_bias, *v_bias; /* [heads * head_dim], or NULL */
    struct kern_matrix q, k, v, o;         /* o: heads * head_dim to n_embd */
    struct kern_matrix gate, up, down;     /* n_embd to n_ff and back; not with experts */
    struct kern_matrix router;             /* n_embd to n_experts */
    struct model_expert *experts;          /* [n_experts], or NULL */
    unsigned window;                       /* keys that a token sees; 0: all */
    unsigned rope;                         /* which of the ropes */
};

enum { MODEL_ROPES = 2 };

struct model {
    char name[64], arch[32], quant[32];
    unsigned n_vocab, n_layers, n_embd, n_ff, n_heads, n_kv_heads, head_dim, n_rot;
    unsigned n_experts, n_used; /* 0: none; n_ff is then that of an expert */
    unsigned max_context;       /* tokens the model was made for, or that its window allows */
    float eps;                  /* of the norms */
    enum kern_rope rope;
    struct model_rope ropes[MODEL_ROPES]; /* all layers or the global ones; the local ones */
    struct model_rope rope_long; /* instead of ropes[0] in contexts above long_from, or none */
    unsigned long_from;
    bool gelu;                     /* the gate's function: GELU by tanh, else SiLU */
    float embed_scale, attn_scale; /* of the embedding; of scores */
    float attn_cap, logit_cap;     /* see kern_attn.cap; 0: none */
    const float *output_norm;
    struct kern_matrix embedding; /* [n_vocab]: rows are looked up, not multiplied */
    struct kern_matrix output;    /* the same one when tied */
    struct model_layer *layers;
    struct model_expert *experts; /* of all layers */
    uint64_t n_params, file_bytes;
    enum kern_acts_form
        acts_form; /* of inputs of quantized products: 16 bits only where small ones need them */
    uint64_t token_bytes; /* weight bytes that one decoded token reads */
    char kernels[160], warning[160];

    const struct kern_ops *ops;
    void *weights; /* one huge-page-advised mapping */
    size_t weights_bytes;
    void *repacked; /* likewise: see model_repack.h, or NULL */
    size_t repacked_bytes;
};

/* Fills what can be known without weights; checks everything that loading would. *m is zeroed first and
 * needs model_fini, also after a failure. GW_EUNSUPPORTED, GW_EPARSE, GW_ELIMIT, GW_ENOMEM. */
enum gw_status model_inspect(struct model *m, const struct gguf *g, const struct kern_ops *ops,
                             struct gw_err *err);

/* The same, and packs the weights with all threads of p. progress may be NULL. */
enum gw_status model_load(struct model *m, const struct gguf *g, const struct kern_ops *ops,
                          struct pool *p,
                          void (*progress)(void *ctx, uint64_t done, uint64_t total),
                          void *progress_ctx, struct gw_err *err);

void model_fini(struct model *m);

#endif
