/* dlp/view_classes_avx2.c - view_classes() with AVX2: 32 bytes a step, each byte's classes by its nibbles. Any thread. */
#include <string.h>

#include "dlp/view_marks.h"

#if defined(__x86_64__)
#    include "dlp/view_avx2.h"

/* Adds the bits of 32 bytes. */
static inline void add(__m256i v, unsigned shift, struct view_block *out)
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
            letter = view_letter_avx2(v);

    /* A bit of found becomes the upper one of its byte. */
#    define MASK(bits) ((uint64_t)(uint32_t)_mm256_movemask_epi8(bits) << shift)
    out->of[VIEW_CLASS_DIGIT] |= MASK(_mm256_slli_epi16(found, 4));
    out->of[VIEW_CLASS_SIGN] |=
        MASK(_mm256_or_si256(_mm256_slli_epi16(found, 3), _mm256_slli_epi16(found, 2)));
    out->of[VIEW_CLASS_BASE64] |= (uint64_t)view_base64_avx2(v) << shift;
    out->of[VIEW_CLASS_BACKSLASH] |= MASK(_mm256_slli_epi16(found, 6));
    out->of[VIEW_CLASS_PERCENT] |= MASK(_mm256_slli_epi16(found, 7));
    out->of[VIEW_CLASS_EQUALS] |= MASK(_mm256_slli_epi16(found, 5));
    out->of[VIEW_CLASS_LETTER] |= MASK(_mm256_or_si256(letter, _mm256_slli_epi16(found, 1)));
    out->of[VIEW_CLASS_HIGH] |= MASK(v);
#    undef MASK
}

void view_classes_avx2(const char *p, size_t n, struct view_block *out, unsigned n_blocks)
{
    enum { HALF = VIEW_BLOCK / 2 };

    memset(out, 0, n_blocks * sizeof(*out));
    for (size_t at = 0; at < n && at / VIEW_BLOCK < n_blocks; at += HALF) {
        char tail[HALF] = {0};
        const char *row = p + at;

        if (n - at < sizeof(tail)) {
            memcpy(tail, row, n - at);
            row = tail;
        }
        add(_mm256_loadu_si256((const void *)row), (unsigned)(at % VIEW_BLOCK),
            &out[at / VIEW_BLOCK]);
    }
}
#endif
