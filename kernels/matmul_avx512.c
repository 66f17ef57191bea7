/* kernels/matmul_avx512.c - quantized matrix product with vpdpbusd on panels of 16 rows. Pure; any thread.
 *
 * Two ways through a panel, which give the same bits, because integers are exact and the float operations
 * of an output are the same, tile by tile:
 *   few tokens (decode):   tiles are unpacked in registers and used at once: runs at memory speed
 *   many tokens (prefill): WIDE_TILES tiles of two panels are unpacked into the first-level cache, used by
 *                           all tokens, 8 at a time; partial sums wait in out
 *
 * Per tile and token: i = sum of the 32 code * activation products (8 vpdpbusd, 16 rows at once; 16 for
 * the two planes of fine activations), starting from -offset * sum of activations; then
 * out += (i * d) * da + m * (da * sum). */
#include "kernels/ops_avx512.h"
#include "kernels/tile_avx512.h"

enum {
    WIDE_TILES = 12, /* of each of two panels: 17 KiB, half of the first-level cache */
    DECODE_TOKENS = 8,
    MAX_PANELS = 2,
    MAX_GROUP = 8,         /* tokens whose sums fit into registers */
    PREFETCH_BYTES = 4096, /* ahead of the tile: hardware prefetch stops at page ends */
};

/* Some tiles of one or two panels, times some tokens. */
struct job {
    const char *panel; /* packed tiles, all of the panel */
    size_t panel_bytes;
    struct wide_tile (*wide)[WIDE_TILES]; /* NULL, or of each panel: tile `from` is [0] */
    size_t from, to;                      /* tiles */
    const struct kern_acts *x;
    size_t token; /* the first */
    float *out;   /* of the first panel's first row and token 0 */
    size_t out_stride;
    __mmask16 rows[MAX_PANELS]; /* which of the 16 exist */
};

/* The activations of a tile's columns; token t is at [t * stride]. */
struct inputs {
    const struct kern_act_block *x;
    const int8_t *r; /* [stride][KERN_BLOCK] a token; NULL: coarse */
    size_t stride;
};

INLINE __m512i broadcast4(const int8_t *p)
{
    int32_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return _mm512_set1_epi32(v);
}

/* sum[p][t] += vectors [from, to) of n_panels tiles times the codes of n tokens: exact, 16 rows at once.
 * Each broadcast of activations serves all panels, and the sums take turns: loads and latency, not
 * multipliers, are what is scarce. a: one plane of the activations of the tile's columns, tokens
 * a_stride bytes apart. */
INLINE void dot_codes(unsigned n_panels, unsigned n, const struct tile *w, int from, int to,
                      const int8_t *a, size_t a_stride, __m512i sum[MAX_PANELS][4])
{
#pragma GCC unroll 8
    for (int j = from; j < to; j++) {
        __m512i v[MAX_PANELS];

#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++)
            v[p] = tile_codes(&w[p], j);
#pragma GCC unroll 4
        for (unsigned t = 0; t < n; t++) {
            __m512i a4 = broadcast4(a + t * a_stride + 4 * j);

#pragma GCC unroll 2
            for (unsigned p = 0; p < n_panels; p++)
                sum[p][t] = _mm512_dpbusd_epi32(sum[p][t], v[p], a4);
        }
    }
}

/* From sums of products with the plane q to where those of the plane r are added: one set of sums for
 * both, because registers are scarce. */
INLINE void between_planes(enum kern_type type, int half, unsigned n_panels, unsigned n,
                           const struct inputs *in, __m512i sum[MAX_PANELS][4])
{
#pragma GCC unroll 4
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++)
            sum[p][t] = _mm512_add_epi32(_mm512_slli_epi32(sum[p][t], 8),
                                         start_sum(type, half, in->x + t * in->stride));
}

/* Whether a token of n has rests in this tile; adding those of the others adds nothing. */
INLINE bool any_rests(unsigned n, const struct inputs *in)
{
    int32_t any = 0;

#pragma GCC unroll 4
    for (unsigned t = 0; t < n; t++)
        any |= in->x[t * in->stride].has_rests;
    return any != 0;
}

/* v[p][t] = d * sum of codes * activations, of tile p and token t, over all columns of the tile or the
 * half 0, and of the half 1 added to that. */
INLINE void dot_scaled(enum kern_type type, bool fine, int half, unsigned n_panels, unsigned n,
                       const struct tile *w, const struct inputs *in, __m512 v[MAX_PANELS][4])
{
    const int from = 4 * half, to = has_halves(type) ? from + 4 : 8;
    const size_t stride = in->stride;
    __m512i sum[MAX_PANELS][4];

#pragma GCC unroll 4
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++)
            sum[p][t] = fine ? _mm512_setzero_si512() : start_sum(type, half, in->x + t * stride);
    dot_codes(n_panels, n, w, from, to, in->x->q, stride * sizeof(*in->x), sum);
    if (fine) {
        between_planes(type, half, n_panels, n, in, sum);
        if (any_rests(n, in))
            dot_codes(n_panels, n, w, from, to, in->r, stride * KERN_BLOCK, sum);
    }
#pragma GCC unroll 4
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++) {
            __m512 s = _mm512_cvtepi32_ps(sum[p][t]), d = tile_scale(&w[p], half);

            v[p][t] = half == 0 ? _mm512_mul_ps(s, d) : _mm512_fmadd_ps(s, d, v[p][t]);
        }
}

/* f[p][t] += tile p * activations of n tokens, at most 4. */
INLINE void dot_tile(enum kern_type type, bool fine, unsigned n_panels, unsigned n,
                     const struct tile *w, const struct inputs *in, __m512 *f)
{
    __m512 v[MAX_PANELS][4];

    dot_scaled(type, fine, 0, n_panels, n, w, in, v);
    if (has_halves(type))
        dot_scaled(type, fine, 1, n_panels, n, w, in, v);
#pragma GCC unroll 4
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++) {
            __m512 *o = &f[p * MAX_GROUP + t];

            *o = add_product(type, v[p][t], &w[p], in->x + t * in->stride, *o);
        }
}

/* n tokens (a constant, at most MAX_GROUP) times the job's tiles. */
INLINE void run_group(enum kern_type type, bool fine, unsigned n_panels, bool wide, unsigned n,
                      const struct job *job)
{
    const size_t stride = job->x->stride, first = job->token * stride + job->from;
    const struct kern_act_block *x = job->x->blocks + first;
    const int8_t *r = fine ? job->x->rests + first * KERN_BLOCK : NULL;
    const unsigned turns = wide ? 4 : 1;
    float *out = job->out + job->token * job->out_stride;
    __m512 f[MAX_PANELS * MAX_GROUP];
    struct tile w[MAX_PANELS];

#pragma GCC unroll 8
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++)
            f[p * MAX_GROUP + t] =
                job->from == 0
                    ? _mm512_setzero_ps()
                    : _mm512_maskz_loadu_ps(job->rows[p], out + t * job->out_stride + 16 * p);
    for (size_t b = job->from; b < job->to; b++, x++) {
#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++) {
            w[p].wide = wide ? &job->wide[p][b - job->from] : NULL;
            if (!wide)
                load_tile(type, job->panel, b, &w[p], PREFETCH_BYTES);
        }
#pragma GCC unroll 8
        for (unsigned t = 0; t < n; t += turns) {
            const struct inputs in = {x + t * stride, fine ? r + t * stride * KERN_BLOCK : NULL,
                                      stride};

            dot_tile(type, fine, n_panels, n - t < turns ? n - t : turns, w, &in, &f[t]);
        }
        r = fine ? r + KERN_BLOCK : NULL;
    }
#pragma GCC unroll 8
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned p = 0; p < n_panels; p++)
            _mm512_mask_storeu_ps(out + t * job->out_stride + 16 * p, job->rows[p],
                                  f[p * MAX_GROUP + t]);
}

/* All tokens of the job up to n_tokens, in groups of constant size. */
INLINE void run_tokens(enum kern_type type, bool fine, unsigned n_panels, bool wide,
                       unsigned n_tokens, struct job *job)
{
    for (job->token = 0; job->token + 8 <= n_tokens; job->token += 8)
        run_group(type, fine, n_panels, wide, 8, job);
    for (; job->token + 4 <= n_tokens; job->token += 4)
        run_group(type, fine, n_panels, wide, 4, job);
    for (; job->token + 2 <= n_tokens; job->token += 2)
        run_group(type, fine, n_panels, wide, 2, job);
    for (; job->token < n_tokens; job->token++)
        run_group(type, fine, n_panels, wide, 1, job);
}

/* One or two panels, all columns, many tokens. */
INLINE void run_wide(enum kern_type type, bool fine, unsigned n_panels, unsigned n_tokens,
                     size_t n_tiles, struct job *job)
{
    struct wide_tile tiles[MAX_PANELS][WIDE_TILES] __attribute__((aligned(64)));
    struct tile w;

    job->wide = tiles;
    for (job->from = 0; job->from < n_tiles; job->from = job->to) {
        job->to = job->from + WIDE_TILES < n_tiles ? job->from + WIDE_TILES : n_tiles;
        for (unsigned p = 0; p < n_panels; p++) {
            for (size_t b = job->from; b < job->to; b++) {
                load_tile(type, job->panel + p * job->panel_bytes, b, &w, 0);
                store_wide(type, &w, &tiles[p][b - job->from]);
            }
        }
        run_tokens(type, fine, n_panels, true, n_tokens, job);
    }
}

INLINE void matmul(enum kern_type type, bool fine, const struct kern_matrix *w,
                   const struct kern_acts *x, unsigned n_tokens, float *out, size_t out_stride,
                   size_t row_from, size_t row_to)
{
    const size_t bytes = panel_bytes(type, w->cols), n_tiles = w->cols / KERN_BLOCK;
    const bool wide = n_tokens > DECODE_TOKENS;

    for (size_t row = row_from; row < row_to;) {
        const size_t left = row_to - row;
        struct job job = {
            .panel = (const char *)w->data + row / PANEL_ROWS * bytes,
            .panel_bytes = bytes,
            .to = n_tiles,
            .x = x,
            .out = out + row,
            .out_stride = out_stride,
            .rows = {lanes_below(left), lanes_below(left > PANEL_ROWS ? left - PANEL_ROWS : 0)},
        };

        if (!wide) {
            run_tokens(type, fine, 1, false, n_tokens, &job);
            row += PANEL_ROWS;
        } else if (left > PANEL_ROWS) {
            run_wide(type, fine, 2, n_tokens, n_tiles, &job);
            row += 2 * PANEL_ROWS;
        } else {
            run_wide(type, fine, 1, n_tokens, n_tiles, &job);
            row += PANEL_ROWS;
        }
    }
}

#define MATMUL_TABLE       kern_avx512_matmul
#define MATMUL_TABLE_FLOAT kern_avx512_matmul_float
#include "kernels/matmul_types.h"
