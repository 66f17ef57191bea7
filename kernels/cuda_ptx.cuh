/* kernels/cuda_ptx.cuh - private: the instructions that C++ has no words for, and the launch.
 *
 * Nothing else in kernels/ holds assembly or <<< >>>. The tests put a file of the same name before this one
 * (tests/simt/kernels/cuda_ptx.cuh), which does the same on the host, so that the kernels themselves run there.
 * Fragments are as the PTX manual has them; lane = threadIdx.x % 32, g = lane / 4, t = lane % 4. */
#ifndef KERNELS_CUDA_PTX_CUH
#define KERNELS_CUDA_PTX_CUH

#include <stdint.h>

#include <cuda_runtime.h>

#define DEV static __device__ __forceinline__

/* type *name: the block's dynamic shared memory, aligned to 128. */
#define KERN_SHARED(type, name)                                                                    \
    extern __shared__ __align__(128) unsigned char kern_shared_[];                                 \
    type *name = reinterpret_cast<type *>(kern_shared_)

/* 16 bytes that are read once: past the first cache. p: global, aligned to 16. */
DEV uint4 ptx_load_once(const void *p)
{
    uint4 v;

    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

/* 4 bytes, likewise. */
DEV uint32_t ptx_load_once4(const void *p)
{
    uint32_t v;

    asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
}

/* binary16 and bfloat16 bits; to nearest even. In a pair `lo` has the low 16 bits. */
DEV float ptx_f16_f32(uint16_t h)
{
    float f;

    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
}
DEV uint16_t ptx_f32_f16(float f)
{
    uint16_t h;

    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}
DEV uint32_t ptx_pack_f16(float lo, float hi)
{
    uint32_t v;

    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(hi), "f"(lo));
    return v;
}
DEV uint32_t ptx_pack_bf16(float lo, float hi)
{
    uint32_t v;

    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(hi), "f"(lo));
    return v;
}

/* d[16][8] += a[16][32] b[32][8], int8. a[0], a[1]: rows g, g + 8, columns 4t..; a[2], a[3]: columns 16 + 4t..; b[0], b[1]: column g,
 * rows 4t.., 16 + 4t..; d: row g columns 2t, 2t + 1, then row g + 8. */
DEV void ptx_mma_s8(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* The same with 16 columns: a0, a1: rows g, g + 8, columns 4t..; b: column g, rows 4t... */
DEV void ptx_mma_s8_k16(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
                 "{%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a0), "r"(a1), "r"(b));
}

/* d[16][8] += a[16][16] b[16][8] in floats. a[0], a[1]: rows g, g + 8, columns 2t, 2t + 1; a[2], a[3]: columns 8 + 2t..; b[0], b[1]:
 * column g, rows 2t, 2t + 1, then 8 + 2t..; d as above. */
DEV void ptx_mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV void ptx_mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8x8 matrices of 16-bit numbers out of shared memory: lane i gives the address (16-byte aligned) of row i % 8 of matrix
 * i / 8; r[j]: row g, columns 2t, 2t + 1 of matrix j; transposed: rows 2t, 2t + 1 of column g. */
DEV void ptx_ldmatrix(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}
DEV void ptx_ldmatrix_trans(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

/* 16 bytes from global to shared memory behind the thread's back, zeros when not `real`; both aligned to 16. commit closes a group,
 * wait<N> waits until only the N newest groups of this thread are under way. */
DEV void ptx_copy16(void *shared, const void *global, bool real)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(global), "r"(real ? 16 : 0)
                 : "memory");
}
/* 4 bytes, likewise; both aligned to 4. */
DEV void ptx_copy4(void *shared, const void *global, bool real)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(global), "r"(real ? 4 : 0)
                 : "memory");
}
DEV void ptx_copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N> DEV void ptx_copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* kernel<<<grid, block, shared, stream>>>(args...), with more shared memory than 48 KiB where it asks for it. */
template <class... P, class... A>
static cudaError_t ptx_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                              cudaStream_t stream, A... args)
{
    if (shared > 48 * 1024) {
        const cudaError_t e =
            cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);

        if (e != cudaSuccess)
            return e;
    }
    kernel<<<grid, block, shared, stream>>>(static_cast<P>(args)...);
    return cudaGetLastError();
}

#endif
