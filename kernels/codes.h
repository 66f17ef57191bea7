/* kernels/codes.h - private: takes the integer codes out of a block of 32 weights.
 *
 * Codes are unsigned and in the order of the weights; what they mean is in quant.h. Shared by the scalar
 * specification, the row expander and the packer, so that the bit order is written down once. */
#ifndef KERNELS_CODES_H
#define KERNELS_CODES_H

#include "kernels/quant.h"

/* 32 weights: value i = d[i / 16] * (q[i] - off) + m[i / 16]. The values of a table are codes, too. */
struct codes_block {
    uint8_t q[KERN_BLOCK];
    int off;
    float d[2], m[2]; /* m: -0 for types that have none: the sum keeps the sign of a zero */
};

/* Takes weights 32 i to 32 i + 31 out of a row of a quantized type. */
void codes_load(enum kern_type type, const void *row, size_t i, struct codes_block *o);

/* The scales of MXFP4, and of NVFP4 as binary16 (exact), both already halved. */
float codes_mxfp4_scale(uint8_t e);
uint16_t codes_nvfp4_scale(uint8_t d);

/* What is added to the values of a table so that they are codes. */
enum { CODES_IQ4_OFF = 128, CODES_FP4_OFF = 16 };

/* 32 codes of 4 bits from 16 bytes: low nibbles first. */
static inline void codes_nibbles(const uint8_t qs[16], uint8_t q[32])
{
    for (unsigned j = 0; j < 16; j++) {
        q[j] = qs[j] & 15;
        q[j + 16] = qs[j] >> 4;
    }
}

/* 32 codes of 5 bits: Q5_0 and Q5_1. */
static inline void codes_q5(const uint8_t qh[4], const uint8_t qs[16], uint8_t q[32])
{
    codes_nibbles(qs, q);
    for (unsigned j = 0; j < 32; j++)
        q[j] = (uint8_t)(q[j] | ((qh[j / 8] >> (j % 8)) & 1) << 4);
}

/* 32 codes of 2 bits: weights 32g .. 32g + 31 of a super-block of Q2_K or Q3_K. */
static inline void codes_twos(const uint8_t qs[64], unsigned g, uint8_t q[32])
{
    for (unsigned l = 0; l < 32; l++)
        q[l] = qs[32 * (g / 4) + l] >> (2 * (g % 4)) & 3;
}

/* 32 codes of 3 bits of Q3_K: group g of a super-block. */
static inline void codes_q3_k(const struct kern_block_q3_k *b, unsigned g, uint8_t q[32])
{
    codes_twos(b->qs, g, q);
    for (unsigned l = 0; l < 32; l++)
        q[l] = (uint8_t)(q[l] | (b->hmask[l] >> g & 1) << 2);
}

/* 32 codes of 4 bits: group g (0..7) of a super-block of Q4_K or Q5_K. */
static inline void codes_q4_k(const uint8_t all[128], unsigned g, uint8_t q[32])
{
    const uint8_t *qs = all + (size_t)(g / 2) * 32;
    unsigned shift = 4 * (g & 1);

    for (unsigned l = 0; l < 32; l++)
        q[l] = (qs[l] >> shift) & 15;
}

/* 32 codes of 5 bits of Q5_K. */
static inline void codes_q5_k(const struct kern_block_q5_k *b, unsigned g, uint8_t q[32])
{
    codes_q4_k(b->qs, g, q);
    for (unsigned l = 0; l < 32; l++)
        q[l] = (uint8_t)(q[l] | (b->qh[l] >> g & 1) << 4);
}

/* 32 nibbles of NVFP4: half h (0 or 1) of a block of 64. */
static inline void codes_nvfp4(const struct kern_block_nvfp4 *b, unsigned h, uint8_t q[32])
{
    for (unsigned j = 0; j < 32; j++)
        q[j] = b->qs[16 * h + 8 * (j / 16) + j % 8] >> (j % 16 < 8 ? 0 : 4) & 15;
}

/* The scale of group g of IQ4_XS. */
static inline int codes_iq4_xs_scale(const struct kern_block_iq4_xs *b, unsigned g)
{
    const unsigned low = (unsigned)b->scales_l[g / 2] >> (4 * (g & 1)) & 15u;

    return (int)(low | (b->scales_h >> (2 * g) & 3u) << 4) - 32;
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
