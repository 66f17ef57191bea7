/* kernels/ref_matmul.c - scalar specification of quantize and matmul, on GGUF blocks in place.
 *
 * Quantized matrices: for each block of 32 the integer products are summed exactly, then scaled and
 * added in float, blocks in order; offsets that are whole codes (Q4_0, Q5_0, Q8_0, Q6_K) are part of the
 * integer sum, minima (Q4_1, Q4_K) are added as m * (d * sum of q). Pure; any thread. */
#include <math.h>
#include <string.h>

#include "kernels/codes.h"
#include "kernels/ref.h"

/* r: NULL when coarse. */
static void quantize_block(const float *x, size_t n, struct kern_act_block *o, int8_t *r)
{
    int32_t sum[2] = {0, 0};
    float amax = 0, inv = 0;
    bool finite = true;

    for (size_t i = 0; i < n; i++) {
        float v = fabsf(x[i]);

        finite = finite && isfinite(v);
        amax = v > amax ? v : amax;
    }
    if (finite && amax >= kern_min_amax)
        inv = 127.0f / amax;
    for (size_t i = 0; i < KERN_BLOCK; i++) {
        const float v = i < n && inv > 0 ? x[i] * inv : 0;

        o->q[i] = (int8_t)lrintf(v);
        if (r != NULL) {
            const long rest = lrintf((v - (float)o->q[i]) * 256.0f);

            r[i] = (int8_t)(rest > 127 ? 127 : rest < -127 ? -127 : rest);
        }
        sum[i / 16] += r != NULL ? 256 * o->q[i] + r[i] : o->q[i];
    }
    kern_act_scale(o, amax, finite, sum, r != NULL);
}

void kern_ref_quantize(struct kern_acts *a, unsigned from, unsigned to)
{
    for (size_t t = from; t < to; t++) {
        for (size_t b = 0; b < a->n_blocks; b++) {
            const size_t left = a->cols - b * KERN_BLOCK, i = t * a->stride + b;

            quantize_block(a->x + t * a->x_stride + b * KERN_BLOCK,
                           left < KERN_BLOCK ? left : KERN_BLOCK, &a->blocks[i],
                           a->rests != NULL ? a->rests + i * KERN_BLOCK : NULL);
        }
    }
}

/* A block of 32 weights made ready: value = d[i / 16] * (q - off) + m. */
struct block {
    uint8_t q[KERN_BLOCK];
    int off;
    float d[2], m;
};

static void load_block(enum kern_type type, const void *row, size_t i, struct block *o)
{
    const size_t super = i / (KERN_SUPER / KERN_BLOCK);
    const size_t g = i % (KERN_SUPER / KERN_BLOCK);

    o->off = 0;
    o->m = 0;
    switch (type) {
    case KERN_TYPE_Q4_0: {
        const struct kern_block_q4_0 *b = (const struct kern_block_q4_0 *)row + i;
        codes_nibbles(b->qs, o->q);
        o->off = 8;
        o->d[0] = o->d[1] = kern_f16_f32(b->d);
        break;
    }
    case KERN_TYPE_Q4_1: {
        const struct kern_block_q4_1 *b = (const struct kern_block_q4_1 *)row + i;
        codes_nibbles(b->qs, o->q);
        o->d[0] = o->d[1] = kern_f16_f32(b->d);
        o->m = kern_f16_f32(b->m);
        break;
    }
    case KERN_TYPE_Q5_0: {
        const struct kern_block_q5_0 *b = (const struct kern_block_q5_0 *)row + i;
        codes_q5_0(b, o->q);
        o->off = 16;
        o->d[0] = o->d[1] = kern_f16_f32(b->d);
        break;
    }
    case KERN_TYPE_Q8_0: {
        const struct kern_block_q8_0 *b = (const struct kern_block_q8_0 *)row + i;
        for (unsigned j = 0; j < KERN_BLOCK; j++)
            o->q[j] = (uint8_t)(b->qs[j] + 128);
        o->off = 128;
        o->d[0] = o->d[1] = kern_f16_f32(b->d);
        break;
    }
    case KERN_TYPE_Q4_K: {
        const struct kern_block_q4_k *b = (const struct kern_block_q4_k *)row + super;
        uint8_t sc, mn;
        codes_q4_k(b, (unsigned)g, o->q);
        kern_q4_k_scale(b->scales, (unsigned)g, &sc, &mn);
        o->d[0] = o->d[1] = kern_f16_f32(b->d) * (float)sc;
        o->m = -(kern_f16_f32(b->dmin) * (float)mn);
        break;
    }
    case KERN_TYPE_Q6_K: {
        const struct kern_block_q6_k *b = (const struct kern_block_q6_k *)row + super;
        codes_q6_k(b, (unsigned)g, o->q);
        o->off = 32;
        o->d[0] = kern_f16_f32(b->d) * (float)b->sc[2 * g];
        o->d[1] = kern_f16_f32(b->d) * (float)b->sc[2 * g + 1];
        break;
    }
    case KERN_TYPE_F32:
    case KERN_TYPE_F16:
    case KERN_TYPE_BF16:
        break; /* dot_float */
    }
}

/* r: NULL when coarse. No sum exceeds 32 * 255 * 127 * 257 < 2^29. */
static float dot_block(const struct block *w, const struct kern_act_block *x, const int8_t *r)
{
    int sum[2] = {0, 0};

    for (unsigned j = 0; j < KERN_BLOCK; j++)
        sum[j / 16] += (w->q[j] - w->off) * (r != NULL ? 256 * x->q[j] + r[j] : x->q[j]);
    return x->d * (w->d[0] * (float)sum[0] + w->d[1] * (float)sum[1]) + w->m * x->ds;
}

/* One row of a quantized matrix times all tokens: each block is unpacked once. */
static void row_quant(const struct kern_matrix *w, const char *row, const struct kern_acts *x,
                      unsigned n_tokens, float *out, size_t out_stride)
{
    struct block b = {.off = 0};

    for (size_t t = 0; t < n_tokens; t++)
        out[t * out_stride] = 0;
    for (size_t i = 0; i < w->cols / KERN_BLOCK; i++) {
        load_block(w->type, row, i, &b);
        for (size_t t = 0; t < n_tokens; t++)
            out[t * out_stride] +=
                dot_block(&b, &x->blocks[t * x->stride + i],
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
