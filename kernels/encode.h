/* kernels/encode.h - rows of floats into the block formats of GGUF files. Pure; any thread. */
#ifndef KERNELS_ENCODE_H
#define KERNELS_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/quant.h"

/* F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K. */
bool kern_can_encode(uint32_t type);

/* Writes n weights (a multiple of the block) as blocks of a type that can be encoded; dst is 2-byte aligned.
 * Values that are not finite give some code. */
void kern_encode_row(enum kern_type type, const float *x, size_t n, void *dst);

#endif
