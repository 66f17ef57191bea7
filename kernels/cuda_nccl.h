/* kernels/cuda_nccl.h - private: NVIDIA's library of sums over devices, where it is installed. Types and numbers are those of its documentation: a communicator is a
 * pointer, a result an int with 0 for success, a stream the CUDA runtime's. */
#ifndef KERNELS_CUDA_NCCL_H
#define KERNELS_CUDA_NCCL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CUDA_NCCL_FLOAT32 = 7, CUDA_NCCL_SUM = 0 };

struct cuda_nccl {
    int (*init_all)(void **comm, int n, const int *devices); /* comm[n]: one a device */
    int (*all_reduce)(const void *send, void *receive, size_t n, int type, int op, void *comm,
                      void *stream);
    int (*group_start)(void);
    int (*group_end)(void);
    int (*destroy)(void *comm);
    int (*abort)(void *comm); /* ends what waits for the others, too */
    int (*version)(int *out); /* 22703: 2.27.3 */
    const char *(*error)(int result);
};

/* Looks for libnccl.so.2, which then stays. False: it is not there, or lacks one of these; *out is undefined. Thread: any. */
bool cuda_nccl_find(struct cuda_nccl *out);

#ifdef __cplusplus
}
#endif

#endif
