/* engine/bert_private.h - where a BERT model's sizes and tensors come from: bert.c (binds), bert_config.c (folders),
 * bert_gguf.c (files). */
#ifndef ENGINE_BERT_PRIVATE_H
#define ENGINE_BERT_PRIVATE_H

#include "base/span.h"
#include "engine/bert.h"

/* Larger than any model of the kind, small enough that no product of two overflows. */
enum {
    BERT_MAX_VOCAB = 1 << 20,
    BERT_MAX_LAYERS = 128,
    BERT_MAX_EMBD = 8192,
    BERT_MAX_HEAD_DIM = 256,
    BERT_MAX_FF = 1 << 16,
    BERT_MAX_POSITIONS = 8192,
    BERT_MAX_PADDING = 1024, /* the padding token's id, where positions begin behind it */
    BERT_MIN_TOKENS = 2      /* of a text: the two special ones */
};

/* One tensor of a file, of a row of rows. */
struct bert_tensor {
    const char *data; /* in a folder's file it may lie anywhere, in a GGUF file it is aligned */
    size_t bytes;
    uint32_t type;   /* BERT_TYPE_UNKNOWN: none that is built in */
    unsigned n_dims; /* 1 or 2; 0: another number, so no shape fits */
    uint64_t rows, cols;
};

#define BERT_TYPE_UNKNOWN UINT32_MAX

/* What the two kinds of files call things; ".weight" and ".bias" come behind. */
struct bert_names {
    const char *words, *positions, *types, *embd_norm;
    const char *layer; /* number and "." come behind, then one of: */
    const char *q, *k, *v, *o, *att_norm, *up, *down, *out_norm;
    const char *dense, *out; /* of the head */
};

/* A file's tensors by name. */
struct bert_source {
    const struct bert_names *names;
    const char *prefix; /* of every name but the head's out: "", "bert." or "roberta." */
    bool bare_head;     /* the head's dense has no prefix either */
    unsigned n_unused;  /* positions in front that no token of a text has */
    bool (*get)(void *ctx, const char *name, struct bert_tensor *out);
    void *ctx;
    bool head; /* the model must have one */
    uint64_t file_bytes;
};

/* What a folder's configuration says beside sizes and limits. */
struct bert_folder {
    bool head;         /* there must be one */
    bool roberta;      /* XLM-RoBERTa: its names, and its positions */
    unsigned n_unused; /* as in bert_source */
};

/* Reads the folder's configuration: sizes and limits of *b, and *f. */
enum gw_status bert_read_config(struct bert *b, const char *folder, struct bert_folder *f,
                                struct gw_err *err);

/* Takes memory and binds every tensor; *b has its sizes. After a failure bert_fini frees what there is. */
enum gw_status bert_bind(struct bert *b, const struct bert_source *source, struct gw_err *err);

#endif
