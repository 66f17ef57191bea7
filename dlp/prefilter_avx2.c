/* dlp/prefilter_avx2.c - the filter, 32 bytes a step: a byte's buckets are those of its low nibble that are also those of its
 * high nibble. Accepts a little more than the scalar version, never less. Literals are hashed one by one. */
#include <string.h>

#include "dlp/prefilter.h"

#if defined(__x86_64__)
#    include <immintrin.h>

enum { STEP = 32, READ = STEP + BUNDLE_WINDOW_BYTES };

static inline __m256i table(const uint8_t bytes[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)bytes));
}

/* One bit for each of 32 places whose four bytes some bucket of the kind accepts; lo and hi are nibbles at each place. */
static inline uint32_t accepted(const struct prefilter *f, enum prefilter_kind kind,
                                const __m256i lo[BUNDLE_WINDOW_BYTES],
                                const __m256i hi[BUNDLE_WINDOW_BYTES])
{
    __m256i all = _mm256_set1_epi8(-1);

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        all = _mm256_and_si256(
            all, _mm256_and_si256(_mm256_shuffle_epi8(table(f->low[kind][place]), lo[place]),
                                  _mm256_shuffle_epi8(table(f->high[kind][place]), hi[place])));
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(all, _mm256_setzero_si256()));
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

void prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, struct prefilter_places *out)
{
    uint32_t before = from > 0 ? prefilter_flags[text[from - 1]] & 1u : 0;
    unsigned char tail[READ];
    unsigned n = 0;

    for (size_t i = from; i < to; i += STEP) {
        const unsigned char *p = text + i;
        uint32_t valid = to - i < STEP ? (UINT32_C(1) << (to - i)) - 1 : UINT32_MAX;
        size_t word = (i - from) / 64, shift = (i - from) % 64,
               places = to - i < STEP ? to - i : STEP;
        __m256i lo[BUNDLE_WINDOW_BYTES], hi[BUNDLE_WINDOW_BYTES];
        struct masks m;
        uint32_t start = 0, wide = 0;

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
        start = (accepted(f, PREFILTER_START, lo, hi) | accepted(f, PREFILTER_STARTER, lo, hi)) &
                ~(m.word << 1 | before);
        before = m.word >> 31;
        if (shift == 0)
            out->wide[word] = out->start[word] = out->token[word] = 0;
        wide = accepted(f, PREFILTER_WIDE, lo, hi) | accepted(f, PREFILTER_WIDER, lo, hi);
        out->wide[word] |= (uint64_t)(wide & valid) << shift;
        out->start[word] |= (uint64_t)(start & valid) << shift;
        out->token[word] |= (uint64_t)(m.token & valid) << shift;
        for (unsigned k = 0; k < places; k++) {
            out->literal[n] = (uint16_t)(i - from + k);
            n += prefilter_literal(f, p + k);
        }
    }
    out->n_literal = n;
}
#else
void prefilter_find_avx2(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, struct prefilter_places *out)
{
    prefilter_find_scalar(f, text, from, to, len, out);
}
#endif
