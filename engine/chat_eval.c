/* engine/chat_eval.c - computes the expressions of a chat template.
 *
 * Recursion follows the tree, whose depth the parser bounded. The first failure sticks in struct jrun and
 * everything after it returns at once. One rendering, one thread. */
#include "engine/chat_eval.h"

/* ---- names ------------------------------------------------------------------------------------ */

static struct jval *find_name(struct jrun *r, struct gw_span name)
{
    for (struct jscope *s = r->scope; s != NULL && jrun_work(r, 1); s = s->next)
        if (!s->border && gw_span_eq(s->name, name))
            return &s->value;
    return NULL;
}

static struct jval eval_name(struct jrun *r, const struct jinja_node *n)
{
    static const char *const functions[] = {"raise_exception", "namespace", "range", "dict"};
    struct gw_span name = n->text;
    const struct jval *found = find_name(r, name);

    if (found != NULL)
        return *found;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (gw_span_is(name, functions[i]))
            return (struct jval){.type = JVAL_FUNCTION, .string = {name.ptr, NULL, name.len}};
    return jval_undefined;
}

/* ---- functions ----------------------------------------------------------------------------------- */

static void eval_args(struct jrun *r, const struct jinja_node *n, struct jinja_args *out)
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

static struct jval new_dict(struct jrun *r, const struct jinja_args *args)
{
    struct jval out = jval_dict(r);

    for (unsigned i = 0; i < args->n && r->status == GW_OK; i++)
        if (args->names[i].len > 0)
            jdict_set(r, out.dict, (struct jstr){args->names[i].ptr, NULL, args->names[i].len},
                      args->values[i]);
    return out;
}

/* The template refuses the conversation. Its words reach the caller, cut and cleaned; a message's text
 * never does. */
static void raise(struct jrun *r, struct jval words)
{
    char text[160] = "no reason given";

    if (r->status != GW_OK)
        return;
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
    r->status =
        gw_fail(r->err, GW_EINVAL, "the model's chat template refuses the messages: %s", text);
}

static struct jval eval_call(struct jrun *r, const struct jinja_node *n)
{
    struct jinja_args args;
    struct jval f;

    if (n->a->kind == JINJA_ATTR) {
        struct jval object = jinja_eval(r, n->a->a);

        eval_args(r, n->b, &args);
        return r->status == GW_OK ? jinja_method(r, n->a->text, object, &args) : jval_undefined;
    }
    f = jinja_eval(r, n->a);
    eval_args(r, n->b, &args);
    if (r->status != GW_OK)
        return jval_undefined;
    r->line = n->line;
    if (f.type != JVAL_FUNCTION)
        jrun_fail(r, GW_EUNSUPPORTED, "a function is not supported");
    else if (gw_span_is(jstr_span(f.string), "range"))
        return range(r, &args);
    else if (gw_span_is(jstr_span(f.string), "raise_exception"))
        raise(r, jinja_arg(&args, 0, NULL));
    else
        return new_dict(r, &args);
    return jval_undefined;
}

/* ---- expressions ---------------------------------------------------------------------------------- */

static struct jval list_concat(struct jrun *r, const struct jlist *a, const struct jlist *b)
{
    struct jval out = jval_list(r, a->n + b->n);

    for (size_t i = 0; r->status == GW_OK && i < out.list->n; i++)
        out.list->items[i] = i < a->n ? a->items[i] : b->items[i - a->n];
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
    } else if (b == 0 || b == -1) {
        overflow = true; /* -1 would overflow for the least number */
    } else {
        int64_t rest = a % b;
        bool adjust = rest != 0 && (rest < 0) != (b < 0);

        out = op == JINJA_OP_DIV ? a / b - adjust : rest + (adjust ? b : 0);
    }
    if (overflow)
        jrun_fail(r, GW_EUNSUPPORTED, "a calculation has no result");
    return jval_int(out);
}

static struct jval eval_sum(struct jrun *r, enum jinja_op op, struct jval a, struct jval b)
{
    if (a.type == JVAL_INT && b.type == JVAL_INT)
        return arithmetic(r, op, a.number, b.number);
    if (op == JINJA_OP_ADD && a.type == JVAL_STRING && b.type == JVAL_STRING)
        return jval_string(jstr_concat(r, a.string, b.string));
    if (op == JINJA_OP_ADD && a.type == JVAL_LIST && b.type == JVAL_LIST)
        return list_concat(r, a.list, b.list);
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
    case JINJA_OP_MOD:
    default:
        return eval_sum(r, n->op, a, b);
    }
}

static struct jval eval_list(struct jrun *r, const struct jinja_node *n)
{
    struct jval out;
    size_t count = 0;

    for (const struct jinja_node *i = n->a; i != NULL; i = i->next)
        count++;
    out = jval_list(r, count);
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

    eval_args(r, n->b, &args);
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

    if (value.type != JVAL_INT && r->status == GW_OK)
        jrun_fail(r, GW_EUNSUPPORTED, "only numbers can be negated");
    return arithmetic(r, JINJA_OP_SUB, 0, value.type == JVAL_INT ? value.number : 0);
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

    if (!jrun_work(r, 1))
        return jval_undefined;
    if (f != NULL)
        return f(r, n);
    jrun_fail(r, GW_EUNSUPPORTED, "a statement stands where a value is expected");
    return jval_undefined;
}
