/* kernels/float_vec.h - private template: matrix product of F32, F16 and BF16 weights with float
 * activations, on panels of 16 rows: [column][16], BF16 in pairs of columns. Pure; any thread.
 *
 * Each output is two sums, over even and over odd columns, so that enough fused multiply-adds are in
 * flight even for one token; they are added at the end. */
#ifndef KERNELS_FLOAT_VEC_H
#define KERNELS_FLOAT_VEC_H

#include "kernels/panel.h"
#include "kernels/vec.h"

enum {
    FLOAT_VECS = PANEL_ROWS / VF_LANES,                 /* vectors of a column */
    FLOAT_GROUP = (VF_REGS - 4) / (2 * FLOAT_VECS) >= 8 /* tokens whose sums fit into registers */
                      ? 8
                      : 3,
};

/* Vector i of the 16 weights in column k of a panel. */
INLINE vf load_column(enum kern_type type, const void *panel, size_t k, unsigned i)
{
    const size_t at = k * PANEL_ROWS + (size_t)i * VF_LANES;

    if (type == KERN_TYPE_F32)
        return vf_load((const float *)panel + at);
    if (type == KERN_TYPE_F16)
        return vf_load_f16((const uint16_t *)panel + at);
    return vf_load_bf16((const uint16_t *)panel + k / 2 * 2 * PANEL_ROWS + (size_t)i * 2 * VF_LANES,
                        k % 2 != 0);
}

/* sum[t][i] += column k of the panel * x[t][k] for n tokens. */
INLINE void add_column(enum kern_type type, unsigned n, const void *panel, size_t k, const float *x,
                       size_t x_stride, vf sum[FLOAT_GROUP][FLOAT_VECS])
{
    vf w[FLOAT_VECS];

#pragma GCC unroll 2
    for (unsigned i = 0; i < FLOAT_VECS; i++)
        w[i] = load_column(type, panel, k, i);
#pragma GCC unroll 8
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned i = 0; i < FLOAT_VECS; i++)
            sum[t][i] = vf_fma(w[i], vf_set1(x[t * x_stride + k]), sum[t][i]);
}

/* n tokens (a constant) from x on, times one panel of which `rows` rows exist. */
INLINE void float_group(enum kern_type type, unsigned n, const void *panel, size_t cols,
                        const float *x, size_t x_stride, float *out, size_t out_stride, size_t rows)
{
    vf even[FLOAT_GROUP][FLOAT_VECS], odd[FLOAT_GROUP][FLOAT_VECS];
    size_t k = 0;

#pragma GCC unroll 8
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned i = 0; i < FLOAT_VECS; i++)
            even[t][i] = odd[t][i] = vf_zero();
    for (; k + 2 <= cols; k += 2) {
        add_column(type, n, panel, k, x, x_stride, even);
        add_column(type, n, panel, k + 1, x, x_stride, odd);
    }
    if (k < cols)
        add_column(type, n, panel, k, x, x_stride, even);
#pragma GCC unroll 8
    for (unsigned t = 0; t < n; t++)
#pragma GCC unroll 2
        for (unsigned i = 0; i < FLOAT_VECS; i++)
            if (rows > (size_t)i * VF_LANES)
                vf_store_n(out + t * out_stride + (size_t)i * VF_LANES,
                           vf_add(even[t][i], odd[t][i]), rows - (size_t)i * VF_LANES);
}

INLINE void float_matmul_type(enum kern_type type, const struct kern_matrix *w,
                              const struct kern_acts *x, unsigned n_tokens, float *out,
                              size_t out_stride, size_t row_from, size_t row_to)
{
    const size_t bytes = panel_bytes(type, w->cols);

    for (size_t row = row_from; row < row_to; row += PANEL_ROWS) {
        const char *panel = (const char *)w->data + row / PANEL_ROWS * bytes;
        const float *xt = x->x;
        float *o = out + row;
        unsigned left = n_tokens;

        for (; left >= FLOAT_GROUP; left -= FLOAT_GROUP) {
            float_group(type, FLOAT_GROUP, panel, w->cols, xt, x->x_stride, o, out_stride,
                        row_to - row);
            xt += FLOAT_GROUP * x->x_stride;
            o += FLOAT_GROUP * out_stride;
        }
        for (; left >= 2; left -= 2, xt += 2 * x->x_stride, o += 2 * out_stride)
            float_group(type, 2, panel, w->cols, xt, x->x_stride, o, out_stride, row_to - row);
        if (left > 0)
            float_group(type, 1, panel, w->cols, xt, x->x_stride, o, out_stride, row_to - row);
    }
}

/* The type becomes a constant in each of the three. */
static void float_matmul(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                         float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    if (w->type == KERN_TYPE_F32)
        float_matmul_type(KERN_TYPE_F32, w, x, n_tokens, out, out_stride, row_from, row_to);
    else if (w->type == KERN_TYPE_F16)
        float_matmul_type(KERN_TYPE_F16, w, x, n_tokens, out, out_stride, row_from, row_to);
    else
        float_matmul_type(KERN_TYPE_BF16, w, x, n_tokens, out, out_stride, row_from, row_to);
}

#endif
