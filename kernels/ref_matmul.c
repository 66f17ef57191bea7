/* kernels/ref_matmul.c - scalar specification of quantize and matmul, on GGUF blocks in place.
 *
 * Quantized matrices: for each block of 32 the integer products are summed exactly, then scaled and
 * added in float, blocks in order; offsets that are whole codes are part of the integer
 * sum, minima are added as m * (d * sum of q). Pure; any thread. */
#include <math.h>
#include <string.h>

#include "kernels/codes.h"
#include "kernels/ref.h"

/* d = the largest magnitude of n floats, NaN when one of them is not finite. */
static void find_top(const float *x, size_t n, struct kern_act_block *o)
{
    bool finite = true;
    float amax = 0;

    for (size_t i = 0; i < n; i++) {
        float v = fabsf(x[i]);

        finite = finite && isfinite(v);
        amax = v > amax ? v : amax;
    }
    o->d = finite ? amax : NAN;
}

/* o->d: find_top's. r: NULL when coarse. */
static void quantize_block(const float *x, size_t n, struct kern_act_block *o, int8_t *r,
                           double limit)
{
    int32_t sum[2] = {0, 0};
    float amax = o->d, inv = 0;
    const bool finite = isfinite(amax);

    o->has_rests = r != NULL && kern_act_has_rests(amax, limit);
    if (finite && amax >= kern_min_amax)
        inv = 127.0f / amax;
    for (size_t i = 0; i < KERN_BLOCK; i++) {
        const float v = i < n && inv > 0 ? x[i] * inv : 0;

        o->q[i] = (int8_t)lrintf(v);
        if (r != NULL) {
            const long rest = o->has_rests ? lrintf((v - (float)o->q[i]) * 256.0f) : 0;

            r[i] = (int8_t)(rest > 127 ? 127 : rest < -127 ? -127 : rest);
        }
        sum[i / 16] += r != NULL ? 256 * o->q[i] + r[i] : o->q[i];
    }
    kern_act_scale(o, amax, finite, sum, r != NULL);
}

/* Columns in block b. */
static size_t n_in_block(const struct kern_acts *a, size_t b)
{
    const size_t left = a->cols - b * KERN_BLOCK;

    return left < KERN_BLOCK ? left : KERN_BLOCK;
}

void kern_ref_quantize(struct kern_acts *a, unsigned from, unsigned to)
{
    for (size_t t = from; t < to; t++) {
        const float *x = a->x + t * a->x_stride;
        struct kern_act_block *o = a->blocks + t * a->stride;
        double limit;

        for (size_t b = 0; b < a->n_blocks; b++)
            find_top(x + b * KERN_BLOCK, n_in_block(a, b), &o[b]);
        limit = a->mixed ? kern_act_limit(o, a->n_blocks) : -1;
        for (size_t b = 0; b < a->n_blocks; b++)
            quantize_block(x + b * KERN_BLOCK, n_in_block(a, b), &o[b],
                           a->rests != NULL ? a->rests + (t * a->stride + b) * KERN_BLOCK : NULL,
                           limit);
    }
}

/* r: NULL when coarse. No sum exceeds 32 * 255 * 127 * 257 < 2^29. */
static float dot_block(enum kern_type type, const struct codes_block *w,
                       const struct kern_act_block *x, const int8_t *r)
{
    int sum[2] = {0, 0};
    float min;

    for (unsigned j = 0; j < KERN_BLOCK; j++)
        sum[j / 16] += (w->q[j] - w->off) * (r != NULL ? 256 * x->q[j] + r[j] : x->q[j]);
    if (type == KERN_TYPE_Q2_K)
        min = -(w->m[0] * (x->d * (float)x->nsum16[0]) + w->m[1] * (x->d * (float)x->nsum16[1]));
    else
        min = w->m[0] * x->ds;
    return x->d * (w->d[0] * (float)sum[0] + w->d[1] * (float)sum[1]) + min;
}

/* One row of a quantized matrix times all tokens: each block is unpacked once. */
static void row_quant(const struct kern_matrix *w, const char *row, const struct kern_acts *x,
                      unsigned n_tokens, float *out, size_t out_stride)
{
    struct codes_block b;

    for (size_t t = 0; t < n_tokens; t++)
        out[t * out_stride] = 0;
    for (size_t i = 0; i < w->cols / KERN_BLOCK; i++) {
        codes_load(w->type, row, i, &b);
        for (size_t t = 0; t < n_tokens; t++)
            out[t * out_stride] +=
                dot_block(w->type, &b, &x->blocks[t * x->stride + i],
                          x->rests != NULL ? x->rests + (t * x->stride + i) * KERN_BLOCK : NULL);
    }
}

static void row_float(const struct kern_matrix *w, const char *row, const struct kern_acts *x,
                      unsigned n_tokens, float *out, size_t out_stride)
{
    const size_t width = w->type == KERN_TYPE_F32 ? 4 : 2;
    float v[KERN_BLOCK];

    for (size_t t = 0; t < n_tokens; t++)
        out[t * out_stride] = 0;
    for (size_t k = 0; k < w->cols; k += KERN_BLOCK) {
        size_t n = w->cols - k < KERN_BLOCK ? w->cols - k : KERN_BLOCK;

        if (w->type == KERN_TYPE_E4M3)
            kern_e4m3_part(row, k, n, v);
        else
            kern_row_f32(w->type, row + k * width, n, v);
        for (size_t t = 0; t < n_tokens; t++) {
            const float *xt = x->x + t * x->x_stride + k;
            float sum = out[t * out_stride];

            for (size_t j = 0; j < n; j++)
                sum += v[j] * xt[j];
            out[t * out_stride] = sum;
        }
    }
}

void kern_ref_matmul(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                     float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    const struct kern_type_info *info = kern_type_info(w->type);
    size_t row_bytes = w->cols / info->block_elems * info->block_bytes;

    for (size_t row = row_from; row < row_to; row++) {
        const char *bytes = (const char *)w->data + row * row_bytes;

        if (info->quantized)
            row_quant(w, bytes, x, n_tokens, out + row, out_stride);
        else
            row_float(w, bytes, x, n_tokens, out + row, out_stride);
    }
}
