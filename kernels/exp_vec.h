/* kernels/exp_vec.h - private template: the exponential function, and tanh by it, on vectors. */
#ifndef KERNELS_EXP_VEC_H
#define KERNELS_EXP_VEC_H

#include "kernels/vec.h"

/* exp(x), relative error below 2e-7 (more where the result is subnormal); exp(-inf) is 0, NaN stays.
 * x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by its Taylor polynomial, then times 2^n. */
INLINE vf vf_exp(vf x)
{
    vf n, r, p;

    x = vf_clamp(x, -110.0f, 90.0f);
    n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    /* ln 2 in two parts, so that r keeps its low bits */
    r = vf_fma(n, vf_set1(-0.693359375f), x);
    r = vf_fma(n, vf_set1(2.12194440e-4f), r);
    p = vf_fma(vf_set1(1.0f / 720), r, vf_set1(1.0f / 120));
    p = vf_fma(p, r, vf_set1(1.0f / 24));
    p = vf_fma(p, r, vf_set1(1.0f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return vf_scale_exp2(p, n);
}

/* cap * tanh(x / cap) = cap - 2 cap / (exp(2 x / cap) + 1); rate: 2 / cap. Off by 2e-7 cap at most. */
INLINE vf vf_cap(vf x, vf cap, vf rate)
{
    const vf e = vf_add(vf_exp(vf_mul(x, rate)), vf_set1(1.0f));

    return vf_sub(cap, vf_div(vf_add(cap, cap), e));
}

#endif
