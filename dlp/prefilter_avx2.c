/* dlp/prefilter_avx2.c - the filter, 32 bytes a step: a byte's buckets are those of its low nibble that are also those of its
 * high nibble. Accepts a little more than the scalar version, never less. Literals are hashed
 * eight at a time, their bits gathered. */
#include <string.h>

#include "dlp/prefilter.h"

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

/* One bit for each place that has one. */
static inline uint32_t some(__m256i of)
{
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(of, _mm256_setzero_si256()));
}

static inline uint32_t accepted(const struct prefilter *f, enum prefilter_kind kind,
                                const __m256i lo[BUNDLE_WINDOW_BYTES],
                                const __m256i hi[BUNDLE_WINDOW_BYTES])
{
    return some(buckets(f, kind, lo, hi));
}

/* Nibbles say yes where a byte has the low one of some and the high one of others: bytes themselves are asked where one did, as `some`
 * buckets of one kind and all of another one. */
static inline uint64_t exact(const struct prefilter *f, enum prefilter_kind kind, unsigned some_of,
                             enum prefilter_kind other, uint64_t places, const unsigned char *text,
                             size_t len)
{
    uint64_t kept = 0;

    for (uint64_t left = places; left != 0; left &= left - 1) {
        size_t at = (size_t)__builtin_ctzll(left);
        unsigned char tail[BUNDLE_WINDOW_BYTES] = {0};
        const unsigned char *p = text + at;

        if (len - at < sizeof(tail)) {
            memcpy(tail, p, len - at);
            p = tail;
        }
        if (((prefilter_buckets(f, kind, p) & some_of) | prefilter_buckets(f, other, p)) != 0)
            kept |= left & -left;
    }
    return kept;
}

/* Which of 32 bytes are in words, and in tokens. */
struct masks {
    uint32_t word, token;
};

static inline struct masks classes(__m256i v)
{
    __m256i lower = _mm256_or_si256(v, _mm256_set1_epi8(0x20));
    __m256i letter = _mm256_and_si256(_mm256_cmpgt_epi8(lower, _mm256_set1_epi8('a' - 1)),
                                      _mm256_cmpgt_epi8(_mm256_set1_epi8('z' + 1), lower));
    __m256i digit = _mm256_and_si256(_mm256_cmpgt_epi8(v, _mm256_set1_epi8('0' - 1)),
                                     _mm256_cmpgt_epi8(_mm256_set1_epi8('9' + 1), v));
    __m256i word = _mm256_or_si256(_mm256_or_si256(letter, digit),
                                   _mm256_cmpeq_epi8(v, _mm256_set1_epi8('_')));
    __m256i more = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('+')),
                                                   _mm256_cmpeq_epi8(v, _mm256_set1_epi8('-'))),
                                   _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('/')),
                                                   _mm256_cmpeq_epi8(v, _mm256_set1_epi8('='))));

    return (struct masks){
        (uint32_t)_mm256_movemask_epi8(word),
        (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(word, more)),
    };
}

/* Writes the bits of 32 bytes, whose nibbles these are, as half of each mask: each class is made of some upper nibbles with some lower
 * ones. */
static inline void find_classes(__m256i lo, __m256i hi, unsigned half,
                                uint64_t out[PREFILTER_CLASSES])
{
    enum {
        D = PREFILTER_DIGIT,
        C = PREFILTER_COLON,
        E = PREFILTER_EQUALS,
        A = PREFILTER_AT,
        L = PREFILTER_LESS,
        Q = PREFILTER_QUOTE,
        R = PREFILTER_ROUND,
        S = PREFILTER_SQUARE,
    };
    static const uint8_t low[16] = {D | A, D, D | Q, D, D, D, D, D | Q, D | R, D, C, S, L, E, 0, 0},
                         high[16] = {0, 0, Q | R, D | C | E | L, A, S, 0, S};
    __m256i class =
        _mm256_and_si256(_mm256_shuffle_epi8(twice(low), lo), _mm256_shuffle_epi8(twice(high), hi));

    for (unsigned k = 0; k < PREFILTER_CLASSES; k++) {
        uint32_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(class, (int)(7 - k)));

        memcpy((unsigned char *)&out[k] + half * sizeof(bits), &bits, sizeof(bits));
    }
}

/* Whether the bit of each hash is set, in bit 31 of its lane. */
static inline __m256i has_hash(const struct prefilter_index *literals, __m256i hash)
{
    __m256i word = _mm256_i32gather_epi32((const int *)(const void *)literals->hashes,
                                          _mm256_srli_epi32(hash, 5), 4);

    return _mm256_sllv_epi32(
        word, _mm256_andnot_si256(hash, _mm256_set1_epi32(31))); /* by 31 - hash % 32 */
}

/* One bit for each of the 32 places at p where the hash of a literal is (prefilter_hash()); READ bytes are read. */
static inline uint32_t literals(const struct prefilter *f, const unsigned char *p)
{
    const __m256i fours = _mm256_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6, 4, 5, 6,
                                           7, 5, 6, 7, 8, 6, 7, 8, 9, 7, 8, 9, 10);
    const __m256i factor = _mm256_set1_epi32((int)0x9E3779B1u);
    uint32_t found = 0;

    for (unsigned k = 0; k < STEP; k += 8) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + k));
        __m256i key = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), fours), four, three;

        key = _mm256_or_si256(key, _mm256_set1_epi8(0x20));
        four = _mm256_srli_epi32(_mm256_mullo_epi32(key, factor), 16);
        three = _mm256_srli_epi32(_mm256_mullo_epi32(_mm256_slli_epi32(key, 8), factor), 16);
        found |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(
                     _mm256_or_si256(has_hash(&f->literals[PREFILTER_FOUR], four),
                                     has_hash(&f->literals[PREFILTER_THREE], three))))
                 << k;
    }
    return found;
}

/* One bit for each of 32 places that has four bytes of some bucket of literals; v are the bytes from each place on. */
static inline uint32_t sieved(const struct prefilter_sieve *s, const __m256i v[BUNDLE_WINDOW_BYTES])
{
    __m256i even[BUNDLE_WINDOW_BYTES], odd[BUNDLE_WINDOW_BYTES], found = _mm256_setzero_si256();

    /* Bit 4 chooses the half of a table: a shuffle gives nothing where the upper bit is set. */
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        even[place] = _mm256_or_si256(
            _mm256_and_si256(v[place], _mm256_set1_epi8(15)),
            _mm256_and_si256(_mm256_slli_epi16(v[place], 3), _mm256_set1_epi8((char)0x80)));
        odd[place] = _mm256_xor_si256(even[place], _mm256_set1_epi8((char)0x80));
    }
    for (unsigned g = 0; g < PREFILTER_SIEVE_GROUPS; g++) {
        __m256i all = _mm256_set1_epi8(-1);

        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            all = _mm256_and_si256(
                all, _mm256_or_si256(_mm256_shuffle_epi8(table(s->five[g][place][0]), even[place]),
                                     _mm256_shuffle_epi8(table(s->five[g][place][1]), odd[place])));
        found = _mm256_or_si256(found, all);
    }
    return some(found);
}

/* Appends the places of mask, which begin at `at`; returns how many there are now. */
static inline unsigned append(uint16_t *out, unsigned n, uint64_t mask, unsigned at)
{
    enum { MOSTLY = 6 };
    const unsigned more = (unsigned)__builtin_popcountll(mask);

    /* No branch for the first ones: how many there are is hard to guess. */
    for (unsigned k = 0; k < MOSTLY; k++, mask &= mask - 1)
        out[n + k] = (uint16_t)(at + (mask == 0 ? 0 : (unsigned)__builtin_ctzll(mask)));
    for (unsigned k = MOSTLY; mask != 0; k++, mask &= mask - 1)
        out[n + k] = (uint16_t)(at + (unsigned)__builtin_ctzll(mask));
    return n + more;
}

/* Keeps of n places from `from` on those whose hash of some length is known, or that are too near the end to tell. */
static unsigned keep_hashes(const struct prefilter *f, const unsigned char *text, size_t from,
                            size_t len, uint16_t *at, unsigned n)
{
    unsigned kept = 0, i = 0;

    /* No branch: which places are kept is hard to guess. */
    for (; i < n && from + at[i] + BUNDLE_WINDOW_BYTES <= len; i++) {
        const unsigned char *p = text + from + at[i];
        bool four = prefilter_hash_known(&f->literals[PREFILTER_FOUR],
                                         prefilter_hash(PREFILTER_FOUR, p)),
             three = prefilter_hash_known(&f->literals[PREFILTER_THREE],
                                          prefilter_hash(PREFILTER_THREE, p));

        at[kept] = at[i];
        kept += four | three;
    }
    for (; i < n; i++)
        at[kept++] = at[i];
    return kept;
}

/* What nibbles and five bits say of 64 places, a bit each: where buckets accept, and literals may be. */
struct step {
    uint64_t word, token, literal, by_digit, by_colon, start, wide;
};

/* Which places have one of some bits, of 32 from `shift` on. */
static inline uint64_t has(__m256i of, unsigned bits, unsigned shift)
{
    return (uint64_t)some(_mm256_and_si256(of, _mm256_set1_epi8((char)bits))) << shift;
}

/* Adds 32 of them; READ bytes of p are read. */
static inline __attribute__((always_inline)) void find_half(const struct prefilter *f,
                                                            const unsigned char *p, unsigned half,
                                                            struct step *s,
                                                            uint64_t class[PREFILTER_CLASSES])
{
    const unsigned shift = half * STEP;
    __m256i v[BUNDLE_WINDOW_BYTES], lo[BUNDLE_WINDOW_BYTES], hi[BUNDLE_WINDOW_BYTES], of;
    struct masks m;

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        v[place] = _mm256_loadu_si256((const __m256i *)(const void *)(p + place));
        lo[place] = _mm256_and_si256(v[place], _mm256_set1_epi8(15));
        hi[place] = _mm256_and_si256(_mm256_srli_epi16(v[place], 4), _mm256_set1_epi8(15));
    }
    m = classes(v[0]);
    s->word |= (uint64_t)m.word << shift;
    s->token |= (uint64_t)m.token << shift;
    find_classes(lo[0], hi[0], half, class);
    of = buckets(f, PREFILTER_START, lo, hi);
    s->by_digit |= has(of, PREFILTER_BY_DIGIT, shift);
    s->by_colon |= has(of, PREFILTER_BY_COLON, shift);
    s->start |=
        has(_mm256_or_si256(_mm256_and_si256(of, _mm256_set1_epi8((char)PREFILTER_BY_OTHER)),
                            buckets(f, PREFILTER_STARTER, lo, hi)),
            0xFF, shift);
    s->wide |= has(_mm256_or_si256(_mm256_and_si256(of, _mm256_set1_epi8(PREFILTER_BY_WIDE)),
                                   _mm256_or_si256(buckets(f, PREFILTER_WIDE, lo, hi),
                                                   buckets(f, PREFILTER_WIDER, lo, hi))),
                   0xFF, shift);
    s->literal |= (uint64_t)(f->sieve.is_made ? sieved(&f->sieve, v) : literals(f, p)) << shift;
}

/* Asks bytes themselves at the places that nibbles gave. */
static void keep_exact(const struct prefilter *f, const unsigned char *text, size_t from, size_t to,
                       size_t len, struct prefilter_places *places)
{
    for (size_t i = from; i < to; i += 64) {
        uint64_t *start = &places->start[(i - from) / 64], *wide = &places->wide[(i - from) / 64];

        if (*start != 0)
            *start = exact(f, PREFILTER_START, (unsigned)PREFILTER_BY_WIDE ^ 0xFF,
                           PREFILTER_STARTER, *start, text + i, len - i);
        if (*wide != 0)
            *wide = exact(f, PREFILTER_START, PREFILTER_BY_WIDE, PREFILTER_WIDE, *wide, text + i,
                          len - i) |
                    exact(f, PREFILTER_WIDER, 0xFF, PREFILTER_WIDER, *wide, text + i, len - i);
    }
}

void prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, struct prefilter_places *out)
{
    uint64_t before = from > 0 ? prefilter_flags[text[from - 1]] & 1u : 0;
    unsigned char tail[STEP + READ];
    unsigned n = 0;

    for (size_t i = from; i < to; i += (size_t)2 * STEP) {
        const unsigned char *p = text + i;
        uint64_t valid = to - i < 64 ? (UINT64_C(1) << (to - i)) - 1 : UINT64_MAX, begin;
        size_t block = (i - from) / 64;
        struct step found = {0};

        if (len - i < sizeof(tail)) {
            memset(tail, 0, sizeof(tail));
            memcpy(tail, p, len - i);
            p = tail;
        }
        find_half(f, p, 0, &found, out->class[block]);
        find_half(f, p + STEP, 1, &found, out->class[block]);
        begin = ~(found.word << 1 | before) & valid;
        before = found.word >> 63;
        out->by_digit[block] = found.by_digit & begin;
        out->by_colon[block] = found.by_colon & begin;
        out->start[block] = found.start & begin;
        out->wide[block] = found.wide & valid;
        out->digit[block] = out->class[block][0];
        out->colon[block] = out->class[block][1];
        out->token[block] = found.token & valid;
        n = append(out->literal, n, found.literal & valid, (unsigned)(i - from));
    }
    out->n_literal = f->sieve.is_made ? keep_hashes(f, text, from, len, out->literal, n) : n;
    prefilter_keep_near(out, to - from);
    keep_exact(f, text, from, to, len, out);
    prefilter_keep_known(f, text, from, len, out);
}

static inline __m256i words(const uint64_t *row)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)row);
}

bool prefilter_starts_avx2(const struct prefilter *f, const unsigned char *p, unsigned first,
                           uint64_t alive[PREFILTER_ROW_WORDS])
{
    __m256i low = _mm256_set1_epi8(-1), high = low;

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
#else
bool prefilter_starts_avx2(const struct prefilter *f, const unsigned char *p, unsigned first,
                           uint64_t alive[PREFILTER_ROW_WORDS])
{
    return prefilter_starts_scalar(f, p, first, alive);
}

void prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, struct prefilter_places *out)
{
    prefilter_find_scalar(f, text, from, to, len, out);
}
#endif
