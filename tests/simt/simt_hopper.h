/* tests/simt/simt_hopper.h - what compute capability 9.0 does beside the threads: barriers in shared memory, the copy engine, and
 * products of a warpgroup. Written from PTX ISA 9.2 (sections by title or number) and the driver API's cuTensorMapEncodeTiled, not from
 * the kernels.
 *
 * Everything happens as late as the manual allows: a copy when no thread of the block can go on without one, a product at the
 * wait for it. Until then its target holds garbage. What the manual calls undefined ends the test. */
#ifndef TESTS_SIMT_HOPPER_H
#define TESTS_SIMT_HOPPER_H

#include <cuda.h>

#include "tests/simt/cuda_runtime.h"

void simt_barrier_init(uint64_t *b, unsigned count);
void simt_barrier_arrive(uint64_t *b);
void simt_barrier_expect(uint64_t *b, unsigned bytes);
void simt_barrier_wait(uint64_t *b, unsigned parity);

void simt_bulk(void *to, const void *from, unsigned bytes, uint64_t *b);
void simt_tensor(void *to, const CUtensorMap *m, unsigned x, unsigned y, uint64_t *b);

enum simt_kind { SIMT_S8, SIMT_F16, SIMT_BF16, SIMT_E4M3 };
void simt_wgmma_fence(void);
/* d[n / 2], words of floats or ints. */
void simt_wgmma(enum simt_kind kind, void *d, unsigned n, const uint32_t a[4], uint64_t b,
                bool add);
void simt_wgmma_commit(void);
void simt_wgmma_wait(unsigned newest);
extern unsigned long simt_wgmmas; /* asked for so far */

/* cuTensorMapEncodeTiled. */
CUresult simt_tensor_encode(CUtensorMap *m, CUtensorMapDataType type, cuuint32_t rank, void *base,
                            const cuuint64_t *dims, const cuuint64_t *pitch, const cuuint32_t *box,
                            const cuuint32_t *step, CUtensorMapInterleave interleave,
                            CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                            CUtensorMapFloatOOBfill fill);

/* For simt.cc. A block begins, or ends. The copy engine does one of what it was given; false: nothing is left. */
void simt_hopper_begin(void);
void simt_hopper_end(void);
bool simt_hopper_late(void);

#endif
