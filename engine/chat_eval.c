/* engine/chat_eval.c - computes the expressions of a chat template.
 *
 * Recursion follows the tree and the macros, and is counted (JRUN_MAX_DEPTH). The first failure sticks in struct jrun and
 * everything after it returns at once. One rendering, one thread. */
#include "engine/chat_eval.h"

#include <math.h>
#include <stdlib.h>

/* ---- names ------------------------------------------------------------------------------------ */

struct jframe *jframe_new(struct jrun *r, struct jframe *parent)
{
    struct jframe *f = jrun_alloc(r, 1, sizeof(*f));

    if (f != NULL)
        f->parent = parent;
    return f;
}

void jframe_set(struct jrun *r, struct jframe *f, struct gw_span name, struct jval value)
{
    struct jname *n = f == NULL ? NULL : f->names;

    while (n != NULL && jrun_work(r, 1) && !gw_span_eq(n->name, name))
        n = n->next;
    if (n == NULL && f != NULL && (n = jrun_alloc(r, 1, sizeof(*n))) != NULL) {
        n->name = name;
        n->next = f->names;
        f->names = n;
    }
    if (n != NULL)
        n->value = value;
}

static const struct jval *find_name(struct jrun *r, struct gw_span name)
{
    for (const struct jframe *f = r->frame; f != NULL; f = f->parent)
        for (const struct jname *n = f->names; n != NULL && jrun_work(r, 1); n = n->next)
            if (gw_span_eq(n->name, name))
                return &n->value;
    return NULL;
}

static struct jval eval_name(struct jrun *r, const struct jinja_node *n)
{
    const struct jval *found = find_name(r, n->text);

    if (found != NULL)
        return *found;
    if (jinja_is_function(n->text))
        return (struct jval){.type = JVAL_FUNCTION, .string = {n->text.ptr, NULL, n->text.len}};
    return jval_undefined;
}

/* ---- expressions ---------------------------------------------------------------------------------- */

void jinja_args(struct jrun *r, const struct jinja_node *n, struct jinja_args *out)
{
    for (out->n = 0; n != NULL && r->status == GW_OK; n = n->next) {
        if (out->n == JINJA_MAX_ARGS) {
            jrun_fail(r, GW_EUNSUPPORTED, "a call has too many arguments");
            return;
        }
        bool named = n->kind == JINJA_KEYWORD;
        out->names[out->n] = named ? n->text : (struct gw_span){NULL, 0};
        out->values[out->n] = jinja_eval(r, named ? n->a : n);
        out->n++;
    }
}

static struct jval list_concat(struct jrun *r, const struct jlist *a, const struct jlist *b)
{
    struct jval out = jval_list(r, a->n + b->n);

    for (size_t i = 0; r->status == GW_OK && i < out.list->n; i++)
        out.list->items[i] = i < a->n ? a->items[i] : b->items[i - a->n];
    if (r->status == GW_OK)
        out.list->tuple = a->tuple;
    return out;
}

/* + - * // % of numbers; floor division and modulo as in Python. */
static struct jval arithmetic(struct jrun *r, enum jinja_op op, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool overflow = false;

    if (op == JINJA_OP_ADD) {
        overflow = __builtin_add_overflow(a, b, &out);
    } else if (op == JINJA_OP_SUB) {
        overflow = __builtin_sub_overflow(a, b, &out);
    } else if (op == JINJA_OP_MUL) {
        overflow = __builtin_mul_overflow(a, b, &out);
    } else if (op == JINJA_OP_POWER) {
        out = 1;
        overflow = b < 0 || b > 64;
        for (int64_t i = 0; i < b && !overflow; i++)
            overflow = __builtin_mul_overflow(out, a, &out);
    } else if (b == 0) {
        overflow = true;
    } else if (b == -1) {
        overflow = __builtin_sub_overflow((int64_t)0, a, &out); /* of the least number */
        out = op == JINJA_OP_MOD ? 0 : out;
    } else {
        int64_t rest = a % b;
        bool adjust = rest != 0 && (rest < 0) != (b < 0);

        out = op == JINJA_OP_DIV ? a / b - adjust : rest + (adjust ? b : 0);
    }
    if (overflow)
        jrun_fail(r, GW_EUNSUPPORTED, "a calculation has no result");
    return jval_int(out);
}

/* Division of any kind by something that is not 0. */
static double divided(enum jinja_op op, double a, double b)
{
    double rest;

    if (op == JINJA_OP_FRACTION)
        return a / b;
    rest = fmod(a, b);
    if (rest != 0 && (rest < 0) != (b < 0))
        rest += b;
    rest = rest == 0 ? copysign(0, b) : rest;
    return op == JINJA_OP_MOD ? rest : floor((a - rest) / b + 0.5);
}

static struct jval real_arithmetic(struct jrun *r, enum jinja_op op, double a, double b)
{
    if (op == JINJA_OP_ADD)
        return jval_float(a + b);
    if (op == JINJA_OP_SUB)
        return jval_float(a - b);
    if (op == JINJA_OP_MUL)
        return jval_float(a * b);
    if (op == JINJA_OP_POWER)
        return jval_float(pow(a, b));
    if (b != 0)
        return jval_float(divided(op, a, b));
    jrun_fail(r, GW_EUNSUPPORTED, "a calculation has no result");
    return jval_undefined;
}

/* A string or list, times over. */
static struct jval repeated(struct jrun *r, struct jval what, int64_t times)
{
    struct jbuild text = {0};
    struct jval out = what;

    if (what.type == JVAL_STRING) {
        for (int64_t i = 0; i < times && what.string.len != 0 && r->status == GW_OK; i++)
            jbuild_add(r, &text, what.string);
        return jval_string(jbuild_done(&text));
    }
    size_t n = what.list->n;
    if (times <= 0 || n == 0)
        return jval_slice(r, what, jval_int(0), jval_int(0), jval_undefined);
    if (times > 100000 || n * (size_t)times > 100000) {
        jrun_fail(r, GW_ELIMIT, "a list is too long");
        return out;
    }
    out = jval_list(r, n * (size_t)times);
    for (size_t i = 0; r->status == GW_OK && i < out.list->n; i++)
        out.list->items[i] = what.list->items[i % n];
    return out;
}

static bool is_row(struct jval v)
{
    return v.type == JVAL_STRING || v.type == JVAL_LIST;
}

struct jval jinja_calculate(struct jrun *r, enum jinja_op op, struct jval a, struct jval b)
{
    double x = 0, y = 0;

    if (a.type == JVAL_BOOL)
        a = jval_int(a.boolean);
    if (b.type == JVAL_BOOL)
        b = jval_int(b.boolean);
    if (a.type == JVAL_INT && b.type == JVAL_INT && op != JINJA_OP_FRACTION)
        return arithmetic(r, op, a.number, b.number);
    if (jval_real(a, &x) && jval_real(b, &y))
        return real_arithmetic(r, op, x, y);
    if (op == JINJA_OP_ADD && a.type == JVAL_STRING && b.type == JVAL_STRING)
        return jval_string(jstr_concat(r, a.string, b.string));
    if (op == JINJA_OP_ADD && a.type == JVAL_LIST && b.type == JVAL_LIST &&
        a.list->tuple == b.list->tuple)
        return list_concat(r, a.list, b.list);
    if (op == JINJA_OP_MUL && is_row(a) && b.type == JVAL_INT)
        return repeated(r, a, b.number);
    if (op == JINJA_OP_MUL && is_row(b) && a.type == JVAL_INT)
        return repeated(r, b, a.number);
    jrun_fail(r, GW_EUNSUPPORTED, "an operator does not fit its values");
    return jval_undefined;
}

static struct jval eval_binary(struct jrun *r, const struct jinja_node *n)
{
    struct jval a = jinja_eval(r, n->a), b = jinja_eval(r, n->b);

    if (r->status != GW_OK)
        return jval_undefined;
    r->line = n->line;
    switch (n->op) {
    case JINJA_OP_EQ:
        return jval_bool(jval_equal(r, a, b));
    case JINJA_OP_NE:
        return jval_bool(!jval_equal(r, a, b));
    case JINJA_OP_LT:
        return jval_bool(jval_compare(r, a, b) < 0);
    case JINJA_OP_LE:
        return jval_bool(jval_compare(r, a, b) <= 0);
    case JINJA_OP_GT:
        return jval_bool(jval_compare(r, a, b) > 0);
    case JINJA_OP_GE:
        return jval_bool(jval_compare(r, a, b) >= 0);
    case JINJA_OP_IN:
        return jval_bool(jval_in(r, a, b));
    case JINJA_OP_NOT_IN:
        return jval_bool(!jval_in(r, a, b));
    case JINJA_OP_CONCAT:
        return jval_string(jstr_concat(r, jval_text(r, a), jval_text(r, b)));
    case JINJA_OP_ADD:
    case JINJA_OP_SUB:
    case JINJA_OP_MUL:
    case JINJA_OP_DIV:
    case JINJA_OP_FRACTION:
    case JINJA_OP_MOD:
    case JINJA_OP_POWER:
    default:
        return jinja_calculate(r, n->op, a, b);
    }
}

static struct jval eval_list(struct jrun *r, const struct jinja_node *n)
{
    struct jval out;
    size_t count = 0;

    for (const struct jinja_node *i = n->a; i != NULL; i = i->next)
        count++;
    out = jval_list(r, count);
    if (r->status == GW_OK)
        out.list->tuple = n->number != 0;
    count = 0;
    for (const struct jinja_node *i = n->a; i != NULL && r->status == GW_OK; i = i->next)
        out.list->items[count++] = jinja_eval(r, i);
    return out;
}

static struct jval eval_dict(struct jrun *r, const struct jinja_node *n)
{
    struct jval out = jval_dict(r);

    for (const struct jinja_node *i = n->a; i != NULL && r->status == GW_OK; i = i->next) {
        struct jval key = jinja_eval(r, i->a), value = jinja_eval(r, i->b);

        if (key.type != JVAL_STRING)
            jrun_fail(r, GW_EUNSUPPORTED, "the keys of a dict must be strings");
        else if (r->status == GW_OK)
            jdict_set(r, out.dict, key.string, value);
    }
    return out;
}

static struct jval eval_slice(struct jrun *r, const struct jinja_node *n)
{
    struct jval object = jinja_eval(r, n->a), part[3];
    const struct jinja_node *nodes[3] = {n->b, n->c, n->d};

    for (int i = 0; i < 3; i++)
        part[i] = nodes[i] == NULL ? jval_undefined : jinja_eval(r, nodes[i]);
    return r->status == GW_OK ? jval_slice(r, object, part[0], part[1], part[2]) : jval_undefined;
}

static struct jval eval_filter(struct jrun *r, const struct jinja_node *n)
{
    struct jinja_args args;
    struct jval value = jinja_eval(r, n->a);

    jinja_args(r, n->b, &args);
    if (r->status != GW_OK)
        return jval_undefined;
    r->line = n->line;
    return jinja_filter(r, n->text, value, &args);
}

static struct jval eval_test(struct jrun *r, const struct jinja_node *n)
{
    struct jval value = jinja_eval(r, n->a),
                argument = n->b == NULL ? jval_undefined : jinja_eval(r, n->b);

    if (r->status != GW_OK)
        return jval_undefined;
    r->line = n->line;
    return jval_bool(jinja_test(r, n->text, value, argument) != (n->number != 0));
}

static struct jval eval_negate(struct jrun *r, const struct jinja_node *n)
{
    struct jval value = jinja_eval(r, n->a);

    if (r->status != GW_OK)
        return jval_undefined;
    if (value.type == JVAL_FLOAT)
        return jval_float(-value.real);
    return jinja_calculate(r, JINJA_OP_SUB, jval_int(0), value);
}

static struct jval eval_string(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    return jval_template(n->text);
}

static struct jval eval_int(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    return jval_int(n->number);
}

static struct jval eval_float(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    return jval_float(strtod(n->text.ptr, NULL)); /* the parser put a NUL behind it */
}

static struct jval eval_captured(struct jrun *r, const struct jinja_node *n)
{
    (void)n;
    return jval_string(r->captured);
}

static struct jval eval_call(struct jrun *r, const struct jinja_node *n)
{
    return jinja_call(r, n, NULL);
}

static struct jval eval_bool(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    return jval_bool(n->number != 0);
}

static struct jval eval_none(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    (void)n;
    return (struct jval){.type = JVAL_NONE};
}

static struct jval eval_attr(struct jrun *r, const struct jinja_node *n)
{
    struct jval object = jinja_eval(r, n->a);

    r->line = n->line;
    return r->status == GW_OK ? jval_member(r, object, n->text) : object;
}

static struct jval eval_index(struct jrun *r, const struct jinja_node *n)
{
    struct jval object = jinja_eval(r, n->a), index = jinja_eval(r, n->b);

    r->line = n->line;
    return r->status == GW_OK ? jval_index(r, object, index) : object;
}

static struct jval eval_not(struct jrun *r, const struct jinja_node *n)
{
    return jval_bool(!jval_truth(jinja_eval(r, n->a)));
}

static struct jval eval_and(struct jrun *r, const struct jinja_node *n)
{
    struct jval a = jinja_eval(r, n->a);

    return jval_truth(a) ? jinja_eval(r, n->b) : a;
}

static struct jval eval_or(struct jrun *r, const struct jinja_node *n)
{
    struct jval a = jinja_eval(r, n->a);

    return jval_truth(a) ? a : jinja_eval(r, n->b);
}

static struct jval eval_condition(struct jrun *r, const struct jinja_node *n)
{
    if (jval_truth(jinja_eval(r, n->b)))
        return jinja_eval(r, n->a);
    return n->c == NULL ? jval_undefined : jinja_eval(r, n->c);
}

struct jval jinja_eval(struct jrun *r, const struct jinja_node *n)
{
    typedef struct jval evaluator(struct jrun *, const struct jinja_node *);
    static evaluator *const evaluators[] = {
        [JINJA_STRING] = eval_string,
        [JINJA_INT] = eval_int,
        [JINJA_FLOAT] = eval_float,
        [JINJA_CAPTURED] = eval_captured,
        [JINJA_BOOL] = eval_bool,
        [JINJA_NONE] = eval_none,
        [JINJA_NAME] = eval_name,
        [JINJA_LIST] = eval_list,
        [JINJA_DICT] = eval_dict,
        [JINJA_ATTR] = eval_attr,
        [JINJA_INDEX] = eval_index,
        [JINJA_SLICE] = eval_slice,
        [JINJA_CALL] = eval_call,
        [JINJA_FILTER] = eval_filter,
        [JINJA_TEST] = eval_test,
        [JINJA_NOT] = eval_not,
        [JINJA_NEGATE] = eval_negate,
        [JINJA_AND] = eval_and,
        [JINJA_OR] = eval_or,
        [JINJA_BINARY] = eval_binary,
        [JINJA_CONDITION] = eval_condition,
    };
    evaluator *f =
        n->kind < sizeof(evaluators) / sizeof(evaluators[0]) ? evaluators[n->kind] : NULL;

    struct jval out = jval_undefined;

    if (f == NULL)
        jrun_fail(r, GW_EUNSUPPORTED, "a statement stands where a value is expected");
    if (jrun_enter(r) && f != NULL)
        out = f(r, n);
    r->depth--;
    return out;
}
