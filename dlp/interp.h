/* dlp/interp.h - runs a pattern's steps without a compiler. Private to dlp.
 *
 * A program is what the rule compiler makes of a pattern (dlp/rulec_chain.h): alternatives, each a chain of counted loops
 * and automata. The compiler determinizes every automaton anyway, to prove that the chain needs no backtracking, so an
 * automaton is a complete table of bounded size: matching takes one look-up a byte, needs no memory, and any thread may do
 * it. Native matchers (rulec_match.c) are made of the same chains and find the same. */
#ifndef DLP_INTERP_H
#define DLP_INTERP_H

#include <stdbool.h>

#include "dlp/bundle_abi.h"

/* States are numbered from 1, which is the start; 0 is none. */
struct interp_dfa {
    unsigned char class_of[256]; /* bytes that all states treat alike */
    unsigned n_classes, n_states;
    const uint16_t *next;       /* of state s and class c: next[s * n_classes + c] */
    const unsigned char *flags; /* of each state: INTERP_ACCEPTS, INTERP_GOES_ON */
};

enum { INTERP_ACCEPTS = 1, INTERP_GOES_ON = 2 };

struct interp_step {
    const struct interp_dfa *dfa; /* or NULL: a run */
    struct bundle_set set;        /* run: of these bytes, */
    uint32_t min, max;            /* this many */
    int memo;                     /* run: index of its struct bundle_memo, or -1 */
    bool all_lengths;             /* run: tried in all its lengths, the longest first */
};

struct interp_chain {
    const struct interp_step *steps;
    unsigned n_steps;
    unsigned secret_from, secret_to; /* the reported part is steps [from, to) */
};

struct interp_program {
    const struct interp_chain *chains;
    unsigned n_chains;
};

/* As a bundle_match_fn: the longest match that begins at s, reading below lim only. Linear but for runs tried in all their
 * lengths, of which a chain has two at most. Thread: any. */
void interp_match(const struct interp_program *program, const unsigned char *s,
                  const unsigned char *lim, struct bundle_match *m);

#endif
