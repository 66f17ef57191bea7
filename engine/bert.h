/* engine/bert.h - a BERT or XLM-RoBERTa encoder: token ids to one vector a text, or, with a classification head, a query and a
 * document to one number (a cross-encoder, which reranks).
 *
 * A model is a GGUF file, or a folder as sentence-transformers writes it: config.json, model.safetensors and, when
 * there, 1_Pooling/config.json and sentence_bert_config.json. Nothing in it is believed; what would change the
 * result and is not built in is refused. Everything is copied at loading: the files may go away afterwards. The
 * model is immutable: any thread may read it. */
#ifndef ENGINE_BERT_H
#define ENGINE_BERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/kernels.h"

struct gguf;
struct pool;

struct bert_layer {
    struct kern_matrix q, k, v, o, up, down;
    const float *q_bias, *k_bias, *v_bias, *o_bias, *up_bias, *down_bias;
    const float *att_norm, *att_norm_bias, *out_norm, *out_norm_bias;
};

/* How the vectors of a text's tokens become one. */
enum bert_pool { BERT_POOL_MEAN, BERT_POOL_CLS };

/* score = out . tanh(dense x + dense_bias) + out_bias, where x is the first token's vector; without dense: of x. */
struct bert_head {
    const float *out;                /* [n_embd]; NULL: the model has no head */
    const float *dense, *dense_bias; /* [n_embd][n_embd], [n_embd]; or NULL */
    float out_bias;
};

struct bert {
    const struct kern_ops *ops;
    unsigned n_vocab, n_embd, n_layers, n_heads, head_dim, n_ff, n_positions;
    unsigned max_tokens; /* of a text, as the folder says; at most n_positions */
    float eps;
    enum kern_type word_type;
    const char *words; /* [n_vocab][n_embd] of word_type */
    size_t word_bytes; /* of a row */
    const float *
        positions; /* [2][n_positions][n_embd], token types 0 and 1 added; type 0 only without two_types */
    bool two_types; /* a document's tokens have type 1; not where there is no head, or one type */
    enum bert_pool pool;
    struct bert_head head;
    bool quantized; /* some matrices take inputs in integers */
    const float *embd_norm, *embd_norm_bias;
    struct bert_layer *layers;
    uint64_t n_params, file_bytes;
    char quant[32]; /* type of the matrices */

    void *mem; /* everything above lies in here */
    size_t mem_bytes;
};

/* Configuration and weights of a folder, packed for ops. On success *b is the caller's (bert_fini). GW_ENOENT,
 * GW_EPARSE, GW_EUNSUPPORTED, GW_ELIMIT, GW_ENOMEM, GW_EIO. Blocks. */
enum gw_status bert_load(struct bert *b, const char *folder, const struct kern_ops *ops,
                         struct gw_err *err);
/* The same of a file, which may be closed afterwards. */
enum gw_status bert_load_gguf(struct bert *b, const struct gguf *g, const struct kern_ops *ops,
                              struct gw_err *err);
void bert_fini(struct bert *b);

/* ---- computing ------------------------------------------------------------------------------ */

/* One text of a step. */
struct bert_run {
    const int32_t *ids; /* below n_vocab */
    unsigned n;         /* 1 to max_tokens */
    unsigned
        n_query; /* with a head: tokens of the query, the rest are the document's (token type 1) */
    float *out;  /* [n_embd]: the text's vector, scaled to length 1; with a head [1]: the score */
    unsigned first; /* private: its first token in the step */
};

/* Memory of steps of at most max_tokens tokens (of all texts) and texts of at most max_text, on the threads of
 * p. GW_ENOMEM. b and p must outlive it. */
struct bert_space;
enum gw_status bert_space_new(const struct bert *b, struct pool *p, unsigned max_tokens,
                              unsigned max_text, struct bert_space **out, struct gw_err *err);
void bert_space_free(struct bert_space *s); /* may be NULL */

/* Computes all runs; a result does not depend on the others. Thread: one at a time. */
void bert_step(struct bert_space *s, struct bert_run *runs, unsigned n_runs);

#endif
