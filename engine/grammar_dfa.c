/* engine/grammar_dfa.c - byte automata made deterministic. See grammar_dfa.h. Pure; one thread at a time.
 *
 * A state of the result is a set of nodes (dfa_from_nfa) or a state of the source; both get numbers through one hash
 * table of 64-bit keys. States that cannot reach the end are cut off afterwards. */
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_dfa_private.h"

/* What is being made. */
struct making {
    struct gw_arena *arena;
    struct dfa *d;
    unsigned cap;       /* states that next and accept hold */
    uint8_t first[256]; /* of each class: a byte */
    uint64_t work;
    struct gw_err *err;
};

enum { MAX_ROUNDS = 64 };

static enum gw_status too_large(struct gw_err *err)
{
    return gw_fail(err, GW_ELIMIT, "the pattern needs more than %d states", DFA_MAX_STATES);
}

static enum gw_status no_memory(struct gw_err *err)
{
    return gw_fail(err, GW_ENOMEM, "out of memory for a pattern");
}

/* Makes room for one more state, whose row is dead. */
static enum gw_status add_state(struct making *m, bool accept)
{
    struct dfa *d = m->d;

    if (d->n_states == DFA_MAX_STATES)
        return too_large(m->err);
    if (d->n_states == m->cap) {
        unsigned cap = m->cap == 0 ? 16 : 2 * m->cap;
        size_t row = d->n_classes * sizeof(*d->next);
        uint16_t *next = gw_arena_grow(m->arena, d->next, m->cap * row, cap * row);
        bool *accepts = gw_arena_grow(m->arena, d->accept, m->cap, cap);

        if (next != NULL)
            d->next = next;
        if (accepts != NULL)
            d->accept = accepts;
        if (next == NULL || accepts == NULL)
            return no_memory(m->err);
        m->cap = cap;
    }
    for (unsigned c = 0; c < d->n_classes; c++)
        d->next[(size_t)d->n_states * d->n_classes + c] = DFA_DEAD;
    d->accept[d->n_states++] = accept;
    return GW_OK;
}

/* ---- cutting off what leads nowhere ----------------------------------------------------------- */

/* Marks what can reach the end, backwards until nothing changes; rounds are few since states are numbered forwards, and
 * bounded since somebody may find a pattern where they are not. */
static bool mark_live(const struct dfa *d, bool *live)
{
    bool changed = true;

    memcpy(live, d->accept, d->n_states * sizeof(*live));
    for (unsigned round = 0; changed; round++) {
        if (round == MAX_ROUNDS)
            return false;
        changed = false;
        for (unsigned s = d->n_states; s-- > 0;) {
            const uint16_t *row = d->next + (size_t)s * d->n_classes;

            for (unsigned c = 0; !live[s] && c < d->n_classes; c++)
                changed |= live[s] = row[c] != DFA_DEAD && live[row[c]];
        }
    }
    return true;
}

static enum gw_status prune(struct making *m)
{
    struct dfa *d = m->d;
    bool *live = gw_arena_array(m->arena, d->n_states, sizeof(*live));
    uint16_t *number = gw_arena_array(m->arena, d->n_states, sizeof(*number));
    unsigned n = 0;

    if (live == NULL || number == NULL)
        return no_memory(m->err);
    if (!mark_live(d, live))
        return gw_fail(m->err, GW_ELIMIT, "the pattern is too complex");
    for (unsigned s = 0; s < d->n_states; s++)
        number[s] = (uint16_t)(live[s] ? n++ : DFA_DEAD);
    if (!live[0])
        n = 0;
    for (unsigned s = 0; s < d->n_states && n != 0; s++) {
        const uint16_t *from = d->next + (size_t)s * d->n_classes;
        uint16_t *to = d->next + (size_t)number[s] * d->n_classes;

        if (!live[s])
            continue;
        for (unsigned c = 0; c < d->n_classes; c++)
            to[c] = from[c] == DFA_DEAD ? DFA_DEAD : number[from[c]];
        d->accept[number[s]] = d->accept[s];
    }
    d->n_states = n;
    return GW_OK;
}

/* ---- numbers of states -------------------------------------------------------------------------- */

enum { TABLE = 16384 }; /* slots, a power of two above 2 * DFA_MAX_STATES */

static uint32_t slot_of(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 40) & (TABLE - 1);
}

/* ---- from a source --------------------------------------------------------------------------------- */

/* The number of a source's state, made on first sight. */
static enum gw_status number_of(struct making *m, const struct dfa_source *s, uint64_t *keys,
                                uint16_t *slots, uint64_t key, uint16_t *out)
{
    uint32_t at = slot_of(key);

    for (; slots[at] != 0; at = (at + 1) & (TABLE - 1)) {
        if (keys[slots[at] - 1] == key) {
            *out = (uint16_t)(slots[at] - 1);
            return GW_OK;
        }
    }
    *out = (uint16_t)m->d->n_states;
    GW_TRY(add_state(m, s->accepts(s->ctx, key)));
    keys[*out] = key;
    slots[at] = (uint16_t)(*out + 1);
    return GW_OK;
}

enum gw_status dfa_from_source(const struct dfa_source *s, uint64_t start, struct gw_arena *arena,
                               struct dfa *out, struct gw_err *err)
{
    struct dfa d = {.n_classes = 256};
    struct making m = {.arena = arena, .d = &d, .err = err};
    uint64_t *keys = gw_arena_array(arena, DFA_MAX_STATES, sizeof(*keys));
    uint16_t *slots = gw_arena_array(arena, TABLE, sizeof(*slots)), number;

    if (keys == NULL || slots == NULL)
        return no_memory(err);
    for (unsigned b = 0; b < 256; b++)
        d.map[b] = (uint8_t)b;
    GW_TRY(number_of(&m, s, keys, slots, start, &number));
    for (unsigned at = 0; at < d.n_states; at++) {
        for (unsigned b = 0; b < 256; b++) {
            uint64_t next = s->step(s->ctx, keys[at], (unsigned char)b);

            if (next == UINT64_MAX)
                continue;
            GW_TRY(number_of(&m, s, keys, slots, next, &number));
            d.next[(size_t)at * 256 + b] = number;
        }
    }
    GW_TRY(prune(&m));
    d.work = 256 * (uint64_t)d.n_states;
    *out = d;
    return GW_OK;
}

/* ---- from nodes ------------------------------------------------------------------------------------- */

/* The nodes of a state: only those that take a byte, and whether the end is among them. */
struct set {
    uint32_t *nodes; /* sorted */
    uint32_t n;
    bool accept;
};

struct subset {
    struct making m;
    const struct nfa *n;
    struct set *sets;   /* [DFA_MAX_STATES] */
    uint16_t *slots;    /* [TABLE]: number + 1 */
    uint32_t *stack;    /* [2 * nodes] */
    uint32_t *gathered; /* [nodes] */
    uint32_t n_gathered;
    uint32_t *seen; /* [nodes]: the round in which it was seen */
    uint32_t round;
    bool accept;
};

/* Adds node `at` and all that it passes on to. */
static void gather(struct subset *s, uint32_t at)
{
    uint32_t depth = 0;

    s->stack[depth++] = at;
    while (depth != 0) {
        const struct nfa_node *node;

        at = s->stack[--depth];
        if (at == NFA_OPEN) {
            s->accept = true;
            continue;
        }
        if (s->seen[at] == s->round)
            continue;
        s->seen[at] = s->round;
        s->m.work++;
        node = &s->n->nodes[at];
        if (node->kind == NFA_RANGE) {
            s->gathered[s->n_gathered++] = at;
            continue;
        }
        s->stack[depth++] = node->a;
        if (node->kind == NFA_FORK)
            s->stack[depth++] = node->b;
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool same_set(const struct subset *s, const struct set *set)
{
    return set->n == s->n_gathered && set->accept == s->accept &&
           (set->n == 0 || memcmp(set->nodes, s->gathered, set->n * sizeof(*set->nodes)) == 0);
}

/* The number of the set that was gathered. */
static enum gw_status set_number(struct subset *s, uint16_t *out)
{
    uint64_t key = s->accept;
    struct set set = {.n = s->n_gathered, .accept = s->accept};
    uint32_t at;

    qsort(s->gathered, s->n_gathered, sizeof(*s->gathered), by_number);
    for (uint32_t i = 0; i < s->n_gathered; i++)
        key = (key ^ s->gathered[i]) * 0x100000001B3u + 1;
    for (at = slot_of(key); s->slots[at] != 0; at = (at + 1) & (TABLE - 1)) {
        if (same_set(s, &s->sets[s->slots[at] - 1])) {
            *out = (uint16_t)(s->slots[at] - 1);
            return GW_OK;
        }
    }
    set.nodes = gw_arena_array(s->m.arena, set.n + 1, sizeof(*set.nodes));
    if (set.nodes == NULL)
        return no_memory(s->m.err);
    memcpy(set.nodes, s->gathered, set.n * sizeof(*set.nodes));
    *out = (uint16_t)s->m.d->n_states;
    GW_TRY(add_state(&s->m, s->accept));
    s->sets[*out] = set;
    s->slots[at] = (uint16_t)(*out + 1);
    return GW_OK;
}

static void begin_set(struct subset *s)
{
    s->round++;
    s->n_gathered = 0;
    s->accept = false;
}

/* Bytes that no node tells apart share a class. */
static void make_classes(struct subset *s)
{
    bool begins[257] = {true};
    struct dfa *d = s->m.d;

    for (uint32_t i = 0; i < s->n->n; i++) {
        if (s->n->nodes[i].kind == NFA_RANGE) {
            begins[s->n->nodes[i].lo] = true;
            begins[s->n->nodes[i].hi + 1] = true;
        }
    }
    for (unsigned b = 0; b < 256; b++) {
        if (begins[b])
            s->m.first[d->n_classes++] = (uint8_t)b;
        d->map[b] = (uint8_t)(d->n_classes - 1);
    }
}

/* Fills the row of state `at`. */
static enum gw_status make_row(struct subset *s, unsigned at)
{
    struct dfa *d = s->m.d;

    for (unsigned c = 0; c < d->n_classes; c++) {
        uint8_t byte = s->m.first[c];
        uint16_t number;

        begin_set(s);
        for (uint32_t i = 0; i < s->sets[at].n; i++) {
            const struct nfa_node *node = &s->n->nodes[s->sets[at].nodes[i]];

            if (byte >= node->lo && byte <= node->hi)
                gather(s, node->a);
        }
        s->m.work += s->sets[at].n;
        if (s->m.work > DFA_MAX_WORK)
            return gw_fail(s->m.err, GW_ELIMIT, "the pattern is too complex");
        if (s->n_gathered == 0 && !s->accept)
            continue;
        GW_TRY(set_number(s, &number));
        d->next[(size_t)at * d->n_classes + c] = number;
    }
    return GW_OK;
}

enum gw_status dfa_from_nfa(const struct nfa *n, struct nfa_frag f, struct gw_arena *arena,
                            struct dfa *out, struct gw_err *err)
{
    struct dfa d = {0};
    struct subset s = {.m = {.arena = arena, .d = &d, .err = err}, .n = n};
    uint16_t number;

    if (n->full)
        return gw_arena_failed(n->arena)
                   ? no_memory(err)
                   : gw_fail(err, GW_ELIMIT,
                             "the pattern is too large when its repeats are written out");
    s.sets = gw_arena_array(arena, DFA_MAX_STATES, sizeof(*s.sets));
    s.slots = gw_arena_array(arena, TABLE, sizeof(*s.slots));
    s.stack = gw_arena_array(arena, 2 * (size_t)n->n + 2, sizeof(*s.stack));
    s.gathered = gw_arena_array(arena, (size_t)n->n + 1, sizeof(*s.gathered));
    s.seen = gw_arena_array(arena, (size_t)n->n + 1, sizeof(*s.seen));
    if (s.sets == NULL || s.slots == NULL || s.stack == NULL || s.gathered == NULL ||
        s.seen == NULL)
        return no_memory(err);
    make_classes(&s);
    begin_set(&s);
    gather(&s, f.start);
    GW_TRY(set_number(&s, &number));
    for (unsigned at = 0; at < d.n_states; at++)
        GW_TRY(make_row(&s, at));
    GW_TRY(prune(&s.m));
    d.work = s.m.work;
    *out = d;
    return GW_OK;
}
