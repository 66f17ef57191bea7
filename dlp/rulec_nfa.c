/* dlp/rulec_nfa.c - a tree as an automaton without choices, and can a match of it be the beginning of a longer one?
 *
 * Glushkov's position automaton (one state a byte set, counts unrolled), then the subset construction.
 * Both are bounded, which also keeps patterns that would explode away from re2c. Thread: any. */
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec_chain.h"

/* A part of the tree costs a few allocations: that many joined words. */
enum { MAX_POSITIONS = 4096, MAX_STATES = 4096, PART_WORK = 64 };

/* What Glushkov's construction knows of a subtree; sets of positions. */
struct part {
    uint64_t *first, *last;
    bool nullable;
};

struct nfa {
    unsigned n, cap;        /* positions */
    unsigned words;         /* of a set of positions */
    struct bundle_set *set; /* of each */
    uint64_t *follow;       /* of each */
    uint64_t *states;       /* of the subset construction; 1 is the start, which has no positions */
    unsigned char *flags;   /* of each, as in struct interp_dfa */
    uint16_t *next;         /* the same */
    uint32_t *table;        /* hash of states, four times cap_states */
    unsigned n_states, cap_states;
    unsigned char class_of[256]; /* bytes that every position treats alike */
    unsigned char member[256];   /* one byte of each class */
    unsigned n_classes;
    uint64_t *takes;         /* of each class: the positions that take its bytes */
    uint64_t work, max_work; /* words joined and looked at */
    bool full, no_memory;
};

/* ---- positions -------------------------------------------------------------------------- */

static void join(struct nfa *x, uint64_t *a, const uint64_t *b)
{
    x->work += x->words;
    for (unsigned i = 0; i < x->words; i++)
        a[i] |= b[i];
}

static bool part_new(struct nfa *x, struct part *p)
{
    *p = (struct part){.nullable = true};
    p->first = calloc((size_t)x->words * 2, sizeof(uint64_t));
    if (p->first == NULL) {
        x->full = x->no_memory = true;
        return false;
    }
    p->last = p->first + x->words;
    return true;
}

static void part_clear(const struct nfa *x, struct part *p)
{
    memset(p->first, 0, (size_t)x->words * 2 * sizeof(uint64_t));
    p->nullable = true;
}

/* Every position of from may be followed by the positions of to. */
static void connect(struct nfa *x, const uint64_t *from, const uint64_t *to)
{
    for (unsigned i = 0; i < x->words; i++)
        for (uint64_t w = from[i]; w != 0; w &= w - 1)
            join(x, x->follow + (size_t)(i * 64 + (unsigned)__builtin_ctzll(w)) * x->words, to);
}

/* Puts b behind a. */
static void concat(struct nfa *x, struct part *a, const struct part *b)
{
    connect(x, a->last, b->first);
    if (a->nullable)
        join(x, a->first, b->first);
    if (!b->nullable)
        memset(a->last, 0, x->words * sizeof(uint64_t));
    join(x, a->last, b->last);
    a->nullable = a->nullable && b->nullable;
}

static int copies_of(const struct rx_node *n)
{
    return n->max != RX_INFINITE ? n->max : (n->min > 0 ? n->min : 1);
}

/* How many positions n needs, at most MAX_POSITIONS + 1. */
static unsigned count(const struct rx_node *n)
{
    unsigned long sum = n->kind == RX_SET;

    for (const struct rx_node *k = n->kid; k != NULL && sum <= MAX_POSITIONS; k = k->next)
        sum += count(k);
    if (n->kind == RX_REPEAT)
        sum *= (unsigned)copies_of(n);
    return sum > MAX_POSITIONS ? MAX_POSITIONS + 1 : (unsigned)sum;
}

static void build(struct nfa *x, const struct rx_node *n, struct part *out);

static void build_repeat(struct nfa *x, const struct rx_node *n, struct part *out)
{
    int copies = copies_of(n);
    struct part kid;

    if (!part_new(x, &kid))
        return;
    for (int i = 0; i < copies && !x->full; i++) {
        part_clear(x, &kid);
        build(x, n->kid, &kid);
        if (i == copies - 1 && n->max == RX_INFINITE)
            connect(x, kid.last, kid.first);
        if (i >= n->min)
            kid.nullable = true;
        concat(x, out, &kid);
    }
    free(kid.first);
}

static void build_kids(struct nfa *x, const struct rx_node *n, struct part *out)
{
    struct part kid;

    if (!part_new(x, &kid))
        return;
    for (const struct rx_node *k = n->kid; k != NULL && !x->full; k = k->next) {
        part_clear(x, &kid);
        build(x, k, &kid);
        if (n->kind != RX_ALT) {
            concat(x, out, &kid);
            continue;
        }
        join(x, out->first, kid.first);
        join(x, out->last, kid.last);
        out->nullable = k == n->kid ? kid.nullable : out->nullable || kid.nullable;
    }
    free(kid.first);
}

/* out is empty. */
static void build(struct nfa *x, const struct rx_node *n, struct part *out)
{
    x->work += x->words + PART_WORK;
    if (x->work > x->max_work) {
        x->full = true;
        return;
    }
    if (n->kind == RX_SET) {
        if (x->n == x->cap) {
            x->full = true;
            return;
        }
        x->set[x->n] = n->set;
        out->first[x->n / 64] = out->last[x->n / 64] = UINT64_C(1) << (x->n % 64);
        out->nullable = false;
        x->n++;
    } else if (n->kind == RX_REPEAT) {
        build_repeat(x, n, out);
    } else {
        build_kids(x, n, out);
    }
}

/* ---- states ----------------------------------------------------------------------------- */

/* True when an earlier position has the same set: those of a repeat that was written out stand side by side. */
static bool set_is_known(const struct nfa *x, unsigned position)
{
    enum { LOOK_BACK = 16 };
    unsigned from = position > LOOK_BACK ? position - LOOK_BACK : 0;

    for (unsigned p = position; p-- > from;)
        if (memcmp(&x->set[p], &x->set[position], sizeof(x->set[p])) == 0)
            return true;
    return false;
}

/* Sorts bytes into classes by the positions that take them. */
static void classify(struct nfa *x)
{
    uint64_t sign[256] = {0};

    for (unsigned p = 0; p < x->n; p++) {
        if (set_is_known(x, p))
            continue;
        for (unsigned b = 0; b < 256; b++)
            sign[b] = (sign[b] ^ (rx_set_has(&x->set[p], b) ? p * 2u + 2u : p * 2u + 1u)) *
                      UINT64_C(0x9E3779B97F4A7C15);
    }
    for (unsigned b = 0; b < 256; b++) {
        unsigned c = 0;

        while (c < x->n_classes && sign[x->member[c]] != sign[b])
            c++;
        if (c == x->n_classes)
            x->member[x->n_classes++] = (unsigned char)b;
        x->class_of[b] = (unsigned char)c;
    }
}

/* Fills takes; false when out of memory. */
static bool note_takers(struct nfa *x)
{
    x->takes = calloc((size_t)x->n_classes * x->words, sizeof(*x->takes));
    if (x->takes == NULL)
        return false;
    x->work += (uint64_t)x->n_classes * x->n;
    for (unsigned c = 0; c < x->n_classes; c++)
        for (unsigned p = 0; p < x->n; p++)
            if (rx_set_has(&x->set[p], x->member[c]))
                x->takes[(size_t)c * x->words + p / 64] |= UINT64_C(1) << (p % 64);
    return true;
}

/* Where s is in the table, or belongs. */
static uint32_t *lookup(const struct nfa *x, const uint64_t *s)
{
    unsigned size = x->cap_states * 4, at = 0;
    uint64_t h = 0;

    for (unsigned i = 0; i < x->words; i++)
        h = (h ^ s[i]) * UINT64_C(0x9E3779B97F4A7C15) + (h >> 29);
    for (at = (unsigned)(h >> 40) % size; x->table[at] != 0; at = (at + 1) % size)
        if (memcmp(x->states + (size_t)x->table[at] * x->words, s, x->words * sizeof(*s)) == 0)
            break;
    return &x->table[at];
}

/* Makes room for twice as many states. */
static bool grow(struct nfa *x)
{
    unsigned cap = x->cap_states == 0 ? 16 : x->cap_states * 2;
    uint64_t *states = realloc(x->states, (size_t)cap * x->words * sizeof(*states));
    unsigned char *flags = realloc(x->flags, cap);
    uint16_t *next = realloc(x->next, (size_t)cap * x->n_classes * sizeof(*next));
    uint32_t *table = calloc((size_t)cap * 4, sizeof(*table));

    x->states = states != NULL ? states : x->states;
    x->flags = flags != NULL ? flags : x->flags;
    x->next = next != NULL ? next : x->next;
    if (states == NULL || flags == NULL || next == NULL || table == NULL) {
        free(table);
        x->full = x->no_memory = true;
        return false;
    }
    free(x->table);
    x->table = table;
    x->cap_states = cap;
    for (uint32_t s = 1; s <= x->n_states; s++)
        *lookup(x, x->states + (size_t)s * x->words) = s;
    return true;
}

/* Finds or adds a state; its number, or 0 when there is no room. */
static unsigned add_state(struct nfa *x, const uint64_t *s, bool accepts)
{
    uint32_t *at = NULL;

    if (x->n_states + 1 >= x->cap_states && !grow(x))
        return 0;
    at = lookup(x, s);
    if (*at != 0)
        return *at;
    if (x->n_states == MAX_STATES) {
        x->full = true;
        return 0;
    }
    *at = ++x->n_states;
    memcpy(x->states + (size_t)*at * x->words, s, x->words * sizeof(*s));
    x->flags[*at] = accepts ? INTERP_ACCEPTS : 0;
    memset(x->next + (size_t)*at * x->n_classes, 0, x->n_classes * sizeof(*x->next));
    return *at;
}

/* The positions among next that take bytes of class c; are there any, and do some end a match? */
static bool advance(struct nfa *x, const uint64_t *next, unsigned c, const uint64_t *last,
                    uint64_t *to, bool *accepts)
{
    const uint64_t *takes = x->takes + (size_t)c * x->words;
    uint64_t any = 0, ends = 0;

    for (unsigned i = 0; i < x->words; i++) {
        to[i] = next[i] & takes[i];
        any |= to[i];
        ends |= to[i] & last[i];
    }
    x->work += x->words;
    *accepts = ends != 0;
    return any != 0;
}

/* Adds the states that follow a state with these possible next positions; the classes that lead on go to
 * ext when the state accepts. to is scratch. */
static void step(struct nfa *x, unsigned state, const uint64_t *next, const uint64_t *last,
                 uint64_t *to, struct bundle_set *ext)
{
    for (unsigned c = 0; c < x->n_classes && !x->full; c++) {
        bool accepts = false;

        if (!advance(x, next, c, last, to, &accepts))
            continue;
        if ((x->flags[state] & INTERP_ACCEPTS) != 0)
            rx_set_add(ext, c);
        x->next[(size_t)state * x->n_classes + c] = (uint16_t)add_state(x, to, accepts);
        x->flags[state] |= INTERP_GOES_ON;
    }
    x->full = x->full || x->work > x->max_work;
}

static void determinize(struct nfa *x, const struct part *all, struct bundle_set *ext)
{
    uint64_t *next = calloc((size_t)x->words * 2, sizeof(*next));
    struct bundle_set classes = {{0}};

    classify(x);
    if (next == NULL || !note_takers(x)) {
        free(next);
        x->full = x->no_memory = true;
        return;
    }
    if (add_state(x, next, all->nullable) == 1)
        step(x, 1, all->first, all->last, next + x->words, &classes);
    for (unsigned s = 2; s <= x->n_states && !x->full; s++) {
        memset(next, 0, x->words * sizeof(*next));
        for (unsigned i = 0; i < x->words; i++)
            for (uint64_t w = x->states[(size_t)s * x->words + i]; w != 0; w &= w - 1)
                join(x, next,
                     x->follow + (size_t)(i * 64 + (unsigned)__builtin_ctzll(w)) * x->words);
        step(x, s, next, all->last, next + x->words, &classes);
    }
    for (unsigned b = 0; b < 256; b++)
        if (rx_set_has(&classes, x->class_of[b]))
            rx_set_add(ext, b);
    free(next);
}

/* ---- the whole -------------------------------------------------------------------------- */

/* Copies the automaton into arena. */
static enum gw_status keep(const struct nfa *x, struct gw_arena *arena, struct interp_dfa *out,
                           struct gw_err *err)
{
    size_t n_next = (size_t)(x->n_states + 1) * x->n_classes;
    uint16_t *next = gw_arena_array(arena, n_next, sizeof(*next));
    unsigned char *flags = gw_arena_alloc(arena, x->n_states + 1);

    if (next == NULL || flags == NULL)
        return gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    memcpy(next + x->n_classes, x->next + x->n_classes,
           (n_next - x->n_classes) * sizeof(*next)); /* state 0 has none */
    memcpy(flags + 1, x->flags + 1, x->n_states);
    *out = (struct interp_dfa){
        .n_classes = x->n_classes, .n_states = x->n_states, .next = next, .flags = flags};
    memcpy(out->class_of, x->class_of, sizeof(out->class_of));
    return GW_OK;
}

enum gw_status rx_automaton(const struct rx_node *n, struct gw_arena *arena, uint64_t *work,
                            struct bundle_set *ext_out, struct interp_dfa *out, struct gw_err *err)
{
    struct nfa x = {.cap = count(n), .max_work = *work};
    struct part all = {.nullable = true};
    struct bundle_set ext = {{0}};
    enum gw_status st = GW_OK;

    x.words = (x.cap + 63) / 64 + (x.cap == 0);
    x.full = x.cap > MAX_POSITIONS;
    if (!x.full && part_new(&x, &all)) {
        x.set = calloc(x.cap + 1, sizeof(*x.set));
        x.follow = calloc((size_t)(x.cap + 1) * x.words, sizeof(*x.follow));
        x.no_memory = x.full = x.set == NULL || x.follow == NULL;
    }
    if (!x.full)
        build(&x, n, &all);
    if (!x.full)
        determinize(&x, &all, &ext);
    *work -= x.work < *work ? x.work : *work;
    if (x.no_memory)
        st = gw_fail(err, GW_ENOMEM, "pattern: out of memory");
    else if (x.full)
        st = gw_fail(err, GW_ELIMIT,
                     "pattern: the automaton is too large; replace wide counted repeats such as "
                     ".{0,200} by + or *, or split the pattern with `patterns:`");
    else
        st = keep(&x, arena, out, err);
    if (st == GW_OK)
        *ext_out = ext;
    free(all.first);
    free(x.set);
    free(x.follow);
    free(x.states);
    free(x.flags);
    free(x.next);
    free(x.takes);
    free(x.table);
    return st;
}
