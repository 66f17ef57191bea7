/* kernels/ref.c - scalar specification of everything but the matrix product: the table "scalar".
 *
 * Written to be read: contracts are in kernels.h. Always built; the other tables are tested against it
 * and fall back to it where a vector form would gain nothing. Pure; any thread. */
#include "kernels/ref.h"

#include <math.h>
#include <string.h>

#include "kernels/kv_code.h"

static void ref_rms_norm(float *out, const float *x, const float *w, size_t n, float eps)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];

    float scale = 1.0f / sqrtf((float)(sum / (double)n) + eps);

    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale * (w != NULL ? w[i] : 1.0f);
}

static void ref_layer_norm(float *out, const float *x, const float *w, const float *b, size_t n,
                           float eps)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];

    const float mean = (float)(sum / (double)n);

    for (size_t i = 0; i < n; i++)
        squares += (double)(x[i] - mean) * (double)(x[i] - mean);

    const float scale = 1.0f / sqrtf((float)(squares / (double)n) + eps);

    for (size_t i = 0; i < n; i++)
        out[i] = (x[i] - mean) * scale * w[i] + b[i];
}

static void ref_gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
}

void kern_ref_rope(float *x, unsigned n_heads, unsigned head_dim, unsigned n_rot, const float *cos,
                   const float *sin, enum kern_rope style)
{
    const unsigned half = n_rot / 2;
    const unsigned step = style == KERN_ROPE_NORM ? 2 : 1;     /* between two pairs */
    const unsigned apart = style == KERN_ROPE_NORM ? 1 : half; /* the two of a pair */

    for (unsigned h = 0; h < n_heads; h++, x += head_dim) {
        for (unsigned i = 0; i < half; i++) {
            float *a = x + (size_t)i * step, *b = a + apart;
            float va = *a, vb = *b;

            *a = va * cos[i] - vb * sin[i];
            *b = va * sin[i] + vb * cos[i];
        }
    }
}

static void ref_silu_mul(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void ref_gelu_mul(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float g = gate[i], u = 0.7978845608f * (g + 0.044715f * g * g * g);

        out[i] = g / (1.0f + expf(-2.0f * u)) * up[i];
    }
}

static void ref_soft_cap(float *x, size_t n, float cap)
{
    for (size_t i = 0; i < n; i++)
        x[i] = cap * tanhf(x[i] / cap);
}

static void ref_add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void ref_softmax(float *x, size_t n, float scale)
{
    float max = -INFINITY, sum = 0;

    for (size_t i = 0; i < n; i++) {
        x[i] *= scale;
        max = x[i] > max ? x[i] : max;
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        sum += x[i];
    }
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

size_t kern_ref_argmax(const float *x, size_t n)
{
    float max[8], top = -INFINITY;
    size_t i = 0;

    for (size_t j = 0; j < 8; j++)
        max[j] = -INFINITY;
    for (; i + 8 <= n; i += 8) /* eight at a time: the compiler makes vectors of it */
        for (size_t j = 0; j < 8; j++)
            max[j] = x[i + j] > max[j] ? x[i + j] : max[j];
    for (; i < n; i++)
        max[0] = x[i] > max[0] ? x[i] : max[0];
    for (size_t j = 0; j < 8; j++)
        top = max[j] > top ? max[j] : top;
    for (i = 0; i < n; i++)
        if (x[i] == top)
            return i;
    return 0;
}

static uint16_t clamp_f16(float f)
{
    const float max = 65504.0f;

    return kern_f32_f16(f > max ? max : f < -max ? -max : f);
}

static void put_rotated(const struct kern_kv *kv, size_t pos, const float *k, const float *v)
{
    float rk[KERN_MAX_HEAD_DIM], rv[KERN_MAX_HEAD_DIM];

    for (size_t i = 0; i < kv->head_dim; i++) {
        rk[i] = kern_kv_held(k[i]);
        rv[i] = kern_kv_held(v[i]);
    }
    kern_kv_rotate(rk, kv->head_dim, KERN_KV_TURN);
    kern_kv_rotate(rv, kv->head_dim, KERN_KV_TURN);
    kern_kv_put_code(kv, pos, rk, rv);
}

static size_t ref_mask(float *x, const uint64_t *bits, size_t n, int32_t *ids, size_t max_ids)
{
    size_t count = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        count += bits[i / 64] >> i % 64 & 1;
    for (size_t i = 0; i < n; i++) {
        bool may = (bits[i / 64] >> i % 64 & 1) != 0;

        if (count <= max_ids && may)
            ids[at++] = (int32_t)i;
        if (count > max_ids && !may)
            x[i] = -INFINITY;
    }
    return count <= max_ids ? count : KERN_MASK_MANY;
}

static void ref_kv_put(const struct kern_kv *kv, size_t pos, const float *k, const float *v)
{
    if (kern_kv_is_byte(kv->type)) {
        kern_kv_put_byte(kv, pos, k, v);
        return;
    }
    if (kern_kv_is_coded(kv->type)) {
        put_rotated(kv, pos, k, v);
        return;
    }

    uint16_t *kb = kern_kv_block(kv, pos / KERN_KV_BLOCK);
    uint16_t *vb = kb + (size_t)kv->head_dim * KERN_KV_BLOCK;
    size_t key = pos % KERN_KV_BLOCK;

    for (size_t i = 0; i < kv->head_dim; i++) {
        kb[i * KERN_KV_BLOCK + key] = clamp_f16(k[i]);
        vb[key * kv->head_dim + i] = clamp_f16(v[i]);
    }
}

/* The code of component i of the key of token pos, and of its value. */
static unsigned key_code(const struct kern_kv_coded *b, unsigned bits, size_t key, size_t i)
{
    const uint8_t *p = b->k + key;

    if (bits == 4)
        return p[i / 2 * KERN_KV_BLOCK] >> i % 2 * 4 & 15;
    p += i / 8 * 3 * KERN_KV_BLOCK;
    return (p[0] | (unsigned)p[KERN_KV_BLOCK] << 8 |
            (unsigned)p[(size_t)2 * KERN_KV_BLOCK] << 16) >>
               i % 8 * 3 &
           7;
}
static unsigned value_code(const uint8_t *row, unsigned bits, size_t i)
{
    if (bits == 4)
        return row[i / 16 * 8 + i % 8] >> i % 16 / 8 * 4 & 15;
    row += i / 8 * 3;
    return (row[0] | (unsigned)row[1] << 8 | (unsigned)row[2] << 16) >> i % 8 * 3 & 7;
}

/* The key of token pos, rotated; and what its sketch adds to its product with the query, `again` being the query
 * rotated once more. */
static float read_coded_key(const struct kern_kv *kv, size_t pos, const float *again, float *out)
{
    const struct kern_kv_form f = kern_kv_form(kv->type, kv->head_dim);
    const struct kern_kv_coded b = kern_kv_coded(kv, &f, pos / KERN_KV_BLOCK);
    const size_t key = pos % KERN_KV_BLOCK;
    float s = 0;

    for (size_t i = 0; i < kv->head_dim; i++) {
        const unsigned code = key_code(&b, f.k_bits, key, i);

        out[i] = f.k_levels[code] * kern_f16_f32(b.k_scale[i / f.group * KERN_KV_BLOCK + key]);
        if (f.k_sketch != NULL)
            s += again[i] * f.k_sketch[code];
    }
    return f.k_sketch != NULL ? s * kern_f16_f32(b.k_scale[KERN_KV_BLOCK + key]) : 0;
}

/* The value of token pos, rotated. */
static void read_coded_value(const struct kern_kv *kv, size_t pos, float *out)
{
    const struct kern_kv_form f = kern_kv_form(kv->type, kv->head_dim);
    const struct kern_kv_coded b = kern_kv_coded(kv, &f, pos / KERN_KV_BLOCK);
    const size_t key = pos % KERN_KV_BLOCK;
    const uint8_t *row = b.v + key * kern_kv_padded(kv->head_dim) * f.v_bits / 8;

    for (size_t i = 0; i < kv->head_dim; i++)
        out[i] = f.v_levels[value_code(row, f.v_bits, i)] *
                 kern_f16_f32(b.v_scale[i / f.group * KERN_KV_BLOCK + key]);
}

/* What a byte stands for. */
static float byte_value(enum kern_kv_type type, int8_t code)
{
    return type == KERN_KV_FP8 ? kern_e4m3_f32((uint8_t)code) : (float)code;
}

/* The key and the value of token pos, of coded types as they are rotated; and what a sketch adds to the product. */
static float read_key(const struct kern_kv *kv, size_t pos, const float *again, float *out)
{
    const size_t key = pos % KERN_KV_BLOCK;
    const uint16_t *h;

    if (kern_kv_is_coded(kv->type))
        return read_coded_key(kv, pos, again, out);
    if (kern_kv_is_byte(kv->type)) {
        const struct kern_kv_byte b = kern_kv_byte_block(kv, pos / KERN_KV_BLOCK);

        for (size_t i = 0; i < kv->head_dim; i++)
            out[i] = byte_value(kv->type, b.k[i * KERN_KV_BLOCK + key]) * b.k_scale[key];
        return 0;
    }
    h = kern_kv_block(kv, pos / KERN_KV_BLOCK);
    for (size_t i = 0; i < kv->head_dim; i++)
        out[i] = kern_f16_f32(h[i * KERN_KV_BLOCK + key]);
    return 0;
}
static void read_value(const struct kern_kv *kv, size_t pos, float *out)
{
    const size_t key = pos % KERN_KV_BLOCK, dim = kv->head_dim;
    const uint16_t *h;

    if (kern_kv_is_coded(kv->type)) {
        read_coded_value(kv, pos, out);
        return;
    }
    if (kern_kv_is_byte(kv->type)) {
        const struct kern_kv_byte b = kern_kv_byte_block(kv, pos / KERN_KV_BLOCK);

        for (size_t i = 0; i < dim; i++)
            out[i] = byte_value(kv->type, b.v[key * dim + i]) * b.v_scale[key];
        return;
    }
    h = kern_kv_block(kv, pos / KERN_KV_BLOCK);
    for (size_t i = 0; i < dim; i++)
        out[i] = kern_f16_f32(h[dim * (KERN_KV_BLOCK + key) + i]);
}

/* The query of a row as the cache's type wants it. */
struct query {
    float q[KERN_MAX_HEAD_DIM], again[KERN_MAX_HEAD_DIM];
};

static void take_query(const struct kern_kv *kv, const float *q, struct query *out)
{
    const size_t dim = kv->head_dim;

    memcpy(out->q, q, dim * sizeof(*q));
    if (!kern_kv_is_coded(kv->type))
        return;
    kern_kv_rotate(out->q, dim, KERN_KV_TURN);
    memcpy(out->again, out->q, dim * sizeof(*q));
    kern_kv_rotate(out->again, dim, KERN_KV_TURN_SKETCH);
}

/* Online softmax over keys [from, to), key by key: max is the largest score so far, sum that of
 * exp(score - max), out the weighted sum of the values on the same scale. */
static struct kern_attn_part span_row(const struct kern_kv *kv, const struct kern_attn *a,
                                      const struct query *q, size_t from, size_t to, float *out)
{
    const size_t dim = kv->head_dim;
    struct kern_attn_part part = {-INFINITY, 0};
    float x[KERN_MAX_HEAD_DIM];

    for (size_t i = 0; i < dim; i++)
        out[i] = 0;
    for (size_t pos = from; pos < to; pos++) {
        float s = read_key(kv, pos, q->again, x);

        for (size_t i = 0; i < dim; i++)
            s += q->q[i] * x[i];
        s *= a->scale;
        if (a->cap > 0)
            s = a->cap * tanhf(s / a->cap);

        float m_new = s > part.max ? s : part.max;
        float fix = part.max == m_new ? 1.0f : expf(part.max - m_new);
        float p = expf(s - m_new);

        read_value(kv, pos, x);
        for (size_t i = 0; i < dim; i++)
            out[i] = out[i] * fix + p * x[i];
        part.sum = part.sum * fix + p;
        part.max = m_new;
    }
    return part;
}

/* out and *all become what they are with one more span. */
static void join_row(float *out, struct kern_attn_part *all, const float *more,
                     struct kern_attn_part part, size_t dim, bool is_first)
{
    const float max = part.max > all->max ? part.max : all->max;
    const float fix = expf(all->max - max), p = expf(part.max - max);

    if (is_first) {
        memcpy(out, more, dim * sizeof(*out));
        *all = part;
        return;
    }
    for (size_t i = 0; i < dim; i++)
        out[i] = out[i] * fix + p * more[i];
    *all = (struct kern_attn_part){max, all->sum * fix + part.sum * p};
}

static void finish_row(const struct kern_kv *kv, float *out, float sum)
{
    for (size_t i = 0; i < kv->head_dim; i++)
        out[i] /= sum;
    if (kern_kv_is_coded(kv->type))
        kern_kv_rotate_back(out, kv->head_dim, KERN_KV_TURN);
}

static void attn_row(const struct kern_kv *kv, const struct kern_attn *a, const float *q,
                     size_t n_keys, float *out)
{
    const size_t first = kern_attn_first(a, n_keys);
    struct kern_attn_part all = {-INFINITY, 0};
    float more[KERN_MAX_HEAD_DIM];
    struct query query;

    take_query(kv, q, &query);
    for (size_t from = first, to; from < n_keys; from = to) {
        struct kern_attn_part part;

        to = (from / KERN_ATTN_SPAN + 1) * KERN_ATTN_SPAN;
        to = to < n_keys ? to : n_keys;
        part = span_row(kv, a, &query, from, to, more);
        join_row(out, &all, more, part, kv->head_dim, from == first);
    }
    finish_row(kv, out, all.sum);
}

static void ref_attn(const struct kern_kv *kv, const struct kern_attn *a)
{
    for (size_t t = 0; t < a->n_tokens; t++)
        for (size_t h = 0; h < a->n_heads; h++)
            attn_row(kv, a, a->q + t * a->q_stride + h * kv->head_dim, a->n_keys + t,
                     a->out + t * a->out_stride + h * kv->head_dim);
}

static void ref_attn_part(const struct kern_kv *kv, const struct kern_attn *a, unsigned span,
                          float *out, struct kern_attn_part *parts)
{
    const size_t first = kern_attn_first(a, a->n_keys), start = (size_t)span * KERN_ATTN_SPAN;
    const size_t end = start + KERN_ATTN_SPAN;

    for (size_t h = 0; h < a->n_heads; h++) {
        struct query query;

        take_query(kv, a->q + h * kv->head_dim, &query);
        parts[h] = span_row(kv, a, &query, start > first ? start : first,
                            end < a->n_keys ? end : a->n_keys, out + h * kv->head_dim);
    }
}

static void ref_attn_join(const struct kern_kv *kv, const struct kern_attn *a, const float *outs,
                          size_t out_stride, const struct kern_attn_part *parts, size_t part_stride)
{
    const unsigned first = kern_attn_first_span(a), last = kern_attn_last_span(a);

    for (size_t h = 0; h < a->n_heads; h++) {
        float *out = a->out + h * kv->head_dim;
        struct kern_attn_part all = {-INFINITY, 0};

        for (size_t s = first; s <= last; s++)
            join_row(out, &all, outs + s * out_stride + h * kv->head_dim,
                     parts[s * part_stride + h], kv->head_dim, s == first);
        finish_row(kv, out, all.sum);
    }
}

const struct kern_ops kern_scalar_ops = {
    .name = "scalar",
    .layout = KERN_LAYOUT_GGUF,
    .quantize = kern_ref_quantize,
    .matmul = kern_ref_matmul,
    .rms_norm = ref_rms_norm,
    .layer_norm = ref_layer_norm,
    .gelu = ref_gelu,
    .rope = kern_ref_rope,
    .silu_mul = ref_silu_mul,
    .gelu_mul = ref_gelu_mul,
    .soft_cap = ref_soft_cap,
    .add = ref_add,
    .softmax = ref_softmax,
    .argmax = kern_ref_argmax,
    .mask = ref_mask,
    .kv_put = ref_kv_put,
    .attn = ref_attn,
    .attn_part = ref_attn_part,
    .attn_join = ref_attn_join,
};
