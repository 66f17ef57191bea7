/* dlp/view_classes_avx2.c - view_bits() with AVX2: 32 bytes a step, each byte's classes by its nibbles. Any thread. */
#include <string.h>

#include "dlp/view_bits.h"

#if defined(__x86_64__)
#    include "dlp/view_avx2.h"
#    include "dlp/view_find.h"

/* Writes the upper bits of 32 bytes as that half of a row of words, which are read much later: a load of two stores would wait. */
static inline void put(uint64_t *words, unsigned half, __m256i v)
{
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(v);

    memcpy((unsigned char *)words + half * sizeof(bits), &bits, sizeof(bits));
}

/* Writes what 32 bytes are, behind each of which the others stand. */
static inline void put_all(__m256i v, __m256i next, __m256i third, unsigned half,
                           struct view_words *out)
{
    enum {
        UPPER_ESCAPE = 1,
        BACKSLASH = 2,
        EQUALS = 4,
        DIGIT = 8,
        IN_2 = 16,
        IN_5 = 32,
        HASH = 64,
        QUOTED = -128 /* of capitals and controls */
    };
    const __m128i low = _mm_setr_epi8(DIGIT | IN_2, DIGIT | QUOTED, DIGIT | QUOTED,
                                      DIGIT | HASH | QUOTED, DIGIT | QUOTED,
                                      DIGIT | UPPER_ESCAPE | QUOTED, DIGIT | UPPER_ESCAPE | QUOTED,
                                      DIGIT, DIGIT, DIGIT, QUOTED, 0, BACKSLASH | IN_2,
                                      EQUALS | IN_2 | QUOTED, IN_2, IN_2 | IN_5),
                  high = _mm_setr_epi8(QUOTED, 0, UPPER_ESCAPE | IN_2 | HASH, DIGIT | EQUALS,
                                       QUOTED, BACKSLASH | IN_5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i found = view_nibbles_avx2(v, _mm256_broadcastsi128_si256(low),
                                      _mm256_broadcastsi128_si256(high)),
            letter = view_letter_avx2(v),
            common = _mm256_and_si256(_mm256_and_si256(view_by_five_avx2(view_spell_first, v),
                                                       view_by_five_avx2(view_spell_second, next)),
                                      view_by_five_avx2(view_spell_third, third));

    /* A bit of found becomes the upper one of its byte. */
    put(out->of[VIEW_CLASS_DIGIT], half, _mm256_slli_epi16(found, 4));
    put(out->of[VIEW_CLASS_SIGN], half,
        _mm256_or_si256(_mm256_slli_epi16(found, 3), _mm256_slli_epi16(found, 2)));
    put(out->of[VIEW_CLASS_BASE64], half, view_base64_bytes_avx2(v));
    put(out->of[VIEW_CLASS_SLASH], half,
        _mm256_or_si256(_mm256_slli_epi16(found, 6), _mm256_slli_epi16(found, 5)));
    put(out->of[VIEW_CLASS_PERCENT], half,
        _mm256_or_si256(_mm256_slli_epi16(found, 7), _mm256_slli_epi16(found, 5)));
    put(out->of[VIEW_CLASS_QUOTED], half, _mm256_or_si256(_mm256_slli_epi16(found, 4), found));
    put(out->of[VIEW_CLASS_LETTER], half, _mm256_or_si256(letter, _mm256_slli_epi16(found, 1)));
    put(out->of[VIEW_CLASS_ALPHA], half,
        view_between_avx2(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'a' - 1, 'z' + 1));
    put(out->of[VIEW_CLASS_HIGH], half, v);
    put(out->of[VIEW_CLASS_SPELL], half,
        _mm256_xor_si256(_mm256_cmpeq_epi8(common, _mm256_setzero_si256()), _mm256_set1_epi8(-1)));
}

void view_bits_avx2(struct gw_span text, size_t from, struct view_bits *out)
{
    enum { HALF = VIEW_BLOCK / 2 };
    struct view_words words;
    const unsigned filled = view_words_begin(&words, text.len, from);

    view_words_clear(&words, VIEW_FIRST - 1 + filled);
    for (unsigned half = 0; half < 2 * filled; half++) {
        /* Wraps where nothing is in front. */
        size_t at = from + (size_t)half * HALF - VIEW_BLOCK,
               left = at < text.len ? text.len - at : 0;
        char tail[HALF + 2] = {0};
        const char *row = tail;

        if (left > HALF + 1)
            row = text.ptr + at;
        else if (left > 0)
            memcpy(tail, text.ptr + at, left);
        put_all(_mm256_loadu_si256((const void *)row), _mm256_loadu_si256((const void *)(row + 1)),
                _mm256_loadu_si256((const void *)(row + 2)), half + 2 * (VIEW_FIRST - 1), &words);
    }
    view_bits_of(&words, out);
}
#endif
