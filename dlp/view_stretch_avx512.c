/* dlp/view_stretch_avx512.c - stretches of up to 63 digits of base64 with AVX-512, at once. Any thread. */
#include "dlp/view_stretch.h"

#if defined(__x86_64__)
#    include <immintrin.h>

#    include "dlp/view.h"

enum { LANES = 64 };

/* Lane i is i + n. */
static inline __m512i lanes_from(unsigned n)
{
    const __m512i iota = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
        40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
        17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

    return _mm512_add_epi8(iota, _mm512_set1_epi8((char)n));
}

/* 48 bytes of 64 digits. */
static inline __m512i pack(__m512i digits)
{
    const __m512i order = _mm512_set_epi8(
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 61, 62, 56, 57, 58, 52, 53, 54, 48, 49,
        50, 44, 45, 46, 40, 41, 42, 36, 37, 38, 32, 33, 34, 28, 29, 30, 24, 25, 26, 20, 21, 22, 16,
        17, 18, 12, 13, 14, 8, 9, 10, 4, 5, 6, 0, 1, 2);
    __m512i pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi32(0x01400140));

    return _mm512_permutexvar_epi8(order, _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000)));
}

static inline __mmask64 below(__m512i v, unsigned char n)
{
    return _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8((char)n));
}

/* Which bytes are part of no character of text: view_bad_bytes(). By their nibbles, and what stands in front. */
static inline uint64_t bad_of(__m512i v)
{
    enum { IN_0 = 1, IN_1 = 2, IN_7 = 4, IN_C = 8, IN_F = 16 };
    const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi8(
                      IN_1 | IN_C, IN_0 | IN_1 | IN_C, IN_0 | IN_1, IN_0 | IN_1, IN_0 | IN_1,
                      IN_0 | IN_1 | IN_F, IN_0 | IN_1 | IN_F, IN_0 | IN_1 | IN_F,
                      IN_0 | IN_1 | IN_F, IN_1 | IN_F, IN_1 | IN_F, IN_1 | IN_F, IN_1 | IN_F,
                      IN_1 | IN_F, IN_0 | IN_1 | IN_F, IN_0 | IN_1 | IN_7 | IN_F)),
                  high = _mm512_broadcast_i32x4(
                      _mm_setr_epi8(IN_0, IN_1, 0, 0, 0, 0, 0, IN_7, 0, 0, 0, 0, IN_C, 0, 0, IN_F));
    const __m512i nibble = _mm512_set1_epi8(15);
    uint64_t never = _mm512_test_epi8_mask(
                 _mm512_shuffle_epi8(low, _mm512_and_si512(v, nibble)),
                 _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble))),
             tail = _mm512_cmplt_epi8_mask(v, _mm512_set1_epi8((char)0xC0)),
             beyond = _mm512_movepi8_mask(v);

    return never | (tail & ~(beyond << 1));
}

/* May VIEW_SHORTEST characters of text stand in a row in n bytes, or nearly all of them be text? */
static inline bool may_hold_text(uint64_t bad, unsigned n)
{
    uint64_t good = ~bad & ((UINT64_C(1) << n) - 1);

    if ((n - (unsigned)__builtin_popcountll(good)) * 10 <= n)
        return true;
    _Static_assert(VIEW_SHORTEST == 20, "the steps below");
    good &= good >> 1;
    good &= good >> 2;
    good &= good >> 4;
    good &= good >> 8;
    good &= good >> 4;
    return good != 0;
}

/* May decoding begin where these n bytes do? As view_stretch.c has it. */
static inline bool may_begin(__m512i bytes, unsigned n, uint64_t bad)
{
    enum { LOOKED_AT = 36, CUT = 3, LEAST = 8 };
    unsigned last = n < LOOKED_AT ? n : LOOKED_AT;
    uint64_t first = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(bytes));

    if (n >= LEAST && view_is_gzip((struct gw_span){(const char *)&first, sizeof(first)}))
        return true;
    return last <= CUT || (bad & ((UINT64_C(1) << (last - CUT)) - 1)) == 0;
}

/* What the bytes at p say as digits of base64, and which of them are some: at most 64, of a text that has `left`. */
static inline __m512i digits_at(const char *p, size_t left, __mmask64 *is_digit, __m512i *v)
{
    const __m512i low = _mm512_loadu_si512(view_base64),
                  high = _mm512_loadu_si512(view_base64 + LANES);
    __mmask64 there = left >= LANES ? UINT64_MAX : (UINT64_C(1) << left) - 1;
    __m512i digits;

    *v = _mm512_maskz_loadu_epi8(there, p);
    digits = _mm512_permutex2var_epi8(low, *v, high);
    *is_digit = below(digits, VIEW_NO_DIGIT) & ~_mm512_movepi8_mask(*v) & there;
    return digits;
}

/* With which of the first four digits decoding may begin, as far as twelve bytes tell, bit 16 n for digit n. There are VIEW_BLOB_MIN or more. */
static inline uint64_t may_begin_with(__m512i digits)
{
    /* Of each phase 16 digits, which are 12 bytes. */
    const __m512i phases = _mm512_set_epi64(
        0x1211100F0E0D0C0B, 0x0A09080706050403, 0x11100F0E0D0C0B0A, 0x0908070605040302,
        0x100F0E0D0C0B0A09, 0x0807060504030201, 0x0F0E0D0C0B0A0908, 0x0706050403020100);
    const __m512i order = _mm512_broadcast_i32x4(
        _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    const uint64_t firsts = UINT64_C(0x0001000100010001);
    __m512i pairs = _mm512_maddubs_epi16(_mm512_permutexvar_epi8(phases, digits),
                                         _mm512_set1_epi32(0x01400140)),
            bytes =
                _mm512_shuffle_epi8(_mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000)), order);
    uint64_t zlib = _mm512_cmpeq_epi8_mask(_mm512_and_si512(bytes, _mm512_set1_epi8((char)0x8F)),
                                           _mm512_set1_epi8(8)),
             gzip = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(0x1F));

    _Static_assert(VIEW_BLOB_MIN == 24, "may_begin() looks at 12 bytes of each phase, or more");
    /* Where none is bad nothing is carried into the last bit of the sixteen. */
    return ((zlib | gzip) | ~(bad_of(bytes) + firsts * 0x7FFF) >> 15) & firsts;
}

/* Which digits of base64 are digits of hex. */
static inline uint64_t hex_of(__m512i v)
{
    return _mm512_mask_cmple_epi8_mask(_mm512_cmpgt_epi8_mask(v, _mm512_set1_epi8('/')),
                                       _mm512_or_si512(v, _mm512_set1_epi8(0x20)),
                                       _mm512_set1_epi8('f'));
}

/* view_says_nothing() of n digits, VIEW_BLOB_MIN or more and fewer than 64; beyond they are 0. */
static inline bool says_nothing(__m512i digits, unsigned n)
{
    if (may_hold_text(bad_of(pack(digits)), n * 3 / 4))
        return false;
    for (uint64_t left = may_begin_with(digits); left != 0; left &= left - 1) {
        const unsigned phase = (unsigned)__builtin_ctzll(left) / 16;
        /* The lanes behind the last are 0, and so is what comes around. */
        __m512i bytes =
            pack(_mm512_maskz_permutexvar_epi8(UINT64_MAX >> phase, lanes_from(phase), digits));

        if (may_begin(bytes, (n - phase) * 3 / 4, bad_of(bytes)))
            return false;
    }
    return true;
}

size_t view_run_avx512(struct gw_span text, bool *nothing)
{
    __m512i v, digits;
    __mmask64 is_digit;
    uint64_t in;
    unsigned n;

    digits = digits_at(text.ptr, text.len, &is_digit, &v);
    if (is_digit == UINT64_MAX)
        return 0;
    n = (unsigned)__builtin_ctzll(~is_digit);
    in = (UINT64_C(1) << n) - 1;
    /* Of hex more has to be known. */
    if (n < VIEW_BLOB_MIN || (in & ~hex_of(v)) == 0)
        return 0;
    if (!view_may_end_line(text, n))
        *nothing = says_nothing(_mm512_maskz_mov_epi8(in, digits), n);
    return n;
}

bool view_lines_say_nothing_avx512(struct gw_span stretch)
{
    __mmask64 is_digit;
    __m512i v, digits;
    unsigned n;

    if (stretch.len > LANES)
        return false;
    digits = digits_at(stretch.ptr, stretch.len, &is_digit, &v);
    n = (unsigned)__builtin_popcountll(is_digit);
    return n >= VIEW_BLOB_MIN && n < LANES &&
           _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')) == 0 &&
           says_nothing(_mm512_maskz_compress_epi8(is_digit, digits), n);
}
#endif
