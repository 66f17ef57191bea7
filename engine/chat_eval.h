/* engine/chat_eval.h - between the interpreter and the functions it offers. Private to engine/chat*. */
#ifndef ENGINE_CHAT_EVAL_H
#define ENGINE_CHAT_EVAL_H

#include "engine/chat_jinja.h"
#include "engine/chat_value.h"

/* Names in force, newest first: a loop puts its own in front and takes them away again. */
struct jscope {
    struct gw_span name;
    struct jval value;
    struct jscope *next;
    bool border; /* nothing: marks where the names of a loop end */
};

/* Computes an expression; undefined after a failure. */
struct jval jinja_eval(struct jrun *r, const struct jinja_node *n);

enum { JINJA_MAX_ARGS = 8 };

struct jinja_args {
    struct jval values[JINJA_MAX_ARGS];
    struct gw_span names[JINJA_MAX_ARGS]; /* empty: given by place */
    unsigned n;
};

/* The argument at a place, or of a name; undefined when it was not given. name may be NULL. */
struct jval jinja_arg(const struct jinja_args *args, unsigned place, const char *name);

/* value | name(args). Unknown names fail here and not in jinja_parse(): templates are full of branches for
 * tools that a conversation never takes. The same holds for methods and tests. */
struct jval jinja_filter(struct jrun *r, struct gw_span name, struct jval value,
                         const struct jinja_args *args);
/* value.name(args) of strings and dicts */
struct jval jinja_method(struct jrun *r, struct gw_span name, struct jval value,
                         const struct jinja_args *args);
/* value is name(argument) */
bool jinja_test(struct jrun *r, struct gw_span name, struct jval value, struct jval argument);

#endif
