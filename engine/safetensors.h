/* engine/safetensors.h - named tensors in a safetensors file that nobody vouched for.
 *
 * The file is a little-endian length, a JSON header of that length, and data; the header names each tensor's
 * type, shape and place (github.com/huggingface/safetensors, README). Checked before anything is used: the
 * header's length and JSON, that places lie inside the data, fill it without gaps or overlaps, and are as
 * long as shape and type say, without overflow. Tensors point into the file's bytes; nothing here is aligned.
 * Immutable once opened: any thread. */
#ifndef ENGINE_SAFETENSORS_H
#define ENGINE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum { SAFETENSORS_MAX_DIMS = 8 };

struct safetensors;

struct safetensors_tensor {
    struct gw_span name;                 /* decoded; lives as long as the file */
    struct gw_span dtype;                /* "F32", "F16", "BF16", "I64", ... */
    unsigned n_dims;                     /* 0: a scalar */
    uint64_t dims[SAFETENSORS_MAX_DIMS]; /* outermost first */
    uint64_t begin, end;                 /* bytes from the start of the data */
    const char *data;                    /* end - begin bytes */
};

/* Reads the file at path (mapped while open) or the bytes of data (which must outlive *out). GW_ENOENT, GW_EIO,
 * GW_EINVAL: no regular file; GW_EPARSE; GW_EUNSUPPORTED: an unknown type; GW_ELIMIT; GW_ENOMEM. */
enum gw_status safetensors_open(const char *path, struct safetensors **out, struct gw_err *err);
enum gw_status safetensors_open_memory(struct gw_span data, struct safetensors **out,
                                       struct gw_err *err);
void safetensors_close(struct safetensors *s); /* may be NULL */

/* The tensor of that name, or NULL. */
const struct safetensors_tensor *safetensors_get(const struct safetensors *s, const char *name);

/* All of them, in the order of their names. */
size_t safetensors_n_tensors(const struct safetensors *s);
const struct safetensors_tensor *safetensors_tensor_at(const struct safetensors *s, size_t i);

uint64_t safetensors_file_bytes(const struct safetensors *s);

#endif
