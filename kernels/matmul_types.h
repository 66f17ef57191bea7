/* kernels/matmul_types.h - a template: the matmul of a table, one compiled function a type and form, and the choice among them.
 * The file that includes it defines matmul(type, fine, ...), which is inlined into each, and says the names:
 *   MATMUL_TABLE        the function that the table holds
 *   MATMUL_TABLE_FLOAT  its part for F32, F16 and BF16 */
#ifndef KERNELS_MATMUL_TYPES_H
#define KERNELS_MATMUL_TYPES_H

#include "kernels/kernels.h"

/* Two functions a type, so that the compiler sees the type and the form as constants. */
#define MATMUL(name, type)                                                                         \
    static __attribute__((noinline)) void name##_coarse(                                           \
        const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens, float *out,     \
        size_t out_stride, size_t row_from, size_t row_to)                                         \
    {                                                                                              \
        matmul(type, false, w, x, n_tokens, out, out_stride, row_from, row_to);                    \
    }                                                                                              \
    static __attribute__((noinline)) void name(                                                    \
        const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens, float *out,     \
        size_t out_stride, size_t row_from, size_t row_to)                                         \
    {                                                                                              \
        if (x->rests == NULL)                                                                      \
            name##_coarse(w, x, n_tokens, out, out_stride, row_from, row_to);                      \
        else                                                                                       \
            matmul(type, true, w, x, n_tokens, out, out_stride, row_from, row_to);                 \
    }

MATMUL(matmul_q4_0, KERN_TYPE_Q4_0)
MATMUL(matmul_q4_1, KERN_TYPE_Q4_1)
MATMUL(matmul_q5_0, KERN_TYPE_Q5_0)
MATMUL(matmul_q5_1, KERN_TYPE_Q5_1)
MATMUL(matmul_q8_0, KERN_TYPE_Q8_0)
MATMUL(matmul_q2_k, KERN_TYPE_Q2_K)
MATMUL(matmul_q3_k, KERN_TYPE_Q3_K)
MATMUL(matmul_q4_k, KERN_TYPE_Q4_K)
MATMUL(matmul_q5_k, KERN_TYPE_Q5_K)
MATMUL(matmul_q6_k, KERN_TYPE_Q6_K)
MATMUL(matmul_iq4_nl, KERN_TYPE_IQ4_NL)
MATMUL(matmul_iq4_xs, KERN_TYPE_IQ4_XS)
MATMUL(matmul_mxfp4, KERN_TYPE_MXFP4)
MATMUL(matmul_nvfp4, KERN_TYPE_NVFP4)

void MATMUL_TABLE(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                  float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    typedef void product(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                         float *out, size_t out_stride, size_t row_from, size_t row_to);
    static product *const products[] = {
        [KERN_TYPE_F32] = MATMUL_TABLE_FLOAT,  [KERN_TYPE_F16] = MATMUL_TABLE_FLOAT,
        [KERN_TYPE_BF16] = MATMUL_TABLE_FLOAT, [KERN_TYPE_Q4_0] = matmul_q4_0,
        [KERN_TYPE_Q4_1] = matmul_q4_1,        [KERN_TYPE_Q5_0] = matmul_q5_0,
        [KERN_TYPE_Q5_1] = matmul_q5_1,        [KERN_TYPE_Q8_0] = matmul_q8_0,
        [KERN_TYPE_Q2_K] = matmul_q2_k,        [KERN_TYPE_Q3_K] = matmul_q3_k,
        [KERN_TYPE_Q4_K] = matmul_q4_k,        [KERN_TYPE_Q5_K] = matmul_q5_k,
        [KERN_TYPE_Q6_K] = matmul_q6_k,        [KERN_TYPE_IQ4_NL] = matmul_iq4_nl,
        [KERN_TYPE_IQ4_XS] = matmul_iq4_xs,    [KERN_TYPE_MXFP4] = matmul_mxfp4,
        [KERN_TYPE_NVFP4] = matmul_nvfp4,
    };

    products[w->type](w, x, n_tokens, out, out_stride, row_from, row_to);
}

#endif
