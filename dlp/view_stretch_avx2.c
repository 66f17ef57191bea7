/* dlp/view_stretch_avx2.c - view_bad_bytes() with AVX2: 32 digits a step, then 32 bytes. Any thread. */
#include <string.h>

#include "dlp/view_avx2.h"
#include "dlp/view_stretch.h"

/* 24 bytes of 32 digits of base64, in the lower 12 of each half. */
static inline __m256i pack_base64(__m256i digits)
{
    __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi32(0x01400140));
    __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);

    return _mm256_shuffle_epi8(fours, _mm256_broadcastsi128_si256(order));
}

/* 16 bytes of 32 digits of hex. */
static inline __m128i pack_hex(__m256i digits)
{
    __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x0110));

    return _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

/* Which of 32 bytes at p are part of no character of text. The byte in front can be read. */
static inline uint32_t bad_of(const unsigned char *p)
{
    enum { CONTROL = 1, BLANK = 2, DELETE = 4, IS_DELETE = 8 };
    __m256i v = _mm256_loadu_si256((const void *)p),
            before = _mm256_loadu_si256((const void *)(p - 1));
    /* Of ASCII: below the blank but NUL and 0x09 to 0x0d, and 0x7f. Signed: bytes beyond ASCII are negative. */
    __m256i low = view_between_avx2(v, 0, ' '), space = view_between_avx2(v, 8, 14),
            control = _mm256_or_si256(_mm256_andnot_si256(space, low), view_equal_avx2(v, 0x7f));
    /* 0x80 to 0xbf are the smallest. */
    __m256i tail = _mm256_cmpgt_epi8(_mm256_set1_epi8((char)0xC0), v);
    __m256i alone = _mm256_andnot_si256(before, tail); /* the top bit tells */
    __m256i never = _mm256_or_si256(
        _mm256_or_si256(view_equal_avx2(v, (char)0xC0), view_equal_avx2(v, (char)0xC1)),
        view_between_avx2(v, (char)0xF4, 0));

    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(control, never), alone));
}

void view_bad_bytes_avx2(const uint8_t *digits, unsigned n, bool hex, uint64_t bad[VIEW_BAD_WORDS])
{
    enum { STEP = 32, HALF = 12 };
    unsigned char bytes[1 + VIEW_FEW_DIGITS + 2 * STEP];
    unsigned char *w = bytes + 1;
    unsigned n_bytes = view_bytes_of(n, hex);

    memset(bad, 0xff, VIEW_BAD_WORDS * sizeof(*bad));
    bytes[0] = 0;
    for (unsigned i = 0; i < n; i += STEP) {
        __m256i v = _mm256_loadu_si256((const void *)(digits + i));

        if (hex) {
            _mm_storeu_si128((void *)w, pack_hex(v));
            w += STEP / 2;
        } else {
            __m256i packed = pack_base64(v);

            _mm_storeu_si128((void *)w, _mm256_castsi256_si128(packed));
            _mm_storeu_si128((void *)(w + HALF), _mm256_extracti128_si256(packed, 1));
            w += STEP * 3 / 4;
        }
    }
    for (unsigned k = 0; k < n_bytes; k += STEP) {
        uint64_t found = bad_of(bytes + 1 + k);

        if (n_bytes - k < STEP)
            found |= UINT64_MAX << (n_bytes - k);
        bad[k / 64] &= found << (k % 64) | ~(UINT64_C(0xffffffff) << (k % 64));
    }
}
