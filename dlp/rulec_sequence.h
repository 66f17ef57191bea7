/* dlp/rulec_sequence.h - a pattern written out as byte sets with gaps between them. Private to rulec_anchor.c, rulec_choice.c and
 * rulec_sequel.c. */
#ifndef DLP_RULEC_SEQUENCE_H
#define DLP_RULEC_SEQUENCE_H

#include "dlp/rulec_anchor.h"

enum {
    RULEC_MAX_ELEMENTS = 40,
    RULEC_MAX_FOLDED = 4, /* characters of a place whose groups of four are looked up */
};

enum element_kind { ELEMENT_SET, ELEMENT_GAP, ELEMENT_RUN };

struct element {
    enum element_kind kind;
    struct bundle_set set;                      /* GAP: what it may hold */
    double often;                               /* SET, GAP: rulec_set_frequency */
    double share[RULEC_KINDS];                  /* SET: of each kind's bytes those in it */
    uint8_t value, mask;                        /* SET: rulec_common_bits */
    uint8_t folded[RULEC_MAX_FOLDED], n_folded; /* SET: its bytes without case; 0: more than that */
    unsigned n_bytes;                           /* SET: bytes without case */
    long min, max;                              /* GAP: width; RUN: min bytes, and no width */
    bool is_loop;                               /* GAP: any bytes of its set will do */
    unsigned n_users, user; /* sequences that have chosen what begins here, and the last of them */
    bool is_needed;         /* it was tried to do without it */
};

struct sequence {
    struct element *e[RULEC_MAX_ELEMENTS];
    unsigned n;
};

struct sequences {
    struct sequence **s;
    unsigned n, cap;
};

/* Writes root out; false when out of memory. What it makes lives in arena. */
bool rulec_sequences(struct gw_arena *arena, const struct rx_node *root, struct sequences *out);

/* What stands behind the window that begins at element i. */
void rulec_sequel_of(const struct sequence *s, unsigned i, struct rulec_sequel *out);
/* Makes a stand for b, too. */
void rulec_sequel_widen(struct rulec_sequel *a, const struct rulec_sequel *b);
/* When a has all that it stands for. */
void rulec_sequel_finish(struct rulec_sequel *a);

#endif
