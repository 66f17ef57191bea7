/* kernels/ops_vec.h - private template: quantize, norm, activation and softmax on vectors of VF_LANES
 * floats. Contracts are in kernels.h. Pure; any thread. */
#ifndef KERNELS_OPS_VEC_H
#define KERNELS_OPS_VEC_H

#include <math.h>
#include <string.h>

#include "kernels/exp_vec.h"
#include "kernels/kv_turn_vec.h"
#include "kernels/ref.h"
#include "kernels/vec.h"

/* d = the largest magnitude of 32 floats, not finite when one of them is not. */
INLINE void find_top(const float *x, struct kern_act_block *o)
{
    const int top = vf_top_bits(x);

    memcpy(&o->d, &top, sizeof(o->d));
}

/* x: 32 floats; o->d: find_top's. r: NULL when coarse. */
INLINE void quantize_block(const float *x, struct kern_act_block *o, int8_t *r, double limit)
{
    const float amax = o->d;
    const bool finite = isfinite(amax), rests = r != NULL && kern_act_has_rests(amax, limit);
    int32_t sum[2] = {0, 0};

    if (r != NULL && !rests)
        memset(r, 0, KERN_BLOCK);
    if (finite && amax >= kern_min_amax) {
        const float inv = 127.0f / amax;

        sum[0] = vf_quantize16(x, inv, o->q, rests ? r : NULL);
        sum[1] = vf_quantize16(x + 16, inv, o->q + 16, rests ? r + 16 : NULL);
    } else {
        memset(o->q, 0, sizeof(o->q));
        if (rests)
            memset(r, 0, KERN_BLOCK);
    }
    for (int h = 0; r != NULL && !rests && h < 2; h++)
        sum[h] *= 256;
    o->has_rests = rests;
    kern_act_scale(o, amax, finite, sum, r != NULL);
}

INLINE void quantize_row(const float *x, size_t cols, bool mixed, struct kern_act_block *o,
                         int8_t *r)
{
    const size_t whole = cols / KERN_BLOCK, rest = cols % KERN_BLOCK;
    float last[KERN_BLOCK] = {0};
    double limit = -1;

    for (size_t b = 0; b < whole; b++)
        find_top(x + b * KERN_BLOCK, &o[b]);
    if (rest > 0) {
        memcpy(last, x + whole * KERN_BLOCK, rest * sizeof(*x));
        find_top(last, &o[whole]);
    }
    if (mixed)
        limit = kern_act_limit(o, whole + (rest > 0));
    for (size_t b = 0; b < whole; b++)
        quantize_block(x + b * KERN_BLOCK, &o[b], r != NULL ? r + b * KERN_BLOCK : NULL, limit);
    if (rest > 0)
        quantize_block(last, &o[whole], r != NULL ? r + whole * KERN_BLOCK : NULL, limit);
}

static void quantize(struct kern_acts *a, unsigned from, unsigned to)
{
    for (size_t t = from; t < to; t++) {
        const float *x = a->x + t * a->x_stride;
        struct kern_act_block *o = a->blocks + t * a->stride;

        if (a->rests != NULL)
            quantize_row(x, a->cols, a->mixed, o, a->rests + t * a->stride * KERN_BLOCK);
        else
            quantize_row(x, a->cols, false, o, NULL);
    }
}

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps)
{
    double sum = 0;

    for (size_t i = 0; i < n; i += VF_LANES)
        sum += vf_sum_squares(vf_load_n(x + i, n - i));

    const vf scale = vf_set1(1.0f / sqrtf((float)(sum / (double)n) + eps));

    for (size_t i = 0; i < n; i += VF_LANES) {
        vf v = vf_mul(vf_load_n(x + i, n - i), scale);

        vf_store_n(out + i, w != NULL ? vf_mul(v, vf_load_n(w + i, n - i)) : v, n - i);
    }
}

static void layer_norm(float *out, const float *x, const float *w, const float *b, size_t n,
                       float eps)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i += VF_LANES)
        sum += (double)vf_reduce_add(vf_load_n(x + i, n - i));

    const vf mean = vf_set1((float)(sum / (double)n));

    for (size_t i = 0; i < n; i += VF_LANES)
        squares +=
            vf_sum_squares(vf_first_n(vf_sub(vf_load_n(x + i, n - i), mean), vf_zero(), n - i));

    const vf scale = vf_set1(1.0f / sqrtf((float)(squares / (double)n) + eps));

    for (size_t i = 0; i < n; i += VF_LANES) {
        vf v = vf_mul(vf_sub(vf_load_n(x + i, n - i), mean), scale);

        vf_store_n(out + i, vf_fma(v, vf_load_n(w + i, n - i), vf_load_n(b + i, n - i)), n - i);
    }
}

/* With q the probability above |x|: max(x, 0) - |x| q. q = (a1 t + ... + a5 t^5) exp(-x^2 / 2) / 2 with
 * t = 1 / (1 + p |x| / sqrt 2), off by 0.75e-7 at most (Abramowitz and Stegun 7.1.26). */
static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += VF_LANES) {
        const vf v = vf_load_n(x + i, n - i);
        const vf size = vf_max(v, vf_sub(vf_zero(), v));
        const vf t =
            vf_div(vf_set1(1.0f), vf_fma(size, vf_set1(0.3275911f * 0.70710678f), vf_set1(1.0f)));
        vf q = vf_fma(t, vf_set1(1.061405429f), vf_set1(-1.453152027f));

        q = vf_fma(q, t, vf_set1(1.421413741f));
        q = vf_fma(q, t, vf_set1(-0.284496736f));
        q = vf_fma(q, t, vf_set1(0.254829592f));
        q = vf_mul(vf_mul(q, t), vf_exp(vf_mul(vf_mul(v, v), vf_set1(-0.5f))));
        vf_store_n(x + i, vf_sub(vf_max(v, vf_zero()), vf_mul(size, vf_mul(q, vf_set1(0.5f)))),
                   n - i);
    }
}

static void silu_mul(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += VF_LANES) {
        vf g = vf_load_n(gate + i, n - i), u = vf_load_n(up + i, n - i);
        vf e = vf_exp(vf_sub(vf_zero(), g));

        vf_store_n(out + i, vf_mul(vf_div(g, vf_add(vf_set1(1.0f), e)), u), n - i);
    }
}

static void gelu_mul(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += VF_LANES) {
        const vf g = vf_load_n(gate + i, n - i), u = vf_load_n(up + i, n - i);
        const vf cube = vf_mul(vf_mul(g, g), vf_mul(g, vf_set1(-2.0f * 0.7978845608f * 0.044715f)));
        const vf e = vf_exp(vf_fma(g, vf_set1(-2.0f * 0.7978845608f), cube));

        vf_store_n(out + i, vf_mul(vf_div(g, vf_add(vf_set1(1.0f), e)), u), n - i);
    }
}

static void soft_cap(float *x, size_t n, float cap)
{
    for (size_t i = 0; i < n; i += VF_LANES)
        vf_store_n(x + i, vf_cap(vf_load_n(x + i, n - i), vf_set1(cap), vf_set1(2.0f / cap)),
                   n - i);
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += VF_LANES)
        vf_store_n(x + i, vf_add(vf_load_n(x + i, n - i), vf_load_n(y + i, n - i)), n - i);
}

static void softmax(float *x, size_t n, float scale)
{
    const vf least = vf_set1(-INFINITY);
    vf max = least, sum = vf_zero();

    for (size_t i = 0; i < n; i += VF_LANES) {
        vf v = vf_mul(vf_load_n(x + i, n - i), vf_set1(scale));

        vf_store_n(x + i, v, n - i);
        max = vf_max(vf_first_n(v, least, n - i), max); /* NaN does not become the maximum */
    }
    max = vf_set1(vf_reduce_max(max));
    for (size_t i = 0; i < n; i += VF_LANES) {
        vf e = vf_exp(vf_sub(vf_load_n(x + i, n - i), max));

        vf_store_n(x + i, e, n - i);
        sum = vf_add(sum, vf_first_n(e, vf_zero(), n - i));
    }
    sum = vf_set1(vf_reduce_add(sum));
    for (size_t i = 0; i < n; i += VF_LANES)
        vf_store_n(x + i, vf_div(vf_load_n(x + i, n - i), sum), n - i);
}

/* n floats as f16, held within its range. out has room for whole vectors. */
INLINE void clamp_f16(uint16_t *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += VF_LANES)
        vf_store_f16(out + i, vf_clamp(vf_load_n(x + i, n - i), -65504.0f, 65504.0f));
}

/* dim numbers within the range of f16, rotated. */
INLINE void turn_held(float *out, const float *x, size_t dim)
{
    for (size_t i = 0; i < dim; i += VF_LANES)
        vf_store_n(out + i, vf_clamp(vf_load_n(x + i, dim - i), -65504.0f, 65504.0f), dim - i);
    rotate(out, dim, KERN_KV_TURN, false);
}

static void put_rotated(const struct kern_kv *kv, size_t pos, const float *k, const float *v)
{
    float rk[KERN_MAX_HEAD_DIM], rv[KERN_MAX_HEAD_DIM];

    turn_held(rk, k, kv->head_dim);
    turn_held(rv, v, kv->head_dim);
    kern_kv_put_code(kv, pos, rk, rv);
}

static void kv_put(const struct kern_kv *kv, size_t pos, const float *k, const float *v)
{
    const size_t dim = kv->head_dim, key = pos % KERN_KV_BLOCK;
    uint16_t *block = kern_kv_block(kv, pos / KERN_KV_BLOCK);
    uint16_t h[KERN_MAX_HEAD_DIM + VF_LANES];

    if (kern_kv_is_byte(kv->type)) {
        kern_kv_put_byte(kv, pos, k, v);
        return;
    }
    if (kern_kv_is_coded(kv->type)) {
        put_rotated(kv, pos, k, v);
        return;
    }
    clamp_f16(h, k, dim);
    for (size_t i = 0; i < dim; i++)
        block[i * KERN_KV_BLOCK + key] = h[i];
    clamp_f16(h, v, dim);
    memcpy(block + dim * (KERN_KV_BLOCK + key), h, dim * sizeof(*h));
}

#endif
