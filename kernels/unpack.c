/* kernels/unpack.c - one row of a prepared matrix as floats, for embeddings that are also the output
 * matrix. The inverse of pack.c, of one row; a few rows a step, so speed is not the point. Pure; any
 * thread. */
#include <string.h>

#include "kernels/codes.h"
#include "kernels/panel.h"

static void get_codes(const uint8_t codes[512], size_t r, uint8_t q[KERN_BLOCK])
{
    for (size_t j = 0; j < 8; j++)
        memcpy(q + 4 * j, codes + 64 * j + 4 * r, 4);
}

static void get_nibbles(const uint8_t lo[256], size_t r, uint8_t q[KERN_BLOCK])
{
    for (size_t i = 0; i < KERN_BLOCK / 2; i++) {
        const uint8_t both = lo[64 * (i / 4) + 4 * r + i % 4];

        q[i] = both & 15;
        q[i + 16] = both >> 4;
    }
}

/* Adds one bit a code, or two, from bit `bit` of the code on. */
static void get_bits(const uint64_t bits[8], size_t r, unsigned bit, uint8_t q[KERN_BLOCK])
{
    for (size_t i = 0; i < KERN_BLOCK; i++)
        q[i] = (uint8_t)(q[i] | (bits[i / 4] >> (4 * r + i % 4) & 1) << bit);
}

static void get_twos(const uint8_t twos[128], size_t r, unsigned bit, uint8_t q[KERN_BLOCK])
{
    for (size_t i = 0; i < KERN_BLOCK; i++)
        q[i] =
            (uint8_t)(q[i] | (twos[64 * (i / 16) + 4 * r + i % 4] >> (2 * (i / 4 % 4)) & 3) << bit);
}

static void set_d(struct codes_block *o, float d)
{
    o->d[0] = o->d[1] = d;
}

static void set_m(struct codes_block *o, float m)
{
    o->m[0] = o->m[1] = m;
}

static void set_values(struct codes_block *o, const int8_t values[16], int off)
{
    for (size_t i = 0; i < KERN_BLOCK; i++)
        o->q[i] = (uint8_t)(values[o->q[i]] + off);
    o->off = off;
}

/* Row r of tile i of a panel of a type with small blocks. */
static void get_small(enum kern_type type, const void *panel, size_t i, size_t r,
                      struct codes_block *o)
{
    if (type == KERN_TYPE_Q4_0 || type == KERN_TYPE_IQ4_NL) {
        const struct tile_q4_0 *t = (const struct tile_q4_0 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        set_d(o, kern_f16_f32(t->d[r]));
        o->off = 8;
        if (type == KERN_TYPE_IQ4_NL)
            set_values(o, kern_iq4_values, CODES_IQ4_OFF);
    } else if (type == KERN_TYPE_Q4_1) {
        const struct tile_q4_1 *t = (const struct tile_q4_1 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        set_d(o, kern_f16_f32(t->d[r]));
        set_m(o, kern_f16_f32(t->m[r]));
    } else if (type == KERN_TYPE_Q5_0) {
        const struct tile_q5_0 *t = (const struct tile_q5_0 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        get_bits(t->hi, r, 4, o->q);
        o->off = 16;
        set_d(o, kern_f16_f32(t->d[r]));
    } else if (type == KERN_TYPE_Q5_1) {
        const struct tile_q5_1 *t = (const struct tile_q5_1 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        get_bits(t->hi, r, 4, o->q);
        set_d(o, kern_f16_f32(t->d[r]));
        set_m(o, kern_f16_f32(t->m[r]));
    } else if (type == KERN_TYPE_Q8_0) {
        const struct tile_q8_0 *t = (const struct tile_q8_0 *)panel + i;
        get_codes(t->q, r, o->q);
        o->off = 128;
        set_d(o, kern_f16_f32(t->d[r]));
    } else if (type == KERN_TYPE_MXFP4) {
        const struct tile_mxfp4 *t = (const struct tile_mxfp4 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        set_values(o, kern_fp4_values, CODES_FP4_OFF);
        set_d(o, codes_mxfp4_scale(t->e[r]));
    } else {
        const struct tile_nvfp4 *t = (const struct tile_nvfp4 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        set_values(o, kern_fp4_values, CODES_FP4_OFF);
        o->d[0] = kern_f16_f32(t->d[0][r]);
        o->d[1] = kern_f16_f32(t->d[1][r]);
    }
}

/* Row r of tile g of super-block s of a panel. */
static void get_group(enum kern_type type, const void *panel, size_t s, size_t g, size_t r,
                      struct codes_block *o)
{
    if (type == KERN_TYPE_Q2_K) {
        const struct super_q2_k *t = (const struct super_q2_k *)panel + s;
        get_twos(t->tile[g].two, r, 0, o->q);
        for (size_t h = 0; h < 2; h++) {
            o->d[h] = kern_f16_f32(t->d[r]) * (float)(t->tile[g].sc[h][r] & 15);
            o->m[h] = -(kern_f16_f32(t->dmin[r]) * (float)(t->tile[g].sc[h][r] >> 4));
        }
    } else if (type == KERN_TYPE_Q3_K) {
        const struct super_q3_k *t = (const struct super_q3_k *)panel + s;
        get_twos(t->tile[g].two, r, 0, o->q);
        get_bits(t->tile[g].third, r, 2, o->q);
        o->off = 4;
        o->d[0] = kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[0][r];
        o->d[1] = kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[1][r];
    } else if (type == KERN_TYPE_Q4_K) {
        const struct super_q4_k *t = (const struct super_q4_k *)panel + s;
        get_nibbles(t->tile[g].lo, r, o->q);
        set_d(o, kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[r]);
        set_m(o, -(kern_f16_f32(t->dmin[r]) * (float)t->tile[g].mn[r]));
    } else if (type == KERN_TYPE_Q5_K) {
        const struct super_q5_k *t = (const struct super_q5_k *)panel + s;
        get_nibbles(t->tile[g].lo, r, o->q);
        get_bits(t->tile[g].hi, r, 4, o->q);
        set_d(o, kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[r]);
        set_m(o, -(kern_f16_f32(t->dmin[r]) * (float)t->tile[g].mn[r]));
    } else if (type == KERN_TYPE_Q6_K) {
        const struct super_q6_k *t = (const struct super_q6_k *)panel + s;
        get_nibbles(t->tile[g].lo, r, o->q);
        get_twos(t->tile[g].hi, r, 4, o->q);
        o->off = 32;
        o->d[0] = kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[0][r];
        o->d[1] = kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[1][r];
    } else {
        const struct super_iq4_xs *t = (const struct super_iq4_xs *)panel + s;
        get_nibbles(t->tile[g].lo, r, o->q);
        set_values(o, kern_iq4_values, CODES_IQ4_OFF);
        set_d(o, kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[r]);
    }
}

static void get_row(enum kern_type type, const void *panel, size_t i, size_t r,
                    struct codes_block *o)
{
    memset(o->q, 0, sizeof(o->q));
    o->off = 0;
    set_m(o, -0.0f);
    if (kern_type_info(type)->block_elems == KERN_SUPER)
        get_group(type, panel, i / PANEL_TILES_SUPER, i % PANEL_TILES_SUPER, r, o);
    else
        get_small(type, panel, i, r, o);
}

static void row_of_panel(const struct kern_matrix *m, const char *panel, size_t r, float *dst)
{
    const size_t width = m->type == KERN_TYPE_F32 ? 4 : 2;
    struct codes_block t;

    if (!kern_type_info(m->type)->quantized) {
        for (size_t k = 0; k < m->cols; k++) {
            const size_t at = m->type == KERN_TYPE_BF16 ? (k / 2 * PANEL_ROWS + r) * 2 + k % 2
                                                        : k * PANEL_ROWS + r;

            kern_row_f32(m->type, panel + at * width, 1, dst + k);
        }
        return;
    }
    for (size_t i = 0; i < m->cols / KERN_BLOCK; i++, dst += KERN_BLOCK) {
        get_row(m->type, panel, i, r, &t);
        for (size_t k = 0; k < KERN_BLOCK; k++)
            dst[k] = t.d[k / 16] * (float)(t.q[k] - t.off) + t.m[k / 16];
    }
}

void kern_matrix_row_f32(const struct kern_matrix *m, size_t row, float *dst)
{
    const struct kern_type_info *info = kern_type_info(m->type);

    if (m->layout == KERN_LAYOUT_PANEL)
        row_of_panel(m, (const char *)m->data + row / PANEL_ROWS * panel_bytes(m->type, m->cols),
                     row % PANEL_ROWS, dst);
    else
        kern_row_f32(m->type,
                     (const char *)m->data +
                         row * (m->cols / info->block_elems * info->block_bytes),
                     m->cols, dst);
}
