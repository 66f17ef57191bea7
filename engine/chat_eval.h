/* engine/chat_eval.h - between the interpreter and the functions it offers. Private to engine/chat*. */
#ifndef ENGINE_CHAT_EVAL_H
#define ENGINE_CHAT_EVAL_H

#include "engine/chat_jinja.h"
#include "engine/chat_value.h"

/* Names. A new frame sees those of its parent, the frame at hand; the caller restores r->frame. NULL frames are failures. */
struct jframe *jframe_new(struct jrun *r, struct jframe *parent);
void jframe_set(struct jrun *r, struct jframe *f, struct gw_span name, struct jval value);

/* How a list of statements ended. */
enum jinja_flow { JINJA_FLOW_NEXT, JINJA_FLOW_BREAK, JINJA_FLOW_CONTINUE };
enum jinja_flow jinja_run(struct jrun *r, const struct jinja_node *statements);
/* The same with a frame of its own, and its output in *out. */
enum jinja_flow jinja_run_captured(struct jrun *r, const struct jinja_node *statements,
                                   struct jstr *out);

/* Computes an expression; undefined after a failure. */
struct jval jinja_eval(struct jrun *r, const struct jinja_node *n);

enum { JINJA_MAX_ARGS = 16 };

struct jinja_args {
    struct jval values[JINJA_MAX_ARGS];
    struct gw_span names[JINJA_MAX_ARGS]; /* empty: given by place */
    unsigned n;
};

/* The argument at a place, or of a name; undefined when it was not given. name may be NULL. */
struct jval jinja_arg(const struct jinja_args *args, unsigned place, const char *name);

/* Fills out; r fails when there are too many. */
void jinja_args(struct jrun *r, const struct jinja_node *n, struct jinja_args *out);

/* object.name(args) or f(args), for a node that is a call. caller may be NULL: an argument that is named "caller". */
struct jval jinja_call(struct jrun *r, const struct jinja_node *n, const struct jval *caller);
/* Whether there is a global function of that name. */
bool jinja_is_function(struct gw_span name);

/* a op b: + - * / // % ** of numbers, + and * of strings and lists. */
struct jval jinja_calculate(struct jrun *r, enum jinja_op op, struct jval a, struct jval b);

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
