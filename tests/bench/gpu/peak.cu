/* tests/bench/gpu/peak.cu - see peak.h. */
#include "kernels/cuda_private.h"
#include "tests/bench/gpu/peak.h"

enum { CHAINS = 8, THREADS = 256 };

/* sink: one number, written only if a sum is what it cannot be, so that nothing is left out. */
static __global__ void __launch_bounds__(THREADS) ints_kernel(int turns, int *sink)
{
    const uint32_t a[4] = {threadIdx.x, 1, 2, 3};
    int d[CHAINS][4] = {};

    for (int i = 0; i < turns; i++)
#pragma unroll
        for (int k = 0; k < CHAINS; k++)
            ptx_mma_s8(d[k], a, threadIdx.x, (uint32_t)i);
#pragma unroll
    for (int k = 0; k < CHAINS; k++)
        if (d[k][0] + d[k][1] + d[k][2] + d[k][3] == 0x7fffffff)
            *sink = k;
}

static __global__ void __launch_bounds__(THREADS) floats_kernel(int turns, int *sink)
{
    const uint32_t a[4] = {threadIdx.x, 1, 2, 3};
    float d[CHAINS][4] = {};

    for (int i = 0; i < turns; i++)
#pragma unroll
        for (int k = 0; k < CHAINS; k++)
            ptx_mma_bf16(d[k], a, threadIdx.x, (uint32_t)i);
#pragma unroll
    for (int k = 0; k < CHAINS; k++)
        if (d[k][0] + d[k][1] + d[k][2] + d[k][3] == 1e30f)
            *sink = k;
}

extern "C" double peak_run(struct kern_cuda *c, bool ints, int turns, void *sink)
{
    const unsigned blocks = (unsigned)c->sms * 4;
    const double fragments = (double)blocks * (THREADS / 32) * turns * CHAINS;

    if (ints)
        kern_cuda_run(c, "peak", ints_kernel, dim3(blocks), dim3(THREADS), 0, turns,
                      static_cast<int *>(sink));
    else
        kern_cuda_run(c, "peak", floats_kernel, dim3(blocks), dim3(THREADS), 0, turns,
                      static_cast<int *>(sink));
    return fragments * 2 * 16 * 8 * (ints ? 32 : 16);
}
