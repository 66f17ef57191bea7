/* engine/hf_decode.c - weights of a safetensors file as rows of GGUF blocks.
 *
 * GPTQ: qweight [in / 8][out] words of eight nibbles along in, lowest first; scales [in / group][out]; qzeros
 * [in / group][out / 8], packed along out; w = (q - z - 1) s, or (q - z) s in its second format; g_idx [in] names
 * the group of each input. AWQ: qweight [in][out / 8], zeros likewise, nibble i of a word holding column
 * 0 2 4 6 1 3 5 7; w = (q - z) s. Groups of whole blocks in order are Q4_0 when every zero is 8, exactly, and Q4_1
 * with the minimum -z s rounded to binary16 otherwise; all else becomes F16. FP8: E4M3
 * with its scale, where 128 columns of a row have one; else times it, as F16. Pure; any thread. */
#include <string.h>

#include "engine/hf_private.h"
#include "kernels/encode.h"

static bool has_dims(const struct safetensors_tensor *t, uint64_t a, uint64_t b)
{
    return t != NULL && t->n_dims == 2 && t->dims[0] == a && t->dims[1] == b;
}

static bool float_type(const struct safetensors_tensor *t, uint32_t *out)
{
    if (gw_span_is(t->dtype, "F32"))
        *out = KERN_TYPE_F32;
    else if (gw_span_is(t->dtype, "F16"))
        *out = KERN_TYPE_F16;
    else if (gw_span_is(t->dtype, "BF16"))
        *out = KERN_TYPE_BF16;
    else
        return false;
    return true;
}

/* Number i of a tensor of floats. */
static float get_float(const struct safetensors_tensor *t, uint64_t i)
{
    const bool wide = gw_span_is(t->dtype, "F32");
    uint16_t h;
    float f;

    if (wide) {
        memcpy(&f, t->data + 4 * i, sizeof(f));
        return f;
    }
    memcpy(&h, t->data + 2 * i, sizeof(h));
    return gw_span_is(t->dtype, "F16") ? kern_f16_f32(h) : kern_bf16_f32(h);
}

static uint32_t get_word(const struct safetensors_tensor *t, uint64_t i)
{
    uint32_t v;

    memcpy(&v, t->data + 4 * i, sizeof(v));
    return v;
}

static uint64_t n_values(const struct safetensors_tensor *t)
{
    uint64_t n = 1;

    for (unsigned i = 0; i < t->n_dims; i++)
        n *= t->dims[i];
    return n;
}

/* ---- 4 bits -------------------------------------------------------------------------------------------- */

/* Where column o is among the nibbles of an AWQ word. */
static unsigned awq_nibble(uint64_t o)
{
    static const unsigned char at[8] = {0, 4, 1, 5, 2, 6, 3, 7};

    return at[o % 8];
}

static uint64_t group_size(const struct hf *h, const struct hf_tensor *t)
{
    return h->group != 0 ? h->group : t->cols;
}

static uint64_t group_of(const struct hf *h, const struct hf_tensor *t, uint64_t in)
{
    return t->groups != NULL ? get_word(t->groups, in) : in / group_size(h, t);
}

static unsigned get_code(const struct hf_tensor *t, uint64_t out, uint64_t in)
{
    if (t->format == HF_AWQ)
        return get_word(t->data, in * (t->rows / 8) + out / 8) >> (4 * awq_nibble(out)) & 15;
    return get_word(t->data, in / 8 * t->rows + out) >> (4 * (in % 8)) & 15;
}

/* From 0 to 16. */
static unsigned get_zero(const struct hf *h, const struct hf_tensor *t, uint64_t out,
                         uint64_t group)
{
    const uint32_t word = get_word(t->zeros, group * (t->rows / 8) + out / 8);

    if (t->format == HF_AWQ)
        return word >> (4 * awq_nibble(out)) & 15;
    return (word >> (4 * (out % 8)) & 15) + (h->zero_is_stored ? 0 : 1);
}

/* Are all zeros 8, and the groups whole blocks in order? */
static uint32_t choose_four(const struct hf *h, const struct hf_tensor *t)
{
    const uint64_t groups = t->cols / group_size(h, t);

    if (group_size(h, t) % KERN_BLOCK != 0)
        return KERN_TYPE_F16;
    for (uint64_t i = 0; t->groups != NULL && i < t->cols; i++)
        if (get_word(t->groups, i) != i / group_size(h, t))
            return KERN_TYPE_F16;
    for (uint64_t g = 0; g < groups; g++)
        for (uint64_t o = 0; o < t->rows; o++)
            if (get_zero(h, t, o, g) != 8)
                return KERN_TYPE_Q4_1;
    return KERN_TYPE_Q4_0;
}

static enum gw_status bad_part(const struct hf *h, const struct hf_tensor *t, const char *part)
{
    return gw_fail(h->err, GW_EPARSE, "tensor %s.%s is missing or has the wrong shape or type",
                   t->stem, part);
}

/* Every group that g_idx names must exist. */
static bool groups_exist(const struct hf_tensor *t, uint64_t n)
{
    for (uint64_t i = 0; i < t->cols; i++)
        if (get_word(t->groups, i) >= n)
            return false;
    return true;
}

static enum gw_status plan_four(const struct hf *h, struct hf_tensor *t)
{
    const struct safetensors_tensor *q = hf_find(h, t->stem, "qweight");
    const bool awq = h->quant == HF_AWQ;
    uint64_t groups;
    uint32_t type = 0;

    t->format = h->quant;
    t->n_dims = 2;
    t->data = q;
    if (q == NULL || q->n_dims != 2 || !gw_span_is(q->dtype, "I32") || q->dims[0] > 1 << 24 ||
        q->dims[1] > 1 << 24)
        return bad_part(h, t, "qweight");
    t->cols = awq ? q->dims[0] : 8 * q->dims[0];
    t->rows = awq ? 8 * q->dims[1] : q->dims[1];
    if (t->rows % 8 != 0 || t->cols == 0 || t->rows == 0 || t->cols % group_size(h, t) != 0)
        return bad_part(h, t, "qweight");
    groups = t->cols / group_size(h, t);
    t->scales = hf_find(h, t->stem, "scales");
    if (!has_dims(t->scales, groups, t->rows) || !float_type(t->scales, &type))
        return bad_part(h, t, "scales");
    t->zeros = hf_find(h, t->stem, "qzeros");
    if (!has_dims(t->zeros, groups, t->rows / 8) || !gw_span_is(t->zeros->dtype, "I32"))
        return bad_part(h, t, "qzeros");
    t->groups = awq ? NULL : hf_find(h, t->stem, "g_idx");
    if (t->groups != NULL && (t->groups->n_dims != 1 || t->groups->dims[0] != t->cols ||
                              !gw_span_is(t->groups->dtype, "I32") || !groups_exist(t, groups)))
        return bad_part(h, t, "g_idx");
    t->type = choose_four(h, t);
    return GW_OK;
}

/* Row `out` as blocks of Q4_0 or Q4_1. */
static void four_to_blocks(const struct hf *h, const struct hf_tensor *t, uint64_t out, char *dst)
{
    for (uint64_t i = 0; i < t->cols; i += KERN_BLOCK) {
        const uint64_t g = i / group_size(h, t);
        const float s = get_float(t->scales, g * t->rows + out);
        uint8_t qs[16];

        for (unsigned j = 0; j < 16; j++)
            qs[j] = (uint8_t)(get_code(t, out, i + j) | get_code(t, out, i + j + 16) << 4);
        if (t->type == KERN_TYPE_Q4_0) {
            struct kern_block_q4_0 b = {.d = kern_f32_f16(s)};

            memcpy(b.qs, qs, sizeof(qs));
            memcpy(dst, &b, sizeof(b));
            dst += sizeof(b);
        } else {
            struct kern_block_q4_1 b = {.d = kern_f32_f16(s)};

            b.m = kern_f32_f16(-s * (float)get_zero(h, t, out, g));
            memcpy(b.qs, qs, sizeof(qs));
            memcpy(dst, &b, sizeof(b));
            dst += sizeof(b);
        }
    }
}

static void four_to_floats(const struct hf *h, const struct hf_tensor *t, uint64_t out, float *row)
{
    for (uint64_t i = 0; i < t->cols; i++) {
        const uint64_t g = group_of(h, t, i);
        const int q = (int)get_code(t, out, i) - (int)get_zero(h, t, out, g);

        row[i] = (float)q * get_float(t->scales, g * t->rows + out);
    }
}

/* ---- FP8 ----------------------------------------------------------------------------------------------- */

static enum gw_status plan_fp8(const struct hf *h, struct hf_tensor *t)
{
    uint64_t a, b;
    uint32_t type = 0;

    t->format = HF_FP8;
    t->n_dims = 2;
    t->rows = t->data->dims[0];
    t->cols = t->data->dims[1];
    t->type = KERN_TYPE_F16;
    t->scales = hf_find(h, t->stem, "weight_scale_inv");
    if (t->scales == NULL)
        t->scales = hf_find(h, t->stem, "weight_scale");
    if (t->scales == NULL || !float_type(t->scales, &type))
        return bad_part(h, t, "weight_scale");
    if (t->cols % KERN_E4M3_BLOCK == 0)
        t->type = KERN_TYPE_E4M3;
    if (n_values(t->scales) == 1 || n_values(t->scales) == t->rows)
        return GW_OK;
    if (h->block[0] == 0 || h->block[1] == 0)
        return bad_part(h, t, "weight_scale");
    if (h->block[1] % KERN_E4M3_BLOCK != 0)
        t->type = KERN_TYPE_F16;
    a = (t->rows + h->block[0] - 1) / h->block[0];
    b = (t->cols + h->block[1] - 1) / h->block[1];
    return has_dims(t->scales, a, b) ? GW_OK : bad_part(h, t, "weight_scale_inv");
}

/* The scale of a weight. */
static float fp8_scale(const struct hf *h, const struct hf_tensor *t, uint64_t out, uint64_t col)
{
    const uint64_t n = n_values(t->scales);
    uint64_t at = n == 1 ? 0 : out;

    if (n != 1 && n != t->rows)
        at = out / h->block[0] * t->scales->dims[1] + col / h->block[1];
    return get_float(t->scales, at);
}

static void fp8_to_floats(const struct hf *h, const struct hf_tensor *t, uint64_t out, float *row)
{
    const unsigned char *q = (const unsigned char *)t->data->data + out * t->cols;

    for (uint64_t i = 0; i < t->cols; i++)
        row[i] = kern_e4m3_f32(q[i]) * fp8_scale(h, t, out, i);
}

static void fp8_to_blocks(const struct hf *h, const struct hf_tensor *t, uint64_t out, char *dst)
{
    const char *q = (const char *)t->data->data + out * t->cols;

    for (uint64_t i = 0; i < t->cols; i += KERN_E4M3_BLOCK, dst += sizeof(struct kern_block_e4m3)) {
        struct kern_block_e4m3 b = {.d = fp8_scale(h, t, out, i)};

        memcpy(b.q, q + i, sizeof(b.q));
        memcpy(dst, &b, sizeof(b));
    }
}

/* ---- all ----------------------------------------------------------------------------------------------- */

enum gw_status hf_decode_plan(const struct hf *h, struct hf_tensor *t)
{
    const struct safetensors_tensor *w = hf_find(h, t->stem, "weight");

    if (w == NULL) /* norms and biases are named whole */
        w = hf_find(h, t->stem, "");
    if (w == NULL && (h->quant == HF_GPTQ || h->quant == HF_AWQ))
        return plan_four(h, t);
    if (w == NULL || w->n_dims == 0 || w->n_dims > 2)
        return bad_part(h, t, "weight");
    t->data = w;
    if (w->n_dims == 2 && gw_span_is(w->dtype, "F8_E4M3"))
        return plan_fp8(h, t);
    t->format = HF_PLAIN;
    t->n_dims = w->n_dims;
    t->rows = w->n_dims == 2 ? w->dims[0] : 1;
    t->cols = w->n_dims == 2 ? w->dims[1] : w->dims[0];
    if (!float_type(w, &t->type))
        return gw_fail(h->err, GW_EUNSUPPORTED,
                       "tensor %s has type %.*s; F32, F16, BF16, F8_E4M3, GPTQ and AWQ of 4 bits "
                       "are built in",
                       t->stem, (int)w->dtype.len, w->dtype.ptr);
    if (w->n_dims == 1)
        t->type = KERN_TYPE_F32;
    return GW_OK;
}

/* The source's row for row r: heads of [2][half] become [half][2]. */
static uint64_t source_row(const struct hf_tensor *t, uint64_t r)
{
    const uint64_t dim = t->heads != 0 ? t->rows / t->heads : 0;

    if (dim == 0)
        return r;
    return r / dim * dim + r % dim % 2 * (dim / 2) + r % dim / 2;
}

static void plain_to_floats(const struct hf_tensor *t, uint64_t out, float *row)
{
    for (uint64_t i = 0; i < t->cols; i++)
        row[i] = get_float(t->data, out * t->cols + i) + (t->plus_one ? 1.0f : 0.0f);
}

void hf_decode(const struct hf *h, const struct hf_tensor *t, float *row, char *dst)
{
    size_t bytes = 0;

    (void)kern_row_bytes(t->type, t->cols, &bytes);
    for (uint64_t r = 0; r < t->rows; r++, dst += bytes) {
        const uint64_t from = source_row(t, r);

        if (t->type == KERN_TYPE_Q4_0 || t->type == KERN_TYPE_Q4_1) {
            four_to_blocks(h, t, from, dst);
            continue;
        }
        if (t->type == KERN_TYPE_E4M3) {
            fp8_to_blocks(h, t, from, dst);
            continue;
        }
        if (t->format == HF_PLAIN)
            plain_to_floats(t, from, row);
        else if (t->format == HF_FP8)
            fp8_to_floats(h, t, from, row);
        else
            four_to_floats(h, t, from, row);
        kern_encode_row((enum kern_type)t->type, row, t->cols, dst);
    }
}
