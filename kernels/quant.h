/* kernels/quant.h - the block formats of GGUF files, as they lie on disk.
 *
 * Facts of the format only: sizes, identifiers and field order. All numbers are little-endian; `half`
 * fields are IEEE 754 binary16 bits. A block holds a fixed number of consecutive weights of one row; a
 * row is a whole number of blocks; d, m and the like are scales: each struct says how a weight is made.
 * Blocks have 2-byte alignment at most, so they may be read in place from a mapped file only where its
 * data section is aligned, which GGUF demands (general.alignment, a power of two of at least 8 here). */
#ifndef KERNELS_QUANT_H
#define KERNELS_QUANT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The `type` field of a GGUF tensor. Only what this project computes with has a name here. */
enum kern_type {
    KERN_TYPE_F32 = 0,
    KERN_TYPE_F16 = 1,
    KERN_TYPE_Q4_0 = 2,
    KERN_TYPE_Q4_1 = 3,
    KERN_TYPE_Q5_0 = 6,
    KERN_TYPE_Q5_1 = 7,
    KERN_TYPE_Q8_0 = 8,
    KERN_TYPE_Q2_K = 10,
    KERN_TYPE_Q3_K = 11,
    KERN_TYPE_Q4_K = 12,
    KERN_TYPE_Q5_K = 13,
    KERN_TYPE_Q6_K = 14,
    KERN_TYPE_IQ4_NL = 20,
    KERN_TYPE_IQ4_XS = 23,
    KERN_TYPE_BF16 = 30,
    KERN_TYPE_MXFP4 = 39,
    KERN_TYPE_NVFP4 = 40,
    KERN_TYPE_E4M3 =
        63, /* of no GGUF file but ours in memory: FP8 of folders (engine/hf_decode.c) */
};

/* Weights a block, a super-block, a block of NVFP4, of E4M3. */
enum { KERN_BLOCK = 32, KERN_SUPER = 256, KERN_NVFP4_BLOCK = 64, KERN_E4M3_BLOCK = 128 };

/* w = d * (q - 8); qs[j]: low nibble weight j, high nibble weight j + 16 */
struct kern_block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
};

/* w = d * q + m; nibbles as in Q4_0 */
struct kern_block_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
};

/* w = d * (q - 16); nibbles as in Q4_0, fifth bit of weight j is bit j of qh taken as one
 * little-endian 32-bit number (bytes here, so that the block keeps its 2-byte alignment) */
struct kern_block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
};

/* w = d * q + m; codes as in Q5_0 */
struct kern_block_q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
};

/* w = d * q */
struct kern_block_q8_0 {
    uint16_t d;
    int8_t qs[32];
};

/* w = d * sc * q - dmin * mn, where the byte weight / 16 of scales has sc in its low and mn in its high
 * nibble. Weight 128h + 32s + l has its two bits at bit 2s of qs[32h + l] */
struct kern_block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d, dmin;
};

/* w = d * (sc[weight / 16] - 32) * (q - 4); two bits as in Q2_K, the third of weight 128h + 32s + l is
 * bit 4h + s of hmask[l]; scales holds sixteen numbers of 6 bits (kern_q3_k_scale) */
struct kern_block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint16_t d;
};

/* w = d * sc[g] * q - dmin * mn[g], g = weight / 32; groups 2i and 2i+1 are the low and the high
 * nibbles of qs[32i .. 32i+31]; scales holds the eight 6-bit pairs sc, mn (kern_q4_k_scale) */
struct kern_block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128];
};

/* As Q4_K; the fifth bit of weight l of group g is bit g of qh[l] */
struct kern_block_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
};

/* w = d * sc[weight / 16] * (q - 32). Weight 128h + 32s + l has its low four bits in
 * ql[64h + 32(s & 1) + l] (low nibble for s < 2, high nibble else) and its high two bits in
 * qh[32h + l] at bit 2s */
struct kern_block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t sc[16];
    uint16_t d;
};

/* w = d * kern_iq4_values[q]; nibbles as in Q4_0 */
struct kern_block_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
};

/* w = d * (sc[g] - 32) * kern_iq4_values[q], g = weight / 32; sc has its low four bits in the nibble g of
 * scales_l, its high two at bit 2g of scales_h; qs[16g .. 16g+15]: nibbles as in Q4_0 */
struct kern_block_iq4_xs {
    uint16_t d, scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
};

/* w = 2^(e - 128) * kern_fp4_values[q]; nibbles as in Q4_0 */
struct kern_block_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
};

/* w = d[g] / 2 * kern_fp4_values[q], g = weight / 16, d an unsigned 8-bit float with 4 bits of exponent (bias
 * 7) and 3 of mantissa, 0x7f meaning 0; qs[8g + j]: low nibble weight j of the group, high nibble j + 8 */
struct kern_block_nvfp4 {
    uint8_t d[4];
    uint8_t qs[32];
};

/* w = d * e4m3(q), rounded to binary16 where the CPU computes; GPUs take d and q as they are */
struct kern_block_e4m3 {
    float d;
    uint8_t q[128];
};

/* What the 16 codes of IQ4_NL and IQ4_XS stand for, and twice what those of MXFP4 and NVFP4 do (a sign, two
 * bits of exponent, one of mantissa). */
extern const int8_t kern_iq4_values[16], kern_fp4_values[16];

static_assert(sizeof(struct kern_block_q4_0) == 18, "Q4_0");
static_assert(sizeof(struct kern_block_q5_1) == 24, "Q5_1");
static_assert(sizeof(struct kern_block_q2_k) == 84, "Q2_K");
static_assert(sizeof(struct kern_block_q3_k) == 110, "Q3_K");
static_assert(sizeof(struct kern_block_q5_k) == 176, "Q5_K");
static_assert(sizeof(struct kern_block_iq4_nl) == 18, "IQ4_NL");
static_assert(sizeof(struct kern_block_iq4_xs) == 136, "IQ4_XS");
static_assert(sizeof(struct kern_block_mxfp4) == 17, "MXFP4");
static_assert(sizeof(struct kern_block_nvfp4) == 36, "NVFP4");
static_assert(sizeof(struct kern_block_e4m3) == 132, "E4M3");
static_assert(sizeof(struct kern_block_q4_1) == 20, "Q4_1");
static_assert(sizeof(struct kern_block_q5_0) == 22, "Q5_0");
static_assert(sizeof(struct kern_block_q8_0) == 34, "Q8_0");
static_assert(sizeof(struct kern_block_q4_k) == 144, "Q4_K");
static_assert(sizeof(struct kern_block_q6_k) == 210, "Q6_K");

struct kern_type_info {
    const char *name;     /* "Q4_K" */
    unsigned block_elems; /* weights a block: the columns of a matrix are a multiple of it */
    unsigned block_bytes; /* bytes a block */
    bool quantized;       /* multiplied with integer activations; else with floats */
};

/* Returns what is known of a ggml type id (any 32-bit number out of a file), NULL when these kernels
 * cannot compute with it. Static memory. Thread: any. */
const struct kern_type_info *kern_type_info(uint32_t type);

/* Bytes of a row of n weights. Returns false, *bytes unchanged, when the type is unknown, n is not a
 * multiple of its block, or the size overflows. */
bool kern_row_bytes(uint32_t type, uint64_t n, size_t *bytes);

/* The g-th of the sixteen 6-bit numbers in the 12 packed bytes of Q3_K. g < 16. */
static inline uint8_t kern_q3_k_scale(const uint8_t s[12], unsigned g)
{
    const unsigned low = g < 8 ? s[g] & 15u : (unsigned)s[g - 8] >> 4;

    return (uint8_t)(low | ((unsigned)s[8 + g % 4] >> (2 * (g / 4)) & 3u) << 4);
}

/* The g-th of the eight 6-bit pairs in the 12 packed bytes of Q4_K. g < 8. */
static inline void kern_q4_k_scale(const uint8_t s[12], unsigned g, uint8_t *sc, uint8_t *mn)
{
    unsigned i = g & 3; /* groups 4 to 7 take their high bits from the bytes of groups 0 to 3 */

    if (g < 4) {
        *sc = s[i] & 63;
        *mn = s[i + 4] & 63;
    } else {
        *sc = (uint8_t)((s[i + 8] & 15) | ((s[i] >> 6) << 4));
        *mn = (uint8_t)((s[i + 8] >> 4) | ((s[i + 4] >> 6) << 4));
    }
}

#ifdef __cplusplus
}
#endif

#endif
