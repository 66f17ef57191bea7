/* dlp/prefilter_avx2.c - the filter, 32 bytes a step: a byte's buckets are those of its low nibble that are also those of its
 * high nibble. Accepts a little more than the scalar version, never less. Few literals are told by their bytes' five lower bits, and hashed
 * where these fit; many are hashed eight at a time, their bits gathered. */
#include <string.h>

#include "dlp/prefilter_bits.h"

#if defined(__x86_64__)
#    include <immintrin.h>

enum { STEP = 32, READ = STEP + 8 };

static inline __m256i twice(const uint8_t bytes[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)bytes));
}

static inline __m256i table(const uint8_t bytes[32])
{
    return _mm256_load_si256((const __m256i *)(const void *)bytes);
}

/* Writes the upper bits of 32 bytes as that half of a mask; masks are read much later, as a load of two stores would wait. */
static inline void put(uint64_t *masks, size_t half, __m256i v)
{
    uint32_t bits = (uint32_t)_mm256_movemask_epi8(v);

    memcpy((unsigned char *)masks + half * sizeof(bits), &bits, sizeof(bits));
}

/* The buckets of the kind that accept the four bytes at each of 32 places; lo and hi are nibbles at each place. */
static inline __m256i buckets(const struct prefilter *f, enum prefilter_kind kind,
                              const __m256i lo[BUNDLE_WINDOW_BYTES],
                              const __m256i hi[BUNDLE_WINDOW_BYTES])
{
    __m256i all = _mm256_set1_epi8(-1);

    if (!f->is_asked[kind])
        return _mm256_setzero_si256();
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        all = _mm256_and_si256(
            all, _mm256_and_si256(_mm256_shuffle_epi8(table(f->low[kind][place]), lo[place]),
                                  _mm256_shuffle_epi8(table(f->high[kind][place]), hi[place])));
    return all;
}

/* All bits of the places that have some. */
static inline __m256i some(__m256i of)
{
    return _mm256_xor_si256(_mm256_cmpeq_epi8(of, _mm256_setzero_si256()), _mm256_set1_epi8(-1));
}

/* Writes which of 32 bytes, whose nibbles these are, words and tokens are made of, digits and colons: upper nibbles with lower ones. */
static inline void put_flags(__m256i lo, __m256i hi, size_t half, uint64_t *word,
                             struct prefilter_places *out)
{
    enum { IN_3 = 1, IN_4 = 2, IN_5 = 4, UNDERSCORE = 8, SIGN = 16, EQUALS = 32, COLON = 128 };
    enum { WORD = IN_3 | IN_4 | IN_5 | UNDERSCORE };
    enum { F = IN_4, T = IN_3 | IN_4 | IN_5 };
    static const uint8_t low[16] = {IN_3 | IN_5,
                                    T,
                                    T,
                                    T,
                                    T,
                                    T,
                                    T,
                                    T,
                                    T,
                                    T,
                                    F | IN_5 | COLON,
                                    F | SIGN,
                                    F,
                                    F | SIGN | EQUALS,
                                    F,
                                    F | SIGN | UNDERSCORE},
                         high[16] = {
                             0,    0,   SIGN, IN_3 | EQUALS | COLON, IN_4, IN_5 | UNDERSCORE,
                             IN_4, IN_5};
    const __m256i none = _mm256_setzero_si256();
    __m256i found =
        _mm256_and_si256(_mm256_shuffle_epi8(twice(low), lo), _mm256_shuffle_epi8(twice(high), hi));

    /* A colon is below zero. */
    put(out->token, half, _mm256_cmpgt_epi8(found, none));
    put(word, half, _mm256_cmpgt_epi8(_mm256_and_si256(found, _mm256_set1_epi8(WORD)), none));
    _Static_assert(IN_3 == 1 << 0, "the shift: of upper nibble 3 only digits");
    put(out->digit, half, _mm256_slli_epi16(found, 7));
    put(out->colon, half, found);
}

/* The same of which runs are made of. */
static inline void put_runs(const struct prefilter *f, __m256i lo, __m256i hi, size_t half,
                            struct prefilter_places *out)
{
    static const uint8_t bit_of[16] = {1, 2, 4, 8, 16, 32, 64, 128};

    put(out->run, half,
        some(_mm256_and_si256(_mm256_shuffle_epi8(twice(f->in_run), lo),
                              _mm256_shuffle_epi8(twice(bit_of), hi))));
}

/* The same of the 32 bytes at p. */
static inline void put_flags_at(const struct prefilter *f, const unsigned char *p, size_t half,
                                uint64_t *word, struct prefilter_places *out)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p), low = _mm256_set1_epi8(15),
            lo = _mm256_and_si256(v, low), hi = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);

    put_flags(lo, hi, half, word, out);
    put_runs(f, lo, hi, half, out);
}

/* Whether the bit of each hash is set, in bit 31 of its lane. */
static inline __m256i has_hash(const struct prefilter_index *literals, __m256i hash)
{
    __m256i word = _mm256_i32gather_epi32((const int *)(const void *)literals->hashes,
                                          _mm256_srli_epi32(hash, 5), 4);

    return _mm256_sllv_epi32(
        word, _mm256_andnot_si256(hash, _mm256_set1_epi32(31))); /* by 31 - hash % 32 */
}

/* Whether a literal of some length has the hash of the four bytes of each lane, in bit 31. */
static inline __m256i has_literal(const struct prefilter *f, __m256i four_bytes)
{
    const __m256i factor = _mm256_set1_epi32((int)0x9E3779B1u),
                  key = _mm256_or_si256(four_bytes, _mm256_set1_epi8(0x20));
    __m256i four = _mm256_srli_epi32(_mm256_mullo_epi32(key, factor), 16),
            three = _mm256_srli_epi32(_mm256_mullo_epi32(_mm256_slli_epi32(key, 8), factor), 16);

    return _mm256_or_si256(has_hash(&f->literals[PREFILTER_FOUR], four),
                           has_hash(&f->literals[PREFILTER_THREE], three));
}

/* One bit for each of the 32 places at p where the hash of a literal is (prefilter_hash()); READ bytes are read. */
static inline uint32_t literals(const struct prefilter *f, const unsigned char *p)
{
    const __m256i fours = _mm256_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6, 4, 5, 6,
                                           7, 5, 6, 7, 8, 6, 7, 8, 9, 7, 8, 9, 10);
    uint32_t found = 0;

    for (unsigned k = 0; k < STEP; k += 8) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + k));
        __m256i key = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), fours);

        found |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(has_literal(f, key))) << k;
    }
    return found;
}

/* All bits of those of 32 places that have four bytes of some bucket of literals in so many groups; v are the bytes from each place on, lo
 * their lower nibbles. */
static inline __attribute__((always_inline)) __m256i sieved(const struct prefilter_sieve *s,
                                                            const __m256i v[BUNDLE_WINDOW_BYTES],
                                                            const __m256i lo[BUNDLE_WINDOW_BYTES],
                                                            unsigned n_groups)
{
    const __m256i upper = _mm256_set1_epi8((char)0x80);
    __m256i all[PREFILTER_SIEVE_GROUPS], found = _mm256_setzero_si256();

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        /* Bit 4 chooses the half of a table: a shuffle gives nothing where the upper bit is set. */
        __m256i even = _mm256_or_si256(lo[place],
                                       _mm256_and_si256(_mm256_slli_epi16(v[place], 3), upper)),
                odd = _mm256_xor_si256(even, upper);

        for (unsigned g = 0; g < n_groups; g++) {
            __m256i of = _mm256_or_si256(_mm256_shuffle_epi8(table(s->five[g][place][0]), even),
                                         _mm256_shuffle_epi8(table(s->five[g][place][1]), odd));

            all[g] = place == 0 ? of : _mm256_and_si256(all[g], of);
        }
    }
    for (unsigned g = 0; g < n_groups; g++)
        found = _mm256_or_si256(found, all[g]);
    return some(found);
}

/* Appends the places of mask, of a block that is so many bytes behind the chunk's beginning; returns how many there are now. Four at a time,
 * since how many a block has is hard to guess: what is behind the last one is written again. */
static inline unsigned append(uint16_t *out, unsigned n, uint64_t mask, unsigned block)
{
    enum { AT_ONCE = 4 };
    const unsigned end = n + (unsigned)__builtin_popcountll(mask);

    do {
        for (unsigned k = 0; k < AT_ONCE; k++, mask &= mask - 1)
            out[n + k] = (uint16_t)(block + (unsigned)_tzcnt_u64(mask));
        n += AT_ONCE;
    } while (n < end);
    return end;
}

/* Keeps of n places from `from` on those where the hash of a literal is, or that are too near the end to tell; returns how many. */
static unsigned keep_hashes(const struct prefilter *f, const unsigned char *text, size_t from,
                            size_t len, uint16_t *at, unsigned n)
{
    enum { LANES = 8, MOST = 2 * PREFILTER_PLACE };
    const __m256i iota = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    size_t left = len - from;
    /* Places behind which four bytes are, plus 1. */
    __m256i inside = _mm256_set1_epi32(left < BUNDLE_WINDOW_BYTES ? 0
                                       : left > MOST              ? (int)MOST
                                                     : (int)left - BUNDLE_WINDOW_BYTES + 1);
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i += LANES) {
        __m256i place =
                    _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(at + i))),
                valid = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n - i)), iota),
                asked = _mm256_and_si256(_mm256_cmpgt_epi32(inside, place), valid),
                key = _mm256_mask_i32gather_epi32(_mm256_setzero_si256(),
                                                  (const int *)(const void *)(text + from), place,
                                                  asked, 1),
                keep = _mm256_blendv_epi8(valid, has_literal(f, key), asked);
        unsigned bits = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(keep));

        /* No branch: which places are kept is hard to guess. */
        for (unsigned k = 0; k < LANES; k++, bits >>= 1) {
            at[kept] = at[i + k];
            kept += bits & 1;
        }
    }
    return kept;
}

/* What is not asked for behind this file, of a chunk. */
struct masks {
    uint64_t word[1 + PREFILTER_BLOCKS + 1], literal[PREFILTER_BLOCKS], wide[PREFILTER_BLOCKS];
};

/* Writes what nibbles and five bits say of 32 places; READ bytes of p are read. */
static inline void find_half(const struct prefilter *f, const unsigned char *p, size_t half,
                             struct masks *m, struct prefilter_places *out)
{
    __m256i v[BUNDLE_WINDOW_BYTES], lo[BUNDLE_WINDOW_BYTES], hi[BUNDLE_WINDOW_BYTES], of, other,
        wide;

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        v[place] = _mm256_loadu_si256((const __m256i *)(const void *)(p + place));
        lo[place] = _mm256_and_si256(v[place], _mm256_set1_epi8(15));
        hi[place] = _mm256_and_si256(_mm256_srli_epi16(v[place], 4), _mm256_set1_epi8(15));
    }
    put_flags(lo[0], hi[0], half, m->word + 1, out);
    if (!f->run_is_token)
        put_runs(f, lo[0], hi[0], half, out);
    of = buckets(f, PREFILTER_START, lo, hi);
    _Static_assert(PREFILTER_BY_COLON == 1 << 3, "the shift below");
    put(out->by_digit, half,
        _mm256_cmpgt_epi8(_mm256_and_si256(of, _mm256_set1_epi8(PREFILTER_BY_DIGIT)),
                          _mm256_setzero_si256()));
    put(out->by_colon, half, _mm256_slli_epi16(of, 4));
    other = _mm256_and_si256(of, _mm256_set1_epi8((char)f->by_other));
    if (f->is_asked[PREFILTER_STARTER])
        other = _mm256_or_si256(other, buckets(f, PREFILTER_STARTER, lo, hi));
    put(out->start, half, some(other));
    wide = _mm256_and_si256(of, _mm256_set1_epi8((char)f->by_wide));
    if (f->is_asked[PREFILTER_WIDE] || f->is_asked[PREFILTER_WIDER])
        wide = _mm256_or_si256(wide, _mm256_or_si256(buckets(f, PREFILTER_WIDE, lo, hi),
                                                     buckets(f, PREFILTER_WIDER, lo, hi)));
    put(m->wide, half, some(wide));
    if (f->sieve.is_made) {
        put(m->literal, half,
            f->sieve.is_small ? sieved(&f->sieve, v, lo, PREFILTER_FEW_GROUPS)
                              : sieved(&f->sieve, v, lo, PREFILTER_SIEVE_GROUPS));
    } else {
        uint32_t bits = literals(f, p);

        memcpy((unsigned char *)m->literal + half * sizeof(bits), &bits, sizeof(bits));
    }
}

/* READ bytes at `at`, in the text or, near its end, in tail with zeroes behind. */
static inline const unsigned char *half_at(const unsigned char *text, size_t at, size_t len,
                                           unsigned char tail[READ])
{
    size_t left = at < len ? len - at : 0;

    if (left >= READ)
        return text + at;
    memset(tail, 0, READ);
    memcpy(tail, text + len - left, left);
    return tail;
}

void prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, struct prefilter_places *out)
{
    unsigned char tail[READ];
    struct masks m;
    size_t blocks = (to - from + 63) / 64;
    unsigned n = 0, n_wide = 0;

    m.word[0] = prefilter_word_before(text, from);
    for (size_t half = 0; half < 2 * blocks; half++)
        find_half(f, half_at(text, from + half * STEP, len, tail), half, &m, out);
    for (size_t half = 2 * blocks; half < 2 * blocks + 2; half++)
        put_flags_at(f, half_at(text, from + half * STEP, len, tail), half, m.word + 1, out);
    if ((to - from) % 64 != 0) {
        m.literal[blocks - 1] &= (UINT64_C(1) << ((to - from) % 64)) - 1;
        m.wide[blocks - 1] &= (UINT64_C(1) << ((to - from) % 64)) - 1;
    }
    for (size_t i = 0; i < blocks; i++) {
        n = append(out->literal, n, m.literal[i], (unsigned)i * 64);
        if (m.wide[i] != 0)
            n_wide = append(out->wide_at, n_wide, m.wide[i], (unsigned)i * 64);
    }
    out->n_literal = f->sieve.is_made ? keep_hashes(f, text, from, len, out->literal, n) : n;
    prefilter_sum_up(f, m.word, to - from, out);
    out->n_literal = prefilter_keep_known(f, text, from, len, out, 0, out->n_literal, 0);
    prefilter_keep_wide(f, text, from, len, n_wide, out);
    if (f->start_words != 1)
        return;
    n = 0;
    for (uint64_t busy = out->busy; busy != 0; busy &= busy - 1) {
        unsigned block = (unsigned)__builtin_ctzll(busy);

        n = append(out->start_at, n, out->start[block], block * 64);
    }
    prefilter_keep_starts(f, text, from, len, n, out);
}

static inline __m256i words(const uint64_t *row)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)row);
}

bool prefilter_starts_avx2(const struct prefilter *f, const unsigned char *p, unsigned near,
                           unsigned first, uint64_t alive[PREFILTER_ROW_WORDS])
{
    const uint64_t *nears = prefilter_near_row(f, near) + first;
    __m256i low = words(nears), high = words(nears + 4);

    for (unsigned k = 0; k < BUNDLE_HEAD_BYTES; k++) {
        const uint64_t *row = prefilter_start_row(f, k, p[k]) + first;

        low = _mm256_and_si256(low, words(row));
        high = _mm256_and_si256(high, words(row + 4));
        if (k % 4 == 3) {
            __m256i any = _mm256_or_si256(low, high);

            if (_mm256_testz_si256(any, any) != 0)
                return false;
        }
    }
    _mm256_storeu_si256((__m256i *)(void *)alive, low);
    _mm256_storeu_si256((__m256i *)(void *)(alive + 4), high);
    return true;
}

/* Which of 32 bytes at p are of the set whose halves these are: a byte's lower seven bits say where its bit is, the upper one in which half. */
static inline uint32_t members(__m256i low, __m256i high, const unsigned char *p)
{
    const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201),
                  v = _mm256_loadu_si256((const __m256i *)(const void *)p),
                  at = _mm256_and_si256(_mm256_srli_epi16(v, 3), _mm256_set1_epi8(15)),
                  bit = _mm256_shuffle_epi8(bits, _mm256_and_si256(v, _mm256_set1_epi8(7))),
                  has = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, at),
                                           _mm256_shuffle_epi8(high, at), v);

    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_and_si256(has, bit), bit));
}

uint64_t prefilter_members_avx2(const struct bundle_set *set, const unsigned char *p, size_t n)
{
    const uint8_t *w = (const uint8_t *)set->w;
    const __m256i low = twice(w), high = twice(w + 16);
    unsigned char copy[64];
    uint64_t found;

    if (n < 64)
        p = memcpy(copy, p, n);
    found = members(low, high, p);
    if (n > 32)
        found |= (uint64_t)members(low, high, p + 32) << 32;
    return n < 64 ? found & ((UINT64_C(1) << n) - 1) : found;
}
#else
uint64_t prefilter_members_avx2(const struct bundle_set *set, const unsigned char *p, size_t n)
{
    return prefilter_members_scalar(set, p, n);
}

bool prefilter_starts_avx2(const struct prefilter *f, const unsigned char *p, unsigned near,
                           unsigned first, uint64_t alive[PREFILTER_ROW_WORDS])
{
    return prefilter_starts_scalar(f, p, near, first, alive);
}

void prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, struct prefilter_places *out)
{
    prefilter_find_scalar(f, text, from, to, len, out);
}
#endif
