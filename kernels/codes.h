/* kernels/codes.h - private: takes the integer codes out of a block of 32 weights.
 *
 * Codes are unsigned and in the order of the weights; what they mean is in quant.h. Shared by the scalar
 * specification, the row expander and the packer, so that the bit order is written down once. */
#ifndef KERNELS_CODES_H
#define KERNELS_CODES_H

#include "kernels/quant.h"

/* 32 codes of 4 bits from 16 bytes: low nibbles first. */
static inline void codes_nibbles(const uint8_t qs[16], uint8_t q[32])
{
    for (unsigned j = 0; j < 16; j++) {
        q[j] = qs[j] & 15;
        q[j + 16] = qs[j] >> 4;
    }
}

/* 32 codes of 5 bits. */
static inline void codes_q5_0(const struct kern_block_q5_0 *b, uint8_t q[32])
{
    codes_nibbles(b->qs, q);
    for (unsigned j = 0; j < 32; j++)
        q[j] = (uint8_t)(q[j] | ((b->qh[j / 8] >> (j % 8)) & 1) << 4);
}

/* 32 codes of 4 bits: group g (0..7) of a super-block. */
static inline void codes_q4_k(const struct kern_block_q4_k *b, unsigned g, uint8_t q[32])
{
    const uint8_t *qs = b->qs + (size_t)(g / 2) * 32;
    unsigned shift = 4 * (g & 1);

    for (unsigned l = 0; l < 32; l++)
        q[l] = (qs[l] >> shift) & 15;
}

/* 32 codes of 6 bits: weights 32g .. 32g + 31 of a super-block; they have scales 2g and 2g + 1. */
static inline void codes_q6_k(const struct kern_block_q6_k *b, unsigned g, uint8_t q[32])
{
    unsigned half = g / 4, s = g % 4;
    const uint8_t *ql = b->ql + 64 * half + 32 * (s & 1);
    const uint8_t *qh = b->qh + 32 * half;
    unsigned low = s < 2 ? 0 : 4;

    for (unsigned l = 0; l < 32; l++)
        q[l] = (uint8_t)(((ql[l] >> low) & 15) | ((qh[l] >> (2 * s)) & 3) << 4);
}

#endif
