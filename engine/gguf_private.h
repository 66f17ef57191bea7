/* engine/gguf_private.h - the parsed file, shared by gguf.c (parses), gguf_split.c (joins parts) and gguf_get.c (reads). */
#ifndef ENGINE_GGUF_PRIVATE_H
#define ENGINE_GGUF_PRIVATE_H

#include "engine/gguf.h"

/* One metadata pair; which of the values is set follows from type. */
struct gguf_pair {
    struct gw_span key;
    uint32_t type;
    const unsigned char *scalar; /* fixed-size types: unaligned, little-endian */
    struct gw_span text;
    struct gguf_array array;
};

/* Open addressing over names: slots hold index + 1, 0 is free. */
struct gguf_index {
    uint32_t *slots;
    uint32_t mask;
};

struct gguf {
    const unsigned char *base;
    size_t size;
    void *mapping; /* to unmap, or NULL for borrowed memory */
    struct gguf *
        *parts; /* the other files of a split model, whose tensors are in the list below, too */
    size_t n_parts;
    struct gguf_pair *pairs;
    struct gguf_tensor *tensors;
    size_t n_pairs, n_tensors;
    struct gguf_index keys, names;
};

/* Opens one file, whatever it says of other parts. Errors as gguf_open. */
enum gw_status gguf_open_one(const char *path, struct gguf **out, struct gw_err *err);
/* Finds the other parts of the model that g, opened from path, is the first part of, and adds their tensors.
 * Nothing to do for a model in one file. */
enum gw_status gguf_join(struct gguf *g, const char *path, struct gw_err *err);
/* Adds tensor i of g->tensors to the index of names. GW_EPARSE: there is one of its name. */
enum gw_status gguf_index_tensor(struct gguf *g, size_t i, struct gw_err *err);
/* Empties the index of names and makes room for n. */
enum gw_status gguf_index_reset(struct gguf *g, size_t n, struct gw_err *err);

size_t gguf_type_bytes(uint32_t type);
size_t gguf_index_find(const struct gguf *g, const struct gguf_index *x, struct gw_span name);

#endif
