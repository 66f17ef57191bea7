/* dlp/lanes_avx2.h - see lanes.h. */
#ifndef DLP_LANES_AVX2_H
#define DLP_LANES_AVX2_H

#include <immintrin.h>
#include <stdint.h>

typedef uint64_t lanes __attribute__((vector_size(32)));

static inline lanes lanes_shift(lanes low, lanes high, unsigned n)
{
    return n == 0 ? low : low >> n | high << (64 - n);
}

static inline uint64_t lanes_any(lanes v)
{
    return (unsigned)_mm256_movemask_pd((__m256d)(v == (lanes){0})) ^ 15;
}

#endif
