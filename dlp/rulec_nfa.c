/* dlp/rulec_nfa.c - can a match of this tree be the beginning of a longer one?
 *
 * Glushkov's position automaton (one state a byte set, counts unrolled), then the subset construction.
 * Both are bounded, which also keeps patterns that would explode away from re2c. Thread: any. */
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec_chain.h"

enum { MAX_POSITIONS = 4096, MAX_STATES = 4096, WORDS = MAX_POSITIONS / 64, MAX_WORK = 400000000 };

/* A set of positions. */
struct pos_set {
    uint64_t w[WORDS];
};

/* What Glushkov's construction knows of a subtree. */
struct part {
    struct pos_set first, last;
    bool nullable;
};

struct nfa {
    unsigned n;             /* positions */
    struct bundle_set *set; /* of each */
    struct pos_set *follow; /* of each */
    struct pos_set *states; /* of the subset construction; 0 is the start */
    bool *accepting;
    uint32_t *table; /* hash of states, index + 1 */
    unsigned n_states;
    unsigned char class_of[256]; /* bytes that every position treats alike */
    unsigned char member[256];   /* one byte of each class */
    unsigned n_classes;
    uint64_t work; /* steps spent, against MAX_WORK */
    bool full;
};

enum { TABLE_SIZE = 16384 };

static void join(struct pos_set *a, const struct pos_set *b)
{
    for (unsigned i = 0; i < WORDS; i++)
        a->w[i] |= b->w[i];
}

static bool is_empty(const struct pos_set *a)
{
    for (unsigned i = 0; i < WORDS; i++)
        if (a->w[i] != 0)
            return false;
    return true;
}

/* Every position of from may be followed by the positions of to. */
static void connect(struct nfa *x, const struct pos_set *from, const struct pos_set *to)
{
    for (unsigned i = 0; i < WORDS; i++)
        for (uint64_t w = from->w[i]; w != 0; w &= w - 1)
            join(&x->follow[i * 64 + (unsigned)__builtin_ctzll(w)], to);
}

/* Puts b behind a. */
static void concat(struct nfa *x, struct part *a, const struct part *b)
{
    connect(x, &a->last, &b->first);
    if (a->nullable)
        join(&a->first, &b->first);
    if (b->nullable)
        join(&a->last, &b->last);
    else
        a->last = b->last;
    a->nullable = a->nullable && b->nullable;
}

static void build(struct nfa *x, const struct rx_node *n, struct part *out);

static void build_repeat(struct nfa *x, const struct rx_node *n, struct part *out)
{
    int copies = n->max == RX_INFINITE ? (n->min > 0 ? n->min : 1) : n->max;
    struct part *kid = malloc(sizeof(*kid));

    if (kid == NULL) {
        x->full = true;
        return;
    }
    for (int i = 0; i < copies && !x->full; i++) {
        build(x, n->kid, kid);
        if (i == copies - 1 && n->max == RX_INFINITE)
            connect(x, &kid->last, &kid->first);
        if (i >= n->min)
            kid->nullable = true;
        concat(x, out, kid);
    }
    free(kid);
}

static void build_kids(struct nfa *x, const struct rx_node *n, struct part *out)
{
    struct part *kid = malloc(sizeof(*kid));

    if (kid == NULL) {
        x->full = true;
        return;
    }
    for (const struct rx_node *k = n->kid; k != NULL && !x->full; k = k->next) {
        build(x, k, kid);
        if (n->kind != RX_ALT) {
            concat(x, out, kid);
            continue;
        }
        join(&out->first, &kid->first);
        join(&out->last, &kid->last);
        out->nullable = k == n->kid ? kid->nullable : out->nullable || kid->nullable;
    }
    free(kid);
}

static void build(struct nfa *x, const struct rx_node *n, struct part *out)
{
    memset(out, 0, sizeof(*out));
    out->nullable = true;
    x->work += WORDS;
    if (x->work > MAX_WORK) {
        x->full = true;
        return;
    }
    if (n->kind == RX_SET) {
        if (x->n == MAX_POSITIONS) {
            x->full = true;
            return;
        }
        x->set[x->n] = n->set;
        out->first.w[x->n / 64] = out->last.w[x->n / 64] = UINT64_C(1) << (x->n % 64);
        out->nullable = false;
        x->n++;
    } else if (n->kind == RX_REPEAT) {
        build_repeat(x, n, out);
    } else {
        build_kids(x, n, out);
    }
}

/* Sorts bytes into classes by the positions that take them. */
static void classify(struct nfa *x)
{
    uint64_t sign[256] = {0};

    for (unsigned p = 0; p < x->n; p++)
        for (unsigned b = 0; b < 256; b++)
            sign[b] = (sign[b] ^ (rx_set_has(&x->set[p], b) ? p * 2u + 2u : p * 2u + 1u)) *
                      UINT64_C(0x9E3779B97F4A7C15);
    for (unsigned b = 0; b < 256; b++) {
        unsigned c = 0;

        while (c < x->n_classes && sign[x->member[c]] != sign[b])
            c++;
        if (c == x->n_classes)
            x->member[x->n_classes++] = (unsigned char)b;
        x->class_of[b] = (unsigned char)c;
    }
}

/* Finds or adds a state. */
static void add_state(struct nfa *x, const struct pos_set *s, bool accepting)
{
    uint64_t h = 0;

    for (unsigned i = 0; i < WORDS; i++)
        h = (h ^ s->w[i]) * UINT64_C(0x9E3779B97F4A7C15) + (h >> 29);
    for (unsigned at = (unsigned)(h >> 40) % TABLE_SIZE;; at = (at + 1) % TABLE_SIZE) {
        if (x->table[at] == 0) {
            if (x->n_states == MAX_STATES) {
                x->full = true;
                return;
            }
            x->table[at] = x->n_states + 1;
            x->states[x->n_states] = *s;
            x->accepting[x->n_states++] = accepting;
            return;
        }
        if (memcmp(&x->states[x->table[at] - 1], s, sizeof(*s)) == 0)
            return;
    }
}

/* Adds the states that follow a state with these possible next positions; the bytes that lead on go to
 * ext when the state accepts. */
static void step(struct nfa *x, const struct pos_set *next, const struct pos_set *last,
                 bool accepting, struct bundle_set *ext)
{
    for (unsigned c = 0; c < x->n_classes && !x->full; c++) {
        struct pos_set to = {{0}};
        bool accepts = false;

        for (unsigned i = 0; i < WORDS; i++) {
            for (uint64_t w = next->w[i]; w != 0; w &= w - 1) {
                unsigned p = i * 64 + (unsigned)__builtin_ctzll(w);

                x->work++;
                if (rx_set_has(&x->set[p], x->member[c]))
                    to.w[i] |= UINT64_C(1) << (p % 64);
            }
            accepts = accepts || (to.w[i] & last->w[i]) != 0;
        }
        x->work += WORDS;
        if (is_empty(&to))
            continue;
        if (accepting)
            for (unsigned b = 0; b < 256; b++)
                if (x->class_of[b] == c)
                    rx_set_add(ext, b);
        add_state(x, &to, accepts);
    }
    x->full = x->full || x->work > MAX_WORK;
}

static void determinize(struct nfa *x, const struct part *all, struct bundle_set *ext)
{
    classify(x);
    step(x, &all->first, &all->last, all->nullable, ext);
    for (unsigned s = 0; s < x->n_states && !x->full; s++) {
        struct pos_set next = {{0}};

        for (unsigned i = 0; i < WORDS; i++)
            for (uint64_t w = x->states[s].w[i]; w != 0; w &= w - 1)
                join(&next, &x->follow[i * 64 + (unsigned)__builtin_ctzll(w)]);
        step(x, &next, &all->last, x->accepting[s], ext);
    }
}

enum gw_status rx_extensions(const struct rx_node *n, struct bundle_set *out, struct gw_err *err)
{
    struct nfa x = {.n = 0};
    struct part *all = calloc(1, sizeof(*all));
    struct bundle_set ext = {{0}};
    enum gw_status st = GW_OK;

    x.set = calloc(MAX_POSITIONS, sizeof(*x.set));
    x.follow = calloc(MAX_POSITIONS, sizeof(*x.follow));
    x.states = calloc(MAX_STATES, sizeof(*x.states));
    x.accepting = calloc(MAX_STATES, sizeof(*x.accepting));
    x.table = calloc(TABLE_SIZE, sizeof(*x.table));
    if (all == NULL || x.set == NULL || x.follow == NULL || x.states == NULL ||
        x.accepting == NULL || x.table == NULL) {
        st = gw_fail(err, GW_ENOMEM, "pattern: out of memory");
        goto out;
    }
    build(&x, n, all);
    if (!x.full)
        determinize(&x, all, &ext);
    if (x.full)
        st = gw_fail(err, GW_ELIMIT,
                     "pattern: the automaton is too large; replace wide counted repeats such as "
                     ".{0,200} by + or *, or split the pattern with `patterns:`");
    else
        *out = ext;
out:
    free(all);
    free(x.set);
    free(x.follow);
    free(x.states);
    free(x.accepting);
    free(x.table);
    return st;
}
