/* dlp/view_find_avx2.c - view_find.h with AVX2: 32 bytes a step. Any thread. */
#include <string.h>

#include "dlp/view_avx2.h"
#include "dlp/view_find.h"

size_t view_find_escape_avx2(const char *p, size_t at, size_t to)
{
    for (; at + VIEW_FIND_ROW <= to; at += VIEW_FIND_ROW) {
        uint32_t escapes = view_escapes_avx2(_mm256_loadu_si256((const void *)(p + at)));

        if (escapes != 0)
            return at + (size_t)__builtin_ctz(escapes);
    }
    while (at < to && (view_kind(p[at]) & VIEW_KIND_ESCAPE) == 0)
        at++;
    return at;
}

size_t view_find_said_avx2(const char *p, size_t at, size_t n)
{
    for (; at + VIEW_FIND_ROW + 1 < n; at += VIEW_FIND_ROW) {
        __m256i v = _mm256_loadu_si256((const void *)(p + at));
        uint32_t places = 0;

        if (view_escapes_avx2(v) != 0)
            places = view_said_avx2(v, p + at);
        if (places != 0)
            return at + (size_t)__builtin_ctz(places);
    }
    for (; at + 1 < n; at++)
        if ((view_kind(p[at]) & VIEW_KIND_ESCAPE) != 0 && view_is_said(p + at, n - at))
            return at;
    return n;
}

size_t view_find_run_avx2(const char *p, size_t at, size_t n)
{
    enum { BLOCK = 64 };
    unsigned before = 0;

    for (; at < n; at += BLOCK) {
        char tail[BLOCK] = {0};
        const char *row = p + at;
        uint64_t digits;
        int begins;

        if (n - at < sizeof(tail)) {
            memcpy(tail, row, n - at);
            row = tail;
        }
        digits = view_base64_avx2(_mm256_loadu_si256((const void *)row)) |
                 (uint64_t)view_base64_avx2(_mm256_loadu_si256((const void *)(row + VIEW_FIND_ROW)))
                     << VIEW_FIND_ROW;
        begins = view_run_begins(digits, &before);
        if (begins != VIEW_NO_RUN)
            return at + (size_t)(ptrdiff_t)begins;
    }
    return n;
}

/* ---- rows of digits ----------------------------------------------------------------------- */

enum { ROW_BLOCK = 64 };

/* What 64 bytes are, a bit each: digits, signs, bytes beyond ASCII, and what words for digits may begin with. */
struct row_bits {
    uint64_t digits, signs, high;
};

static inline uint64_t mask_of_two(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

/* Digits and signs by their nibbles: all stand in 0x2X and 0x3X but the underscore. */
static inline __m256i signs_of(__m256i v)
{
    enum { IN_2 = 1, IN_5 = 2 };
    const __m128i low =
        _mm_setr_epi8(IN_2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, IN_2, IN_2, IN_2, IN_2 | IN_5);
    const __m128i high = _mm_setr_epi8(0, 0, IN_2, 0, 0, IN_5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i found =
        view_nibbles_avx2(v, _mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high));

    return _mm256_cmpgt_epi8(found, _mm256_setzero_si256());
}

static inline struct row_bits row_bits_of(const char *p)
{
    __m256i a = _mm256_loadu_si256((const void *)p), b = _mm256_loadu_si256((const void *)(p + 32));

    return (struct row_bits){
        mask_of_two(view_between_avx2(a, '0' - 1, '9' + 1), view_between_avx2(b, '0' - 1, '9' + 1)),
        mask_of_two(signs_of(a), signs_of(b)), mask_of_two(a, b)};
}

static inline __m256i spells_32(const char *p)
{
    __m256i v = _mm256_loadu_si256((const void *)p),
            next = _mm256_loadu_si256((const void *)(p + 1)),
            common = _mm256_and_si256(view_by_five_avx2(view_spell_first, v),
                                      view_by_five_avx2(view_spell_second, next)),
            letter = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(0x3F));

    return _mm256_andnot_si256(_mm256_cmpeq_epi8(common, _mm256_setzero_si256()), letter);
}

/* Where two letters stand that a word for a digit may begin with. */
static inline uint64_t spells(const char *p)
{
    return mask_of_two(spells_32(p), spells_32(p + 32));
}

/* The bits of two blocks from bit n on. */
static inline uint64_t from_bit(uint64_t bits, uint64_t behind, unsigned n)
{
    return bits >> n | behind << (64 - n);
}

/* The last digits of those in a, behind which b is, where a number may go on; *odd: with something else than digits. */
static inline uint64_t ends_of(const char *p, const struct row_bits *a, const struct row_bits *b,
                               uint64_t *odd)
{
    uint64_t ends = a->digits & ~from_bit(a->digits, b->digits, 1);
    uint64_t one = ends & from_bit(a->signs, b->signs, 1),
             two = one & from_bit(a->signs, b->signs, 2),
             three = two & from_bit(a->signs, b->signs, 3), high = a->high | b->high;

    *odd = 0;
    if (high != 0)
        *odd = (ends & from_bit(a->high, b->high, 1)) | (one & from_bit(a->high, b->high, 2)) |
               (two & from_bit(a->high, b->high, 3)) | (three & from_bit(a->high, b->high, 4));
    if (one != 0) {
        uint64_t now = spells(p), then = spells(p + ROW_BLOCK);

        *odd |= (one & from_bit(now, then, 2)) | (two & from_bit(now, then, 3)) |
                (three & from_bit(now, then, 4));
    }
    return (one & from_bit(a->digits, b->digits, 2)) | (two & from_bit(a->digits, b->digits, 3)) |
           (three & from_bit(a->digits, b->digits, 4));
}

/* The first of a block's ends that counts, or ROW_BLOCK. */
static inline unsigned first_end(struct gw_span text, size_t at, uint64_t ends, uint64_t odd)
{
    for (uint64_t left = ends | odd; left != 0; left &= left - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(left);

        if ((odd >> bit & 1) != 0 || view_goes_twice(text, at + bit + 1))
            return bit;
    }
    return ROW_BLOCK;
}

size_t view_find_row_avx2(const char *p, size_t at, size_t n)
{
    struct row_bits now, then = {0, 0, 0};
    bool is_read = false; /* then is what the block at base is */

    for (size_t base = at; base < n; base += ROW_BLOCK) {
        char tail[2 * ROW_BLOCK + 1];
        const char *row = p + base;
        uint64_t ends, odd;
        unsigned bit;

        if (n - base < sizeof(tail)) {
            memset(tail, 0, sizeof(tail));
            memcpy(tail, row, n - base);
            row = tail;
        }
        now = is_read ? then : row_bits_of(row);
        is_read = now.digits != 0;
        if (!is_read)
            continue;
        then = row_bits_of(row + ROW_BLOCK);
        ends = ends_of(row, &now, &then, &odd);
        bit = first_end((struct gw_span){p, n}, base, ends, odd);
        if (bit == ROW_BLOCK)
            continue;
        base += bit;
        while (base > at && p[base - 1] >= '0' && p[base - 1] <= '9')
            base--;
        return base;
    }
    return n;
}
