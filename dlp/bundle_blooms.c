/* dlp/bundle_blooms.c - Bloom filters of the words of contexts (dlp/scan_word_avx512.c asks them). Thread: any; they are written at load
 * only. */
#include <stdlib.h>
#include <string.h>

#include "dlp/bundle.h"

/* How many bytes of a word are hashed: those in front of a joint or a hump, which stand for nothing or for other bytes. */
static unsigned hashed(const struct bundle_text *word)
{
    unsigned n = 0;

    while (n < BUNDLE_BLOOM_WORD && n < word->len) {
        unsigned char c = (unsigned char)word->ptr[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;

        if (!plain && !(n == 0 && c >= 'A' && c <= 'Z'))
            break;
        n++;
    }
    return n == 5 ? 4 : n;
}

void bundle_bloom_add(const struct bundle_bloom *bloom, uint8_t *banks, const unsigned char *bytes,
                      unsigned n)
{
    uint8_t h[PREFILTER_BLOOMS] = {0};

    for (unsigned i = 0; i < PREFILTER_BLOOMS; i++)
        for (unsigned place = 0; place < n; place++)
            h[i] ^= prefilter_linear_byte(bundle_bloom_linear(i, place), bytes[place]);
    for (unsigned i = 0; i < (bloom->many ? BUNDLE_BLOOM_FILTERS : 1u); i++) {
        unsigned a = h[i], b = h[i + 1], bank = bloom->many ? (b >> 7) * 2 + (a >> 7) : 0;

        banks[(i * BUNDLE_BLOOM_BANKS + bank) * BUNDLE_BLOOM_BANK + a % BUNDLE_BLOOM_BANK] |=
            (uint8_t)(1u << (b & 7));
    }
}

static unsigned banks_of(const struct bundle_context *c)
{
    return c->n_words > BUNDLE_BLOOM_MANY ? BUNDLE_BLOOM_FILTERS * BUNDLE_BLOOM_BANKS : 1;
}

static void fill(struct bundle_bloom *bloom, uint8_t *banks, const struct bundle_context *c)
{
    *bloom = (struct bundle_bloom){.many = banks_of(c) > 1, .banks = banks};
    for (uint32_t i = 0; i < c->n_words; i++) {
        unsigned n = hashed(&c->words[i]);

        bloom->lengths |= 1u << n;
        if (n >= 2)
            bundle_bloom_add(bloom, banks, (const unsigned char *)c->words[i].ptr, n);
    }
}

bool bundle_blooms_init(struct dlp_rules *r, unsigned n_contexts)
{
    size_t n = 0;
    unsigned context = 0;

    for (unsigned i = 0; i < r->b->n_rules; i++)
        for (unsigned k = 0; k < r->b->rules[i].n_contexts; k++)
            n += banks_of(&r->b->rules[i].contexts[k]);
    r->blooms = calloc(n_contexts + 1, sizeof(*r->blooms));
    r->bloom_banks = aligned_alloc(64, (n + 1) * BUNDLE_BLOOM_BANK);
    if (r->blooms == NULL || r->bloom_banks == NULL)
        return false;
    memset(r->bloom_banks, 0, (n + 1) * BUNDLE_BLOOM_BANK);
    n = 0;
    for (unsigned i = 0; i < r->b->n_rules; i++) {
        for (unsigned k = 0; k < r->b->rules[i].n_contexts; k++, context++) {
            const struct bundle_context *c = &r->b->rules[i].contexts[k];

            fill(&r->blooms[context], r->bloom_banks + n * BUNDLE_BLOOM_BANK, c);
            n += banks_of(c);
        }
    }
    return true;
}
