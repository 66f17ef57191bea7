/* dlp/prefilter_avx2.c - the filter, 32 bytes a step: a byte's buckets are those of its low nibble that
 * are also those of its high nibble. Accepts a little more than the scalar version, never less. */
#include <string.h>

#include "dlp/prefilter.h"

#if defined(__x86_64__)
#    include <immintrin.h>

/* Buckets of 32 bytes at one place. */
static inline __m256i buckets(const struct prefilter *f, unsigned slice, unsigned place, __m256i lo,
                              __m256i hi)
{
    __m256i a = _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(const void *)f->low[slice][place]));
    __m256i b = _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(const void *)f->high[slice][place]));

    return _mm256_and_si256(_mm256_shuffle_epi8(a, lo), _mm256_shuffle_epi8(b, hi));
}

/* One bit for each of the 32 places at p where a window may begin; reads 35 bytes. */
static inline uint32_t step(const struct prefilter *f, const unsigned char *p)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i lo[BUNDLE_WINDOW_BYTES], hi[BUNDLE_WINDOW_BYTES], any = _mm256_setzero_si256();

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + place));

        lo[place] = _mm256_and_si256(v, nibble);
        hi[place] = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
    }
    for (unsigned slice = 0; slice < PREFILTER_SLICES; slice++) {
        __m256i all = buckets(f, slice, 0, lo[0], hi[0]);

        for (unsigned place = 1; place < BUNDLE_WINDOW_BYTES; place++)
            all = _mm256_and_si256(all, buckets(f, slice, place, lo[place], hi[place]));
        any = _mm256_or_si256(any, all);
    }
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(any, _mm256_setzero_si256()));
}

size_t prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t to, size_t len, uint32_t *out)
{
    unsigned char tail[32 + BUNDLE_WINDOW_BYTES];
    size_t n = 0, i = from;

    for (; i < to; i += 32) {
        const unsigned char *p = text + i;
        uint32_t mask = 0;

        if (len - i < sizeof(tail)) {
            memset(tail, 0, sizeof(tail));
            memcpy(tail, p, len - i);
            p = tail;
        }
        mask = step(f, p);
        if (to - i < 32)
            mask &= (UINT32_C(1) << (to - i)) - 1;
        for (; mask != 0; mask &= mask - 1)
            out[n++] = (uint32_t)(i - from) + (uint32_t)__builtin_ctz(mask);
    }
    return n;
}
#else
size_t prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t to, size_t len, uint32_t *out)
{
    return prefilter_find_scalar(f, text, from, to, len, out);
}
#endif
