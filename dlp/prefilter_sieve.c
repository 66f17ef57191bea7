/* dlp/prefilter_sieve.c - fills the filter's first tests for literals (prefilter.h). Thread: any; the tables are written here only. */
#include <stdlib.h>

#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

/* More literals would fill the buckets: hashes say more. As few as the second number leave a place in a hundred blocks or two more with a
 * group less, which costs less than to ask that group. */
enum { MAX_SIEVED = 512, FEW_SIEVED = 192 };

/* What a spelling of a literal has at a place: the bytes that are value where mask is set; any byte where it has none. */
struct place {
    unsigned value, mask;
};

static struct place place_of(const struct prefilter_lit *lit, enum prefilter_length length,
                             unsigned place)
{
    unsigned known = length == PREFILTER_THREE ? 3 : BUNDLE_WINDOW_BYTES,
             shift = 8 * (PREFILTER_LIT_BEFORE + place),
             mask = place < known ? (unsigned)(lit->mask >> shift) & 0xff : 0;

    return (struct place){(unsigned)(lit->value >> shift) & mask, mask};
}

/* The next byte of a place behind `byte`; 256: there are no more. The first one is its value. */
static unsigned next_byte(struct place p, unsigned byte)
{
    unsigned any = ~p.mask & 0xff, next = (((byte & any) | p.mask) + 1) & any;

    return next == 0 ? 256 : next | p.value;
}

/* The bytes of a place, letters in either case, as the tests tell them. */
static struct bundle_set set_of(struct place p)
{
    struct bundle_set s = {{0}};

    for (unsigned byte = p.value; byte < 256; byte = next_byte(p, byte)) {
        unsigned twin = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z' ? byte ^ 0x20 : byte;

        s.w[byte >> 5] |= UINT32_C(1) << (byte & 31);
        s.w[twin >> 5] |= UINT32_C(1) << (twin & 31);
    }
    return s;
}

/* Adds one literal's bytes to its bucket. */
static void add_to_bucket(struct prefilter_sieve *s, const struct bundle_set *sets, unsigned bucket)
{
    const uint8_t bit = (uint8_t)(1u << (bucket % 8));
    const unsigned group = bucket / 8;

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        for (unsigned byte = 0; byte < 256; byte++)
            if (rx_set_has(&sets[place], byte)) {
                s->six[group][place][prefilter_six(byte)] |= bit;
                s->five[group][place][byte >> 4 & 1][byte & 15] |= bit;
                s->five[group][place][byte >> 4 & 1][16 + (byte & 15)] |= bit;
            }
}

/* Fills in the buckets of n literals; false when out of memory. */
static bool fill_groups(struct prefilter *f, unsigned n)
{
    struct bundle_set(*sets)[BUNDLE_WINDOW_BYTES] = calloc((size_t)n + 1, sizeof(*sets));
    unsigned *bucket = calloc((size_t)n + 1, sizeof(*bucket)), k = 0;
    bool ok = sets != NULL && bucket != NULL;

    f->sieve.is_small = n <= FEW_SIEVED;
    for (unsigned length = 0; length < PREFILTER_LENGTHS && ok; length++)
        for (unsigned i = 0; i < f->literals[length].n; i++, k++)
            for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
                sets[k][place] = set_of(place_of(&f->literals[length].lits[i], length, place));
    ok =
        ok && rulec_buckets((const struct bundle_set(*)[BUNDLE_WINDOW_BYTES])sets, n,
                            8 * (f->sieve.is_small ? PREFILTER_FEW_GROUPS : PREFILTER_SIEVE_GROUPS),
                            bucket) == GW_OK;
    for (unsigned i = 0; i < n && ok; i++)
        add_to_bucket(&f->sieve, sets[i], bucket[i]);
    f->sieve.is_made = ok;
    free(bucket);
    free(sets);
    return ok;
}

/* Notes the pairs of a literal. */
static void add_pairs(uint8_t *pairs, const struct prefilter_lit *lit, enum prefilter_length length)
{
    for (unsigned place = 0; place + 1 < BUNDLE_WINDOW_BYTES; place++) {
        struct place first = place_of(lit, length, place),
                     second = place_of(lit, length, place + 1);

        for (unsigned b = second.value; b < 256; b = next_byte(second, b))
            for (unsigned a = first.value; a < 256; a = next_byte(first, a))
                pairs[b << 8 | a] |= (uint8_t)(PREFILTER_PAIR_FIRST << place);
    }
}

/* Notes the pairs that some bucket of a kind that is in `some` accepts. */
static void add_bucket_pairs(const struct prefilter *f, enum prefilter_kind kind, unsigned some,
                             unsigned bit)
{
    for (unsigned b = 0; b < 256; b++) {
        unsigned second = f->bucket[kind][1][b] & some;

        for (unsigned a = 0; a < 256 && second != 0; a++)
            if ((f->bucket[kind][0][a] & second) != 0)
                f->sieve.pairs[b << 8 | a] |= (uint8_t)bit;
    }
}

bool prefilter_fill_sieve(struct prefilter *f)
{
    unsigned n = f->literals[PREFILTER_FOUR].n + f->literals[PREFILTER_THREE].n;

    f->sieve.pairs = calloc((size_t)256 * 256, 1);
    if (f->sieve.pairs == NULL)
        return false;
    for (unsigned length = 0; length < PREFILTER_LENGTHS; length++)
        for (unsigned i = 0; i < f->literals[length].n; i++)
            add_pairs(f->sieve.pairs, &f->literals[length].lits[i], length);
    add_bucket_pairs(f, PREFILTER_START, f->by_wide ^ 0xffu, PREFILTER_PAIR_START);
    add_bucket_pairs(f, PREFILTER_STARTER, 0xff, PREFILTER_PAIR_START);
    add_bucket_pairs(f, PREFILTER_START, f->by_wide, PREFILTER_PAIR_WIDE);
    add_bucket_pairs(f, PREFILTER_WIDE, 0xff, PREFILTER_PAIR_WIDE);
    add_bucket_pairs(f, PREFILTER_WIDER, 0xff, PREFILTER_PAIR_WIDE);
    return n > MAX_SIEVED || fill_groups(f, n);
}
