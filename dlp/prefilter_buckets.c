/* dlp/prefilter_buckets.c - fills the filter's buckets of bytes, and what it knows of patterns before they are tried (prefilter.h). Thread: any; the tables are written here only. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/prefilter_head.h"
#include "dlp/rulec_anchor.h"

static void split_tables(struct prefilter *f, enum prefilter_kind kind)
{
    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t bits = f->bucket[kind][place][byte];

            f->seven[kind][place][byte & 127] |= bits;
            for (unsigned half = 0; half < 32; half += 16) {
                f->low[kind][place][half + (byte & 15)] |= bits;
                f->high[kind][place][half + (byte >> 4)] |= bits;
            }
        }
    }
}

bool prefilter_fill_buckets(struct prefilter *f, unsigned first, unsigned n_buckets,
                            const struct bundle_set (*sets)[BUNDLE_WINDOW_BYTES], unsigned n)
{
    unsigned *bucket = calloc(n + 1, sizeof(*bucket));
    bool ok = bucket != NULL && rulec_buckets(sets, n, n_buckets, bucket) == GW_OK;

    for (unsigned i = 0; i < n && ok; i++) {
        unsigned kind = (first + bucket[i]) / 8, bit = (first + bucket[i]) % 8;

        f->is_asked[kind] = true;
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            for (unsigned byte = 0; byte < 256; byte++)
                if (rx_set_has(&sets[i][place], byte))
                    f->bucket[kind][place][byte] |= (uint8_t)(1u << bit);
    }
    for (unsigned kind = first / 8; kind <= (first + n_buckets - 1) / 8; kind++)
        split_tables(f, kind);
    free(bucket);
    return ok;
}

/* ---- who has which ------------------------------------------------------------------------ */

/* In cycles: what four lookups cost a byte; a place of a wide window, and of a start, which stands where a word begins. */
static const double KIND_COST = 0.12, WIDE_COST = 25, START_COST = 15 * 0.17;
enum { REST = 4, MOST_SHARED = 32 }; /* so many are more than a few buckets are for */

/* How often text has what some of so many buckets accept, roughly; out of memory counts as often. */
static double accepted(const struct prefilter_quads *quads, unsigned n_buckets)
{
    struct bundle_set all[REST + 8][BUNDLE_WINDOW_BYTES] = {{{{0}}}};
    unsigned *bucket = calloc(quads->n + 1, sizeof(*bucket));
    bool ok = bucket != NULL &&
              rulec_buckets((const struct bundle_set(*)[BUNDLE_WINDOW_BYTES])quads->sets, quads->n,
                            n_buckets, bucket) == GW_OK;
    double often = 0;

    for (unsigned i = 0; i < quads->n && ok; i++)
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            rx_set_join(&all[bucket[i]][place], &quads->sets[i][place]);
    for (unsigned k = 0; k < n_buckets && k < quads->n && ok; k++)
        often += rulec_window_cost((const struct bundle_set *)all[k]);
    free(bucket);
    return ok ? often : 1;
}

/* Cycles a byte of starts that have n buckets at most; without one they would not be found. */
static double others_cost(const struct prefilter_quads *others, unsigned n)
{
    if (others->n == 0)
        return 0;
    return n == 0 ? DBL_MAX : accepted(others, n) * START_COST + (n > REST ? KIND_COST : 0);
}

struct prefilter_shares prefilter_share(const struct prefilter_quads *wide,
                                        const struct prefilter_quads *others)
{
    struct prefilter_shares best = {0, REST + 8};
    bool few_others = others->n <= MOST_SHARED;
    double least = 0;

    for (unsigned n = 0; n < (wide->n == 0 || wide->n > MOST_SHARED ? 1 : REST + 1); n++) {
        double cost = n == 0 ? (wide->n == 0 ? 0 : KIND_COST + accepted(wide, 8) * WIDE_COST)
                             : accepted(wide, n) * WIDE_COST,
               alone = few_others ? others_cost(others, REST - n) : 1,
               more = few_others ? others_cost(others, REST - n + 8) : 0;

        cost += alone < more ? alone : more;
        if (n > 0 && cost >= least)
            continue;
        least = cost;
        best = (struct prefilter_shares){n, REST - n + (alone < more ? 0 : 8)};
    }
    return best;
}

struct prefilter_start prefilter_start_of(const struct prefilter *f, const struct bundle *b,
                                          uint32_t pattern, unsigned head)
{
    const struct bundle_pattern *p = &b->patterns[pattern];
    const struct prefilter_need *need = &f->needs[pattern];
    bool is_said = true;

    for (unsigned byte = 0; byte < 256 && need->need != 0; byte++)
        is_said = is_said && (!rx_set_has(&b->sets[p->head[head][0]], byte) ||
                              (prefilter_classes[byte] & need->need) != 0);
    return (struct prefilter_start){.lengths = need->lengths,
                                    .pattern = pattern,
                                    .head = head & 0x7F,
                                    .name = need->name,
                                    .need = is_said ? 0 : need->need,
                                    .within = need->within,
                                    .at_token = p->before == RULEC_BOUNDARY_TOKEN};
}

unsigned prefilter_near_class(const struct prefilter *f, unsigned start)
{
    const struct prefilter_need *need = &f->needs[f->starts[start].pattern];

    return (need->need == PREFILTER_DIGIT && need->within <= PREFILTER_NEAR_DIGIT) ||
                   (need->need == PREFILTER_COLON && need->within <= PREFILTER_NEAR_COLON)
               ? need->need
               : 0;
}

void prefilter_fill_nears(struct prefilter *f)
{
    uint64_t *rows = f->start_rows + (size_t)BUNDLE_HEAD_BYTES * f->n_classes * f->start_words;

    for (unsigned near = 0; near < PREFILTER_NEARS; near++, rows += f->start_words)
        for (unsigned i = 0; i < f->n_starts; i++)
            if ((prefilter_near_class(f, i) & ~near) == 0)
                rows[i / 64] |= UINT64_C(1) << (i % 64);
}

/* ---- heads ------------------------------------------------------------------------------- */

/* A set that holds more of a text's bytes tells too little to be asked. */
static const double TELLING = 0.7;

/* Notes that the set is asked about the place, unless there are too many others. */
static void add_unsaid(struct prefilter_head *h, uint16_t set, unsigned place)
{
    unsigned k = 0;

    while (k < PREFILTER_HEAD_SETS && h->unsaid[k].places != 0 && h->unsaid[k].set != set)
        k++;
    if (k == PREFILTER_HEAD_SETS)
        return;
    h->unsaid[k].set = set;
    h->unsaid[k].places |= (uint16_t)(1U << place);
}

static void fill_head(struct prefilter_head *h, const struct bundle *b,
                      const uint32_t sets[BUNDLE_HEAD_BYTES])
{
    uint8_t value[BUNDLE_HEAD_BYTES], mask[BUNDLE_HEAD_BYTES];

    for (unsigned i = 0; i < BUNDLE_HEAD_BYTES; i++) {
        const struct bundle_set *s = &b->sets[sets[i]];
        int n = 0;

        mask[i] = rulec_common_bits(s, &value[i]);
        value[i] &= mask[i];
        for (unsigned k = 0; k < 8; k++)
            n += __builtin_popcount(s->w[k]);
        if (n != 1 << (8 - __builtin_popcount(mask[i])) && rulec_set_frequency(s) < TELLING &&
            sets[i] <= UINT16_MAX)
            add_unsaid(h, (uint16_t)sets[i], i);
    }
    memcpy(h->value, value, sizeof(value));
    memcpy(h->mask, mask, sizeof(mask));
}

bool prefilter_fill_heads(struct prefilter *f, const struct bundle *b)
{
    unsigned n = 0;

    f->first_head = calloc(b->n_patterns + 2, sizeof(*f->first_head));
    for (uint32_t i = 0; i < b->n_patterns && f->first_head != NULL; i++) {
        n += b->patterns[i].n_heads;
        f->first_head[i + 1] = n;
    }
    f->heads = aligned_alloc(_Alignof(struct prefilter_head), (n + 1) * sizeof(*f->heads));
    if (f->first_head == NULL || f->heads == NULL)
        return false;
    memset(f->heads, 0, (n + 1) * sizeof(*f->heads));
    for (uint32_t i = 0; i < b->n_patterns; i++)
        for (unsigned k = 0; k < b->patterns[i].n_heads; k++)
            fill_head(&f->heads[f->first_head[i] + k], b, b->patterns[i].head[k]);
    return true;
}

bool prefilter_unsaid_scalar(const struct prefilter_head *h, const struct bundle_set *sets,
                             const unsigned char *p)
{
    for (unsigned k = 0; k < PREFILTER_HEAD_SETS; k++)
        for (unsigned places = h->unsaid[k].places; places != 0; places &= places - 1)
            if (!rx_set_has(&sets[h->unsaid[k].set], p[__builtin_ctz(places)]))
                return false;
    return true;
}

/* ---- needs -------------------------------------------------------------------------------- */

enum { SHORT_NAME = 12 }; /* bytes: the heads of a pattern say what follows them */

/* A way in which something follows a name. */
struct way {
    const uint32_t *sets;
    double often; /* the windows that lead to its patterns stand in text */
};

static bool asks_for_name(const struct bundle *b, const struct bundle_pattern *p)
{
    struct bundle_set anything;

    memset(&anything, 0xff, sizeof(anything));
    return p->name_max > SHORT_NAME &&
           memcmp(&b->sets[p->behind_name[0]], &anything, sizeof(anything)) != 0;
}

/* How often windows that lead to each pattern that asks for a name stand in text; NULL when out of memory. */
static double *weigh_patterns(const struct bundle *b)
{
    double *often = calloc(b->n_patterns + 1, sizeof(*often));

    for (uint32_t i = 0; i < b->n_windows && often != NULL; i++) {
        const struct bundle_window *w = &b->windows[i];
        struct bundle_set sets[BUNDLE_WINDOW_BYTES];
        double cost = 0;

        for (uint32_t k = w->first_target; k < w->first_target + w->n_targets; k++) {
            if (!asks_for_name(b, &b->patterns[b->targets[k].pattern]))
                continue;
            for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
                sets[place] = b->sets[w->set[place]];
            if (cost == 0)
                cost = rulec_window_cost((const struct bundle_set *)sets);
            often[b->targets[k].pattern] += cost;
        }
    }
    return often;
}

/* The way of a pattern among n; n: it is none of them. */
static unsigned way_of(const struct way *ways, unsigned n, const struct bundle_pattern *p)
{
    unsigned i = 0;

    while (i < n && memcmp(ways[i].sets, p->behind_name, sizeof(p->behind_name)) != 0)
        i++;
    return i;
}

static int by_often(const void *a, const void *b)
{
    const struct way *x = a, *y = b;

    return x->often < y->often ? 1 : -(x->often > y->often);
}

/* The ways of all patterns that ask for one, those that text leads to most first; returns how many. */
static unsigned list_ways(const struct bundle *b, const double *often, struct way *ways)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < b->n_patterns; i++) {
        const struct bundle_pattern *p = &b->patterns[i];
        unsigned way = 0;

        if (!asks_for_name(b, p))
            continue;
        way = way_of(ways, n, p);
        if (way == n)
            ways[n++] = (struct way){p->behind_name, 0};
        ways[way].often += often[i];
    }
    qsort(ways, n, sizeof(*ways), by_often);
    return n < PREFILTER_ANY_NAME ? n : PREFILTER_ANY_NAME;
}

/* Fills f->behind_name and ways, and says how many they are. */
static bool fill_names(struct prefilter *f, const struct bundle *b, struct way *ways, unsigned *n)
{
    double *often = weigh_patterns(b);

    if (often == NULL)
        return false;
    *n = list_ways(b, often, ways);
    free(often);
    for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            f->behind_name[k][byte] = UINT64_C(1) << PREFILTER_ANY_NAME;
            for (unsigned i = 0; i < *n; i++)
                f->behind_name[k][byte] |= (uint64_t)rx_set_has(&b->sets[ways[i].sets[k]], byte)
                                           << i;
        }
    }
    return true;
}

bool prefilter_fill_needs(struct prefilter *f, const struct bundle *b)
{
    struct way *ways = calloc(b->n_patterns + 1, sizeof(*ways));
    unsigned n = 0;
    bool ok = ways != NULL && fill_names(f, b, ways, &n);

    f->needs = calloc(b->n_patterns + 1, sizeof(*f->needs));
    for (uint32_t i = 0; i < b->n_patterns && f->needs != NULL && ok; i++) {
        const struct bundle_pattern *p = &b->patterns[i];
        unsigned way = asks_for_name(b, p) ? way_of(ways, n, p) : n;

        f->needs[i] = (struct prefilter_need){
            .lengths = p->after == RULEC_BOUNDARY_TOKEN ? p->lengths : UINT64_MAX,
            .need = (uint8_t)p->need,
            .within = (uint8_t)p->within,
            .name = (uint8_t)(way < n ? way : PREFILTER_ANY_NAME),
            .at_word = prefilter_at_word(p),
            .name_max = p->name_max < UINT16_MAX ? (uint16_t)p->name_max : UINT16_MAX};
    }
    free(ways);
    return ok && f->needs != NULL;
}

/* Are all bytes of the set bytes of names? */
static bool is_in_names(const struct bundle_set *s)
{
    for (unsigned i = 0; i < sizeof(s->w) / sizeof(s->w[0]); i++)
        if ((s->w[i] & ~rx_names()->w[i]) != 0)
            return false;
    return true;
}

void prefilter_fill_named(struct prefilter *f, const struct bundle *b)
{
    for (uint32_t i = 0; i < f->first_target[b->n_windows]; i++) {
        const struct bundle_target *t = &f->targets[i];
        const struct prefilter_need *need = &f->needs[t->pattern];
        bool is_told = is_in_names(&b->sets[t->between]) && t->min <= need->name_max,
             is_any = need->name_max == UINT16_MAX || need->name_max - t->min >= UINT8_MAX;

        f->name_of[i] = is_told ? need->name : PREFILTER_ANY_NAME;
        f->name_left[i] = f->name_of[i] == PREFILTER_ANY_NAME || is_any
                              ? UINT8_MAX
                              : (uint8_t)(need->name_max - t->min);
    }
}
