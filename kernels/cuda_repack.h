/* kernels/cuda_repack.h - private: how a weight matrix lies on the device, and its making from GGUF.
 *
 * 16 rows make a tile; 64 columns of a tile make a chunk. What a lane of a warp needs of a chunk lies in 16-byte pieces, the
 * pieces of the 32 lanes one after the other: codes are loaded 512 bytes at a time and are fragments of the
 * tensor cores' instructions as they come (kernels/cuda_ptx.cuh: lane 4g + t has rows g and g + 8). A tile is
 * [codes of all chunks][high bits][scales][super-scales], each part aligned to 128; rows and columns that are missing are zeros.
 *
 *   row r, column c:  g = r % 8, up = r / 8 % 2;  chunk = c / 64, half = c / 32 % 2, t = c % 16 / 4, register j = up + 2 (c / 16 % 2)
 *   4 bits   byte c % 4 of word (4 half + j) / 2: low nibble for up 0, high for up 1
 *   8 bits   [half][lane][j][c % 4]
 *   16 bits  t = c % 8 / 2, j = up + 2 (c / 8 % 2): [c / 16 % 4][lane][j][c % 2]
 *   fifth bit       [lane][c % 4], bit 4 half + j;   bits five and six: [lane][half][c % 4], bits 2j, 2j + 1
 *   scales   [half][g][up]: d | d, m | sc, mn | sc of columns 0 to 15, of 16 to 31;   super-scales of 4 chunks: [g][up]: d, dmin
 *
 * e4m3     bytes as 8 bits; scales of a row's 128 columns as floats: [chunk / 2][g][up]; n_chunks is even
 *
 * Codes of Q4_0 and Q6_K have their highest bit turned: two's complement, which the kernels only shift to the top of a byte. Scales
 * are exactly those of the file, the packed ones of K types as bytes. */
#ifndef KERNELS_CUDA_REPACK_H
#define KERNELS_CUDA_REPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/quant.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CUDA_TILE_ROWS = 16,
    CUDA_CHUNK = 64,
    CUDA_TILE_MAX = 8 << 20,
    CUDA_E4M3 = 1000, /* a type that no file has */
    CUDA_E4M3_BLOCK = 128,
};

struct cuda_layout {
    uint32_t type; /* enum kern_type, or CUDA_E4M3 */
    size_t rows, cols;
    size_t n_tiles, n_chunks;    /* tiles of 16 rows; chunks of 64 columns in each */
    size_t high, scales, supers; /* where they begin in a tile, in bytes */
    size_t tile_bytes;           /* a multiple of 128, at most CUDA_TILE_MAX */
};

/* Q4_0, Q4_1, Q8_0, Q4_K, Q5_K, Q6_K, F16, BF16, CUDA_E4M3; cols a multiple of 32 and of the type's block. Returns false, *l unchanged, for anything
 * else and where a size overflows. Pure. */
bool cuda_layout_make(uint32_t type, uint64_t rows, uint64_t cols, struct cuda_layout *l);

/* Writes one tile (tile < n_tiles), tile_bytes bytes at dst, from the whole matrix in GGUF layout. Pure, any thread. */
void cuda_repack_tile(const struct cuda_layout *l, const void *gguf, size_t tile, void *dst);

/* The same for a layout of CUDA_E4M3, from a matrix of any type that kern_row_f32 knows. row: room for l->cols floats. Weights that are
 * not numbers stay so. */
void cuda_repack_tile_e4m3(const struct cuda_layout *l, uint32_t type, const void *gguf,
                           size_t tile, float *row, void *dst);

#ifdef __cplusplus
}
#endif

#endif
