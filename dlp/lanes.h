/* dlp/lanes.h - words of 64 bits, taken by as many as a register holds of the instructions for which the file that includes this is
 * compiled. Private to dlp. */
#ifndef DLP_LANES_H
#define DLP_LANES_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512VBMI2__)
#    include "dlp/lanes_avx512.h"
#elif defined(__AVX2__)
#    include "dlp/lanes_avx2.h"
#else
typedef uint64_t lanes __attribute__((vector_size(16)));

/* The bits of low from n on, and behind them those of high; n is below 64. */
static inline lanes lanes_shift(lanes low, lanes high, unsigned n)
{
    return n == 0 ? low : low >> n | high << (64 - n);
}

/* Which words are not 0, a bit each. */
static inline uint64_t lanes_any(lanes v)
{
    return (uint64_t)(v[0] != 0) | (uint64_t)(v[1] != 0) << 1;
}
#endif

enum { LANES_WORDS = sizeof(lanes) / sizeof(uint64_t) };

static inline lanes lanes_load(const uint64_t *w)
{
    lanes v;

    memcpy(&v, w, sizeof(v));
    return v;
}

static inline void lanes_store(uint64_t *w, lanes v)
{
    memcpy(w, &v, sizeof(v));
}

#endif
