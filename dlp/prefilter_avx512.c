/* dlp/prefilter_avx512.c - the filter, 64 bytes a step.
 *
 * Literals: where they are few, vpermb looks up 24 buckets by six bits of a byte. Otherwise gf2p8affineqb makes two hashes of the four bytes at
 * each of 64 places, vpermi2b looks them up in Bloom filters of 4,096 bits. The places that are left are hashed, sixteen at a time. Other buckets and flags are looked up by seven bits of a byte,
 * so bytes from 0x80 on share their entries with others: that accepts more, never less. */
#include "dlp/prefilter_bits.h"
#include "dlp/prefilter_head.h"

#if defined(__x86_64__)
#    include <immintrin.h>

#    include "dlp/set_avx512.h"

/* What stays in registers. */
struct tables {
    __m512i linear[PREFILTER_BLOOMS][BUNDLE_WINDOW_BYTES], flags[2], bit_of, by_wide, by_other;
};

/* A hash of the first three bytes at each place, and of all four. */
static inline __m512i hash(const struct tables *t, unsigned which,
                           const __m512i v[BUNDLE_WINDOW_BYTES], __m512i *three)
{
    __m512i h[BUNDLE_WINDOW_BYTES];

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        h[place] = _mm512_gf2p8affine_epi64_epi8(v[place], t->linear[which][place], 0);
    *three = _mm512_ternarylogic_epi64(h[0], h[1], h[2], 0x96);
    return _mm512_xor_si512(*three, h[3]);
}

/* The bytes of four banks that the top bits of a and b choose, and the lower ones of a. */
static inline __m512i in_banks(const uint8_t banks[4][128], __m512i a, __mmask64 ma, __mmask64 mb)
{
    __m512i r[4];

    for (unsigned k = 0; k < 4; k++)
        r[k] = _mm512_permutex2var_epi8(_mm512_load_si512(banks[k]), a,
                                        _mm512_load_si512(banks[k] + 64));
    return _mm512_mask_mov_epi8(_mm512_mask_mov_epi8(r[0], ma, r[1]), mb,
                                _mm512_mask_mov_epi8(r[2], ma, r[3]));
}

/* Which lanes are in filter number i: a hash chooses the byte with the top bits of the two others, the next one the bit in it. */
static inline __mmask64 in_bloom(const struct tables *t, const struct prefilter_index *literals,
                                 const __m512i h[PREFILTER_BLOOMS], unsigned i)
{
    const __m512i a = h[i], b = h[(i + 1) % PREFILTER_BLOOMS], c = h[(i + 2) % PREFILTER_BLOOMS];
    const __mmask64 ma = _mm512_movepi8_mask(a), mb = _mm512_movepi8_mask(b);
    __m512i bytes = in_banks(literals->bloom[i], a, ma, mb);

    if (literals->has_all_banks)
        bytes = _mm512_mask_mov_epi8(bytes, _mm512_movepi8_mask(c),
                                     in_banks(literals->bloom[i] + 4, a, ma, mb));
    return _mm512_test_epi8_mask(
        bytes, _mm512_shuffle_epi8(t->bit_of, _mm512_and_si512(b, _mm512_set1_epi8(7))));
}

/* Which lanes are in all filters that are worth asking. */
static inline __mmask64 known(const struct tables *t, const struct prefilter_index *literals,
                              const __m512i h[PREFILTER_BLOOMS])
{
    __mmask64 found = in_bloom(t, literals, h, 0);

    for (unsigned i = 1; i < PREFILTER_BLOOMS; i++)
        if (i < literals->n_blooms)
            found &= in_bloom(t, literals, h, i);
    return found;
}

/* Which places have four bytes of some bucket of literals. */
static inline __mmask64 sieved(const struct prefilter_sieve *s,
                               const __m512i v[BUNDLE_WINDOW_BYTES])
{
    __m512i six[BUNDLE_WINDOW_BYTES], found = _mm512_setzero_si512();

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) /* prefilter_six() */
        six[place] = _mm512_gf2p8affine_epi64_epi8(
            v[place], _mm512_set1_epi64((long long)UINT64_C(0x0102040810400000)), 0);
    for (unsigned g = 0; g < PREFILTER_SIEVE_GROUPS; g++) {
        __m512i r[BUNDLE_WINDOW_BYTES];

        if (g == PREFILTER_FEW_GROUPS && s->is_small)
            break;
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            r[place] = _mm512_permutexvar_epi8(six[place], _mm512_load_si512(s->six[g][place]));
        r[0] = _mm512_ternarylogic_epi64(r[0], r[1], r[2], 0x80);
        found = _mm512_ternarylogic_epi64(found, r[0], r[3], 0xF8); /* found | (r[0] & r[3]) */
    }
    return _mm512_test_epi8_mask(found, found);
}

/* Which places have the hashes of some literal, as far as linear ones tell. */
static inline __mmask64 hashed(const struct tables *t, const struct prefilter *f,
                               const __m512i v[BUNDLE_WINDOW_BYTES])
{
    __m512i h[PREFILTER_BLOOMS], three[PREFILTER_BLOOMS];

    for (unsigned which = 0; which < PREFILTER_BLOOMS; which++)
        h[which] = hash(t, which, v, &three[which]);
    return known(t, &f->literals[PREFILTER_FOUR], h) |
           known(t, &f->literals[PREFILTER_THREE], three);
}

/* What a table by seven bits has of each byte. */
static inline __m512i seven(const uint8_t table[128], __m512i v)
{
    return _mm512_permutex2var_epi8(_mm512_load_si512(table), v, _mm512_load_si512(table + 64));
}

/* The buckets of the kind that accept the four bytes at each place. */
static inline __m512i accepted(const struct prefilter *f, enum prefilter_kind kind,
                               const __m512i v[BUNDLE_WINDOW_BYTES])
{
    __m512i r[BUNDLE_WINDOW_BYTES];

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        r[place] = seven(f->seven[kind][place], v[place]);
    return _mm512_and_si512(_mm512_ternarylogic_epi64(r[0], r[1], r[2], 0x80), r[3]);
}

/* Which places have one of some bits. */
static inline __mmask64 has(__m512i bits, unsigned some)
{
    return _mm512_test_epi8_mask(bits, _mm512_set1_epi8((char)some));
}

static inline __mmask64 mask_of(size_t n)
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* Appends the places of mask, which begin at `at`; returns how many there are now. */
static inline unsigned append(uint16_t *out, unsigned n, __mmask64 mask, unsigned at)
{
    const __m512i iota = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
        40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
        17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i base = _mm512_set1_epi16((short)at);
    unsigned more = (unsigned)__builtin_popcountll(mask);
    __m512i packed = _mm512_maskz_compress_epi8(mask, iota);

    _mm512_storeu_si512(
        out + n, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(packed))));
    if (more > 32)
        _mm512_storeu_si512(
            out + n + 32,
            _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(packed, 1))));
    return n + more;
}

static inline void load_tables(const struct prefilter *f, struct tables *t)
{
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        for (unsigned which = 0; which < PREFILTER_BLOOMS; which++)
            t->linear[which][place] = _mm512_set1_epi64((long long)prefilter_linear[which][place]);
    t->flags[0] = _mm512_load_si512(f->flags);
    t->flags[1] = _mm512_load_si512(f->flags + 64);
    t->by_wide = _mm512_set1_epi8((char)f->by_wide);
    t->by_other = _mm512_set1_epi8((char)f->by_other);
    t->bit_of = _mm512_broadcast_i32x4(
        _mm_set_epi8(0, 0, 0, 0, 0, 0, 0, 0, (char)128, 64, 32, 16, 8, 4, 2, 1));
}

/* Which of these hashes have their bit. */
static inline __mmask16 in_bits(const uint64_t *bits, __m512i hash)
{
    __m512i word = _mm512_i32gather_epi32(_mm512_srli_epi32(hash, 5), (const void *)bits, 4),
            bit = _mm512_sllv_epi32(_mm512_set1_epi32(1),
                                    _mm512_and_si512(hash, _mm512_set1_epi32(31)));

    return _mm512_test_epi32_mask(word, bit);
}

/* Keeps of n places from `from` on those whose hash of some length is known, and notes of which, or that are too near the end to tell;
 * sixteen a step. The filters, which ask less of memory, leave twice as many. */
static unsigned keep_hashes(const struct prefilter *f, const unsigned char *text, size_t from,
                            size_t len, uint16_t *at, unsigned n)
{
    enum { LANES = 16 };
    const __m512i factor = _mm512_set1_epi32((int)0x9E3779B1u);
    const uint64_t *fours = f->literals[PREFILTER_FOUR].hashes,
                   *threes = f->literals[PREFILTER_THREE].hashes;
    size_t left = len - from;
    /* Places behind which four bytes are, plus 1. */
    __m512i inside = _mm512_set1_epi32(left < BUNDLE_WINDOW_BYTES ? 0
                                       : left > (size_t)2 * PREFILTER_PLACE
                                           ? 2 * PREFILTER_PLACE
                                           : (int)left - BUNDLE_WINDOW_BYTES + 1);
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i += LANES) {
        __m256i places = _mm256_loadu_si256((const void *)(at + i));
        __m512i place = _mm512_cvtepu16_epi32(places), key, four, three;
        __mmask16 valid = (__mmask16)(n - i < LANES ? (1u << (n - i)) - 1 : 0xFFFFu),
                  asked = _mm512_mask_cmplt_epi32_mask(valid, place, inside), known, is_four,
                  is_three;

        key = _mm512_or_si512(_mm512_mask_i32gather_epi32(_mm512_setzero_si512(), asked, place,
                                                          (const void *)(text + from), 1),
                              _mm512_set1_epi8(0x20));
        four = _mm512_srli_epi32(_mm512_mullo_epi32(key, factor), 16);
        three = _mm512_srli_epi32(_mm512_mullo_epi32(_mm512_slli_epi32(key, 8), factor), 16);
        is_four = in_bits(fours, four) & asked;
        is_three = in_bits(threes, three) & asked;
        known = (__mmask16)((is_four | is_three | ~asked) & valid);
        places = _mm256_or_si256(places, _mm256_maskz_set1_epi16(is_four, PREFILTER_IS_FOUR));
        places = _mm256_or_si256(places, _mm256_maskz_set1_epi16(is_three, PREFILTER_IS_THREE));
        _mm256_storeu_si256((void *)(at + kept), _mm256_maskz_compress_epi16(known, places));
        kept += (unsigned)__builtin_popcount(known);
    }
    return kept;
}

/* Can a literal of that length be at a place whose eight bytes are key, as prefilter_literal() says? */
static inline bool fits(const struct prefilter *f, enum prefilter_length length, uint64_t key,
                        uint64_t begin)
{
    const uint32_t bytes = (uint32_t)(key >> (8 * PREFILTER_LIT_BEFORE)) | 0x20202020u;

    return prefilter_fits_common(&f->literals[length], prefilter_hash_of(length, bytes), key,
                                 begin);
}

/* prefilter_keep_known() of all places that keep_hashes() left, whose length it said. Gathers would be slower: the tables are large, and without
 * a guess many places are waited for at once. */
static unsigned keep_known(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t len, struct prefilter_places *places)
{
    enum { BEHIND = sizeof(uint64_t) - PREFILTER_LIT_BEFORE };
    uint16_t *at = places->literal;
    unsigned kept = 0, n = places->n_literal, first = 0, end = n;

    while (first < n && from + (at[first] & PREFILTER_PLACE) < PREFILTER_LIT_BEFORE)
        first++;
    while (end > first && len - from - (at[end - 1] & PREFILTER_PLACE) < BEHIND)
        end--;
    kept = prefilter_keep_known(f, text, from, len, places, 0, first, 0);
    for (unsigned i = first; i < end; i++) {
        const unsigned place = at[i] & PREFILTER_PLACE;
        const uint64_t begin = places->begin[place / 64] >> (place % 64);
        unsigned flags = at[i] & (PREFILTER_IS_FOUR | PREFILTER_IS_THREE);
        bool keep;
        uint64_t key;

        memcpy(&key, text + (from + place - PREFILTER_LIT_BEFORE), sizeof(key));
        keep = fits(f, (flags & PREFILTER_IS_FOUR) != 0 ? PREFILTER_FOUR : PREFILTER_THREE, key,
                    begin);
        if (flags == (PREFILTER_IS_FOUR | PREFILTER_IS_THREE)) { /* seldom */
            flags = (keep ? PREFILTER_IS_FOUR : 0u) |
                    (fits(f, PREFILTER_THREE, key, begin) ? PREFILTER_IS_THREE : 0u);
            keep = flags != 0;
        }
        at[kept] = (uint16_t)(place | flags);
        kept += keep;
    }
    return prefilter_keep_known(f, text, from, len, places, end, n, kept);
}

/* The flags of each byte; bytes beyond ASCII have none. */
static inline __m512i flags_of(const struct tables *t, __m512i v)
{
    return _mm512_maskz_permutex2var_epi8(~_mm512_movepi8_mask(v), t->flags[0], v, t->flags[1]);
}

/* Writes which bytes tokens and runs are made of, whose flags these are. */
static inline void put_tokens(__m512i flags, uint64_t *token, uint64_t *run)
{
    *token = has(flags, 1 << 1);
    *run = has(flags, PREFILTER_IN_RUN);
}

/* 64 bytes from so many behind `at` on, or in front of it; those that are not of text[0, len) are NUL. */
static inline __m512i bytes_beside(const unsigned char *text, size_t at, int beside, size_t len)
{
    const size_t first = (size_t)beside + at; /* wraps in front of the text */
    __mmask64 mask;

    if (at + 64 + PREFILTER_BESIDE_BEFORE + BUNDLE_WINDOW_BYTES <= len && first <= at + 64)
        return _mm512_loadu_si512(text + first);
    if (first > at + 64) /* expanded: the first ones are what is missing */
        return _mm512_maskz_expandloadu_epi8(mask_of(len - first) & ~mask_of(0 - first), text);
    mask = mask_of(len > first ? len - first : 0);
    return _mm512_maskz_loadu_epi8(mask, text + (mask == 0 ? 0 : first));
}

/* At which of 64 places from `at` on a wide window can be, by the bytes beside it, too. */
static inline uint64_t find_wide(const struct prefilter *f, const unsigned char *text, size_t at,
                                 size_t len)
{
    __m512i v[BUNDLE_WINDOW_BYTES], beside[PREFILTER_BESIDE];
    uint64_t found = 0;

    for (int k = 0; k < BUNDLE_WINDOW_BYTES; k++)
        v[k] = bytes_beside(text, at, k, len);
    for (int k = 0; k < PREFILTER_BESIDE; k++)
        beside[k] = bytes_beside(text, at,
                                 k - PREFILTER_BESIDE_BEFORE +
                                     (k < PREFILTER_BESIDE_BEFORE ? 0 : BUNDLE_WINDOW_BYTES),
                                 len);
    for (enum prefilter_kind kind = PREFILTER_WIDE; kind <= PREFILTER_START; kind++) {
        const unsigned of = kind == PREFILTER_START ? f->by_wide : 0xFF;
        __m512i some;

        if (of == 0 || !f->is_asked[kind])
            continue;
        some = accepted(f, kind, v);
        for (unsigned k = 0; k < PREFILTER_BESIDE; k++)
            some = _mm512_and_si512(some, seven(f->beside[kind][k], beside[k]));
        found |= has(some, of);
    }
    return found;
}

/* Lists the places of wide windows in the blocks whose bits are set, which are few; returns how many. */
static unsigned list_wide(const struct prefilter *f, const unsigned char *text, size_t from,
                          size_t to, size_t len, uint64_t blocks, struct prefilter_places *out)
{
    unsigned n = 0;

    for (; blocks != 0; blocks &= blocks - 1) {
        const unsigned block = (unsigned)__builtin_ctzll(blocks);
        const size_t at = from + (size_t)block * 64;

        n = append(out->wide_at, n, find_wide(f, text, at, len) & mask_of(to - at), block * 64);
    }
    return n;
}

void prefilter_find_avx512(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t to, size_t len, struct prefilter_places *out)
{
    uint64_t word[1 + PREFILTER_BLOCKS], blocks = 0; /* with wide windows, as far as these say */
    struct tables t;
    unsigned n = 0;

    load_tables(f, &t);
    word[0] = prefilter_word_before(text, from);
    for (size_t i = from; i < to; i += 64) {
        __m512i v[BUNDLE_WINDOW_BYTES], flags, by, wide;
        size_t block = (i - from) / 64;
        __mmask64 literal;

        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            v[place] = len - i >= 64 + BUNDLE_WINDOW_BYTES
                           ? _mm512_loadu_si512(text + i + place)
                           : _mm512_maskz_loadu_epi8(mask_of(len - i > place ? len - i - place : 0),
                                                     text + i + place);
        flags = flags_of(&t, v[0]);
        out->digit[block] = has(flags, 1 << 2);
        out->colon[block] = has(flags, 1 << 3);
        word[1 + block] = has(flags, 1 << 0);
        put_tokens(flags, &out->token[block], &out->run[block]);
        by = accepted(f, PREFILTER_START, v);
        out->by_digit[block] = has(by, PREFILTER_BY_DIGIT);
        out->by_colon[block] = has(by, PREFILTER_BY_COLON);
        out->start[block] = _mm512_test_epi8_mask(by, t.by_other);
        if (f->is_asked[PREFILTER_STARTER])
            out->start[block] |= has(accepted(f, PREFILTER_STARTER, v), 0xFF);
        wide = _mm512_and_si512(by, t.by_wide);
        if (f->is_asked[PREFILTER_WIDE])
            wide = _mm512_or_si512(wide, accepted(f, PREFILTER_WIDE, v));
        if (f->is_asked[PREFILTER_WIDER])
            wide = _mm512_or_si512(wide, accepted(f, PREFILTER_WIDER, v));
        blocks |= (uint64_t)(has(wide, 0xFF) != 0) << block;
        literal = f->sieve.is_made ? sieved(&f->sieve, v) : hashed(&t, f, v);
        if (to - i < 64)
            literal &= mask_of(to - i);
        n = append(out->literal, n, literal, (unsigned)(i - from));
    }
    put_tokens(flags_of(&t, _mm512_maskz_loadu_epi8(mask_of(len - to), text + to)),
               &out->token[(to - from + 63) / 64], &out->run[(to - from + 63) / 64]);
    out->n_literal = keep_hashes(f, text, from, len, out->literal, n);
    prefilter_sum_up(f, word, to - from, out);
    out->n_literal = keep_known(f, text, from, len, out);
    prefilter_keep_wide(f, text, from, len, list_wide(f, text, from, to, len, blocks, out), out);
    if (f->start_words != 1)
        return;
    n = 0;
    for (uint64_t busy = out->busy; busy != 0; busy &= busy - 1) {
        unsigned block = (unsigned)__builtin_ctzll(busy);

        n = append(out->start_at, n, out->start[block], block * 64);
    }
    prefilter_keep_starts(f, text, from, len, n, out);
}

bool prefilter_starts_avx512(const struct prefilter *f, const unsigned char *p, unsigned near,
                             unsigned first, uint64_t alive[PREFILTER_ROW_WORDS])
{
    __m512i left = _mm512_loadu_si512(prefilter_near_row(f, near) + first);
    unsigned k = 0;

    /* Four bytes leave nothing of most places that the buckets, which are about four bytes as well, let pass. */
    for (; k < BUNDLE_WINDOW_BYTES; k++)
        left = _mm512_and_si512(left, _mm512_loadu_si512(prefilter_start_row(f, k, p[k]) + first));
    if (_mm512_test_epi64_mask(left, left) == 0)
        return false;
    for (; k < BUNDLE_HEAD_BYTES; k++)
        left = _mm512_and_si512(left, _mm512_loadu_si512(prefilter_start_row(f, k, p[k]) + first));
    if (_mm512_test_epi64_mask(left, left) == 0)
        return false;
    _mm512_storeu_si512(alive, left);
    return true;
}

bool prefilter_near_avx512(const unsigned char *p, size_t n, unsigned classes)
{
    __m512i v = _mm512_maskz_loadu_epi8(mask_of(n), p),
            found = _mm512_maskz_permutex2var_epi8(~_mm512_movepi8_mask(v),
                                                   _mm512_loadu_si512(prefilter_classes), v,
                                                   _mm512_loadu_si512(prefilter_classes + 64));

    return has(found, classes) != 0;
}

uint64_t prefilter_members_avx512(const struct bundle_set *set, const unsigned char *p, size_t n)
{
    return set_members_avx512(set, p, n);
}

/* Two sets a step, without a guess: most heads have no more. The lower three bits of a byte number one of eight bits, as in
 * set_members_avx512(). */
bool prefilter_unsaid_avx512(const struct prefilter_head *h, const struct bundle_set *sets,
                             const unsigned char *p)
{
    const __m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const void *)p)),
                  bit =
                      _mm256_permutexvar_epi8(v, _mm256_set1_epi64x((long long)0x8040201008040201)),
                  byte = _mm256_srli_epi16(v, 3);
    unsigned missing = 0;

    _Static_assert(PREFILTER_HEAD_SETS % 2 == 0, "two a step");
    for (unsigned k = 0; k < PREFILTER_HEAD_SETS && h->unsaid[k].places != 0; k += 2) {
        __m256i a = _mm256_loadu_si256((const void *)&sets[h->unsaid[k].set]),
                b = _mm256_loadu_si256((const void *)&sets[h->unsaid[k + 1].set]);

        a = _mm256_permutexvar_epi8(byte, a);
        b = _mm256_permutexvar_epi8(byte, b);
        missing |= h->unsaid[k].places & ~_mm256_test_epi8_mask(a, bit);
        missing |= h->unsaid[k + 1].places & ~_mm256_test_epi8_mask(b, bit);
    }
    return missing == 0;
}

/* Where some bytes differ from the values under the masks. */
static inline __m512i differ(__m512i bytes, const uint64_t *values, const uint64_t *masks)
{
    enum { AND_XOR = 0x6A }; /* (a & b) ^ c */

    return _mm512_ternarylogic_epi64(bytes, _mm512_loadu_si512(masks), _mm512_loadu_si512(values),
                                     AND_XOR);
}

/* Eight targets a step. */
uint64_t prefilter_fitting_avx512(const uint64_t *a, unsigned n, const uint64_t around[2])
{
    enum { STEP = PREFILTER_AROUNDS_STEP };
    const __m512i front = _mm512_set1_epi64((long long)around[0]),
                  behind = _mm512_set1_epi64((long long)around[1]);
    uint64_t found = 0;

    for (unsigned i = 0; i < n; i += STEP) {
        __m512i v = _mm512_or_si512(differ(front, a + i, a + 2 * n + i),
                                    differ(behind, a + n + i, a + 3 * n + i));

        found |= (uint64_t)_mm512_testn_epi64_mask(v, v) << i;
    }
    return n < 64 ? found & ((UINT64_C(1) << n) - 1) : found;
}

uint64_t prefilter_named_avx512(const struct prefilter *f, uint32_t first, uint64_t targets,
                                uint64_t alive, size_t left)
{
    __m512i name = _mm512_maskz_loadu_epi8(targets, f->name_of + first),
            most = _mm512_maskz_loadu_epi8(targets, f->name_left + first),
            bits = _mm512_permutexvar_epi8(_mm512_srli_epi16(name, 3),
                                           _mm512_set1_epi64((long long)alive)),
            bit = _mm512_permutexvar_epi8(name, _mm512_set1_epi64((long long)0x8040201008040201));

    return _mm512_mask_test_epi8_mask(targets, bits, bit) &
           _mm512_cmpge_epu8_mask(most,
                                  _mm512_set1_epi8((char)(left < UINT8_MAX ? left : UINT8_MAX)));
}
#else
bool prefilter_unsaid_avx512(const struct prefilter_head *h, const struct bundle_set *sets,
                             const unsigned char *p)
{
    return prefilter_unsaid_scalar(h, sets, p);
}

uint64_t prefilter_named_avx512(const struct prefilter *f, uint32_t first, uint64_t targets,
                                uint64_t alive, size_t left)
{
    return prefilter_named_scalar(f, first, targets, alive, left);
}

uint64_t prefilter_fitting_avx512(const uint64_t *a, unsigned n, const uint64_t around[2])
{
    return prefilter_fitting_scalar(a, n, around);
}

uint64_t prefilter_members_avx512(const struct bundle_set *set, const unsigned char *p, size_t n)
{
    return prefilter_members_scalar(set, p, n);
}

bool prefilter_near_avx512(const unsigned char *p, size_t n, unsigned classes)
{
    return prefilter_near_scalar(p, n, classes);
}

bool prefilter_starts_avx512(const struct prefilter *f, const unsigned char *p, unsigned near,
                             unsigned first, uint64_t alive[PREFILTER_ROW_WORDS])
{
    return prefilter_starts_scalar(f, p, near, first, alive);
}

void prefilter_find_avx512(const struct prefilter *f, const unsigned char *text, size_t from,
                           size_t to, size_t len, struct prefilter_places *out)
{
    prefilter_find_scalar(f, text, from, to, len, out);
}
#endif
