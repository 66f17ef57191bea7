/* dlp/scan_word_avx512.c - where words of a context can begin, 64 places a step. Thread: any; no state. */
#include "dlp/scan.h"

#if defined(__x86_64__)
#    include <immintrin.h>

static inline __mmask64 mask_of(size_t n)
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* Which bytes are in [from, from + n). */
static inline __mmask64 within(__m512i v, char from, int n)
{
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8(from)),
                                  _mm512_set1_epi8((char)n));
}

/* Where a word can begin: as word_starts() of dlp/scan_word.c says. before: the bytes in front of these. */
static inline __mmask64 starts_in(__m512i before, __m512i v)
{
    const __m512i lower = _mm512_or_si512(before, _mm512_set1_epi8(0x20));
    __mmask64 alnum = within(lower, 'a', 26) | within(before, '0', 10);

    return ~alnum | _mm512_movepi8_mask(v) | (within(v, 'A', 26) & ~within(before, 'A', 26));
}

/* Which places are in all tables of the filter by these hashes. */
static inline __mmask64 known(const struct bundle_bloom *b, const __m512i h[PREFILTER_BLOOMS])
{
    const __m512i bits = _mm512_broadcast_i32x4(
        _mm_set_epi8(0, 0, 0, 0, 0, 0, 0, 0, (char)128, 64, 32, 16, 8, 4, 2, 1));
    __mmask64 found = ~UINT64_C(0);

    for (unsigned i = 0; i < b->n; i++) {
        const uint8_t *table = b->tables + (size_t)i * BUNDLE_BLOOM_BYTES;
        __m512i bytes = _mm512_permutex2var_epi8(_mm512_load_si512(table), h[i],
                                                 _mm512_load_si512(table + 64)),
                bit = _mm512_shuffle_epi8(
                    bits, _mm512_and_si512(h[(i + 1) % PREFILTER_BLOOMS], _mm512_set1_epi8(7)));

        found &= _mm512_test_epi8_mask(bytes, bit);
    }
    return found;
}

uint64_t scan_word_places_avx512(const struct bundle_bloom *b, const unsigned char *text, size_t at,
                                 size_t to, size_t len)
{
    __m512i v[BUNDLE_WINDOW_BYTES], h[PREFILTER_BLOOMS], before;
    __mmask64 starts, found = 0;

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        v[place] = len - at >= 64 + BUNDLE_WINDOW_BYTES
                       ? _mm512_loadu_si512(text + at + place)
                       : _mm512_maskz_loadu_epi8(mask_of(len - at > place ? len - at - place : 0),
                                                 text + at + place);
    before = at > 0 ? _mm512_maskz_loadu_epi8(mask_of(len - at + 1), text + at - 1)
                    : _mm512_maskz_loadu_epi8(mask_of(len) << 1, text - 1);
    starts = starts_in(before, v[0]) & mask_of(to - at);
    if ((b->lengths & 3) != 0 || starts == 0)
        return starts;
    /* Hashes are linear: those of more bytes are made from those of fewer. */
    for (unsigned i = 0; i < PREFILTER_BLOOMS; i++) {
        __m512i of[2];

        for (unsigned place = 0; place < 2; place++)
            of[place] = _mm512_gf2p8affine_epi64_epi8(
                v[place], _mm512_set1_epi64((long long)prefilter_linear[i][place]), 0);
        h[i] = _mm512_xor_si512(of[0], of[1]);
    }
    for (unsigned bytes = 2;; bytes++) {
        if ((b->lengths >> bytes & 1) != 0)
            found |= known(b, h);
        if (bytes == BUNDLE_WINDOW_BYTES)
            break;
        for (unsigned i = 0; i < PREFILTER_BLOOMS; i++)
            h[i] = _mm512_xor_si512(
                h[i], _mm512_gf2p8affine_epi64_epi8(
                          v[bytes], _mm512_set1_epi64((long long)prefilter_linear[i][bytes]), 0));
    }
    return found & starts;
}

unsigned scan_word_head_avx512(const struct bundle_word_head *heads, unsigned i, unsigned end,
                               uint32_t head)
{
    enum { LANES = 8 };
    const __m512i wanted = _mm512_set1_epi64((long long)head);

    _Static_assert(sizeof(*heads) == sizeof(uint64_t), "the value in the low half, the mask above");
    for (; i < end; i += LANES) {
        __mmask8 valid = (__mmask8)(end - i < LANES ? (1u << (end - i)) - 1 : 0xFFu), same;
        __m512i v = _mm512_maskz_loadu_epi64(valid, heads + i);

        same = _mm512_mask_testn_epi64_mask(valid, _mm512_xor_si512(v, wanted),
                                            _mm512_srli_epi64(v, 32));
        if (same != 0)
            return i + (unsigned)__builtin_ctz(same);
    }
    return end;
}
#else
unsigned scan_word_head_avx512(const struct bundle_word_head *heads, unsigned i, unsigned end,
                               uint32_t head)
{
    while (i < end && ((head ^ heads[i].value) & heads[i].mask) != 0)
        i++;
    return i;
}

uint64_t scan_word_places_avx512(const struct bundle_bloom *b, const unsigned char *text, size_t at,
                                 size_t to, size_t len)
{
    (void)b, (void)text, (void)len;
    return to - at >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (to - at)) - 1;
}
#endif
