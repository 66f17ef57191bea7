/* kernels/cuda_kv.cuh - private: how the pages of the KV cache hold numbers on a device, for cuda_kv.cu (which writes) and
 * cuda_attn.cu (which reads).
 *
 * A block is that of one page, layer and KV head: K [16][row], V [16][row], then with KERN_CUDA_KV_I8 and FP8 floats k_scale[16],
 * v_scale[16], with Q4 k_scale[16][head_dim / 32], v_scale[16][head_dim / 32]. A row is head_dim halfs, int8, e4m3 or nibbles;
 * byte i of a row of nibbles has value 2 i in its low and 2 i + 1 in its high half. Q4 holds rows that were rotated by cuda_rotate(). */
#ifndef KERNELS_CUDA_KV_CUH
#define KERNELS_CUDA_KV_CUH

#include "kernels/cuda_dev.cuh"
#include "kernels/cuda_private.h"

enum { CUDA_KV_GROUP = 32 }; /* values of a scale of Q4 */

/* A row of a page: the key or the value of a token. */
struct cuda_kv_row {
    unsigned char *values;
    float *scale; /* NULL: F16 */
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

/* Scales of a row. */
static inline __host__ __device__ unsigned cuda_kv_scales(enum kern_cuda_kv_type type,
                                                          unsigned head_dim)
{
    switch (type) {
    case KERN_CUDA_KV_F16:
        return 0;
    case KERN_CUDA_KV_Q4:
        return head_dim / CUDA_KV_GROUP;
    default:
        return 1;
    }
}

static inline __host__ __device__ size_t cuda_kv_bytes(enum kern_cuda_kv_type type,
                                                       unsigned head_dim)
{
    const size_t bytes =
        2 * KERN_CUDA_PAGE *
        (cuda_kv_row_bytes(type, head_dim) + cuda_kv_scales(type, head_dim) * sizeof(float));

    return (bytes + 15) / 16 * 16;
}

/* The block of a page. */
static inline __device__ unsigned char *cuda_kv_block(const struct kern_cuda_kv &kv, uint32_t page,
                                                      unsigned layer, unsigned head)
{
    return (unsigned char *)kv.base + (size_t)page * kv.page_bytes +
           ((size_t)layer * kv.n_kv_heads + head) * cuda_kv_bytes(kv.type, kv.head_dim);
}

/* Row `slot` of a block: its key, or its value. */
static inline __device__ struct cuda_kv_row cuda_kv_row_of(const struct kern_cuda_kv &kv,
                                                           unsigned char *block, unsigned slot,
                                                           bool is_value)
{
    const size_t row = cuda_kv_row_bytes(kv.type, kv.head_dim);
    const unsigned n = cuda_kv_scales(kv.type, kv.head_dim);
    const unsigned i = slot + (is_value ? (unsigned)KERN_CUDA_PAGE : 0u);
    struct cuda_kv_row r;

    r.values = block + row * i;
    r.scale = n == 0 ? NULL : (float *)(block + 2 * KERN_CUDA_PAGE * row) + (size_t)n * i;
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

        return (float)q * r.scale[i / CUDA_KV_GROUP];
    }
    }
}

/* Rotates x[n] (n a power of two, in shared memory) by a Hadamard matrix that is its own inverse; every thread of the warp calls it. */
static inline __device__ void cuda_rotate(float *x, unsigned n, unsigned lane)
{
    const float norm = rsqrtf((float)n);

    for (unsigned half = 1; half < n; half *= 2) {
        __syncwarp();
        for (unsigned i = lane; i < n / 2; i += 32) {
            const unsigned a = i / half * 2 * half + i % half, b = a + half;
            const float va = x[a], vb = x[b];

            x[a] = va + vb;
            x[b] = va - vb;
        }
    }
    __syncwarp();
    for (unsigned i = lane; i < n; i += 32)
        x[i] *= norm;
    __syncwarp();
}

#endif
