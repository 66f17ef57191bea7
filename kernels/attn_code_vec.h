/* kernels/attn_code_vec.h - private template: scores and weighted sums over keys and values that are codes
 * (kernels/kv_code.h). Part of kernels/attn_vec.h, which says how rows and tiles are cut. */
#ifndef KERNELS_ATTN_CODE_VEC_H
#define KERNELS_ATTN_CODE_VEC_H

#include "kernels/attn_rows.h"
#include "kernels/kv_code.h"

/* Eight dimensions of a group: even += k q for those with even numbers, odd for the others. */
INLINE void add_key_codes(unsigned n, unsigned bits, vtable t, const uint8_t *k, size_t i,
                          const float *const *q, vf *even, vf *odd)
{
    vcodes all = bits == 3 ? vcodes_load3(k + i / 8 * 3 * KERN_KV_BLOCK, KERN_KV_BLOCK)
                           : vcodes_load(k + i / 2 * KERN_KV_BLOCK);

#pragma GCC unroll 4
    for (unsigned j = 0; j < 8; j += 2) {
        vf k0, k1;

        if (bits == 4 && j != 0)
            all = vcodes_load(k + (i + j) / 2 * KERN_KV_BLOCK);
        k0 = vtable_pick(t, bits == 3 ? vcodes_shift(all, 3 * j) : all);
        k1 = vtable_pick(t, vcodes_shift(all, bits == 3 ? 3 * j + 3 : 4));
#pragma GCC unroll 8
        for (unsigned g = 0; g < n; g++) {
            even[g] = vf_fma(k0, vf_set1(q[g][i + j]), even[g]);
            odd[g] = vf_fma(k1, vf_set1(q[g][i + j + 1]), odd[g]);
        }
    }
}

/* total += scale * (k q) over dimensions [from, to), multiples of 8, for VF_LANES keys. */
INLINE void add_key_group(unsigned n, unsigned bits, vtable t, const uint8_t *k,
                          const uint16_t *scale, size_t from, size_t to, const float *const *q,
                          vf *total)
{
    const vf d = vf_load_f16(scale);
    vf even[MAX_ROWS], odd[MAX_ROWS];

#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
        even[g] = odd[g] = vf_zero();
    for (size_t i = from; i < to; i += 8)
        add_key_codes(n, bits, t, k, i, q, even, odd);
#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
        total[g] = vf_fma(vf_add(even[g], odd[g]), d, total[g]);
}

/* score_keys for codes. The queries are zero between head_dim and dim, which is its padded length. */
INLINE void score_codes(unsigned n, unsigned bits, struct rows *r, const struct kern_kv_form *f,
                        const struct kern_kv_coded *b, size_t in, size_t dim, size_t key,
                        float scale, size_t at)
{
    const vtable t = vtable_load(f->k_levels);
    vf total[MAX_ROWS];

#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
        total[g] = vf_zero();
    for (size_t from = 0, row = 0; from < dim; from += f->group, row++)
        add_key_group(n, bits, t, b->k + in, b->k_scale + row * KERN_KV_BLOCK + in, from,
                      dim - from < f->group ? dim : from + f->group, r->q, total);
    if (bits == 4 && f->k_sketch != NULL)
        add_key_group(n, bits, vtable_load(f->k_sketch), b->k + in, b->k_scale + KERN_KV_BLOCK + in,
                      0, dim, r->again, total);
#pragma GCC unroll 8
    for (unsigned g = 0; g < n; g++)
        finish_scores(r, g, vf_mul(total[g], vf_set1(scale)), key, at);
}

#endif
