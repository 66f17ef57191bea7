/* kernels/cuda_peer.cu - between devices: the stream of a model whose layers lie on several. */
#include "kernels/cuda_private.h"

/* The copy is queued on the device that has the source, behind what computes it; the other one waits for it. */
void kern_cuda_peer_copy(struct kern_cuda *to, void *dst, struct kern_cuda *from, const void *src,
                         size_t bytes)
{
    cudaEvent_t done;

    if (from->bad != cudaSuccess || to->bad != cudaSuccess)
        return;
    (void)cudaSetDevice(from->device);
    if (!kern_cuda_note(from, cudaMemcpyPeerAsync(dst, to->device, src, from->device, bytes, from->stream),
                        "copying to another device") ||
        !kern_cuda_note(from, cudaEventCreateWithFlags(&done, cudaEventDisableTiming),
                        "copying to another device"))
        return;
    (void)kern_cuda_note(from, cudaEventRecord(done, from->stream), "copying to another device");
    (void)cudaSetDevice(to->device);
    (void)kern_cuda_note(to, cudaStreamWaitEvent(to->stream, done, 0), "waiting for a device");
    (void)cudaEventDestroy(done); /* the driver keeps it as long as somebody waits for it */
}
