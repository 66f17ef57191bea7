/* dlp/rulec_parse.h - what the two halves of the pattern parser share. Private to the rule compiler. */
#ifndef DLP_RULEC_PARSE_H
#define DLP_RULEC_PARSE_H

#include "dlp/rulec_regex.h"

struct rx_parser {
    struct gw_arena *arena;
    const char *p, *end, *begin;
    unsigned depth;   /* open groups */
    unsigned n_nodes; /* made so far */
    bool nocase;
    bool top_alternatives; /* outside of any group */
    struct gw_err *err;
    enum gw_status st;
};

/* Notes the first error, at the current column. Returns NULL. */
struct rx_node *rx_fail(struct rx_parser *x, const char *what);

/* A new node; NULL after noting an error. */
struct rx_node *rx_make(struct rx_parser *x, enum rx_kind kind);

/* Appends n to list's kids. */
void rx_append(struct rx_node *list, struct rx_node *n);

bool rx_more(const struct rx_parser *x);
/* Consumes s when it comes next. */
bool rx_take(struct rx_parser *x, const char *s);

void rx_set_invert(struct bundle_set *s); /* NUL stays out */
void rx_set_fold(struct bundle_set *s);   /* ASCII letters in both cases */
/* letter: one of d D w W s S. */
void rx_set_add_class(struct bundle_set *s, char letter);
bool rx_is_class_letter(char c);

/* The character that an escape (behind its backslash) stands for; -1 when it is none. */
long rx_escaped_char(struct rx_parser *x);
/* What to do instead of the escape \c. */
const char *rx_escape_advice(char c);

/* Adds to alt one sequence of byte sets for the characters lo..hi, whose encodings have one length and
 * vary like digits do. */
bool rx_add_utf8_sequence(struct rx_parser *x, struct rx_node *alt, uint32_t lo, uint32_t hi);

/* Parses what follows [. */
struct rx_node *rx_parse_class(struct rx_parser *x);

#endif
