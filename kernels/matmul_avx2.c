/* kernels/matmul_avx2.c - quantized matrix product with vpmaddubsw on panels of 16 rows. Pure; any thread.
 *
 * Works on the same panels as AVX-512 (kernels/panel.h), in two halves of 8 rows: a 32-bit lane is a row
 * and four of its columns. Products of unsigned codes and signed activations are added in 16 bits as long
 * as that cannot overflow, then in 32. The float operations are those of matmul_avx512.c, so both
 * tables give the same results. Up to 4 tokens share each unpacked vector, or the two planes of 2 tokens
 * with fine activations. */
#include <string.h>

#include "kernels/codes.h"
#include "kernels/ops_avx2.h"
#include "kernels/panel.h"
#include "kernels/traits.h"
#include "kernels/vec.h"

enum {
    HALVES = 2,            /* of a panel: rows 0..7 and 8..15 */
    MAX_GROUP = 4,         /* sums at once: tokens, times planes of activations */
    PREFETCH_BYTES = 4096, /* ahead of the tile: hardware prefetch stops at page ends */
};

/* One tile of one half panel: where its codes are, and its scales; lane r is row r of the half.
 * w[r][c] = d[c / 16] * (code - offset) + m[c / 16]. */
struct tile {
    const uint8_t *codes; /* vector j at 64 * j: codes, or nibbles (j < 4: low, else high) */
    const uint8_t *more;  /* planes of one bit or of two */
    vf d[2];              /* both the same unless has_halves */
    vf m[2];              /* has_min only; the second: has_half_min only */
};

/* Codes that are multiplied as signed numbers, by way of their magnitudes. */
INLINE bool is_signed(enum kern_type type)
{
    return offset_bits(type) == 7;
}

/* Products that fit into 16 bits: 2 * 127 * largest code * this < 32768; never more than the vectors of a
 * half. */
INLINE size_t products_in_16_bits(enum kern_type type)
{
    if (is_signed(type))
        return 1;
    if (type == KERN_TYPE_Q6_K)
        return 2;
    return has_halves(type) || offset_bits(type) == 4 || type == KERN_TYPE_Q5_1 ||
                   type == KERN_TYPE_Q5_K
               ? 4
               : 8;
}

INLINE __m256i load32(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* 8 scales of one byte. */
INLINE vf load_u8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

/* 2^(e - 128), see codes_mxfp4_scale. */
INLINE vf load_exponents(const uint8_t *e)
{
    const __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)e));
    const __m256i tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), x);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(x, _mm256_set1_epi32(1)), 23);
    const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), x);

    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, subnormal, tiny));
}

INLINE void find_small(enum kern_type type, const void *panel, size_t i, size_t h, struct tile *t)
{
    const size_t r = 8 * h;

    if (type == KERN_TYPE_Q4_0 || type == KERN_TYPE_IQ4_NL) {
        const struct tile_q4_0 *p = (const struct tile_q4_0 *)panel + i;
        t->codes = p->lo;
        t->d[0] = vf_load_f16(p->d + r);
    } else if (type == KERN_TYPE_Q4_1) {
        const struct tile_q4_1 *p = (const struct tile_q4_1 *)panel + i;
        t->codes = p->lo;
        t->d[0] = vf_load_f16(p->d + r);
        t->m[0] = vf_load_f16(p->m + r);
    } else if (type == KERN_TYPE_Q5_0) {
        const struct tile_q5_0 *p = (const struct tile_q5_0 *)panel + i;
        t->codes = p->lo;
        t->more = (const uint8_t *)p->hi + 4 * h;
        t->d[0] = vf_load_f16(p->d + r);
    } else if (type == KERN_TYPE_Q5_1) {
        const struct tile_q5_1 *p = (const struct tile_q5_1 *)panel + i;
        t->codes = p->lo;
        t->more = (const uint8_t *)p->hi + 4 * h;
        t->d[0] = vf_load_f16(p->d + r);
        t->m[0] = vf_load_f16(p->m + r);
    } else if (type == KERN_TYPE_Q8_0) {
        const struct tile_q8_0 *p = (const struct tile_q8_0 *)panel + i;
        t->codes = p->q;
        t->d[0] = vf_load_f16(p->d + r);
    } else if (type == KERN_TYPE_MXFP4) {
        const struct tile_mxfp4 *p = (const struct tile_mxfp4 *)panel + i;
        t->codes = p->lo;
        t->d[0] = load_exponents(p->e + r);
    } else {
        const struct tile_nvfp4 *p = (const struct tile_nvfp4 *)panel + i;
        t->codes = p->lo;
        t->d[0] = vf_load_f16(p->d[0] + r);
        t->d[1] = vf_load_f16(p->d[1] + r);
    }
}

/* -dmin * mn */
INLINE vf negative_min(const uint16_t *dmin, vf mn)
{
    return vf_sub(vf_zero(), vf_mul(vf_load_f16(dmin), mn));
}

/* Scales in the low nibbles, minima in the high ones. */
INLINE void find_q2_k(const struct super_q2_k *p, size_t g, size_t h, struct tile *t)
{
    t->codes = p->tile[g].two;
    for (size_t i = 0; i < 2; i++) {
        const __m256i x = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64((const __m128i *)(const void *)(p->tile[g].sc[i] + 8 * h)));
        const __m256i sc = _mm256_and_si256(x, _mm256_set1_epi32(15));

        t->d[i] = vf_mul(vf_load_f16(p->d + 8 * h), _mm256_cvtepi32_ps(sc));
        t->m[i] = negative_min(p->dmin + 8 * h, _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 4)));
    }
}

INLINE void find_super(enum kern_type type, const void *panel, size_t i, size_t h, struct tile *t)
{
    const size_t s = i / PANEL_TILES_SUPER, g = i % PANEL_TILES_SUPER, r = 8 * h;

    if (type == KERN_TYPE_Q2_K) {
        find_q2_k((const struct super_q2_k *)panel + s, g, h, t);
    } else if (type == KERN_TYPE_Q3_K) {
        const struct super_q3_k *p = (const struct super_q3_k *)panel + s;
        t->codes = p->tile[g].two;
        t->more = (const uint8_t *)p->tile[g].third + 4 * h;
        t->d[0] = vf_mul(vf_load_f16(p->d + r), vf_load_i8(p->tile[g].sc[0] + r));
        t->d[1] = vf_mul(vf_load_f16(p->d + r), vf_load_i8(p->tile[g].sc[1] + r));
    } else if (type == KERN_TYPE_Q4_K) {
        const struct super_q4_k *p = (const struct super_q4_k *)panel + s;
        t->codes = p->tile[g].lo;
        t->d[0] = vf_mul(vf_load_f16(p->d + r), load_u8(p->tile[g].sc + r));
        t->m[0] = negative_min(p->dmin + r, load_u8(p->tile[g].mn + r));
    } else if (type == KERN_TYPE_Q5_K) {
        const struct super_q5_k *p = (const struct super_q5_k *)panel + s;
        t->codes = p->tile[g].lo;
        t->more = (const uint8_t *)p->tile[g].hi + 4 * h;
        t->d[0] = vf_mul(vf_load_f16(p->d + r), load_u8(p->tile[g].sc + r));
        t->m[0] = negative_min(p->dmin + r, load_u8(p->tile[g].mn + r));
    } else if (type == KERN_TYPE_Q6_K) {
        const struct super_q6_k *p = (const struct super_q6_k *)panel + s;
        t->codes = p->tile[g].lo;
        t->more = p->tile[g].hi + 32 * h;
        t->d[0] = vf_mul(vf_load_f16(p->d + r), vf_load_i8(p->tile[g].sc[0] + r));
        t->d[1] = vf_mul(vf_load_f16(p->d + r), vf_load_i8(p->tile[g].sc[1] + r));
    } else {
        const struct super_iq4_xs *p = (const struct super_iq4_xs *)panel + s;
        t->codes = p->tile[g].lo;
        t->d[0] = vf_mul(vf_load_f16(p->d + r), vf_load_i8(p->tile[g].sc + r));
    }
}

/* Finds tile i of a panel, its half h. */
INLINE struct tile find_tile(enum kern_type type, const void *panel, size_t i, size_t h)
{
    struct tile t = {.m = {vf_zero(), vf_zero()}};

    if (is_super(type))
        find_super(type, panel, i, h, &t);
    else
        find_small(type, panel, i, h, &t);
    t.codes += 32 * h;
    if (!has_halves(type))
        t.d[1] = t.d[0];
    return t;
}

/* Bit i of the 32 at p as `value` or 0 in byte i. */
INLINE __m256i spread_bits(const uint8_t *p, char value)
{
    const __m256i which = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                             0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    int32_t bits;

    memcpy(&bits, p, sizeof(bits));
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), which), bit);

    return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(value));
}

/* Vector j of a plane of two bits a code, the code at bit 0, other bits left in. */
INLINE __m256i load_twos(const uint8_t *plane, size_t j)
{
    const __m256i x = load32(plane + 64 * (j / 4));

    return j % 4 == 0   ? x
           : j % 4 == 1 ? _mm256_srli_epi16(x, 2)
           : j % 4 == 2 ? _mm256_srli_epi16(x, 4)
                        : _mm256_srli_epi16(x, 6);
}

INLINE __m256i map_values(const int8_t values[16], char off, __m256i codes)
{
    const __m256i t =
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)values));

    return _mm256_shuffle_epi8(_mm256_add_epi8(t, _mm256_set1_epi8(off)), codes);
}

/* Vector j of a tile of 4 or more bits a code, of which 4 are nibbles. */
INLINE __m256i load_nibbles(enum kern_type type, const struct tile *t, size_t j)
{
    __m256i x = load32(t->codes + 64 * (j % 4)), high;

    x = _mm256_and_si256(j < 4 ? x : _mm256_srli_epi16(x, 4), _mm256_set1_epi8(15));
    if (type == KERN_TYPE_Q5_0 || type == KERN_TYPE_Q5_1 || type == KERN_TYPE_Q5_K)
        return _mm256_or_si256(x, spread_bits(t->more + 8 * j, 16));
    if (type == KERN_TYPE_IQ4_NL || type == KERN_TYPE_IQ4_XS)
        return map_values(kern_iq4_values, 0, x);
    if (type == KERN_TYPE_MXFP4 || type == KERN_TYPE_NVFP4)
        return map_values(kern_fp4_values, CODES_FP4_OFF, x);
    if (type != KERN_TYPE_Q6_K)
        return x;
    high = _mm256_and_si256(load_twos(t->more, j), _mm256_set1_epi8(3));
    return _mm256_or_si256(x, _mm256_slli_epi16(high, 4));
}

/* Vector j of a tile, 32 bytes: unsigned codes, but signed values of the types with is_signed. */
INLINE __m256i load_codes(enum kern_type type, const struct tile *t, size_t j)
{
    __m256i x;

    if (type == KERN_TYPE_Q8_0)
        return _mm256_xor_si256(load32(t->codes + 64 * j), _mm256_set1_epi8(-128));
    if (type != KERN_TYPE_Q2_K && type != KERN_TYPE_Q3_K)
        return load_nibbles(type, t, j);
    x = _mm256_and_si256(load_twos(t->codes, j), _mm256_set1_epi8(3));
    return type == KERN_TYPE_Q2_K ? x : _mm256_or_si256(x, spread_bits(t->more + 8 * j, 4));
}

/* The activations of a tile's columns; token t is at [t * stride]. */
struct inputs {
    const struct kern_act_block *x;
    const int8_t *r; /* [stride][KERN_BLOCK] a token; NULL: coarse */
    size_t stride;
};

INLINE struct inputs inputs_at(const struct kern_acts *x, bool fine, size_t token)
{
    const size_t first = token * x->stride;

    return (struct inputs){x->blocks + first, fine ? x->rests + first * KERN_BLOCK : NULL,
                           x->stride};
}

/* The four activations of vector j: of token i, or of plane i % 2 of token i / 2. */
INLINE const int8_t *four_of(const struct inputs *in, bool fine, size_t i, size_t j)
{
    if (!fine)
        return in->x[i * in->stride].q + 4 * j;
    if (i % 2 == 0)
        return in->x[i / 2 * in->stride].q + 4 * j;
    return in->r + i / 2 * in->stride * KERN_BLOCK + 4 * j;
}

INLINE __m256i broadcast4(const int8_t *p)
{
    int32_t v;

    memcpy(&v, p, sizeof(v));
    return _mm256_set1_epi32(v);
}

/* Sums of two products in 16 bits. */
INLINE __m256i multiply(enum kern_type type, __m256i w, __m256i a)
{
    if (is_signed(type))
        return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    return _mm256_maddubs_epi16(w, a);
}

/* -offset * (sum of activations) in all lanes; signed values have none left. */
INLINE __m256i start_sum(enum kern_type type, int32_t nsum)
{
    const int bits = is_signed(type) ? 0 : (int)offset_bits(type);

    return bits == 0 ? _mm256_setzero_si256() : _mm256_slli_epi32(_mm256_set1_epi32(nsum), bits);
}

/* sum[i] += vectors [from, to) of a tile times the i-th of n planes of activations: exact. */
INLINE void dot_codes(enum kern_type type, bool fine, unsigned n, const struct tile *w, size_t from,
                      size_t to, const struct inputs *in, __m256i sum[MAX_GROUP])
{
    const __m256i ones = _mm256_set1_epi16(1);
    const size_t step = products_in_16_bits(type);
    const __m256i zero = _mm256_setzero_si256();
    __m256i part[MAX_GROUP] = {zero, zero, zero, zero};

#pragma GCC unroll 8
    for (size_t j = from; j < to; j++) {
        __m256i v = load_codes(type, w, j);

#pragma GCC unroll 4
        for (unsigned i = 0; i < n; i++) {
            __m256i p = multiply(type, v, broadcast4(four_of(in, fine, i, j)));

            part[i] = _mm256_add_epi16(part[i], p);
            if ((j - from) % step == step - 1) {
                sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(part[i], ones));
                part[i] = zero;
            }
        }
    }
}

/* sum[t] = that of both planes of token t, for n tokens. */
INLINE void join_planes(unsigned n, __m256i sum[MAX_GROUP])
{
#pragma GCC unroll 2
    for (size_t t = 0; t < n; t++)
        sum[t] = _mm256_add_epi32(_mm256_slli_epi32(sum[2 * t], 8), sum[2 * t + 1]);
}

/* Whether a token of n has rests in this tile; those of the others are 0. */
INLINE bool any_rests(unsigned n, const struct inputs *in)
{
    int32_t any = 0;

    for (unsigned t = 0; t < n; t++)
        any |= in->x[t * in->stride].has_rests;
    return any != 0;
}

/* What dot_codes and join_planes do for n tokens without rests. */
INLINE void dot_first_plane(enum kern_type type, unsigned n, const struct tile *w, size_t from,
                            size_t to, const struct inputs *in, __m256i sum[MAX_GROUP])
{
    __m256i q[MAX_GROUP];

    for (unsigned t = 0; t < n; t++)
        q[t] = _mm256_setzero_si256();
    dot_codes(type, false, n, w, from, to, in, q);
    for (unsigned t = 0; t < n; t++)
        sum[t] = _mm256_add_epi32(_mm256_slli_epi32(q[t], 8), sum[2 * t + 1]);
}

/* v[t] = d * sum of codes * activations over all columns of the tile or half 0 of them, or with half 1
 * added. */
INLINE void dot_scaled(enum kern_type type, bool fine, size_t half, unsigned n,
                       const struct tile *w, const struct inputs *in, vf v[MAX_GROUP])
{
    const bool halves = has_halves(type);
    const unsigned planes = fine ? 2 : 1;
    const size_t from = 4 * half, to = halves ? 4 * half + 4 : 8;
    __m256i sum[MAX_GROUP];

#pragma GCC unroll 4
    for (unsigned i = 0; i < planes * n; i++) {
        const struct kern_act_block *x = in->x + i / planes * in->stride;

        sum[i] = i % planes != planes - 1 ? _mm256_setzero_si256()
                                          : start_sum(type, halves ? x->nsum16[half] : x->nsum);
    }
    if (fine && !any_rests(n, in)) {
        dot_first_plane(type, n, w, from, to, in, sum);
    } else {
        dot_codes(type, fine, planes * n, w, from, to, in, sum);
        if (fine)
            join_planes(n, sum);
    }
#pragma GCC unroll 4
    for (unsigned t = 0; t < n; t++) {
        vf s = _mm256_cvtepi32_ps(sum[t]);

        v[t] = half == 0 ? vf_mul(s, w->d[0]) : vf_fma(s, w->d[1], v[t]);
    }
}

/* f[t] += tile * activations of n tokens. */
INLINE void dot_tile(enum kern_type type, bool fine, unsigned n, const struct tile *w,
                     const struct inputs *in, vf f[MAX_GROUP])
{
    vf v[MAX_GROUP];

    dot_scaled(type, fine, 0, n, w, in, v);
    if (has_halves(type))
        dot_scaled(type, fine, 1, n, w, in, v);
#pragma GCC unroll 4
    for (unsigned t = 0; t < n; t++) {
        const struct kern_act_block *x = in->x + t * in->stride;

        f[t] = vf_fma(v[t], vf_set1(x->d), f[t]);
        if (has_half_min(type)) {
            f[t] = vf_fma(w->m[0], vf_set1(-(x->d * (float)x->nsum16[0])), f[t]);
            f[t] = vf_fma(w->m[1], vf_set1(-(x->d * (float)x->nsum16[1])), f[t]);
        } else if (has_min(type)) {
            f[t] = vf_fma(w->m[0], vf_set1(x->ds), f[t]);
        }
    }
}

/* n tokens (a constant) from `in` on times one panel, of which `rows` rows exist. */
INLINE void run_group(enum kern_type type, bool fine, unsigned n, const char *panel,
                      size_t tile_bytes, size_t n_tiles, struct inputs in, float *out,
                      size_t out_stride, size_t rows)
{
    vf f[HALVES][MAX_GROUP];

    for (size_t h = 0; h < HALVES; h++)
        for (unsigned t = 0; t < n; t++)
            f[h][t] = vf_zero();
    for (size_t b = 0; b < n_tiles; b++) {
        for (size_t i = 0; i < tile_bytes; i += 64)
            _mm_prefetch(panel + b * tile_bytes + i + PREFETCH_BYTES, _MM_HINT_T0);
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            const struct tile w = find_tile(type, panel, b, h);

            dot_tile(type, fine, n, &w, &in, f[h]);
        }
        in.x++;
        in.r = fine ? in.r + KERN_BLOCK : NULL;
    }
    for (size_t h = 0; h < HALVES; h++)
        for (size_t t = 0; t < n && rows > 8 * h; t++)
            vf_store_n(out + t * out_stride + 8 * h, f[h][t], rows - 8 * h);
}

INLINE void matmul(enum kern_type type, bool fine, const struct kern_matrix *w,
                   const struct kern_acts *x, unsigned n_tokens, float *out, size_t out_stride,
                   size_t row_from, size_t row_to)
{
    const size_t n_tiles = w->cols / KERN_BLOCK, bytes = panel_bytes(type, w->cols);
    const size_t tile = bytes / n_tiles; /* about: what to prefetch */

    for (size_t row = row_from; row < row_to; row += PANEL_ROWS) {
        const char *panel = (const char *)w->data + row / PANEL_ROWS * bytes;
        const size_t rows = row_to - row;
        float *o = out + row;
        unsigned t = 0;

        for (; !fine && t + 4 <= n_tokens; t += 4)
            run_group(type, fine, 4, panel, tile, n_tiles, inputs_at(x, fine, t),
                      o + t * out_stride, out_stride, rows);
        for (; t + 2 <= n_tokens; t += 2)
            run_group(type, fine, 2, panel, tile, n_tiles, inputs_at(x, fine, t),
                      o + t * out_stride, out_stride, rows);
        if (t < n_tokens)
            run_group(type, fine, 1, panel, tile, n_tiles, inputs_at(x, fine, t),
                      o + t * out_stride, out_stride, rows);
    }
}

#define MATMUL_TABLE       kern_avx2_matmul
#define MATMUL_TABLE_FLOAT kern_avx2_matmul_float
#include "kernels/matmul_types.h"
