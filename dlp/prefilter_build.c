/* dlp/prefilter_build.c - sorts what a rule set looks for into kinds and builds the filter's tables (prefilter.h).
 *
 * A few milliseconds for a thousand rules: it runs at each load. Thread: any; the tables are written here only. */
#include <stdlib.h>

#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"

enum {
    FEW_LITS = 128,        /* so many leave the first Bloom filter empty enough, */
    SOME_LITS = 512,       /* and so many two of them */
    FULL_LITS = 1536,      /* more need all banks of each */
    MAX_LITS = UINT16_MAX, /* more spellings than a cell's index can count become wide */
    /* PREFILTER_BY_*, counted over all kinds. */
    DIGIT_BUCKET = 8 * PREFILTER_START,
    COLON_BUCKET = DIGIT_BUCKET + 3,
    REST_BUCKET,
};

/* Words begin at one byte in six. A start costs a look at the rows, which all patterns share, so one that is seldom costs next to
 * nothing; otherwise it has to be worth what the windows cost. */
static const double WORD_STARTS = 0.17, SELDOM = 0.002, START_GAIN = 4, RUN_COST = 2e-4;

/* ---- literals ---------------------------------------------------------------------------- */

/* The ways to write one place of a literal window: bytes that differ in case only are one. */
struct spelling {
    uint8_t value[RULEC_MAX_SPELLINGS], mask[RULEC_MAX_SPELLINGS];
    unsigned n;
};

/* False when there are too many. */
static bool spell(const struct bundle_set *s, struct spelling *out)
{
    out->n = 0;
    for (unsigned word = 0; word < 8; word++) {
        for (uint32_t left = s->w[word]; left != 0; left &= left - 1) {
            unsigned byte = word * 32 + (unsigned)__builtin_ctz(left);
            bool twin = rx_set_has(s, byte ^ 0x20);

            if (twin && (byte & 0x20) != 0)
                continue; /* the twin stands for both */
            if (out->n == RULEC_MAX_SPELLINGS)
                return false;
            out->value[out->n] = (uint8_t)byte;
            out->mask[out->n++] = twin ? 0xdf : 0xff;
        }
    }
    return true;
}

/* The spellings of the window's first places, as many as length says; 0: too many. */
static unsigned spell_window(const struct bundle *b, const struct bundle_window *w,
                             enum prefilter_length length, struct spelling out[BUNDLE_WINDOW_BYTES])
{
    unsigned n = 1, known = length == PREFILTER_THREE ? 3 : BUNDLE_WINDOW_BYTES;

    for (unsigned k = 0; k < known; k++) {
        if (!spell(&b->sets[w->set[k]], &out[k]))
            return 0;
        n *= out[k].n;
        if (n > RULEC_MAX_SPELLINGS)
            return 0;
    }
    for (unsigned k = known; k < BUNDLE_WINDOW_BYTES; k++)
        out[k] = (struct spelling){{0}, {0}, 1}; /* any byte */
    return n;
}

/* Whether the window is a literal, and how many spellings it has: four bytes or, without any, three. */
static unsigned spell_literal(const struct bundle *b, const struct bundle_window *w,
                              enum prefilter_length *length,
                              struct spelling out[BUNDLE_WINDOW_BYTES])
{
    unsigned n = spell_window(b, w, PREFILTER_FOUR, out);

    *length = PREFILTER_FOUR;
    if (n != 0)
        return n;
    *length = PREFILTER_THREE;
    return spell_window(b, w, PREFILTER_THREE, out);
}

uint8_t prefilter_linear_byte(uint64_t coefficients, unsigned char byte)
{
    unsigned h = 0;

    for (unsigned bit = 0; bit < 8; bit++)
        h |= (unsigned)__builtin_parity((unsigned)(coefficients >> (8 * (7 - bit)) & 0xff) & byte)
             << bit;
    return (uint8_t)h;
}

static uint8_t linear(unsigned which, enum prefilter_length length, const unsigned char *p)
{
    unsigned h = 0, known = length == PREFILTER_THREE ? 3 : BUNDLE_WINDOW_BYTES;

    for (unsigned place = 0; place < known; place++)
        h ^= prefilter_linear_byte(prefilter_linear[which][place], p[place]);
    return (uint8_t)h;
}

/* Fills in what the filters are asked for: which bank, which byte of it, which bit. */
static void add_blooms(struct prefilter_index *to, const uint8_t h[PREFILTER_BLOOMS])
{
    for (unsigned i = 0; i < PREFILTER_BLOOMS; i++) {
        unsigned a = h[i], b = h[(i + 1) % PREFILTER_BLOOMS], c = h[(i + 2) % PREFILTER_BLOOMS],
                 half = to->has_all_banks ? c >> 7 : 0;

        to->bloom[i][half * 4 + (b >> 7) * 2 + (a >> 7)][a & 127] |= (uint8_t)(1u << (b & 7));
    }
}

/* What the bytes around a literal have to be for any target of [first, end). */
static struct prefilter_lit lit_of(const struct prefilter *f, uint32_t value, uint32_t mask,
                                   uint32_t first, uint32_t end)
{
    enum { FROM = BUNDLE_AROUND_BEFORE - PREFILTER_LIT_BEFORE, SHIFT = 8 * PREFILTER_LIT_BEFORE };
    uint64_t common = UINT64_MAX, some = 0;

    for (uint32_t i = first; i < end; i++) {
        uint64_t v, m;

        memcpy(&v, f->targets[i].value + FROM, sizeof(v));
        memcpy(&m, f->targets[i].mask + FROM, sizeof(m));
        common &= i == first ? m : m & ~(v ^ some);
        some = i == first ? v : some;
    }
    some = (some & common & ~((uint64_t)mask << SHIFT)) | (uint64_t)value << SHIFT;
    return (struct prefilter_lit){some, common | (uint64_t)mask << SHIFT, first, end};
}

static uint32_t first_bytes(const struct prefilter_lit *lit)
{
    return (uint32_t)(lit->value >> (8 * PREFILTER_LIT_BEFORE));
}

static void add_lit(struct prefilter *f, enum prefilter_length length, uint32_t value,
                    uint32_t mask, uint32_t window)
{
    struct prefilter_index *to = &f->literals[length];
    unsigned char bytes[BUNDLE_WINDOW_BYTES];
    uint32_t hash;
    uint8_t h[PREFILTER_BLOOMS];

    memcpy(bytes, &value, sizeof(bytes));
    hash = prefilter_hash(length, bytes);
    to->lits[to->n++] =
        lit_of(f, value, mask, f->first_target[window], f->first_target[window + 1]);
    to->hashes[hash >> 6] |= UINT64_C(1) << (hash & 63);
    for (unsigned i = 0; i < PREFILTER_BLOOMS; i++)
        h[i] = linear(i, length, bytes);
    add_blooms(to, h);
}

/* False when it is none, or there are too many. */
static bool add_literal(struct prefilter *f, const struct bundle *b, uint32_t window)
{
    struct spelling s[BUNDLE_WINDOW_BYTES];
    enum prefilter_length length;
    unsigned n = spell_literal(b, &b->windows[window], &length, s);

    if (n == 0 || f->literals[length].n + n > MAX_LITS)
        return false;
    for (unsigned i = 0; i < n; i++) {
        uint8_t value[BUNDLE_WINDOW_BYTES], mask[BUNDLE_WINDOW_BYTES];
        unsigned rest = i;
        uint32_t v, m;

        for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
            value[k] = s[k].value[rest % s[k].n];
            mask[k] = s[k].mask[rest % s[k].n];
            rest /= s[k].n;
        }
        memcpy(&v, value, sizeof(v));
        memcpy(&m, mask, sizeof(m));
        add_lit(f, length, v & m, m, window);
    }
    return true;
}

static uint32_t cell_of(enum prefilter_length length, uint32_t value)
{
    unsigned char bytes[BUNDLE_WINDOW_BYTES];

    memcpy(bytes, &value, sizeof(bytes));
    return prefilter_hash(length, bytes) >> 3;
}

static int by_cell(const void *a, const void *b, void *ctx)
{
    const enum prefilter_length *length = ctx;
    const struct prefilter_lit *x = a, *y = b;
    uint32_t cx = cell_of(*length, first_bytes(x)), cy = cell_of(*length, first_bytes(y));

    if (cx != cy)
        return cx < cy ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Do all targets of the literal begin with it, and where a word does? */
static bool is_at_word(const struct prefilter *f, const struct bundle *b,
                       const struct prefilter_lit *lit)
{
    for (uint32_t i = lit->first; i < lit->end; i++)
        if (f->targets[i].max > 0 || !prefilter_at_word(&b->patterns[f->targets[i].pattern]))
            return false;
    return true;
}

/* Fills in what the spellings [first, end) have in common, whose hashes are near. */
static void fill_common(struct prefilter *f, const struct bundle *b, enum prefilter_length length,
                        uint32_t first, uint32_t end)
{
    struct prefilter_index *literals = &f->literals[length];
    const struct prefilter_lit *lits = literals->lits;
    const uint32_t cell = cell_of(length, first_bytes(&lits[first]));
    struct prefilter_common c = {
        .value = lits[first].value, .mask = lits[first].mask, .first = first};
    uint32_t n_targets = lits[first].end - lits[first].first;
    bool at_word = true;

    for (uint32_t i = first; i < end; i++) {
        c.mask &= lits[i].mask & ~(lits[i].value ^ c.value);
        c.value &= c.mask;
        at_word = at_word && is_at_word(f, b, &lits[i]);
    }
    c.n = (uint16_t)(end - first);
    c.at_word = at_word;
    if (c.n == 1 && n_targets <= INT16_MAX) {
        c.n = 0;
        c.first = lits[first].first;
        c.n_targets = n_targets & INT16_MAX;
    }
    literals->common[cell] = c;
}

static void index_lits(struct prefilter *f, const struct bundle *b, enum prefilter_length length)
{
    struct prefilter_index *literals = &f->literals[length];
    const struct prefilter_lit *lits = literals->lits;

    if (literals->n != 0)
        qsort_r(literals->lits, literals->n, sizeof(*literals->lits), by_cell, &length);
    for (uint32_t i = 0, end; i < literals->n; i = end) {
        const uint32_t cell = cell_of(length, first_bytes(&lits[i]));

        for (end = i + 1; end < literals->n && cell_of(length, first_bytes(&lits[end])) == cell;)
            end++;
        fill_common(f, b, length, i, end);
    }
    literals->n_blooms =
        literals->n <= FEW_LITS ? 1 : (literals->n <= SOME_LITS ? 2 : PREFILTER_BLOOMS);
}

/* ---- starts ------------------------------------------------------------------------------ */

/* Index of the set that start i has at a place. */
static uint32_t start_set(const struct prefilter *f, const struct bundle *b, unsigned i,
                          unsigned place)
{
    return b->patterns[f->starts[i].pattern].head[f->starts[i].head][place];
}

/* Splits the classes of bytes by one more set. */
static void split_classes(struct prefilter *f, const struct bundle_set *s)
{
    int renamed[256][2];
    unsigned n = 0;

    memset(renamed, -1, sizeof(renamed));
    for (unsigned byte = 0; byte < 256; byte++) {
        int *name = &renamed[f->class_of[byte]][rx_set_has(s, byte)];

        if (*name < 0)
            *name = (int)n++;
        f->class_of[byte] = (uint8_t)*name;
    }
    f->n_classes = n;
}

/* Rows that are a word are by bytes themselves: they are few enough. */
static bool make_classes(struct prefilter *f, const struct bundle *b)
{
    bool *seen = NULL;

    if (f->start_words <= 1) {
        for (unsigned byte = 0; byte < 256; byte++)
            f->class_of[byte] = (uint8_t)byte;
        f->n_classes = 256;
        return true;
    }
    seen = calloc(b->n_sets + 1, sizeof(*seen));
    f->n_classes = 1;
    for (unsigned i = 0; i < f->n_starts && seen != NULL; i++) {
        for (unsigned place = 0; place < BUNDLE_HEAD_BYTES; place++) {
            uint32_t set = start_set(f, b, i, place);

            if (!seen[set])
                split_classes(f, &b->sets[set]);
            seen[set] = true;
        }
    }
    free(seen);
    return seen != NULL;
}

/* The first four sets of the starts that have this class near, or none of the classes; none when out of memory. */
static struct prefilter_quads start_quads(const struct prefilter *f, const struct bundle *b,
                                          unsigned class)
{
    struct prefilter_quads quads = {calloc(f->n_starts + 1, sizeof(*quads.sets)), 0};

    for (unsigned i = 0; i < f->n_starts && quads.sets != NULL; i++) {
        if (prefilter_near_class(f, i) != class)
            continue;
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            quads.sets[quads.n][place] = b->sets[start_set(f, b, i, place)];
        quads.n++;
    }
    return quads;
}

static bool fill_quads(struct prefilter *f, unsigned first, unsigned n_buckets,
                       const struct prefilter_quads *quads)
{
    return prefilter_fill_buckets(f, first, n_buckets,
                                  (const struct bundle_set(*)[BUNDLE_WINDOW_BYTES])quads->sets,
                                  quads->n);
}

/* Fills in the buckets of wide windows and of all starts. */
static bool fill_buckets(struct prefilter *f, const struct bundle *b)
{
    struct prefilter_quads wide = prefilter_wide_quads(f, b),
                           digits = start_quads(f, b, PREFILTER_DIGIT),
                           colons = start_quads(f, b, PREFILTER_COLON),
                           others = start_quads(f, b, 0);
    bool ok =
        wide.sets != NULL && digits.sets != NULL && colons.sets != NULL && others.sets != NULL;

    if (ok) {
        struct prefilter_shares shares = prefilter_share(&wide, &others);
        unsigned rest = REST_BUCKET + shares.wide;

        f->by_wide = (uint8_t)(((1u << shares.wide) - 1) << REST_BUCKET % 8);
        f->by_other = PREFILTER_BY_REST & ~f->by_wide;
        ok = fill_quads(f, shares.wide == 0 ? 8 * PREFILTER_WIDE : REST_BUCKET,
                        shares.wide == 0 ? 16 : shares.wide, &wide) &&
             fill_quads(f, DIGIT_BUCKET, 3, &digits) && fill_quads(f, COLON_BUCKET, 1, &colons) &&
             (others.n == 0 || fill_quads(f, rest, shares.others, &others));
    }
    free(wide.sets);
    free(digits.sets);
    free(colons.sets);
    free(others.sets);
    if (ok)
        prefilter_fill_beside(f, b);
    return ok;
}

static bool fill_starts(struct prefilter *f, const struct bundle *b)
{
    f->start_words = f->n_starts <= 64 ? f->n_starts != 0
                                       : (f->n_starts + 64 * PREFILTER_ROW_WORDS - 1) /
                                             (64 * PREFILTER_ROW_WORDS) * PREFILTER_ROW_WORDS;
    if (!make_classes(f, b))
        return false;
    for (unsigned byte = 0; byte < 256; byte++)
        f->row_of[byte] = f->class_of[byte] * f->start_words;
    f->start_rows =
        calloc(((size_t)BUNDLE_HEAD_BYTES * f->n_classes + PREFILTER_NEARS) * f->start_words + 1,
               sizeof(*f->start_rows));
    for (unsigned i = 0; i < f->n_starts && f->start_rows != NULL; i++) {
        for (unsigned place = 0; place < BUNDLE_HEAD_BYTES; place++) {
            const struct bundle_set *s = &b->sets[start_set(f, b, i, place)];

            for (unsigned byte = 0; byte < 256; byte++)
                if (rx_set_has(s, byte))
                    f->start_rows[((size_t)place * f->n_classes + f->class_of[byte]) *
                                      f->start_words +
                                  i / 64] |= UINT64_C(1) << (i % 64);
        }
    }
    if (f->start_rows != NULL)
        prefilter_fill_nears(f);
    return f->start_rows != NULL;
}

/* ---- kinds ------------------------------------------------------------------------------- */

/* How often text has the first four bytes of a match where a word begins, roughly. */
static double start_cost(const struct bundle *b, uint32_t pattern)
{
    struct bundle_set sets[BUNDLE_WINDOW_BYTES];
    double cost = 0;

    for (unsigned i = 0; i < b->patterns[pattern].n_heads; i++) {
        const uint32_t *head = b->patterns[pattern].head[i];

        if (i > 0 && memcmp(head, b->patterns[pattern].head[i - 1],
                            sizeof(*head) * BUNDLE_WINDOW_BYTES) == 0)
            continue; /* they differ further on */
        for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
            sets[place] = b->sets[head[place]];
        cost += rulec_window_cost((const struct bundle_set *)sets) * WORD_STARTS;
    }
    return cost;
}

static double window_cost(const struct bundle *b, const struct bundle_window *w)
{
    struct bundle_set sets[BUNDLE_WINDOW_BYTES];

    for (unsigned place = 0; place < BUNDLE_WINDOW_BYTES; place++)
        sets[place] = b->sets[w->set[place]];
    return rulec_window_cost((const struct bundle_set *)sets);
}

/* A pattern with windows that are no literals, or a run somewhere, is looked for by its start instead, where that can be and is seldom
 * enough. */
static bool choose_starts(struct prefilter *f, const struct bundle *b, const bool *skipped,
                          bool *is_start)
{
    double *wide = calloc(b->n_patterns + 1, sizeof(*wide));
    bool *windows = calloc(b->n_patterns + 1, sizeof(*windows));

    if (wide == NULL || windows == NULL) {
        free(wide);
        free(windows);
        return false;
    }
    for (unsigned i = 0; i < b->n_windows; i++) {
        const struct bundle_window *w = &b->windows[i];
        struct spelling s[BUNDLE_WINDOW_BYTES];
        enum prefilter_length length;
        double cost = spell_literal(b, w, &length, s) != 0 ? 0 : window_cost(b, w);

        for (unsigned k = 0; k < w->n_targets; k++) {
            wide[b->targets[w->first_target + k].pattern] += cost;
            windows[b->targets[w->first_target + k].pattern] = true;
        }
    }
    for (unsigned i = 0; i < b->n_runs; i++)
        if (prefilter_is_anywhere(b, &b->runs[i]))
            wide[b->runs[i].target.pattern] += RUN_COST;
    for (uint32_t p = 0; p < b->n_patterns; p++) {
        double cost = start_cost(b, p);

        is_start[p] = !skipped[p] && wide[p] > 0 && prefilter_at_word(&b->patterns[p]) &&
                      ((windows[p] && cost < SELDOM) || cost < START_GAIN * wide[p]);
        for (uint32_t i = 0; is_start[p] && i < b->patterns[p].n_heads; i++)
            f->starts[f->n_starts++] = prefilter_start_of(f, b, p, i);
    }
    free(wide);
    free(windows);
    return true;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* Fills in the bytes around the window of the targets [first, end). */
static void copy_arounds(struct prefilter *f, unsigned first, unsigned end)
{
    for (unsigned n; first < end; first += n) {
        uint64_t *a = f->arounds + (size_t)PREFILTER_AROUND_WORDS * first;

        n = end - first < PREFILTER_AROUNDS ? end - first : PREFILTER_AROUNDS;
        for (unsigned i = 0; i < n; i++) {
            for (unsigned half = 0; half < 2; half++) {
                memcpy(&a[half * n + i], f->targets[first + i].value + half * sizeof(*a),
                       sizeof(*a));
                memcpy(&a[(2 + half) * n + i], f->targets[first + i].mask + half * sizeof(*a),
                       sizeof(*a));
            }
        }
    }
}

/* Copies the targets that are not looked for by their start, nor skipped. */
static void copy_targets(struct prefilter *f, const struct bundle *b, const bool *skipped,
                         const bool *is_start)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->n_windows; i++) {
        const struct bundle_window *w = &b->windows[i];

        f->first_target[i] = n;
        for (unsigned k = 0; k < w->n_targets; k++) {
            uint32_t pattern = b->targets[w->first_target + k].pattern;

            if (is_start[pattern] || skipped[pattern])
                continue;
            f->targets[n++] = b->targets[w->first_target + k];
        }
        copy_arounds(f, f->first_target[i], n);
    }
    f->first_target[b->n_windows] = n;
    for (unsigned i = 0; i < b->n_runs; i++)
        if (!is_start[b->runs[i].target.pattern] && !skipped[b->runs[i].target.pattern])
            f->runs[f->n_runs++] = (struct prefilter_run){
                .index = i, .n = b->runs[i].n, .pattern = b->runs[i].target.pattern};
    prefilter_group_runs(f, b);
}

static void sort_windows(struct prefilter *f, const struct bundle *b)
{
    for (unsigned i = 0; i < b->n_windows; i++)
        if (f->first_target[i] != f->first_target[i + 1] && !add_literal(f, b, i))
            f->wide[f->n_wide++] = i;
    for (unsigned k = 0; k < PREFILTER_LENGTHS; k++)
        index_lits(f, b, k);
}

static bool allocate(struct prefilter *f, const struct bundle *b)
{
    size_t n[PREFILTER_LENGTHS] = {0};

    for (unsigned i = 0; i < b->n_windows; i++) {
        struct spelling s[BUNDLE_WINDOW_BYTES];
        enum prefilter_length length;
        unsigned more = spell_literal(b, &b->windows[i], &length, s);

        n[length] += more;
    }
    for (unsigned k = 0; k < PREFILTER_LENGTHS; k++) {
        f->literals[k].has_all_banks = n[k] > FULL_LITS;
        f->literals[k].lits = calloc(n[k] + 1, sizeof(struct prefilter_lit));
        if (f->literals[k].lits == NULL)
            return false;
    }
    f->starts = calloc((size_t)b->n_patterns * BUNDLE_HEADS + 1, sizeof(*f->starts));
    f->targets = calloc(b->n_targets + 1, sizeof(*f->targets));
    f->arounds = calloc((size_t)PREFILTER_AROUND_WORDS * b->n_targets + PREFILTER_AROUNDS_STEP,
                        sizeof(*f->arounds));
    f->name_of = calloc(b->n_targets + 1, sizeof(*f->name_of));
    f->name_left = calloc(b->n_targets + 1, sizeof(*f->name_left));
    f->first_target = calloc(b->n_windows + 1, sizeof(*f->first_target));
    f->runs = calloc(b->n_runs + 1, sizeof(*f->runs));
    f->run_groups = calloc(b->n_runs + 1, sizeof(*f->run_groups));
    f->wide = calloc(b->n_windows + 1, sizeof(*f->wide));
    return f->starts != NULL && f->targets != NULL && f->arounds != NULL && f->name_of != NULL &&
           f->name_left != NULL && f->first_target != NULL && f->runs != NULL &&
           f->run_groups != NULL && f->wide != NULL;
}

bool prefilter_init(struct prefilter *f, const struct bundle *b, const bool *skipped)
{
    bool *is_start = calloc(b->n_patterns + 1, sizeof(*is_start)), ok = false;

    memset(f, 0, sizeof(*f));
    prefilter_choose(f, prefilter_best());
    if (is_start == NULL || !allocate(f, b) || !prefilter_fill_heads(f, b) ||
        !prefilter_fill_needs(f, b))
        goto out;
    if (!choose_starts(f, b, skipped, is_start))
        goto out;
    copy_targets(f, b, skipped, is_start);
    prefilter_fill_named(f, b);
    sort_windows(f, b);
    ok = prefilter_fill_sequels(f, b) && prefilter_fill_wide(f, b) && fill_starts(f, b) &&
         fill_buckets(f, b) && prefilter_fill_sieve(f);
out:
    free(is_start);
    if (!ok)
        prefilter_fini(f);
    return ok;
}

void prefilter_fini(struct prefilter *f)
{
    free(f->heads);
    free(f->first_head);
    free(f->starts);
    free(f->start_rows);
    free(f->targets);
    free(f->arounds);
    free(f->name_of);
    free(f->name_left);
    free(f->first_target);
    free(f->sequels_of);
    free(f->sequels);
    free(f->sequel_rows);
    free(f->needs);
    free(f->runs);
    free(f->run_groups);
    free(f->wide);
    free(f->wide_targets);
    free(f->wide_rows);
    free(f->sieve.pairs);
    for (unsigned k = 0; k < PREFILTER_LENGTHS; k++)
        free(f->literals[k].lits);
    memset(f, 0, sizeof(*f));
}
