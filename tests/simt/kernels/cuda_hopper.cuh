/* tests/simt/kernels/cuda_hopper.cuh - the same functions as kernels/cuda_hopper.cuh, by tests/simt/simt_hopper.cc. */
#ifndef KERNELS_CUDA_HOPPER_CUH
#define KERNELS_CUDA_HOPPER_CUH

#include "kernels/cuda_ptx.cuh"
#include "tests/simt/simt_hopper.h"

#define KERN_HOPPER 1
#define KERN_TENSOR const CUtensorMap

DEV uint32_t ptx_shared(const void *p)
{
    return simt_shared_address(p);
}
DEV void ptx_barrier_init(uint64_t *b, unsigned count)
{
    simt_barrier_init(b, count);
}
DEV void ptx_barrier_seen()
{
}
DEV void ptx_barrier_arrive(uint64_t *b)
{
    simt_barrier_arrive(b);
}
DEV void ptx_barrier_expect(uint64_t *b, unsigned bytes)
{
    simt_barrier_expect(b, bytes);
}
DEV void ptx_barrier_wait(uint64_t *b, unsigned parity)
{
    simt_barrier_wait(b, parity);
}
DEV void ptx_bulk(void *shared, const void *global, unsigned bytes, uint64_t *b)
{
    simt_bulk(shared, global, bytes, b);
}
DEV void ptx_tensor(void *shared, const CUtensorMap *m, unsigned x, unsigned y, uint64_t *b)
{
    simt_tensor(shared, m, x, y, b);
}

DEV void ptx_wgmma_fence()
{
    simt_wgmma_fence();
}
DEV void ptx_wgmma_commit()
{
    simt_wgmma_commit();
}
template <int N> DEV void ptx_wgmma_wait()
{
    simt_wgmma_wait(N);
}
template <class T, int N> DEV void ptx_wgmma_hold(T (&)[N])
{
}
template <bool ADD, int N> DEV void ptx_wgmma_s8(int (&d)[N], const uint32_t (&a)[4], uint64_t b)
{
    simt_wgmma(SIMT_S8, d, 2 * N, a, b, ADD);
}
template <bool ADD, int N>
DEV void ptx_wgmma_bf16(float (&d)[N], const uint32_t (&a)[4], uint64_t b)
{
    simt_wgmma(SIMT_BF16, d, 2 * N, a, b, ADD);
}
template <bool ADD, int N> DEV void ptx_wgmma_f16(float (&d)[N], const uint32_t (&a)[4], uint64_t b)
{
    simt_wgmma(SIMT_F16, d, 2 * N, a, b, ADD);
}
template <bool ADD, int N>
DEV void ptx_wgmma_e4m3(float (&d)[N], const uint32_t (&a)[4], uint64_t b)
{
    simt_wgmma(SIMT_E4M3, d, 2 * N, a, b, ADD);
}

template <int N> DEV void ptx_registers_less()
{
    static_assert(N >= 24 && N <= 256 && N % 8 == 0, "setmaxnreg takes no other");
}
template <int N> DEV void ptx_registers_more()
{
    static_assert(N >= 24 && N <= 256 && N % 8 == 0, "setmaxnreg takes no other");
}

#endif
