/* engine/chat_parse.h - what the two halves of the template parser share. Private to engine/chat_parse*.
 *
 * Recursive descent, one function a level of precedence; nesting is counted and bounded. The first error
 * sticks: later calls see LEX_END and return the empty node, which nobody may change, and
 * jinja_parse() tells the error once. */
#ifndef ENGINE_CHAT_PARSE_H
#define ENGINE_CHAT_PARSE_H

#include "engine/chat_jinja.h"
#include "engine/chat_lex.h"

struct parser {
    struct lexer lexer;
    struct lex_token now; /* the token at hand */
    struct jinja *j;
    struct jinja_node *empty; /* stands for what could not be parsed */
    unsigned depth, n_nodes;
    unsigned loops; /* open for-tags */
    enum gw_status status;
    struct gw_err *err;
};

void parse_fail(struct parser *p, enum gw_status code, const char *what);
void parse_next(struct parser *p);

/* A new node with the line and text of the token at hand, or p->empty after an error. */
struct jinja_node *parse_node(struct parser *p, enum jinja_kind kind);
struct jinja_node *parse_wrap(struct parser *p, enum jinja_kind kind, struct jinja_node *a,
                              struct jinja_node *b);

/* One level deeper; false (and failed) when that is too deep. Leave with p->depth--. */
bool parse_enter(struct parser *p);

bool parse_is_symbol(const struct parser *p, const char *symbol);
bool parse_is_word(const struct parser *p, const char *word);
bool parse_take_symbol(struct parser *p, const char *symbol);
bool parse_take_word(struct parser *p, const char *word);
void parse_expect_symbol(struct parser *p, const char *symbol);

/* A NAME node of the name at hand. */
struct jinja_node *parse_name(struct parser *p);

/* A primary with its attributes, indexes and calls: what may be assigned to. */
struct jinja_node *parse_target(struct parser *p);

/* or and not comparisons ...: what stands behind "in" of a for-tag, where "if" means a filter. */
struct jinja_node *parse_operators(struct parser *p);

/* A whole expression, with a if b else c. */
struct jinja_node *parse_expression(struct parser *p);

/* The same, or several with commas between them: a tuple. */
struct jinja_node *parse_tuple(struct parser *p);

/* "| name(args)" any number of times behind value; and the first one without its bar. */
struct jinja_node *parse_filters(struct parser *p, struct jinja_node *value);
struct jinja_node *parse_first_filter(struct parser *p, struct jinja_node *value);

#endif
