// tests/simt/simt_host.cc - the runtime of simt_host.h.
#include <stdio.h>
#include <time.h>

#include "tests/simt/cuda_runtime.h"
#include "tests/simt/knobs.h"
#include "tests/simt/simt_hopper.h"

struct simt_mark { // an event, recorded once
    unsigned owners;
    bool passed;
};
struct simt_op { // of a graph, or of a stream that is late
    void (*run)(simt_op *);
    simt_op *next;
    dim3 grid, block;
    size_t shared, bytes;
    void (*body)(void *);
    void *to;
    const void *from;
    int value;
    simt_mark *mark;
    bool waits; // for the mark, or else passes it
    void *kept; // goes with it
    alignas(64) char ctx[1024];
};
struct simt_graph {
    simt_op *first, **last;
    unsigned owners;
};
struct simt_stream {
    simt_graph *recording;
    simt_op *first, **last; // what is late; last NULL: it does everything at once
    simt_stream *next;
};
struct simt_event {
    struct timespec at;
    simt_mark *mark;
};

cudaError_t simt_driver = cudaSuccess;
int simt_devices = 1, simt_major = 8, simt_minor;
size_t simt_memory = (size_t)1 << 32, simt_used[SIMT_DEVICES];
static thread_local int current; // device of this thread
static unsigned late;            // simt_set_late
static simt_stream *streams;     // that are late; the last one that was made is the first
static unsigned long fail_at;    // launches from this number on fail; 0: none

namespace
{
struct block {
    size_t bytes;
    block *next; // of those that are page-locked
    int device;
    char unused[236]; // 256: what follows is aligned as the device does it
};
block *locked; // only while streams are late

cudaError_t take(void **p, size_t bytes)
{
    block *b;

    if (bytes > simt_memory || simt_used[current] > simt_memory - bytes)
        return cudaErrorMemoryAllocation;
    b = static_cast<block *>(aligned_alloc(256, sizeof(block) + (bytes + 255) / 256 * 256));
    if (b == nullptr)
        return cudaErrorMemoryAllocation;
    b->bytes = bytes;
    b->device = current;
    simt_used[current] += bytes;
    memset(static_cast<void *>(b + 1), 0xee, bytes);
    *p = b + 1;
    return cudaSuccess;
}

bool is_locked(const void *p)
{
    const char *at = static_cast<const char *>(p);

    for (const block *b = locked; b != nullptr; b = b->next) {
        const char *from = reinterpret_cast<const char *>(b + 1);

        if (at >= from && at < from + b->bytes)
            return true;
    }
    return false;
}

cudaError_t give(void *p)
{
    if (p != nullptr) {
        block *b = static_cast<block *>(p) - 1;

        simt_used[b->device] -= b->bytes;
        free(b);
    }
    return cudaSuccess;
}

void run_kernel(simt_op *o)
{
    simt_run(o->grid, o->block, o->shared, o->body, o->ctx);
}
void run_copy(simt_op *o)
{
    memmove(o->to, o->from, o->bytes);
}
void run_set(simt_op *o)
{
    memset(o->to, o->value, o->bytes);
}

void drop(simt_mark *m)
{
    if (m != nullptr && --m->owners == 0)
        free(m);
}

void run_mark(simt_op *o)
{
    o->mark->passed = true;
}

void run_nothing(simt_op *)
{
}

// The stream that may go on and is preferred: the one made first, or the last one.
simt_stream *next_stream()
{
    simt_stream *found = nullptr;

    for (simt_stream *s = streams; s != nullptr; s = s->next) {
        if (s->first == nullptr || (s->first->waits && !s->first->mark->passed))
            continue;
        found = s;
        if (late == 2)
            break;
    }
    return found;
}

// Does what is late, always for the preferred stream if it can: it runs ahead as far as marks let it.
void catch_up()
{
    for (simt_stream *s = next_stream(); s != nullptr; s = next_stream()) {
        simt_op *o = s->first;

        s->first = o->next;
        if (s->first == nullptr)
            s->last = &s->first;
        o->run(o);
        drop(o->mark);
        free(o->kept);
        free(o);
    }
    for (simt_stream *s = streams; s != nullptr; s = s->next)
        if (s->first != nullptr)
            abort(); // it waits for what nobody does
}

cudaError_t append(simt_op **&last, const simt_op *o)
{
    simt_op *kept = static_cast<simt_op *>(aligned_alloc(alignof(simt_op), sizeof(*kept)));

    if (kept == nullptr)
        return cudaErrorMemoryAllocation;
    *kept = *o;
    kept->next = nullptr;
    *last = kept;
    last = &kept->next;
    return cudaSuccess;
}

cudaError_t queue(cudaStream_t s, simt_op *o)
{
    if (s != nullptr && s->recording == nullptr && s->last != nullptr)
        return append(s->last, o);
    if (s == nullptr || s->recording == nullptr) {
        o->run(o);
        return cudaSuccess;
    }
    return append(s->recording->last, o);
}
} // namespace

static bool is_lost()
{
    const unsigned long at = __atomic_load_n(&fail_at, __ATOMIC_RELAXED);

    return at != 0 && simt_launched() >= at;
}

cudaError_t simt_queue(cudaStream_t s, dim3 grid, dim3 dims, size_t shared, void (*body)(void *),
                       const void *ctx, size_t bytes)
{
    simt_op o = {};

    if (bytes > sizeof(o.ctx))
        return cudaErrorInvalidValue;
    if (is_lost())
        return cudaErrorLaunchFailure;
    o.run = run_kernel;
    o.grid = grid;
    o.block = dims;
    o.shared = shared;
    o.body = body;
    memcpy(o.ctx, ctx, bytes);
    return queue(s, &o);
}

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = simt_driver == cudaSuccess ? simt_devices : 0;
    return simt_driver;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "emulated device %d", device);
    p->totalGlobalMem = simt_memory;
    p->major = simt_major;
    p->minor = simt_minor;
    p->multiProcessorCount = 4;
    p->l2CacheSize = 1 << 20;
    return device < simt_devices ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaDeviceGetPCIBusId(char *bus, int n, int device)
{
    snprintf(bus, (size_t)n, "0000:%02x:00.0", device);
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device)
{
    if (device >= simt_devices)
        return cudaErrorInvalidValue;
    current = device;
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    *left = simt_memory - simt_used[current];
    *total = simt_memory;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int)
{
    *pool = 1;
    return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *)
{
    return cudaSuccess;
}
cudaError_t cudaMallocAsync(void **p, size_t bytes, cudaStream_t s)
{
    return s != nullptr && s->recording != nullptr ? cudaErrorStreamCaptureUnsupported
                                                   : take(p, bytes);
}
cudaError_t cudaFreeAsync(void *p, cudaStream_t)
{
    catch_up();
    return give(p);
}
cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    const cudaError_t e = take(p, bytes);

    if (e == cudaSuccess && late != 0) {
        block *b = static_cast<block *>(*p) - 1;

        b->next = locked;
        locked = b;
    }
    return e;
}
cudaError_t cudaFreeHost(void *p)
{
    catch_up();
    for (block **b = &locked; *b != nullptr; b = &(*b)->next)
        if (*b + 1 == p) {
            *b = (*b)->next;
            break;
        }
    return give(p);
}
cudaError_t cudaHostGetDevicePointer(void **d, void *h, unsigned)
{
    *d = h;
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    simt_op o = {};

    if (kind == cudaMemcpyHostToDevice && s->last != nullptr && !is_locked(from)) {
        o.kept = malloc(bytes + 1);
        if (o.kept == nullptr)
            return cudaErrorMemoryAllocation;
        from = memcpy(o.kept, from, bytes);
    }

    o.run = run_copy;
    o.to = to;
    o.from = from;
    o.bytes = bytes;
    return queue(s, &o);
}
cudaError_t cudaMemcpyPeerAsync(void *to, int, const void *from, int, size_t bytes, cudaStream_t s)
{
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s);
}
cudaError_t cudaMemsetAsync(void *to, int v, size_t bytes, cudaStream_t s)
{
    simt_op o = {};

    o.run = run_set;
    o.to = to;
    o.value = v;
    o.bytes = bytes;
    return queue(s, &o);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = static_cast<cudaStream_t>(calloc(1, sizeof(**s)));
    if (*s == nullptr)
        return cudaErrorMemoryAllocation;
    if (late != 0) {
        (*s)->last = &(*s)->first;
        (*s)->next = streams;
        streams = *s;
    }
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    catch_up();
    for (simt_stream **p = &streams; *p != nullptr; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    free(s);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    catch_up();
    return s->recording != nullptr ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t s)
{
    return cudaStreamSynchronize(s);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    simt_op o = {};

    if (s->last == nullptr || e->mark == nullptr)
        return cudaSuccess;
    o.run = run_nothing;
    o.waits = true;
    o.mark = e->mark;
    e->mark->owners++;
    return queue(s, &o);
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    simt_graph *g = static_cast<simt_graph *>(calloc(1, sizeof(*g)));

    if (g == nullptr)
        return cudaErrorMemoryAllocation;
    g->last = &g->first;
    g->owners = 1;
    s->recording = g;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    *g = s->recording;
    s->recording = nullptr;
    return *g != nullptr ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long)
{
    *x = g;
    g->owners++;
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t)
{
    catch_up();
    for (simt_op *o = x->first; o != nullptr; o = o->next) {
        if (is_lost())
            return cudaErrorLaunchFailure;
        o->run(o);
    }
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    if (g != nullptr && --g->owners == 0) {
        for (simt_op *o = g->first, *next; o != nullptr; o = next) {
            next = o->next;
            free(o);
        }
        free(g);
    }
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
    return cudaGraphDestroy(x);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = static_cast<cudaEvent_t>(calloc(1, sizeof(**e)));
    return *e != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    drop(e->mark);
    free(e);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    simt_op o = {};

    clock_gettime(CLOCK_MONOTONIC, &e->at);
    if (s->last == nullptr)
        return cudaSuccess;
    drop(e->mark);
    e->mark = static_cast<simt_mark *>(calloc(1, sizeof(*e->mark)));
    if (e->mark == nullptr)
        return cudaErrorMemoryAllocation;
    e->mark->owners = 2;
    o.run = run_mark;
    o.mark = e->mark;
    return queue(s, &o);
}
cudaError_t cudaEventQuery(cudaEvent_t)
{
    catch_up();
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    catch_up();
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = (float)(to->at.tv_sec - from->at.tv_sec) * 1e3f +
          (float)(to->at.tv_nsec - from->at.tv_nsec) * 1e-6f;
    return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute, int v)
{
    return v <= 227 * 1024 ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **f, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult *found)
{
    const bool known = strcmp(name, "cuTensorMapEncodeTiled") == 0;

    *f = known ? reinterpret_cast<void *>(simt_tensor_encode) : nullptr;
    *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}
const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "out of memory"
           : e == cudaSuccess             ? "no error"
                                          : "emulated failure";
}

bool simt_is_here()
{
    return true;
}
void simt_set_driver(int code)
{
    simt_driver = (cudaError_t)code;
}
void simt_set_devices(int n)
{
    simt_devices = n < SIMT_DEVICES ? n : SIMT_DEVICES;
    current = 0;
}
void simt_set_capability(int major, int minor)
{
    simt_major = major;
    simt_minor = minor;
}
void simt_set_memory(size_t bytes)
{
    simt_memory = bytes;
}
size_t simt_memory_used()
{
    size_t n = 0;

    for (int i = 0; i < SIMT_DEVICES; i++)
        n += simt_used[i];
    return n;
}
void simt_fail_after(unsigned long n)
{
    __atomic_store_n(&fail_at, n == 0 ? 0 : simt_launched() + n, __ATOMIC_RELAXED);
}
void simt_set_late(unsigned order)
{
    late = order;
}
void simt_set_order(unsigned order)
{
    simt_order = order;
}
unsigned long simt_launched()
{
    return simt_launches;
}
unsigned long simt_warpgroup_products()
{
    return simt_wgmmas;
}
