/* engine/grammar_dfa.h - small byte automata: built from fragments, made deterministic, kept as tables.
 *
 * Patterns come from clients, so every size is bounded: nodes while building, states and steps while
 * determinising. Every state of a finished automaton can reach an accepting one, so that a text that it
 * let begin can always be ended. An automaton is immutable once made. Private to engine/grammar*. */
#ifndef ENGINE_GRAMMAR_DFA_H
#define ENGINE_GRAMMAR_DFA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum {
    NFA_MAX_NODES = 40000,
    DFA_MAX_STATES = 4000,
    DFA_MAX_WORK = 3000000, /* nodes looked at: some milliseconds */
    DFA_DEAD = 0xFFFF,      /* no such state */
};

/* A byte automaton under construction; memory is the arena's. Starts with nfa_init. Failures stick: `full` says
 * that a bound was hit or memory ran out. */
struct nfa_node {
    uint8_t kind; /* enum nfa_kind of grammar_dfa.c */
    uint8_t lo, hi;
    uint32_t a, b;
};

struct nfa {
    struct gw_arena *arena;
    struct nfa_node *nodes;
    uint32_t n, cap;
    bool full;
};

/* A part: its nodes are [first, end), entered at `start`, left through the open node `out`. */
struct nfa_frag {
    uint32_t first, end, start, out;
};

void nfa_init(struct nfa *n, struct gw_arena *arena);
struct nfa_frag nfa_empty(struct nfa *n);
struct nfa_frag nfa_range(struct nfa *n, uint8_t lo, uint8_t hi);
struct nfa_frag nfa_text(struct nfa *n, struct gw_span text);
/* The parts must have been built one after the other, a before b, with nothing between. */
struct nfa_frag nfa_then(struct nfa *n, struct nfa_frag a, struct nfa_frag b);
struct nfa_frag nfa_or(struct nfa *n, struct nfa_frag a, struct nfa_frag b);
struct nfa_frag nfa_star(struct nfa *n, struct nfa_frag a);
struct nfa_frag nfa_maybe(struct nfa *n, struct nfa_frag a);
/* max UINT32_MAX: any number. The part must be the last one built. */
struct nfa_frag nfa_repeat(struct nfa *n, struct nfa_frag a, uint32_t min, uint32_t max);
/* Any Unicode character of [lo, hi] as UTF-8, surrogates left out. */
struct nfa_frag nfa_chars(struct nfa *n, uint32_t lo, uint32_t hi);

/* A finished automaton. */
struct dfa {
    uint8_t map[256]; /* byte to class */
    unsigned n_classes;
    unsigned n_states; /* state 0 begins; 0: nothing is accepted */
    uint16_t *next;    /* [n_states][n_classes], DFA_DEAD: none */
    bool *accept;      /* [n_states] */
    uint64_t work;     /* that making it took, see DFA_MAX_WORK */
};

static inline uint16_t dfa_next(const struct dfa *d, unsigned state, unsigned char byte)
{
    return d->next[(size_t)state * d->n_classes + d->map[byte]];
}

/* Makes part f of n deterministic; memory is the arena's. GW_ELIMIT, GW_ENOMEM. */
enum gw_status dfa_from_nfa(const struct nfa *n, struct nfa_frag f, struct gw_arena *arena,
                            struct dfa *out, struct gw_err *err);

/* Follows a byte in a state of some automaton; DFA_DEAD: none. */
struct dfa_source {
    void *ctx;
    /* The state that follows `state` (its number is the source's own), or UINT64_MAX. */
    uint64_t (*step)(void *ctx, uint64_t state, unsigned char byte);
    bool (*accepts)(void *ctx, uint64_t state);
};

/* The same for any automaton that can be stepped, from its state `start`: for products. */
enum gw_status dfa_from_source(const struct dfa_source *s, uint64_t start, struct gw_arena *arena,
                               struct dfa *out, struct gw_err *err);

#endif
