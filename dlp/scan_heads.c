/* dlp/scan_heads.c - which patterns can have a match that begins with given bytes, all at once. Thread: the scanner's.
 *
 * A growing text asks of every start which patterns are still possible there. A pattern says which bytes can stand at each of
 * the first places of its matches (its heads), and behind the name that they begin with: for each place and byte there is a row of bits,
 * one a head, and a start's rows are taken together, of those words of the rows that the first four bytes and the two behind the name
 * leave. Made when it is first asked. */
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec.h"
#include "dlp/rulec_anchor.h"
#include "dlp/rulec_regex.h"
#include "dlp/scan.h"

enum {
    PLACES = BUNDLE_HEAD_BYTES,
    ALL_PLACES = PLACES + BUNDLE_NAME_BYTES, /* and those behind a name */
    LONG_NAME = 64,                          /* bytes: what is behind it is not looked at */
    BYTES = 256,
    TIERS = BUNDLE_LIMITS + 1,
    KINDS = 3,
    LAST_BIT = 63,
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
     * third and fourth; by the length of a name, PLACES for longer ones, and the class behind it; by tier and enum before. */
    uint64_t *first, *third, *behind;
    uint64_t begins[TIERS][BEFORES];
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
    free(h->behind);
    free(h);
}

/* ---- tables ------------------------------------------------------------------------------- */

/* Splits the classes of bytes by one more set. */
static void split_classes(struct scan_heads *h, const struct bundle_set *s)
{
    int renamed[BYTES][2];
    unsigned n = 0;

    memset(renamed, -1, sizeof(renamed));
    for (unsigned byte = 0; byte < BYTES; byte++) {
        int *name = &renamed[h->class_of[byte]][rx_set_has(s, byte)];

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
        for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++) {
            uint32_t set = b->patterns[p].behind_name[k];

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
    return h->rows + ((size_t)word * ALL_PLACES + place) * h->n_classes + class_;
}

/* The bit that stands for a word of a row. */
static uint64_t word_bit(unsigned word)
{
    return UINT64_C(1) << (word < LAST_BIT ? word : LAST_BIT);
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
    for (unsigned place = 0; place < ALL_PLACES; place++) {
        const struct bundle_set *s =
            &b->sets[place < PLACES ? b->patterns[p].head[head][place]
                                    : b->patterns[p].behind_name[place - PLACES]];

        for (unsigned c = 0; c < h->n_classes; c++)
            if (rx_set_has(s, h->one_of[c]))
                *row_of(h, i / 64, place, c) |= bit;
    }
}

/* A head on its way to its number. */
struct ordered {
    uint32_t pattern, order; /* order: what comes first */
    uint8_t head, bytes[BUNDLE_WINDOW_BYTES];
};

static int by_order(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    int bytes = memcmp(x->bytes, y->bytes, sizeof(x->bytes));

    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    if (bytes != 0)
        return bytes;
    return x->pattern < y->pattern ? -1 : x->pattern > y->pattern;
}

/* The lowest byte of a set. */
static uint8_t lowest(const struct bundle_set *s)
{
    unsigned byte = 0;

    while (byte < BYTES - 1 && !rx_set_has(s, byte))
        byte++;
    return (uint8_t)byte;
}

static struct ordered ordered_head(const struct bundle *b, uint32_t pattern, unsigned head)
{
    bool in_word = b->patterns[pattern].before == RULEC_BOUNDARY_NONE;
    struct ordered o = {
        pattern, (in_word ? 0 : KINDS) + kind_of(b, pattern, head), (uint8_t)head, {0}};

    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
        o.bytes[k] = lowest(&b->sets[b->patterns[pattern].head[head][k]]);
    return o;
}

/* Enters all heads, those that begin alike side by side: so what four bytes leave stands in few words. n: how many they are. False when out
 * of memory. */
static bool fill_heads(struct scan_heads *h, const struct dlp_rules *r, size_t n)
{
    struct ordered *all = calloc(n + 1, sizeof(*all));
    const struct bundle *b = r->b;
    unsigned i = 0;

    for (uint32_t p = 0; p < b->n_patterns && all != NULL; p++)
        for (unsigned k = 0; k < b->patterns[p].n_heads; k++)
            all[i++] = ordered_head(b, p, k);
    if (all == NULL)
        return false;
    qsort(all, n, sizeof(*all), by_order);
    for (i = 0; i < n; i++)
        fill_head(h, r, all[i].pattern, all[i].head, i);
    free(all);
    return true;
}

/* Fills the table of the classes of two bytes at such a place. */
static void fill_pairs(const struct scan_heads *h, unsigned place, uint64_t *pairs)
{
    for (unsigned w = 0; w < h->n_words; w++)
        for (unsigned c0 = 0; c0 < h->n_classes; c0++)
            for (unsigned c1 = 0; c1 < h->n_classes; c1++)
                if ((*row_of(h, w, place, c0) & *row_of(h, w, place + 1, c1)) != 0)
                    pairs[c0 * h->n_classes + c1] |= word_bit(w);
}

/* Fills the table of names and what is behind them. */
static void fill_behind(const struct scan_heads *h)
{
    for (unsigned w = 0; w < h->n_words; w++)
        for (unsigned len = 0; len <= PLACES; len++)
            for (unsigned c = 0; c < h->n_classes; c++)
                if ((*row_of(h, w, len, c) & *row_of(h, w, PLACES, c)) != 0)
                    h->behind[len * h->n_classes + c] |= word_bit(w);
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
        const struct bundle_run *run = &b->runs[f->runs[i].index];
        struct bundle_set set = b->sets[run->target.between];

        rx_set_join(&set, &b->sets[run->set]);
        add_span(l, &set, run->target.max + run->n);
    }
    qsort(l->items, l->n, sizeof(*l->items), by_reach);
    for (unsigned i = 0; i < l->n; i++)
        for (unsigned byte = 0; byte < BYTES; byte++)
            if (rx_set_has(&l->items[i].set, byte))
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
    h->rows = calloc((size_t)ALL_PLACES * h->n_classes * h->n_words + 1, sizeof(*h->rows));
    h->begin = calloc((size_t)TIERS * BEFORES * h->n_words + 1, sizeof(*h->begin));
    h->alive = calloc(h->n_words + 1, sizeof(*h->alive));
    h->first = calloc((size_t)h->n_classes * h->n_classes, sizeof(*h->first));
    h->third = calloc((size_t)h->n_classes * h->n_classes, sizeof(*h->third));
    h->behind = calloc((size_t)(PLACES + 1) * h->n_classes, sizeof(*h->behind));
    if (h->pattern_of == NULL || h->rows == NULL || h->begin == NULL || h->alive == NULL ||
        h->first == NULL || h->third == NULL || h->behind == NULL)
        return false;
    for (unsigned byte = 0; byte < BYTES; byte++)
        h->before_of[byte] = (uint8_t)before_of((unsigned char)byte);
    if (!fill_heads(h, r, n))
        return false;
    fill_pairs(h, 0, h->first);
    fill_pairs(h, 2, h->third);
    fill_behind(h);
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

/* What is known of a start's bytes: n of them, at most PLACES, and of those behind its name, at most BUNDLE_NAME_BYTES. */
struct bytes {
    const unsigned char *p, *behind;
    unsigned n, n_behind, name; /* name: of how many bytes it is, PLACES for longer ones */
};

/* Fills word w of h->alive with what these bytes leave; false: nothing. */
static inline bool read_head(const struct scan_heads *h, const uint64_t *begin, unsigned w,
                             const struct bytes *b)
{
    const uint64_t *row = row_of(h, w, 0, 0);
    uint64_t left = begin[w];

    /* What ends the name tells most. */
    if (b->n_behind > 0)
        left &= *row_of(h, w, b->name, h->class_of[b->behind[0]]);
    for (unsigned k = 0; k < b->n && left != 0; k++, row += h->n_classes)
        left &= row[h->class_of[b->p[k]]];
    row = row_of(h, w, PLACES, 0);
    for (unsigned k = 0; k < b->n_behind && left != 0; k++, row += h->n_classes)
        left &= row[h->class_of[b->behind[k]]];
    h->alive[w] = left;
    return left != 0;
}

/* What these bytes leave of such words; the words in which something is left. */
static inline uint64_t read_heads(const struct scan_heads *h, const uint64_t *begin, uint64_t words,
                                  const struct bytes *b)
{
    uint64_t left = 0;

    for (uint64_t bits = words; bits != 0; bits &= bits - 1) {
        unsigned w = (unsigned)__builtin_ctzll(bits);

        if (read_head(h, begin, w, b))
            left |= word_bit(w);
        for (; w >= LAST_BIT && w + 1 < h->n_words; w++)
            if (read_head(h, begin, w + 1, b))
                left |= word_bit(w + 1);
    }
    return left;
}

/* Goes on to the end of the name at `at`, as far as one looks; starts ascend, so each byte is read once. */
static inline void read_name(struct scan_end *end, struct gw_span text, size_t at)
{
    if (end->to < at)
        *end = (struct scan_end){at, false};
    while (!end->closed && end->to < text.len && end->to - at < LONG_NAME) {
        end->closed = !rx_is_name((unsigned char)text.ptr[end->to]);
        end->to += !end->closed;
    }
}

size_t scan_heads_next(const struct scan_heads *h, unsigned tier, struct gw_span text, size_t at,
                       size_t to, struct scan_end *end, struct scan_possible *out)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    unsigned before = at == 0 ? BEFORE_LINE : h->before_of[p[at - 1]];

    for (; at < to; before = h->before_of[p[at++]]) {
        const uint8_t *class_of = h->class_of;
        size_t left = text.len - at;
        uint64_t words = h->begins[tier][before];
        struct bytes b = {.p = p + at, .n = left < PLACES ? (unsigned)left : PLACES};

        if (left >= 2)
            words &= h->first[class_of[p[at]] * h->n_classes + class_of[p[at + 1]]];
        if (left >= 4)
            words &= h->third[class_of[p[at + 2]] * h->n_classes + class_of[p[at + 3]]];
        if (words == 0)
            continue;
        read_name(end, text, at);
        if (end->closed) {
            size_t name = end->to - at, behind = text.len - end->to;

            b.behind = p + end->to;
            b.n_behind = behind < BUNDLE_NAME_BYTES ? (unsigned)behind : BUNDLE_NAME_BYTES;
            b.name = name < PLACES ? (unsigned)name : PLACES;
            words &= h->behind[b.name * h->n_classes + class_of[*b.behind]];
        }
        words = words == 0 ? 0 : read_heads(h, begin_of(h, tier, before), words, &b);
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
