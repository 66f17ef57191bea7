/* kernels/cuda_acts.cu - what products take in: activations as integers, and rows of a matrix as floats (embeddings). */
#include "kernels/cuda_dev.cuh"
#include "kernels/cuda_private.h"
#include "kernels/cuda_weights.cuh"

enum { ACTS_WARPS = 8, ROWS_THREADS = 256 };

/* a.x: [token][cols]. A warp does 32 columns of a token. */
static __global__ void __launch_bounds__(ACTS_WARPS *WARP) quantize_kernel(struct kern_cuda_acts a)
{
    const size_t block = (size_t)blockIdx.x * ACTS_WARPS + dev_warp(), n_blocks = a.cols / 32;
    const size_t token = blockIdx.y;

    if (block < n_blocks)
        dev_acts_put(a, token, block, dev_lane(), a.x[token * a.cols + block * 32 + dev_lane()]);
}

/* out: [n][cols]; ids: [n]. A thread does a weight. */
static __global__ void __launch_bounds__(ROWS_THREADS)
    rows_kernel(const uint8_t *data, struct cuda_layout l, const int32_t *ids, float scale,
                float *out)
{
    const size_t col = (size_t)blockIdx.x * ROWS_THREADS + threadIdx.x;
    const int32_t id = ids[blockIdx.y];

    if (col < l.cols)
        out[(size_t)blockIdx.y * l.cols + col] =
            id >= 0 && (size_t)id < l.rows ? scale * dev_weight(data, l, (size_t)id, col) : 0.0f;
}

/* ---- launchers ----------------------------------------------------------------------------- */

/* Where the parts begin: q, r, d, ds. */
static bool acts_parts(unsigned n_tokens, size_t cols, bool fine, size_t at[5])
{
    size_t n;

    if (cols % 32 != 0 || cols > SIZE_MAX / 16 ||
        __builtin_mul_overflow(cols, (size_t)n_tokens, &n) || n > SIZE_MAX / 16)
        return false;
    const size_t ints = (n + 255) / 256 * 256, floats = (n / 32 * 4 + 255) / 256 * 256;

    at[0] = 0;
    at[1] = ints;
    at[2] = at[1] + (fine ? ints : 0);
    at[3] = at[2] + floats;
    at[4] = at[3] + floats;
    return true;
}

size_t kern_cuda_acts_bytes(unsigned max_tokens, size_t cols, bool fine)
{
    size_t at[5];

    return acts_parts(max_tokens, cols, fine, at) ? at[4] : 0;
}

void kern_cuda_acts_init(struct kern_cuda_acts *a, void *mem, unsigned n_tokens, size_t cols,
                         bool fine, const float *x)
{
    size_t at[5] = {0, 0, 0, 0, 0};
    char *p = static_cast<char *>(mem);

    (void)acts_parts(n_tokens, cols, fine, at);
    a->n_tokens = n_tokens;
    a->cols = cols;
    a->fine = fine;
    a->x = x;
    a->q = reinterpret_cast<int8_t *>(p + at[0]);
    a->r = fine ? reinterpret_cast<int8_t *>(p + at[1]) : NULL;
    a->d = reinterpret_cast<float *>(p + at[2]);
    a->ds = reinterpret_cast<float *>(p + at[3]);
}

void kern_cuda_quantize(struct kern_cuda *c, const struct kern_cuda_acts *a)
{
    kern_cuda_run(c, "quantizing", quantize_kernel,
                  dim3(kern_cuda_div_up(a->cols / 32, ACTS_WARPS), a->n_tokens),
                  dim3(ACTS_WARPS * WARP), 0, *a);
}

void kern_cuda_rows(struct kern_cuda *c, const struct kern_cuda_matrix *m, const int32_t *ids,
                    unsigned n, float scale, float *out)
{
    kern_cuda_run(c, "rows", rows_kernel, dim3(kern_cuda_div_up(m->l.cols, ROWS_THREADS), n),
                  dim3(ROWS_THREADS), 0, m->data, m->l, ids, scale, out);
}
