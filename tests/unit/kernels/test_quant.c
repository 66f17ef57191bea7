/* Unit tests of kernels/quant.c: the row expanders against values worked out by hand from the layout
 * table of the format, the half-precision conversions against their definition, and the size checks. */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "tests/test.h"
#include "tests/unit/kernels/util.h"

/* Half-precision bits of a few exact numbers. */
enum { H_1 = 0x3c00, H_2 = 0x4000, H_HALF = 0x3800, H_MINUS_1_5 = 0xbe00, H_QUARTER = 0x3400 };

static void test_q4_0(void)
{
    uint8_t b[18] = {0};
    float w[32];

    util_put16(b, H_HALF);
    for (unsigned j = 0; j < 16; j++)
        b[2 + j] = (uint8_t)(j | (15 - j) << 4);
    kern_row_f32(KERN_TYPE_Q4_0, b, 32, w);
    CHECK(w[0] == -4.0f && w[15] == 3.5f); /* low nibbles 0 and 15 */
    CHECK(w[16] == 3.5f && w[31] == -4.0f);
    CHECK(w[9] == 0.5f && w[17] == 3.0f);
}

static void test_q4_1(void)
{
    uint8_t b[20] = {0};
    float w[32];

    util_put16(b, H_HALF);
    util_put16(b + 2, H_MINUS_1_5);
    b[4] = 0x3a;
    b[19] = 0xf0;
    kern_row_f32(KERN_TYPE_Q4_1, b, 32, w);
    CHECK(w[0] == 0.5f * 10 - 1.5f);
    CHECK(w[16] == 0.5f * 3 - 1.5f);
    CHECK(w[15] == -1.5f && w[31] == 0.5f * 15 - 1.5f);
    CHECK(w[7] == -1.5f);
}

static void test_q5_0(void)
{
    uint8_t b[22] = {0};
    float w[32];

    util_put16(b, H_2);
    b[2] = 0x01;  /* fifth bit of weight 0 */
    b[5] = 0x80;  /* of weight 31 */
    b[6] = 0x21;  /* weights 0 and 16 */
    b[21] = 0xc0; /* weight 31 */
    kern_row_f32(KERN_TYPE_Q5_0, b, 32, w);
    CHECK(w[0] == 2.0f * (17 - 16));
    CHECK(w[16] == 2.0f * (2 - 16));
    CHECK(w[31] == 2.0f * (28 - 16));
    CHECK(w[15] == -32.0f && w[8] == -32.0f);
}

static void test_q8_0(void)
{
    uint8_t b[34] = {0};
    float w[32];

    util_put16(b, H_QUARTER);
    b[2] = 0x80;
    b[3] = 0x7f;
    b[33] = 0xff;
    kern_row_f32(KERN_TYPE_Q8_0, b, 32, w);
    CHECK(w[0] == -32.0f && w[1] == 31.75f && w[31] == -0.25f && w[2] == 0);
}

static void test_q4_k(void)
{
    uint8_t b[144] = {0};
    float w[256];

    util_put16(b, H_HALF);  /* d */
    util_put16(b + 2, H_2); /* dmin */
    b[4 + 1] = 63;          /* group 1: scale 63 */
    b[4 + 5] = 5;           /* group 1: min 5 */
    b[4 + 2] = 0x80 | 7;    /* group 2: scale 7; top bits of scale 6: 2 */
    b[4 + 6] = 0x40 | 9;    /* group 2: min 9; top bits of min 6: 1 */
    b[4 + 10] = 0x3c;       /* group 6: low bits of scale 12, of min 3 */
    b[16 + 0] = 0xd0;       /* group 1, weight 32: 13 */
    b[16 + 32 + 31] = 0x04; /* group 2, weight 64 + 31: 4 */
    b[16 + 96 + 2] = 0x0b;  /* group 6, weight 192 + 2: 11 */
    kern_row_f32(KERN_TYPE_Q4_K, b, 256, w);
    CHECK(w[0] == 0);
    CHECK(w[32] == 0.5f * 63 * 13 - 2.0f * 5);
    CHECK(w[33] == -10.0f);
    CHECK(w[95] == 0.5f * 7 * 4 - 2.0f * 9);
    CHECK(w[194] == 0.5f * (2 * 16 + 12) * 11 - 2.0f * (1 * 16 + 3));
    CHECK(w[255] == 0);
}

static void test_q6_k(void)
{
    uint8_t b[210] = {0};
    float w[256];

    util_put16(b + 208, H_QUARTER);
    b[192 + 0] = 3;                   /* weights 0..15 */
    b[192 + 3] = (uint8_t)(-7 & 255); /* weights 48..63 */
    b[192 + 15] = 0x80;               /* weights 240..255: -128 */
    b[5] = 0x0a;                      /* weight 5: low four bits 10 */
    b[128 + 5] = 0x02;                /* its high two: 2 */
    b[32 + 20] = 0x06;                /* weight 32 + 20 (s = 1): low nibble 6 */
    b[128 + 20] = 0x0c;               /* its high two, at bit 2: 3 */
    b[64 + 32 + 31] = 0x90;           /* weight 128 + 96 + 31 (s = 3): high nibble 9 */
    b[128 + 32 + 31] = 0x40;          /* its high two, at bit 6: 1 */
    kern_row_f32(KERN_TYPE_Q6_K, b, 256, w);
    CHECK(w[5] == 0.25f * 3 * (2 * 16 + 10 - 32));
    CHECK(w[52] == 0.25f * -7 * (3 * 16 + 6 - 32));
    CHECK(w[255] == 0.25f * -128 * (1 * 16 + 9 - 32));
    CHECK(w[0] == 0.25f * 3 * -32);
    CHECK(w[100] == 0);
}

static void test_q5_1(void)
{
    uint8_t b[24] = {0};
    float w[32];

    util_put16(b, H_2);
    util_put16(b + 2, H_MINUS_1_5);
    b[4] = 0x02;  /* fifth bit of weight 1 */
    b[7] = 0x80;  /* of weight 31 */
    b[9] = 0x53;  /* weights 1 and 17 */
    b[23] = 0xf0; /* weight 31 */
    kern_row_f32(KERN_TYPE_Q5_1, b, 32, w);
    CHECK(w[1] == 2.0f * 19 - 1.5f && w[17] == 2.0f * 5 - 1.5f);
    CHECK(w[31] == 2.0f * 31 - 1.5f && w[0] == -1.5f);
}

static void test_q2_k(void)
{
    uint8_t b[84] = {0};
    float w[256];

    util_put16(b + 80, H_HALF);
    util_put16(b + 82, H_2);
    b[0] = 0x3f;                /* weights 0..15: scale 15, min 3 */
    b[15] = 0xe7;               /* weights 240..255: scale 7, min 14 */
    b[16 + 4] = 0x02;           /* weight 4: 2 */
    b[16 + 32 + 31] = 0xc0;     /* weight 128 + 96 + 31: 3 */
    b[2 * 3 + 1] = 0x01;        /* weights 112..127: scale 1 */
    b[16 + 20] = (uint8_t)0x40; /* weight 96 + 20: 1 */
    kern_row_f32(KERN_TYPE_Q2_K, b, 256, w);
    CHECK(w[4] == 0.5f * 15 * 2 - 2.0f * 3 && w[5] == -6.0f);
    CHECK(w[255] == 0.5f * 7 * 3 - 2.0f * 14 && w[254] == -28.0f);
    CHECK(w[116] == 0.5f && w[16] == 0);
}

static void test_q3_k(void)
{
    uint8_t b[110] = {0};
    float w[256];

    util_put16(b + 108, H_QUARTER);
    b[96 + 2] = 0x5a;      /* low bits of the scales 2 (10) and 10 (5) */
    b[96 + 8 + 2] = 0x12;  /* scale 2: high bits 2; 6: 0; 10: 1 */
    b[0] = 0x02;           /* third bit of weight 32 */
    b[32 + 0] = 0x0c;      /* weight 32: low bits 3 */
    b[32 + 32 + 3] = 0x0c; /* weight 128 + 32 + 3: low bits 3 */
    kern_row_f32(KERN_TYPE_Q3_K, b, 256, w);
    CHECK(w[32] == 0.25f * (2 * 16 + 10 - 32) * (7 - 4));
    CHECK(w[33] == 0.25f * 10 * -4);
    CHECK(w[163] == 0.25f * (1 * 16 + 5 - 32) * (3 - 4));
    CHECK(w[0] == 0.25f * -32 * -4);
}

static void test_q5_k(void)
{
    uint8_t b[176] = {0};
    float w[256];

    util_put16(b, H_HALF);
    util_put16(b + 2, H_2);
    b[4 + 1] = 9;     /* group 1: scale 9 */
    b[4 + 5] = 2;     /* group 1: min 2 */
    b[16 + 7] = 0x02; /* fifth bit of weight 7 of group 1 */
    b[48 + 7] = 0xb0; /* its low bits: 11 */
    kern_row_f32(KERN_TYPE_Q5_K, b, 256, w);
    CHECK(w[39] == 0.5f * 9 * (16 + 11) - 2.0f * 2 && w[32] == -4.0f && w[0] == 0);
}

static void test_iq4(void)
{
    uint8_t b[18] = {0}, xs[136] = {0};
    float w[256];

    util_put16(b, H_2);
    b[2] = 0xf8;
    kern_row_f32(KERN_TYPE_IQ4_NL, b, 32, w);
    CHECK(w[0] == 2.0f && w[16] == 226.0f && w[1] == -254.0f);
    util_put16(xs, H_HALF);
    xs[3] = 0x80;           /* high bits of group 7: 2 */
    xs[7] = 0x50;           /* low bits of group 7: 5 */
    xs[8 + 112 + 3] = 0x0e; /* weight 224 + 3 */
    kern_row_f32(KERN_TYPE_IQ4_XS, xs, 256, w);
    CHECK(w[227] == 0.5f * (2 * 16 + 5 - 32) * 89 && w[0] == 0.5f * -32 * -127);
}

static void test_fp4(void)
{
    uint8_t b[17] = {0}, nv[36] = {0};
    float w[64];

    b[0] = 128;
    b[1] = 0xf1; /* weights 0: 0.5, 16: -6 */
    kern_row_f32(KERN_TYPE_MXFP4, b, 32, w);
    CHECK(w[0] == 1.0f && w[16] == -12.0f && w[1] == 0);
    nv[0] = 0x38;          /* 1 */
    nv[1] = 0x7f;          /* nothing */
    nv[2] = 0x01;          /* 2^-9 */
    nv[3] = 0x7e;          /* 448 */
    nv[4] = 0x47;          /* weights 0: 6, 8: 2 */
    nv[4 + 8] = 0x77;      /* weight 16 */
    nv[4 + 16 + 1] = 0x90; /* weight 32 + 9: -0.5 */
    nv[4 + 24 + 7] = 0x0c; /* weight 48 + 7: -2 */
    kern_row_f32(KERN_TYPE_NVFP4, nv, 64, w);
    CHECK(w[0] == 6.0f && w[8] == 2.0f && w[16] == 0);
    CHECK(w[41] == -0.5f / 512 && w[55] == -2.0f * 448);
}

static void test_float_rows(void)
{
    const uint16_t h[3] = {H_1, H_MINUS_1_5, 0};
    const float f[2] = {1.25f, -3.0f};
    float w[3];

    kern_row_f32(KERN_TYPE_F16, h, 3, w);
    CHECK(w[0] == 1.0f && w[1] == -1.5f && w[2] == 0.0f);
    kern_row_f32(KERN_TYPE_F32, f, 2, w);
    CHECK(w[0] == 1.25f && w[1] == -3.0f);
    CHECK(kern_bf16_f32(0x3fc0) == 1.5f && kern_bf16_f32(0xc000) == -2.0f);
}

/* binary16 by its definition, in double. */
static double half_value(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 0 ? ldexp(m, -24) : ldexp(1024 + m, e - 25);

    return h & 0x8000 ? -v : v;
}

static void test_half_conversions(void)
{
    int wrong = 0;

    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = kern_f16_f32((uint16_t)h);

        if ((h & 0x7c00) == 0x7c00) {
            wrong += h & 0x3ff ? !isnan(f) : !isinf(f);
            wrong += (h & 0x3ff) == 0 && kern_f32_f16(f) != h;
            wrong += (h & 0x3ff) != 0 && !isnan(kern_f16_f32(kern_f32_f16(f)));
        } else {
            wrong += (double)f != half_value((uint16_t)h) || kern_f32_f16(f) != h;
        }
    }
    CHECK(wrong == 0);
    /* Half way between two neighbours goes to the even one; a hair more goes up. */
    wrong = 0;
    for (uint16_t h = 0; h < 0x7bff; h++) {
        float mid = (kern_f16_f32(h) + kern_f16_f32((uint16_t)(h + 1))) / 2;

        wrong += kern_f32_f16(mid) != (h & 1 ? h + 1 : h);
        wrong += kern_f32_f16(nextafterf(mid, 1e9f)) != h + 1;
        wrong += kern_f32_f16(-nextafterf(mid, 0)) != (h | 0x8000);
    }
    CHECK(wrong == 0);
    CHECK(kern_f32_f16(65519.0f) == 0x7bff && kern_f32_f16(65520.0f) == 0x7c00);
    CHECK(kern_f32_f16(1e30f) == 0x7c00 && kern_f32_f16(-INFINITY) == 0xfc00);
    CHECK(kern_f32_f16(1e-30f) == 0 && kern_f32_f16(-0.0f) == 0x8000);
}

static void test_sizes(void)
{
    size_t bytes = 7;

    CHECK(kern_row_bytes(KERN_TYPE_Q4_K, 512, &bytes) && bytes == 288);
    CHECK(kern_row_bytes(KERN_TYPE_F32, 3, &bytes) && bytes == 12);
    bytes = 7;
    CHECK(!kern_row_bytes(KERN_TYPE_Q4_K, 128, &bytes));
    CHECK(!kern_row_bytes(KERN_TYPE_F32, UINT64_MAX, &bytes));
    CHECK(!kern_row_bytes(4, 32, &bytes));
    CHECK(!kern_row_bytes(UINT32_MAX, 32, &bytes));
    CHECK(bytes == 7);
    CHECK(kern_type_info(1000) == NULL && kern_type_info(4) == NULL);
}

int main(void)
{
    test_q4_0();
    test_q4_1();
    test_q5_0();
    test_q8_0();
    test_q4_k();
    test_q6_k();
    test_q5_1();
    test_q2_k();
    test_q3_k();
    test_q5_k();
    test_iq4();
    test_fp4();
    test_float_rows();
    test_half_conversions();
    test_sizes();
    return test_done();
}
