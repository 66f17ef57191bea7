/* kernels/cuda_hopper.cuh - private: the instructions of compute capability 9.0 that no other has: barriers in shared memory, copies
 * of tiles by the copy engine (TMA), and products of a warpgroup (wgmma). What cuda_ptx.cuh is for the others; the tests put
 * tests/simt/kernels/cuda_hopper.cuh before it.
 *
 * A warpgroup is four warps, the first of which has a number that is a multiple of 4. Section numbers: PTX ISA 9.2. */
#ifndef KERNELS_CUDA_HOPPER_CUH
#define KERNELS_CUDA_HOPPER_CUH

#include <cuda.h>

#include "kernels/cuda_ptx.cuh"

/* Code for sm_90a is being compiled; elsewhere the kernels that use this header are empty and are not launched. */
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#    define KERN_HOPPER 1
#else
#    define KERN_HOPPER 0
#endif
#define KERN_TENSOR const __grid_constant__ CUtensorMap

#if KERN_HOPPER
DEV uint32_t ptx_shared(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* ---- barriers in shared memory (mbarrier) -------------------------------------------- */

/* A phase ends when `count` threads arrived and as many bytes came as were announced. One thread; ptx_barrier_seen, then
 * __syncthreads, before another uses it. */
DEV void ptx_barrier_init(uint64_t *b, unsigned count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(ptx_shared(b)), "r"(count)
                 : "memory");
}
DEV void ptx_barrier_seen()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
DEV void ptx_barrier_arrive(uint64_t *b)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(ptx_shared(b)) : "memory");
}
/* Arrives, and announces bytes that copies will bring. */
DEV void ptx_barrier_expect(uint64_t *b, unsigned bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(ptx_shared(b)),
                 "r"(bytes)
                 : "memory");
}
/* Waits until the phase of this parity (0, 1, 0, ... from the first on) is over. Before the first, parity 1 counts as over. */
DEV void ptx_barrier_wait(uint64_t *b, unsigned parity)
{
    asm volatile("{\n"
                 ".reg .pred over;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
                 "@!over bra again;\n"
                 "}" ::"r"(ptx_shared(b)),
                 "r"(parity)
                 : "memory");
}

/* ---- copies behind the threads' back (cp.async.bulk) ------------------------------- */

/* Bytes (a multiple of 16) from global to shared memory, both aligned to 16; b hears of them. One thread. */
DEV void ptx_bulk(void *shared, const void *global, unsigned bytes, uint64_t *b)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], "
                 "%2, [%3];" ::"r"(ptx_shared(shared)),
                 "l"(global), "r"(bytes), "r"(ptx_shared(b))
                 : "memory");
}
/* The box of a tensor whose first element is column x of row y; what lies outside of the tensor is zeros, and counts as bytes. */
DEV void ptx_tensor(void *shared, const CUtensorMap *m, unsigned x, unsigned y, uint64_t *b)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(ptx_shared(shared)),
                 "l"(m), "r"(x), "r"(y), "r"(ptx_shared(b))
                 : "memory");
}

/* ---- products of a warpgroup (9.7.15) ------------------------------------------------ */

/* Before the first product, and between any change of registers and the product that uses them. */
DEV void ptx_wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/* Closes a group of products; wait<N> waits until only the N newest groups are under way. */
DEV void ptx_wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int N> DEV void ptx_wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
/* The compiler moves no use of d over this. Behind a wait, and before a fence. */
template <int N> DEV void ptx_wgmma_hold(int (&d)[N])
{
#    pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+r"(d[i])::"memory");
}
template <int N> DEV void ptx_wgmma_hold(float (&d)[N])
{
#    pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

#    define PTX_4(c, i)  c(d[i]), c(d[(i) + 1]), c(d[(i) + 2]), c(d[(i) + 3])
#    define PTX_16(c, i) PTX_4(c, i), PTX_4(c, (i) + 4), PTX_4(c, (i) + 8), PTX_4(c, (i) + 12)
#    define PTX_32(c)    PTX_16(c, 0), PTX_16(c, 16)
#    define PTX_64(c)    PTX_32(c), PTX_16(c, 32), PTX_16(c, 48)
#    define PTX_D32                                                                                \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                  \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}"
#    define PTX_D64                                                                                \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                  \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"                         \
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"                         \
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}"
/* One product: `tail` is what stands behind the predicate. */
#    define PTX_WGMMA_32(shape, how, tail)                                                         \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\n"                              \
                     "wgmma.mma_async.sync.aligned." shape " " PTX_D32                             \
                     ", {%32,%33,%34,%35}, %36, add" tail ";\n}"                                   \
                     : PTX_32(how)                                                                 \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ADD))
#    define PTX_WGMMA_64(shape, how, tail)                                                         \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\n"                              \
                     "wgmma.mma_async.sync.aligned." shape " " PTX_D64                             \
                     ", {%64,%65,%66,%67}, %68, add" tail ";\n}"                                   \
                     : PTX_64(how)                                                                 \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ADD))

/* d[64][64 or 128] = a[64][32] b[32][..], plus d with ADD, int8: warp w of the group has rows 16w to 16w + 15, a as in ptx_mma_s8,
 * d[4n + i] as its d[i] for columns 8n..; b: a descriptor of b in shared memory, column by column (9.7.15.5.1.2). Done at the wait. */
template <bool ADD> DEV void ptx_wgmma_s8(int (&d)[32], const uint32_t (&a)[4], uint64_t b)
{
    if constexpr (ADD)
        PTX_WGMMA_32("m64n64k32.s32.s8.s8", "+r", "");
    else
        PTX_WGMMA_32("m64n64k32.s32.s8.s8", "=r", "");
}
template <bool ADD> DEV void ptx_wgmma_s8(int (&d)[64], const uint32_t (&a)[4], uint64_t b)
{
    if constexpr (ADD)
        PTX_WGMMA_64("m64n128k32.s32.s8.s8", "+r", "");
    else
        PTX_WGMMA_64("m64n128k32.s32.s8.s8", "=r", "");
}
/* The same with 16 columns of bfloat16 or binary16, a as in ptx_mma_bf16. */
template <bool ADD> DEV void ptx_wgmma_bf16(float (&d)[64], const uint32_t (&a)[4], uint64_t b)
{
    if constexpr (ADD)
        PTX_WGMMA_64("m64n128k16.f32.bf16.bf16", "+f", ", 1, 1, 0");
    else
        PTX_WGMMA_64("m64n128k16.f32.bf16.bf16", "=f", ", 1, 1, 0");
}
template <bool ADD> DEV void ptx_wgmma_f16(float (&d)[64], const uint32_t (&a)[4], uint64_t b)
{
    if constexpr (ADD)
        PTX_WGMMA_64("m64n128k16.f32.f16.f16", "+f", ", 1, 1, 0");
    else
        PTX_WGMMA_64("m64n128k16.f32.f16.f16", "=f", ", 1, 1, 0");
}
/* The same with 32 columns of e4m3, a as in ptx_mma_s8. The sum has fewer bits than a float: add it to one from time to time. */
template <bool ADD> DEV void ptx_wgmma_e4m3(float (&d)[64], const uint32_t (&a)[4], uint64_t b)
{
    if constexpr (ADD)
        PTX_WGMMA_64("m64n128k32.f32.e4m3.e4m3", "+f", ", 1, 1");
    else
        PTX_WGMMA_64("m64n128k32.f32.e4m3.e4m3", "=f", ", 1, 1");
}

/* Gives registers of each thread back to the block, or takes them (setmaxnreg): a whole warpgroup. */
template <int N> DEV void ptx_registers_less()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N> DEV void ptx_registers_more()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
#endif

#endif
