/* dlp/view_classes_avx512.c - view_classes() with AVX-512: 64 bytes a step, each byte's classes from a table of 128. Any thread. */
#include "dlp/view_marks.h"

#if defined(__x86_64__)
#    include <immintrin.h>

void view_classes_avx512(const char *p, size_t n, struct view_block *out, unsigned n_blocks)
{
    const __m512i low = _mm512_loadu_si512(view_class_of),
                  high = _mm512_loadu_si512(view_class_of + 64);

    for (unsigned i = 0; i < n_blocks; i++) {
        size_t at = (size_t)i * VIEW_BLOCK, left = at < n ? n - at : 0;
        __m512i v = left >= VIEW_BLOCK ? _mm512_loadu_si512(p + at)
                                       : _mm512_maskz_loadu_epi8((UINT64_C(1) << left) - 1, p + at);
        __mmask64 beyond = _mm512_movepi8_mask(v);
        /* Bytes beyond ASCII have no other class. */
        __m512i classes = _mm512_permutex2var_epi8(
            low, _mm512_mask_mov_epi8(v, beyond, _mm512_setzero_si512()), high);

        for (unsigned k = 0; k < VIEW_CLASS_HIGH; k++)
            out[i].of[k] = _mm512_test_epi8_mask(classes, _mm512_set1_epi8((char)(1u << k)));
        out[i].of[VIEW_CLASS_HIGH] = beyond;
    }
}
#endif
