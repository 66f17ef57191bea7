/* tests/unit/kernels/util.h - random matrices, activations and reference sums for the kernel tests. */
#ifndef TESTS_UNIT_KERNELS_UTIL_H
#define TESTS_UNIT_KERNELS_UTIL_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "tests/test.h"

static const enum kern_type util_types[] = {
    KERN_TYPE_F32,   KERN_TYPE_F16,   KERN_TYPE_BF16, KERN_TYPE_Q8_0,   KERN_TYPE_Q4_0,
    KERN_TYPE_Q4_1,  KERN_TYPE_Q5_0,  KERN_TYPE_Q4_K, KERN_TYPE_Q6_K,   KERN_TYPE_Q5_1,
    KERN_TYPE_Q2_K,  KERN_TYPE_Q3_K,  KERN_TYPE_Q5_K, KERN_TYPE_IQ4_NL, KERN_TYPE_IQ4_XS,
    KERN_TYPE_MXFP4, KERN_TYPE_NVFP4, KERN_TYPE_E4M3,
};
enum { UTIL_N_TYPES = sizeof(util_types) / sizeof(util_types[0]) };

static const char *const util_tables[] = {"scalar", "avx2", "avx512"};
enum { UTIL_N_TABLES = 3 };

/* The table of that name; NULL, and one visible skip, when this CPU cannot run it. */
static inline const struct kern_ops *util_table(const char *name)
{
    const struct kern_ops *ops = kern_ops_exact(name);
    char why[64];

    if (ops == NULL) {
        (void)snprintf(why, sizeof(why), "table %s: this CPU lacks the instructions", name);
        test_skip(why);
    }
    return ops;
}

static inline uint32_t util_rand(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return (uint32_t)(*s >> 20);
}

/* Uniform in [-1, 1). */
static inline float util_randf(uint64_t *s)
{
    return (float)util_rand(s) * (2.0f / 4294967296.0f) - 1.0f;
}

/* Floats with the shapes that break kernels: zeros, whole blocks of zeros, spikes, tiny values. */
static inline void util_fill(float *x, size_t n, uint64_t *s)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t kind = util_rand(s) % 64;

        x[i] = util_randf(s);
        if (kind == 0)
            x[i] *= 30.0f;
        else if (kind == 1)
            x[i] = 0;
        else if (kind == 2)
            x[i] *= 1e-6f;
        if (i / 32 % 7 == 3)
            x[i] = 0;
    }
}

static inline void util_put16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

/* Writes the scale d of a block of a quantized type, and its minimum m when it has one, at their places;
 * exponents of MXFP4 and NVFP4 become those of about d, which is above 0. */
static inline void util_scales(enum kern_type type, uint8_t *b, uint16_t d, uint16_t m)
{
    switch ((int)type) {
    case KERN_TYPE_MXFP4:
        b[0] = (uint8_t)(120 + b[0] % 8);
        break;
    case KERN_TYPE_NVFP4:
        for (unsigned i = 0; i < 4; i++)
            b[i] = (uint8_t)(16 + b[i] % 32);
        break;
    case KERN_TYPE_E4M3: { /* d is about 1/64 */
        const float f = kern_f16_f32(d);

        memcpy(b, &f, sizeof(f));
        for (unsigned i = 4; i < 132; i++)
            b[i] = (uint8_t)((b[i] & 0x7f) == 0x7f ? 0x42 : b[i]);
        break;
    }
    case KERN_TYPE_Q6_K:
        util_put16(b + 208, d);
        break;
    case KERN_TYPE_Q3_K:
        util_put16(b + 108, d);
        break;
    case KERN_TYPE_Q2_K:
        util_put16(b + 80, d);
        util_put16(b + 82, m);
        break;
    case KERN_TYPE_Q4_1:
    case KERN_TYPE_Q5_1:
    case KERN_TYPE_Q4_K:
    case KERN_TYPE_Q5_K:
        util_put16(b + 2, m);
        util_put16(b, d);
        break;
    default:
        util_put16(b, d);
    }
}

/* Random bytes for the codes, sane scales (about 1/64, both signs) at their places. */
static inline void util_block(enum kern_type type, uint8_t *b, uint64_t *s)
{
    const struct kern_type_info *info = kern_type_info(type);
    uint16_t d = kern_f32_f16(util_randf(s) / 64), m = kern_f32_f16(util_randf(s) / 16);
    float f = util_randf(s);

    for (unsigned i = 0; i < info->block_bytes; i++)
        b[i] = (uint8_t)util_rand(s);
    if (type == KERN_TYPE_F32) {
        memcpy(b, &f, sizeof(f));
    } else if (type == KERN_TYPE_F16) {
        util_put16(b, kern_f32_f16(f));
    } else if (type == KERN_TYPE_BF16) {
        uint32_t u;

        memcpy(&u, &f, sizeof(u));
        util_put16(b, (uint16_t)(u >> 16));
    } else {
        util_scales(type, b, d, m);
    }
}

/* A matrix in file layout; the caller frees it. */
static inline uint8_t *util_matrix(enum kern_type type, size_t rows, size_t cols, uint64_t *s)
{
    const struct kern_type_info *info = kern_type_info(type);
    size_t n = rows * cols / info->block_elems;
    uint8_t *m = malloc(n * info->block_bytes);

    for (size_t i = 0; m != NULL && i < n; i++)
        util_block(type, m + i * info->block_bytes, s);
    return m;
}

static inline void *util_alloc(size_t bytes)
{
    void *p = aligned_alloc(KERN_ALIGN, (bytes + KERN_ALIGN) / KERN_ALIGN * KERN_ALIGN);

    if (p == NULL) {
        perror("aligned_alloc");
        exit(2);
    }
    return p;
}

#endif
