/* kernels/attn_avx2.c - attention and the float matrix product of the table "avx2": the templates
 * kernels/attn_vec.h and kernels/float_vec.h. Pure; any thread. */
#include "kernels/attn_vec.h"
#include "kernels/float_vec.h"
#include "kernels/ops_avx2.h"

void kern_avx2_attn(const struct kern_kv *kv, const struct kern_attn *a)
{
    attn(kv, a);
}

void kern_avx2_attn_part(const struct kern_kv *kv, const struct kern_attn *a, unsigned span,
                         float *out, struct kern_attn_part *parts)
{
    attn_part(kv, a, span, out, parts);
}

void kern_avx2_attn_join(const struct kern_kv *kv, const struct kern_attn *a, const float *outs,
                         size_t out_stride, const struct kern_attn_part *parts, size_t part_stride)
{
    attn_join(kv, a, outs, out_stride, parts, part_stride);
}

void kern_avx2_matmul_float(const struct kern_matrix *w, const struct kern_acts *x,
                            unsigned n_tokens, float *out, size_t out_stride, size_t row_from,
                            size_t row_to)
{
    float_matmul(w, x, n_tokens, out, out_stride, row_from, row_to);
}
