/* dlp/view_classes_avx2.c - view_bits() with AVX2: 32 bytes a step, each byte's classes by its nibbles. Any thread. */
#include <string.h>

#include "dlp/view_bits.h"

#if defined(__x86_64__)
#    include "dlp/view_avx2.h"
#    include "dlp/view_find.h"

/* Adds the bits of 32 bytes, which another one each stands behind, to word i. */
static inline void add(__m256i v, __m256i next, unsigned i, unsigned shift, struct view_words *out)
{
    enum {
        UPPER_ESCAPE = 1,
        BACKSLASH = 2,
        EQUALS = 4,
        DIGIT = 8,
        IN_2 = 16,
        IN_5 = 32,
        HASH = 64
    };
    const __m128i low =
                      _mm_setr_epi8(DIGIT | IN_2, DIGIT, DIGIT, DIGIT | HASH, DIGIT,
                                    DIGIT | UPPER_ESCAPE, DIGIT | UPPER_ESCAPE, DIGIT, DIGIT, DIGIT,
                                    0, 0, BACKSLASH | IN_2, EQUALS | IN_2, IN_2, IN_2 | IN_5),
                  high = _mm_setr_epi8(0, 0, UPPER_ESCAPE | IN_2 | HASH, DIGIT | EQUALS, 0,
                                       BACKSLASH | IN_5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i found = view_nibbles_avx2(v, _mm256_broadcastsi128_si256(low),
                                      _mm256_broadcastsi128_si256(high)),
            letter = view_letter_avx2(v),
            common = _mm256_and_si256(view_by_five_avx2(view_spell_first, v),
                                      view_by_five_avx2(view_spell_second, next));

    /* A bit of found becomes the upper one of its byte. */
#    define MASK(bits) ((uint64_t)(uint32_t)_mm256_movemask_epi8(bits) << shift)
    out->of[VIEW_CLASS_DIGIT][i] |= MASK(_mm256_slli_epi16(found, 4));
    out->of[VIEW_CLASS_SIGN][i] |=
        MASK(_mm256_or_si256(_mm256_slli_epi16(found, 3), _mm256_slli_epi16(found, 2)));
    out->of[VIEW_CLASS_BASE64][i] |= (uint64_t)view_base64_avx2(v) << shift;
    out->of[VIEW_CLASS_BACKSLASH][i] |= MASK(_mm256_slli_epi16(found, 6));
    out->of[VIEW_CLASS_PERCENT][i] |= MASK(_mm256_slli_epi16(found, 7));
    out->of[VIEW_CLASS_EQUALS][i] |= MASK(_mm256_slli_epi16(found, 5));
    out->of[VIEW_CLASS_LETTER][i] |= MASK(_mm256_or_si256(letter, _mm256_slli_epi16(found, 1)));
    out->of[VIEW_CLASS_ALPHA][i] |=
        MASK(view_between_avx2(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'a' - 1, 'z' + 1));
    out->of[VIEW_CLASS_HIGH][i] |= MASK(v);
    out->of[VIEW_CLASS_SPELL][i] |= MASK(_mm256_andnot_si256(
        _mm256_cmpeq_epi8(common, _mm256_setzero_si256()), _mm256_set1_epi8(-1)));
#    undef MASK
}

/* Which of n words are not 0. */
static inline uint64_t any_of(const uint64_t *w, unsigned n)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < n; i += 4) {
        __m256i none =
            _mm256_cmpeq_epi64(_mm256_load_si256((const void *)&w[i]), _mm256_setzero_si256());

        any |= (uint64_t)(~(unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(none)) & 15) << i;
    }
    return any;
}

void view_bits_avx2(struct gw_span text, size_t from, struct view_bits *out)
{
    enum { HALF = VIEW_BLOCK / 2 };
    struct view_words words;
    size_t first = from == 0 ? 0 : from - VIEW_BLOCK,
           end = from + VIEW_CHUNK + (size_t)2 * VIEW_BLOCK;
    const unsigned filled = view_words_begin(&words, text.len, from);

    for (unsigned k = 0; k < VIEW_CLASSES; k++)
        memset(words.of[k], 0, filled * sizeof(words.of[k][0]));
    end = end < text.len ? end : text.len;
    for (size_t at = first; at < end; at += HALF) {
        char tail[HALF + 1] = {0};
        const char *row = text.ptr + at;

        if (text.len - at < sizeof(tail)) {
            memcpy(tail, row, text.len - at);
            row = tail;
        }
        add(_mm256_loadu_si256((const void *)row), _mm256_loadu_si256((const void *)(row + 1)),
            (unsigned)((at + VIEW_BLOCK - from) / VIEW_BLOCK), at % VIEW_BLOCK, &words);
    }
    view_bits_of(&words, out);
    for (unsigned k = 0; k < VIEW_MARK_BITS; k++)
        out->any[k] = any_of(out->at[k], words.n);
}
#endif
