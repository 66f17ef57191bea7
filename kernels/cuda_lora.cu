/* kernels/cuda_lora.cu - what adapters add to a product: out += b (a x), each token with its own adapter or none.
 *
 * Adapters are few rows and columns of floats, so these are plain sums. A token's sum has one order, whatever else is in the step; who has which
 * adapter lies on the device, so a recorded step serves any mixture of them. Shapes are [outer][inner]. */
#include "kernels/cuda_dev.cuh"
#include "kernels/cuda_private.h"

enum { LORA_THREADS = 128, LORA_TILE = 4 }; /* tokens that read a row of a together */

/* low[token][max_rank] = a x of the token's adapter. blockIdx.x: row of a; blockIdx.y: LORA_TILE tokens, of which neighbours with one adapter read the
 * row once. x: [token][cols]. */
static __global__ void lora_low_kernel(const struct kern_cuda_lora *parts, const int32_t *of,
                                       float *low, unsigned max_rank, const float *x,
                                       unsigned n_tokens, size_t cols)
{
    __shared__ float part[WARP];
    const unsigned end = min((blockIdx.y + 1) * (unsigned)LORA_TILE, n_tokens);

    for (unsigned t = blockIdx.y * LORA_TILE, n; t < end; t += n) {
        const int32_t mine = of[t];
        float sum[LORA_TILE];

        for (n = 1; t + n < end && of[t + n] == mine; n++)
            continue;
        if (mine < 0 || blockIdx.x >= parts[mine].rank)
            continue; /* the whole block */

        const float *row = parts[mine].a + blockIdx.x * cols;

#pragma unroll
        for (unsigned k = 0; k < LORA_TILE; k++)
            sum[k] = 0;
        for (size_t i = threadIdx.x; i < cols; i += LORA_THREADS) {
            const float w = row[i];

#pragma unroll
            for (unsigned k = 0; k < LORA_TILE; k++)
                if (k < n)
                    sum[k] = fmaf(w, x[(t + k) * cols + i], sum[k]);
        }
#pragma unroll
        for (unsigned k = 0; k < LORA_TILE; k++) {
            if (k >= n)
                break;
            const float all = dev_block_sum(sum[k], part);

            if (threadIdx.x == 0)
                low[(t + k) * (size_t)max_rank + blockIdx.x] = all;
            __syncthreads(); /* part is free */
        }
    }
}

/* out[token][row] += b[row] . low[token]. blockIdx.y: token; a thread a row. */
static __global__ void lora_high_kernel(const struct kern_cuda_lora *parts, const int32_t *of,
                                        const float *low, unsigned max_rank, size_t rows,
                                        float *out, size_t out_stride)
{
    const size_t row = blockIdx.x * (size_t)LORA_THREADS + threadIdx.x;
    const int32_t mine = of[blockIdx.y];
    float sum = 0;

    if (mine < 0 || row >= rows || parts[mine].rank == 0)
        return;

    const unsigned rank = parts[mine].rank;
    const float *b = parts[mine].b + row * rank, *l = low + blockIdx.y * (size_t)max_rank;

    for (unsigned i = 0; i < rank; i++)
        sum = fmaf(b[i], l[i], sum);
    out[blockIdx.y * out_stride + row] += sum;
}

/* ---- launchers -------------------------------------------------------------------------- */

void kern_cuda_lora(struct kern_cuda *c, const struct kern_cuda_loras *l, const float *x,
                    unsigned n_tokens, size_t rows, size_t cols, float *out, size_t out_stride)
{
    if (n_tokens == 0 || l->max_rank == 0)
        return;
    kern_cuda_run(c, "adapters", lora_low_kernel,
                  dim3(l->max_rank, kern_cuda_div_up(n_tokens, LORA_TILE)), dim3(LORA_THREADS), 0,
                  l->parts, l->of, l->low, l->max_rank, x, n_tokens, cols);
    kern_cuda_run(c, "adapters", lora_high_kernel,
                  dim3(kern_cuda_div_up(rows, LORA_THREADS), n_tokens), dim3(LORA_THREADS), 0,
                  l->parts, l->of, l->low, l->max_rank, rows, out, out_stride);
}
