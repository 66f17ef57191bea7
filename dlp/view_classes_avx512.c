/* dlp/view_classes_avx512.c - view_bits() with AVX-512: 64 bytes a step, each byte's classes from a table of 128. Any thread. */
#include "dlp/view_bits.h"
#include "dlp/view_find.h"

#if defined(__x86_64__)
#    include <immintrin.h>

void view_bits_avx512(struct gw_span text, size_t from, struct view_bits *out)
{
    const __m512i low = _mm512_loadu_si512(view_class_of),
                  high = _mm512_loadu_si512(view_class_of + 64);
    const __m512i first =
                      _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)view_spell_first)),
                  second =
                      _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)view_spell_second));
    struct view_words words;
    const unsigned filled = view_words_begin(&words, text.len, from);

    for (unsigned i = 0; i < filled; i++) {
        size_t at =
            from + (size_t)i * VIEW_BLOCK - VIEW_BLOCK; /* wraps where nothing is in front */
        size_t left = at < text.len ? text.len - at : 0;
        __m512i v = left >= VIEW_BLOCK ? _mm512_loadu_si512(text.ptr + at)
                                       : _mm512_maskz_loadu_epi8((UINT64_C(1) << left) - 1,
                                                                 text.ptr + (left == 0 ? 0 : at));
        __m512i next =
            left > VIEW_BLOCK
                ? _mm512_loadu_si512(text.ptr + at + 1)
                : _mm512_maskz_loadu_epi8(left == 0 ? 0 : (UINT64_C(1) << (left - 1)) - 1,
                                          text.ptr + (left == 0 ? 0 : at + 1));
        __mmask64 beyond = _mm512_movepi8_mask(v);
        /* Bytes beyond ASCII have no other class. */
        __m512i classes = _mm512_maskz_permutex2var_epi8(~beyond, low, v, high);

        for (unsigned k = 0; k < VIEW_CLASS_HIGH; k++)
            words.of[k][i] = _mm512_test_epi8_mask(classes, _mm512_set1_epi8((char)(1u << k)));
        words.of[VIEW_CLASS_HIGH][i] = beyond;
        words.of[VIEW_CLASS_SPELL][i] = _mm512_test_epi8_mask(
            _mm512_permutexvar_epi8(v, first), _mm512_permutexvar_epi8(next, second));
    }
    view_bits_of(&words, out);
    for (unsigned k = 0; k < VIEW_MARK_BITS; k++) {
        out->any[k] = 0;
        for (unsigned i = 0; i < words.n; i += VIEW_STEP) {
            __m512i w = _mm512_load_si512(&out->at[k][i]);

            out->any[k] |= (uint64_t)_mm512_test_epi64_mask(w, w) << i;
        }
    }
}
#endif
