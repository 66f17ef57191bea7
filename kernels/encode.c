/* kernels/encode.c - floats into the block formats: what `models quantize` and the tests need.
 *
 * The simple formats round to the scale that the largest value gives. Formats with 6-bit scales search a few
 * roundings near that and keep the one with the least squared error, each weight counting by its size, with
 * scale and minimum from the least-squares line through codes and weights. Pure; any thread. */
#include "kernels/encode.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

bool kern_can_encode(uint32_t type)
{
    switch (type) {
    case KERN_TYPE_F32:
    case KERN_TYPE_F16:
    case KERN_TYPE_BF16:
    case KERN_TYPE_Q4_0:
    case KERN_TYPE_Q4_1:
    case KERN_TYPE_Q5_0:
    case KERN_TYPE_Q5_1:
    case KERN_TYPE_Q8_0:
    case KERN_TYPE_Q4_K:
    case KERN_TYPE_Q5_K:
    case KERN_TYPE_Q6_K:
        return true;
    default:
        return false;
    }
}

/* Down, held between lo and hi; NaN is lo. */
static int floor_to(float v, int lo, int hi)
{
    if (!(v > (float)lo))
        return lo;
    return v >= (float)hi ? hi : (int)floorf(v);
}

/* To the nearest, halves up. */
static int round_to(float v, int lo, int hi)
{
    return floor_to(v + 0.5f, lo, hi);
}

/* ---- blocks of 32 with one scale ---------------------------------------------------------------- */

/* Nibbles as the file pairs them; the fifth bits of 32 codes. */
static void put_nibbles(const uint8_t q[32], uint8_t qs[16])
{
    for (unsigned j = 0; j < 16; j++)
        qs[j] = (uint8_t)((q[j] & 15) | q[j + 16] << 4);
}

static void put_fifths(const uint8_t q[32], uint8_t qh[4])
{
    memset(qh, 0, 4);
    for (unsigned j = 0; j < 32; j++)
        qh[j / 8] = (uint8_t)(qh[j / 8] | (q[j] >> 4 & 1) << j % 8);
}

/* Codes 0 to 2 half - 1, whose middle means 0: the value of largest size gets a code at the end, exactly. */
static uint16_t encode_symmetric(const float x[32], int half, uint8_t q[32])
{
    float top = 0, d, inv;

    for (unsigned j = 0; j < 32; j++)
        if (fabsf(x[j]) > fabsf(top))
            top = x[j];
    d = top / (float)-half;
    inv = d != 0 ? 1.0f / d : 0;
    for (unsigned j = 0; j < 32; j++)
        q[j] = (uint8_t)floor_to(x[j] * inv + ((float)half + 0.5f), 0, 2 * half - 1);
    return kern_f32_f16(d);
}

/* Codes 0 to top between the least and the largest. */
static void encode_range(const float x[32], int top, uint8_t q[32], uint16_t *d, uint16_t *m)
{
    float lo = x[0], hi = x[0], step, inv;

    for (unsigned j = 1; j < 32; j++) {
        lo = x[j] < lo ? x[j] : lo;
        hi = x[j] > hi ? x[j] : hi;
    }
    step = (hi - lo) / (float)top;
    inv = step != 0 ? 1.0f / step : 0;
    for (unsigned j = 0; j < 32; j++)
        q[j] = (uint8_t)round_to((x[j] - lo) * inv, 0, top);
    *d = kern_f32_f16(step);
    *m = kern_f32_f16(lo);
}

static void encode_q8_0(const float x[32], struct kern_block_q8_0 *b)
{
    float top = 0, inv;

    for (unsigned j = 0; j < 32; j++)
        top = fabsf(x[j]) > top ? fabsf(x[j]) : top;
    inv = top > 0 ? 1.0f / (top / 127.0f) : 0;
    b->d = kern_f32_f16(top / 127.0f);
    for (unsigned j = 0; j < 32; j++)
        b->qs[j] =
            (int8_t)(x[j] < 0 ? -round_to(-x[j] * inv, 0, 127) : round_to(x[j] * inv, 0, 127));
}

static void encode_small(enum kern_type type, const float x[32], void *dst)
{
    uint8_t q[32];

    if (type == KERN_TYPE_Q4_0) {
        struct kern_block_q4_0 *b = dst;
        b->d = encode_symmetric(x, 8, q);
        put_nibbles(q, b->qs);
    } else if (type == KERN_TYPE_Q4_1) {
        struct kern_block_q4_1 *b = dst;
        encode_range(x, 15, q, &b->d, &b->m);
        put_nibbles(q, b->qs);
    } else if (type == KERN_TYPE_Q5_0) {
        struct kern_block_q5_0 *b = dst;
        b->d = encode_symmetric(x, 16, q);
        put_nibbles(q, b->qs);
        put_fifths(q, b->qh);
    } else if (type == KERN_TYPE_Q5_1) {
        struct kern_block_q5_1 *b = dst;
        encode_range(x, 31, q, &b->d, &b->m);
        put_nibbles(q, b->qs);
        put_fifths(q, b->qh);
    } else {
        encode_q8_0(x, dst);
    }
}

/* ---- super-blocks -------------------------------------------------------------------------------- */

/* How much the error of a weight counts: its size, and a share for all alike. */
static void weigh(const float *x, unsigned n, float *w)
{
    float sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += x[i] * x[i];
    sum = sqrtf(sum / (float)n);
    for (unsigned i = 0; i < n; i++)
        w[i] = sum + fabsf(x[i]);
}

/* The line d * q - m closest to x, m not below 0. Returns its weighted squared error. */
static float fit_line(const float x[32], const float w[32], const uint8_t q[32], float *d, float *m)
{
    float sw = 0, sq = 0, sqq = 0, sx = 0, sxq = 0, det, error = 0;

    for (unsigned i = 0; i < 32; i++) {
        const float l = (float)q[i];

        sw += w[i];
        sq += w[i] * l;
        sqq += w[i] * l * l;
        sx += w[i] * x[i];
        sxq += w[i] * x[i] * l;
    }
    det = sw * sqq - sq * sq;
    *m = det > 0 ? -(sqq * sx - sq * sxq) / det : 0;
    *d = det > 0 ? (sw * sxq - sq * sx) / det : 0;
    if (!(*m > 0)) {
        *m = 0;
        *d = sqq > 0 ? sxq / sqq : 0;
    }
    for (unsigned i = 0; i < 32; i++) {
        const float e = *d * (float)q[i] - *m - x[i];

        error += w[i] * e * e;
    }
    return error;
}

/* Scale and minimum (not below 0) of 32 weights in codes 0 to top. */
static void fit_range(const float x[32], int top, float *d, float *m)
{
    float lo = 0, hi = x[0], w[32], best = INFINITY;
    uint8_t q[32];

    for (unsigned i = 0; i < 32; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    *d = 0;
    *m = -lo;
    if (!(hi > lo))
        return;
    weigh(x, 32, w);
    for (int step = -6; step <= 6; step++) {
        const float inv = ((float)top + 0.15f * (float)step) / (hi - lo);
        float trial_d, trial_m, error;

        for (unsigned i = 0; i < 32; i++)
            q[i] = (uint8_t)round_to((x[i] - lo) * inv, 0, top);
        error = fit_line(x, w, q, &trial_d, &trial_m);
        if (error < best && trial_d >= 0) {
            best = error;
            *d = trial_d;
            *m = trial_m;
        }
    }
}

/* Writes the eight pairs of 6 bits: the inverse of kern_q4_k_scale. */
static void put_scales(const uint8_t sc[8], const uint8_t mn[8], uint8_t s[12])
{
    for (unsigned i = 0; i < 4; i++) {
        s[i] = (uint8_t)(sc[i] | (sc[i + 4] >> 4) << 6);
        s[i + 4] = (uint8_t)(mn[i] | (mn[i + 4] >> 4) << 6);
        s[i + 8] = (uint8_t)((sc[i + 4] & 15) | mn[i + 4] << 4);
    }
}

/* Codes of 0 to top of a super-block, its scales and minima in 6 bits. */
static void encode_ranges(const float x[256], int top, uint16_t *d, uint16_t *dmin, uint8_t s[12],
                          uint8_t q[256])
{
    float scale[8], min[8], most = 0, lowest = 0, step, base;
    uint8_t sc[8], mn[8];

    for (unsigned g = 0; g < 8; g++) {
        fit_range(x + (size_t)32 * g, top, &scale[g], &min[g]);
        most = scale[g] > most ? scale[g] : most;
        lowest = min[g] > lowest ? min[g] : lowest;
    }
    *d = kern_f32_f16(most / 63);
    *dmin = kern_f32_f16(lowest / 63);
    step = kern_f16_f32(*d);
    base = kern_f16_f32(*dmin);
    for (unsigned g = 0; g < 8; g++) {
        float inv, off;

        sc[g] = (uint8_t)(step > 0 ? round_to(scale[g] / step, 0, 63) : 0);
        mn[g] = (uint8_t)(base > 0 ? round_to(min[g] / base, 0, 63) : 0);
        inv = sc[g] != 0 ? 1.0f / (step * (float)sc[g]) : 0;
        off = base * (float)mn[g];
        for (size_t i = 32 * (size_t)g; i < 32 * ((size_t)g + 1); i++)
            q[i] = (uint8_t)round_to((x[i] + off) * inv, 0, top);
    }
    put_scales(sc, mn, s);
}

static void put_pairs(const uint8_t q[256], uint8_t qs[128])
{
    for (unsigned i = 0; i < 128; i++)
        qs[i] = (uint8_t)((q[i / 32 * 64 + i % 32] & 15) | q[i / 32 * 64 + 32 + i % 32] << 4);
}

static void encode_q4_k(const float x[256], struct kern_block_q4_k *b)
{
    uint8_t q[256];

    encode_ranges(x, 15, &b->d, &b->dmin, b->scales, q);
    put_pairs(q, b->qs);
}

static void encode_q5_k(const float x[256], struct kern_block_q5_k *b)
{
    uint8_t q[256];

    encode_ranges(x, 31, &b->d, &b->dmin, b->scales, q);
    put_pairs(q, b->qs);
    memset(b->qh, 0, sizeof(b->qh));
    for (unsigned i = 0; i < 256; i++)
        b->qh[i % 32] = (uint8_t)(b->qh[i % 32] | (q[i] >> 4 & 1) << i / 32);
}

/* Scale of 16 weights in codes -32 to 31; either sign. */
static float fit_symmetric(const float x[16])
{
    float top = 0, w[16], best = 0, scale = 0;

    for (unsigned i = 0; i < 16; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    if (top == 0 || !isfinite(top))
        return 0;
    weigh(x, 16, w);
    for (int step = -6; step <= 6; step++) {
        const float inv = -(32 + 0.1f * (float)step) / top;
        float sxq = 0, sqq = 0;

        for (unsigned i = 0; i < 16; i++) {
            const float l = (float)round_to(x[i] * inv, -32, 31);

            sxq += w[i] * x[i] * l;
            sqq += w[i] * l * l;
        }
        /* sxq^2 / sqq is what the best scale takes from the error of leaving all out */
        if (sqq > 0 && sxq * sxq > best * sqq) {
            best = sxq * sxq / sqq;
            scale = sxq / sqq;
        }
    }
    return scale;
}

static void encode_q6_k(const float x[256], struct kern_block_q6_k *b)
{
    float scale[16], most = 0, d;
    uint8_t q[256];

    for (unsigned g = 0; g < 16; g++) {
        scale[g] = fit_symmetric(x + (size_t)16 * g);
        most = fabsf(scale[g]) > fabsf(most) ? scale[g] : most;
    }
    b->d = kern_f32_f16(most / -128);
    d = kern_f16_f32(b->d);
    memset(b->ql, 0, sizeof(b->ql));
    memset(b->qh, 0, sizeof(b->qh));
    for (unsigned i = 0; i < 256; i++) {
        const unsigned g = i / 16;
        float inv;

        if (i % 16 == 0)
            b->sc[g] = (int8_t)(d != 0 ? round_to(scale[g] / d, -128, 127) : 0);
        inv = d != 0 && b->sc[g] != 0 ? 1.0f / (d * (float)b->sc[g]) : 0;
        q[i] = (uint8_t)(round_to(x[i] * inv, -32, 31) + 32);
    }
    for (unsigned i = 0; i < 256; i++) {
        const unsigned half = i / 128, s = i / 32 % 4, l = i % 32;
        uint8_t *low = &b->ql[64 * half + 32 * (s & 1) + l], *high = &b->qh[32 * half + l];

        *low = (uint8_t)(*low | (q[i] & 15) << (s < 2 ? 0 : 4));
        *high = (uint8_t)(*high | (q[i] >> 4) << (2 * s));
    }
}

/* ---- rows ------------------------------------------------------------------------------------------ */

static uint16_t to_bf16(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {f};

    if (isnan(f))
        return (uint16_t)(v.u >> 16 | 0x40);
    return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

static void encode_16(bool bf16, const float *x, size_t n, char *dst)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = bf16 ? to_bf16(x[i]) : kern_f32_f16(x[i]);

        memcpy(dst + 2 * i, &h, sizeof(h));
    }
}

void kern_encode_row(enum kern_type type, const float *x, size_t n, void *dst)
{
    const struct kern_type_info *info = kern_type_info(type);
    char *out = dst;

    if (type == KERN_TYPE_F32) {
        memcpy(dst, x, n * sizeof(*x));
        return;
    }
    if (!info->quantized) {
        encode_16(type == KERN_TYPE_BF16, x, n, out);
        return;
    }
    for (size_t i = 0; i < n; i += info->block_elems, out += info->block_bytes) {
        if (type == KERN_TYPE_Q4_K)
            encode_q4_k(x + i, (struct kern_block_q4_k *)(void *)out);
        else if (type == KERN_TYPE_Q5_K)
            encode_q5_k(x + i, (struct kern_block_q5_k *)(void *)out);
        else if (type == KERN_TYPE_Q6_K)
            encode_q6_k(x + i, (struct kern_block_q6_k *)(void *)out);
        else
            encode_small(type, x + i, out);
    }
}
