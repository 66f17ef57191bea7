/* dlp/bundle_blooms.c - Bloom filters of the words of contexts (dlp/scan_word_avx512.c asks them). Thread: any; they are written at load
 * only. */
#include <stdlib.h>
#include <string.h>

#include "dlp/bundle.h"

static void add_word(const struct bundle_bloom *bloom, uint8_t *tables,
                     const struct bundle_word_head *head, unsigned bytes)
{
    unsigned char value[sizeof(head->value)];
    uint8_t hash[PREFILTER_BLOOMS];

    memcpy(value, &head->value, sizeof(value));
    for (unsigned i = 0; i < PREFILTER_BLOOMS; i++)
        hash[i] = prefilter_linear_hash(i, bytes, value);
    for (unsigned i = 0; i < bloom->n; i++)
        tables[i * BUNDLE_BLOOM_BYTES + hash[i] % BUNDLE_BLOOM_BYTES] |=
            (uint8_t)(1u << (hash[(i + 1) % PREFILTER_BLOOMS] & 7));
}

static unsigned tables_of(const struct bundle_context *c)
{
    return c->n_words > BUNDLE_MANY_WORDS ? PREFILTER_BLOOMS : 1;
}

static void fill(struct bundle_bloom *bloom, uint8_t *tables, const struct bundle_context *c,
                 const struct bundle_slots *slots)
{
    *bloom = (struct bundle_bloom){.n = tables_of(c), .tables = tables};
    for (uint32_t i = 0; i < c->n_words; i++) {
        unsigned bytes = (unsigned)__builtin_popcount(slots->heads[i].mask) / 8;

        bloom->lengths |= 1u << bytes;
        if (bytes >= 2)
            add_word(bloom, tables, &slots->heads[i], bytes);
    }
}

bool bundle_blooms_init(struct dlp_rules *r, unsigned n_contexts)
{
    size_t n = 0;
    unsigned context = 0;

    for (unsigned i = 0; i < r->b->n_rules; i++)
        for (unsigned k = 0; k < r->b->rules[i].n_contexts; k++)
            n += tables_of(&r->b->rules[i].contexts[k]);
    r->blooms = calloc(n_contexts + 1, sizeof(*r->blooms));
    r->bloom_tables = aligned_alloc(64, (n + 1) * BUNDLE_BLOOM_BYTES);
    if (r->blooms == NULL || r->bloom_tables == NULL)
        return false;
    memset(r->bloom_tables, 0, (n + 1) * BUNDLE_BLOOM_BYTES);
    n = 0;
    for (unsigned i = 0; i < r->b->n_rules; i++) {
        for (unsigned k = 0; k < r->b->rules[i].n_contexts; k++, context++) {
            fill(&r->blooms[context], r->bloom_tables + n * BUNDLE_BLOOM_BYTES,
                 &r->b->rules[i].contexts[k], &r->words[context]);
            n += r->blooms[context].n;
        }
    }
    return true;
}
