/* dlp/prefilter_avx512.c - the filter, 64 bytes a step: vpermi2b looks a byte up among 128, so ASCII is
 * exact; bytes from 0x80 on share one entry. */
#include "dlp/prefilter.h"

#if defined(__x86_64__)
#    include <immintrin.h>

struct tables {
    __m512i low[2][BUNDLE_WINDOW_BYTES], high[2][BUNDLE_WINDOW_BYTES];
    __m512i beyond[2][BUNDLE_WINDOW_BYTES];
};

static inline void load_tables(const struct prefilter *f, struct tables *t)
{
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
            t->low[half][place] = _mm512_load_si512(f->ascii[half][place]);
            t->high[half][place] = _mm512_load_si512(f->ascii[half][place] + 64);
            t->beyond[half][place] = _mm512_set1_epi8((char)f->beyond[half][place]);
        }
    }
}

/* One bit for each of the 64 places where a window may begin; v[place] holds the bytes at +place. */
static inline uint64_t step(const struct tables *t, const __m512i v[BUNDLE_WINDOW_BYTES])
{
    __m512i first = _mm512_set1_epi8(-1), second = first;

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        __mmask64 beyond = _mm512_movepi8_mask(v[place]);
        __m512i a = _mm512_permutex2var_epi8(t->low[0][place], v[place], t->high[0][place]);
        __m512i b = _mm512_permutex2var_epi8(t->low[1][place], v[place], t->high[1][place]);

        first = _mm512_and_si512(first, _mm512_mask_mov_epi8(a, beyond, t->beyond[0][place]));
        second = _mm512_and_si512(second, _mm512_mask_mov_epi8(b, beyond, t->beyond[1][place]));
    }
    return _mm512_test_epi8_mask(_mm512_or_si512(first, second), _mm512_set1_epi8(-1));
}

static inline __mmask64 mask_of(size_t n)
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

size_t prefilter_find_avx512(const struct prefilter *f, const unsigned char *text, size_t from,
                             size_t to, size_t len, uint32_t *out)
{
    struct tables t;
    size_t n = 0;

    load_tables(f, &t);
    for (size_t i = from; i < to; i += 64) {
        __m512i v[BUNDLE_WINDOW_BYTES];
        uint64_t mask = 0;

        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            v[place] = len - i >= 64 + BUNDLE_WINDOW_BYTES
                           ? _mm512_loadu_si512(text + i + place)
                           : _mm512_maskz_loadu_epi8(mask_of(len - i > place ? len - i - place : 0),
                                                     text + i + place);
        mask = step(&t, v) & mask_of(to - i);
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
