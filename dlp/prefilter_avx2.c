/* dlp/prefilter_avx2.c - the filter, 32 bytes a step: a byte's buckets are those of its low nibble that are also those of its
 * high nibble. Accepts a little more than the scalar version, never less. Literals are hashed
 * eight at a time, their bits gathered. */
#include <string.h>

#include "dlp/prefilter.h"

#if defined(__x86_64__)
#    include <immintrin.h>

enum { STEP = 32, READ = STEP + 8 };

static inline __m256i table(const uint8_t bytes[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)bytes));
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

/* Nibbles say yes where a byte has the low one of some and the high one of others: bytes themselves are asked where one did. */
static inline uint32_t exact(const struct prefilter *f, enum prefilter_kind kind, uint32_t places,
                             const unsigned char *p)
{
    uint32_t kept = 0;

    for (uint32_t left = places; left != 0; left &= left - 1) {
        const unsigned char *at = p + __builtin_ctz(left);

        if (prefilter_buckets(f, kind, at) != 0)
            kept |= left & -left;
    }
    return kept;
}

/* Places of PREFILTER_START by what they are for. */
struct starts {
    uint32_t digit, colon, wide, other;
};

/* The same for these, whose buckets nibbles say: of places where words begin, and of those of windows. */
static inline struct starts exact_starts(const struct prefilter *f, __m256i of, uint32_t begin,
                                         const unsigned char *p)
{
    struct starts s = {0, 0, 0, 0};
    uint32_t places = some(of) & begin;

    if (f->few_wide)
        places |= some(_mm256_and_si256(of, _mm256_set1_epi8(PREFILTER_BY_WIDE)));
    for (uint32_t left = places; left != 0; left &= left - 1) {
        unsigned by = prefilter_buckets(f, PREFILTER_START, p + __builtin_ctz(left));
        uint32_t bit = left & -left;

        s.digit |= (by & PREFILTER_BY_DIGIT) != 0 ? bit : 0;
        s.colon |= (by & PREFILTER_BY_COLON) != 0 ? bit : 0;
        s.wide |= (by & PREFILTER_BY_WIDE) != 0 ? bit : 0;
        s.other |= (by & PREFILTER_BY_OTHER) != 0 ? bit : 0;
    }
    return (struct starts){s.digit & begin, s.colon & begin, s.wide, s.other & begin};
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

/* Adds the bits of 32 bytes, whose nibbles these are: each class is made of some upper nibbles with some lower ones. */
static inline void find_classes(__m256i lo, __m256i hi, unsigned shift,
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
        _mm256_and_si256(_mm256_shuffle_epi8(table(low), lo), _mm256_shuffle_epi8(table(high), hi));

    for (unsigned k = 0; k < PREFILTER_CLASSES; k++)
        out[k] |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(class, (int)(7 - k)))
                  << shift;
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

void prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, struct prefilter_places *out)
{
    uint32_t before = from > 0 ? prefilter_flags[text[from - 1]] & 1u : 0;
    unsigned char tail[READ];
    unsigned n = 0;

    for (size_t i = from; i < to; i += STEP) {
        const unsigned char *p = text + i;
        uint32_t valid = to - i < STEP ? (UINT32_C(1) << (to - i)) - 1 : UINT32_MAX;
        size_t word = (i - from) / 64, shift = (i - from) % 64;
        __m256i lo[BUNDLE_WINDOW_BYTES], hi[BUNDLE_WINDOW_BYTES];
        struct masks m;
        struct starts s;
        uint32_t begin = 0, wide = 0;

        if (len - i < READ) {
            memset(tail, 0, sizeof(tail));
            memcpy(tail, p, len - i);
            p = tail;
        }
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + place));

            lo[place] = _mm256_and_si256(v, _mm256_set1_epi8(15));
            hi[place] = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
        }
        m = classes(_mm256_loadu_si256((const __m256i *)(const void *)p));
        begin = ~(m.word << 1 | before) & valid;
        s = exact_starts(f, buckets(f, PREFILTER_START, lo, hi), begin, p);
        s.other |= exact(f, PREFILTER_STARTER, accepted(f, PREFILTER_STARTER, lo, hi) & begin, p);
        before = m.word >> 31;
        if (shift == 0)
            memset(out->class[word], 0, sizeof(out->class[word]));
        find_classes(lo[0], hi[0], (unsigned)shift, out->class[word]);
        if (shift == 0)
            out->wide[word] = out->start[word] = out->token[word] = out->by_digit[word] =
                out->by_colon[word] = 0;
        wide = s.wide | exact(f, PREFILTER_WIDE, accepted(f, PREFILTER_WIDE, lo, hi), p) |
               exact(f, PREFILTER_WIDER, accepted(f, PREFILTER_WIDER, lo, hi), p);
        out->wide[word] |= (uint64_t)(wide & valid) << shift;
        out->start[word] |= (uint64_t)s.other << shift;
        out->by_digit[word] |= (uint64_t)s.digit << shift;
        out->by_colon[word] |= (uint64_t)s.colon << shift;
        out->digit[word] = out->class[word][0];
        out->colon[word] = out->class[word][1];
        out->token[word] |= (uint64_t)(m.token & valid) << shift;
        for (uint32_t bits = literals(f, p) & valid; bits != 0; bits &= bits - 1)
            out->literal[n++] = (uint16_t)(i - from + (unsigned)__builtin_ctz(bits));
    }
    out->n_literal = n;
    prefilter_keep_near(out, to - from);
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
