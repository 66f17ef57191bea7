/* kernels/matmul_avx512.c - quantized matrix product with vpdpbusd on panels of 16 rows. Pure; any thread.
 *
 * Two ways through a panel, which give the same bits, because integers are exact and the float operations
 * of an output are the same, tile by tile:
 *   few tokens (decode):   tiles are unpacked in registers and used at once: runs at memory speed
 *   many tokens (prefill): WIDE_TILES tiles at a time are unpacked into the first-level cache and used
 *                          by all tokens, 16 at a time; partial sums wait in out
 *
 * Per tile and token: i = sum of the 32 code * activation products (8 vpdpbusd, 16 rows at once),
 * starting from -offset * sum of activations; then out += (i * d) * da + m * (da * sum). */
#include "kernels/ops_avx512.h"
#include "kernels/tile_avx512.h"

enum {
    WIDE_TILES = 16, /* 11 KiB */
    DECODE_TOKENS = 8,
    MAX_GROUP = 16,        /* tokens whose sums fit into registers beside a tile */
    PREFETCH_BYTES = 4096, /* ahead of the tile: hardware prefetch stops at page ends */
};

/* Part of a panel, times some tokens. */
struct job {
    const char *panel;            /* packed tiles, all of the panel */
    const struct wide_tile *wide; /* or unpacked: tile `from` is wide[0] */
    size_t from, to;              /* tiles */
    const struct kern_acts *x;
    size_t token; /* the first */
    float *out;   /* of the panel's first row and token 0 */
    size_t out_stride;
    __mmask16 rows; /* which of the 16 exist */
};

INLINE __m512i broadcast4(const int8_t *p)
{
    int32_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return _mm512_set1_epi32(v);
}

/* sum += vectors [from, to) of a tile times a token's codes: 16 exact sums. */
INLINE __m512i dot_codes(const struct tile *w, int from, int to, __m512i sum, const int8_t *q)
{
#pragma GCC unroll 8
    for (int j = from; j < to; j++)
        sum = _mm512_dpbusd_epi32(sum, w->q[j], broadcast4(q + 4 * j));
    return sum;
}

/* -offset * (sum of activations) in all lanes. */
INLINE __m512i start_sum(enum kern_type type, const int32_t *nsum)
{
    if (has_min(type))
        return _mm512_setzero_si512();
    return _mm512_slli_epi32(_mm512_set1_epi32(*nsum), offset_bits(type));
}

/* Returns f + tile * block b of a token's activations. */
INLINE __m512 dot_tile(enum kern_type type, const struct tile *w, const struct kern_acts *x,
                       size_t token, size_t b, __m512 f)
{
    const int8_t *q = x->q + token * x->q_stride + b * KERN_BLOCK;
    const size_t at = token * x->b_stride + b;
    __m512 v;

    if (has_halves(type)) {
        __m512i i0 = dot_codes(w, 0, 4, start_sum(type, x->nsum16 + 2 * at), q);
        __m512i i1 = dot_codes(w, 4, 8, start_sum(type, x->nsum16 + 2 * at + 1), q);

        v = _mm512_mul_ps(_mm512_cvtepi32_ps(i0), w->d[0]);
        v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(i1), w->d[1], v);
    } else {
        __m512i i0 = dot_codes(w, 0, 8, start_sum(type, x->nsum + at), q);

        v = _mm512_mul_ps(_mm512_cvtepi32_ps(i0), w->d[0]);
    }
    f = _mm512_fmadd_ps(v, _mm512_set1_ps(x->d[at]), f);
    return has_min(type) ? _mm512_fmadd_ps(w->m, _mm512_set1_ps(x->ds[at]), f) : f;
}

/* n tokens (a constant, at most MAX_GROUP) times the job's tiles. */
INLINE void run_group(enum kern_type type, bool wide, unsigned n, const struct job *job)
{
    const struct kern_acts x = *job->x; /* a copy, so that stores to out cannot change it */
    float *out = job->out + job->token * job->out_stride;
    __m512 f[MAX_GROUP];
    struct tile w;

#pragma GCC unroll 16
    for (unsigned t = 0; t < n; t++)
        f[t] = job->from == 0 ? _mm512_setzero_ps()
                              : _mm512_maskz_loadu_ps(job->rows, out + t * job->out_stride);
    for (size_t b = job->from; b < job->to; b++) {
        if (wide)
            load_wide(type, job->wide + (b - job->from), &w);
        else
            load_tile(type, job->panel, b, &w, PREFETCH_BYTES);
#pragma GCC unroll 16
        for (unsigned t = 0; t < n; t++)
            f[t] = dot_tile(type, &w, &x, job->token + t, b, f[t]);
    }
#pragma GCC unroll 16
    for (unsigned t = 0; t < n; t++)
        _mm512_mask_storeu_ps(out + t * job->out_stride, job->rows, f[t]);
}

/* All tokens of the job up to n_tokens, in groups of constant size. */
INLINE void run_tokens(enum kern_type type, bool wide, unsigned n_tokens, struct job *job)
{
    for (job->token = 0; wide && job->token + 16 <= n_tokens; job->token += 16)
        run_group(type, wide, 16, job);
    for (; job->token + 8 <= n_tokens; job->token += 8)
        run_group(type, wide, 8, job);
    for (; job->token + 4 <= n_tokens; job->token += 4)
        run_group(type, wide, 4, job);
    for (; job->token + 2 <= n_tokens; job->token += 2)
        run_group(type, wide, 2, job);
    for (; job->token < n_tokens; job->token++)
        run_group(type, wide, 1, job);
}

/* One panel, all columns, many tokens. */
INLINE void run_wide(enum kern_type type, unsigned n_tokens, size_t n_tiles, struct job *job)
{
    struct wide_tile tiles[WIDE_TILES] __attribute__((aligned(64)));
    struct tile w;

    job->wide = tiles;
    for (job->from = 0; job->from < n_tiles; job->from = job->to) {
        job->to = job->from + WIDE_TILES < n_tiles ? job->from + WIDE_TILES : n_tiles;
        for (size_t b = job->from; b < job->to; b++) {
            load_tile(type, job->panel, b, &w, 0);
            store_wide(type, &w, &tiles[b - job->from]);
        }
        run_tokens(type, true, n_tokens, job);
    }
}

INLINE void matmul(enum kern_type type, const struct kern_matrix *w, const struct kern_acts *x,
                   unsigned n_tokens, float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    const size_t bytes = panel_bytes(type, w->cols), n_tiles = w->cols / KERN_BLOCK;

    for (size_t row = row_from; row < row_to; row += PANEL_ROWS) {
        struct job job = {
            .panel = (const char *)w->data + row / PANEL_ROWS * bytes,
            .to = n_tiles,
            .x = x,
            .out = out + row,
            .out_stride = out_stride,
            .rows = lanes_below(row_to - row),
        };

        if (n_tokens <= DECODE_TOKENS)
            run_tokens(type, false, n_tokens, &job);
        else
            run_wide(type, n_tokens, n_tiles, &job);
    }
}

/* One function a type, so that the compiler sees the type as a constant. */
#define MATMUL(name, type)                                                                         \
    static __attribute__((noinline)) void name(                                                    \
        const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens, float *out,     \
        size_t out_stride, size_t row_from, size_t row_to)                                         \
    {                                                                                              \
        matmul(type, w, x, n_tokens, out, out_stride, row_from, row_to);                           \
    }

MATMUL(matmul_q4_0, KERN_TYPE_Q4_0)
MATMUL(matmul_q4_1, KERN_TYPE_Q4_1)
MATMUL(matmul_q5_0, KERN_TYPE_Q5_0)
MATMUL(matmul_q8_0, KERN_TYPE_Q8_0)
MATMUL(matmul_q4_k, KERN_TYPE_Q4_K)
MATMUL(matmul_q6_k, KERN_TYPE_Q6_K)

void kern_avx512_matmul(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                        float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    switch (w->type) {
    case KERN_TYPE_F32:
    case KERN_TYPE_F16:
    case KERN_TYPE_BF16:
        kern_avx512_matmul_float(w, x, n_tokens, out, out_stride, row_from, row_to);
        break;
    case KERN_TYPE_Q4_0:
        matmul_q4_0(w, x, n_tokens, out, out_stride, row_from, row_to);
        break;
    case KERN_TYPE_Q4_1:
        matmul_q4_1(w, x, n_tokens, out, out_stride, row_from, row_to);
        break;
    case KERN_TYPE_Q5_0:
        matmul_q5_0(w, x, n_tokens, out, out_stride, row_from, row_to);
        break;
    case KERN_TYPE_Q8_0:
        matmul_q8_0(w, x, n_tokens, out, out_stride, row_from, row_to);
        break;
    case KERN_TYPE_Q4_K:
        matmul_q4_k(w, x, n_tokens, out, out_stride, row_from, row_to);
        break;
    case KERN_TYPE_Q6_K:
        matmul_q6_k(w, x, n_tokens, out, out_stride, row_from, row_to);
        break;
    }
}
