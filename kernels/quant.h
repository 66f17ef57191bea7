/* kernels/quant.h - the block formats of GGUF files, as they lie on disk.
 *
 * Facts of the format only: sizes, identifiers and field order. All numbers are little-endian; `half`
 * fields are IEEE 754 binary16 bits. A block holds a fixed number of consecutive weights of one row; a
 * row is a whole number of blocks; d, m and the like are scales: each struct says how a weight is made.
 * Blocks have 2-byte alignment at most, so they may be read in place from a mapped file only where its
 * data section is aligned, which GGUF demands (general.alignment, a power of two of at least 8 here). */
#ifndef KERNELS_QUANT_H
#define KERNELS_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The `type` field of a GGUF tensor. Only what this project computes with has a name here. */
enum kern_type {
    KERN_TYPE_F32 = 0,
    KERN_TYPE_F16 = 1,
    KERN_TYPE_Q4_0 = 2,
    KERN_TYPE_Q4_1 = 3,
    KERN_TYPE_Q5_0 = 6,
    KERN_TYPE_Q8_0 = 8,
    KERN_TYPE_Q4_K = 12,
    KERN_TYPE_Q6_K = 14,
    KERN_TYPE_BF16 = 30,
};

enum { KERN_BLOCK = 32, KERN_SUPER = 256 }; /* weights a block, weights a super-block */

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

/* w = d * q */
struct kern_block_q8_0 {
    uint16_t d;
    int8_t qs[32];
};

/* w = d * sc[g] * q - dmin * mn[g], g = weight / 32; groups 2i and 2i+1 are the low and the high
 * nibbles of qs[32i .. 32i+31]; scales holds the eight 6-bit pairs sc, mn (kern_q4_k_scale) */
struct kern_block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
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

_Static_assert(sizeof(struct kern_block_q4_0) == 18, "Q4_0");
_Static_assert(sizeof(struct kern_block_q4_1) == 20, "Q4_1");
_Static_assert(sizeof(struct kern_block_q5_0) == 22, "Q5_0");
_Static_assert(sizeof(struct kern_block_q8_0) == 34, "Q8_0");
_Static_assert(sizeof(struct kern_block_q4_k) == 144, "Q4_K");
_Static_assert(sizeof(struct kern_block_q6_k) == 210, "Q6_K");

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

#endif
