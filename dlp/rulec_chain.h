/* dlp/rulec_chain.h - a pattern cut into steps that need no backtracking. Private to the rule compiler.
 *
 * A counted repeat of one byte set is a loop of a few instructions, but hundreds of states in an
 * automaton (STYLE.md 8.1). So a pattern becomes alternatives, each a chain of steps; a step is either an
 * automaton or such a loop. That is exact only where each step's longest match is the only one that
 * the rest can follow: rulec_nfa.c decides it. A run that fails is tried in all its lengths (at most two
 * in a chain); other steps that fail are joined into one automaton. */
#ifndef DLP_RULEC_CHAIN_H
#define DLP_RULEC_CHAIN_H

#include "dlp/interp.h"
#include "dlp/rulec_regex.h"

struct rx_step {
    struct rx_node *dfa;                /* matched by an automaton, or NULL: a run */
    const struct interp_dfa *automaton; /* of dfa; in the chain's arena */
    struct bundle_set ext; /* bytes with which some match of dfa continues to a longer one */
    struct bundle_set set; /* run: of these bytes, */
    int min, max;          /* this many; max may be RX_INFINITE */
    bool all_lengths;      /* run: the longest may take what the rest needs, so try them all */
    int memo; /* run: remembers how far it went in this memo of the pattern; -1: does not */
};

struct rx_chain {
    struct rx_step *steps;
    unsigned n_steps;
    unsigned secret_from, secret_to; /* the reported part is steps [from, to) */
};

/* Cuts p into chains; the longest match of any counts. GW_EINVAL with what cannot be decided without
 * backtracking; GW_ELIMIT; GW_ENOMEM. Arrays live in arena. */
enum gw_status rx_chains(struct gw_arena *arena, const struct rx_pattern *p, struct rx_chain **out,
                         unsigned *n_out, struct gw_err *err);

/* Makes chains a program of the interpreter that lives in arena. GW_ENOMEM. */
enum gw_status rx_program(struct gw_arena *arena, const struct rx_chain *chains, unsigned n,
                          struct interp_program *out, struct gw_err *err);

/* Copies a program into arena; *n_memos: how many memos it has. False: out of memory. */
bool rx_program_copy(struct gw_arena *arena, const struct interp_program *from,
                     struct interp_program *out, unsigned *n_memos);

/* Makes n an automaton without choices, whose tables live in arena. *ext: the bytes with which some match of n continues to
 * a longer match of n. *work: how many words of sets it may join, less those it did. GW_ELIMIT when n is too large for one or
 * takes more work; GW_ENOMEM. */
enum gw_status rx_automaton(const struct rx_node *n, struct gw_arena *arena, uint64_t *work,
                            struct bundle_set *ext, struct interp_dfa *out, struct gw_err *err);

#endif
