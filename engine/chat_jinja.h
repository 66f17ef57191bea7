/* engine/chat_jinja.h - the part of Jinja that chat templates use.
 *
 * A template is parsed once into a tree and rendered for each prompt. It comes from a model file, so it
 * is bounded: size, nodes and nesting when parsed; work, memory and output when rendered. What is not
 * understood is refused when parsed (GW_EUNSUPPORTED), so that a fallback can be chosen at once.
 * The reference is the environment that models' makers test with: Jinja2, sandboxed, trim_blocks and lstrip_blocks on,
 * break and continue, tojson, strftime_now and raise_exception. Left out on purpose: inheritance, imports, recursive loops,
 * escaping (safe returns what it got), changes of case beyond ASCII.
 * A parsed template is immutable: any number of threads may render it. Private to engine/chat*. */
#ifndef ENGINE_CHAT_JINJA_H
#define ENGINE_CHAT_JINJA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "engine/chat_sink.h"
#include "engine/engine.h"

enum {
    JINJA_MAX_TEMPLATE_BYTES = 256 << 10,
    JINJA_MAX_NODES = 20000,
    JINJA_MAX_DEPTH = 64,              /* nested tags and parentheses */
    JINJA_MAX_WORK = 20 * 1000 * 1000, /* nodes evaluated, and bytes handled / 16 */
};

struct jinja;

/* What a template sees. */
struct jinja_input {
    const struct engine_message *messages;
    unsigned n_messages;
    bool add_generation_prompt;
    struct gw_span bos, eos; /* texts of the tokens, or empty */
    struct gw_span
        vars; /* a JSON object whose members are names, too; or empty. Its strings are user text */
    int64_t now; /* s since 1970 for strftime_now(); 0: the clock */
};

/* Parses text, which is copied. GW_EPARSE, GW_EUNSUPPORTED: the message has the line; GW_ELIMIT,
 * GW_ENOMEM. */
enum gw_status jinja_parse(struct gw_span text, struct jinja **out, struct gw_err *err);
void jinja_free(struct jinja *j); /* j may be NULL */

/* Appends the rendered text to sink. GW_EINVAL: the template called raise_exception(), its words are in
 * err; GW_EUNSUPPORTED: an operation on values that it does not fit, or one that we lack; GW_ELIMIT,
 * GW_ENOMEM. */
enum gw_status jinja_render(const struct jinja *j, const struct jinja_input *in,
                            struct chat_sink *sink, struct gw_err *err);

/* ---- the tree, shared by chat_parse.c and chat_eval*.c -------------------------------------------- */

enum jinja_kind {
    /* Statements. body and other are lists through next. */
    JINJA_TEXT,   /* text */
    JINJA_OUTPUT, /* a: expression */
    JINJA_IF,     /* a: condition, b: body, c: else (a list; elif is an if in it) */
    JINJA_FOR,    /* text: variable, a: names after the first (NAME nodes), b: body, c: else,
                        d: iterable, e: condition or NULL */
    JINJA_SET,    /* a: target (NAME, ATTR, or a LIST of them), b: value; or c: body of a block set,
                        and b: filters around CAPTURED, or NULL */
    JINJA_MACRO,  /* text: name, a: parameters (NAME, a: default or NULL), b: body */
    JINJA_WITH,   /* a: names (KEYWORD), b: body */
    JINJA_FILTERED,   /* a: filters around CAPTURED, b: body */
    JINJA_CALL_BLOCK, /* a: call, b: a MACRO without a name */
    JINJA_BREAK,
    JINJA_CONTINUE,
    /* Expressions. */
    JINJA_STRING,   /* text */
    JINJA_INT,      /* number */
    JINJA_FLOAT,    /* text */
    JINJA_CAPTURED, /* what the block around it gathered */
    JINJA_BOOL,     /* number */
    JINJA_NONE,
    JINJA_NAME,      /* text */
    JINJA_LIST,      /* a: items through next; number: it is a tuple */
    JINJA_DICT,      /* a: keys through next; each key's b is its value */
    JINJA_ATTR,      /* a: object, text: name */
    JINJA_INDEX,     /* a: object, b: index */
    JINJA_SLICE,     /* a: object, b, c, d: start, stop, step, each may be NULL */
    JINJA_CALL,      /* a: function, b: arguments through next; a named one is a KEYWORD */
    JINJA_KEYWORD,   /* text: name, a: value */
    JINJA_FILTER,    /* a: value, text: name, b: arguments */
    JINJA_TEST,      /* a: value, text: name, b: argument or NULL; number: negated */
    JINJA_NOT,       /* a */
    JINJA_NEGATE,    /* a */
    JINJA_AND,       /* a, b */
    JINJA_OR,        /* a, b */
    JINJA_BINARY,    /* op, a, b */
    JINJA_CONDITION, /* a if b else c (may be NULL) */
};

enum jinja_op {
    JINJA_OP_ADD,
    JINJA_OP_SUB,
    JINJA_OP_MUL,
    JINJA_OP_DIV, /* floor division */
    JINJA_OP_FRACTION,
    JINJA_OP_MOD,
    JINJA_OP_POWER,
    JINJA_OP_CONCAT,
    JINJA_OP_EQ,
    JINJA_OP_NE,
    JINJA_OP_LT,
    JINJA_OP_LE,
    JINJA_OP_GT,
    JINJA_OP_GE,
    JINJA_OP_IN,
    JINJA_OP_NOT_IN,
};

struct jinja_node {
    enum jinja_kind kind;
    enum jinja_op op;
    unsigned line;
    struct gw_span text;
    int64_t number;
    struct jinja_node *a, *b, *c, *d, *e, *next;
};

struct jinja {
    struct gw_arena *arena; /* holds the template, the tree and unescaped literals */
    struct jinja_node *body;
};

#endif
