/* engine/medusa_private.h - Medusa heads as their file says them: medusa_file.c reads and checks the file by itself, medusa.c checks it
 * against the model and computes. */
#ifndef ENGINE_MEDUSA_PRIVATE_H
#define ENGINE_MEDUSA_PRIVATE_H

#include "engine/hf_private.h"
#include "engine/medusa.h"
#include "engine/safetensors.h"

#define MEDUSA_FILE "medusa_lm_head.safetensors"

enum { MEDUSA_MAX_HEADS = 32, MEDUSA_MAX_BLOCKS = 8 /* of a file; of a head */ };

struct medusa_parts {
    const struct safetensors_tensor *weight[MEDUSA_MAX_BLOCKS], *bias[MEDUSA_MAX_BLOCKS];
    const struct safetensors_tensor *output; /* NULL: the model's */
    unsigned output_at;                      /* blocks that stand before it, by its name */
};

struct medusa_file {
    struct safetensors *s;
    struct hf_json config; /* empty where there is none */
    struct medusa_parts heads[MEDUSA_MAX_HEADS];
    unsigned n_heads, n_blocks; /* blocks of each head */
};

/* Reads the folder at path, without a model: heads 0 to n_heads - 1 are whole, and all have n_blocks blocks. Tensors are F32, F16 or
 * BF16; their shapes are not looked at. medusa_file_fini also after a failure. Errors as medusa_open. */
enum gw_status medusa_file_open(struct medusa_file *f, const char *path, struct gw_err *err);
void medusa_file_fini(struct medusa_file *f);

/* Numbers [from, from + n) of t. False: one of them is not finite, or above what 16 bits hold. */
bool medusa_floats(const struct safetensors_tensor *t, uint64_t from, size_t n, float *out);

#endif
