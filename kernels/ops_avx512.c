/* kernels/ops_avx512.c - the table "avx512": quantize, norm, activation, softmax. Pure; any thread.
 * Rope, argmax and the KV write stay scalar: they are a few per mille of a step. */
#include "kernels/ops_avx512.h"

#include <math.h>

#include "kernels/ref.h"

/* 16 floats as int8 codes; returns their sum. */
INLINE int quantize16(__m512 x, __m512 inv, int8_t *q)
{
    __m512i i = _mm512_cvtps_epi32(_mm512_mul_ps(x, inv));

    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(i));
    return _mm512_reduce_add_epi32(i);
}

/* One block of 32; left (1..32) of them exist, the rest count as 0. */
INLINE void quantize_block(const float *x, size_t left, struct kern_act_block *o)
{
    const __m512 lo = _mm512_maskz_loadu_ps(lanes_below(left), x);
    const __m512 hi =
        left > 16 ? _mm512_maskz_loadu_ps(lanes_below(left - 16), x + 16) : _mm512_setzero_ps();
    /* As integers the bits of |x| are ordered like the numbers, with NaN on top. */
    const __m512i all = _mm512_set1_epi32(0x7fffffff);
    const __m512i bits = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(lo), all),
                                          _mm512_and_si512(_mm512_castps_si512(hi), all));
    const int top = _mm512_reduce_max_epi32(bits);
    const float amax = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(top)));
    const bool finite = top < 0x7f800000;
    const float inv = finite && amax >= kern_min_amax ? 127.0f / amax : 0;
    const __m512 zero = _mm512_setzero_ps(), vinv = _mm512_set1_ps(inv);
    int s0, s1;

    s0 = quantize16(inv > 0 ? lo : zero, vinv, o->q);
    s1 = quantize16(inv > 0 ? hi : zero, vinv, o->q + 16);
    o->d = !finite ? NAN : inv > 0 ? amax / 127.0f : 0;
    o->ds = o->d * (float)(s0 + s1);
    o->nsum = -(s0 + s1);
    o->nsum16[0] = -s0;
    o->nsum16[1] = -s1;
}

static void quantize(struct kern_acts *a, unsigned from, unsigned to)
{
    for (size_t t = from; t < to; t++)
        for (size_t b = 0; b < a->n_blocks; b++)
            quantize_block(a->x + t * a->x_stride + b * KERN_BLOCK, a->cols - b * KERN_BLOCK,
                           &a->blocks[t * a->stride + b]);
}

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps)
{
    __m512d s0 = _mm512_setzero_pd(), s1 = _mm512_setzero_pd();

    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_maskz_loadu_ps(lanes_below(n - i), x + i);
        __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
        __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));

        s0 = _mm512_fmadd_pd(a, a, s0);
        s1 = _mm512_fmadd_pd(b, b, s1);
    }

    double sum = _mm512_reduce_add_pd(_mm512_add_pd(s0, s1));
    const __m512 scale = _mm512_set1_ps(1.0f / sqrtf((float)(sum / (double)n) + eps));

    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = lanes_below(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, x + i), scale);

        if (w != NULL)
            v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(k, w + i));
        _mm512_mask_storeu_ps(out + i, k, v);
    }
}

static void silu_mul(float *out, const float *gate, const float *up, size_t n)
{
    const __m512 one = _mm512_set1_ps(1.0f);

    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = lanes_below(n - i);
        __m512 g = _mm512_maskz_loadu_ps(k, gate + i), u = _mm512_maskz_loadu_ps(k, up + i);
        __m512 e = exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), g));

        _mm512_mask_storeu_ps(out + i, k,
                              _mm512_mul_ps(_mm512_div_ps(g, _mm512_add_ps(one, e)), u));
    }
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = lanes_below(n - i);

        _mm512_mask_storeu_ps(
            x + i, k,
            _mm512_add_ps(_mm512_maskz_loadu_ps(k, x + i), _mm512_maskz_loadu_ps(k, y + i)));
    }
}

static void softmax(float *x, size_t n, float scale)
{
    const __m512 s = _mm512_set1_ps(scale), least = _mm512_set1_ps(-INFINITY);
    __m512 max = least, sum = _mm512_setzero_ps();

    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = lanes_below(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, x + i), s);

        _mm512_mask_storeu_ps(x + i, k, v);
        max = _mm512_mask_max_ps(max, k, v, max); /* the second operand when v is NaN */
    }
    max = _mm512_set1_ps(_mm512_reduce_max_ps(max));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = lanes_below(n - i);
        __m512 e = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(k, x + i), max));

        _mm512_mask_storeu_ps(x + i, k, e);
        sum = _mm512_mask_add_ps(sum, k, sum, e);
    }

    const __m512 total = _mm512_set1_ps(_mm512_reduce_add_ps(sum));

    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = lanes_below(n - i);

        _mm512_mask_storeu_ps(x + i, k, _mm512_div_ps(_mm512_maskz_loadu_ps(k, x + i), total));
    }
}

const struct kern_ops kern_avx512_ops = {
    .name = "avx512",
    .layout = KERN_LAYOUT_PANEL,
    .quantize = quantize,
    .matmul = kern_avx512_matmul,
    .rms_norm = rms_norm,
    .rope = kern_ref_rope,
    .silu_mul = silu_mul,
    .add = add,
    .softmax = softmax,
    .argmax = kern_ref_argmax,
    .kv_put = kern_ref_kv_put,
    .attn = kern_avx512_attn,
};
