/* kernels/tile_avx512.h - private: how one tile of 16 rows x 32 columns becomes 8 vectors of unsigned
 * bytes and its scales, for AVX-512. Included by matmul_*avx512.c only; layouts are in kernels/panel.h. */
#ifndef KERNELS_TILE_AVX512_H
#define KERNELS_TILE_AVX512_H

#include "kernels/codes.h"
#include "kernels/panel.h"
#include "kernels/traits.h"
#include "kernels/vec.h"

struct wide_tile;

/* A tile in registers: lane r is row r. w[r][c] = d[c / 16] * (q - offset) + m[c / 16]. When `wide` is set the
 * rest is not: values come from there when they are used. */
struct tile {
    const struct wide_tile *wide;
    __m512i q[8]; /* byte 4 * r + z of q[j] = code of row r, column 4 * j + z */
    __m512 d[2];  /* both the same unless has_halves */
    __m512 m[2];  /* has_min only; the second: has_half_min only */
};

/* A tile unpacked to memory, for reuse by many tokens. */
struct wide_tile {
    uint8_t q[8][64];
    float d[2][16], m[2][16];
};

INLINE __m512 load_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
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

/* Adds `value` to the codes whose bit is set. */
INLINE void add_bits(const uint64_t bits[8], char value, __m512i q[8])
{
    const __m512i v = _mm512_set1_epi8(value);

    for (int j = 0; j < 8; j++)
        q[j] = _mm512_mask_add_epi8(q[j], bits[j], q[j], v);
}

INLINE void load_twos(const uint8_t two[128], __m512i q[8])
{
    const __m512i low = _mm512_set1_epi8(3);

    for (int h = 0; h < 2; h++) {
        __m512i x = _mm512_loadu_si512(two + 64 * h);

        q[4 * h] = _mm512_and_si512(x, low);
        q[4 * h + 1] = _mm512_and_si512(_mm512_srli_epi16(x, 2), low);
        q[4 * h + 2] = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
        q[4 * h + 3] = _mm512_and_si512(_mm512_srli_epi16(x, 6), low);
    }
}

/* Codes of 4 bits become the values of a table, plus off. */
INLINE void map_values(const int8_t values[16], char off, __m512i q[8])
{
    const __m512i t = _mm512_add_epi8(
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)values)),
        _mm512_set1_epi8(off));

    for (int j = 0; j < 8; j++)
        q[j] = _mm512_shuffle_epi8(t, q[j]);
}

/* 2^(e - 128), see codes_mxfp4_scale. */
INLINE __m512 load_exponents(const uint8_t e[16])
{
    const __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)e));
    const __mmask16 tiny = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(2));
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(x, _mm512_set1_epi32(1)), 23);

    return _mm512_castsi512_ps(
        _mm512_mask_sllv_epi32(normal, tiny, _mm512_set1_epi32(0x00200000), x));
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

INLINE void load_small(enum kern_type type, const void *panel, size_t i, struct tile *t,
                       size_t ahead)
{
    if (type == KERN_TYPE_Q4_0 || type == KERN_TYPE_IQ4_NL) {
        const struct tile_q4_0 *p = (const struct tile_q4_0 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        if (type == KERN_TYPE_IQ4_NL)
            map_values(kern_iq4_values, (char)CODES_IQ4_OFF, t->q);
        t->d[0] = vf_load_f16(p->d);
    } else if (type == KERN_TYPE_Q4_1) {
        const struct tile_q4_1 *p = (const struct tile_q4_1 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        t->d[0] = vf_load_f16(p->d);
        t->m[0] = vf_load_f16(p->m);
    } else if (type == KERN_TYPE_Q5_0) {
        const struct tile_q5_0 *p = (const struct tile_q5_0 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        add_bits(p->hi, 16, t->q);
        t->d[0] = vf_load_f16(p->d);
    } else if (type == KERN_TYPE_Q5_1) {
        const struct tile_q5_1 *p = (const struct tile_q5_1 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        add_bits(p->hi, 16, t->q);
        t->d[0] = vf_load_f16(p->d);
        t->m[0] = vf_load_f16(p->m);
    } else if (type == KERN_TYPE_Q8_0) {
        const struct tile_q8_0 *p = (const struct tile_q8_0 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        for (int j = 0; j < 8; j++)
            t->q[j] = _mm512_loadu_si512(p->q + 64 * j);
        t->d[0] = vf_load_f16(p->d);
    } else if (type == KERN_TYPE_MXFP4) {
        const struct tile_mxfp4 *p = (const struct tile_mxfp4 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        map_values(kern_fp4_values, CODES_FP4_OFF, t->q);
        t->d[0] = load_exponents(p->e);
    } else {
        const struct tile_nvfp4 *p = (const struct tile_nvfp4 *)panel + i;
        prefetch(p, sizeof(*p), ahead);
        load_nibbles(p->lo, t->q);
        map_values(kern_fp4_values, CODES_FP4_OFF, t->q);
        t->d[0] = vf_load_f16(p->d[0]);
        t->d[1] = vf_load_f16(p->d[1]);
    }
}

/* -dmin * mn */
INLINE __m512 negative_min(const uint16_t dmin[16], __m512 mn)
{
    return _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(vf_load_f16(dmin), mn));
}

/* Scales in the low nibbles, minima in the high ones. */
INLINE void load_q2_k(const struct super_q2_k *p, size_t g, struct tile *t)
{
    load_twos(p->tile[g].two, t->q);
    for (int h = 0; h < 2; h++) {
        const __m512i x =
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p->tile[g].sc[h]));
        const __m512i sc = _mm512_and_si512(x, _mm512_set1_epi32(15));

        t->d[h] = _mm512_mul_ps(vf_load_f16(p->d), _mm512_cvtepi32_ps(sc));
        t->m[h] = negative_min(p->dmin, _mm512_cvtepi32_ps(_mm512_srli_epi32(x, 4)));
    }
}

INLINE void load_super(enum kern_type type, const void *panel, size_t s, size_t g, struct tile *t,
                       size_t ahead)
{
    if (type == KERN_TYPE_Q2_K) {
        const struct super_q2_k *p = (const struct super_q2_k *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_q2_k(p, g, t);
    } else if (type == KERN_TYPE_Q3_K) {
        const struct super_q3_k *p = (const struct super_q3_k *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_twos(p->tile[g].two, t->q);
        add_bits(p->tile[g].third, 4, t->q);
        t->d[0] = _mm512_mul_ps(vf_load_f16(p->d), vf_load_i8(p->tile[g].sc[0]));
        t->d[1] = _mm512_mul_ps(vf_load_f16(p->d), vf_load_i8(p->tile[g].sc[1]));
    } else if (type == KERN_TYPE_Q4_K) {
        const struct super_q4_k *p = (const struct super_q4_k *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_nibbles(p->tile[g].lo, t->q);
        t->d[0] = _mm512_mul_ps(vf_load_f16(p->d), load_u8(p->tile[g].sc));
        t->m[0] = negative_min(p->dmin, load_u8(p->tile[g].mn));
    } else if (type == KERN_TYPE_Q5_K) {
        const struct super_q5_k *p = (const struct super_q5_k *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_nibbles(p->tile[g].lo, t->q);
        add_bits(p->tile[g].hi, 16, t->q);
        t->d[0] = _mm512_mul_ps(vf_load_f16(p->d), load_u8(p->tile[g].sc));
        t->m[0] = negative_min(p->dmin, load_u8(p->tile[g].mn));
    } else if (type == KERN_TYPE_Q6_K) {
        const struct super_q6_k *p = (const struct super_q6_k *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_q6_k(&p->tile[g], t->q);
        t->d[0] = _mm512_mul_ps(vf_load_f16(p->d), vf_load_i8(p->tile[g].sc[0]));
        t->d[1] = _mm512_mul_ps(vf_load_f16(p->d), vf_load_i8(p->tile[g].sc[1]));
    } else {
        const struct super_iq4_xs *p = (const struct super_iq4_xs *)panel + s;
        prefetch(&p->tile[g], sizeof(p->tile[g]), ahead);
        load_nibbles(p->tile[g].lo, t->q);
        map_values(kern_iq4_values, (char)CODES_IQ4_OFF, t->q);
        t->d[0] = _mm512_mul_ps(vf_load_f16(p->d), vf_load_i8(p->tile[g].sc));
    }
}

/* Loads tile i of a panel; ahead: see prefetch, 0: don't. */
INLINE void load_tile(enum kern_type type, const void *panel, size_t i, struct tile *t,
                      size_t ahead)
{
    t->m[0] = t->m[1] = _mm512_setzero_ps();
    if (is_super(type))
        load_super(type, panel, i / PANEL_TILES_SUPER, i % PANEL_TILES_SUPER, t, ahead);
    else
        load_small(type, panel, i, t, ahead);
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
        _mm512_store_ps(o->m[0], t->m[0]);
    if (has_half_min(type))
        _mm512_store_ps(o->m[1], t->m[1]);
}

INLINE __m512i tile_codes(const struct tile *t, int j)
{
    return t->wide != NULL ? _mm512_load_si512(t->wide->q[j]) : t->q[j];
}

INLINE __m512 tile_scale(const struct tile *t, int half)
{
    return t->wide != NULL ? _mm512_load_ps(t->wide->d[half]) : t->d[half];
}

INLINE __m512 tile_min(const struct tile *t, int half)
{
    return t->wide != NULL ? _mm512_load_ps(t->wide->m[half]) : t->m[half];
}

/* -offset * (sum of activations) in all lanes. */
INLINE __m512i start_sum(enum kern_type type, int half, const struct kern_act_block *x)
{
    if (has_min(type))
        return _mm512_setzero_si512();
    return _mm512_slli_epi32(_mm512_set1_epi32(has_halves(type) ? x->nsum16[half] : x->nsum),
                             offset_bits(type));
}

/* f plus the product of a row of the tile and a token: v is the scaled sum of codes * activations. */
INLINE __m512 add_product(enum kern_type type, __m512 v, const struct tile *w,
                          const struct kern_act_block *x, __m512 f)
{
    f = _mm512_fmadd_ps(v, _mm512_set1_ps(x->d), f);
    if (has_half_min(type)) {
        f = _mm512_fnmadd_ps(tile_min(w, 0), _mm512_set1_ps(x->d * (float)x->nsum16[0]), f);
        f = _mm512_fnmadd_ps(tile_min(w, 1), _mm512_set1_ps(x->d * (float)x->nsum16[1]), f);
    } else if (has_min(type)) {
        f = _mm512_fmadd_ps(tile_min(w, 0), _mm512_set1_ps(x->ds), f);
    }
    return f;
}

#endif
