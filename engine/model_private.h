/* engine/model_private.h - what model.c (hyper-parameters) and model_bind.c (tensors) share. */
#ifndef ENGINE_MODEL_PRIVATE_H
#define ENGINE_MODEL_PRIVATE_H

#include <stdbool.h>

#include "engine/model.h"

/* Binds every tensor that the family needs: checks types and shapes, plans where each goes in one
 * region, and, when p is not NULL, takes the region and packs. Also sets n_params, token_bytes, quant,
 * kernels. The hyper-parameters must be set. */
enum gw_status model_bind(struct model *m, const struct gguf *g, struct pool *p,
                          void (*progress)(void *ctx, uint64_t done, uint64_t total),
                          void *progress_ctx, struct gw_err *err);

#endif
