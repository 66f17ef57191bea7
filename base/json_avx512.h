/* base/json_avx512.h - where escapes are among 64 bytes of a JSON string. */
#ifndef BASE_JSON_AVX512_H
#define BASE_JSON_AVX512_H

#include <immintrin.h>
#include <stdint.h>

/* Of these backslashes, those that begin an escape; *second: the bytes behind these. The first byte is no escape's second one. */
static inline uint64_t gw_json_escapes(uint64_t slashes, uint64_t *second)
{
    /* A subtraction borrows through a row of backslashes: what is left tells odd places from even ones. */
    const uint64_t odd = UINT64_C(0xAAAAAAAAAAAAAAAA),
                   told = ((slashes << 1 | odd) - slashes) ^ odd;

    *second = told ^ slashes;
    return told & slashes;
}

#endif
