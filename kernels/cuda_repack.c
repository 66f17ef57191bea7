/* kernels/cuda_repack.c - weight matrices into the device's layout; on the host, so it is tested without one. */
#include "kernels/cuda_repack.h"

#include <math.h>
#include <string.h>

#include "kernels/codes.h"
#include "kernels/kernels.h"

/* Bytes of a chunk in each part, and of four chunks in the last. */
struct parts {
    unsigned codes, high, scales, supers;
};

static bool parts_of(uint32_t type, struct parts *p)
{
    switch (type) {
    case KERN_TYPE_Q4_0:
        *p = (struct parts){512, 0, 64, 0};
        return true;
    case KERN_TYPE_Q4_1:
        *p = (struct parts){512, 0, 128, 0};
        return true;
    case KERN_TYPE_Q8_0:
        *p = (struct parts){1024, 0, 64, 0};
        return true;
    case KERN_TYPE_Q4_K:
        *p = (struct parts){512, 0, 64, 64};
        return true;
    case KERN_TYPE_Q5_K:
        *p = (struct parts){512, 128, 64, 64};
        return true;
    case KERN_TYPE_Q6_K:
        *p = (struct parts){512, 256, 64, 64};
        return true;
    case KERN_TYPE_F16:
    case KERN_TYPE_BF16:
        *p = (struct parts){2048, 0, 0, 0};
        return true;
    case CUDA_E4M3:
        *p = (struct parts){1024, 0, 32, 0};
        return true;
    default:
        return false;
    }
}

static size_t aligned(size_t n)
{
    return (n + 127) / 128 * 128;
}

bool cuda_layout_make(uint32_t type, uint64_t rows, uint64_t cols, struct cuda_layout *l)
{
    const struct kern_type_info *info = kern_type_info(type);
    struct cuda_layout o = {0};
    struct parts p;

    if ((info == NULL && type != CUDA_E4M3) || !parts_of(type, &p) || rows == 0 || cols == 0 ||
        cols % KERN_BLOCK != 0 || (info != NULL && cols % info->block_elems != 0) ||
        cols > CUDA_TILE_MAX)
        return false;
    o.type = type;
    o.rows = (size_t)rows;
    o.cols = (size_t)cols;
    o.n_tiles = (size_t)(rows / CUDA_TILE_ROWS + (rows % CUDA_TILE_ROWS != 0));
    o.n_chunks = (o.cols + CUDA_CHUNK - 1) / CUDA_CHUNK;
    if (type == CUDA_E4M3)
        o.n_chunks += o.n_chunks % 2;
    o.high = aligned(o.n_chunks * p.codes);
    o.scales = o.high + aligned(o.n_chunks * p.high);
    o.supers = o.scales + aligned(o.n_chunks * p.scales);
    o.tile_bytes = o.supers + aligned((o.n_chunks + 3) / 4 * p.supers);
    if (o.tile_bytes > CUDA_TILE_MAX || rows > SIZE_MAX / 2 / o.tile_bytes)
        return false;
    *l = o;
    return true;
}

/* ---- one row into its tile ---------------------------------------------------------------- */

/* Where row g + 8 up of a tile and 32 columns go. */
struct place {
    const struct cuda_layout *l;
    uint8_t *tile;
    unsigned g, up;
    size_t chunk;
    unsigned half;
};

static void put_16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

/* The low four bits of 32 codes. */
static void put_nibbles(const struct place *p, const uint8_t q[32])
{
    uint8_t *at = p->tile + p->chunk * 512;

    for (unsigned c = 0; c < 32; c++) {
        const unsigned lane = 4 * p->g + c % 16 / 4, j = p->up + 2 * (c / 16);

        at[lane * 16 + (4 * p->half + j) / 2 * 4 + c % 4] |= (uint8_t)((q[c] & 15) << (4 * p->up));
    }
}

static void put_fifth(const struct place *p, const uint8_t q[32])
{
    uint8_t *at = p->tile + p->l->high + p->chunk * 128;

    for (unsigned c = 0; c < 32; c++) {
        const unsigned lane = 4 * p->g + c % 16 / 4, j = p->up + 2 * (c / 16);

        at[lane * 4 + c % 4] |= (uint8_t)((q[c] >> 4 & 1) << (4 * p->half + j));
    }
}

static void put_fifth_and_sixth(const struct place *p, const uint8_t q[32])
{
    uint8_t *at = p->tile + p->l->high + p->chunk * 256;

    for (unsigned c = 0; c < 32; c++) {
        const unsigned lane = 4 * p->g + c % 16 / 4, j = p->up + 2 * (c / 16);

        at[lane * 8 + p->half * 4 + c % 4] |= (uint8_t)((q[c] >> 4 & 3) << (2 * j));
    }
}

static void put_bytes(const struct place *p, const int8_t q[32])
{
    uint8_t *at = p->tile + p->chunk * 1024 + (size_t)p->half * 512;

    for (unsigned c = 0; c < 32; c++) {
        const unsigned lane = 4 * p->g + c % 16 / 4, j = p->up + 2 * (c / 16);

        at[lane * 16 + j * 4 + c % 4] = (uint8_t)q[c];
    }
}

static void put_halves(const struct place *p, const uint8_t *row)
{
    uint8_t *at = p->tile + p->chunk * 2048 + (size_t)p->half * 1024;

    for (unsigned c = 0; c < 32; c++) {
        const unsigned lane = 4 * p->g + c % 8 / 2, j = p->up + 2 * (c / 8 % 2);

        memcpy(at + (size_t)(c / 16 * 512 + lane * 16 + j * 4 + c % 2 * 2), row + (size_t)2 * c, 2);
    }
}

/* Where the scales of these 32 columns are, `bytes` a row. */
static uint8_t *scale_at(const struct place *p, unsigned bytes)
{
    return p->tile + p->l->scales +
           ((size_t)(p->chunk * 2 + p->half) * 16 + (size_t)p->g * 2 + p->up) * bytes;
}

static void put_super(const struct place *p, uint16_t d, uint16_t dmin)
{
    uint8_t *at =
        p->tile + p->l->supers + ((size_t)p->chunk / 4 * 16 + (size_t)p->g * 2 + p->up) * 4;

    put_16(at, d);
    put_16(at + 2, dmin);
}

static void turn(uint8_t q[32], uint8_t bit)
{
    for (unsigned c = 0; c < 32; c++)
        q[c] ^= bit;
}

/* Columns 32 i to 32 i + 31 of a row. */
static void put_block(const struct place *p, const uint8_t *row, size_t i)
{
    uint8_t q[32], *s;

    switch ((int)p->l->type) {
    case KERN_TYPE_Q4_0: {
        const struct kern_block_q4_0 *b = (const void *)(row + i * sizeof(*b));

        codes_nibbles(b->qs, q);
        turn(q, 8);
        put_nibbles(p, q);
        put_16(scale_at(p, 2), b->d);
        break;
    }
    case KERN_TYPE_Q4_1: {
        const struct kern_block_q4_1 *b = (const void *)(row + i * sizeof(*b));

        codes_nibbles(b->qs, q);
        put_nibbles(p, q);
        put_16(scale_at(p, 4), b->d);
        put_16(scale_at(p, 4) + 2, b->m);
        break;
    }
    case KERN_TYPE_Q8_0: {
        const struct kern_block_q8_0 *b = (const void *)(row + i * sizeof(*b));

        put_bytes(p, b->qs);
        put_16(scale_at(p, 2), b->d);
        break;
    }
    case KERN_TYPE_Q4_K: {
        const struct kern_block_q4_k *b = (const void *)(row + i / 8 * sizeof(*b));

        codes_q4_k(b->qs, i % 8, q);
        put_nibbles(p, q);
        s = scale_at(p, 2);
        kern_q4_k_scale(b->scales, i % 8, s, s + 1);
        put_super(p, b->d, b->dmin);
        break;
    }
    case KERN_TYPE_Q5_K: {
        const struct kern_block_q5_k *b = (const void *)(row + i / 8 * sizeof(*b));

        codes_q5_k(b, i % 8, q);
        put_nibbles(p, q);
        put_fifth(p, q);
        s = scale_at(p, 2);
        kern_q4_k_scale(b->scales, i % 8, s, s + 1);
        put_super(p, b->d, b->dmin);
        break;
    }
    case KERN_TYPE_Q6_K: {
        const struct kern_block_q6_k *b = (const void *)(row + i / 8 * sizeof(*b));

        codes_q6_k(b, i % 8, q);
        turn(q, 32);
        put_nibbles(p, q);
        put_fifth_and_sixth(p, q);
        memcpy(scale_at(p, 2), b->sc + i % 8 * 2, 2);
        put_super(p, b->d, 0);
        break;
    }
    default: /* F16, BF16 */
        put_halves(p, row + i * 64);
    }
}

void cuda_repack_tile(const struct cuda_layout *l, const void *gguf, size_t tile, void *dst)
{
    size_t row_bytes = 0;

    memset(dst, 0, l->tile_bytes);
    if (!kern_row_bytes((enum kern_type)l->type, l->cols, &row_bytes))
        return;
    for (unsigned r = 0; r < CUDA_TILE_ROWS && tile * CUDA_TILE_ROWS + r < l->rows; r++) {
        const uint8_t *row = (const uint8_t *)gguf + (tile * CUDA_TILE_ROWS + r) * row_bytes;

        for (size_t i = 0; i < l->cols / KERN_BLOCK; i++) {
            const struct place p = {l, dst, r % 8, r / 8, i / 2, i % 2};

            put_block(&p, row, i);
        }
    }
}

/* ---- e4m3 ----------------------------------------------------------------------------------- */

/* To nearest even; |f| <= 448 or not a number. */
static int8_t e4m3_of(float f)
{
    const unsigned sign = signbit(f) ? 0x80 : 0;
    const float a = fabsf(f);
    unsigned code = 0x7f;
    int e = 0;

    if (a <= 448.0f) {
        (void)frexpf(a, &e); /* a is below 2^e: codes are 2^(e - 4) apart, from 2^-6 down 2^-9 */
        if (a == 0 || e < -5)
            e = -5;
        /* in units of 2^(e - 4), 8 to 16: the exponent's place counts 8 of them; below 2^-6 it is 0 */
        code = (unsigned)lrintf(ldexpf(a, 4 - e)) + 8 * (unsigned)(e + 5);
    }
    return (int8_t)(uint8_t)(sign | code);
}

/* The power of two that brings the largest of n weights between 224 and 448; not a number when one of them is none. */
static float e4m3_scale(const float *w, size_t n)
{
    float most = 0, f;
    int e = 0;

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(w[i]))
            return NAN;
        most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    }
    if (most == 0)
        return 1;
    f = frexpf(most, &e); /* most = f 2^e, f of [0.5, 1): 448 is 0.875 of 2^9 */
    e = f <= 0.875f ? e - 9 : e - 8;
    return ldexpf(1, e < -100 ? -100 : e);
}

/* A row of floats into row g + 8 up of a tile. */
static void put_e4m3(const struct cuda_layout *l, const float *row, unsigned g, unsigned up,
                     uint8_t *tile)
{
    for (size_t at = 0; at < l->cols; at += KERN_BLOCK) {
        const struct place p = {l, tile, g, up, at / CUDA_CHUNK, at / KERN_BLOCK % 2};
        const size_t from = at - at % CUDA_E4M3_BLOCK, left = l->cols - from;
        const float scale = e4m3_scale(row + from, left < CUDA_E4M3_BLOCK ? left : CUDA_E4M3_BLOCK);
        int8_t q[KERN_BLOCK];

        for (unsigned k = 0; k < KERN_BLOCK; k++)
            q[k] = e4m3_of(row[at + k] / scale);
        put_bytes(&p, q);
        memcpy(tile + l->scales + from / CUDA_E4M3_BLOCK * 64 + ((size_t)g * 2 + up) * 4, &scale,
               4);
    }
}

/* The same from blocks that are e4m3 already: codes and scales as they are. NaN is none of the device's codes: such a block's scale is. */
static void put_stored(const struct cuda_layout *l, const uint8_t *row, unsigned g, unsigned up,
                       uint8_t *tile)
{
    for (size_t at = 0; at < l->cols; at += KERN_E4M3_BLOCK) {
        struct kern_block_e4m3 b;

        memcpy(&b, row + at / KERN_E4M3_BLOCK * sizeof(b), sizeof(b));
        for (size_t i = 0; i < KERN_E4M3_BLOCK; i += KERN_BLOCK) {
            const size_t k = at + i;
            const struct place p = {l, tile, g, up, k / CUDA_CHUNK, k / KERN_BLOCK % 2};
            int8_t q[KERN_BLOCK];

            memcpy(q, b.q + i, sizeof(q));
            put_bytes(&p, q);
        }
        for (size_t i = 0; i < KERN_E4M3_BLOCK; i++)
            b.d = (b.q[i] & 0x7f) == 0x7f ? NAN : b.d;
        memcpy(tile + l->scales + at / KERN_E4M3_BLOCK * 64 + ((size_t)g * 2 + up) * 4, &b.d,
               sizeof(b.d));
    }
}

void cuda_repack_tile_e4m3(const struct cuda_layout *l, uint32_t type, const void *gguf,
                           size_t tile, float *row, void *dst)
{
    size_t row_bytes = 0;

    memset(dst, 0, l->tile_bytes);
    if (!kern_row_bytes((enum kern_type)type, l->cols, &row_bytes))
        return;
    for (unsigned r = 0; r < CUDA_TILE_ROWS && tile * CUDA_TILE_ROWS + r < l->rows; r++) {
        const uint8_t *from = (const uint8_t *)gguf + (tile * CUDA_TILE_ROWS + r) * row_bytes;

        if (type == KERN_TYPE_E4M3) {
            put_stored(l, from, r % 8, r / 8, dst);
            continue;
        }
        kern_row_f32((enum kern_type)type, from, l->cols, row);
        put_e4m3(l, row, r % 8, r / 8, dst);
    }
}
