/* kernels/kv_i8.c - writing keys and values into the cache as int8: the same for every table, so that a
 * cache has the same bytes whatever wrote it. Pure; any thread. */
#include <math.h>

#include "kernels/ref.h"

/* Values beyond f16 are held within its range, as in the other form. */
static float held(float f)
{
    return f > 65504.0f ? 65504.0f : f < -65504.0f ? -65504.0f : f;
}

/* The scale of n values: largest magnitude / 127; NaN when one of them is NaN. */
static float scale_of(const float *x, size_t n)
{
    float most = 0;

    for (size_t i = 0; i < n; i++) {
        const float a = fabsf(held(x[i]));

        if (isnan(a))
            return NAN;
        most = a > most ? a : most;
    }
    return most / 127.0f;
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

static void put_row(int8_t *out, size_t step, float *scale, const float *x, size_t n)
{
    const float d = scale_of(x, n);
    const float inverse = d > 0 && 1.0f / d < INFINITY ? 1.0f / d : 0;

    *scale = d;
    for (size_t i = 0; i < n; i++)
        out[i * step] = round_i8(inverse > 0 ? held(x[i]) * inverse : 0.0f);
}

void kern_kv_put_i8(const struct kern_kv *kv, size_t pos, const float *k, const float *v)
{
    const size_t dim = kv->head_dim, key = pos % KERN_KV_BLOCK;
    const struct kern_kv_i8 b = kern_kv_i8_block(kv, pos / KERN_KV_BLOCK);

    put_row(b.k + key, KERN_KV_BLOCK, &b.k_scale[key], k, dim);
    put_row(b.v + key * dim, 1, &b.v_scale[key], v, dim);
}
