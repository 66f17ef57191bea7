/* kernels/cuda_nccl.c - NCCL is opened when GPUs are joined: the binary needs none of it. */
#include "kernels/cuda_nccl.h"

#include <dlfcn.h>
#include <string.h>

bool cuda_nccl_find(struct cuda_nccl *out)
{
    static const struct {
        size_t at;
        const char *name;
    } names[] = {
        {offsetof(struct cuda_nccl, init_all), "ncclCommInitAll"},
        {offsetof(struct cuda_nccl, all_reduce), "ncclAllReduce"},
        {offsetof(struct cuda_nccl, group_start), "ncclGroupStart"},
        {offsetof(struct cuda_nccl, group_end), "ncclGroupEnd"},
        {offsetof(struct cuda_nccl, destroy), "ncclCommDestroy"},
        {offsetof(struct cuda_nccl, abort), "ncclCommAbort"},
        {offsetof(struct cuda_nccl, version), "ncclGetVersion"},
        {offsetof(struct cuda_nccl, error), "ncclGetErrorString"},
    };
    void *lib = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);

    if (lib == NULL)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *f = dlsym(lib, names[i].name);

        if (f == NULL)
            return false;
        memcpy((char *)out + names[i].at, &f, sizeof(f));
    }
    return true;
}
