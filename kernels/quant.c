/* kernels/quant.c - facts about the block formats, and rows of weights as floats. Pure; any thread. */
#include "kernels/quant.h"

#include <math.h>
#include <string.h>

#include "kernels/codes.h"
#include "kernels/kernels.h"
#include "kernels/ref.h"

const struct kern_type_info *kern_type_info(uint32_t type)
{
    static const struct kern_type_info infos[] = {
        [KERN_TYPE_F32] = {"F32", 1, 4, false},
        [KERN_TYPE_F16] = {"F16", 1, 2, false},
        [KERN_TYPE_Q4_0] = {"Q4_0", KERN_BLOCK, sizeof(struct kern_block_q4_0), true},
        [KERN_TYPE_Q4_1] = {"Q4_1", KERN_BLOCK, sizeof(struct kern_block_q4_1), true},
        [KERN_TYPE_Q5_0] = {"Q5_0", KERN_BLOCK, sizeof(struct kern_block_q5_0), true},
        [KERN_TYPE_Q5_1] = {"Q5_1", KERN_BLOCK, sizeof(struct kern_block_q5_1), true},
        [KERN_TYPE_Q8_0] = {"Q8_0", KERN_BLOCK, sizeof(struct kern_block_q8_0), true},
        [KERN_TYPE_Q2_K] = {"Q2_K", KERN_SUPER, sizeof(struct kern_block_q2_k), true},
        [KERN_TYPE_Q3_K] = {"Q3_K", KERN_SUPER, sizeof(struct kern_block_q3_k), true},
        [KERN_TYPE_Q4_K] = {"Q4_K", KERN_SUPER, sizeof(struct kern_block_q4_k), true},
        [KERN_TYPE_Q5_K] = {"Q5_K", KERN_SUPER, sizeof(struct kern_block_q5_k), true},
        [KERN_TYPE_Q6_K] = {"Q6_K", KERN_SUPER, sizeof(struct kern_block_q6_k), true},
        [KERN_TYPE_IQ4_NL] = {"IQ4_NL", KERN_BLOCK, sizeof(struct kern_block_iq4_nl), true},
        [KERN_TYPE_IQ4_XS] = {"IQ4_XS", KERN_SUPER, sizeof(struct kern_block_iq4_xs), true},
        [KERN_TYPE_BF16] = {"BF16", 1, 2, false},
        [KERN_TYPE_MXFP4] = {"MXFP4", KERN_BLOCK, sizeof(struct kern_block_mxfp4), true},
        [KERN_TYPE_E4M3] = {"FP8", KERN_E4M3_BLOCK, sizeof(struct kern_block_e4m3), false},
        [KERN_TYPE_NVFP4] = {"NVFP4", KERN_NVFP4_BLOCK, sizeof(struct kern_block_nvfp4), true},
    };

    if (type >= sizeof(infos) / sizeof(infos[0]) || infos[type].name == NULL)
        return NULL;
    return &infos[type];
}

bool kern_row_bytes(uint32_t type, uint64_t n, size_t *bytes)
{
    const struct kern_type_info *info = kern_type_info(type);
    size_t all;

    if (info == NULL || n % info->block_elems != 0 ||
        __builtin_mul_overflow(n / info->block_elems, info->block_bytes, &all))
        return false;
    *bytes = all;
    return true;
}

float kern_f16_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v, magic = {113u << 23};
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;

    v.u = (uint32_t)(h & 0x7fffu) << 13;
    if ((h & 0x7c00u) ==
        0x7c00u) { /* infinity or NaN: the exponent becomes all ones; NaN turns quiet */
        v.u += 112u << 23;
        v.u |= 0x7f800000u;
        if (h & 0x3ffu)
            v.u |= 1u << 22;
    } else if ((h & 0x7c00u) == 0) { /* subnormal: let the float unit normalise it */
        v.u += 113u << 23;
        v.f -= magic.f;
    } else {
        v.u += 112u << 23;
    }
    v.u |= sign;
    return v.f;
}

float kern_e4m3_f32(uint8_t code)
{
    /* as binary16 it has the same fields, and a bias that is 8 more */
    const uint16_t h = (uint16_t)((code & 0x80u) << 8 | (code & 0x7fu) << 7);

    return (code & 0x7f) == 0x7f ? NAN : kern_f16_f32(h) * 256.0f;
}

uint16_t kern_f32_f16(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    uint16_t sign = (uint16_t)((v.u >> 16) & 0x8000u);
    uint32_t a = v.u & 0x7fffffffu;

    if (a > 0x7f800000u) /* NaN: keep the top of its payload, quiet */
        return (uint16_t)(sign | 0x7e00u | ((a >> 13) & 0x3ffu));
    if (a >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (a <
        0x38800000u) { /* below 2^-14: adding 0.5 puts the subnormal's bits into the low mantissa */
        v.u = a;
        v.f += 0.5f;
        return (uint16_t)(sign | (v.u - 0x3f000000u));
    }
    a += 0xfffu + ((a >> 13) & 1u); /* to nearest, ties to even */
    return (uint16_t)(sign | ((a - (112u << 23)) >> 13));
}

static void row_quantized(enum kern_type type, const void *src, size_t n, float *dst)
{
    struct codes_block b;

    for (size_t i = 0; i < n / KERN_BLOCK; i++, dst += KERN_BLOCK) {
        codes_load(type, src, i, &b);
        for (unsigned j = 0; j < KERN_BLOCK; j++)
            dst[j] = b.d[j / 16] * (float)(b.q[j] - b.off) + b.m[j / 16];
    }
}

static void row_16(const uint8_t *src, size_t n, float *dst, bool bf16)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, src + 2 * i, sizeof(h));
        dst[i] = bf16 ? kern_bf16_f32(h) : kern_f16_f32(h);
    }
}

void kern_e4m3_part(const void *row, size_t from, size_t n, float *dst)
{
    struct kern_block_e4m3 b = {0};

    for (size_t i = from; i < from + n; i++) {
        if (i == from || i % KERN_E4M3_BLOCK == 0)
            memcpy(&b, (const char *)row + i / KERN_E4M3_BLOCK * sizeof(b), sizeof(b));
        dst[i - from] = kern_f16_f32(kern_f32_f16(b.d * kern_e4m3_f32(b.q[i % KERN_E4M3_BLOCK])));
    }
}

void kern_row_f32(enum kern_type type, const void *src, size_t n, float *dst)
{
    if (type == KERN_TYPE_F32)
        memcpy(dst, src, n * sizeof(*dst));
    else if (type == KERN_TYPE_F16 || type == KERN_TYPE_BF16)
        row_16(src, n, dst, type == KERN_TYPE_BF16);
    else if (type == KERN_TYPE_E4M3)
        kern_e4m3_part(src, 0, n, dst);
    else
        row_quantized(type, src, n, dst);
}
