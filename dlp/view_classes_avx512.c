/* dlp/view_classes_avx512.c - view_bits() with AVX-512: 64 bytes a step, each byte's classes from a table of 128. Any thread. */
#include "dlp/view_bits.h"
#include "dlp/view_find.h"

#if defined(__x86_64__)
#    include <immintrin.h>

/* Eight masks of 64 bits: bit b of each of 64 bytes. An affine map whose matrix is eight bytes and whose arguments are the single bits
 * transposes them, the last byte first; another one puts that right. */
static inline __m512i masks_of(__m512i v)
{
    const __m512i diagonal = _mm512_set1_epi64((long long)UINT64_C(0x8040201008040201)),
                  by_bit =
                      _mm512_set_epi8(63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6,
                                      61, 53, 45, 37, 29, 21, 13, 5, 60, 52, 44, 36, 28, 20, 12, 4,
                                      59, 51, 43, 35, 27, 19, 11, 3, 58, 50, 42, 34, 26, 18, 10, 2,
                                      57, 49, 41, 33, 25, 17, 9, 1, 56, 48, 40, 32, 24, 16, 8, 0);
    __m512i columns =
        _mm512_gf2p8affine_epi64_epi8(_mm512_gf2p8affine_epi64_epi8(diagonal, v, 0), diagonal, 0);

    return _mm512_permutexvar_epi8(by_bit, columns);
}

/* Exchanges rows and columns of eight words. */
static inline void transpose(__m512i m[8])
{
    __m512i pairs[8], fours[8];

    for (unsigned i = 0; i < 8; i += 2) {
        pairs[i] = _mm512_unpacklo_epi64(m[i], m[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi64(m[i], m[i + 1]);
    }
    for (unsigned i = 0; i < 8; i += 4)
        for (unsigned k = 0; k < 2; k++) {
            fours[i + k] = _mm512_shuffle_i64x2(pairs[i + k], pairs[i + k + 2], 0x88);
            fours[i + k + 2] = _mm512_shuffle_i64x2(pairs[i + k], pairs[i + k + 2], 0xDD);
        }
    /* A row of fours is of columns 0 and 4, or of others by two, of four rows each. */
    for (unsigned k = 0; k < 4; k++) {
        m[k] = _mm512_shuffle_i64x2(fours[k], fours[k + 4], 0x88);
        m[k + 4] = _mm512_shuffle_i64x2(fours[k], fours[k + 4], 0xDD);
    }
}

/* The bytes of the text from `at` on, which wraps where nothing is there; zeroes behind its end. */
static inline __m512i bytes_at(struct gw_span text, size_t at)
{
    size_t left = at < text.len ? text.len - at : 0;

    return left >= VIEW_BLOCK ? _mm512_loadu_si512(text.ptr + at)
                              : _mm512_maskz_loadu_epi8((UINT64_C(1) << left) - 1,
                                                        text.ptr + (left == 0 ? 0 : at));
}

/* What tells words for digits from others: view_may_be_spelled() of each byte, with the two behind it. */
struct spells {
    __m512i first, second, third;
};

static inline struct spells spells_load(void)
{
    return (struct spells){
        _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)view_spell_first)),
        _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)view_spell_second)),
        _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)view_spell_third))};
}

static inline uint64_t spells_of(const struct spells *s, __m512i v, __m512i next, __m512i third)
{
    return _mm512_test_epi8_mask(_mm512_and_si512(_mm512_permutexvar_epi8(v, s->first),
                                                  _mm512_permutexvar_epi8(next, s->second)),
                                 _mm512_permutexvar_epi8(third, s->third));
}

/* Fills in the classes of block i that are no bit of view_class_of, the block being the text's bytes from `at` on; returns the others, a word
 * each. whole: all of it, and two bytes behind, are there. */
static inline __m512i fill_block(struct gw_span text, size_t at, bool whole, const struct spells *s,
                                 struct view_words *words, unsigned i)
{
    const __m512i low = _mm512_loadu_si512(view_class_of),
                  high = _mm512_loadu_si512(view_class_of + 64);
    __m512i v = whole ? _mm512_loadu_si512(text.ptr + at) : bytes_at(text, at),
            next = whole ? _mm512_loadu_si512(text.ptr + at + 1) : bytes_at(text, at + 1),
            third = whole ? _mm512_loadu_si512(text.ptr + at + 2) : bytes_at(text, at + 2);
    __mmask64 beyond = _mm512_movepi8_mask(v);

    _Static_assert(VIEW_CLASS_HIGH == 8, "a bit of a byte for each class in front of it");
    words->of[VIEW_CLASS_HIGH][i] = beyond;
    words->of[VIEW_CLASS_SPELL][i] = spells_of(s, v, next, third);
    /* Bytes beyond ASCII have no other class. */
    return masks_of(_mm512_maskz_permutex2var_epi8(~beyond, low, v, high));
}

/* Fills in block i. */
static void fill_one(struct gw_span text, size_t at, const struct spells *s,
                     struct view_words *words, unsigned i)
{
    uint64_t masks[8];

    _mm512_storeu_si512(masks, fill_block(text, at, false, s, words, i));
    for (unsigned k = 0; k < VIEW_CLASS_HIGH; k++)
        words->of[k][i] = masks[k];
}

/* Fills in eight blocks from i on. */
static inline void fill_eight(struct gw_span text, size_t at, bool whole, const struct spells *s,
                              struct view_words *words, unsigned i)
{
    __m512i masks[8];

    for (unsigned k = 0; k < 8; k++)
        masks[k] = fill_block(text, at + (size_t)k * VIEW_BLOCK, whole, s, words, i + k);
    transpose(masks);
    for (unsigned k = 0; k < VIEW_CLASS_HIGH; k++)
        _mm512_storeu_si512(&words->of[k][i], masks[k]);
}

void view_bits_avx512(struct gw_span text, size_t from, struct view_bits *out)
{
    enum { FEW = 4 }; /* words that are not worth those of eight blocks */
    const struct spells s = spells_load();
    struct view_words words;
    unsigned filled = view_words_begin(&words, text.len, from), i = 1;

    /* All that is not filled in below. */
    view_words_clear(&words, VIEW_FIRST + (filled <= FEW ? 0 : words.n));
    if (from > 0)
        fill_one(text, from - VIEW_BLOCK, &s, &words, VIEW_FIRST - 1);
    for (; filled > FEW && i < filled && i <= words.n; i += 8) {
        size_t at = from + (size_t)i * VIEW_BLOCK - VIEW_BLOCK;

        if (text.len - at >= (size_t)8 * VIEW_BLOCK + 2)
            fill_eight(text, at, true, &s, &words, VIEW_FIRST - 1 + i);
        else
            fill_eight(text, at, false, &s, &words, VIEW_FIRST - 1 + i);
    }
    for (; i < filled; i++)
        fill_one(text, from + (size_t)i * VIEW_BLOCK - VIEW_BLOCK, &s, &words, VIEW_FIRST - 1 + i);
    view_bits_of(&words, out);
}

size_t view_find_unplain_avx512(struct gw_span text, size_t at, size_t to)
{
    const __m512i low = _mm512_loadu_si512(view_class_of),
                  high = _mm512_loadu_si512(view_class_of + 64);
    const struct spells s = spells_load();
    const __m512i alphas = _mm512_set1_epi8((char)(1u << VIEW_CLASS_ALPHA)),
                  digits = _mm512_set1_epi8((char)(1u << VIEW_CLASS_DIGIT)),
                  signs = _mm512_set1_epi8((char)(1u << VIEW_CLASS_SIGN));
    const unsigned char front = at == 0 ? 0 : (unsigned char)text.ptr[at - 1];
    uint64_t digit_before = view_class_of[front] >> VIEW_CLASS_DIGIT & 1,
             alpha_before = (view_class_of[front] >> VIEW_CLASS_ALPHA & 1) | front >> 7,
             inside = alpha_before; /* the word that goes on began in front of `at` */

    for (; at < to; at += VIEW_BLOCK) {
        __m512i v = bytes_at(text, at);
        __mmask64 beyond = _mm512_movepi8_mask(v);
        __m512i class = _mm512_maskz_permutex2var_epi8(~beyond, low, v, high);
        uint64_t
            alpha = _mm512_test_epi8_mask(class, alphas),
            digit = _mm512_test_epi8_mask(class, digits),
            sign = _mm512_test_epi8_mask(class, signs),
            spell = spells_of(&s, v, bytes_at(text, at + 1), bytes_at(text, at + 2)),
            behind = digit << 1 | digit_before | (~alpha & (alpha + inside)),
            /* Signs with which a number may go on, up to three; it is not known of the last ones here. */
            goes = digit | beyond | (alpha & spell),
            joins = sign & (goes >> 1 | (sign >> 1 & (goes >> 2 | (sign >> 2 & goes >> 3))) |
                            UINT64_C(7) << 61),
            odd = beyond | (alpha & ~(alpha << 1 | alpha_before) & spell) | (joins & behind);

        if (to - at < VIEW_BLOCK)
            odd &= (UINT64_C(1) << (to - at)) - 1;
        if (odd != 0)
            return at + (size_t)__builtin_ctzll(odd);
        inside &= alpha == UINT64_MAX;
        alpha_before = alpha >> 63;
        digit_before = digit >> 63;
    }
    return to;
}
#endif
