/* engine/lora.h - low-rank changes to a model's weights: y = W x becomes y = W x + scale * B (A x).
 *
 * An adapter is a GGUF file (general.type = adapter) or a folder with adapter_config.json and
 * adapter_model.safetensors (PEFT). Nobody vouched for it: ranks, shapes and names are checked against the model
 * before memory is taken, every number must be finite, and what would change the result and is not built in is
 * refused. Everything is copied at loading. Immutable: any thread may read it. */
#ifndef ENGINE_LORA_H
#define ENGINE_LORA_H

#include "base/err.h"
#include "engine/engine.h"
#include "engine/model.h"

enum { LORA_MAX_RANK = 512 };

/* The matrices of a layer that may be changed. */
enum lora_kind {
    LORA_NONE,
    LORA_Q,
    LORA_K,
    LORA_V,
    LORA_O,
    LORA_GATE,
    LORA_UP,
    LORA_DOWN,
    LORA_KINDS
};

struct lora_part {
    unsigned rank;        /* 0: the matrix stays as it is */
    struct kern_matrix a; /* [rank][inputs], F32 */
    struct kern_matrix b; /* [outputs][rank], F32, scaled */
};

struct lora_layer {
    struct lora_part parts[LORA_KINDS]; /* by kind; the first is not used */
};

struct lora {
    struct lora_layer *layers; /* [n_layers] of the model */
    unsigned max_rank;
    uint64_t n_params;

    void *mem; /* all numbers lie in here */
    size_t mem_bytes;
};

/* Reads the adapter at path for m, which must outlive *out. On success *out is the caller's (lora_free). GW_ENOENT,
 * GW_EPARSE, GW_EUNSUPPORTED, GW_EINVAL: it is of another model; GW_ELIMIT, GW_ENOMEM, GW_EIO. Blocks. */
enum gw_status lora_open(const char *path, const struct model *m, struct lora **out,
                         struct gw_err *err);
void lora_free(struct lora *l); /* may be NULL */

/* Arranges the parts of layers [0, n_layers) for ops and forgets the numbers of the others, which are elsewhere by now: their ranks and shapes stay.
 * l was opened with a table whose layout is the file's. GW_ENOMEM: l is unchanged. */
enum gw_status lora_repack(struct lora *l, const struct kern_ops *ops, unsigned n_layers,
                           struct gw_err *err);

#endif
