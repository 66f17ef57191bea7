/* kernels/cuda_private.h - private: what the .cu files share on the host's side. C++.
 *
 * A launcher computes its grid and calls kern_cuda_run(); it returns nothing and checks nothing: the first failure
 * stays in the context until kern_cuda_sync() tells it. */
#ifndef KERNELS_CUDA_PRIVATE_H
#define KERNELS_CUDA_PRIVATE_H

#include "kernels/cuda.h"
#include "kernels/cuda_ptx.cuh"
#include "kernels/cuda_repack.h"

struct kern_cuda {
    int device, major, minor, sms;
    cudaStream_t stream;
    cudaMemPool_t pool;
    cudaError_t bad; /* the first failure; cudaSuccess: none */
    char what[64];   /* where it was */
    bool recording;  /* between graph_begin and graph_end */
    void *scratch;   /* device; grows */
    size_t scratch_bytes;
    void *stage[2];        /* page-locked pieces through which uploads go, in turns */
    cudaEvent_t staged[2]; /* when a piece may be filled again */
    unsigned turn;
    void *tensor_encode; /* the driver's cuTensorMapEncodeTiled; NULL: not compute capability 9.0 */
};

enum { KERN_CUDA_STAGE = 8 << 20 }; /* bytes of a piece */

struct kern_cuda_matrix {
    struct kern_cuda *c;
    struct cuda_layout l;      /* kernels/cuda_repack.h */
    struct kern_cuda_buf *buf; /* NULL: on the host */
    void *host;
    const uint8_t *data; /* device pointer */
};

/* Remembers the first failure. Returns whether e is none. */
bool kern_cuda_note(struct kern_cuda *c, cudaError_t e, const char *what);

/* The first failure in words; GW_OK: none. */
enum gw_status kern_cuda_tell(const struct kern_cuda *c, struct gw_err *err);

/* Scratch for one operation, aligned to 256; the next operation may overwrite it once it runs (stream order). NULL: there is no
 * memory, which is remembered; the launcher then returns. */
void *kern_cuda_scratch(struct kern_cuda *c, size_t bytes);

/* Launches in the context's stream. Nothing happens once something failed. */
template <class... P, class... A>
static void kern_cuda_run(struct kern_cuda *c, const char *what, void (*kernel)(P...), dim3 grid,
                          dim3 block, size_t shared, A... args)
{
    if (c->bad == cudaSuccess && grid.x != 0 && grid.y != 0 && grid.z != 0 &&
        kern_cuda_note(c, cudaSetDevice(c->device), what)) /* several contexts may take turns */
        kern_cuda_note(c, ptx_launch(kernel, grid, block, shared, c->stream, args...), what);
}

/* What a product does with what is there: replaces it, adds to it, or multiplies the gate's function of it. */
enum kern_cuda_into { KERN_CUDA_SET, KERN_CUDA_ADD, KERN_CUDA_MUL_SILU, KERN_CUDA_MUL_GELU };

/* kern_cuda_matmul for more than KERN_CUDA_GEMV_TOKENS tokens (cuda_gemm.cu). */
void kern_cuda_gemm(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                    const struct kern_cuda_acts *a, float *out, size_t out_stride,
                    enum kern_cuda_into into);

/* The same with the instructions of compute capability 9.0 (cuda_wgmma.cu). Returns false, nothing launched, on other devices and for
 * matrices in the host's memory. */
bool kern_cuda_wgmma(struct kern_cuda *c, const struct kern_cuda_matrix *w,
                     const struct kern_cuda_acts *a, float *out, size_t out_stride,
                     enum kern_cuda_into into);

static inline __host__ __device__ unsigned kern_cuda_div_up(size_t n, size_t by)
{
    return (unsigned)((n + by - 1) / by);
}

#endif
