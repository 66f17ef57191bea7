/* dlp/scan_heads.c - which patterns can have a match that begins with given bytes, all at once. Thread: the scanner's.
 *
 * A growing text asks of every start which patterns are still possible there. A pattern says which bytes can stand at each of
 * the first places of its matches (its heads): for each place and byte there is a row of bits, one a head, and a start's rows are
 * taken together, of those words of the rows that the first four bytes leave. Made when it is first asked. */
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec.h"
#include "dlp/rulec_anchor.h"
#include "dlp/rulec_regex.h"
#include "dlp/scan.h"

enum {
    PLACES = BUNDLE_HEAD_BYTES,
    BYTES = 256,
    TIERS = BUNDLE_LIMITS + 1,
    KINDS = 3,
    LAST_BIT = 31,
    AROUND = BUNDLE_AROUND_BYTES - BUNDLE_AROUND_BEFORE,
};

/* What stands in front of a start, as far as boundaries ask. */
enum before { BEFORE_WORD, BEFORE_JOINT, BEFORE_LINE, BEFORE_OTHER, BEFORES };
static const char *const befores[BEFORES] = {"a", "-", "\n", " "};

/* What can stand between a start and the end of the text while the start's anchor is not complete: for each of some sets of bytes
 * how long that can be, the longest first. */
enum { SPANS = 256 };
struct scan_spans {
    unsigned n;
    struct span {
        struct bundle_set set;
        uint32_t reach; /* bytes */
    } items[SPANS];
    uint64_t has[BYTES][SPANS / 64]; /* of each byte: in which of them it is */
};

struct scan_heads {
    uint64_t serial;             /* of the rules */
    unsigned n_classes, n_words; /* n_words: of a row */
    uint8_t class_of[BYTES], before_of[BYTES];
    uint8_t one_of[BYTES]; /* a byte of each class */
    /* Heads; first those that can begin inside a word, and of these and the others first what is common in texts, so that what is
     * left stands together. */
    uint32_t *pattern_of; /* each */
    uint64_t *rows;  /* of each word, place and class of byte: the heads that can have it there */
    uint64_t *begin; /* of each tier and enum before: the heads that can begin there */
    uint64_t *alive; /* what the last start leaves, of the words that it names */
    /* Which words of rows have any such head (the last bit stands for all beyond): by the classes of the first and second byte, of the
     * third and fourth; by tier and enum before. */
    uint32_t *first, *third;
    uint32_t begins[TIERS][BEFORES];
    struct scan_spans spans; /* scan_heads_tail() */
};

void scan_heads_free(struct scan_heads *h)
{
    if (h == NULL)
        return;
    free(h->pattern_of);
    free(h->rows);
    free(h->begin);
    free(h->alive);
    free(h->first);
    free(h->third);
    free(h);
}

/* ---- tables ------------------------------------------------------------------------------- */

static bool set_has(const struct bundle_set *s, unsigned byte)
{
    return (s->w[byte >> 5] >> (byte & 31) & 1u) != 0;
}

/* Splits the classes of bytes by one more set. */
static void split_classes(struct scan_heads *h, const struct bundle_set *s)
{
    int renamed[BYTES][2];
    unsigned n = 0;

    memset(renamed, -1, sizeof(renamed));
    for (unsigned byte = 0; byte < BYTES; byte++) {
        int *name = &renamed[h->class_of[byte]][set_has(s, byte)];

        if (*name < 0)
            *name = (int)n++;
        h->class_of[byte] = (uint8_t)*name;
    }
    h->n_classes = n;
}

/* False when out of memory. */
static bool fill_classes(struct scan_heads *h, const struct bundle *b)
{
    bool *seen = calloc(b->n_sets + 1, sizeof(*seen));

    h->n_classes = 1;
    for (uint32_t p = 0; p < b->n_patterns && seen != NULL; p++) {
        for (unsigned k = 0; k < b->patterns[p].n_heads * PLACES; k++) {
            uint32_t set = b->patterns[p].head[k / PLACES][k % PLACES];

            if (!seen[set])
                split_classes(h, &b->sets[set]);
            seen[set] = true;
        }
    }
    for (unsigned byte = 0; byte < BYTES; byte++)
        h->one_of[h->class_of[byte]] = (uint8_t)byte;
    free(seen);
    return seen != NULL;
}

static uint64_t *row_of(const struct scan_heads *h, unsigned word, unsigned place, unsigned class_)
{
    return h->rows + ((size_t)word * PLACES + place) * h->n_classes + class_;
}

/* The bit that stands for a word of a row. */
static uint32_t word_bit(unsigned word)
{
    return UINT32_C(1) << (word < LAST_BIT ? word : LAST_BIT);
}

/* How often text has the first bytes of such a head: a few kinds, the commonest first. */
static unsigned kind_of(const struct bundle *b, uint32_t pattern, unsigned head)
{
    static const double often[KINDS - 1] = {.01, .0001};
    struct bundle_set sets[BUNDLE_WINDOW_BYTES];
    double cost;
    unsigned kind = 0;

    for (unsigned i = 0; i < BUNDLE_WINDOW_BYTES; i++)
        sets[i] = b->sets[b->patterns[pattern].head[head][i]];
    cost = rulec_window_cost((const struct bundle_set *)sets);
    while (kind < KINDS - 1 && cost < often[kind])
        kind++;
    return kind;
}

static bool is_dead(const struct dlp_rules *r, unsigned tier, uint32_t pattern)
{
    return tier > 0 && (r->dead[tier - 1][pattern >> 6] >> (pattern & 63) & 1) != 0;
}

static uint64_t *begin_of(const struct scan_heads *h, unsigned tier, unsigned before)
{
    return h->begin + (size_t)(tier * BEFORES + before) * h->n_words;
}

/* Enters one head of pattern p as number i. */
static void fill_head(struct scan_heads *h, const struct dlp_rules *r, uint32_t p, unsigned head,
                      unsigned i)
{
    const struct bundle *b = r->b;
    const uint64_t bit = UINT64_C(1) << (i % 64);

    h->pattern_of[i] = p;
    for (unsigned k = 0; k < TIERS * BEFORES; k++)
        if (!is_dead(r, k / BEFORES, p) &&
            scan_boundary_before(b->patterns[p].before, gw_span_str(befores[k % BEFORES]), 1)) {
            begin_of(h, k / BEFORES, k % BEFORES)[i / 64] |= bit;
            h->begins[k / BEFORES][k % BEFORES] |= word_bit(i / 64);
        }
    for (unsigned place = 0; place < PLACES; place++) {
        const struct bundle_set *s = &b->sets[b->patterns[p].head[head][place]];

        for (unsigned c = 0; c < h->n_classes; c++)
            if (set_has(s, h->one_of[c]))
                *row_of(h, i / 64, place, c) |= bit;
    }
}

/* Enters the heads of one kind from number i on; returns the next number. */
static unsigned fill_kind(struct scan_heads *h, const struct dlp_rules *r, unsigned kind,
                          bool in_word, unsigned i)
{
    const struct bundle *b = r->b;

    for (uint32_t p = 0; p < b->n_patterns; p++)
        for (unsigned k = 0; k < b->patterns[p].n_heads; k++)
            if ((b->patterns[p].before == RULEC_BOUNDARY_NONE) == in_word &&
                kind_of(b, p, k) == kind)
                fill_head(h, r, p, k, i++);
    return i;
}

static void fill_heads(struct scan_heads *h, const struct dlp_rules *r)
{
    unsigned i = 0;

    for (unsigned kind = 0; kind < KINDS; kind++)
        i = fill_kind(h, r, kind, true, i);
    for (unsigned kind = 0; kind < KINDS; kind++)
        i = fill_kind(h, r, kind, false, i);
}

/* Fills the table of the classes of two bytes at such a place. */
static void fill_pairs(const struct scan_heads *h, unsigned place, uint32_t *pairs)
{
    for (unsigned w = 0; w < h->n_words; w++)
        for (unsigned c0 = 0; c0 < h->n_classes; c0++)
            for (unsigned c1 = 0; c1 < h->n_classes; c1++)
                if ((*row_of(h, w, place, c0) & *row_of(h, w, place + 1, c1)) != 0)
                    pairs[c0 * h->n_classes + c1] |= word_bit(w);
}

static enum before before_of(unsigned char c)
{
    if ((prefilter_flags[c] & 1) != 0)
        return BEFORE_WORD;
    if (c == '-' || c == '/' || c == '+' || c == '.')
        return BEFORE_JOINT;
    return c == '\n' ? BEFORE_LINE : BEFORE_OTHER;
}

/* Enters a set of bytes; when there are too many, one stands for several. */
static void add_span(struct scan_spans *l, const struct bundle_set *set, uint32_t reach)
{
    struct span *at = NULL;

    for (unsigned i = 0; i < l->n && at == NULL; i++)
        if (memcmp(&l->items[i].set, set, sizeof(*set)) == 0)
            at = &l->items[i];
    if (at == NULL && l->n < SPANS)
        at = &l->items[l->n++];
    else if (at == NULL)
        at = &l->items[SPANS - 1];
    rx_set_join(&at->set, set);
    at->reach = reach > at->reach ? reach : at->reach;
}

static int by_reach(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return x->reach == y->reach ? 0 : (x->reach > y->reach ? -1 : 1);
}

static void fill_spans(struct scan_spans *l, const struct dlp_rules *rules)
{
    const struct prefilter *f = &rules->filter;
    const struct bundle *b = rules->b;

    for (uint32_t i = 0; i < f->first_target[b->n_windows]; i++)
        add_span(l, &b->sets[f->targets[i].between], f->targets[i].max + AROUND);
    for (uint32_t i = 0; i < f->n_runs; i++) {
        const struct bundle_run *run = &b->runs[f->runs[i]];
        struct bundle_set set = b->sets[run->target.between];

        rx_set_join(&set, &b->sets[run->set]);
        add_span(l, &set, run->target.max + run->n);
    }
    qsort(l->items, l->n, sizeof(*l->items), by_reach);
    for (unsigned i = 0; i < l->n; i++)
        for (unsigned byte = 0; byte < BYTES; byte++)
            if (set_has(&l->items[i].set, byte))
                l->has[byte][i / 64] |= UINT64_C(1) << (i % 64);
}

static bool fill(struct scan_heads *h, const struct dlp_rules *r)
{
    const struct bundle *b = r->b;
    size_t n = 0;

    if (!fill_classes(h, b))
        return false;
    for (uint32_t p = 0; p < b->n_patterns; p++)
        n += b->patterns[p].n_heads;
    h->n_words = (unsigned)((n + 63) / 64);
    h->pattern_of = calloc(n + 1, sizeof(*h->pattern_of));
    h->rows = calloc((size_t)PLACES * h->n_classes * h->n_words + 1, sizeof(*h->rows));
    h->begin = calloc((size_t)TIERS * BEFORES * h->n_words + 1, sizeof(*h->begin));
    h->alive = calloc(h->n_words + 1, sizeof(*h->alive));
    h->first = calloc((size_t)h->n_classes * h->n_classes, sizeof(*h->first));
    h->third = calloc((size_t)h->n_classes * h->n_classes, sizeof(*h->third));
    if (h->pattern_of == NULL || h->rows == NULL || h->begin == NULL || h->alive == NULL ||
        h->first == NULL || h->third == NULL)
        return false;
    for (unsigned byte = 0; byte < BYTES; byte++)
        h->before_of[byte] = (uint8_t)before_of((unsigned char)byte);
    fill_heads(h, r);
    fill_pairs(h, 0, h->first);
    fill_pairs(h, 2, h->third);
    fill_spans(&h->spans, r);
    return true;
}

struct scan_heads *scan_heads_get(struct dlp_scanner *s, const struct dlp_rules *rules)
{
    struct scan_heads *h = s->heads;

    if (h != NULL && h->serial == rules->serial)
        return h;
    scan_heads_free(h);
    s->heads = NULL;
    h = calloc(1, sizeof(*h));
    if (h == NULL || !fill(h, rules)) {
        scan_heads_free(h);
        return NULL;
    }
    h->serial = rules->serial;
    return s->heads = h;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* Fills word w of h->alive with what the n bytes at p leave, n at most PLACES; false: nothing. */
static inline bool read_head(const struct scan_heads *h, const uint64_t *begin, unsigned w,
                             const unsigned char *p, size_t n)
{
    const uint64_t *row = row_of(h, w, 0, 0);
    uint64_t left = begin[w];

    for (size_t k = 0; k < n && left != 0; k++, row += h->n_classes)
        left &= row[h->class_of[p[k]]];
    h->alive[w] = left;
    return left != 0;
}

/* What the n bytes at p leave of such words; the words in which something is left. */
static inline uint32_t read_heads(const struct scan_heads *h, const uint64_t *begin, uint32_t words,
                                  const unsigned char *p, size_t n)
{
    uint32_t left = 0;

    for (uint32_t bits = words; bits != 0; bits &= bits - 1) {
        unsigned w = (unsigned)__builtin_ctz(bits);

        if (read_head(h, begin, w, p, n))
            left |= word_bit(w);
        for (; w >= LAST_BIT && w + 1 < h->n_words; w++)
            if (read_head(h, begin, w + 1, p, n))
                left |= word_bit(w + 1);
    }
    return left;
}

size_t scan_heads_next(const struct scan_heads *h, unsigned tier, struct gw_span text, size_t at,
                       size_t to, struct scan_possible *out)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    unsigned before = at == 0 ? BEFORE_LINE : h->before_of[p[at - 1]];

    for (; at < to; before = h->before_of[p[at++]]) {
        const uint8_t *class_of = h->class_of;
        size_t left = text.len - at;
        uint32_t words = h->begins[tier][before];

        if (left >= 2)
            words &= h->first[class_of[p[at]] * h->n_classes + class_of[p[at + 1]]];
        if (left >= 4)
            words &= h->third[class_of[p[at + 2]] * h->n_classes + class_of[p[at + 3]]];
        if (words == 0)
            continue;
        words =
            read_heads(h, begin_of(h, tier, before), words, p + at, left < PLACES ? left : PLACES);
        if (words != 0) {
            *out = (struct scan_possible){.words = words};
            return at;
        }
    }
    return to;
}

bool scan_heads_pattern(const struct scan_heads *h, struct scan_possible *p, uint32_t *pattern)
{
    for (; p->word < h->n_words; p->word++, p->bit = 0) {
        uint64_t left;

        if ((p->words & word_bit(p->word)) == 0 || p->bit == 64)
            continue;
        left = h->alive[p->word] >> p->bit;
        if (left == 0)
            continue;
        p->bit += (unsigned)__builtin_ctzll(left);
        *pattern = h->pattern_of[p->word * 64 + p->bit++];
        return true;
    }
    return false;
}

size_t scan_heads_tail(const struct scan_heads *h, struct gw_span text, size_t from)
{
    const struct scan_spans *l = &h->spans;
    unsigned n_words = (l->n + 63) / 64;
    uint64_t alive[SPANS / 64];
    unsigned n = l->n; /* of so many the reach is long enough */
    size_t at = text.len;

    memset(alive, 0xFF, sizeof(alive));
    for (; at > from; at--) {
        const uint64_t *has = l->has[(unsigned char)text.ptr[at - 1]];
        size_t len = text.len - at + 1;
        uint64_t any = 0;

        while (n > 0 && l->items[n - 1].reach < len)
            n--;
        for (unsigned w = 0; len > AROUND && w < n_words; w++)
            alive[w] &= has[w];
        if (len <= PLACES)
            continue;
        for (unsigned w = 0; w * 64 < n; w++)
            any |= alive[w] & (n - w * 64 < 64 ? (UINT64_C(1) << (n - w * 64)) - 1 : UINT64_MAX);
        if (any == 0)
            break;
    }
    return at;
}
