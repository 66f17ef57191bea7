/* engine/gguf_write.h - writes GGUF version 3: pairs, then descriptions of tensors, then their bytes.
 *
 * Collect pairs and tensors, then ask for the head and put the tensors' bytes behind it, each at its place.
 * Nothing fails one by one: gguf_write_ok() tells at the end. One thread at a time. */
#ifndef ENGINE_GGUF_WRITE_H
#define ENGINE_GGUF_WRITE_H

#include <stdbool.h>

#include "base/buf.h"
#include "engine/gguf.h"

enum { GGUF_WRITE_ALIGNMENT = 32 };

/* Zeroes are an empty one; gguf_write_fini frees. */
struct gguf_writer {
    struct gw_buf pairs, infos;
    uint64_t n_pairs, n_tensors;
    uint64_t data_bytes; /* of all tensors so far, padded */
    bool failed;
};

void gguf_write_fini(struct gguf_writer *w);
bool gguf_write_ok(const struct gguf_writer *w);

void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_write_f32(struct gguf_writer *w, const char *key, float v);
void gguf_write_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_write_str(struct gguf_writer *w, const char *key, struct gw_span v);
/* An array of n elements of that type, as they lie in a file: strings have their length of 8 bytes before them. */
void gguf_write_array(struct gguf_writer *w, const char *key, enum gguf_type type, uint64_t n,
                      struct gw_span bytes);
/* All pairs of g but those that skip says true of. */
void gguf_write_copy(struct gguf_writer *w, const struct gguf *g, bool (*skip)(struct gw_span key));

/* The next tensor; returns its place in the data, or UINT64_MAX when its size is impossible (then it is not
 * there). The type must be known to kern_row_bytes. */
uint64_t gguf_write_tensor(struct gguf_writer *w, struct gw_span name, uint32_t type,
                           unsigned n_dims, const uint64_t *dims);

/* Appends everything before the data, padded, to *out. */
void gguf_write_head(const struct gguf_writer *w, struct gw_buf *out);

/* Bytes rounded up to the alignment. */
static inline uint64_t gguf_write_padded(uint64_t bytes)
{
    return (bytes + GGUF_WRITE_ALIGNMENT - 1) / GGUF_WRITE_ALIGNMENT * GGUF_WRITE_ALIGNMENT;
}

#endif
