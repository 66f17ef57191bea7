/* engine/gguf_private.h - the parsed file, shared by gguf.c (parses) and gguf_get.c (reads). */
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
    struct gguf_pair *pairs;
    struct gguf_tensor *tensors;
    size_t n_pairs, n_tensors;
    struct gguf_index keys, names;
};

size_t gguf_type_bytes(uint32_t type);
size_t gguf_index_find(const struct gguf *g, const struct gguf_index *x, struct gw_span name);

#endif
