/* kernels/cuda.h - the C face of the GPU: devices, buffers, streams, and the matrix product on them.
 *
 * Everything is opaque and all functions exist in every build: without CUDA, kernels/cuda_stub.c answers
 * "no device" and the engine stays on the CPU. A context belongs to one thread at a time. */
#ifndef KERNELS_CUDA_H
#define KERNELS_CUDA_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct kern_cuda;        /* a context on one device, with one stream */
struct kern_cuda_buf;    /* bytes on the device */
struct kern_cuda_matrix; /* a weight matrix on the device, in its own layout */

struct kern_cuda_info {
    char name[64];         /* as the driver calls it */
    uint64_t bytes;        /* device memory */
    unsigned major, minor; /* compute capability */
};

/* Number of usable devices; 0 when there is none, no driver, or no CUDA in this build. Thread: any. */
unsigned kern_cuda_count(void);

/* Why kern_cuda_count is 0, or "": for people. Static memory. */
const char *kern_cuda_reason(void);

/* Opens device number `device`. GW_EUNSUPPORTED: no such device or no CUDA in this build; GW_ENOMEM. *out is
 * unchanged on failure; close it with kern_cuda_close. */
enum gw_status kern_cuda_open(unsigned device, struct kern_cuda **out, struct kern_cuda_info *info,
                              struct gw_err *err);

/* Waits for the stream and frees; its buffers and matrices must be gone. c may be NULL. */
void kern_cuda_close(struct kern_cuda *c);

/* Device memory, not initialised. GW_ENOMEM. Free with kern_cuda_buf_free (NULL allowed). */
enum gw_status kern_cuda_buf_new(struct kern_cuda *c, size_t bytes, struct kern_cuda_buf **out,
                                 struct gw_err *err);
void kern_cuda_buf_free(struct kern_cuda_buf *b);

/* Copies in stream order; host memory must stay valid until kern_cuda_sync. The range must lie inside the
 * buffer: GW_EINVAL. GW_EIO: the device failed. */
enum gw_status kern_cuda_upload(struct kern_cuda_buf *dst, size_t offset, const void *src,
                                size_t bytes, struct gw_err *err);
enum gw_status kern_cuda_download(const struct kern_cuda_buf *src, size_t offset, void *dst,
                                  size_t bytes, struct gw_err *err);

/* Waits for all work of the stream. GW_EIO: some of it failed. */
enum gw_status kern_cuda_sync(struct kern_cuda *c, struct gw_err *err);

/* Uploads a matrix in GGUF layout (kernels/quant.h) and arranges it for the device. Errors of
 * kern_matrix_init, and GW_ENOMEM. Free with kern_cuda_matrix_free (NULL allowed). */
enum gw_status kern_cuda_matrix_new(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                    uint64_t cols, const void *gguf, struct kern_cuda_matrix **out,
                                    struct gw_err *err);
void kern_cuda_matrix_free(struct kern_cuda_matrix *m);

/* out[t][row] = sum over col of w[row][col] * x[t][col], floats, both dense; queued on the stream.
 * GW_EINVAL: a buffer is too small. */
enum gw_status kern_cuda_matmul(const struct kern_cuda_matrix *w, const struct kern_cuda_buf *x,
                                unsigned n_tokens, struct kern_cuda_buf *out, struct gw_err *err);

#endif
