/* kernels/float_avx512.c - matrix product of F32, F16 and BF16 weights with float activations, on panels
 * of 16 rows: [column][16]. Pure; any thread.
 *
 * Each output is two sums, over even and over odd columns, so that two fused multiply-adds of a token
 * are always in flight; they are added at the end. */
#include "kernels/ops_avx512.h"
#include "kernels/panel.h"

enum { MAX_GROUP = 8 };

/* The weights of 16 rows in column k of a panel. */
INLINE __m512 load_column(enum kern_type type, const void *panel, size_t k)
{
    if (type == KERN_TYPE_F32)
        return _mm512_loadu_ps((const float *)panel + k * PANEL_ROWS);

    const uint16_t *p = (const uint16_t *)panel + k * PANEL_ROWS;

    if (type == KERN_TYPE_F16)
        return load_f16(p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16));
}

/* n tokens (a constant) from x on, times one panel. */
INLINE void run_group(enum kern_type type, unsigned n, const void *panel, size_t cols,
                      const float *x, size_t x_stride, float *out, size_t out_stride,
                      __mmask16 rows)
{
    __m512 even[MAX_GROUP], odd[MAX_GROUP];
    size_t k = 0;

#pragma GCC unroll 8
    for (unsigned t = 0; t < n; t++)
        even[t] = odd[t] = _mm512_setzero_ps();
    for (; k + 2 <= cols; k += 2) {
        __m512 w0 = load_column(type, panel, k), w1 = load_column(type, panel, k + 1);

#pragma GCC unroll 8
        for (unsigned t = 0; t < n; t++) {
            even[t] = _mm512_fmadd_ps(w0, _mm512_set1_ps(x[t * x_stride + k]), even[t]);
            odd[t] = _mm512_fmadd_ps(w1, _mm512_set1_ps(x[t * x_stride + k + 1]), odd[t]);
        }
    }
#pragma GCC unroll 8
    for (unsigned t = 0; t < n; t++) {
        if (k < cols)
            even[t] = _mm512_fmadd_ps(load_column(type, panel, k),
                                      _mm512_set1_ps(x[t * x_stride + k]), even[t]);
        _mm512_mask_storeu_ps(out + t * out_stride, rows, _mm512_add_ps(even[t], odd[t]));
    }
}

INLINE void matmul(enum kern_type type, const struct kern_matrix *w, const struct kern_acts *x,
                   unsigned n_tokens, float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    const size_t bytes = panel_bytes(type, w->cols);

    for (size_t row = row_from; row < row_to; row += PANEL_ROWS) {
        const char *panel = (const char *)w->data + row / PANEL_ROWS * bytes;
        const __mmask16 rows = lanes_below(row_to - row);
        const float *xt = x->x;
        float *o = out + row;
        unsigned left = n_tokens;

        for (; left >= 8; left -= 8, xt += 8 * x->x_stride, o += 8 * out_stride)
            run_group(type, 8, panel, w->cols, xt, x->x_stride, o, out_stride, rows);
        for (; left >= 4; left -= 4, xt += 4 * x->x_stride, o += 4 * out_stride)
            run_group(type, 4, panel, w->cols, xt, x->x_stride, o, out_stride, rows);
        for (; left > 0; left--, xt += x->x_stride, o += out_stride)
            run_group(type, 1, panel, w->cols, xt, x->x_stride, o, out_stride, rows);
    }
}

void kern_avx512_matmul_float(const struct kern_matrix *w, const struct kern_acts *x,
                              unsigned n_tokens, float *out, size_t out_stride, size_t row_from,
                              size_t row_to)
{
    if (w->type == KERN_TYPE_F32)
        matmul(KERN_TYPE_F32, w, x, n_tokens, out, out_stride, row_from, row_to);
    else if (w->type == KERN_TYPE_F16)
        matmul(KERN_TYPE_F16, w, x, n_tokens, out, out_stride, row_from, row_to);
    else
        matmul(KERN_TYPE_BF16, w, x, n_tokens, out, out_stride, row_from, row_to);
}
