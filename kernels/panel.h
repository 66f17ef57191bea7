/* kernels/panel.h - private: weights of 16 rows interleaved, the layout of the vector tables.
 *
 * A panel is 16 rows; the last one of a matrix is filled up with rows of zeros. It is cut along the
 * columns into tiles of 32. In a tile of a quantized type the codes are unsigned bytes in 8 vectors of 64:
 *
 *     byte 4 * r + z of vector j = code of row r (0..15), column 4 * j + z (z 0..3)
 *
 * so one 32-bit lane is one row and four columns: the shape of vpdpbusd (and, in halves of 8 rows, of
 * vpmaddubsw) against four activations that are broadcast to all lanes. Codes of fewer bits are stored
 * in planes: `lo` holds vectors 0..3 in the low and 4..7 in the high nibbles. Scales are those of the
 * file, one per row, in row order; nothing is rounded.
 *
 * F32, F16: [column][16 rows], cols columns, no tiles. BF16: [pair of columns][16 rows][2], zeroes beyond the last
 * column: what a product of pairs wants, and a float is a shift or a mask away from its lane. */
#ifndef KERNELS_PANEL_H
#define KERNELS_PANEL_H

#include "kernels/kernels.h"

enum {
    PANEL_ROWS = KERN_ROW_STEP,
    PANEL_TILES_SUPER = KERN_SUPER / KERN_BLOCK, /* tiles of a super-block */
};

struct tile_q4_0 {
    uint8_t lo[256];
    uint16_t d[16];
};
struct tile_q4_1 {
    uint8_t lo[256];
    uint16_t d[16], m[16];
};
/* hi: bit 4 * r + z of word j is the fifth bit of that byte of vector j */
struct tile_q5_0 {
    uint8_t lo[256];
    uint64_t hi[8];
    uint16_t d[16];
};
struct tile_q5_1 {
    uint8_t lo[256];
    uint64_t hi[8];
    uint16_t d[16], m[16];
};
/* codes are q + 128 */
struct tile_q8_0 {
    uint8_t q[512];
    uint16_t d[16];
};
/* two: bits 2j', 2j'+1 of byte 64 * (j / 4) + i are byte i of vector j, j' = j % 4; sc: sc in the low,
 * mn in the high nibble, of columns 0..15 and 16..31 */
struct tile_q2_k {
    uint8_t two[128];
    uint8_t sc[2][16];
};
struct super_q2_k {
    uint16_t d[16], dmin[16];
    struct tile_q2_k tile[PANEL_TILES_SUPER];
};
/* third: as hi of Q5_0; sc: 32 less than in the file */
struct tile_q3_k {
    uint8_t two[128];
    uint64_t third[8];
    int8_t sc[2][16];
};
struct super_q3_k {
    uint16_t d[16];
    struct tile_q3_k tile[PANEL_TILES_SUPER];
};
struct tile_q4_k {
    uint8_t lo[256];
    uint8_t sc[16], mn[16];
};
struct super_q4_k {
    uint16_t d[16], dmin[16];
    struct tile_q4_k tile[PANEL_TILES_SUPER];
};
struct tile_q5_k {
    uint8_t lo[256];
    uint64_t hi[8];
    uint8_t sc[16], mn[16];
};
struct super_q5_k {
    uint16_t d[16], dmin[16];
    struct tile_q5_k tile[PANEL_TILES_SUPER];
};
/* hi: the high bits, as two of Q2_K; sc: columns 0..15 and 16..31 */
struct tile_q6_k {
    uint8_t lo[256];
    uint8_t hi[128];
    int8_t sc[2][16];
};
struct super_q6_k {
    uint16_t d[16];
    struct tile_q6_k tile[PANEL_TILES_SUPER];
};
/* IQ4_NL has the tiles of Q4_0. sc: 32 less than in the file */
struct tile_iq4_xs {
    uint8_t lo[256];
    int8_t sc[16];
};
struct super_iq4_xs {
    uint16_t d[16];
    struct tile_iq4_xs tile[PANEL_TILES_SUPER];
};
struct tile_mxfp4 {
    uint8_t lo[256];
    uint8_t e[16];
};
/* d: halved, as binary16; of columns 0..15 and 16..31 */
struct tile_nvfp4 {
    uint8_t lo[256];
    uint16_t d[2][16];
};

_Static_assert(sizeof(struct tile_q4_0) == 288, "Q4_0");
_Static_assert(sizeof(struct tile_q5_1) == 384, "Q5_1");
_Static_assert(sizeof(struct super_q2_k) == 64 + 8 * 160, "Q2_K");
_Static_assert(sizeof(struct super_q3_k) == 32 + 8 * 224, "Q3_K");
_Static_assert(sizeof(struct super_q5_k) == 64 + 8 * 352, "Q5_K");
_Static_assert(sizeof(struct super_iq4_xs) == 32 + 8 * 272, "IQ4_XS");
_Static_assert(sizeof(struct tile_mxfp4) == 272, "MXFP4");
_Static_assert(sizeof(struct tile_nvfp4) == 320, "NVFP4");
_Static_assert(sizeof(struct tile_q4_1) == 320, "Q4_1");
_Static_assert(sizeof(struct tile_q5_0) == 352, "Q5_0");
_Static_assert(sizeof(struct tile_q8_0) == 544, "Q8_0");
_Static_assert(sizeof(struct super_q4_k) == 64 + 8 * 288, "Q4_K");
_Static_assert(sizeof(struct super_q6_k) == 32 + 8 * 416, "Q6_K");

/* Bytes of one panel of cols columns; cols is a multiple of the block and small enough (matrix.c). */
size_t panel_bytes(enum kern_type type, size_t cols);

/* Writes panels [row_from / 16, ceil(row_to / 16)) of m to dst. */
void panel_pack(const struct kern_matrix *m, const char *gguf, char *dst, size_t row_from,
                size_t row_to);

#endif
