/* dlp/lanes_avx512.h - see lanes.h. */
#ifndef DLP_LANES_AVX512_H
#define DLP_LANES_AVX512_H

#include <immintrin.h>
#include <stdint.h>

typedef uint64_t lanes __attribute__((vector_size(64)));

static inline lanes lanes_shift(lanes low, lanes high, unsigned n)
{
    return (lanes)_mm512_shrdv_epi64((__m512i)low, (__m512i)high, _mm512_set1_epi64((long long)n));
}

static inline uint64_t lanes_any(lanes v)
{
    return _mm512_test_epi64_mask((__m512i)v, (__m512i)v);
}

#endif
