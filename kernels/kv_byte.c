/* kernels/kv_byte.c - writing keys and values into the cache as bytes, int8 or e4m3: the same for every table, so
 * that a cache has the same bytes whatever wrote it. Pure; any thread. */
#include <math.h>

#include "kernels/ref.h"

/* Values beyond f16 are held within its range, as in the other form. */
static float held(float f)
{
    return f > 65504.0f ? 65504.0f : f < -65504.0f ? -65504.0f : f;
}

/* The scale of n values: largest magnitude / largest code; NaN when one of them is NaN. */
static float scale_of(const float *x, size_t n, float largest_code)
{
    float most = 0;

    for (size_t i = 0; i < n; i++) {
        const float a = fabsf(held(x[i]));

        if (isnan(a))
            return NAN;
        most = a > most ? a : most;
    }
    return most / largest_code;
}

/* To nearest even, for |f| <= 127. */
static int8_t round_i8(float f)
{
    const union {
        float f;
        uint32_t u;
    } v = {f + 12582912.0f}; /* 1.5 * 2^23: the integer is in the last bits */

    return (int8_t)(uint8_t)(v.u & 255);
}

/* To nearest even; what rounding brought beyond 448 is 448. f is a number. */
static int8_t round_e4m3(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {fabsf(f) > 448.0f ? 448.0f : fabsf(f)};
    const uint32_t sign = signbit(f) ? 0x80 : 0;

    if (v.f <
        0.015625f) { /* 2^-6, below which codes are 2^-9 apart: with 2^14 they are the last bits */
        v.f += 16384.0f;
        return (int8_t)(uint8_t)(sign | (v.u & 15));
    }
    return (int8_t)(uint8_t)(sign | (((v.u + 0x7ffff + (v.u >> 20 & 1)) >> 20) - (120 << 3)));
}

static void put_row(enum kern_kv_type type, int8_t *out, size_t step, float *scale, const float *x,
                    size_t n)
{
    const float d = scale_of(x, n, type == KERN_KV_FP8 ? 448.0f : 127.0f);
    const float inverse = d > 0 && 1.0f / d < INFINITY ? 1.0f / d : 0;

    *scale = d;
    for (size_t i = 0; i < n; i++) {
        const float code = inverse > 0 ? held(x[i]) * inverse : 0.0f;

        out[i * step] = (int8_t)(type == KERN_KV_FP8 ? round_e4m3(code) : round_i8(code));
    }
}

void kern_kv_put_byte(const struct kern_kv *kv, size_t pos, const float *k, const float *v)
{
    const size_t dim = kv->head_dim, key = pos % KERN_KV_BLOCK;
    const struct kern_kv_byte b = kern_kv_byte_block(kv, pos / KERN_KV_BLOCK);

    put_row(kv->type, b.k + key, KERN_KV_BLOCK, &b.k_scale[key], k, dim);
    put_row(kv->type, b.v + key * dim, 1, &b.v_scale[key], v, dim);
}
