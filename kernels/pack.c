/* kernels/pack.c - from GGUF rows to panels of 16 interleaved rows (kernels/panel.h). Runs once per
 * matrix at load, on whichever threads the engine gives it; pure. */
#include <string.h>

#include "kernels/codes.h"
#include "kernels/panel.h"

size_t panel_bytes(enum kern_type type, size_t cols)
{
    switch (type) {
    case KERN_TYPE_F32:
        return cols * PANEL_ROWS * 4;
    case KERN_TYPE_F16:
    case KERN_TYPE_BF16:
        return cols * PANEL_ROWS * 2;
    case KERN_TYPE_Q4_0:
        return cols / KERN_BLOCK * sizeof(struct tile_q4_0);
    case KERN_TYPE_Q4_1:
        return cols / KERN_BLOCK * sizeof(struct tile_q4_1);
    case KERN_TYPE_Q5_0:
        return cols / KERN_BLOCK * sizeof(struct tile_q5_0);
    case KERN_TYPE_Q8_0:
        return cols / KERN_BLOCK * sizeof(struct tile_q8_0);
    case KERN_TYPE_Q4_K:
        return cols / KERN_SUPER * sizeof(struct super_q4_k);
    case KERN_TYPE_Q6_K:
        return cols / KERN_SUPER * sizeof(struct super_q6_k);
    }
    return 0;
}

/* The nibbles of row r: vector j into the low half of the j-th 64 bytes, vector j + 4 into the high. */
static void put_nibbles(uint8_t lo[256], size_t r, const uint8_t q[KERN_BLOCK])
{
    for (size_t j = 0; j < 4; j++)
        for (size_t z = 0; z < 4; z++)
            lo[64 * j + 4 * r + z] = (uint8_t)((q[4 * j + z] & 15) | q[4 * j + z + 16] << 4);
}

/* The file pairs columns i and i + 16 in a byte just as the tile does, so bytes move in fours. */
static void put_nibble_bytes(uint8_t lo[256], size_t r, const uint8_t qs[16])
{
    for (size_t j = 0; j < 4; j++)
        memcpy(lo + 64 * j + 4 * r, qs + 4 * j, 4);
}

static void pack_q4_0(const struct kern_block_q4_0 *b, size_t n, struct tile_q4_0 *t, size_t r)
{
    for (size_t i = 0; i < n; i++) {
        put_nibble_bytes(t[i].lo, r, b[i].qs);
        t[i].d[r] = b[i].d;
    }
}

static void pack_q4_1(const struct kern_block_q4_1 *b, size_t n, struct tile_q4_1 *t, size_t r)
{
    for (size_t i = 0; i < n; i++) {
        put_nibble_bytes(t[i].lo, r, b[i].qs);
        t[i].d[r] = b[i].d;
        t[i].m[r] = b[i].m;
    }
}

static void pack_q5_0(const struct kern_block_q5_0 *b, size_t n, struct tile_q5_0 *t, size_t r)
{
    for (size_t i = 0; i < n; i++) {
        put_nibble_bytes(t[i].lo, r, b[i].qs);
        for (size_t j = 0; j < 8; j++)
            t[i].hi[j] |= (uint64_t)(b[i].qh[j / 2] >> (4 * (j & 1)) & 15) << (4 * r);
        t[i].d[r] = b[i].d;
    }
}

static void pack_q8_0(const struct kern_block_q8_0 *b, size_t n, struct tile_q8_0 *t, size_t r)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < KERN_BLOCK; k++)
            t[i].q[64 * (k / 4) + 4 * r + k % 4] = (uint8_t)(b[i].qs[k] + 128);
        t[i].d[r] = b[i].d;
    }
}

static void pack_q4_k(const struct kern_block_q4_k *b, size_t n, struct super_q4_k *s, size_t r)
{
    uint8_t q[KERN_BLOCK];

    for (size_t i = 0; i < n; i++) {
        s[i].d[r] = b[i].d;
        s[i].dmin[r] = b[i].dmin;
        for (size_t g = 0; g < PANEL_TILES_SUPER; g++) {
            struct tile_q4_k *t = &s[i].tile[g];

            codes_q4_k(&b[i], (unsigned)g, q);
            put_nibbles(t->lo, r, q);
            kern_q4_k_scale(b[i].scales, (unsigned)g, &t->sc[r], &t->mn[r]);
        }
    }
}

static void pack_q6_k(const struct kern_block_q6_k *b, size_t n, struct super_q6_k *s, size_t r)
{
    uint8_t q[KERN_BLOCK];

    for (size_t i = 0; i < n; i++) {
        s[i].d[r] = b[i].d;
        for (size_t g = 0; g < PANEL_TILES_SUPER; g++) {
            struct tile_q6_k *t = &s[i].tile[g];

            codes_q6_k(&b[i], (unsigned)g, q);
            put_nibbles(t->lo, r, q);
            for (size_t k = 0; k < KERN_BLOCK; k++) {
                uint8_t *hi = &t->hi[64 * (k / 16) + 4 * r + k % 4];

                *hi = (uint8_t)(*hi | (q[k] >> 4) << (2 * (k / 4 % 4)));
            }
            t->sc[0][r] = b[i].sc[2 * g];
            t->sc[1][r] = b[i].sc[2 * g + 1];
        }
    }
}

static void pack_float(const char *row, size_t cols, size_t width, char *panel, size_t r)
{
    for (size_t k = 0; k < cols; k++)
        memcpy(panel + (k * PANEL_ROWS + r) * width, row + k * width, width);
}

static void pack_row(const struct kern_matrix *m, const char *row, char *panel, size_t r)
{
    void *to = panel;
    const void *from = row;
    size_t n = m->cols / KERN_BLOCK, n_super = m->cols / KERN_SUPER;

    switch (m->type) {
    case KERN_TYPE_F32:
        pack_float(row, m->cols, 4, panel, r);
        break;
    case KERN_TYPE_F16:
    case KERN_TYPE_BF16:
        pack_float(row, m->cols, 2, panel, r);
        break;
    case KERN_TYPE_Q4_0:
        pack_q4_0(from, n, to, r);
        break;
    case KERN_TYPE_Q4_1:
        pack_q4_1(from, n, to, r);
        break;
    case KERN_TYPE_Q5_0:
        pack_q5_0(from, n, to, r);
        break;
    case KERN_TYPE_Q8_0:
        pack_q8_0(from, n, to, r);
        break;
    case KERN_TYPE_Q4_K:
        pack_q4_k(from, n_super, to, r);
        break;
    case KERN_TYPE_Q6_K:
        pack_q6_k(from, n_super, to, r);
        break;
    }
}

void panel_pack(const struct kern_matrix *m, const char *gguf, char *dst, size_t row_from,
                size_t row_to)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const size_t row_bytes = m->cols / info->block_elems * info->block_bytes;
    const size_t bytes = panel_bytes(m->type, m->cols);

    for (size_t row = row_from; row < row_to; row += PANEL_ROWS) {
        char *panel = dst + row / PANEL_ROWS * bytes;

        memset(panel, 0,
               bytes); /* rows that are not there, and the planes that are or-ed together */
        for (size_t r = 0; r < PANEL_ROWS && row + r < row_to; r++)
            pack_row(m, gguf + (row + r) * row_bytes, panel, r);
    }
}
