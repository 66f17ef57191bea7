/* engine/grammar_dfa_private.h - nodes of byte automata, shared by grammar_nfa.c and grammar_dfa.c. */
#ifndef ENGINE_GRAMMAR_DFA_PRIVATE_H
#define ENGINE_GRAMMAR_DFA_PRIVATE_H

#include "engine/grammar_dfa.h"

enum nfa_kind {
    NFA_PASS,  /* on to a, without a byte */
    NFA_RANGE, /* a byte of [lo, hi], then a */
    NFA_FORK,  /* on to a or b */
};

#define NFA_OPEN UINT32_MAX /* not joined to anything yet: where the whole ends */

#endif
