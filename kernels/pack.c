/* kernels/pack.c - from GGUF rows to panels of 16 interleaved rows (kernels/panel.h). Runs once per
 * matrix at load, on whichever threads the engine gives it; pure. */
#include <string.h>

#include "kernels/codes.h"
#include "kernels/panel.h"
#include "kernels/ref.h"

size_t panel_bytes(enum kern_type type, size_t cols)
{
    /* of a block of the file, or of a float */
    static const unsigned short bytes[] = {
        [KERN_TYPE_F32] = 4 * PANEL_ROWS,
        [KERN_TYPE_F16] = 2 * PANEL_ROWS,
        [KERN_TYPE_BF16] = 2 * PANEL_ROWS,
        [KERN_TYPE_Q4_0] = sizeof(struct tile_q4_0),
        [KERN_TYPE_Q4_1] = sizeof(struct tile_q4_1),
        [KERN_TYPE_Q5_0] = sizeof(struct tile_q5_0),
        [KERN_TYPE_Q5_1] = sizeof(struct tile_q5_1),
        [KERN_TYPE_Q8_0] = sizeof(struct tile_q8_0),
        [KERN_TYPE_Q2_K] = sizeof(struct super_q2_k),
        [KERN_TYPE_Q3_K] = sizeof(struct super_q3_k),
        [KERN_TYPE_Q4_K] = sizeof(struct super_q4_k),
        [KERN_TYPE_Q5_K] = sizeof(struct super_q5_k),
        [KERN_TYPE_Q6_K] = sizeof(struct super_q6_k),
        [KERN_TYPE_IQ4_NL] = sizeof(struct tile_q4_0),
        [KERN_TYPE_IQ4_XS] = sizeof(struct super_iq4_xs),
        [KERN_TYPE_MXFP4] = sizeof(struct tile_mxfp4),
        [KERN_TYPE_NVFP4] = 2 * sizeof(struct tile_nvfp4),
    };

    if (type == KERN_TYPE_BF16)
        cols += cols % 2;
    return cols / kern_type_info(type)->block_elems * bytes[type];
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

/* One bit a code, 4 r + z of word j: bit `bit` of the codes of row r. */
static void put_bits(uint64_t bits[8], size_t r, const uint8_t q[KERN_BLOCK], unsigned bit)
{
    for (size_t k = 0; k < KERN_BLOCK; k++)
        bits[k / 4] |= (uint64_t)(q[k] >> bit & 1) << (4 * r + k % 4);
}

/* Two bits a code, from bit `bit` on. */
static void put_twos(uint8_t twos[128], size_t r, const uint8_t q[KERN_BLOCK], unsigned bit)
{
    for (size_t k = 0; k < KERN_BLOCK; k++) {
        uint8_t *to = &twos[64 * (k / 16) + 4 * r + k % 4];

        *to = (uint8_t)(*to | (q[k] >> bit & 3) << (2 * (k / 4 % 4)));
    }
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

static void pack_q5_1(const struct kern_block_q5_1 *b, size_t n, struct tile_q5_1 *t, size_t r)
{
    uint8_t q[KERN_BLOCK];

    for (size_t i = 0; i < n; i++) {
        codes_q5(b[i].qh, b[i].qs, q);
        put_nibble_bytes(t[i].lo, r, b[i].qs);
        put_bits(t[i].hi, r, q, 4);
        t[i].d[r] = b[i].d;
        t[i].m[r] = b[i].m;
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

static void pack_q2_k(const struct kern_block_q2_k *b, size_t n, struct super_q2_k *s, size_t r)
{
    uint8_t q[KERN_BLOCK];

    for (size_t i = 0; i < n; i++) {
        s[i].d[r] = b[i].d;
        s[i].dmin[r] = b[i].dmin;
        for (size_t g = 0; g < PANEL_TILES_SUPER; g++) {
            struct tile_q2_k *t = &s[i].tile[g];

            codes_twos(b[i].qs, (unsigned)g, q);
            put_twos(t->two, r, q, 0);
            t->sc[0][r] = b[i].scales[2 * g];
            t->sc[1][r] = b[i].scales[2 * g + 1];
        }
    }
}

static void pack_q3_k(const struct kern_block_q3_k *b, size_t n, struct super_q3_k *s, size_t r)
{
    uint8_t q[KERN_BLOCK];

    for (size_t i = 0; i < n; i++) {
        s[i].d[r] = b[i].d;
        for (size_t g = 0; g < PANEL_TILES_SUPER; g++) {
            struct tile_q3_k *t = &s[i].tile[g];

            codes_q3_k(&b[i], (unsigned)g, q);
            put_twos(t->two, r, q, 0);
            put_bits(t->third, r, q, 2);
            for (unsigned h = 0; h < 2; h++)
                t->sc[h][r] = (int8_t)(kern_q3_k_scale(b[i].scales, 2 * (unsigned)g + h) - 32);
        }
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

            codes_q4_k(b[i].qs, (unsigned)g, q);
            put_nibbles(t->lo, r, q);
            kern_q4_k_scale(b[i].scales, (unsigned)g, &t->sc[r], &t->mn[r]);
        }
    }
}

static void pack_q5_k(const struct kern_block_q5_k *b, size_t n, struct super_q5_k *s, size_t r)
{
    uint8_t q[KERN_BLOCK];

    for (size_t i = 0; i < n; i++) {
        s[i].d[r] = b[i].d;
        s[i].dmin[r] = b[i].dmin;
        for (size_t g = 0; g < PANEL_TILES_SUPER; g++) {
            struct tile_q5_k *t = &s[i].tile[g];

            codes_q5_k(&b[i], (unsigned)g, q);
            put_nibbles(t->lo, r, q);
            put_bits(t->hi, r, q, 4);
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
            put_twos(t->hi, r, q, 4);
            t->sc[0][r] = b[i].sc[2 * g];
            t->sc[1][r] = b[i].sc[2 * g + 1];
        }
    }
}

static void pack_iq4_xs(const struct kern_block_iq4_xs *b, size_t n, struct super_iq4_xs *s,
                        size_t r)
{
    for (size_t i = 0; i < n; i++) {
        s[i].d[r] = b[i].d;
        for (size_t g = 0; g < PANEL_TILES_SUPER; g++) {
            put_nibble_bytes(s[i].tile[g].lo, r, b[i].qs + 16 * g);
            s[i].tile[g].sc[r] = (int8_t)codes_iq4_xs_scale(&b[i], (unsigned)g);
        }
    }
}

static void pack_mxfp4(const struct kern_block_mxfp4 *b, size_t n, struct tile_mxfp4 *t, size_t r)
{
    for (size_t i = 0; i < n; i++) {
        put_nibble_bytes(t[i].lo, r, b[i].qs);
        t[i].e[r] = b[i].e;
    }
}

/* n: tiles, two a block. */
static void pack_nvfp4(const struct kern_block_nvfp4 *b, size_t n, struct tile_nvfp4 *t, size_t r)
{
    uint8_t q[KERN_BLOCK];

    for (size_t i = 0; i < n; i++) {
        codes_nvfp4(&b[i / 2], i % 2, q);
        put_nibbles(t[i].lo, r, q);
        t[i].d[0][r] = codes_nvfp4_scale(b[i / 2].d[2 * (i % 2)]);
        t[i].d[1][r] = codes_nvfp4_scale(b[i / 2].d[2 * (i % 2) + 1]);
    }
}

static void pack_float(const char *row, size_t cols, size_t width, char *panel, size_t r)
{
    for (size_t k = 0; k < cols; k++)
        memcpy(panel + (k * PANEL_ROWS + r) * width, row + k * width, width);
}

/* row: at any byte: a safetensors file aligns nothing. */
static void pack_pairs(const char *row, size_t cols, uint16_t *panel, size_t r)
{
    for (size_t k = 0; k < cols; k++)
        memcpy(&panel[k / 2 * 2 * PANEL_ROWS + 2 * r + k % 2], row + 2 * k, 2);
}

/* As F16. */
static void pack_e4m3(const char *row, size_t cols, char *panel, size_t r)
{
    float v[KERN_E4M3_BLOCK];

    for (size_t k = 0; k < cols; k++) {
        uint16_t h;

        if (k % KERN_E4M3_BLOCK == 0)
            kern_e4m3_part(row, k, KERN_E4M3_BLOCK, v);
        h = kern_f32_f16(v[k % KERN_E4M3_BLOCK]);
        memcpy(panel + (k * PANEL_ROWS + r) * sizeof(h), &h, sizeof(h));
    }
}

static void pack_row(const struct kern_matrix *m, const char *row, char *panel, size_t r)
{
    void *to = panel;
    const void *from = row;
    size_t n = m->cols / KERN_BLOCK, n_super = m->cols / KERN_SUPER;

    switch (m->stored) {
    case KERN_TYPE_F32:
        pack_float(row, m->cols, 4, panel, r);
        break;
    case KERN_TYPE_F16:
        pack_float(row, m->cols, 2, panel, r);
        break;
    case KERN_TYPE_E4M3:
        pack_e4m3(row, m->cols, panel, r);
        break;
    case KERN_TYPE_BF16:
        pack_pairs(row, m->cols, to, r);
        break;
    case KERN_TYPE_Q4_0:
    case KERN_TYPE_IQ4_NL: /* the same fields */
        pack_q4_0(from, n, to, r);
        break;
    case KERN_TYPE_Q4_1:
        pack_q4_1(from, n, to, r);
        break;
    case KERN_TYPE_Q5_0:
        pack_q5_0(from, n, to, r);
        break;
    case KERN_TYPE_Q5_1:
        pack_q5_1(from, n, to, r);
        break;
    case KERN_TYPE_Q8_0:
        pack_q8_0(from, n, to, r);
        break;
    case KERN_TYPE_Q2_K:
        pack_q2_k(from, n_super, to, r);
        break;
    case KERN_TYPE_Q3_K:
        pack_q3_k(from, n_super, to, r);
        break;
    case KERN_TYPE_Q4_K:
        pack_q4_k(from, n_super, to, r);
        break;
    case KERN_TYPE_Q5_K:
        pack_q5_k(from, n_super, to, r);
        break;
    case KERN_TYPE_Q6_K:
        pack_q6_k(from, n_super, to, r);
        break;
    case KERN_TYPE_IQ4_XS:
        pack_iq4_xs(from, n_super, to, r);
        break;
    case KERN_TYPE_MXFP4:
        pack_mxfp4(from, n, to, r);
        break;
    case KERN_TYPE_NVFP4:
        pack_nvfp4(from, n, to, r);
        break;
    }
}

void panel_pack(const struct kern_matrix *m, const char *gguf, char *dst, size_t row_from,
                size_t row_to)
{
    const struct kern_type_info *info = kern_type_info(m->stored);
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
