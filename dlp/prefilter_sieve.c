/* dlp/prefilter_sieve.c - fills the filter's first tests for literals (prefilter.h). Thread: any; the tables are written here only. */
#include <stdlib.h>

#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

/* More literals would fill the buckets: hashes say more. */
enum { MAX_SIEVED = 512 };

/* What a spelling of a literal has at each of its places, letters in either case, as the tests tell them; any byte where it has none. */
static void sets_of(const struct prefilter_lit *lit, enum prefilter_length length,
                    struct bundle_set sets[BUNDLE_WINDOW_BYTES])
{
    unsigned known = length == PREFILTER_THREE ? 3 : BUNDLE_WINDOW_BYTES;

    memset(sets, 0, BUNDLE_WINDOW_BYTES * sizeof(*sets));
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        unsigned shift = 8 * (PREFILTER_LIT_BEFORE + place),
                 mask = place < known ? (unsigned)(lit->mask >> shift) & 0xff : 0,
                 value = (unsigned)(lit->value >> shift) & mask;

        for (unsigned byte = 0; byte < 256; byte++) {
            unsigned twin = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z' ? byte ^ 0x20 : byte;

            if ((byte & mask) == value || (twin & mask) == value)
                sets[place].w[byte >> 5] |= UINT32_C(1) << (byte & 31);
        }
    }
}

/* The sets of all literals, as many as *n says; NULL when out of memory. Release with free(). */
static struct bundle_set (*all_sets(const struct prefilter *f, unsigned *n))[BUNDLE_WINDOW_BYTES]
{
    unsigned most = f->literals[PREFILTER_FOUR].n + f->literals[PREFILTER_THREE].n;
    struct bundle_set(*sets)[BUNDLE_WINDOW_BYTES] = calloc((size_t)most + 1, sizeof(*sets));

    *n = 0;
    for (unsigned length = 0; length < PREFILTER_LENGTHS && sets != NULL; length++)
        for (unsigned i = 0; i < f->literals[length].n; i++)
            sets_of(&f->literals[length].lits[i], length, sets[(*n)++]);
    return sets;
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

static bool fill_groups(struct prefilter_sieve *s,
                        const struct bundle_set (*sets)[BUNDLE_WINDOW_BYTES], unsigned n)
{
    unsigned *bucket = calloc((size_t)n + 1, sizeof(*bucket));
    bool ok = bucket != NULL && rulec_buckets(sets, n, 8 * PREFILTER_SIEVE_GROUPS, bucket) == GW_OK;

    for (unsigned i = 0; i < n && ok; i++)
        add_to_bucket(s, sets[i], bucket[i]);
    s->is_made = ok;
    free(bucket);
    return ok;
}

/* Notes the pairs that two sets make, as `bit`. */
static void add_pairs(uint8_t *pairs, const struct bundle_set *first,
                      const struct bundle_set *second, unsigned bit)
{
    for (unsigned b = 0; b < 256; b++) {
        if (!rx_set_has(second, b))
            continue;
        for (unsigned a = 0; a < 256; a++)
            if (rx_set_has(first, a))
                pairs[b << 8 | a] |= (uint8_t)bit;
    }
}

/* Notes the pairs that some bucket of a kind that is in `some` accepts. */
static void add_bucket_pairs(const struct prefilter *f, enum prefilter_kind kind, unsigned some,
                             unsigned bit)
{
    for (unsigned b = 0; b < 256; b++)
        for (unsigned a = 0; a < 256; a++)
            if ((f->bucket[kind][0][a] & f->bucket[kind][1][b] & some) != 0)
                f->sieve.pairs[b << 8 | a] |= (uint8_t)bit;
}

static void fill_pairs(struct prefilter *f, const struct bundle_set (*sets)[BUNDLE_WINDOW_BYTES],
                       unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned place = 0; place + 1 < BUNDLE_WINDOW_BYTES; place++)
            add_pairs(f->sieve.pairs, &sets[i][place], &sets[i][place + 1],
                      PREFILTER_PAIR_FIRST << place);
    add_bucket_pairs(f, PREFILTER_START, (unsigned)PREFILTER_BY_WIDE ^ 0xff, PREFILTER_PAIR_START);
    add_bucket_pairs(f, PREFILTER_STARTER, 0xff, PREFILTER_PAIR_START);
    add_bucket_pairs(f, PREFILTER_START, PREFILTER_BY_WIDE, PREFILTER_PAIR_WIDE);
    add_bucket_pairs(f, PREFILTER_WIDE, 0xff, PREFILTER_PAIR_WIDE);
    add_bucket_pairs(f, PREFILTER_WIDER, 0xff, PREFILTER_PAIR_WIDE);
}

bool prefilter_fill_sieve(struct prefilter *f)
{
    unsigned n;
    struct bundle_set(*sets)[BUNDLE_WINDOW_BYTES] = all_sets(f, &n);
    bool ok;

    f->sieve.pairs = calloc((size_t)256 * 256, 1);
    ok = sets != NULL && f->sieve.pairs != NULL;
    if (ok) {
        fill_pairs(f, (const struct bundle_set(*)[BUNDLE_WINDOW_BYTES])sets, n);
        ok = n > MAX_SIEVED ||
             fill_groups(&f->sieve, (const struct bundle_set(*)[BUNDLE_WINDOW_BYTES])sets, n);
    }
    free(sets);
    return ok;
}
