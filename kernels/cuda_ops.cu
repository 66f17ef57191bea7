/* kernels/cuda_ops.cu - norms, activation, residual, gathering of rows, and which experts a token goes to.
 *
 * A block of NORM_THREADS does a row; sums have one order, whatever else is in the step. The residual, the norm and the integers for the
 * next product are one pass (kern_cuda_add_norm_quantize), since a step of one token is made of launches. */
#include <limits.h>

#include "kernels/cuda_dev.cuh"
#include "kernels/cuda_private.h"

enum { NORM_THREADS = 256, NORM_WARPS = NORM_THREADS / 32, MAP_THREADS = 256, MAX_USED = 32 };

/* 1 / sqrt(mean(x^2) + eps) of a row. */
static __device__ float norm_scale(const float *x, size_t n, float eps, float *part)
{
    float sum = 0;

    for (size_t i = threadIdx.x; i < n; i += NORM_THREADS)
        sum = fmaf(x[i], x[i], sum);
    return 1.0f / sqrtf(dev_block_sum(sum, part) / (float)n + eps);
}

/* ---- norms ------------------------------------------------------------------------------ */

/* out, x: [token][n]; w: [n] or NULL. A block a token. */
static __global__ void rms_norm_kernel(float *out, const float *x, const float *w, size_t n,
                                       float eps)
{
    __shared__ float part[WARP];
    const size_t at = blockIdx.x * n;
    const float scale = norm_scale(x + at, n, eps, part);

    for (size_t i = threadIdx.x; i < n; i += NORM_THREADS)
        out[at + i] = x[at + i] * scale * (w != NULL ? w[i] : 1.0f);
}

/* x, y: [token][cols]; y_norm, w: [cols]. A block a token, a warp 32 columns at a time. */
static __global__ void add_norm_quantize_kernel(float *x, const float *y, const float *y_norm,
                                                const float *w, float eps, struct kern_cuda_acts a)
{
    __shared__ float part[WARP];
    const size_t n = a.cols, at = blockIdx.x * n;
    float scale = 1;

    if (y != NULL) {
        if (y_norm != NULL)
            scale = norm_scale(y + at, n, eps, part);
        for (size_t i = threadIdx.x; i < n; i += NORM_THREADS)
            x[at + i] += y_norm != NULL ? y[at + i] * scale * y_norm[i] : y[at + i];
        __syncthreads(); /* what a thread added others read, and part is free */
    }
    scale = norm_scale(x + at, n, eps, part);
    for (size_t b = threadIdx.x / 32; b < n / 32; b += NORM_WARPS) {
        const unsigned lane = threadIdx.x % 32;
        const size_t i = b * 32 + lane;
        const float v = x[at + i] * scale * (w != NULL ? w[i] : 1.0f);

        if (a.x != NULL)
            ((float *)a.x)[at + i] = v;
        dev_acts_put(a, blockIdx.x, (unsigned)b, lane, v);
    }
}

/* ---- one number at a time --------------------------------------------------------------- */

static __global__ void gate_mul_kernel(float *out, const float *gate, const float *up, size_t n,
                                       enum kern_cuda_gate f)
{
    const size_t i = blockIdx.x * (size_t)MAP_THREADS + threadIdx.x;

    if (i < n)
        out[i] = (f == KERN_CUDA_GELU ? dev_gelu(gate[i]) : dev_silu(gate[i])) * up[i];
}

static __global__ void add_kernel(float *x, const float *y, size_t n)
{
    const size_t i = blockIdx.x * (size_t)MAP_THREADS + threadIdx.x;

    if (i < n)
        x[i] += y[i];
}

static __global__ void soft_cap_kernel(float *x, size_t n, float cap)
{
    const size_t i = blockIdx.x * (size_t)MAP_THREADS + threadIdx.x;

    if (i < n)
        x[i] = cap * tanhf(x[i] / cap);
}

/* out[row][cols] = x[index[row] / div][cols]. blockIdx.y: row. */
static __global__ void gather_kernel(float *out, const float *x, const int32_t *index, unsigned div,
                                     size_t cols)
{
    const size_t i = blockIdx.x * (size_t)MAP_THREADS + threadIdx.x;
    const size_t from = (size_t)index[blockIdx.y];

    if (i < cols)
        out[blockIdx.y * cols + i] = x[from / div * cols + i];
}

/* A warp a row and token. w: [rows][cols]; x: [token][cols]; out: [token][rows]. */
static __global__ void matmul_f32_kernel(float *out, const float *w, const float *x, unsigned rows,
                                         size_t cols)
{
    float sum = 0;

    for (size_t i = dev_lane(); i < cols; i += WARP)
        sum = fmaf(w[blockIdx.x * cols + i], x[blockIdx.y * cols + i], sum);
    sum = dev_warp_sum(sum);
    if (dev_lane() == 0)
        out[blockIdx.y * (size_t)rows + blockIdx.x] = sum;
}

/* ---- experts ---------------------------------------------------------------------------- */

/* A warp a token: takes the largest that is left, n_used times, the first of equals first. router: [token][n_experts]. */
static __global__ void route_kernel(const float *router, unsigned n_experts, unsigned n_used,
                                    int32_t *chosen, float *weight)
{
    const unsigned lane = threadIdx.x;
    const float *z = router + (size_t)blockIdx.x * n_experts;
    float values[16], sum = 0, top = 0; /* values: of this lane; -infinity when taken */
    float mine = 0;                     /* lane i: number i of those that are chosen */

    for (unsigned i = 0; i < 16; i++) {
        const unsigned e = i * 32 + lane;

        values[i] = e < n_experts && !isnan(z[e]) ? z[e] : -INFINITY;
    }
    unsigned taken = 0; /* bits: of this lane's values */
    for (unsigned u = 0; u < n_used; u++) {
        float best = -INFINITY;
        unsigned at = UINT_MAX; /* a number behind all */

        for (unsigned i = 0; i < 16; i++) {
            const unsigned e = i * 32 + lane;

            if (e < n_experts && (taken >> i & 1) == 0 && (at == UINT_MAX || values[i] > best)) {
                best = values[i];
                at = e;
            }
        }
        for (int step = 16; step > 0; step /= 2) {
            const float other = __shfl_xor_sync(WARP_ALL, best, step);
            const unsigned there = __shfl_xor_sync(WARP_ALL, at, step);

            if (there != UINT_MAX &&
                (at == UINT_MAX || other > best || (other == best && there < at))) {
                best = other;
                at = there;
            }
        }
        if (at % 32 == lane)
            taken |= 1u << at / 32;
        if (lane == u)
            mine = best;
        if (u == 0)
            top = best;
        if (lane == 0)
            chosen[(size_t)blockIdx.x * n_used + u] = (int32_t)at;
    }
    mine = lane < n_used ? expf(mine - top) : 0.0f;
    for (unsigned u = 0; u < n_used; u++)
        sum += __shfl_sync(WARP_ALL, mine, (int)u);
    if (lane < n_used)
        weight[(size_t)blockIdx.x * n_used + lane] = mine / sum;
}

/* x[token][cols] += sum over u of weight[token][u] * y[token][u][cols], in order. blockIdx.y: token. */
static __global__ void combine_kernel(float *x, const float *y, const float *weight,
                                      unsigned n_used, size_t cols)
{
    const size_t i = blockIdx.x * (size_t)MAP_THREADS + threadIdx.x;
    float sum;

    if (i >= cols)
        return;
    sum = x[blockIdx.y * cols + i];
    for (size_t p = (size_t)blockIdx.y * n_used; p < (size_t)(blockIdx.y + 1) * n_used; p++)
        sum = fmaf(weight[p], y[p * cols + i], sum);
    x[blockIdx.y * cols + i] = sum;
}

/* ---- launchers -------------------------------------------------------------------------- */

static dim3 map_grid(size_t n)
{
    return dim3((unsigned)((n + MAP_THREADS - 1) / MAP_THREADS));
}

static dim3 map_rows(size_t cols, unsigned rows)
{
    return dim3((unsigned)((cols + MAP_THREADS - 1) / MAP_THREADS), rows);
}

void kern_cuda_rms_norm(struct kern_cuda *c, float *out, const float *x, const float *w,
                        unsigned n_tokens, size_t n, float eps)
{
    if (n_tokens != 0)
        kern_cuda_run(c, "rms_norm", rms_norm_kernel, dim3(n_tokens), dim3(NORM_THREADS), 0, out, x,
                      w, n, eps);
}

void kern_cuda_add_norm_quantize(struct kern_cuda *c, float *x, const float *y, const float *y_norm,
                                 const float *w, float eps, const struct kern_cuda_acts *a)
{
    if (a->n_tokens != 0)
        kern_cuda_run(c, "add_norm_quantize", add_norm_quantize_kernel, dim3(a->n_tokens),
                      dim3(NORM_THREADS), 0, x, y, y_norm, w, eps, *a);
}

void kern_cuda_gate_mul(struct kern_cuda *c, float *out, const float *gate, const float *up,
                        size_t n, enum kern_cuda_gate f)
{
    if (n != 0)
        kern_cuda_run(c, "gate_mul", gate_mul_kernel, map_grid(n), dim3(MAP_THREADS), 0, out, gate,
                      up, n, f);
}

void kern_cuda_add(struct kern_cuda *c, float *x, const float *y, size_t n)
{
    if (n != 0)
        kern_cuda_run(c, "add", add_kernel, map_grid(n), dim3(MAP_THREADS), 0, x, y, n);
}

void kern_cuda_soft_cap(struct kern_cuda *c, float *x, size_t n, float cap)
{
    if (n != 0)
        kern_cuda_run(c, "soft_cap", soft_cap_kernel, map_grid(n), dim3(MAP_THREADS), 0, x, n, cap);
}

void kern_cuda_gather(struct kern_cuda *c, float *out, const float *x, const int32_t *index,
                      unsigned n_rows, unsigned div, size_t cols)
{
    if (n_rows != 0)
        kern_cuda_run(c, "gather", gather_kernel, map_rows(cols, n_rows), dim3(MAP_THREADS), 0, out,
                      x, index, div, cols);
}

void kern_cuda_matmul_f32(struct kern_cuda *c, float *out, const float *w, const float *x,
                          unsigned n_tokens, unsigned rows, size_t cols)
{
    if (n_tokens != 0)
        kern_cuda_run(c, "product of floats", matmul_f32_kernel, dim3(rows, n_tokens), dim3(WARP),
                      0, out, w, x, rows, cols);
}

void kern_cuda_route(struct kern_cuda *c, const float *router, unsigned n_tokens,
                     unsigned n_experts, unsigned n_used, int32_t *chosen, float *weight)
{
    if (n_tokens != 0)
        kern_cuda_run(c, "route", route_kernel, dim3(n_tokens), dim3(32), 0, router, n_experts,
                      n_used, chosen, weight);
}

void kern_cuda_combine(struct kern_cuda *c, float *x, const float *y, const float *weight,
                       unsigned n_tokens, unsigned n_used, size_t cols)
{
    if (n_tokens != 0)
        kern_cuda_run(c, "combine", combine_kernel, map_rows(cols, n_tokens), dim3(MAP_THREADS), 0,
                      x, y, weight, n_used, cols);
}
