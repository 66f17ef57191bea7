/* kernels/acts.c - memory layout of quantized activations. Owns nothing; any thread. */
#include "kernels/kernels.h"

/* Blocks between two tokens: never a multiple of 1 KiB, or the tokens of a group would all compete for
 * the same few lines of the first-level cache. */
static size_t blocks_stride(size_t cols)
{
    size_t n = (cols + KERN_BLOCK - 1) / KERN_BLOCK;

    return n % 16 == 0 ? n + 1 : n;
}

size_t kern_acts_bytes(unsigned n_tokens, size_t cols, enum kern_acts_form form)
{
    const size_t block =
        sizeof(struct kern_act_block) + (form != KERN_ACTS_COARSE ? KERN_BLOCK : 0);
    size_t all;

    if (cols > SIZE_MAX / 8 ||
        __builtin_mul_overflow(blocks_stride(cols) * block, (size_t)n_tokens, &all) ||
        all > SIZE_MAX - KERN_ALIGN)
        return 0;
    return (all + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

void kern_acts_init(struct kern_acts *a, void *mem, unsigned n_tokens, size_t cols,
                    enum kern_acts_form form, const float *x, size_t x_stride)
{
    const size_t stride = blocks_stride(cols);
    struct kern_act_block *blocks = mem;

    *a = (struct kern_acts){
        .n_tokens = n_tokens,
        .cols = cols,
        .x = x,
        .x_stride = x_stride,
        .blocks = blocks,
        .rests = form != KERN_ACTS_COARSE ? (int8_t *)(blocks + n_tokens * stride) : NULL,
        .n_blocks = (cols + KERN_BLOCK - 1) / KERN_BLOCK,
        .stride = stride,
        .mixed = form == KERN_ACTS_MIXED,
    };
}
