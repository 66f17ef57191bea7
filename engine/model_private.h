/* engine/model_private.h - what model.c (sizes), model_family.c (what families compute), model_rope.c (angles)
 * and model_bind.c (tensors) share. */
#ifndef ENGINE_MODEL_PRIVATE_H
#define ENGINE_MODEL_PRIVATE_H

#include <stdbool.h>

#include "engine/model.h"

/* Larger than any model that exists, small enough that no product of two overflows. */
enum {
    MODEL_MAX_VOCAB = 1 << 20,
    MODEL_MAX_LAYERS = 1024,
    MODEL_MAX_EMBD = 1 << 15,
    MODEL_MAX_FF = 1 << 18,
    MODEL_MAX_HEADS = 1024,
    MODEL_MAX_HEAD_VALUES = 1 << 16, /* heads * head_dim */
    MODEL_MAX_CONTEXT = 1 << 24,
    MODEL_MAX_EXPERTS = 1024,
    MODEL_MAX_USED = 64
};

/* What a family has that another has not; the rest follows from keys and tensors. */
struct model_family {
    const char *arch; /* general.architecture */
    enum kern_rope rope;
    bool bias;       /* queries, keys and values must have one */
    bool head_norms; /* queries and keys must have norms */
    bool post_norms; /* what is added to the stream must have norms */
    bool gelu;       /* the gate's function */
    bool embed_sqrt; /* embeddings are multiplied by sqrt(n_embd) */
    bool experts;    /* may have them */
    bool windows;    /* a sliding window is built in; else it limits the context */
    unsigned
        local_every; /* of so many layers the last sees all, the others a window; 0: none does */
    float attn_cap, logit_cap; /* unless keys say otherwise */
    double
        local_base; /* of the rope of layers with a window, unless a key says so; 0: as the others */
    unsigned
        wide_layers; /* with this many layers scores are scaled by n_embd / n_heads, not head_dim */
};

/* Reading keys "ARCH.suffix". Functions return GW_EPARSE for values out of range. */
struct model_reader {
    struct model *m;
    const struct gguf *g;
    const struct model_family *family;
    struct gw_err *err;
    char key[96]; /* the last one asked for */
};

const char *model_key(struct model_reader *r, const char *suffix);
/* A required number from 1 to max; the same with a value for when it is missing. */
enum gw_status model_need(struct model_reader *r, const char *suffix, unsigned max, unsigned *out);
enum gw_status model_maybe(struct model_reader *r, const char *suffix, unsigned max,
                           unsigned otherwise, unsigned *out);
enum gw_status model_maybe_float(struct model_reader *r, const char *suffix, double otherwise,
                                 double *out);

/* The family of that name, or NULL; all names, for messages. */
const struct model_family *model_family(const char *arch);
const char *model_family_names(void);

/* Caps, scales, experts; refuses what would change the result and is not built in. Sizes must be set. */
enum gw_status model_read_features(struct model_reader *r);

/* Windows and ropes of the layers, which must exist. */
enum gw_status model_read_windows(struct model_reader *r);

/* The angles of ropes and rope_long. Windows must be set. */
enum gw_status model_read_ropes(struct model_reader *r);

/* Binds every tensor that the family needs: checks types and shapes, plans where each goes in one
 * region, and, when p is not NULL, takes the region and packs. Also sets n_params, token_bytes, quant,
 * kernels. The hyper-parameters must be set. */
enum gw_status model_bind(struct model *m, const struct model_family *family, const struct gguf *g,
                          struct pool *p,
                          void (*progress)(void *ctx, uint64_t done, uint64_t total),
                          void *progress_ctx, struct gw_err *err);

#endif
