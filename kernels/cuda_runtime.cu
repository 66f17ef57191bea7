/* kernels/cuda_runtime.cu - devices, memory, streams, events and graphs: kernels/cuda.h over the CUDA runtime. */
#include <stdio.h>
#include <string.h>

#include "kernels/cuda_nvml.h"
#include "kernels/cuda_private.h"

struct kern_cuda_buf {
    struct kern_cuda *c;
    void *p;
    size_t bytes;
};
struct kern_cuda_event {
    struct kern_cuda *c;
    cudaEvent_t e;
};
struct kern_cuda_graph {
    struct kern_cuda *c;
    cudaGraphExec_t x;
};

/* ---- failures ----------------------------------------------------------------------------- */

bool kern_cuda_note(struct kern_cuda *c, cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return true;
    (void)cudaGetLastError(); /* or the next call would be blamed */
    if (c->bad == cudaSuccess) {
        c->bad = e;
        (void)snprintf(c->what, sizeof(c->what), "%s", what);
    }
    return false;
}

/* For calls whose failure is the caller's to handle: nothing is remembered. */
static enum gw_status fail(struct gw_err *err, cudaError_t e, const char *what)
{
    (void)cudaGetLastError();
    if (e == cudaErrorMemoryAllocation)
        return gw_fail(err, GW_ENOMEM, "the GPU has no memory left for %s", what);
    return gw_fail(err, GW_EIO, "the GPU refused %s: %s", what, cudaGetErrorString(e));
}

/* ---- devices ------------------------------------------------------------------------------ */

static cudaError_t count(int *n)
{
    const cudaError_t e = cudaGetDeviceCount(n);

    if (e != cudaSuccess) {
        (void)cudaGetLastError();
        *n = 0;
    }
    return e;
}

unsigned kern_cuda_count(void)
{
    int n = 0;

    (void)count(&n);
    return (unsigned)n;
}

const char *kern_cuda_reason(void)
{
    int n = 0;
    const cudaError_t e = count(&n);

    if (n > 0)
        return "";
    if (e == cudaErrorInsufficientDriver)
        return "no NVIDIA driver is loaded, or one that is older than this build's CUDA";
    if (e == cudaErrorNoDevice || e == cudaSuccess)
        return "the NVIDIA driver shows no GPU";
    return cudaGetErrorString(e);
}

static bool open_parts(struct kern_cuda *c, cudaError_t *e)
{
    uint64_t keep =
        UINT64_MAX; /* freed memory stays in the pool: allocations of a running engine cost nothing */

    return (*e = cudaSetDevice(c->device)) == cudaSuccess &&
           (*e = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking)) == cudaSuccess &&
           (*e = cudaDeviceGetDefaultMemPool(&c->pool, c->device)) == cudaSuccess &&
           (*e = cudaMemPoolSetAttribute(c->pool, cudaMemPoolAttrReleaseThreshold, &keep)) ==
               cudaSuccess &&
           (*e = cudaEventCreateWithFlags(&c->staged[0], cudaEventDisableTiming)) == cudaSuccess &&
           (*e = cudaEventCreateWithFlags(&c->staged[1], cudaEventDisableTiming)) == cudaSuccess &&
           (*e = cudaHostAlloc(&c->stage[0], KERN_CUDA_STAGE, 0)) == cudaSuccess &&
           (*e = cudaHostAlloc(&c->stage[1], KERN_CUDA_STAGE, 0)) == cudaSuccess;
}

/* The driver's maker of tensors for the copy engine, asked for here so that the binary links no driver library. NULL: the device's
 * instructions are not those of 9.0, or the driver is too old. */
static void *tensor_encode(const struct kern_cuda *c)
{
    enum cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    void *f = NULL;

    if (c->major != 9 || c->minor != 0)
        return NULL;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault,
                                         &found) != cudaSuccess)
        (void)cudaGetLastError();
    return found == cudaDriverEntryPointSuccess ? f : NULL;
}

enum gw_status kern_cuda_open(unsigned device, struct kern_cuda **out, struct kern_cuda_info *info,
                              struct gw_err *err)
{
    struct kern_cuda *c;
    cudaDeviceProp p;
    cudaError_t e;
    size_t left = 0, all = 0;

    if (device >= kern_cuda_count())
        return gw_fail(err, GW_EUNSUPPORTED, "there is no GPU %u%s%s", device,
                       kern_cuda_reason()[0] != '\0' ? ": " : "", kern_cuda_reason());
    e = cudaGetDeviceProperties(&p, (int)device);
    if (e != cudaSuccess)
        return fail(err, e, "its properties");
    if (p.major < 8)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "GPU %u (%s) has compute capability %d.%d: 8.0 or newer is needed", device,
                       p.name, p.major, p.minor);
    c = static_cast<struct kern_cuda *>(calloc(1, sizeof(*c)));
    if (c == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    c->device = (int)device;
    c->major = p.major;
    c->minor = p.minor;
    c->sms = p.multiProcessorCount;
    if (!open_parts(c, &e)) {
        const enum gw_status st = fail(err, e, "a context");

        kern_cuda_close(c);
        return st;
    }
    c->tensor_encode = tensor_encode(c);
    (void)cudaMemGetInfo(&left, &all);
    if (info != NULL) {
        memset(info, 0, sizeof(*info));
        (void)snprintf(info->name, sizeof(info->name), "%.63s", p.name);
        info->bytes = p.totalGlobalMem;
        info->free_bytes = left;
        info->major = (unsigned)p.major;
        info->minor = (unsigned)p.minor;
        info->multiprocessors = (unsigned)p.multiProcessorCount;
        info->l2_bytes = (unsigned)p.l2CacheSize;
        info->runs = true;
    }
    *out = c;
    return GW_OK;
}

void kern_cuda_close(struct kern_cuda *c)
{
    if (c == NULL)
        return;
    (void)cudaSetDevice(c->device);
    if (c->stream != NULL) {
        (void)cudaStreamSynchronize(c->stream);
        if (c->scratch != NULL)
            (void)cudaFreeAsync(c->scratch, c->stream);
        (void)cudaStreamSynchronize(c->stream);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (c->staged[i] != NULL)
            (void)cudaEventDestroy(c->staged[i]);
        if (c->stage[i] != NULL)
            (void)cudaFreeHost(c->stage[i]);
    }
    if (c->stream != NULL)
        (void)cudaStreamDestroy(c->stream);
    free(c);
}

enum gw_status kern_cuda_health(unsigned device, struct kern_cuda_health *out, struct gw_err *err)
{
    char bus[32] = "";
    cudaError_t e;

    if (device >= kern_cuda_count())
        return gw_fail(err, GW_EUNSUPPORTED, "there is no GPU %u", device);
    e = cudaDeviceGetPCIBusId(bus, sizeof(bus), (int)device);
    return e == cudaSuccess ? cuda_nvml_health(bus, out, err) : fail(err, e, "its address");
}

/* ---- memory ------------------------------------------------------------------------------- */

enum gw_status kern_cuda_buf_new(struct kern_cuda *c, size_t bytes, struct kern_cuda_buf **out,
                                 struct gw_err *err)
{
    struct kern_cuda_buf *b = static_cast<struct kern_cuda_buf *>(calloc(1, sizeof(*b)));
    cudaError_t e;

    if (b == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    b->c = c;
    b->bytes = bytes;
    (void)cudaSetDevice(c->device);
    e = cudaMallocAsync(&b->p, bytes != 0 ? bytes : 1, c->stream);
    if (e != cudaSuccess) {
        free(b);
        return fail(err, e, "a buffer");
    }
    *out = b;
    return GW_OK;
}

void kern_cuda_buf_free(struct kern_cuda_buf *b)
{
    if (b == NULL)
        return;
    (void)cudaFreeAsync(b->p, b->c->stream);
    free(b);
}

size_t kern_cuda_buf_bytes(const struct kern_cuda_buf *b)
{
    return b != NULL ? b->bytes : 0;
}

void *kern_cuda_at(const struct kern_cuda_buf *b, size_t offset)
{
    return b != NULL ? static_cast<char *>(b->p) + offset : NULL;
}

enum gw_status kern_cuda_host_new(struct kern_cuda *c, size_t bytes, void **out, struct gw_err *err)
{
    void *p = NULL;
    cudaError_t e;

    (void)cudaSetDevice(c->device);
    e = cudaHostAlloc(&p, bytes != 0 ? bytes : 1, cudaHostAllocMapped);
    if (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return gw_fail(err, GW_ENOMEM, "no page-locked memory: %zu bytes", bytes);
    }
    if (e != cudaSuccess)
        return fail(err, e, "page-locked memory");
    *out = p;
    return GW_OK;
}

void kern_cuda_host_free(struct kern_cuda *c, void *p)
{
    (void)c;
    if (p != NULL)
        (void)cudaFreeHost(p);
}

void *kern_cuda_host_at(struct kern_cuda *c, void *p)
{
    void *d = NULL;

    (void)cudaSetDevice(c->device);
    if (cudaHostGetDevicePointer(&d, p, 0) == cudaSuccess)
        return d;
    (void)cudaGetLastError();
    return NULL;
}

static enum gw_status check_range(const struct kern_cuda_buf *b, size_t offset, size_t bytes,
                                  struct gw_err *err)
{
    if (offset > b->bytes || bytes > b->bytes - offset)
        return gw_fail(err, GW_EINVAL, "bytes %zu to %zu of a GPU buffer of %zu", offset,
                       offset + bytes, b->bytes);
    return GW_OK;
}

enum gw_status kern_cuda_upload(struct kern_cuda_buf *dst, size_t offset, const void *src,
                                size_t bytes, struct gw_err *err)
{
    cudaError_t e;

    GW_TRY(check_range(dst, offset, bytes, err));
    e = cudaMemcpyAsync(static_cast<char *>(dst->p) + offset, src, bytes, cudaMemcpyHostToDevice,
                        dst->c->stream);
    return e == cudaSuccess ? GW_OK : fail(err, e, "an upload");
}

enum gw_status kern_cuda_download(const struct kern_cuda_buf *src, size_t offset, void *dst,
                                  size_t bytes, struct gw_err *err)
{
    cudaError_t e;

    GW_TRY(check_range(src, offset, bytes, err));
    e = cudaMemcpyAsync(dst, static_cast<char *>(src->p) + offset, bytes, cudaMemcpyDeviceToHost,
                        src->c->stream);
    return e == cudaSuccess ? GW_OK : fail(err, e, "a download");
}

void kern_cuda_copy(struct kern_cuda *c, void *dst, const void *src, size_t bytes)
{
    if (c->bad == cudaSuccess)
        kern_cuda_note(c, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, c->stream), "a copy");
}

void kern_cuda_zero(struct kern_cuda *c, void *dst, size_t bytes)
{
    if (c->bad == cudaSuccess)
        kern_cuda_note(c, cudaMemsetAsync(dst, 0, bytes, c->stream), "zeroing");
}

static cudaError_t grow(struct kern_cuda *c, size_t bytes)
{
    void *p = NULL;
    cudaError_t e;

    if (bytes <= c->scratch_bytes)
        return cudaSuccess;
    (void)cudaSetDevice(c->device);
    e = cudaMallocAsync(&p, bytes, c->stream);
    if (e != cudaSuccess)
        return e;
    if (c->scratch != NULL)
        (void)cudaFreeAsync(c->scratch, c->stream);
    c->scratch = p;
    c->scratch_bytes = bytes;
    return cudaSuccess;
}

void *kern_cuda_scratch(struct kern_cuda *c, size_t bytes)
{
    if (c->bad != cudaSuccess)
        return NULL;
    return kern_cuda_note(c,
                          c->recording && bytes > c->scratch_bytes ? cudaErrorMemoryAllocation
                                                                   : grow(c, bytes),
                          "scratch of an operation")
               ? c->scratch
               : NULL;
}

enum gw_status kern_cuda_reserve(struct kern_cuda *c, size_t bytes, struct gw_err *err)
{
    const cudaError_t e = grow(c, bytes);

    return e == cudaSuccess ? GW_OK : fail(err, e, "scratch");
}

enum gw_status kern_cuda_free_bytes(struct kern_cuda *c, uint64_t *out, struct gw_err *err)
{
    size_t left = 0, all = 0;
    cudaError_t e;

    (void)cudaSetDevice(c->device);
    e = cudaMemGetInfo(&left, &all);
    if (e != cudaSuccess)
        return fail(err, e, "the size of its memory");
    *out = left;
    return GW_OK;
}

/* ---- streams, events, graphs ---------------------------------------------------------------- */

enum gw_status kern_cuda_tell(const struct kern_cuda *c, struct gw_err *err)
{
    if (c->bad == cudaSuccess)
        return GW_OK;
    if (c->bad == cudaErrorMemoryAllocation)
        return gw_fail(err, GW_ENOMEM, "the GPU has no memory left for %s", c->what);
    return gw_fail(err, GW_EIO, "the GPU failed in %s: %s", c->what, cudaGetErrorString(c->bad));
}

enum gw_status kern_cuda_sync(struct kern_cuda *c, struct gw_err *err)
{
    kern_cuda_note(c, cudaStreamSynchronize(c->stream), "what was queued");
    return kern_cuda_tell(c, err);
}

enum gw_status kern_cuda_event_new(struct kern_cuda *c, struct kern_cuda_event **out,
                                   struct gw_err *err)
{
    struct kern_cuda_event *e = static_cast<struct kern_cuda_event *>(calloc(1, sizeof(*e)));
    cudaError_t bad;

    if (e == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    (void)cudaSetDevice(c->device);
    bad = cudaEventCreateWithFlags(&e->e, cudaEventDefault);
    if (bad != cudaSuccess) {
        free(e);
        return fail(err, bad, "an event");
    }
    e->c = c;
    *out = e;
    return GW_OK;
}

void kern_cuda_event_free(struct kern_cuda_event *e)
{
    if (e == NULL)
        return;
    (void)cudaEventDestroy(e->e);
    free(e);
}

void kern_cuda_event_mark(struct kern_cuda_event *e)
{
    kern_cuda_note(e->c, cudaEventRecord(e->e, e->c->stream), "a mark");
}

bool kern_cuda_event_ready(const struct kern_cuda_event *e)
{
    const cudaError_t st = cudaEventQuery(e->e);

    if (st == cudaErrorNotReady)
        (void)cudaGetLastError();
    return st != cudaErrorNotReady;
}

void kern_cuda_event_wait(struct kern_cuda *c, const struct kern_cuda_event *e)
{
    kern_cuda_note(c, cudaStreamWaitEvent(c->stream, e->e, 0), "waiting for a mark");
}

float kern_cuda_event_ms(const struct kern_cuda_event *from, const struct kern_cuda_event *to)
{
    float ms = 0;

    return cudaEventElapsedTime(&ms, from->e, to->e) == cudaSuccess ? ms : 0;
}

enum gw_status kern_cuda_graph_begin(struct kern_cuda *c, struct gw_err *err)
{
    cudaError_t e;

    GW_TRY(kern_cuda_tell(c, err));
    (void)cudaSetDevice(c->device);
    e = cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal);
    if (e != cudaSuccess)
        return fail(err, e, "to record");
    c->recording = true;
    return GW_OK;
}

enum gw_status kern_cuda_graph_end(struct kern_cuda *c, struct kern_cuda_graph **out,
                                   struct gw_err *err)
{
    struct kern_cuda_graph *r = static_cast<struct kern_cuda_graph *>(calloc(1, sizeof(*r)));
    cudaGraph_t g = NULL;
    cudaError_t e = cudaStreamEndCapture(c->stream, &g);
    enum gw_status st = kern_cuda_tell(c, err);

    c->recording = false;
    c->bad = cudaSuccess; /* what failed while nothing ran has harmed nothing */
    if (st == GW_OK && r == NULL)
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    if (st == GW_OK && e != cudaSuccess)
        st = fail(err, e, "what was recorded");
    if (st == GW_OK && (e = cudaGraphInstantiate(&r->x, g, 0)) != cudaSuccess)
        st = fail(err, e, "a graph");
    if (g != NULL)
        (void)cudaGraphDestroy(g);
    if (st != GW_OK) {
        (void)cudaGetLastError();
        free(r);
        return st;
    }
    r->c = c;
    *out = r;
    return GW_OK;
}

void kern_cuda_graph_launch(struct kern_cuda_graph *g)
{
    if (g->c->bad == cudaSuccess)
        kern_cuda_note(g->c, cudaGraphLaunch(g->x, g->c->stream), "a recorded step");
}

void kern_cuda_graph_free(struct kern_cuda_graph *g)
{
    if (g == NULL)
        return;
    (void)cudaGraphExecDestroy(g->x);
    free(g);
}
