/* dlp/bundle_limits.c - the patterns that have nothing to say of a long text: those of rules for what stands alone in a form's
 * field. They match every word or number of a page of text, each to be refused by their validator. Thread: any. */
#include <stdlib.h>
#include <string.h>

#include "dlp/bundle.h"
#include "dlp/rulec_regex.h"

static const size_t longest[BUNDLE_LIMITS] = {64, 128, 192, 256, 512, 1024, 2048, 8192};

const size_t bundle_long_texts[BUNDLE_LONG_TEXTS] = {513, 2049};

/* The longest text in which the pattern can find something. */
static size_t limit_of(const struct dlp_rules *r, const struct bundle_pattern *p)
{
    const struct bundle_rule *b = &r->b->rules[p->rule];
    size_t most = p->longest != 0 && p->longest < p->reach ? p->longest : p->reach,
           span = b->max_len < most ? b->max_len : most, least = SIZE_MAX;

    for (unsigned i = 0; i < b->n_nears; i++)
        if (b->nears[i].has_secret != 0) /* what is reported may be longer than the match */
            return SIZE_MAX;
    for (unsigned i = 0; i < b->n_checks; i++) {
        const struct bundle_check *c = &b->checks[i];
        size_t besides = dlp_validate_most_besides(c->name, c->num);

        if (c->has_steps == 0 && besides != SIZE_MAX && besides + span < least)
            least = besides + span;
    }
    return least;
}

/* The filter for texts of any length, and those without the patterns that are dead in long ones. */
static bool build_filters(struct dlp_rules *r)
{
    const struct bundle *b = r->b;
    bool *skipped = calloc(b->n_patterns + 1, sizeof(*skipped)), ok;

    if (skipped == NULL)
        return false;
    ok = prefilter_init(&r->filter, b, skipped);
    for (unsigned k = 0; k < BUNDLE_LONG_TEXTS && ok; k++) {
        const uint64_t *dead = bundle_dead(r, bundle_long_texts[k]);

        for (uint32_t i = 0; i < b->n_patterns; i++)
            skipped[i] = (dead[i / 64] >> (i % 64) & 1) != 0;
        ok = prefilter_init(&r->long_filters[k], b, skipped);
    }
    free(skipped);
    return ok;
}

/* Does each match of the pattern begin with a digit, or with what stands in front of a number? */
static bool begins_number(const struct bundle *b, uint32_t pattern)
{
    const struct bundle_set *first = &b->sets[b->patterns[pattern].first];

    for (unsigned byte = 0; byte < 256; byte++)
        if (rx_set_has(first, byte) && !bundle_begins_number((unsigned char)byte))
            return false;
    return true;
}

/* Of each rule: it is none of numbers, or it has a pattern that is looked for elsewhere than where words begin. */
static void note_others(const struct dlp_rules *r, const bool *is_start, bool *none,
                        bool *elsewhere)
{
    const struct bundle *b = r->b;

    for (uint32_t p = 0; p < b->n_patterns; p++) {
        uint32_t rule = b->patterns[p].rule;

        if (b->rules[rule].n_checks == 0 || !begins_number(b, p))
            none[rule] = true;
        if (!is_start[p])
            elsewhere[rule] = true;
    }
}

/* Sorts out the rules of numbers, when r->filter is there. False: out of memory. */
static bool list_numbers(struct dlp_rules *r)
{
    const struct bundle *b = r->b;
    bool *none = calloc(b->n_rules + 1, sizeof(*none)),
         *elsewhere = calloc(b->n_rules + 1, sizeof(*elsewhere)),
         *is_start = calloc(b->n_patterns + 1, sizeof(*is_start));
    bool ok;

    r->numbers = calloc(b->n_patterns + 1, sizeof(*r->numbers));
    r->is_number = calloc(b->n_patterns + 1, sizeof(*r->is_number));
    ok = none != NULL && elsewhere != NULL && is_start != NULL && r->numbers != NULL &&
         r->is_number != NULL;
    if (ok) {
        for (unsigned i = 0; i < r->filter.n_starts; i++)
            is_start[r->filter.starts[i].pattern] = true;
        note_others(r, is_start, none, elsewhere);
    }
    for (uint32_t p = 0; p < b->n_patterns && ok; p++) {
        if (none[b->patterns[p].rule])
            continue;
        r->has_numbers = true;
        r->is_number[p] = !elsewhere[b->patterns[p].rule];
        if (elsewhere[b->patterns[p].rule])
            r->numbers[r->n_numbers++] = p;
    }
    free(none);
    free(elsewhere);
    free(is_start);
    return ok;
}

bool bundle_limits_init(struct dlp_rules *r)
{
    const struct bundle *b = r->b;
    size_t n_words = (b->n_patterns + 63) / 64;

    r->dead_words = calloc(n_words * BUNDLE_LIMITS + 1, sizeof(*r->dead_words));
    if (r->dead_words == NULL)
        return false;
    for (unsigned i = 0; i < BUNDLE_LIMITS; i++)
        r->dead[i] = r->dead_words + i * n_words;
    for (unsigned p = 0; p < b->n_patterns; p++) {
        size_t limit = limit_of(r, &b->patterns[p]);

        for (unsigned i = 0; i < BUNDLE_LIMITS; i++)
            if (limit <= longest[i])
                r->dead[i][p / 64] |= UINT64_C(1) << (p % 64);
    }
    return build_filters(r) && list_numbers(r);
}

unsigned bundle_tier(size_t len, size_t *to)
{
    unsigned i = 0;

    while (i < BUNDLE_LIMITS && len > longest[i])
        i++;
    *to = i < BUNDLE_LIMITS ? longest[i] : SIZE_MAX;
    return i;
}

const uint64_t *bundle_dead(const struct dlp_rules *r, size_t len)
{
    size_t to;
    unsigned tier = bundle_tier(len, &to);

    return tier == 0 ? NULL : r->dead[tier - 1];
}
