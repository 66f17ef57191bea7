/* dlp/prefilter_avx512.c - the filter, 64 bytes a step: vpermi2b looks a byte up among 128, so ASCII is
 * exact; bytes from 0x80 on share one entry. */
#include "dlp/prefilter.h"

#if defined(__x86_64__)
#    include <immintrin.h>

/* One bit for each of the 64 places where a window may begin; v[place] holds the bytes at +place. */
static inline uint64_t step(const struct prefilter *f, const __m512i v[BUNDLE_WINDOW_BYTES])
{
    __mmask64 beyond[BUNDLE_WINDOW_BYTES];
    __m512i any = _mm512_setzero_si512();

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        beyond[place] = _mm512_movepi8_mask(v[place]);
    for (unsigned slice = 0; slice < PREFILTER_SLICES; slice++) {
        __m512i all = _mm512_set1_epi8(-1);

        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
            const uint8_t *ascii = f->ascii[slice][place];
            __m512i a = _mm512_permutex2var_epi8(_mm512_load_si512(ascii), v[place],
                                                 _mm512_load_si512(ascii + 64));

            all = _mm512_and_si512(
                all, _mm512_mask_mov_epi8(a, beyond[place],
                                          _mm512_set1_epi8((char)f->beyond[slice][place])));
        }
        any = _mm512_or_si512(any, all);
    }
    return _mm512_test_epi8_mask(any, any);
}

static inline __mmask64 mask_of(size_t n)
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

size_t prefilter_find_avx512(const struct prefilter *f, const unsigned char *text, size_t from,
                             size_t to, size_t len, uint32_t *out)
{
    size_t n = 0;

    for (size_t i = from; i < to; i += 64) {
        __m512i v[BUNDLE_WINDOW_BYTES];
        uint64_t mask = 0;

        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            v[place] = len - i >= 64 + BUNDLE_WINDOW_BYTES
                           ? _mm512_loadu_si512(text + i + place)
                           : _mm512_maskz_loadu_epi8(mask_of(len - i > place ? len - i - place : 0),
                                                     text + i + place);
        mask = step(f, v) & mask_of(to - i);
        for (; mask != 0; mask &= mask - 1)
            out[n++] = (uint32_t)(i - from) + (uint32_t)__builtin_ctzll(mask);
    }
    return n;
}
#else
size_t prefilter_find_avx512(const struct prefilter *f, const unsigned char *text, size_t from,
                             size_t to, size_t len, uint32_t *out)
{
    return prefilter_find_scalar(f, text, from, to, len, out);
}
#endif
