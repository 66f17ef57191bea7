/* dlp/bundle_sleep.c - which rules sleep where no word of a context is near that they require, and what such words begin with
 * (dlp/scan_sleep.c). Thread: any; written at load only. */
#include <stdlib.h>
#include <string.h>

#include "dlp/bundle.h"

enum { REACH_MOST = 1024 }; /* bytes in front of a word or behind it in which a rule wakes */

static const char joints[] = " _-.\t\n\v\f\r";

/* The first bytes of a word that stand in texts as they are written, each with 0x20 set. */
struct beginning {
    unsigned char bytes[8];
    unsigned n;
};

static struct beginning beginning_of(const struct bundle_text *word)
{
    struct beginning b = {.n = 0};

    while (b.n < sizeof(b.bytes) && b.n < word->len) {
        unsigned char c = (unsigned char)word->ptr[b.n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;

        if (!plain && !(b.n == 0 && c >= 'A' && c <= 'Z'))
            break;
        b.bytes[b.n++] = c | 0x20;
    }
    return b;
}

/* Can places where the word begins be told? Of "d.o.b" one knows a byte, and what may stand for the joint. */
static bool can_be_found(const struct bundle_text *word)
{
    return word->len > 1 && beginning_of(word).n > 0;
}

/* The first context that the rule requires and whose words can be found; NULL: it never sleeps. */
static const struct bundle_context *context_of(const struct bundle_rule *r)
{
    for (uint32_t i = 0; i < r->n_contexts && r->n_nears == 0; i++) {
        const struct bundle_context *c = &r->contexts[i];
        bool all = c->required != 0;

        for (uint32_t w = 0; w < c->n_words && all; w++)
            all = can_be_found(&c->words[w]);
        if (all)
            return c;
    }
    return NULL;
}

/* How long a match of the rule can be; SIZE_MAX: any number of bytes. */
static size_t longest_of(const struct bundle *b, uint32_t rule)
{
    size_t longest = 0;

    for (uint32_t p = 0; p < b->n_patterns; p++) {
        if (b->patterns[p].rule != rule)
            continue;
        if (b->patterns[p].longest == 0)
            return SIZE_MAX;
        longest = b->patterns[p].longest > longest ? b->patterns[p].longest : longest;
    }
    return longest;
}

/* The first byte of the word from i on that is no joint; NUL: there is none. */
static char letter_from(const struct bundle_text *word, uint32_t i)
{
    for (; i < word->len; i++)
        if (!bundle_is_joint((unsigned char)word->ptr[i]))
            return word->ptr[i];
    return '\0';
}

/* Where the stir is looked for. */
static uint32_t cell_of(const struct bundle_stir *stir)
{
    const uint64_t value = stir->value >> (64 - stir->n * 8);

    return bundle_sleep_cell((uint32_t)value, stir->n < 4 ? stir->n : 4);
}

/* behind: the letter that follows the beginning, with joints in front of it or not; NUL: anything may follow. */
static void add(struct bundle_sleep *s, struct beginning b, const struct bundle_text *word,
                char behind, uint8_t sleeper)
{
    struct bundle_stir *stir = &s->stirs[s->n_stirs];
    unsigned char value[8] = {0};
    uint32_t cell;

    memcpy(value + sizeof(value) - b.n, b.bytes, b.n);
    memcpy(&stir->value, value, sizeof(value));
    stir->sleeper = sleeper;
    stir->n = (uint8_t)b.n;
    stir->behind = behind == '\0' || b.n == sizeof(value) ? 0 : (unsigned char)behind | 0x20;
    stir->word = s->n_stirs;
    s->words[s->n_stirs++] = word;
    cell = cell_of(stir);
    s->known[cell / 64] |= UINT64_C(1) << (cell % 64);
    b.n = b.n < BUNDLE_SLEEP_MOST ? b.n : BUNDLE_SLEEP_MOST;
    bundle_bloom_add(&s->blooms[b.n],
                     s->banks + (size_t)(b.n - BUNDLE_SLEEP_LEAST) * BUNDLE_BLOOM_BANK, b.bytes,
                     b.n);
}

static void add_word(struct bundle_sleep *s, const struct bundle_text *word, uint8_t sleeper)
{
    struct beginning b = beginning_of(word);

    if (b.n > 1) {
        add(s, b, word, letter_from(word, b.n), sleeper);
        return;
    }
    b.n = 2;
    for (const char *joint = joints; *joint != '\0'; joint++) {
        b.bytes[1] = (unsigned char)*joint | 0x20;
        add(s, b, word, '\0', sleeper);
    }
    if (letter_from(word, 1) != '\0') {
        b.bytes[1] = (unsigned char)letter_from(word, 1) | 0x20;
        add(s, b, word, '\0', sleeper);
    }
}

static int by_cell(const void *a, const void *b)
{
    const uint32_t x = cell_of(a), y = cell_of(b);

    return x < y ? -1 : x > y;
}

/* Makes the rule a sleeper, if it can be one. */
static void add_rule(struct dlp_rules *r, uint32_t rule)
{
    struct bundle_sleep *s = &r->sleep;
    const struct bundle_context *c = context_of(&r->b->rules[rule]);
    size_t longest = longest_of(r->b, rule);

    if (c == NULL || s->n == BUNDLE_SLEEPERS || longest > REACH_MOST ||
        longest + c->behind > REACH_MOST || c->before > REACH_MOST)
        return;
    s->of[s->n] = (struct bundle_sleeper){c, rule, (uint32_t)longest + c->behind, c->before};
    s->ahead = s->of[s->n].ahead > s->ahead ? s->of[s->n].ahead : s->ahead;
    s->back = s->of[s->n].back > s->back ? s->of[s->n].back : s->back;
    for (uint32_t w = 0; w < c->n_words; w++)
        add_word(s, &c->words[w], (uint8_t)s->n);
    s->n++;
    for (uint32_t p = 0; p < r->b->n_patterns; p++)
        if (r->b->patterns[p].rule == rule)
            s->sleeper_of[p] = (uint8_t)s->n;
}

bool bundle_sleep_init(struct dlp_rules *r, size_t n_words)
{
    struct bundle_sleep *s = &r->sleep;
    const size_t size = (size_t)BUNDLE_SLEEP_BANKS * BUNDLE_BLOOM_BANK;
    uint8_t *banks;

    s->stirs = calloc(n_words * sizeof(joints) + 1, sizeof(*s->stirs));
    s->words = calloc(n_words * sizeof(joints) + 1, sizeof(const struct bundle_text *));
    s->sleeper_of = calloc(r->b->n_patterns + 1, 1);
    s->first = calloc(BUNDLE_SLEEP_CELLS + 1, sizeof(*s->first));
    s->banks = banks = aligned_alloc(64, size);
    if (s->stirs == NULL || s->words == NULL || s->sleeper_of == NULL || s->first == NULL ||
        banks == NULL)
        return false;
    memset(banks, 0, size);
    s->blooms[2] = (struct bundle_bloom){.lengths = 1 << 2, .banks = banks};
    s->blooms[3] = (struct bundle_bloom){.lengths = 1 << 3, .banks = banks + BUNDLE_BLOOM_BANK};
    s->blooms[4] = (struct bundle_bloom){
        .lengths = 1 << 4, .many = true, .banks = banks + (size_t)2 * BUNDLE_BLOOM_BANK};
    for (uint32_t i = 0; i < r->b->n_rules; i++)
        add_rule(r, i);
    qsort(s->stirs, s->n_stirs, sizeof(*s->stirs), by_cell);
    for (unsigned i = 0; i < s->n_stirs; i++)
        s->first[cell_of(&s->stirs[i]) + 1]++;
    for (unsigned i = 0; i < BUNDLE_SLEEP_CELLS; i++)
        s->first[i + 1] = (uint16_t)(s->first[i] + s->first[i + 1]);
    return true;
}

void bundle_sleep_fini(struct bundle_sleep *s)
{
    free(s->stirs);
    free(s->words);
    free(s->sleeper_of);
    free(s->first);
    free(s->banks);
}
