/* kernels/cuda_stub.c - stands in for the CUDA files in a build without them: there is no device.
 *
 * Contexts, buffers and matrices cannot be made here, so the functions that take one are never reached
 * with a valid argument; they answer GW_EUNSUPPORTED all the same. Stateless; any thread. */
#include "kernels/cuda.h"

static enum gw_status no_cuda(struct gw_err *err)
{
    return gw_fail(err, GW_EUNSUPPORTED,
                   "this build has no CUDA kernels: build with a CUDA toolkit, or use the CPU");
}

unsigned kern_cuda_count(void)
{
    return 0;
}

const char *kern_cuda_reason(void)
{
    return "built without CUDA kernels";
}

enum gw_status kern_cuda_open(unsigned device, struct kern_cuda **out, struct kern_cuda_info *info,
                              struct gw_err *err)
{
    (void)device;
    (void)out;
    (void)info;
    return no_cuda(err);
}

void kern_cuda_close(struct kern_cuda *c)
{
    (void)c;
}

enum gw_status kern_cuda_buf_new(struct kern_cuda *c, size_t bytes, struct kern_cuda_buf **out,
                                 struct gw_err *err)
{
    (void)c;
    (void)bytes;
    (void)out;
    return no_cuda(err);
}

void kern_cuda_buf_free(struct kern_cuda_buf *b)
{
    (void)b;
}

enum gw_status kern_cuda_upload(struct kern_cuda_buf *dst, size_t offset, const void *src,
                                size_t bytes, struct gw_err *err)
{
    (void)dst;
    (void)offset;
    (void)src;
    (void)bytes;
    return no_cuda(err);
}

enum gw_status kern_cuda_download(const struct kern_cuda_buf *src, size_t offset, void *dst,
                                  size_t bytes, struct gw_err *err)
{
    (void)src;
    (void)offset;
    (void)dst;
    (void)bytes;
    return no_cuda(err);
}

enum gw_status kern_cuda_sync(struct kern_cuda *c, struct gw_err *err)
{
    (void)c;
    return no_cuda(err);
}

enum gw_status kern_cuda_matrix_new(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                    uint64_t cols, const void *gguf, struct kern_cuda_matrix **out,
                                    struct gw_err *err)
{
    (void)c;
    (void)type;
    (void)rows;
    (void)cols;
    (void)gguf;
    (void)out;
    return no_cuda(err);
}

void kern_cuda_matrix_free(struct kern_cuda_matrix *m)
{
    (void)m;
}

enum gw_status kern_cuda_matmul(const struct kern_cuda_matrix *w, const struct kern_cuda_buf *x,
                                unsigned n_tokens, struct kern_cuda_buf *out, struct gw_err *err)
{
    (void)w;
    (void)x;
    (void)n_tokens;
    (void)out;
    return no_cuda(err);
}
