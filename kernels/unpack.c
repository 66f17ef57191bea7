/* kernels/unpack.c - one row of a prepared matrix as floats, for embeddings that are also the output
 * matrix. The inverse of pack.c, of one row; a few rows a step, so speed is not the point. Pure; any
 * thread. */
#include <string.h>

#include "kernels/panel.h"

/* Row r of a tile: value i = d[i / 16] * (q[i] - off) + m. */
struct tile_row {
    uint8_t q[KERN_BLOCK];
    int off;
    float d[2], m;
};

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

static void get_q5_0(const struct tile_q5_0 *t, size_t r, uint8_t q[KERN_BLOCK])
{
    get_nibbles(t->lo, r, q);
    for (size_t i = 0; i < KERN_BLOCK; i++)
        q[i] = (uint8_t)(q[i] | (t->hi[i / 4] >> (4 * r + i % 4) & 1) << 4);
}

static void get_q6_k(const struct tile_q6_k *t, size_t r, uint8_t q[KERN_BLOCK])
{
    get_nibbles(t->lo, r, q);
    for (size_t i = 0; i < KERN_BLOCK; i++)
        q[i] =
            (uint8_t)(q[i] | (t->hi[64 * (i / 16) + 4 * r + i % 4] >> (2 * (i / 4 % 4)) & 3) << 4);
}

/* Row r of tile i of a panel of a quantized type. */
static void get_row(enum kern_type type, const void *panel, size_t i, size_t r, struct tile_row *o)
{
    const size_t s = i / PANEL_TILES_SUPER, g = i % PANEL_TILES_SUPER;

    o->m = -0.0f; /* the sum with it keeps the sign of a zero */
    if (type == KERN_TYPE_Q4_0) {
        const struct tile_q4_0 *t = (const struct tile_q4_0 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        o->off = 8;
        o->d[0] = kern_f16_f32(t->d[r]);
    } else if (type == KERN_TYPE_Q4_1) {
        const struct tile_q4_1 *t = (const struct tile_q4_1 *)panel + i;
        get_nibbles(t->lo, r, o->q);
        o->off = 0;
        o->d[0] = kern_f16_f32(t->d[r]);
        o->m = kern_f16_f32(t->m[r]);
    } else if (type == KERN_TYPE_Q5_0) {
        const struct tile_q5_0 *t = (const struct tile_q5_0 *)panel + i;
        get_q5_0(t, r, o->q);
        o->off = 16;
        o->d[0] = kern_f16_f32(t->d[r]);
    } else if (type == KERN_TYPE_Q8_0) {
        const struct tile_q8_0 *t = (const struct tile_q8_0 *)panel + i;
        get_codes(t->q, r, o->q);
        o->off = 128;
        o->d[0] = kern_f16_f32(t->d[r]);
    } else if (type == KERN_TYPE_Q4_K) {
        const struct super_q4_k *t = (const struct super_q4_k *)panel + s;
        get_nibbles(t->tile[g].lo, r, o->q);
        o->off = 0;
        o->d[0] = kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[r];
        o->m = -(kern_f16_f32(t->dmin[r]) * (float)t->tile[g].mn[r]);
    } else {
        const struct super_q6_k *t = (const struct super_q6_k *)panel + s;
        get_q6_k(&t->tile[g], r, o->q);
        o->off = 32;
        o->d[0] = kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[0][r];
        o->d[1] = kern_f16_f32(t->d[r]) * (float)t->tile[g].sc[1][r];
    }
    if (type != KERN_TYPE_Q6_K)
        o->d[1] = o->d[0];
}

static void row_of_panel(const struct kern_matrix *m, const char *panel, size_t r, float *dst)
{
    const size_t width = m->type == KERN_TYPE_F32 ? 4 : 2;
    struct tile_row t = {.off = 0};

    if (!kern_type_info(m->type)->quantized) {
        for (size_t k = 0; k < m->cols; k++)
            kern_row_f32(m->type, panel + (k * PANEL_ROWS + r) * width, 1, dst + k);
        return;
    }
    for (size_t i = 0; i < m->cols / KERN_BLOCK; i++, dst += KERN_BLOCK) {
        get_row(m->type, panel, i, r, &t);
        for (size_t k = 0; k < KERN_BLOCK; k++)
            dst[k] = t.d[k / 16] * (float)(t.q[k] - t.off) + t.m;
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
