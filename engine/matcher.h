/* engine/matcher.h - where an answer stands in its grammar: a set of stacks, moved on byte by byte.
 *
 * Several stacks are alive when the bytes so far can be read in several ways. Stacks are lists of shared nodes and sets of
 * stacks have numbers, so that a byte from a set that was seen is one look into a table. Everything is bounded: when a
 * table is full what is not alive is forgotten, and a set of too many stacks fails the matcher, for good.
 * Invariant (M1): every set that is not DEAD can be completed to an answer that the grammar allows. One thread at a
 * time. */
#ifndef ENGINE_MATCHER_H
#define ENGINE_MATCHER_H

#include "engine/grammar.h"

enum {
    MATCHER_DEAD = 0,          /* the set of no stack: nothing fits */
    MATCHER_MAX_STACKS = 1024, /* in a set */
    /* Bottoms of stacks, in place of a node. */
    MATCHER_ROOT = 0,    /* below is nothing: the answer is complete */
    MATCHER_UNKNOWN = 1, /* below is something that was left open, see matcher_open */
};

struct matcher_frame {
    uint32_t state;
    uint32_t need, left;
    uint32_t zero; /* so that frames are compared as bytes */
    uint64_t seen[GRAMMAR_MAX_PROPERTIES / 64];
};

struct matcher_node {
    struct matcher_frame frame;
    uint32_t parent; /* node, or a bottom */
    uint32_t depth;  /* nodes below it */
    uint32_t next;   /* in its hash bucket */
    uint32_t round;  /* of the closure that met it last */
};

struct matcher_set {
    uint32_t first, n; /* stacks[first, first + n): nodes on top, sorted */
    uint32_t next;     /* in its hash bucket */
    bool done;         /* the answer may end here */
    bool opened;       /* an UNKNOWN bottom was reached */
    uint32_t *row;     /* [256]: set behind each byte + 1, 0: not known; NULL: none is */
};

struct matcher {
    struct engine_grammar *g; /* a reference */
    struct matcher_node *nodes;
    struct matcher_set *sets;
    uint32_t *stacks;
    uint32_t *node_buckets, *set_buckets;
    uint32_t n_nodes, n_sets, n_stacks;
    uint32_t *work, *found; /* of a closure */
    uint32_t n_work, n_found, round, steps;
    bool done, opened;
    uint32_t at; /* the set where the answer stands */
    bool failed; /* too many stacks, or out of memory */
};

/* A matcher at the beginning of an answer. spaced: the first byte may be a space more than the grammar says. NULL: out of
 * memory. */
struct matcher *matcher_new(struct engine_grammar *g, bool spaced);
void matcher_free(struct matcher *m); /* m may be NULL */

/* The set behind a byte; MATCHER_DEAD when it does not fit. Does not move. */
uint32_t matcher_step(struct matcher *m, uint32_t set, unsigned char byte);
/* Moves on by some bytes. False: they do not fit, and nothing has moved; or it failed. */
bool matcher_accept(struct matcher *m, struct gw_span bytes);
/* True when the answer may end here. */
bool matcher_done(const struct matcher *m);
/* True when the answer can do nothing but end here. */
bool matcher_over(const struct matcher *m);
/* The bytes that must come, as long as there is only one way: at most max. Does not move. Returns how many. */
size_t matcher_forced(struct matcher *m, char *out, size_t max);

/* Forgets what is not alive when tables are more than half full. Numbers of sets but `at` are of no more use after it. */
void matcher_tidy(struct matcher *m);
/* The set of the one stack of a frame on UNKNOWN, for what holds whatever is below. */
uint32_t matcher_open(struct matcher *m, const struct matcher_frame *frame);
/* The set that is left when a node's rule is complete. */
uint32_t matcher_below(struct matcher *m, uint32_t node);

#endif
