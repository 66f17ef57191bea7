/* engine/grammar_nfa.c - parts of byte automata put together. See grammar_dfa.h. Pure; one thread at a time. */
#include <string.h>

#include "engine/grammar_dfa_private.h"

void nfa_init(struct nfa *n, struct gw_arena *arena)
{
    *n = (struct nfa){.arena = arena};
}

/* A new node; 0 (and full) when there is no room. */
static uint32_t add_node(struct nfa *n, enum nfa_kind kind)
{
    if (n->full || n->n >= NFA_MAX_NODES) {
        n->full = true;
        return 0;
    }
    if (n->n == n->cap) {
        uint32_t cap = n->cap == 0 ? 64 : n->cap * 2;
        struct nfa_node *nodes =
            gw_arena_grow(n->arena, n->nodes, n->cap * sizeof(*nodes), cap * sizeof(*nodes));

        if (nodes == NULL) {
            n->full = true;
            return 0;
        }
        n->nodes = nodes;
        n->cap = cap;
    }
    n->nodes[n->n] = (struct nfa_node){.kind = kind, .a = NFA_OPEN, .b = NFA_OPEN};
    return n->n++;
}

static void join(struct nfa *n, uint32_t from, uint32_t to)
{
    if (!n->full)
        n->nodes[from].a = to;
}

struct nfa_frag nfa_empty(struct nfa *n)
{
    uint32_t at = add_node(n, NFA_PASS);

    return (struct nfa_frag){at, n->n, at, at};
}

struct nfa_frag nfa_range(struct nfa *n, uint8_t lo, uint8_t hi)
{
    uint32_t at = add_node(n, NFA_RANGE), out = add_node(n, NFA_PASS);

    if (!n->full) {
        n->nodes[at].lo = lo;
        n->nodes[at].hi = hi;
        n->nodes[at].a = out;
    }
    return (struct nfa_frag){at, n->n, at, out};
}

struct nfa_frag nfa_text(struct nfa *n, struct gw_span text)
{
    struct nfa_frag f = nfa_empty(n);

    for (size_t i = 0; i < text.len && !n->full; i++)
        f = nfa_then(n, f, nfa_range(n, (uint8_t)text.ptr[i], (uint8_t)text.ptr[i]));
    return f;
}

struct nfa_frag nfa_then(struct nfa *n, struct nfa_frag a, struct nfa_frag b)
{
    join(n, a.out, b.start);
    return (struct nfa_frag){a.first, n->n, a.start, b.out};
}

struct nfa_frag nfa_or(struct nfa *n, struct nfa_frag a, struct nfa_frag b)
{
    uint32_t fork = add_node(n, NFA_FORK), out = add_node(n, NFA_PASS);

    if (n->full)
        return (struct nfa_frag){0};
    n->nodes[fork].a = a.start;
    n->nodes[fork].b = b.start;
    join(n, a.out, out);
    join(n, b.out, out);
    return (struct nfa_frag){a.first, n->n, fork, out};
}

struct nfa_frag nfa_star(struct nfa *n, struct nfa_frag a)
{
    uint32_t fork = add_node(n, NFA_FORK), out = add_node(n, NFA_PASS);

    if (n->full)
        return (struct nfa_frag){0};
    n->nodes[fork].a = a.start;
    n->nodes[fork].b = out;
    join(n, a.out, fork);
    return (struct nfa_frag){a.first, n->n, fork, out};
}

struct nfa_frag nfa_maybe(struct nfa *n, struct nfa_frag a)
{
    uint32_t fork = add_node(n, NFA_FORK), out = add_node(n, NFA_PASS);

    if (n->full)
        return (struct nfa_frag){0};
    n->nodes[fork].a = a.start;
    n->nodes[fork].b = out;
    join(n, a.out, out);
    return (struct nfa_frag){a.first, n->n, fork, out};
}

/* A second copy of nodes [model.first, model.end) behind all others. Made before anything is joined behind the model. */
static struct nfa_frag copy(struct nfa *n, const struct nfa_node *nodes, struct nfa_frag model)
{
    uint32_t by = n->n - model.first;

    for (uint32_t i = model.first; i < model.end && !n->full; i++) {
        uint32_t at = add_node(n, NFA_PASS);

        if (n->full)
            break;
        n->nodes[at] = nodes[i - model.first];
        if (n->nodes[at].a != NFA_OPEN)
            n->nodes[at].a += by;
        if (n->nodes[at].b != NFA_OPEN)
            n->nodes[at].b += by;
    }
    return (struct nfa_frag){model.first + by, model.end + by, model.start + by, model.out + by};
}

/* a{0,max - min} behind a{min}: nested, so that leaving is possible after each. */
static struct nfa_frag add_optional(struct nfa *n, const struct nfa_node *nodes,
                                    struct nfa_frag model, struct nfa_frag done, uint32_t count)
{
    uint32_t out = add_node(n, NFA_PASS);

    for (uint32_t i = 0; i < count && !n->full; i++) {
        uint32_t fork = add_node(n, NFA_FORK);
        struct nfa_frag f = copy(n, nodes, model);

        if (n->full)
            break;
        join(n, done.out, fork);
        n->nodes[fork].a = f.start;
        n->nodes[fork].b = out;
        done.out = f.out;
    }
    join(n, done.out, out);
    return (struct nfa_frag){done.first, n->n, done.start, out};
}

struct nfa_frag nfa_repeat(struct nfa *n, struct nfa_frag a, uint32_t min, uint32_t max)
{
    size_t size = (a.end - a.first) * sizeof(struct nfa_node);
    struct nfa_node *nodes = n->full ? NULL : gw_arena_alloc(n->arena, size);
    struct nfa_frag done;

    if (nodes == NULL) {
        n->full = true;
        return (struct nfa_frag){0};
    }
    memcpy(nodes, n->nodes + a.first, size);
    n->n = a.first; /* copies take its place */
    done = nfa_empty(n);
    for (uint32_t i = 0; i < min && !n->full; i++)
        done = nfa_then(n, done, copy(n, nodes, a));
    if (max == UINT32_MAX)
        return n->full ? done : nfa_then(n, done, nfa_star(n, copy(n, nodes, a)));
    return add_optional(n, nodes, a, done, max - min);
}

/* ---- characters as bytes --------------------------------------------------------------------- */

static unsigned encode(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (uint8_t)(0xC0 | cp >> 6);
        out[1] = (uint8_t)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (uint8_t)(0xE0 | cp >> 12);
        out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | cp >> 18);
    out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (cp & 0x3F));
    return 4;
}

/* Where the part of [lo, hi] ends that is a product of byte ranges: characters of one length whose last bytes run
 * through all values behind the first byte that differs. */
static uint32_t product_end(uint32_t lo, uint32_t hi)
{
    static const uint32_t last_of_length[] = {0x7F, 0x7FF, 0xD7FF, 0xFFFF};

    for (size_t i = 0; i < sizeof(last_of_length) / sizeof(last_of_length[0]); i++)
        if (lo <= last_of_length[i] && hi > last_of_length[i])
            hi = last_of_length[i];
    for (uint32_t low = 0x3F; low < 0x200000 && hi >= 0x80; low = low << 6 | 0x3F) {
        if ((lo & ~low) == (hi & ~low))
            break;
        if ((lo & low) != 0)
            return lo | low; /* up to where these bits begin anew */
        if ((hi & low) != low)
            hi = (hi & ~low) - 1;
    }
    return hi;
}

struct nfa_frag nfa_chars(struct nfa *n, uint32_t lo, uint32_t hi)
{
    struct nfa_frag all = {0};
    bool any = false;

    while (lo <= hi && !n->full) {
        uint8_t from[4] = {0}, to[4] = {0};
        struct nfa_frag f;
        uint32_t end;
        unsigned len;

        if (lo >= 0xD800 && lo <= 0xDFFF) {
            lo = 0xE000;
            continue;
        }
        end = product_end(lo, hi);
        len = encode(lo, from);
        (void)encode(end, to);
        f = nfa_range(n, from[0], to[0]);
        for (unsigned i = 1; i < len; i++)
            f = nfa_then(n, f, nfa_range(n, from[i], to[i]));
        all = any ? nfa_or(n, all, f) : f;
        any = true;
        lo = end + 1;
    }
    return all;
}
