/* kernels/cuda_kv.cuh - private: how the pages of the KV cache hold numbers on a device, for cuda_kv.cu (which writes) and
 * cuda_attn.cu (which reads).
 *
 * A block is that of one page, layer and KV head: K [16][row], V [16][row], then with KERN_CUDA_KV_I8 and FP8 floats k_scale[16],
 * v_scale[16], with Q4 halfs k_scale[16][groups], v_scale[16][groups], a group being 32 values or what is left of them. A row is head_dim
 * halfs, int8, e4m3 or nibbles; byte i of a row of nibbles has value 2 i in its low and 2 i + 1 in its high half. Q4 holds rows that
 * were rotated by cuda_rotate(); its codes and scales are those of KERN_KV_I4 (kernels/kv_code.c), whose order in a block is another. */
#ifndef KERNELS_CUDA_KV_CUH
#define KERNELS_CUDA_KV_CUH

#include "kernels/cuda_dev.cuh"
#include "kernels/cuda_private.h"

enum { CUDA_KV_GROUP = 32 }; /* values of a scale of Q4 */

/* The first words of kern_kv_signs[KERN_KV_TURN]: bit i % 32 of word i / 32 flips value i. */
static __device__ const uint32_t cuda_kv_signs[8] = {
    0x7f4a7c15, 0x9e3779b9, 0x1ce4e5b9, 0xbf58476d, 0x133111eb, 0x94d049bb, 0x4f6cdd1d, 0x2545f491};

/* A row of a page: the key or the value of a token. */
struct cuda_kv_row {
    unsigned char *values;
    float *scale;    /* of I8 and FP8 */
    uint16_t *halfs; /* scales of Q4, of each group */
};

/* Bytes of a row. */
static inline __host__ __device__ size_t cuda_kv_row_bytes(enum kern_cuda_kv_type type,
                                                           unsigned head_dim)
{
    switch (type) {
    case KERN_CUDA_KV_F16:
        return 2 * (size_t)head_dim;
    case KERN_CUDA_KV_Q4:
        return head_dim / 2;
    default:
        return head_dim;
    }
}

/* Bytes of its scales. */
static inline __host__ __device__ unsigned cuda_kv_scale_bytes(enum kern_cuda_kv_type type,
                                                               unsigned head_dim)
{
    switch (type) {
    case KERN_CUDA_KV_F16:
        return 0;
    case KERN_CUDA_KV_Q4:
        return (head_dim + CUDA_KV_GROUP - 1) / CUDA_KV_GROUP * (unsigned)sizeof(uint16_t);
    default:
        return sizeof(float);
    }
}

static inline __host__ __device__ size_t cuda_kv_bytes(enum kern_cuda_kv_type type,
                                                       unsigned head_dim)
{
    const size_t bytes = 2 * KERN_CUDA_PAGE *
                         (cuda_kv_row_bytes(type, head_dim) + cuda_kv_scale_bytes(type, head_dim));

    return (bytes + 15) / 16 * 16;
}

/* A page, here or in the host's memory. */
static inline __device__ unsigned char *cuda_kv_page(const struct kern_cuda_kv &kv, uint32_t page)
{
    return kv.host != NULL && page >= kv.n_pages
               ? (unsigned char *)kv.host + (size_t)(page - kv.n_pages) * kv.page_bytes
               : (unsigned char *)kv.base + (size_t)page * kv.page_bytes;
}

/* The block of a page. */
static inline __device__ unsigned char *cuda_kv_block(const struct kern_cuda_kv &kv, uint32_t page,
                                                      unsigned layer, unsigned head)
{
    return cuda_kv_page(kv, page) +
           ((size_t)layer * kv.n_kv_heads + head) * cuda_kv_bytes(kv.type, kv.head_dim);
}

/* Row `slot` of a block: its key, or its value. */
static inline __device__ struct cuda_kv_row cuda_kv_row_of(const struct kern_cuda_kv &kv,
                                                           unsigned char *block, unsigned slot,
                                                           bool is_value)
{
    const size_t row = cuda_kv_row_bytes(kv.type, kv.head_dim);
    const unsigned n = cuda_kv_scale_bytes(kv.type, kv.head_dim);
    const unsigned i = slot + (is_value ? (unsigned)KERN_CUDA_PAGE : 0u);
    struct cuda_kv_row r;

    r.values = block + row * i;
    r.scale = (float *)(block + 2 * KERN_CUDA_PAGE * row + (size_t)n * i);
    r.halfs = (uint16_t *)r.scale;
    return r;
}

/* Value i of a row. */
static inline __device__ float cuda_kv_value(enum kern_cuda_kv_type type,
                                             const struct cuda_kv_row &r, unsigned i)
{
    switch (type) {
    case KERN_CUDA_KV_F16:
        return ptx_f16_f32(((const uint16_t *)r.values)[i]);
    case KERN_CUDA_KV_I8:
        return (float)((const signed char *)r.values)[i] * r.scale[0];
    case KERN_CUDA_KV_FP8:
        return dev_e4m3_f32(r.values[i]) * r.scale[0];
    default: {
        const int q = (r.values[i / 2] >> (4 * (i & 1)) & 15) - 8;

        return (float)q * ptx_f16_f32(r.halfs[i / CUDA_KV_GROUP]);
    }
    }
}

/* Flips the signs of x[n], which lie in shared memory; a warp calls it. */
static inline __device__ void cuda_flip(float *x, unsigned n, unsigned lane)
{
    for (unsigned i = lane; i < n; i += 32)
        if (cuda_kv_signs[i / 32] >> i % 32 & 1)
            x[i] = -x[i];
    __syncwarp();
}

/* Rotates x[n] (shared memory, n at most 256) as kern_kv_rotate does, or back as kern_kv_rotate_back, to the same bits; every thread of the
 * warp calls it. A length that is no power of two goes in pieces that are, the largest first. */
static inline __device__ void cuda_rotate(float *x, unsigned n, bool back, unsigned lane)
{
    __syncwarp();
    if (!back)
        cuda_flip(x, n, lane);
    for (unsigned from = 0, piece; from < n; from += piece) {
        float *p = x + from;

        for (piece = 1; 2 * piece <= n - from; piece *= 2)
            continue;
        for (unsigned half = 1; half < piece; half *= 2) {
            for (unsigned i = lane; i < piece / 2; i += 32) {
                const unsigned a = i / half * 2 * half + i % half, b = a + half;
                const float va = p[a], vb = p[b];

                p[a] = va + vb;
                p[b] = va - vb;
            }
            __syncwarp();
        }

        const float norm = 1.0f / sqrtf((float)piece);

        for (unsigned i = lane; i < piece; i += 32)
            p[i] *= norm;
        __syncwarp();
    }
    if (back)
        cuda_flip(x, n, lane);
}

#endif
