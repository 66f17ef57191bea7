/* kernels/cuda_peer.cu - between devices: the stream of a model whose layers lie on several, and sums over devices that share a layer. */
#include <sched.h>
#include <stdio.h>

#include "kernels/cuda_nccl.h"
#include "kernels/cuda_private.h"

/* The copy is queued on the device that has the source, behind what computes it; the other one waits for it. */
void kern_cuda_peer_copy(struct kern_cuda *to, void *dst, struct kern_cuda *from, const void *src,
                         size_t bytes)
{
    cudaEvent_t done;

    if (from->bad != cudaSuccess || to->bad != cudaSuccess)
        return;
    (void)cudaSetDevice(from->device);
    if (!kern_cuda_note(
            from, cudaMemcpyPeerAsync(dst, to->device, src, from->device, bytes, from->stream),
            "copying to another device") ||
        !kern_cuda_note(from, cudaEventCreateWithFlags(&done, cudaEventDisableTiming),
                        "copying to another device"))
        return;
    (void)kern_cuda_note(from, cudaEventRecord(done, from->stream), "copying to another device");
    (void)cudaSetDevice(to->device);
    (void)kern_cuda_note(to, cudaStreamWaitEvent(to->stream, done, 0), "waiting for a device");
    (void)cudaEventDestroy(done); /* the driver keeps it as long as somebody waits for it */
}

/* ---- sums over devices ---------------------------------------------------------------------- */

/* What the others send lies in slots, [turn][other device][max_floats]. There are two turns: a device that sends its third sum has waited for what the others
 * sent with the second one, which they did behind their additions of the first. */
struct kern_cuda_group {
    struct kern_cuda *c[KERN_CUDA_GROUP];
    struct kern_cuda_buf *slots[KERN_CUDA_GROUP];
    unsigned n, turn;
    size_t max_floats;
    struct cuda_nccl nccl;
    void *comm[KERN_CUDA_GROUP]; /* NCCL's; all NULL: there is none, or it has ended */
    bool copies;                 /* without NCCL */
    char way[64];
};

/* Joins them by NCCL, if it is there and can. */
static void join_nccl(struct kern_cuda_group *g)
{
    int devices[KERN_CUDA_GROUP] = {0}, version = 0, e;

    g->copies = true;
    (void)snprintf(g->way, sizeof(g->way), "copies");
    if (!cuda_nccl_find(&g->nccl))
        return;
    for (unsigned i = 0; i < g->n; i++)
        devices[i] = g->c[i]->device;
    e = g->nccl.init_all(g->comm, (int)g->n, devices);
    if (e == 0) {
        g->copies = false;
        (void)g->nccl.version(&version);
        (void)snprintf(g->way, sizeof(g->way), "NCCL %d.%d.%d", version / 10000,
                       version / 100 % 100, version % 100);
        return;
    }
    for (unsigned i = 0; i < g->n; i++)
        g->comm[i] = NULL;
    (void)snprintf(g->way, sizeof(g->way), "copies, as NCCL failed: %s", g->nccl.error(e));
}

/* Memory for what the others send; NCCL has its own, and takes it with the first sum. */
static enum gw_status take_slots(struct kern_cuda_group *g, struct gw_err *err)
{
    const size_t floats = g->copies ? 2 * (g->n - 1) * g->max_floats : 1;
    float *x[KERN_CUDA_GROUP];

    for (unsigned i = 0; i < g->n; i++) {
        GW_TRY(kern_cuda_buf_new(g->c[i], floats * sizeof(float), &g->slots[i], err));
        x[i] = static_cast<float *>(kern_cuda_at(g->slots[i], 0));
        kern_cuda_zero(g->c[i], x[i], floats * sizeof(float));
    }
    if (!g->copies)
        kern_cuda_group_sum(g, x, 1);
    return kern_cuda_group_sync(g, err);
}

enum gw_status kern_cuda_group_new(struct kern_cuda *const *c, unsigned n, size_t max_floats,
                                   struct kern_cuda_group **out, struct gw_err *err)
{
    struct kern_cuda_group *g;
    enum gw_status st;

    if (n < 2 || n > KERN_CUDA_GROUP ||
        max_floats > SIZE_MAX / (2 * KERN_CUDA_GROUP * sizeof(float)))
        return gw_fail(err, GW_EINVAL, "a group of %u GPUs: 2 to %d are possible", n,
                       KERN_CUDA_GROUP);
    g = static_cast<struct kern_cuda_group *>(calloc(1, sizeof(*g)));
    if (g == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    g->n = n;
    g->max_floats = max_floats;
    for (unsigned i = 0; i < n; i++)
        g->c[i] = c[i];
    join_nccl(g);
    st = take_slots(g, err);
    if (st != GW_OK) {
        kern_cuda_group_free(g);
        return st;
    }
    *out = g;
    return GW_OK;
}

/* how: what NCCL does with a communicator that ends. */
static void end_nccl(struct kern_cuda_group *g, int (*how)(void *comm))
{
    for (unsigned i = 0; i < g->n; i++) {
        if (g->comm[i] != NULL)
            (void)how(g->comm[i]);
        g->comm[i] = NULL;
    }
}

void kern_cuda_group_free(struct kern_cuda_group *g)
{
    if (g == NULL)
        return;
    end_nccl(g, g->nccl.destroy);
    for (unsigned i = 0; i < g->n; i++)
        kern_cuda_buf_free(g->slots[i]);
    free(g);
}

const char *kern_cuda_group_way(const struct kern_cuda_group *g)
{
    return g->way;
}

/* Where device `to` has what `from` sent. */
static float *slot(const struct kern_cuda_group *g, unsigned to, unsigned from)
{
    const size_t i = g->turn * (g->n - 1) + (from < to ? from : from - 1);

    return static_cast<float *>(kern_cuda_at(g->slots[to], i * g->max_floats * sizeof(float)));
}

/* x = what came from the devices before `to`, in their order, + x + what came from those behind it. */
static void add_up(struct kern_cuda_group *g, unsigned to, float *x, size_t n_floats)
{
    for (unsigned from = 1; from < to; from++)
        kern_cuda_add(g->c[to], slot(g, to, 0), slot(g, to, from), n_floats);
    if (to != 0)
        kern_cuda_add(g->c[to], x, slot(g, to, 0), n_floats);
    for (unsigned from = to + 1; from < g->n; from++)
        kern_cuda_add(g->c[to], x, slot(g, to, from), n_floats);
}

/* All are asked, or none: who is asked waits for the others. */
static void sum_nccl(struct kern_cuda_group *g, float *const *x, size_t n_floats)
{
    char what[64];
    int e, end;

    for (unsigned i = 0; i < g->n; i++)
        if (g->c[i]->bad != cudaSuccess)
            return;
    e = g->nccl.group_start();
    for (unsigned i = 0; e == 0 && i < g->n; i++)
        e = g->nccl.all_reduce(x[i], x[i], n_floats, CUDA_NCCL_FLOAT32, CUDA_NCCL_SUM, g->comm[i],
                               g->c[i]->stream);
    end = g->nccl.group_end();
    e = e != 0 ? e : end;
    if (e == 0)
        return;
    (void)snprintf(what, sizeof(what), "a sum (NCCL: %s)", g->nccl.error(e));
    (void)kern_cuda_note(g->c[0], cudaErrorUnknown, what);
}

static void sum_copies(struct kern_cuda_group *g, float *const *x, size_t n_floats)
{
    for (unsigned to = 0; to < g->n; to++)
        for (unsigned from = 0; from < g->n; from++)
            if (from != to)
                kern_cuda_peer_copy(g->c[to], slot(g, to, from), g->c[from], x[from],
                                    n_floats * sizeof(float));
    for (unsigned to = 0; to < g->n; to++)
        add_up(g, to, x[to], n_floats);
    g->turn ^= 1;
}

void kern_cuda_group_sum(struct kern_cuda_group *g, float *const *x, size_t n_floats)
{
    if (g->copies)
        sum_copies(g, x, n_floats);
    else if (g->comm[0] != NULL)
        sum_nccl(g, x, n_floats);
}

/* Waits by asking: a stream may wait for a device that is lost. */
enum gw_status kern_cuda_group_sync(struct kern_cuda_group *g, struct gw_err *err)
{
    unsigned busy = g->n;

    while (busy != 0) {
        busy = 0;
        for (unsigned i = 0; i < g->n; i++) {
            const cudaError_t e =
                g->c[i]->bad == cudaSuccess ? cudaStreamQuery(g->c[i]->stream) : g->c[i]->bad;

            if (e == cudaErrorNotReady) {
                (void)cudaGetLastError();
                busy++;
            } else if (!kern_cuda_note(g->c[i], e, "what was queued")) {
                end_nccl(g, g->nccl.abort);
                return kern_cuda_tell(g->c[i], err);
            }
        }
        if (busy != 0)
            (void)sched_yield();
    }
    return GW_OK;
}
