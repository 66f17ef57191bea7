/* dlp/view_avx2.h - what 32 bytes are, a bit each. Private to dlp/view_*avx2.c.
 *
 * A byte is of a kind when the sets of its low and its high nibble have one in common; a shuffle gives nothing for bytes beyond
 * ASCII. */
#ifndef DLP_VIEW_AVX2_H
#define DLP_VIEW_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#include "dlp/view.h"

/* What view_marks_avx2() says of a byte: bits. */
enum {
    VIEW_MARK_UPPER_ESCAPE = 1, /* % & */
    VIEW_MARK_BACKSLASH = 2,
    VIEW_MARK_EQUALS = 4,
    VIEW_MARK_DIGIT = -128, /* as a char; the bit that a mask is made of */
};

static inline __m256i view_nibbles_avx2(__m256i v, __m256i low, __m256i high)
{
    __m256i upper = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));

    return _mm256_and_si256(_mm256_shuffle_epi8(low, v), _mm256_shuffle_epi8(high, upper));
}

/* VIEW_MARK_* of each byte. */
static inline __m256i view_marks_avx2(__m256i v)
{
    enum {
        U = VIEW_MARK_UPPER_ESCAPE,
        B = VIEW_MARK_BACKSLASH,
        E = VIEW_MARK_EQUALS,
        D = VIEW_MARK_DIGIT
    };
    const __m128i low = _mm_setr_epi8(D, D, D, D, D, D | U, D | U, D, D, D, 0, 0, B, E, 0, 0);
    const __m128i high = _mm_setr_epi8(0, 0, U, D | E, 0, B, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    return view_nibbles_avx2(v, _mm256_broadcastsi128_si256(low),
                             _mm256_broadcastsi128_si256(high));
}

static inline uint32_t view_escapes_avx2(__m256i v)
{
    __m256i marks = _mm256_and_si256(
        view_marks_avx2(v), _mm256_set1_epi8(VIEW_MARK_UPPER_ESCAPE | VIEW_MARK_BACKSLASH));

    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(marks, _mm256_setzero_si256()));
}

static inline __m256i view_equal_avx2(__m256i v, char c)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c));
}

/* Bytes above one and below another, which are ASCII. */
static inline __m256i view_between_avx2(__m256i v, char above, char below)
{
    return _mm256_and_si256(_mm256_cmpgt_epi8(v, _mm256_set1_epi8(above)),
                            _mm256_cmpgt_epi8(_mm256_set1_epi8(below), v));
}

/* x u U, which stand behind a backslash. */
static inline __m256i view_letter_avx2(__m256i v)
{
    return _mm256_or_si256(view_equal_avx2(v, 'x'),
                           view_equal_avx2(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'u'));
}

/* The entry of a table of 32 for the low five bits of each byte. */
static inline __m256i view_by_five_avx2(const uint8_t table[32], __m256i v)
{
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table)),
            high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)(table + 16))),
            nibble = _mm256_and_si256(v, _mm256_set1_epi8(15));

    return _mm256_blendv_epi8(_mm256_shuffle_epi8(low, nibble), _mm256_shuffle_epi8(high, nibble),
                              _mm256_slli_epi16(v, 3));
}

/* view_is_said() of each byte of v, which stands at p, and the two behind it. */
static inline uint32_t view_said_avx2(__m256i v, const char *p)
{
    __m256i next = _mm256_loadu_si256((const void *)(p + 1)),
            third = _mm256_loadu_si256((const void *)(p + 2));
    __m256i lower = _mm256_or_si256(next, _mm256_set1_epi8(0x20));
    __m256i hex = _mm256_or_si256(view_between_avx2(lower, 'a' - 1, 'g'),
                                  view_between_avx2(next, '0' - 1, '9' + 1));
    __m256i name =
        _mm256_or_si256(view_between_avx2(lower, 'a' - 1, 'z' + 1), view_equal_avx2(next, '#'));
    __m256i two =
        _mm256_and_si256(view_equal_avx2(next, '\\'),
                         _mm256_or_si256(view_letter_avx2(third), view_equal_avx2(third, '\\')));
    __m256i slash =
        _mm256_and_si256(view_equal_avx2(v, '\\'), _mm256_or_si256(view_letter_avx2(next), two));
    __m256i amp = _mm256_and_si256(view_equal_avx2(v, '&'), name);
    __m256i percent = _mm256_and_si256(view_equal_avx2(v, '%'), hex);

    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(amp, slash), percent));
}

/* All bits of those that are digits of base64, of both alphabets. */
static inline __m256i view_base64_bytes_avx2(__m256i v)
{
    enum { SIGN = 1, DIGIT = 2, A_TO_O = 4, P_LINE = 8, P_TO_Z = 16 };
    enum { ALL = DIGIT | A_TO_O | P_LINE | P_TO_Z, P = A_TO_O | P_LINE | P_TO_Z };
    const __m128i low =
        _mm_setr_epi8(DIGIT | P_LINE | P_TO_Z, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, P,
                      A_TO_O | SIGN, A_TO_O, A_TO_O | SIGN, A_TO_O, A_TO_O | P_LINE | SIGN);
    const __m128i high =
        _mm_setr_epi8(0, 0, SIGN, DIGIT, A_TO_O, P_LINE, A_TO_O, P_TO_Z, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i found =
        view_nibbles_avx2(v, _mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high));

    return _mm256_cmpgt_epi8(found, _mm256_setzero_si256());
}

static inline uint32_t view_base64_avx2(__m256i v)
{
    return (uint32_t)_mm256_movemask_epi8(view_base64_bytes_avx2(v));
}

enum { VIEW_NO_RUN = 64 };

/* Where VIEW_BLOB_MIN bits in a row begin in these 64, negative when in those before; VIEW_NO_RUN. *before: how many bits stand
 * at the end of those before, and then of these. */
static inline int view_run_begins(uint64_t bits, unsigned *before)
{
    uint64_t runs = bits & bits >> 1;
    unsigned first = bits == UINT64_MAX ? 64 : (unsigned)__builtin_ctzll(~bits);

    _Static_assert(VIEW_BLOB_MIN == 24, "the shifts below");
    if (*before + first >= VIEW_BLOB_MIN)
        return -(int)*before;
    runs &= runs >> 2;
    runs &= runs >> 4;
    runs &= runs >> 8;
    runs &= runs >> 8;
    if (runs != 0)
        return __builtin_ctzll(runs);
    *before = (unsigned)__builtin_clzll(~bits);
    return VIEW_NO_RUN;
}

#endif
