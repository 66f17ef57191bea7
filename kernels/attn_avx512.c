/* kernels/attn_avx512.c - attention with online softmax over f16 blocks of 16 keys. Pure; any thread.
 *
 * A row is one query head of one token. Up to MAX_ROWS rows go over the keys together, so that each byte
 * of K and V is read and converted once for all of them. Keys come in tiles of 64, counted from key 0
 * whatever the rows: that and the per-row order of operations make a row's result independent of its
 * neighbours. A key that a row does not see has score -inf, weight 0, and changes nothing. */
#include <math.h>

#include "kernels/ops_avx512.h"
#include "kernels/ref.h"

enum {
    MAX_ROWS = 8,
    TILE_BLOCKS = 4,
    TILE_KEYS = TILE_BLOCKS * KERN_KV_BLOCK,
};

/* The rows in work. out holds the weighted sums of V so far, relative to exp(max). */
struct rows {
    const float *q[MAX_ROWS]; /* [head_dim] */
    float *out[MAX_ROWS];     /* [head_dim] */
    size_t n_keys[MAX_ROWS];
    size_t most_keys; /* largest n_keys */
    float max[MAX_ROWS];
    float fix[MAX_ROWS];  /* exp(old max - max): what this tile multiplies out with */
    __m512 sum[MAX_ROWS]; /* of the weights, by lane */
    float p[MAX_ROWS][TILE_KEYS] __attribute__((aligned(64))); /* scores, then weights */
};

/* Scores of n rows against the 16 keys of one block, first key number `key`, into p[.][at]. */
INLINE void score_block(unsigned n, struct rows *r, const uint16_t *k, size_t dim, size_t key,
                        float scale, size_t at)
{
    __m512 even[MAX_ROWS], odd[MAX_ROWS];
    size_t i = 0;

#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
        even[g] = odd[g] = _mm512_setzero_ps();
    for (; i + 2 <= dim; i += 2) {
        __m512 k0 = load_f16(k + i * KERN_KV_BLOCK), k1 = load_f16(k + (i + 1) * KERN_KV_BLOCK);

#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++) {
            even[g] = _mm512_fmadd_ps(k0, _mm512_set1_ps(r->q[g][i]), even[g]);
            odd[g] = _mm512_fmadd_ps(k1, _mm512_set1_ps(r->q[g][i + 1]), odd[g]);
        }
    }
#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++) {
        size_t seen = r->n_keys[g] > key ? r->n_keys[g] - key : 0;

        if (i < dim)
            even[g] = _mm512_fmadd_ps(load_f16(k + i * KERN_KV_BLOCK), _mm512_set1_ps(r->q[g][i]),
                                      even[g]);
        even[g] = _mm512_mul_ps(_mm512_add_ps(even[g], odd[g]), _mm512_set1_ps(scale));
        even[g] = _mm512_mask_blend_ps(lanes_below(seen), _mm512_set1_ps(-INFINITY), even[g]);
        _mm512_store_ps(&r->p[g][at], even[g]);
    }
}

/* Turns the scores of a row in this tile into weights and updates max, fix and sum. */
INLINE void weigh_row(struct rows *r, unsigned g, size_t n_blocks)
{
    __m512 top = _mm512_load_ps(r->p[g]), all = _mm512_setzero_ps();

    for (size_t b = 1; b < n_blocks; b++)
        top = _mm512_max_ps(top, _mm512_load_ps(&r->p[g][b * 16]));

    const float tile_max = _mm512_reduce_max_ps(top);
    const float max = tile_max > r->max[g] ? tile_max : r->max[g];
    const __m512 vmax = _mm512_set1_ps(max);
    const __m512 fix = max == r->max[g] ? _mm512_set1_ps(1.0f)
                                        : exp_ps(_mm512_sub_ps(_mm512_set1_ps(r->max[g]), vmax));

    for (size_t b = 0; b < n_blocks; b++) {
        __m512 e = exp_ps(_mm512_sub_ps(_mm512_load_ps(&r->p[g][b * 16]), vmax));

        _mm512_store_ps(&r->p[g][b * 16], e);
        all = _mm512_add_ps(all, e);
    }
    r->sum[g] = _mm512_fmadd_ps(r->sum[g], fix, all);
    r->fix[g] = _mm512_cvtss_f32(fix);
    r->max[g] = max;
}

/* out = out * fix + weights * V for n rows, dimensions [at, at + 16 * width), the keys of one tile. */
INLINE void add_values(unsigned n, unsigned width, struct rows *r, const uint16_t *const *v,
                       size_t dim, size_t at, size_t n_keys, bool first)
{
    __m512 acc[MAX_ROWS][4];
    __mmask16 mask[4];

#pragma GCC unroll 4
    for (unsigned c = 0; c < width; c++) {
        size_t d = at + (size_t)c * 16;

        mask[c] = lanes_below(dim > d ? dim - d : 0);
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
            acc[g][c] = first ? _mm512_setzero_ps()
                              : _mm512_mul_ps(_mm512_maskz_loadu_ps(mask[c], r->out[g] + d),
                                              _mm512_set1_ps(r->fix[g]));
    }
    for (size_t key = 0; key < n_keys; key++) {
        const uint16_t *row = v[key / KERN_KV_BLOCK] + key % KERN_KV_BLOCK * dim + at;
        __m512 x[4];

#pragma GCC unroll 4
        for (unsigned c = 0; c < width; c++)
            x[c] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask[c], row + (size_t)c * 16));
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
#pragma GCC unroll 4
            for (unsigned c = 0; c < width; c++)
                acc[g][c] = _mm512_fmadd_ps(_mm512_set1_ps(r->p[g][key]), x[c], acc[g][c]);
    }
#pragma GCC unroll 4
    for (unsigned c = 0; c < width; c++)
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++)
            _mm512_mask_storeu_ps(r->out[g] + at + (size_t)c * 16, mask[c], acc[g][c]);
}

/* All keys for n rows, n a constant. */
INLINE void run_rows(unsigned n, struct rows *r, const struct kern_kv *kv, float scale)
{
    const size_t dim = kv->head_dim;
    const unsigned width = n <= 4 ? 4 : 2; /* n * width sums and width values fit into registers */

    for (unsigned g = 0; g < n; g++) {
        r->max[g] = -INFINITY;
        r->sum[g] = _mm512_setzero_ps();
    }
    for (size_t key = 0; key < r->most_keys; key += TILE_KEYS) {
        size_t n_keys = r->most_keys - key < TILE_KEYS ? r->most_keys - key : TILE_KEYS;
        size_t n_blocks = (n_keys + KERN_KV_BLOCK - 1) / KERN_KV_BLOCK;
        const uint16_t *v[TILE_BLOCKS];

        for (size_t b = 0; b < n_blocks; b++) {
            const uint16_t *k = kern_kv_block(kv, key / KERN_KV_BLOCK + b);

            v[b] = k + dim * KERN_KV_BLOCK;
            score_block(n, r, k, dim, key + b * KERN_KV_BLOCK, scale, b * KERN_KV_BLOCK);
        }
        for (unsigned g = 0; g < n; g++)
            weigh_row(r, g, n_blocks);
        for (size_t d = 0; d < dim; d += (size_t)width * 16)
            add_values(n, width, r, v, dim, d, n_keys, key == 0);
    }
    for (unsigned g = 0; g < n; g++) {
        const __m512 total = _mm512_set1_ps(_mm512_reduce_add_ps(r->sum[g]));

        for (size_t d = 0; d < dim; d += 16) {
            __mmask16 m = lanes_below(dim - d);

            _mm512_mask_storeu_ps(r->out[g] + d, m,
                                  _mm512_div_ps(_mm512_maskz_loadu_ps(m, r->out[g] + d), total));
        }
    }
}

/* One function a number of rows, so that the compiler sees it as a constant. */
#define RUN_ROWS(n)                                                                                \
    static __attribute__((noinline)) void run_rows_##n(struct rows *r, const struct kern_kv *kv,   \
                                                       float scale)                                \
    {                                                                                              \
        run_rows(n, r, kv, scale);                                                                 \
    }
RUN_ROWS(1)
RUN_ROWS(2)
RUN_ROWS(3)
RUN_ROWS(4)
RUN_ROWS(5)
RUN_ROWS(6)
RUN_ROWS(7)
RUN_ROWS(8)

void kern_avx512_attn(const struct kern_kv *kv, const struct kern_attn *a)
{
    static void (*const run[])(struct rows *, const struct kern_kv *, float) = {
        run_rows_1, run_rows_2, run_rows_3, run_rows_4,
        run_rows_5, run_rows_6, run_rows_7, run_rows_8,
    };
    const size_t all = (size_t)a->n_tokens * a->n_heads;
    struct rows r;

    for (size_t i = 0; i < all;) {
        unsigned n = 0;

        r.most_keys = 0;
        for (; n < MAX_ROWS && i < all; n++, i++) {
            size_t t = i / a->n_heads, h = i % a->n_heads;

            r.q[n] = a->q + t * a->q_stride + h * kv->head_dim;
            r.out[n] = a->out + t * a->out_stride + h * kv->head_dim;
            r.n_keys[n] = a->n_keys + t;
            r.most_keys = r.n_keys[n] > r.most_keys ? r.n_keys[n] : r.most_keys;
        }
        run[n - 1](&r, kv, a->scale);
    }
}
