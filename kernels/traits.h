/* kernels/traits.h - private: what a block format asks of a vector kernel. The type is a constant wherever these
 * are inlined. */
#ifndef KERNELS_TRAITS_H
#define KERNELS_TRAITS_H

#include <stdbool.h>

#include "kernels/quant.h"
#include "kernels/vec.h"

/* Codes have an offset of a power of two: its exponent. 0: none. */
INLINE unsigned offset_bits(enum kern_type type)
{
    switch ((int)type) {
    case KERN_TYPE_Q3_K:
        return 2;
    case KERN_TYPE_Q4_0:
        return 3;
    case KERN_TYPE_Q5_0:
    case KERN_TYPE_MXFP4:
    case KERN_TYPE_NVFP4:
        return 4;
    case KERN_TYPE_Q6_K:
        return 5;
    case KERN_TYPE_Q8_0:
    case KERN_TYPE_IQ4_NL:
    case KERN_TYPE_IQ4_XS:
        return 7;
    default:
        return 0;
    }
}

/* A minimum for columns 0..15 and another for 16..31. */
INLINE bool has_half_min(enum kern_type type)
{
    return type == KERN_TYPE_Q2_K;
}

INLINE bool has_min(enum kern_type type)
{
    return type == KERN_TYPE_Q4_1 || type == KERN_TYPE_Q5_1 || type == KERN_TYPE_Q4_K ||
           type == KERN_TYPE_Q5_K || has_half_min(type);
}

/* Two scales a tile, for columns 0..15 and 16..31. */
INLINE bool has_halves(enum kern_type type)
{
    return type == KERN_TYPE_Q2_K || type == KERN_TYPE_Q3_K || type == KERN_TYPE_Q6_K ||
           type == KERN_TYPE_NVFP4;
}

/* Tiles come in super-blocks that share scales. */
INLINE bool is_super(enum kern_type type)
{
    return type == KERN_TYPE_Q2_K || type == KERN_TYPE_Q3_K || type == KERN_TYPE_Q4_K ||
           type == KERN_TYPE_Q5_K || type == KERN_TYPE_Q6_K || type == KERN_TYPE_IQ4_XS;
}

#endif
