/* kernels/tile_avx512.h - private: how one tile of 16 rows x 32 columns becomes 8 vectors of unsigned
 * bytes and its scales, for AVX-512. Included by matmul_avx512.c only; layouts are in kernels/panel.h. */
#ifndef KERNELS_TILE_AVX512_H
#define KERNELS_TILE_AVX512_H

#include "kernels/panel.h"
#include "kernels/vec.h"

struct wide_tile;

/* A tile in registers: lane r is row r. w[r][c] = d[c / 16] * (q - offset) + m. When `wide` is set the
 * rest is not: values come from there when they are used. */
struct tile {
    const struct wide_tile *wide;
    __m512i q[8]; /* byte 4 * r + z of q[j] = code of row r, column 4 * j + z */
    __m512 d[2];  /* both the same but for Q6_K */
    __m512 m;     /* Q4_1 and Q4_K only */
};

/* A tile unpacked to memory, for reuse by many tokens. */
struct wide_tile {
    uint8_t q[8][64];
    float d[2][16], m[16];
};

/* Types whose codes have an offset of a power of two: its exponent. */
INLINE unsigned offset_bits(enum kern_type type)
{
    return type == KERN_TYPE_Q4_0   ? 3
           : type == KERN_TYPE_Q5_0 ? 4
           : type == KERN_TYPE_Q6_K ? 5
           : type == KERN_TYPE_Q8_0 ? 7
                                    : 0;
}

INLINE bool has_min(enum kern_type type)
{
    return type == KERN_TYPE_Q4_1 || type == KERN_TYPE_Q4_K;
}

/* Two scales a tile, for columns 0..15 and 16..31. */
INLINE bool has_halves(enum kern_type type)
{
    return type == KERN_TYPE_Q6_K;
}

INLINE __m512 load_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

INLINE __m512 load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

INLINE void load_nibbles(const uint8_t lo[256], __m512i q[8])
{
    const __m512i low = _mm512_set1_epi8(15);

    for (int j = 0; j < 4; j++) {
        __m512i x = _mm512_loadu_si512(lo + 64 * j);

        q[j] = _mm512_and_si512(x, low);
        q[j + 4] = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
    }
}

INLINE void load_q5_0(const struct tile_q5_0 *p, __m512i q[8])
{
    const __m512i fifth = _mm512_set1_epi8(16);

    load_nibbles(p->lo, q);
    for (int j = 0; j < 8; j++)
        q[j] = _mm512_mask_add_epi8(q[j], p->hi[j], q[j], fifth);
}

INLINE void load_q6_k(const struct tile_q6_k *p, __m512i q[8])
{
    const __m512i two = _mm512_set1_epi8(0x30);

    load_nibbles(p->lo, q);
    for (int h = 0; h < 2; h++) {
        __m512i x = _mm512_loadu_si512(p->hi + 64 * h);

        q[4 * h] = _mm512_or_si512(q[4 * h], _mm512_and_si512(_mm512_slli_epi16(x, 4), two));
        q[4 * h + 1] =
            _mm512_or_si512(q[4 * h + 1], _mm512_and_si512(_mm512_slli_epi16(x, 2), two));
        q[4 * h + 2] = _mm512_or_si512(q[4 * h + 2], _mm512_and_si512(x, two));
        q[4 * h + 3] =
            _mm512_or_si512(q[4 * h + 3], _mm512_and_si512(_mm512_srli_epi16(x, 2), two));
    }
}

/* Asks for the cache lines of a tile of that many bytes, `ahead` bytes behind p. */
INLINE void prefetch(const void *p, size_t bytes, size_t ahead)
{
    for (size_t i = 0; ahead > 0 && i < bytes; i += 64)
        _mm_prefetch((const char *)p + ahead + i, _MM_HINT_T0);
}

/* Loads tile i of a panel; ahead: see prefetch, 0: don't. */
INLINE void load_tile(enum kern_type type, const void *panel, size_t i, struct tile *t,
                      size_t ahead)
{
    const size_t s = i / PANEL_TILES_SUPER, g = i % PANEL_TILES_SUPER;

    t->m = _mm512_setzero_ps();
    if (type == KERN_TYPE_Q4_0) {
        const struct tile_q4_0 *p = (const struct tile_q4_0 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        t->d[0] = vf_load_f16(p->d);
    } else if (type == KERN_TYPE_Q4_1) {
        const struct tile_q4_1 *p = (const struct tile_q4_1 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        t->d[0] = vf_load_f16(p->d);
        t->m = vf_load_f16(p->m);
    } else if (type == KERN_TYPE_Q5_0) {
        const struct tile_q5_0 *p = (const struct tile_q5_0 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_q5_0(p, t->q);
        t->d[0] = vf_load_f16(p->d);
    } else if (type == KERN_TYPE_Q8_0) {
        const struct tile_q8_0 *p = (const struct tile_q8_0 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        for (int j = 0; j < 8; j++)
            t->q[j] = _mm512_loadu_si512(p->q + 64 * j);
        t->d[0] = vf_load_f16(p->d);
    } else if (type == KERN_TYPE_Q4_K) {
        const struct super_q4_k *p = (const struct super_q4_k *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_nibbles(p->tile[g].lo, t->q);
        t->d[0] = _mm512_mul_ps(vf_load_f16(p->d), load_u8(p->tile[g].sc));
        t->m = _mm512_mul_ps(vf_load_f16(p->dmin), load_u8(p->tile[g].mn));
        t->m = _mm512_sub_ps(_mm512_setzero_ps(), t->m);
    } else {
        const struct super_q6_k *p = (const struct super_q6_k *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_q6_k(&p->tile[g], t->q);
        t->d[0] = _mm512_mul_ps(vf_load_f16(p->d), load_i8(p->tile[g].sc[0]));
        t->d[1] = _mm512_mul_ps(vf_load_f16(p->d), load_i8(p->tile[g].sc[1]));
    }
    if (!has_halves(type))
        t->d[1] = t->d[0];
}

INLINE void store_wide(enum kern_type type, const struct tile *t, struct wide_tile *o)
{
    for (int j = 0; j < 8; j++)
        _mm512_store_si512(o->q[j], t->q[j]);
    _mm512_store_ps(o->d[0], t->d[0]);
    if (has_halves(type))
        _mm512_store_ps(o->d[1], t->d[1]);
    if (has_min(type))
        _mm512_store_ps(o->m, t->m);
}

INLINE __m512i tile_codes(const struct tile *t, int j)
{
    return t->wide != NULL ? _mm512_load_si512(t->wide->q[j]) : t->q[j];
}

INLINE __m512 tile_scale(const struct tile *t, int half)
{
    return t->wide != NULL ? _mm512_load_ps(t->wide->d[half]) : t->d[half];
}

INLINE __m512 tile_min(const struct tile *t)
{
    return t->wide != NULL ? _mm512_load_ps(t->wide->m) : t->m;
}

#endif
