/* tests/bench/gpu/peak.h - what the tensor cores reach on registers alone: the ceiling of the workbench's products. */
#ifndef TESTS_BENCH_GPU_PEAK_H
#define TESTS_BENCH_GPU_PEAK_H

#include "kernels/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Queues products of fragments that are in registers: int8 or bfloat16, by the instructions of kernels/cuda_ptx.cuh, so many turns of each warp.
 * sink: device pointer, 4 bytes. Returns how many multiplications and additions they are. */
double peak_run(struct kern_cuda *c, bool ints, int turns, void *sink);

#ifdef __cplusplus
}
#endif

#endif
