/* dlp/scan_ring.c - the starts at which patterns are to be tried, until it is their turn (scan_find.c). Thread: the scanner's. */
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"

enum {
    MAX_NODES = 1 << 20,
    NO_NODE = UINT32_MAX,
};

/* A pattern to try at a start; lists ascend by pattern. */
struct node {
    uint32_t pattern, next;
};

struct scan_ring {
    uint64_t used[SCAN_RING / 64]; /* which starts have a list */
    uint32_t first[SCAN_RING], last[SCAN_RING];
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
static uint32_t take_node(struct scan_leaf *x, struct scan_ring *r)
{
    uint32_t node = r->free_node;

    if (node != NO_NODE) {
        r->free_node = r->nodes[node].next;
        return node;
    }
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

/* Is what every match of the pattern has near its beginning there? As far as the chunk says. */
static inline bool has_need(const struct scan_leaf *x, uint32_t pattern, size_t at)
{
    struct prefilter_need need = x->filter->needs[pattern];
    size_t place = at - x->chunk, block = place / 64, bit = place % 64;
    const struct prefilter_places *places = &x->s->places;
    uint64_t found = 0;

    if (need.need == 0 || at < x->chunk ||
        (at + need.within > x->chunk_end &&
         (x->chunk_end < x->text.len || (x->growing && !x->ended))))
        return true;
    for (unsigned left = need.need; left != 0; left &= left - 1) {
        unsigned k = (unsigned)__builtin_ctz(left);

        found |= places->class[block][k] >> bit;
        found |= bit == 0 ? 0 : places->class[block + 1][k] << (64 - bit);
    }
    return (found << (64 - need.within)) != 0;
}

void scan_push(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    struct scan_ring *r = x->s->ring;
    uint32_t slot = at % SCAN_RING, node = NO_NODE, prev = NO_NODE;
    bool used = (r->used[slot / 64] >> (slot % 64) & 1) != 0;

    if (at < x->from || at >= x->to || scan_is_dead(x, pattern) || !has_need(x, pattern, at))
        return;
    if (used && r->nodes[r->last[slot]].pattern < pattern) {
        prev = r->last[slot];
    } else if (used) {
        uint32_t i = r->first[slot];

        for (; r->nodes[i].pattern < pattern; i = r->nodes[i].next)
            prev = i;
        if (r->nodes[i].pattern == pattern)
            return;
    }
    node = take_node(x, r);
    if (node == NO_NODE)
        return;
    r->nodes[node].pattern = pattern;
    r->nodes[node].next = !used ? NO_NODE : prev == NO_NODE ? r->first[slot] : r->nodes[prev].next;
    if (prev != NO_NODE)
        r->nodes[prev].next = node;
    else
        r->first[slot] = node;
    if (r->nodes[node].next == NO_NODE)
        r->last[slot] = node;
    r->used[slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* Tries what waits at one start, and frees its nodes. */
static void try_start(struct scan_leaf *x, struct scan_ring *r, size_t at)
{
    uint32_t slot = at % SCAN_RING;

    for (uint32_t i = r->first[slot]; i != NO_NODE && x->st == GW_OK; i = r->nodes[i].next)
        scan_try(x, r->nodes[i].pattern, at);
    r->nodes[r->last[slot]].next = r->free_node;
    r->free_node = r->first[slot];
}

void scan_flush(struct scan_leaf *x, size_t from, size_t to)
{
    struct scan_ring *r = x->s->ring;

    for (size_t at = from; at < to && x->st == GW_OK;) {
        uint32_t slot = at % SCAN_RING, bit = slot % 64;
        uint64_t *word = &r->used[slot / 64], left = *word >> bit << bit;
        size_t base = at - bit;

        if (to - base < 64)
            left &= (UINT64_C(1) << (to - base)) - 1;
        *word &= ~left;
        for (; left != 0 && x->st == GW_OK; left &= left - 1)
            try_start(x, r, base + (size_t)__builtin_ctzll(left));
        at = base + 64;
    }
}

void scan_ring_clear(struct scan_ring *r)
{
    memset(r->used, 0, sizeof(r->used));
    r->n_nodes = 0;
    r->free_node = NO_NODE;
}
