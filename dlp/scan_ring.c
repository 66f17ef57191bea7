/* dlp/scan_ring.c - the starts at which patterns are to be tried, until it is their turn (scan_find.c). Thread: the scanner's. */
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"

enum {
    MAX_NODES = 1 << 20,
    NO_NODE = UINT32_MAX,
    GROUP = 64 * 64, /* starts that a word of scan_ring.some is about */
    GROUPS = SCAN_RING / GROUP,
};
_Static_assert((int)SCAN_RING % (int)GROUP == 0, "whole groups");

/* A pattern to try at a start, and perhaps at the next ones up to the last; lists ascend by pattern. */
struct node {
    uint32_t pattern, next, last;
};

/* Of a start: indexes of nodes. */
struct list {
    uint32_t first, last;
};

struct scan_ring {
    uint64_t used[SCAN_RING / 64]; /* which starts have a list, */
    uint64_t some[GROUPS];         /* and which words of `used` may have a bit */
    struct list lists[SCAN_RING];
    struct node *nodes;
    uint32_t n_nodes, cap_nodes, free_node; /* free_node: a list, or NO_NODE */
};

struct scan_ring *scan_ring_new(void)
{
    struct scan_ring *r = calloc(1, sizeof(*r));

    if (r != NULL)
        r->free_node = NO_NODE;
    return r;
}

void scan_ring_free(struct scan_ring *r)
{
    if (r == NULL)
        return;
    free(r->nodes);
    free(r);
}

/* A node, or NO_NODE with x->st set. */
static uint32_t new_node(struct scan_leaf *x, struct scan_ring *r)
{
    if (r->n_nodes == r->cap_nodes) {
        uint32_t cap = r->cap_nodes == 0 ? 256 : r->cap_nodes * 2;
        struct node *grown = cap > MAX_NODES ? NULL : realloc(r->nodes, cap * sizeof(*grown));

        if (grown == NULL) {
            x->st = cap > MAX_NODES ? GW_ELIMIT : GW_ENOMEM;
            return NO_NODE;
        }
        r->nodes = grown;
        r->cap_nodes = cap;
    }
    return r->n_nodes++;
}

/* The same, one that was used before if there is any. */
static inline uint32_t take_node(struct scan_leaf *x, struct scan_ring *r)
{
    uint32_t node = r->free_node;

    if (node == NO_NODE)
        return new_node(x, r);
    r->free_node = r->nodes[node].next;
    return node;
}

/* Is there a byte of one of the classes among the `within` bytes from `at` on, or may there be one when more text comes? */
static inline bool has_near(const struct scan_leaf *x, unsigned classes, unsigned within, size_t at)
{
    size_t n = x->text.len - at < within ? x->text.len - at : within;

    return classes == 0 || (n < within && x->growing && !x->ended) ||
           x->filter->near((const unsigned char *)x->text.ptr + at, n, classes);
}

/* Adds pattern to the list of a start, once. last: as in struct node. */
static inline void add(struct scan_leaf *x, struct scan_ring *r, size_t at, uint32_t pattern,
                       size_t last)
{
    uint32_t slot = at % SCAN_RING, node, prev = NO_NODE, next = NO_NODE;
    struct list *l = &r->lists[slot];
    uint64_t *word = &r->used[slot / 64], bit = UINT64_C(1) << (slot % 64);
    bool used = (*word & bit) != 0;

    if (used && r->nodes[l->last].pattern < pattern) {
        prev = l->last;
    } else if (used) {
        for (next = l->first; r->nodes[next].pattern < pattern; next = r->nodes[next].next)
            prev = next;
        if (r->nodes[next].pattern == pattern) {
            if (r->nodes[next].last < last)
                r->nodes[next].last = (uint32_t)last;
            return;
        }
    }
    node = take_node(x, r);
    if (node == NO_NODE)
        return;
    r->nodes[node] = (struct node){pattern, next, (uint32_t)last};
    if (prev != NO_NODE)
        r->nodes[prev].next = node;
    else
        l->first = node;
    if (next == NO_NODE)
        l->last = node;
    *word |= bit;
    r->some[slot / GROUP] |= UINT64_C(1) << (slot / 64 % 64);
}

void scan_push_first(struct scan_leaf *x, uint32_t pattern, size_t at, size_t last)
{
    struct prefilter_need need = x->filter->needs[pattern];

    if (at >= x->from && at < x->to && !scan_is_dead(x, pattern) &&
        has_near(x, need.need, need.within, at) && !scan_sleeps(x, pattern, at))
        add(x, x->s->ring, at, pattern, last);
}

void scan_push_starts(struct scan_leaf *x, const struct prefilter_start *starts, uint64_t bits,
                      uint64_t ends, bool at_token, size_t at)
{
    if (at < x->from || at >= x->to)
        return;
    for (; bits != 0; bits &= bits - 1) {
        const struct prefilter_start *s = &starts[__builtin_ctzll(bits)];

        if ((s->lengths & ends) != 0 && (at_token || !s->at_token) &&
            !scan_sleeps(x, s->pattern, at) && !scan_is_dead(x, s->pattern) &&
            has_near(x, s->need, s->within, at) &&
            (s->name == PREFILTER_ANY_NAME || scan_name_fits(x, s->pattern, at)) &&
            !scan_is_refused(x, s->pattern, at))
            add(x, x->s->ring, at, s->pattern, at);
    }
}

/* Notes the pattern at the next of starts that are alike where its rule may have a finding. */
static void add_next(struct scan_leaf *x, struct scan_ring *r, const struct node *n, size_t at)
{
    const struct scan_state *state = &x->s->state[x->rules->b->patterns[n->pattern].rule];

    at++;
    if (state->epoch == x->s->epoch && state->next > at)
        at = state->next;
    if (scan_next_start(x, n->pattern, n->last, &at))
        add(x, r, at, n->pattern, n->last);
}

/* Tries what waits at one start, and frees its nodes. */
static void try_start(struct scan_leaf *x, struct scan_ring *r, size_t at)
{
    uint32_t slot = at % SCAN_RING;
    unsigned before = scan_boundaries_before(x->text, at);

    for (uint32_t i = r->lists[slot].first; i != NO_NODE && x->st == GW_OK; i = r->nodes[i].next) {
        const struct node n = r->nodes[i];

        if (scan_try_waiting(x, n.pattern, at, before) && n.last > at)
            add_next(x, r, &n, at);
    }
    r->nodes[r->lists[slot].last].next = r->free_node;
    r->free_node = r->lists[slot].first;
}

/* The same for all starts in [from, to), which a word of r->used has; trying one may add others behind it. */
static void try_word(struct scan_leaf *x, struct scan_ring *r, size_t from, size_t to)
{
    uint32_t slot = from % SCAN_RING, bit = slot % 64;
    uint64_t *word = &r->used[slot / 64], asked = UINT64_MAX << bit, left;
    size_t base = from - bit;

    if (to - base < 64)
        asked &= (UINT64_C(1) << (to - base)) - 1;
    while ((left = *word & asked) != 0 && x->st == GW_OK) {
        *word &= ~(left & -left);
        try_start(x, r, base + (size_t)__builtin_ctzll(left));
    }
    if (*word == 0)
        r->some[slot / GROUP] &= ~(UINT64_C(1) << (slot / 64 % 64));
}

void scan_flush(struct scan_leaf *x, size_t from, size_t to)
{
    struct scan_ring *r = x->s->ring;

    for (size_t at = from; at < to && x->st == GW_OK;) {
        size_t group = at - at % GROUP, word = at % GROUP / 64;
        uint64_t some = r->some[at % SCAN_RING / GROUP] >> word << word;

        if (some == 0) {
            at = group + GROUP;
            continue;
        }
        word = (size_t)__builtin_ctzll(some);
        at = at > group + word * 64 ? at : group + word * 64;
        if (at < to)
            try_word(x, r, at, to);
        at = group + (word + 1) * 64;
    }
}

void scan_ring_clear(struct scan_ring *r)
{
    memset(r->used, 0, sizeof(r->used));
    memset(r->some, 0, sizeof(r->some));
    r->n_nodes = 0;
    r->free_node = NO_NODE;
}
