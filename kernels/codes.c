/* kernels/codes.c - the meaning of each block format, once: 32 weights as codes, scales and minima.
 *
 * The scalar product and the row expander compute from these; the packer and the vector tables are tested
 * against them. Pure; any thread. */
#include "kernels/codes.h"

#include <string.h>

#include "kernels/kernels.h"

const int8_t kern_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};
const int8_t kern_fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float codes_mxfp4_scale(uint8_t e)
{
    union {
        uint32_t u;
        float f;
    } v = {e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23}; /* below 2: subnormal */

    return v.f;
}

uint16_t codes_nvfp4_scale(uint8_t d)
{
    const float e = (float)(1u << (d >> 3 & 15)); /* 2^exponent */
    const float m = (float)(d & 7);

    if (d == 0x7f || d == 0xff)
        return 0;
    /* (8 + m) 2^(exponent - 10), or m 2^-9 without the leading one, and half of that */
    return kern_f32_f16((d >> 3 & 15) == 0 ? m / 1024.0f : (8.0f + m) * e / 2048.0f);
}

static void set_d(struct codes_block *o, float d)
{
    o->d[0] = o->d[1] = d;
}

static void set_m(struct codes_block *o, float m)
{
    o->m[0] = o->m[1] = m;
}

/* Codes of 4 bits become the values of a table. */
static void set_values(struct codes_block *o, const int8_t values[16], int off)
{
    for (unsigned j = 0; j < KERN_BLOCK; j++)
        o->q[j] = (uint8_t)(values[o->q[j]] + off);
    o->off = off;
}

/* Formats with blocks of 32, and NVFP4 with 64. */
static void load_small(enum kern_type type, const void *row, size_t i, struct codes_block *o)
{
    if (type == KERN_TYPE_Q4_0) {
        const struct kern_block_q4_0 *b = (const struct kern_block_q4_0 *)row + i;
        codes_nibbles(b->qs, o->q);
        o->off = 8;
        set_d(o, kern_f16_f32(b->d));
    } else if (type == KERN_TYPE_Q4_1) {
        const struct kern_block_q4_1 *b = (const struct kern_block_q4_1 *)row + i;
        codes_nibbles(b->qs, o->q);
        set_d(o, kern_f16_f32(b->d));
        set_m(o, kern_f16_f32(b->m));
    } else if (type == KERN_TYPE_Q5_0) {
        const struct kern_block_q5_0 *b = (const struct kern_block_q5_0 *)row + i;
        codes_q5(b->qh, b->qs, o->q);
        o->off = 16;
        set_d(o, kern_f16_f32(b->d));
    } else if (type == KERN_TYPE_Q5_1) {
        const struct kern_block_q5_1 *b = (const struct kern_block_q5_1 *)row + i;
        codes_q5(b->qh, b->qs, o->q);
        set_d(o, kern_f16_f32(b->d));
        set_m(o, kern_f16_f32(b->m));
    } else if (type == KERN_TYPE_Q8_0) {
        const struct kern_block_q8_0 *b = (const struct kern_block_q8_0 *)row + i;
        for (unsigned j = 0; j < KERN_BLOCK; j++)
            o->q[j] = (uint8_t)(b->qs[j] + 128);
        o->off = 128;
        set_d(o, kern_f16_f32(b->d));
    } else if (type == KERN_TYPE_IQ4_NL) {
        const struct kern_block_iq4_nl *b = (const struct kern_block_iq4_nl *)row + i;
        codes_nibbles(b->qs, o->q);
        set_values(o, kern_iq4_values, CODES_IQ4_OFF);
        set_d(o, kern_f16_f32(b->d));
    } else if (type == KERN_TYPE_MXFP4) {
        const struct kern_block_mxfp4 *b = (const struct kern_block_mxfp4 *)row + i;
        codes_nibbles(b->qs, o->q);
        set_values(o, kern_fp4_values, CODES_FP4_OFF);
        set_d(o, codes_mxfp4_scale(b->e));
    } else {
        const struct kern_block_nvfp4 *b = (const struct kern_block_nvfp4 *)row + i / 2;
        codes_nvfp4(b, i % 2, o->q);
        set_values(o, kern_fp4_values, CODES_FP4_OFF);
        o->d[0] = kern_f16_f32(codes_nvfp4_scale(b->d[2 * (i % 2)]));
        o->d[1] = kern_f16_f32(codes_nvfp4_scale(b->d[2 * (i % 2) + 1]));
    }
}

/* Group g of a super-block. */
static void load_group(enum kern_type type, const void *super, unsigned g, struct codes_block *o)
{
    uint8_t sc, mn;

    if (type == KERN_TYPE_Q2_K) {
        const struct kern_block_q2_k *b = super;
        codes_twos(b->qs, g, o->q);
        for (unsigned h = 0; h < 2; h++) {
            o->d[h] = kern_f16_f32(b->d) * (float)(b->scales[2 * g + h] & 15);
            o->m[h] = -(kern_f16_f32(b->dmin) * (float)(b->scales[2 * g + h] >> 4));
        }
    } else if (type == KERN_TYPE_Q3_K) {
        const struct kern_block_q3_k *b = super;
        codes_q3_k(b, g, o->q);
        o->off = 4;
        for (unsigned h = 0; h < 2; h++)
            o->d[h] = kern_f16_f32(b->d) * (float)(kern_q3_k_scale(b->scales, 2 * g + h) - 32);
    } else if (type == KERN_TYPE_Q4_K) {
        const struct kern_block_q4_k *b = super;
        codes_q4_k(b->qs, g, o->q);
        kern_q4_k_scale(b->scales, g, &sc, &mn);
        set_d(o, kern_f16_f32(b->d) * (float)sc);
        set_m(o, -(kern_f16_f32(b->dmin) * (float)mn));
    } else if (type == KERN_TYPE_Q5_K) {
        const struct kern_block_q5_k *b = super;
        codes_q5_k(b, g, o->q);
        kern_q4_k_scale(b->scales, g, &sc, &mn);
        set_d(o, kern_f16_f32(b->d) * (float)sc);
        set_m(o, -(kern_f16_f32(b->dmin) * (float)mn));
    } else if (type == KERN_TYPE_Q6_K) {
        const struct kern_block_q6_k *b = super;
        codes_q6_k(b, g, o->q);
        o->off = 32;
        o->d[0] = kern_f16_f32(b->d) * (float)b->sc[2 * (size_t)g];
        o->d[1] = kern_f16_f32(b->d) * (float)b->sc[2 * (size_t)g + 1];
    } else {
        const struct kern_block_iq4_xs *b = super;
        codes_nibbles(b->qs + 16 * (size_t)g, o->q);
        set_values(o, kern_iq4_values, CODES_IQ4_OFF);
        set_d(o, kern_f16_f32(b->d) * (float)codes_iq4_xs_scale(b, g));
    }
}

void codes_load(enum kern_type type, const void *row, size_t i, struct codes_block *o)
{
    const struct kern_type_info *info = kern_type_info(type);
    const size_t groups = KERN_SUPER / KERN_BLOCK;

    o->off = 0;
    set_m(o, -0.0f);
    if (info->block_elems == KERN_SUPER)
        load_group(type, (const char *)row + i / groups * info->block_bytes, (unsigned)(i % groups),
                   o);
    else
        load_small(type, row, i, o);
}
