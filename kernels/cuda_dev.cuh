/* kernels/cuda_dev.cuh - private: small things that many kernels do. */
#ifndef KERNELS_CUDA_DEV_CUH
#define KERNELS_CUDA_DEV_CUH

#include "kernels/cuda.h"
#include "kernels/cuda_ptx.cuh"

enum { WARP = 32 };
#define WARP_ALL 0xffffffffu

DEV unsigned dev_lane()
{
    return threadIdx.x % WARP;
}
DEV unsigned dev_warp()
{
    return threadIdx.x / WARP;
}

/* Over the 32 lanes, the same value in each; all lanes call. */
DEV float dev_warp_sum(float v)
{
#pragma unroll
    for (int m = WARP / 2; m > 0; m /= 2)
        v += __shfl_xor_sync(WARP_ALL, v, m);
    return v;
}
DEV float dev_warp_max(float v)
{
#pragma unroll
    for (int m = WARP / 2; m > 0; m /= 2)
        v = fmaxf(v, __shfl_xor_sync(WARP_ALL, v, m));
    return v;
}
DEV int dev_warp_sum_int(int v)
{
#pragma unroll
    for (int m = WARP / 2; m > 0; m /= 2)
        v += __shfl_xor_sync(WARP_ALL, v, m);
    return v;
}

/* Over the block, the same value in each thread; all threads call. part: shared, [32], free to be used again behind the next
 * __syncthreads. blockDim.x is a multiple of 32. */
DEV float dev_block_sum(float v, float *part)
{
    v = dev_warp_sum(v);
    if (dev_lane() == 0)
        part[dev_warp()] = v;
    __syncthreads();
    return dev_warp_sum(dev_lane() < blockDim.x / WARP ? part[dev_lane()] : 0.0f);
}
DEV float dev_block_max(float v, float *part)
{
    v = dev_warp_max(v);
    if (dev_lane() == 0)
        part[dev_warp()] = v;
    __syncthreads();
    return dev_warp_max(dev_lane() < blockDim.x / WARP ? part[dev_lane()] : -INFINITY);
}

DEV float dev_bf16_f32(uint16_t h)
{
    return __uint_as_float((uint32_t)h << 16);
}

/* e4m3 (4 bits of exponent, 3 of mantissa, largest 448), the low byte of x; not for NaN. */
DEV float dev_e4m3_f32(uint32_t x)
{
    return ptx_f16_f32((uint16_t)((x & 0x80) << 8 | (x & 0x7f) << 7)) * 256.0f;
}

/* To nearest even, clamped to 448. */
DEV uint32_t dev_f32_e4m3(float f)
{
    const uint32_t sign = __float_as_uint(f) >> 24 & 0x80;
    const float a = fminf(fabsf(f), 448.0f);
    const uint32_t u = __float_as_uint(a);

    if (a < 0.015625f) /* below 2^-6: steps of 2^-9 */
        return sign | (uint32_t)__float2int_rn(a * 512.0f);
    return sign | (((u + 0x7ffffu + (u >> 20 & 1)) >> 20) - (120u << 3));
}

/* A warp gives the 32 values of a block of a token, a lane one each: their integers, scale and sum go to their places, bits as
 * kern_ops.quantize makes them. No product here may become part of a fused one. */
DEV void dev_acts_put(const struct kern_cuda_acts &a, size_t token, size_t block, unsigned lane,
                      float v)
{
    const float amax = dev_warp_max(fabsf(v));
    const bool finite = __all_sync(WARP_ALL, isfinite(v)) != 0;
    const float inv = finite && amax >= 1e-30f ? 127.0f / amax : 0.0f;
    const float scaled = inv > 0 ? __fmul_rn(v, inv) : 0.0f;
    const int q = __float2int_rn(scaled);
    const size_t at = token * a.cols + block * 32 + lane;
    const size_t scale_at = token * (a.cols / 32) + block;
    int whole = q;
    float d = !finite ? __uint_as_float(0x7fc00000u) : amax >= 1e-30f ? amax / 127.0f : 0.0f;

    a.q[at] = (int8_t)q;
    if (a.fine) {
        const int rest = __float2int_rn(__fmul_rn(scaled - (float)q, 256.0f));
        const int r = rest > 127 ? 127 : rest < -127 ? -127 : rest;

        a.r[at] = (int8_t)r;
        whole = 256 * q + r;
        d = __fmul_rn(d, 1.0f / 256);
    }
    whole = dev_warp_sum_int(whole);
    if (lane == 0) {
        a.d[scale_at] = d;
        a.ds[scale_at] = __fmul_rn(d, (float)whole);
    }
}

/* The functions of gates, as kern_ops.silu_mul and gelu_mul define them. */
DEV float dev_silu(float g)
{
    return g / (1.0f + expf(-g));
}
DEV float dev_gelu(float g)
{
    return g / (1.0f + expf(-2.0f * 0.7978845608f * (g + 0.044715f * g * g * g)));
}

#endif
