/* kernels/acts.c - memory layout of quantized activations. Owns nothing; any thread. */
#include <string.h>

#include "kernels/kernels.h"

/* Bytes between two tokens: rows start on cache lines, and never a multiple of 1 KiB apart, or the rows
 * of a tile of tokens would all compete for the same lines of the first-level cache. */
static size_t q_stride(size_t cols)
{
    size_t n = (cols + 63) / 64 * 64;

    return n % 1024 == 0 ? n + 64 : n;
}

static size_t b_stride(size_t cols)
{
    return (cols + KERN_BLOCK - 1) / KERN_BLOCK;
}

/* d, ds, nsum and two halves of nsum16, 4 bytes each */
enum { BLOCK_META_BYTES = 5 * 4 };

size_t kern_acts_bytes(unsigned n_tokens, size_t cols)
{
    size_t token, all;

    if (cols > SIZE_MAX / 8)
        return 0;
    token = q_stride(cols) + b_stride(cols) * BLOCK_META_BYTES;
    if (__builtin_mul_overflow(token, (size_t)n_tokens, &all) || all > SIZE_MAX - KERN_ALIGN)
        return 0;
    return (all + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

void kern_acts_init(struct kern_acts *a, void *mem, unsigned n_tokens, size_t cols, const float *x,
                    size_t x_stride)
{
    size_t qs = q_stride(cols), bs = b_stride(cols);
    int8_t *q = mem;
    /* q_stride is a multiple of 64, so what follows q is aligned for 4-byte elements. */
    float *d = (float *)(void *)(q + qs * n_tokens);

    *a = (struct kern_acts){
        .n_tokens = n_tokens,
        .cols = cols,
        .x = x,
        .x_stride = x_stride,
        .q_stride = qs,
        .b_stride = bs,
        .q = q,
        .d = d,
        .ds = d + bs * n_tokens,
        .nsum = (int32_t *)(void *)(d + 2 * bs * n_tokens),
        .nsum16 = (int32_t *)(void *)(d + 3 * bs * n_tokens),
    };
}
