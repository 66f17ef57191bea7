/* tests/simt/cuda_runtime.h - stands in for NVIDIA's header where the kernels are compiled by g++ for the tests.
 *
 * A block's threads are fibers that run in turns, one block after the other; barriers, shuffles and votes are
 * meeting points of fibers. The order of turns is changed between launches (simt_order), asynchronous copies are done as late
 * as the kernel allows, and shared memory begins as garbage: what depends on luck shows. Device memory is ordinary memory.
 * One host thread. */
#ifndef TESTS_SIMT_CUDA_RUNTIME_H
#define TESTS_SIMT_CUDA_RUNTIME_H

#include <emmintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __constant__    static const
#define __forceinline__ inline __attribute__((always_inline))
#define __shared__      static
#define __align__(n)    __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};
struct uint2 {
    unsigned x, y;
} __attribute__((aligned(8)));
struct int2 {
    int x, y;
} __attribute__((aligned(8)));
struct uint4 {
    unsigned x, y, z, w;
} __attribute__((aligned(16)));
struct int4 {
    int x, y, z, w;
} __attribute__((aligned(16)));
struct float2 {
    float x, y;
} __attribute__((aligned(8)));
struct float4 {
    float x, y, z, w;
} __attribute__((aligned(16)));
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}
static inline float2 make_float2(float x, float y)
{
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

/* ---- the fibers (simt.cc) ----------------------------------------------------------------- */

struct simt_place {
    dim3 thread, block, block_dim, grid_dim;
};
extern struct simt_place *simt_here; /* of the fiber that runs */
#define threadIdx (simt_here->thread)
#define blockIdx  (simt_here->block)
#define blockDim  (simt_here->block_dim)
#define gridDim   (simt_here->grid_dim)

/* 0: threads take turns in order, 1: from the last to the first, else: shuffled by this seed. */
extern unsigned simt_order;
/* Launches and threads so far. */
extern unsigned long simt_launches, simt_threads;

void simt_run(dim3 grid, dim3 block, size_t shared, void (*body)(void *), void *ctx);
void *simt_shared(void); /* the block's dynamic shared memory */
const void *simt_meet(const void *mine,
                      size_t bytes); /* [32][64]: what each lane of the warp gave */
void simt_sync(void);
/* The address of a place in the block's shared memory, as instructions take it, and back (NULL: there is none). */
uint32_t simt_shared_address(const void *p);
void *simt_shared_at(uint32_t address);
void simt_poll(void); /* lets the others run: what this thread waits for is not there yet */
void simt_stir(void); /* something that others may poll for has changed */
void simt_copy(void *to, const void *from, unsigned bytes, bool real);
void simt_copy_commit(void);
void simt_copy_wait(unsigned newest);
[[noreturn]] void simt_die(const char *why);

#define __syncthreads()     simt_sync()
#define __syncwarp(...)     ((void)simt_meet(NULL, 0))
#define __threadfence()     ((void)0)
#define __trap()            simt_die("trap")
#define __builtin_assume(x) ((void)0)

enum { SIMT_SLOT = 64 };

template <class T> static inline T simt_from(const void *all, unsigned lane)
{
    T v;
    memcpy(&v, (const char *)all + lane * SIMT_SLOT, sizeof(v));
    return v;
}
static inline unsigned simt_lane()
{
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}
template <class T> static inline T __shfl_sync(unsigned, T v, int lane, int width = 32)
{
    const unsigned first = simt_lane() / (unsigned)width * (unsigned)width;
    return simt_from<T>(simt_meet(&v, sizeof(v)), first + ((unsigned)lane & ((unsigned)width - 1)));
}
template <class T> static inline T __shfl_xor_sync(unsigned, T v, int mask, int = 32)
{
    return simt_from<T>(simt_meet(&v, sizeof(v)), simt_lane() ^ (unsigned)mask);
}
template <class T> static inline T __shfl_down_sync(unsigned, T v, unsigned by, int = 32)
{
    const unsigned l = simt_lane();
    return simt_from<T>(simt_meet(&v, sizeof(v)), l + by < 32 ? l + by : l);
}
template <class T> static inline T __shfl_up_sync(unsigned, T v, unsigned by, int = 32)
{
    const unsigned l = simt_lane();
    return simt_from<T>(simt_meet(&v, sizeof(v)), l >= by ? l - by : l);
}
static inline unsigned __ballot_sync(unsigned, int v)
{
    const int mine = v != 0;
    const void *all = simt_meet(&mine, sizeof(mine));
    unsigned r = 0;
    for (unsigned i = 0; i < 32; i++)
        r |= simt_from<int>(all, i) == 1 ? 1u << i : 0;
    return r;
}
static inline int __any_sync(unsigned m, int v)
{
    return __ballot_sync(m, v) != 0;
}
static inline int __all_sync(unsigned m, int v)
{
    return __ballot_sync(m, v) == 0xffffffffu;
}
static inline int __syncthreads_or(int v)
{
    static int any;
    simt_sync();
    any = 0;
    simt_sync();
    any |= v;
    simt_sync();
    return any;
}

/* ---- arithmetic --------------------------------------------------------------------------- */

static inline int __dp4a(int a, int b, int c)
{
    for (int i = 0; i < 32; i += 8)
        c += (int)(int8_t)(a >> i) * (int8_t)(b >> i);
    return c;
}
static inline int __dp4a(unsigned a, unsigned b, unsigned c)
{
    for (int i = 0; i < 32; i += 8)
        c += (a >> i & 255) * (b >> i & 255);
    return (int)c;
}
/* of 32 signed bytes: widened to 16 bits, multiplied and added in pairs */
static inline int simt_dot(const void *a, const void *b)
{
    const __m128i none = _mm_setzero_si128();
    __m128i sum = none;

    for (int i = 0; i < 2; i++) {
        const __m128i x = _mm_loadu_si128(static_cast<const __m128i *>(a) + i);
        const __m128i y = _mm_loadu_si128(static_cast<const __m128i *>(b) + i);
        const __m128i up_x = _mm_cmplt_epi8(x, none), up_y = _mm_cmplt_epi8(y, none);

        sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_unpacklo_epi8(x, up_x), _mm_unpacklo_epi8(y, up_y)));
        sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_unpackhi_epi8(x, up_x), _mm_unpackhi_epi8(y, up_y)));
    }
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm_cvtsi128_si32(sum);
}
/* What each binary16 stands for, by the CPU's kern_f16_f32(). */
struct simt_halves {
    float of[65536];
    simt_halves();
};
extern const simt_halves simt_f16;
static inline float __uint_as_float(unsigned u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline unsigned __float_as_uint(float f)
{
    unsigned u;
    memcpy(&u, &f, 4);
    return u;
}
static inline float __int_as_float(int i)
{
    return __uint_as_float((unsigned)i);
}
static inline int __float_as_int(float f)
{
    return (int)__float_as_uint(f);
}
static inline int __float2int_rn(float f)
{
    return (int)lrintf(f);
}
static inline float rsqrtf(float f)
{
    return 1.0f / sqrtf(f);
}
#define __expf(x)        expf(x)
#define __logf(x)        logf(x)
#define __fdividef(a, b) ((a) / (b))
#define __frcp_rn(a)     (1.0f / (a))
#define __fdiv_rn(a, b)  ((a) / (b))
#define __fmul_rn(a, b)  ((a) * (b))
#define __fadd_rn(a, b)  ((a) + (b))
#define __ldg(p)         (*(p))
#define __popc(x)        __builtin_popcount(x)
#define __clz(x)         ((x) == 0 ? 32 : __builtin_clz((unsigned)(x)))
#define __ffs(x)         __builtin_ffs((int)(x))
template <class T> static inline T min(T a, T b)
{
    return b < a ? b : a;
}
template <class T> static inline T max(T a, T b)
{
    return a < b ? b : a;
}
template <class T> static inline T atomicAdd(T *p, T v)
{
    const T old = *p;
    *p = old + v;
    return old;
}
template <class T> static inline T atomicMax(T *p, T v)
{
    const T old = *p;
    *p = old < v ? v : old;
    return old;
}
template <class T> static inline T atomicMin(T *p, T v)
{
    const T old = *p;
    *p = v < old ? v : old;
    return old;
}
template <class T> static inline T atomicExch(T *p, T v)
{
    const T old = *p;
    *p = v;
    return old;
}
template <class T> static inline T atomicCAS(T *p, T was, T v)
{
    const T old = *p;
    if (old == was)
        *p = v;
    return old;
}

#include "tests/simt/simt_host.h"
#endif
