/* tests/simt/kernels/cuda_ptx.cuh - the same functions as kernels/cuda_ptx.cuh, written out for the host. */
#ifndef KERNELS_CUDA_PTX_CUH
#define KERNELS_CUDA_PTX_CUH

#include "tests/simt/cuda_runtime.h"

#define DEV                     static inline __attribute__((unused))
#define KERN_SHARED(type, name) type *name = static_cast<type *>(simt_shared())

static inline void simt_aligned(const void *p, size_t to)
{
    if ((uintptr_t)p % to != 0)
        simt_die("an address is not aligned");
}
DEV uint4 ptx_load_once(const void *p)
{
    simt_aligned(p, 16);
    return *static_cast<const uint4 *>(p);
}
DEV uint32_t ptx_load_once4(const void *p)
{
    simt_aligned(p, 4);
    return *static_cast<const uint32_t *>(p);
}

extern "C" uint16_t kern_f32_f16(float f);
DEV float ptx_f16_f32(uint16_t h)
{
    return simt_f16.of[h];
}
DEV uint16_t ptx_f32_f16(float f)
{
    return kern_f32_f16(f);
}
DEV uint32_t ptx_pack_f16(float lo, float hi)
{
    return (uint32_t)kern_f32_f16(hi) << 16 | kern_f32_f16(lo);
}
static inline uint32_t simt_bf16(float f)
{
    const uint32_t u = __float_as_uint(f);

    return f != f ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16;
}
DEV uint32_t ptx_pack_bf16(float lo, float hi)
{
    return simt_bf16(hi) << 16 | simt_bf16(lo);
}

struct simt_operands {
    uint32_t a[4], b[2];
};
static inline const void *simt_give(const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    const simt_operands o = {{a[0], a[1], a[2], a[3]}, {b0, b1}};

    return simt_meet(&o, sizeof(o));
}
DEV void ptx_mma_s8(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    const void *all = simt_give(a, b0, b1);
    const unsigned g = simt_lane() / 4, t = simt_lane() % 4;
    uint32_t l[2][8], r[2][8]; /* two rows, two columns: eight quarters of 4 codes each */

    for (unsigned k = 0; k < 4; k++) {
        const simt_operands row = simt_from<simt_operands>(all, g * 4 + k);

        for (unsigned i = 0; i < 4; i++)
            l[i % 2][i / 2 * 4 + k] = row.a[i];
        for (unsigned i = 0; i < 2; i++) {
            const simt_operands column = simt_from<simt_operands>(all, (2 * t + i) * 4 + k);

            r[i][k] = column.b[0];
            r[i][4 + k] = column.b[1];
        }
    }
    for (unsigned i = 0; i < 4; i++)
        d[i] += simt_dot(l[i / 2], r[i % 2]);
}
DEV void ptx_mma_s8_k16(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t b)
{
    const uint32_t a[4] = {a0, a1, 0, 0};

    ptx_mma_s8(d, a, b, 0);
}
template <float F(uint16_t)>
static inline void simt_mma_16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    const void *all = simt_give(a, b0, b1);
    const unsigned g = simt_lane() / 4, t = simt_lane() % 4;
    float l[2][16], r[2][16]; /* two rows, two columns */

    for (unsigned k = 0; k < 4; k++) {
        const simt_operands row = simt_from<simt_operands>(all, g * 4 + k);

        for (unsigned i = 0; i < 4; i++) {
            l[i % 2][i / 2 * 8 + 2 * k] = F((uint16_t)row.a[i]);
            l[i % 2][i / 2 * 8 + 2 * k + 1] = F((uint16_t)(row.a[i] >> 16));
        }
        for (unsigned i = 0; i < 2; i++) {
            const simt_operands column = simt_from<simt_operands>(all, (2 * t + i) * 4 + k);

            for (unsigned half = 0; half < 2; half++) {
                r[i][half * 8 + 2 * k] = F((uint16_t)column.b[half]);
                r[i][half * 8 + 2 * k + 1] = F((uint16_t)(column.b[half] >> 16));
            }
        }
    }
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 16; k += 2) /* pairs of columns */
            d[i] += l[i / 2][k] * r[i % 2][k] + l[i / 2][k + 1] * r[i % 2][k + 1];
}
static inline float simt_bf16_f32(uint16_t h)
{
    return __uint_as_float((uint32_t)h << 16);
}
DEV void ptx_mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    simt_mma_16<simt_bf16_f32>(d, a, b0, b1);
}
DEV void ptx_mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    simt_mma_16<ptx_f16_f32>(d, a, b0, b1);
}

DEV void ptx_ldmatrix(uint32_t (&r)[4], const void *row)
{
    const void *all = simt_meet(&row, sizeof(row));
    const unsigned g = simt_lane() / 4, t = simt_lane() % 4;

    for (unsigned j = 0; j < 4; j++) {
        const char *p = simt_from<const char *>(all, 8 * j + g);

        simt_aligned(p, 16);
        memcpy(&r[j], p + 4 * t, 4);
    }
    (void)simt_meet(NULL, 0); /* nobody writes before all have read */
}
DEV void ptx_ldmatrix_trans(uint32_t (&r)[4], const void *row)
{
    const void *all = simt_meet(&row, sizeof(row));
    const unsigned g = simt_lane() / 4, t = simt_lane() % 4;

    for (unsigned j = 0; j < 4; j++) {
        uint16_t v[2];

        for (unsigned i = 0; i < 2; i++) {
            const char *p = simt_from<const char *>(all, 8 * j + 2 * t + i);

            simt_aligned(p, 16);
            memcpy(&v[i], p + 2 * g, 2);
        }
        r[j] = (uint32_t)v[1] << 16 | v[0];
    }
    (void)simt_meet(NULL, 0);
}

DEV void ptx_copy16(void *shared, const void *global, bool real)
{
    simt_aligned(shared, 16);
    simt_aligned(global, 16);
    simt_copy(shared, global, 16, real);
}
DEV void ptx_copy4(void *shared, const void *global, bool real)
{
    simt_aligned(shared, 4);
    simt_aligned(global, 4);
    simt_copy(shared, global, 4, real);
}
DEV void ptx_copy_commit()
{
    simt_copy_commit();
}
template <int N> DEV void ptx_copy_wait()
{
    simt_copy_wait(N);
}

template <class... P, class... A>
static cudaError_t ptx_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                              cudaStream_t stream, A... args)
{
    auto body = [=] { kernel(static_cast<P>(args)...); };

    return simt_queue(
        stream, grid, block, shared, [](void *p) { (*static_cast<decltype(body) *>(p))(); }, &body,
        sizeof(body));
}

#endif
