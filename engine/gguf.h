/* engine/gguf.h - reads a GGUF file and believes nothing in it.
 *
 * The file is mapped read-only and parsed once; after that every span, array and tensor handed out lies
 * inside the mapping. Invariants after a successful open: (G1) keys and tensor names are printable ASCII
 * and unique; (G2) arrays are flat and whole, strings in them too; (G3) dims are above 0, their product
 * and the byte size do not overflow, and the tensor's bytes lie inside the file at an aligned offset;
 * (G4) memory taken is bounded by small multiples of the file's size. Immutable after open, so any
 * thread may read; pointers live until gguf_close. */
#ifndef ENGINE_GGUF_H
#define ENGINE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct gguf;

/* Value types, numbered as in the file. */
enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

/* A flat array. Elements are read with the gguf_array_* functions, never through data. */
struct gguf_array {
    enum gguf_type type; /* of the elements, never GGUF_ARRAY */
    size_t n;
    const unsigned char *data; /* unaligned, little-endian */
};

enum { GGUF_MAX_DIMS = 4 };

/* One tensor; dims[0] is the contiguous one (input features), missing dims are 1. */
struct gguf_tensor {
    struct gw_span name;
    uint32_t type; /* ggml type number, see kernels/quant.h */
    unsigned n_dims;
    uint64_t dims[GGUF_MAX_DIMS];
    const void *data;
    size_t bytes;
};

/* Maps and parses the file, and the other parts of a model that was split (NAME-00001-of-00003.gguf: path
 * names the first). On success *out is the caller's (gguf_close). GW_ENOENT, GW_EIO,
 * GW_EPARSE: the message names the place; GW_EUNSUPPORTED: version, tensor type; GW_ELIMIT; GW_ENOMEM. */
enum gw_status gguf_open(const char *path, struct gguf **out, struct gw_err *err);

/* The same over bytes in memory, aligned to 8, that outlive *out. */
enum gw_status gguf_open_memory(const void *data, size_t size, struct gguf **out,
                                struct gw_err *err);

/* The same over a mapping of the caller's, which *out owns on success: closing unmaps it. */
enum gw_status gguf_open_mapping(void *base, size_t size, struct gguf **out, struct gw_err *err);

void gguf_close(struct gguf *g); /* g may be NULL */

uint64_t gguf_file_bytes(const struct gguf *g);

/* ---- metadata. All: GW_ENOENT when the key is not there, GW_EPARSE when it has another type or a value
 * out of range; the message in err names the key. *out is unchanged on failure. ---------------- */

bool gguf_has(const struct gguf *g, const char *key);
enum gw_status gguf_str(const struct gguf *g, const char *key, struct gw_span *out,
                        struct gw_err *err);
/* Any integer type with a value from 0 to max. */
enum gw_status gguf_uint(const struct gguf *g, const char *key, uint64_t max, uint64_t *out,
                         struct gw_err *err);
/* The same where the file may hold one number for all layers, or an array with one each. */
enum gw_status gguf_uint_at(const struct gguf *g, const char *key, size_t index, uint64_t max,
                            uint64_t *out, struct gw_err *err);
enum gw_status gguf_float(const struct gguf *g, const char *key, double *out, struct gw_err *err);
enum gw_status gguf_bool(const struct gguf *g, const char *key, bool *out, struct gw_err *err);
/* An array whose elements have exactly the given type. */
enum gw_status gguf_array(const struct gguf *g, const char *key, enum gguf_type type,
                          struct gguf_array *out, struct gw_err *err);

/* Element i of an array of GGUF_F32; of GGUF_I32 or GGUF_U32; i < n. */
float gguf_array_f32(const struct gguf_array *a, size_t i);
int32_t gguf_array_i32(const struct gguf_array *a, size_t i);
/* Element i of an array of GGUF_BOOL; i < n. Any byte but 0 is true. */
bool gguf_array_bool(const struct gguf_array *a, size_t i);
/* Walks an array of strings: set *at to 0, call n times. Returns the next string. */
struct gw_span gguf_array_next_str(const struct gguf_array *a, size_t *at);

/* ---- tensors --------------------------------------------------------------------------- */

size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
/* NULL when there is none of that name. */
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name);

/* Tells the kernel that the tensor's pages in the file are not needed any more. */
void gguf_tensor_drop(const struct gguf *g, const struct gguf_tensor *t);

#endif
