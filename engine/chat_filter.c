/* engine/chat_filter.c - the filters, methods and tests of chat templates: arguments, tables, and what fits values of any
 * type. See chat_value.h V1 for the marks that strings carry. */
#include "engine/chat_filter.h"

#include <math.h>
#include <stdlib.h>

/* ---- arguments ------------------------------------------------------------------------------ */

struct jval jinja_arg(const struct jinja_args *args, unsigned place, const char *name)
{
    for (unsigned i = 0; i < args->n; i++)
        if (args->names[i].len == 0 ? i == place : name != NULL && gw_span_is(args->names[i], name))
            return args->values[i];
    return jval_undefined;
}

struct gw_span jinja_text_arg(struct jrun *r, const struct jinja_args *args, unsigned place,
                              const char *name)
{
    struct jval v = jinja_arg(args, place, name);

    if (v.type != JVAL_STRING && v.type != JVAL_UNDEFINED && v.type != JVAL_NONE)
        jrun_fail(r, GW_EUNSUPPORTED, "a function needs a string");
    if (v.type != JVAL_STRING)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){v.string.ptr == NULL ? "" : v.string.ptr, v.string.len};
}

int64_t jinja_int_arg(struct jrun *r, const struct jinja_args *args, unsigned place,
                      const char *name, int64_t otherwise)
{
    struct jval v = jinja_arg(args, place, name);

    if (v.type == JVAL_UNDEFINED || v.type == JVAL_NONE)
        return otherwise;
    if (v.type != JVAL_INT)
        jrun_fail(r, GW_EUNSUPPORTED, "a function needs a whole number");
    return v.type == JVAL_INT ? v.number : otherwise;
}

/* ---- values of any type --------------------------------------------------------------------- */

static struct jval length(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    ptrdiff_t n = v.type == JVAL_UNDEFINED ? 0 : jval_length(r, v);

    (void)args;
    if (n < 0)
        jrun_fail(r, GW_EUNSUPPORTED, "this value has no length");
    return jval_int(n);
}

/* The whole text as a number; false when it is none. */
static bool parse_number(struct jrun *r, struct jstr s, double *real, int64_t *whole,
                         bool *is_whole)
{
    struct gw_span text;
    char *end = NULL;

    s = jstr_trim(s, (struct gw_span){NULL, 0}, true, true);
    if (s.len == 0 || s.len > 300 ||
        (s.ptr[0] != '\0' && strchr("+-.0123456789", s.ptr[0]) == NULL) ||
        memmem(s.ptr, s.len, "x", 1) != NULL || memmem(s.ptr, s.len, "X", 1) != NULL)
        return false;
    text = gw_arena_copy(r->arena, jstr_span(s)); /* ends with a NUL */
    if (text.ptr == NULL) {
        jrun_fail(r, GW_ELIMIT, "the template needs too much memory");
        return false;
    }
    *whole = s.len <= 18 ? strtoll(text.ptr, &end, 10) : 0;
    *is_whole = end != NULL && end == text.ptr + s.len;
    if (*is_whole)
        return true;
    *real = strtod(text.ptr, &end);
    return end == text.ptr + s.len;
}

static struct jval to_int(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jval otherwise = jinja_arg(args, 0, "default");
    double real = 0;
    int64_t whole = 0;
    bool is_whole = false, ok = false;

    if (v.type == JVAL_INT || v.type == JVAL_BOOL)
        return jval_int(v.type == JVAL_INT ? v.number : v.boolean);
    if (v.type == JVAL_UNDEFINED)
        jrun_fail(r, GW_EUNSUPPORTED, "something undefined is no number");
    if (v.type == JVAL_FLOAT)
        ok = true, real = v.real;
    else if (v.type == JVAL_STRING)
        ok = parse_number(r, v.string, &real, &whole, &is_whole);
    if (ok && is_whole)
        return jval_int(whole);
    if (ok && fabs(real) < 9e18)
        return jval_int((int64_t)real);
    return otherwise.type == JVAL_UNDEFINED ? jval_int(0) : otherwise;
}

static struct jval to_float(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jval otherwise = jinja_arg(args, 0, "default");
    double real = 0;
    int64_t whole = 0;
    bool is_whole = false;

    if (v.type == JVAL_UNDEFINED)
        jrun_fail(r, GW_EUNSUPPORTED, "something undefined is no number");
    if (jval_real(v, &real))
        return jval_float(real);
    if (v.type == JVAL_STRING && parse_number(r, v.string, &real, &whole, &is_whole))
        return jval_float(is_whole ? (double)whole : real);
    return otherwise.type == JVAL_UNDEFINED ? jval_float(0) : otherwise;
}

static struct jval or_default(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    bool falsy_too = jval_truth(jinja_arg(args, 1, "boolean"));

    (void)r;
    if (v.type != JVAL_UNDEFINED && (!falsy_too || jval_truth(v)))
        return v;
    struct jval other = jinja_arg(args, 0, "default_value");
    return args->n == 0 ? jval_template((struct gw_span){NULL, 0}) : other;
}

static struct jval attr(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return jval_member(r, v, jinja_text_arg(r, args, 0, "name"));
}

/* tojson(ensure_ascii, indent, separators, sort_keys): the order of the reference environment. */
static struct jval to_json(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jval indent = jinja_arg(args, 1, "indent"), between = jinja_arg(args, 2, "separators");
    struct jbuild blanks = {0};
    struct jjson how = {
        .pretty = indent.type != JVAL_UNDEFINED && indent.type != JVAL_NONE,
        .ascii = jval_truth(jinja_arg(args, 0, "ensure_ascii")),
        .sorted = jval_truth(jinja_arg(args, 3, "sort_keys")),
        .key = jstr_of(": "),
    };

    how.item = jstr_of(how.pretty ? "," : ", ");
    if (between.type == JVAL_LIST && between.list->n == 2 &&
        between.list->items[0].type == JVAL_STRING && between.list->items[1].type == JVAL_STRING) {
        how.item = between.list->items[0].string;
        how.key = between.list->items[1].string;
    }
    if (indent.type == JVAL_STRING)
        how.indent = indent.string;
    for (int64_t i = 0; indent.type == JVAL_INT && i < indent.number && r->status == GW_OK; i++)
        jbuild_addc(r, &blanks, ' ');
    if (indent.type == JVAL_INT)
        how.indent = jbuild_done(&blanks);
    return jval_string(jval_json(r, v, &how));
}

/* loop.cycle('a', 'b') */
static struct jval cycle(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    if (args->n != 0)
        return args->values[v.loop->index % args->n];
    jrun_fail(r, GW_EUNSUPPORTED, "cycle() needs values");
    return jval_undefined;
}

/* ---- tables --------------------------------------------------------------------------------- */

static const struct jinja_entry value_filters[] = {
    {"length", length},  {"count", length},       {"int", to_int},
    {"float", to_float}, {"default", or_default}, {"d", or_default},
    {"tojson", to_json}, {"attr", attr},          {NULL, NULL},
};

static const struct jinja_entry loop_methods[] = {{"cycle", cycle}, {NULL, NULL}};

static jinja_function *look_up(const struct jinja_entry *table, struct gw_span name)
{
    for (; table->name != NULL; table++)
        if (gw_span_is(name, table->name))
            return table->f;
    return NULL;
}

struct jval jinja_filter(struct jrun *r, struct gw_span name, struct jval value,
                         const struct jinja_args *args)
{
    jinja_function *f = look_up(jinja_string_filters, name);

    if (f != NULL) {
        value = jval_string(jval_text(r, value));
        (void)jrun_work(r, value.string.len / 16);
    } else {
        f = look_up(jinja_list_filters, name);
        f = f != NULL ? f : look_up(value_filters, name);
    }
    if (f == NULL)
        jrun_fail(r, GW_EUNSUPPORTED, "a filter is not supported");
    return r->status == GW_OK && f != NULL ? f(r, value, args) : jval_undefined;
}

struct jval jinja_method(struct jrun *r, struct gw_span name, struct jval value,
                         const struct jinja_args *args)
{
    jinja_function *f = NULL;

    if (value.type == JVAL_STRING)
        f = look_up(jinja_string_methods, name);
    else if (value.type == JVAL_DICT)
        f = look_up(jinja_dict_methods, name);
    else if (value.type == JVAL_LOOP)
        f = look_up(loop_methods, name);
    if (f == NULL)
        jrun_fail(r, GW_EUNSUPPORTED, "a method is not supported");
    if (value.type == JVAL_STRING)
        (void)jrun_work(r, value.string.len / 16);
    return r->status == GW_OK && f != NULL ? f(r, value, args) : jval_undefined;
}

/* ---- tests ---------------------------------------------------------------------------------- */

enum test_kind {
    TEST_DEFINED,
    TEST_UNDEFINED,
    TEST_NONE,
    TEST_STRING,
    TEST_NUMBER,
    TEST_INTEGER,
    TEST_FLOAT,
    TEST_BOOLEAN,
    TEST_TRUE,
    TEST_FALSE,
    TEST_MAPPING,
    TEST_SEQUENCE,
    TEST_CALLABLE,
    TEST_ODD,
    TEST_EVEN,
    TEST_DIVISIBLE,
    TEST_SAME,
    TEST_EQ,
    TEST_NE,
    TEST_LT,
    TEST_LE,
    TEST_GT,
    TEST_GE,
    TEST_IN,
    TEST_LOWER,
    TEST_UPPER,
    TEST_COUNT
};

static const struct {
    const char *name;
    enum test_kind kind;
} tests[] = {
    {"defined", TEST_DEFINED},
    {"undefined", TEST_UNDEFINED},
    {"none", TEST_NONE},
    {"string", TEST_STRING},
    {"number", TEST_NUMBER},
    {"integer", TEST_INTEGER},
    {"float", TEST_FLOAT},
    {"boolean", TEST_BOOLEAN},
    {"true", TEST_TRUE},
    {"false", TEST_FALSE},
    {"mapping", TEST_MAPPING},
    {"sequence", TEST_SEQUENCE},
    {"iterable", TEST_SEQUENCE},
    {"callable", TEST_CALLABLE},
    {"odd", TEST_ODD},
    {"even", TEST_EVEN},
    {"divisibleby", TEST_DIVISIBLE},
    {"sameas", TEST_SAME},
    {"equalto", TEST_EQ},
    {"eq", TEST_EQ},
    {"==", TEST_EQ},
    {"ne", TEST_NE},
    {"!=", TEST_NE},
    {"lt", TEST_LT},
    {"lessthan", TEST_LT},
    {"<", TEST_LT},
    {"le", TEST_LE},
    {"<=", TEST_LE},
    {"gt", TEST_GT},
    {"greaterthan", TEST_GT},
    {">", TEST_GT},
    {"ge", TEST_GE},
    {">=", TEST_GE},
    {"in", TEST_IN},
    {"lower", TEST_LOWER},
    {"upper", TEST_UPPER},
};

static enum test_kind test_of(struct gw_span name)
{
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (gw_span_is(name, tests[i].name))
            return tests[i].kind;
    return TEST_COUNT;
}

/* Whether v % by is 0, or 1. For odd numbers below 0 the rest is 1, too: it has the divisor's sign. */
static bool leaves(struct jrun *r, struct jval v, struct jval by, bool one)
{
    double n = 0, of = 0;

    if (jval_real(v, &n) && jval_real(by, &of) && of != 0)
        return fabs(fmod(n, of)) == one;
    jrun_fail(r, GW_EUNSUPPORTED, "a test needs a number");
    return false;
}

/* Whether there are letters, all of them of that case (ASCII). */
static bool has_case(struct jrun *r, struct jval v, char first, char other)
{
    struct jstr s = jval_text(r, v);
    bool any = false, none = true;

    for (size_t i = 0; i < s.len && jrun_work(r, i % 16 == 0); i++) {
        any = any || (s.ptr[i] >= first && s.ptr[i] <= first + 25);
        none = none && (s.ptr[i] < other || s.ptr[i] > other + 25);
    }
    return any && none;
}

/* The very same object: of what templates have, constants and references. */
static bool is_same(struct jrun *r, struct jval a, struct jval b)
{
    if (a.type != b.type)
        return false;
    return a.type == JVAL_LIST || a.type == JVAL_DICT ? a.list == b.list : jval_equal(r, a, b);
}

static bool of_type(enum test_kind kind, struct jval v)
{
    switch ((int)kind) {
    case TEST_DEFINED:
        return v.type != JVAL_UNDEFINED;
    case TEST_UNDEFINED:
        return v.type == JVAL_UNDEFINED;
    case TEST_NONE:
        return v.type == JVAL_NONE;
    case TEST_STRING:
        return v.type == JVAL_STRING;
    case TEST_NUMBER:
        return v.type == JVAL_INT || v.type == JVAL_FLOAT || v.type == JVAL_BOOL;
    case TEST_INTEGER:
        return v.type == JVAL_INT;
    case TEST_FLOAT:
        return v.type == JVAL_FLOAT;
    case TEST_BOOLEAN:
        return v.type == JVAL_BOOL;
    case TEST_TRUE:
        return v.type == JVAL_BOOL && v.boolean;
    case TEST_FALSE:
        return v.type == JVAL_BOOL && !v.boolean;
    case TEST_MAPPING:
        return v.type == JVAL_DICT && !v.dict->is_namespace;
    case TEST_SEQUENCE:
        return v.type == JVAL_LIST || v.type == JVAL_STRING || v.type == JVAL_UNDEFINED ||
               (v.type == JVAL_DICT && !v.dict->is_namespace);
    case TEST_CALLABLE:
    default:
        return v.type == JVAL_FUNCTION || v.type == JVAL_METHOD || v.type == JVAL_MACRO ||
               v.type == JVAL_UNDEFINED;
    }
}

bool jinja_test(struct jrun *r, struct gw_span name, struct jval v, struct jval argument)
{
    enum test_kind kind = test_of(name);

    if (kind <= TEST_CALLABLE)
        return of_type(kind, v);
    switch ((int)kind) {
    case TEST_ODD:
    case TEST_EVEN:
        return leaves(r, v, jval_int(2), kind == TEST_ODD);
    case TEST_DIVISIBLE:
        return leaves(r, v, argument, 0);
    case TEST_SAME:
        return is_same(r, v, argument);
    case TEST_EQ:
        return jval_equal(r, v, argument);
    case TEST_NE:
        return !jval_equal(r, v, argument);
    case TEST_LT:
        return jval_compare(r, v, argument) < 0;
    case TEST_LE:
        return jval_compare(r, v, argument) <= 0;
    case TEST_GT:
        return jval_compare(r, v, argument) > 0;
    case TEST_GE:
        return jval_compare(r, v, argument) >= 0;
    case TEST_IN:
        return jval_in(r, v, argument);
    case TEST_LOWER:
        return has_case(r, v, 'a', 'A');
    case TEST_UPPER:
        return has_case(r, v, 'A', 'a');
    default:
        jrun_fail(r, GW_EUNSUPPORTED, "a test is not supported");
        return false;
    }
}
