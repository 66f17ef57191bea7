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

static inline __m512i lookup(const uint8_t *bank, __m512i a)
{
    return _mm512_permutex2var_epi8(_mm512_load_si512(bank), a, _mm512_load_si512(bank + 64));
}

/* The bit of each byte that its low three bits number. */
static inline __m512i bit_of(__m512i b)
{
    const __m512i bits = _mm512_broadcast_i32x4(
        _mm_set_epi8(0, 0, 0, 0, 0, 0, 0, 0, (char)128, 64, 32, 16, 8, 4, 2, 1));

    return _mm512_shuffle_epi8(bits, _mm512_and_si512(b, _mm512_set1_epi8(7)));
}

/* Which places are in a filter of four banks by these two hashes. */
static inline __mmask64 in_banks(const uint8_t *banks, __m512i a, __m512i b)
{
    __mmask64 ma = _mm512_movepi8_mask(a), mb = _mm512_movepi8_mask(b);
    __m512i r[BUNDLE_BLOOM_BANKS], low, high;

    for (size_t i = 0; i < BUNDLE_BLOOM_BANKS; i++)
        r[i] = lookup(banks + i * BUNDLE_BLOOM_BANK, a);
    low = _mm512_mask_mov_epi8(r[0], ma, r[1]);
    high = _mm512_mask_mov_epi8(r[2], ma, r[3]);
    return _mm512_test_epi8_mask(_mm512_mask_mov_epi8(low, mb, high), bit_of(b));
}

/* Which places are in the filters by these hashes. */
static inline __mmask64 known(const struct bundle_bloom *b, const __m512i h[PREFILTER_BLOOMS])
{
    if (!b->many)
        return _mm512_test_epi8_mask(lookup(b->banks, h[0]), bit_of(h[1]));
    return in_banks(b->banks, h[0], h[1]) &
           in_banks(b->banks + (size_t)BUNDLE_BLOOM_BANKS * BUNDLE_BLOOM_BANK, h[1], h[2]);
}

/* The 64 bytes from `at` on; those behind the text are NUL. */
static inline __m512i load(const unsigned char *text, size_t at, size_t len)
{
    return at <= len && len - at >= 64
               ? _mm512_loadu_si512(text + at)
               : _mm512_maskz_loadu_epi8(mask_of(at < len ? len - at : 0), text + at);
}

/* Which of 64 places from `at` on are in the filters, by as many bytes as words have. */
static inline __mmask64 hashed(const struct bundle_bloom *b, const unsigned char *text, size_t at,
                               size_t len, unsigned n_hashes)
{
    __m512i h[PREFILTER_BLOOMS] = {_mm512_setzero_si512(), _mm512_setzero_si512(),
                                   _mm512_setzero_si512()};
    __mmask64 found = 0;

    /* Hashes of more bytes are made from those of fewer. */
    for (unsigned place = 0; b->lengths >> place > 1; place++) {
        __m512i v = load(text, at + place, len);

        if ((b->lengths >> place & 1) != 0)
            found |= known(b, h);
        for (unsigned i = 0; i < n_hashes; i++)
            h[i] = _mm512_xor_si512(
                h[i], _mm512_gf2p8affine_epi64_epi8(
                          v, _mm512_set1_epi64((long long)bundle_bloom_linear(i, place)), 0));
    }
    return found | known(b, h);
}

uint64_t scan_word_places_avx512(const struct bundle_bloom *b, const unsigned char *text, size_t at,
                                 size_t to, size_t len)
{
    __m512i before =
        at > 0 ? load(text, at - 1, len) : _mm512_maskz_loadu_epi8(mask_of(len) << 1, text - 1);
    __mmask64 starts = starts_in(before, load(text, at, len)) & mask_of(to - at);

    if ((b->lengths & 3) != 0 || starts == 0)
        return starts;
    return starts & (b->many ? hashed(b, text, at, len, BUNDLE_BLOOM_FILTERS + 1)
                             : hashed(b, text, at, len, 2));
}

uint64_t scan_word_begins_avx512(const struct bundle_bloom blooms[BUNDLE_SLEEP_MOST + 1],
                                 const unsigned char *text, size_t at, size_t len)
{
    __m512i before =
        at > 0 ? load(text, at - 1, len) : _mm512_maskz_loadu_epi8(mask_of(len) << 1, text - 1);
    __m512i v = load(text, at, len), h[PREFILTER_BLOOMS];
    __mmask64 starts = starts_in(before, v) & mask_of(len - at), found = 0;

    for (unsigned i = 0; i < PREFILTER_BLOOMS; i++)
        h[i] = _mm512_gf2p8affine_epi64_epi8(
            v, _mm512_set1_epi64((long long)bundle_bloom_linear(i, 0)), 0);
    for (unsigned place = 1; place < BUNDLE_SLEEP_MOST; place++) {
        v = load(text, at + place, len);
        for (unsigned i = 0; i < PREFILTER_BLOOMS; i++)
            h[i] = _mm512_xor_si512(
                h[i], _mm512_gf2p8affine_epi64_epi8(
                          v, _mm512_set1_epi64((long long)bundle_bloom_linear(i, place)), 0));
        found |= known(&blooms[place + 1], h);
    }
    return starts & found;
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
uint64_t scan_word_begins_avx512(const struct bundle_bloom blooms[BUNDLE_SLEEP_MOST + 1],
                                 const unsigned char *text, size_t at, size_t len)
{
    (void)blooms, (void)text;
    return len - at >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (len - at)) - 1;
}

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
