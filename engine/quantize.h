/* engine/quantize.h - a model's file with its matrices in another block type.
 *
 * Names are those of llama.cpp: a plain type ("Q8_0") or a mix ("Q4_K_M"): the output matrix, or the embedding
 * when it is the output too, is Q6_K except in F32, F16, BF16 and Q8_0; in the _M mixes values and the ffn's way
 * down get Q6_K in some layers. Vectors, routers and rope tables stay F32. Rows that are no whole blocks get a
 * type with smaller ones. */
#ifndef ENGINE_QUANTIZE_H
#define ENGINE_QUANTIZE_H

#include "base/err.h"
#include "engine/gguf.h"

struct pool;

struct quantize_job {
    const struct gguf *g; /* what is read */
    const char *type;     /* "Q4_K_M", ... */
    const char *path;     /* what is written: PATH.part until it is whole; must not be there */
    struct pool *p;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* bytes read; may be NULL */
    void *progress_ctx;
    uint64_t bytes; /* set: of the new file */
};

/* The known types, separated by ", ". */
const char *quantize_types(void);

/* GW_EINVAL: unknown type; GW_EEXIST: path is there; GW_EUNSUPPORTED: a tensor that cannot be read; GW_EIO;
 * GW_ENOMEM. Nothing is left at path on failure. Blocks; one caller of the pool at a time. */
enum gw_status quantize_file(struct quantize_job *job, struct gw_err *err);

#endif
