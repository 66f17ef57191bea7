/* engine/chat_call.c - calls in chat templates: the global functions, methods and macros. */
#include <stdio.h>
#include <time.h>

#include "engine/chat_eval.h"

/* ---- global functions ----------------------------------------------------------------------- */

typedef struct jval function(struct jrun *r, const struct jinja_args *args);

/* range(stop), range(start, stop), range(start, stop, step) */
static struct jval range(struct jrun *r, const struct jinja_args *args)
{
    int64_t n[3] = {0, 0, 1}, count = 0;
    bool fits = args->n >= 1 && args->n <= 3;

    for (unsigned i = 0; i < args->n && fits; i++) {
        fits = args->values[i].type == JVAL_INT && args->values[i].number <= INT32_MAX &&
               args->values[i].number >= -INT32_MAX;
        n[args->n == 1 ? 1 : i] = args->values[i].number;
    }
    if (fits && n[2] > 0 && n[1] > n[0])
        count = (n[1] - n[0] + n[2] - 1) / n[2];
    else if (fits && n[2] < 0 && n[0] > n[1])
        count = (n[0] - n[1] - n[2] - 1) / -n[2];
    if (!fits || n[2] == 0 || count > 100000) {
        jrun_fail(r, GW_EUNSUPPORTED, "range() takes one to three small numbers");
        return jval_undefined;
    }
    struct jval out = jval_list(r, (size_t)count);
    for (int64_t i = 0; r->status == GW_OK && i < count; i++)
        out.list->items[i] = jval_int(n[0] + i * n[2]);
    return out;
}

/* dict(other, name=value) */
static struct jval new_dict(struct jrun *r, const struct jinja_args *args)
{
    struct jval out = jval_dict(r);

    for (unsigned i = 0; i < args->n && r->status == GW_OK; i++) {
        if (args->names[i].len > 0) {
            jdict_set(r, out.dict, (struct jstr){args->names[i].ptr, NULL, args->names[i].len},
                      args->values[i]);
        } else if (args->values[i].type == JVAL_DICT) {
            for (const struct jentry *e = args->values[i].dict->first; e != NULL; e = e->next)
                jdict_set(r, out.dict, e->key, e->value);
        } else {
            jrun_fail(r, GW_EUNSUPPORTED, "a dict is made of names and dicts");
        }
    }
    return out;
}

static struct jval new_namespace(struct jrun *r, const struct jinja_args *args)
{
    struct jval out = new_dict(r, args);

    if (r->status == GW_OK)
        out.dict->is_namespace = true;
    return out;
}

/* The template refuses the conversation. Its words reach the caller, cut and cleaned; a message's text
 * never does. */
static struct jval raise_exception(struct jrun *r, const struct jinja_args *args)
{
    struct jval words = jinja_arg(args, 0, "message");
    char text[160] = "no reason given";

    if (words.type == JVAL_STRING && !jstr_is_user(words.string)) {
        size_t n = words.string.len < sizeof(text) - 1 ? words.string.len : sizeof(text) - 1;

        for (size_t i = 0; i < n; i++) {
            char c = words.string.ptr[i];

            text[i] = '?';
            if (c >= ' ' && c <= '~')
                text[i] = c;
        }
        text[n] = '\0';
    }
    if (r->status == GW_OK)
        r->status =
            gw_fail(r->err, GW_EINVAL, "the model's chat template refuses the messages: %s", text);
    return jval_undefined;
}

/* strftime_now(format): local time. */
static struct jval strftime_now(struct jrun *r, const struct jinja_args *args)
{
    struct jval format = jinja_arg(args, 0, "format");
    time_t now = (time_t)r->now;
    char text[256], how[128];
    struct tm t;
    size_t n;

    if (format.type != JVAL_STRING || format.string.len >= sizeof(how) ||
        localtime_r(&now, &t) == NULL) {
        jrun_fail(r, GW_EUNSUPPORTED, "strftime_now() needs a short format");
        return jval_undefined;
    }
    if (format.string.len != 0)
        memcpy(how, format.string.ptr, format.string.len);
    how[format.string.len] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* strftime() only writes what fits */
    n = strftime(text, sizeof(text), how, &t);       /* 0 also when it is too long */
#pragma GCC diagnostic pop
    struct jbuild out = {0};
    jbuild_add(r, &out, (struct jstr){text, NULL, n});
    return jval_string(jbuild_done(&out));
}

static const struct {
    const char *name;
    function *f;
} functions[] = {
    {"range", range},
    {"dict", new_dict},
    {"namespace", new_namespace},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
};

static function *function_of(struct gw_span name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (gw_span_is(name, functions[i].name))
            return functions[i].f;
    return NULL;
}

bool jinja_is_function(struct gw_span name)
{
    return function_of(name) != NULL;
}

/* ---- macros --------------------------------------------------------------------------------- */

static const struct jinja_node *parameter(const struct jinja_node *macro, struct gw_span name)
{
    const struct jinja_node *p = macro->a;

    while (p != NULL && !gw_span_eq(p->text, name))
        p = p->next;
    return p;
}

/* Sets the parameters in the frame at hand, defaults last: they may use those before them. */
static void bind(struct jrun *r, const struct jinja_node *macro, const struct jinja_args *args)
{
    struct jval more = jval_list(r, args->n), named = jval_dict(r);
    const struct jinja_node *p = macro->a;
    size_t n_more = 0;

    for (unsigned i = 0; i < args->n && r->status == GW_OK; i++) {
        struct gw_span name = args->names[i];

        if (name.len == 0 && p == NULL) {
            more.list->items[n_more++] = args->values[i];
        } else if (name.len == 0 && p != NULL) {
            jframe_set(r, r->frame, p->text, args->values[i]);
            p = p->next;
        } else if (parameter(macro, name) != NULL || gw_span_is(name, "caller")) {
            jframe_set(r, r->frame, name, args->values[i]);
        } else {
            jdict_set(r, named.dict, (struct jstr){name.ptr, NULL, name.len}, args->values[i]);
        }
    }
    for (; p != NULL && r->status == GW_OK; p = p->next) {
        bool given = false;

        for (unsigned i = 0; i < args->n; i++)
            given = given || gw_span_eq(args->names[i], p->text);
        if (!given)
            jframe_set(r, r->frame, p->text, p->a == NULL ? jval_undefined : jinja_eval(r, p->a));
    }
    if (r->status != GW_OK)
        return;
    more.list->n = n_more;
    more.list->tuple = true;
    jframe_set(r, r->frame, GW_SPAN("varargs"), more);
    jframe_set(r, r->frame, GW_SPAN("kwargs"), named);
}

static struct jval call_macro(struct jrun *r, const struct jmacro *m, const struct jinja_args *args)
{
    struct jframe *before = r->frame;
    struct jstr out = {NULL, NULL, 0};

    r->frame = jframe_new(r, m->frame);
    if (r->frame != NULL) {
        if (m->node->text.len != 0) /* a macro without a name keeps its caller's caller */
            jframe_set(r, r->frame, GW_SPAN("caller"), jval_undefined);
        bind(r, m->node, args);
        (void)jinja_run_captured(r, m->node->b, &out);
    }
    r->frame = before;
    return jval_string(out);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static struct jval call_value(struct jrun *r, struct jval f, const struct jinja_args *args)
{
    if (f.type == JVAL_FUNCTION)
        return function_of(jstr_span(f.string))(r, args);
    if (f.type == JVAL_METHOD)
        return jinja_method(r, f.bound->name, f.bound->object, args);
    if (f.type == JVAL_MACRO)
        return call_macro(r, f.macro, args);
    jrun_fail(r, GW_EUNSUPPORTED, "a function is not supported");
    return jval_undefined;
}

struct jval jinja_call(struct jrun *r, const struct jinja_node *n, const struct jval *caller)
{
    bool loop = false;
    struct jinja_args args;
    struct jval object = jval_undefined, f;

    if (n->a->kind == JINJA_ATTR) {
        object = jinja_eval(r, n->a->a);
        loop = object.type == JVAL_LOOP; /* the only methods that are no values */
        f = loop || r->status != GW_OK ? jval_undefined : jval_member(r, object, n->a->text);
    } else {
        f = jinja_eval(r, n->a);
    }
    jinja_args(r, n->b, &args);
    if (caller != NULL && r->status == GW_OK) {
        if (args.n == JINJA_MAX_ARGS) {
            jrun_fail(r, GW_EUNSUPPORTED, "a call has too many arguments");
        } else {
            args.names[args.n] = GW_SPAN("caller");
            args.values[args.n++] = *caller;
        }
    }
    if (r->status != GW_OK)
        return jval_undefined;
    r->line = n->line;
    return loop ? jinja_method(r, n->a->text, object, &args) : call_value(r, f, &args);
}
