/* engine/grammar_make.h - a grammar under construction. Private to engine/grammar*.
 *
 * Failures stick: the first one is kept in status and err, everything after it does nothing and returns state 0. */
#ifndef ENGINE_GRAMMAR_MAKE_H
#define ENGINE_GRAMMAR_MAKE_H

#include "base/buf.h"
#include "base/json_tree.h"
#include "engine/grammar.h"

/* Rules that every grammar begins with. */
struct grammar_common {
    uint32_t pop, fail;
    uint32_t
        gap; /* white space between two tokens of JSON: none, a space, or a new line with its indentation */
    uint32_t string; /* any; its length is counted when registers are set */
    uint32_t number, integer, boolean, null;
    uint32_t value, object, array; /* any */
    struct dfa
        any_key; /* a string whose characters are each written in the one way that canonical JSON has */
};

struct gmake {
    struct gw_arena *arena;   /* the grammar's */
    struct gw_arena *scratch; /* for automata being made; reset by gmake_dfa */
    struct engine_grammar *g;
    uint32_t cap_states, n_dfas, cap_dfas, n_counts, cap_counts, n_properties, cap_properties,
        n_objects, cap_objects;
    struct grammar_common common;
    uint64_t work; /* of all automata */
    enum gw_status status;
    struct gw_err *err;
};

/* Keeps the first failure; returns it. */
enum gw_status gmake_fail(struct gmake *m, enum gw_status st);
enum gw_status gmake_no_memory(struct gmake *m);

uint32_t gmake_state(struct gmake *m, enum grammar_op op, uint32_t a, uint32_t b);
uint32_t gmake_byte(struct gmake *m, uint8_t byte, uint32_t next);
/* The text, then next. */
uint32_t gmake_text(struct gmake *m, struct gw_span text, uint32_t next);
/* One of the list, which may hold GRAMMAR_NONE; FAIL when there is none. */
uint32_t gmake_either(struct gmake *m, const uint32_t *list, size_t n);
uint32_t gmake_counted(struct gmake *m, struct grammar_counts counts, uint32_t next);
/* White space, then next. */
uint32_t gmake_gap(struct gmake *m, uint32_t next);
/* Gives a state that was made as a place holder its meaning: state `at` becomes `to`. */
void gmake_become(struct gmake *m, uint32_t at, uint32_t to);

/* The automaton as states; FAIL when it accepts nothing. d is copied. Resets scratch. */
uint32_t gmake_dfa(struct gmake *m, const struct dfa *d);
/* The same for one that ends the whole answer: nothing comes behind it. */
uint32_t gmake_last_dfa(struct gmake *m, const struct dfa *d);
/* Makes part f of n, which lives in scratch, an automaton and its states. */
uint32_t gmake_nfa(struct gmake *m, const struct nfa *n, struct nfa_frag f);
/* A new object; *index is set. The pointer is good until the next object. */
struct grammar_object *gmake_object(struct gmake *m, uint32_t *index);
void gmake_property(struct gmake *m, struct grammar_object *o, struct grammar_property p);

/* ---- grammar_json.c ---- */

/* The rules of struct grammar_common. */
void gmake_common(struct gmake *m);
/* '[' item, item ']' with so many items; prefix[n_prefix] begin it, `rest` (or GRAMMAR_NONE) are all behind them. */
uint32_t gmake_array(struct gmake *m, const uint32_t *prefix, uint32_t n_prefix, uint32_t rest,
                     struct grammar_counts counts);
/* ": value" of a member, then next. */
uint32_t gmake_member(struct gmake *m, uint32_t value, uint32_t next);
/* A member of any name but those in names[n] (decoded), without its value. Resets scratch. */
uint32_t gmake_other_key(struct gmake *m, const struct gw_span *names, size_t n, uint32_t next);
/* A string as canonical JSON writes it, quotes included. */
void grammar_write_string(struct gw_buf *out, struct gw_span text);
/* Parts for the characters of [lo, hi] inside of a JSON string: raw where that is allowed, else escaped. */
struct nfa_frag grammar_json_chars(struct nfa *n, uint32_t lo, uint32_t hi);

/* ---- grammar_pattern.c, grammar_regex.c ---- */

/* A regular expression: the subset of ECMA 262 without look-around, back references and word borders. json: it is met by
 * a JSON string (quotes included) of min to max characters in which it is found somewhere; else by the whole text. GW_EPARSE,
 * GW_EUNSUPPORTED, GW_ELIMIT, GW_ENOMEM. Memory is the arena's. */
struct grammar_pattern {
    struct gw_span text;
    bool json;
    uint32_t min, max; /* of a JSON string; GRAMMAR_NO_LIMIT */
};
enum gw_status grammar_regex(const struct grammar_pattern *p, struct gw_arena *arena,
                             struct dfa *out, struct gw_err *err);
/* The part of n that the text describes, anchors and all; for grammar_regex and tests. */
enum gw_status grammar_regex_parse(struct nfa *n, struct gw_span text, bool json,
                                   struct nfa_frag *out, struct gw_err *err);

/* ---- grammar_number.c ---- */

/* A pattern for whole numbers of [lo, hi] as canonical JSON writes them; NULL bounds are open. */
void grammar_integer_pattern(const int64_t *lo, const int64_t *hi, struct gw_buf *out);
/* The same for numbers with a fraction and no exponent; the bounds are exclusive when the flags say so. */
void grammar_number_pattern(const int64_t *lo, const int64_t *hi, bool above, bool below,
                            struct gw_buf *out);

/* ---- grammar_schema.c ---- */

/* The rule of a JSON Schema, with the order and closedness that f demands. */
uint32_t gmake_schema(struct gmake *m, struct gw_span text, const struct engine_format *f);

#endif
