/* engine/grammar.h - what an answer may look like, as an automaton over bytes with a stack.
 *
 * A grammar is made of a JSON Schema, of a regular expression, of "some JSON object" or of a list of callable tools.
 * All of them come from clients, so everything is bounded before it is allocated, and what a grammar cannot say is
 * refused by the name of the keyword and the place where it stands (a JSON pointer), never dropped.
 *
 * A grammar is a list of states. The matcher (matcher.h) holds stacks of frames: a state and the registers of
 * its container (items or characters still needed and still allowed; members seen).
 * Invariants: (G1) every state that is offered can be finished with at most `height` more frames, so that an answer
 * never gets stuck; (G2) the first N_COMMON states are the same in every grammar (grammar_json.c), so that what was
 * computed for them is shared. Immutable once made, with a reference count: any number of threads may use it. */
#ifndef ENGINE_GRAMMAR_H
#define ENGINE_GRAMMAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "engine/engine.h"
#include "engine/grammar_dfa.h"

enum {
    GRAMMAR_MAX_SCHEMA_BYTES = 256 << 10,
    GRAMMAR_MAX_STATES = 200000,
    GRAMMAR_MAX_RULES = 5000,      /* different places of a schema, alternatives multiplied out */
    GRAMMAR_MAX_PROPERTIES = 256,  /* of one object */
    GRAMMAR_MAX_MEMORY = 24 << 20, /* bytes, while it is being made */
    GRAMMAR_MAX_WORK = 6000000,    /* of all automata together, see DFA_MAX_WORK */
    GRAMMAR_MAX_HEIGHT = 128,      /* frames on a stack */
};
#define GRAMMAR_NO_LIMIT UINT32_MAX
#define GRAMMAR_NONE     UINT32_MAX /* no state */

enum grammar_op {
    GRAMMAR_FAIL,  /* nothing fits here */
    GRAMMAR_POP,   /* the rule is complete */
    GRAMMAR_BYTE,  /* byte, then a */
    GRAMMAR_DFA,   /* state b of automaton a; its states are numbered in a row */
    GRAMMAR_SPLIT, /* a or b */
    GRAMMAR_CALL,  /* rule a, then b */
    GRAMMAR_SET,   /* registers from counts[b], then a */
    GRAMMAR_TAKE,  /* one more item is allowed: counts it, then a */
    GRAMMAR_DONE,  /* no item is missing: a */
    GRAMMAR_FIRST, /* objects[a]: a member, or the end */
    GRAMMAR_KEY,   /* objects[a]: a member */
    GRAMMAR_MORE,  /* objects[a]: behind a member: a comma, or the end */
};

struct grammar_state {
    uint8_t op;     /* enum grammar_op */
    uint8_t byte;   /* BYTE */
    uint8_t height; /* frames needed until the rule is complete; GRAMMAR_ENDLESS: it never is */
    bool accept;    /* DFA: the automaton may end here */
    bool last;      /* DFA: where it ends the whole answer ends */
    bool counted;   /* DFA: between two characters of a string whose length is counted */
    uint32_t a, b;
};
enum { GRAMMAR_ENDLESS = 255 };

/* `need` things are missing, `left` may still come. */
struct grammar_counts {
    uint32_t need, left;
};

struct grammar_property {
    uint32_t state; /* begins with the quote of its name */
    bool required;
};

struct grammar_object {
    uint32_t first, n;   /* properties[first, first + n) */
    uint32_t additional; /* begins any other member, or GRAMMAR_NONE */
    uint32_t comma, close;
    bool ordered; /* members come in the order of the list, others behind them */
    struct grammar_counts counts;
    uint64_t required[GRAMMAR_MAX_PROPERTIES / 64];
};

struct engine_grammar {
    atomic_uint refs;
    uint64_t uid; /* never 0, never used twice in a process */
    struct gw_arena *arena;
    struct grammar_state *states;
    uint32_t n_states, n_common; /* states [0, n_common) are the same in every grammar */
    struct dfa *dfas;
    struct grammar_counts *counts;
    struct grammar_property *properties;
    struct grammar_object *objects;
    uint32_t start;        /* rule of the whole answer */
    uint32_t start_spaced; /* the same behind one space that the tokenizer may put in front */
};

struct engine_grammar *grammar_ref(struct engine_grammar *g);

#endif
