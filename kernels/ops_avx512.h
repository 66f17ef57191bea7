/* kernels/ops_avx512.h - private: the functions of the tables "avx512" and "amx". Contracts are in kernels.h. */
#ifndef KERNELS_OPS_AVX512_H
#define KERNELS_OPS_AVX512_H

#include "kernels/kernels.h"

void kern_avx512_matmul(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                        float *out, size_t out_stride, size_t row_from, size_t row_to);
void kern_amx_matmul(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                     float *out, size_t out_stride, size_t row_from, size_t row_to);
void kern_avx512_matmul_float(const struct kern_matrix *w, const struct kern_acts *x,
                              unsigned n_tokens, float *out, size_t out_stride, size_t row_from,
                              size_t row_to);
void kern_avx512_attn(const struct kern_kv *kv, const struct kern_attn *a);
void kern_avx512_attn_part(const struct kern_kv *kv, const struct kern_attn *a, unsigned span,
                           float *out, struct kern_attn_part *parts);
void kern_avx512_attn_join(const struct kern_kv *kv, const struct kern_attn *a, const float *outs,
                           size_t out_stride, const struct kern_attn_part *parts,
                           size_t part_stride);

#endif
