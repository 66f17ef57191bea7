/* tests/simt/nccl.c - stands in for NVIDIA's NCCL on emulated devices: a shared object with its name and the few functions that kernels/cuda_nccl.c looks for. Sums are
 * asked for between a start and an end, by each device once, and are made at the end, as the documentation has it for one thread with several devices. */
#include "tests/simt/nccl.h"

#include <stdbool.h>
#include <stdlib.h>

enum { OK, INTERNAL = 3, BAD_ARGUMENT = 4, BAD_USE = 5, DEVICES = 8, FEW = 5 };

struct comm {
    int rank, n;
};
struct request {
    const float *send;
    float *receive;
    size_t n;
    const struct comm *c;
};

struct fake_nccl fake_nccl_state;
static struct request asked[DEVICES];
static int n_asked;
static bool in_group;

int ncclCommInitAll(struct comm **out, int n, const int *devices)
{
    if (fake_nccl_state.mode == FAKE_NCCL_OFF)
        return INTERNAL;
    if (n < 1 || n > DEVICES)
        return BAD_ARGUMENT;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            if (devices[i] == devices[k])
                return BAD_ARGUMENT;
    for (int i = 0; i < n; i++) {
        out[i] = malloc(sizeof(*out[i]));
        *out[i] = (struct comm){i, n};
        fake_nccl_state.joined++;
    }
    return OK;
}

int ncclCommDestroy(struct comm *c)
{
    free(c);
    fake_nccl_state.joined--;
    return OK;
}

int ncclCommAbort(struct comm *c)
{
    fake_nccl_state.aborted++;
    return ncclCommDestroy(c);
}

int ncclGroupStart(void)
{
    if (in_group)
        return BAD_USE;
    in_group = true;
    n_asked = 0;
    return OK;
}

int ncclAllReduce(const void *send, void *receive, size_t n, int type, int op, struct comm *c,
                  void *stream)
{
    if (!in_group || type != 7 || op != 0 || stream == NULL || n == 0 || c->rank != n_asked)
        return BAD_ARGUMENT;
    if (fake_nccl_state.mode == FAKE_NCCL_FAILS && fake_nccl_state.sums >= FEW)
        return INTERNAL;
    asked[n_asked++] = (struct request){send, receive, n, c};
    return OK;
}

int ncclGroupEnd(void)
{
    const bool all = n_asked != 0 && n_asked == asked[0].c->n;
    float *sum;

    if (!in_group)
        return BAD_USE;
    in_group = false;
    if (!all) /* the real one would wait for ever */
        return BAD_USE;
    sum = calloc(asked[0].n, sizeof(*sum));
    for (int i = 0; i < n_asked; i++) {
        if (asked[i].n != asked[0].n)
            abort();
        for (size_t k = 0; k < asked[0].n; k++)
            sum[k] = i == 0 ? asked[i].send[k] : sum[k] + asked[i].send[k];
    }
    for (int i = 0; i < n_asked; i++)
        memcpy(asked[i].receive, sum, asked[0].n * sizeof(*sum));
    free(sum);
    fake_nccl_state.sums++;
    return OK;
}

int ncclGetVersion(int *out)
{
    *out = 29901;
    return OK;
}

const char *ncclGetErrorString(int result)
{
    return result == OK ? "no error" : "emulated failure";
}
