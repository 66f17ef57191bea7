/* engine/chat_parse_expr.c - the expressions of a chat template. */
#include "base/buf.h"
#include "base/utf8.h"
#include "engine/chat_parse.h"

static struct jinja_node *binary(struct parser *p, enum jinja_op op, struct jinja_node *a,
                                 struct jinja_node *b)
{
    struct jinja_node *n = parse_wrap(p, JINJA_BINARY, a, b);

    if (n != p->empty)
        n->op = op;
    return n;
}

/* ---- literals ------------------------------------------------------------------------------------ */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = gw_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH and \uHHHH at s[at] == 'x' or 'u': writes the character, returns the length of the escape after
 * the backslash, or 0. */
static size_t hex_escape(struct gw_span s, size_t at, char *out, size_t *n)
{
    size_t digits = s.ptr[at] == 'x' ? 2 : 4;
    uint32_t cp = 0;

    if (s.len - at <= digits)
        return 0;
    for (size_t i = 1; i <= digits; i++) {
        int v = hex_value(s.ptr[at + i]);

        if (v < 0)
            return 0;
        cp = cp * 16 + (uint32_t)v;
    }
    if (cp >= 0xD800 && cp <= 0xDFFF)
        return 0;
    *n += gw_utf8_encode(cp, out + *n);
    return digits + 1;
}

/* Undoes the escapes of a literal into out, which holds s.len bytes. Unknown escapes stay as written. */
static size_t unescape(struct gw_span s, char *out)
{
    static const char from[] = "ntrabfv0\\'\"", to[] = "\n\t\r\a\b\f\v\0\\'\"";
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        const char *known;

        if (s.ptr[i] != '\\' || i + 1 == s.len) {
            out[n++] = s.ptr[i];
            continue;
        }
        i++;
        known = memchr(from, s.ptr[i], sizeof(from) - 1);
        if (known != NULL) {
            out[n++] = to[known - from];
        } else if (s.ptr[i] == '\n') {
            continue; /* a joined line */
        } else {
            size_t used = s.ptr[i] == 'x' || s.ptr[i] == 'u' ? hex_escape(s, i, out, &n) : 0;

            if (used == 0) {
                out[n++] = '\\';
                out[n++] = s.ptr[i];
            } else {
                i += used - 1;
            }
        }
    }
    return n;
}

static struct jinja_node *string(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_STRING);
    struct gw_buf all = {0};

    while (p->now.type == LEX_STRING) { /* neighbours are joined */
        if (!gw_buf_reserve(&all, p->now.text.len + 1))
            break;
        all.len += unescape(p->now.text, all.ptr + all.len);
        parse_next(p);
    }
    if (n != p->empty) {
        n->text = gw_arena_copy(p->j->arena, gw_buf_span(&all));
        if (!gw_buf_ok(&all) || (n->text.ptr == NULL && all.len > 0))
            parse_fail(p, GW_ENOMEM, "out of memory");
    }
    gw_buf_fini(&all);
    return n;
}

static struct jinja_node *number(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_INT);
    int64_t value = 0;

    if (memchr(p->now.text.ptr, '.', p->now.text.len) != NULL ||
        memchr(p->now.text.ptr, 'e', p->now.text.len) != NULL ||
        memchr(p->now.text.ptr, 'E', p->now.text.len) != NULL) {
        if (n != p->empty) {
            n->kind = JINJA_FLOAT;
            n->text = gw_arena_copy(p->j->arena, p->now.text); /* with a NUL behind it */
            if (n->text.ptr == NULL)
                parse_fail(p, GW_ENOMEM, "out of memory");
        }
        parse_next(p);
        return n;
    }

    for (size_t i = 0; i < p->now.text.len; i++) {
        if (p->now.text.ptr[i] == '_') /* 1_000 */
            continue;
        value = value * 10 + (p->now.text.ptr[i] - '0');
        if (value > INT32_MAX) {
            parse_fail(p, GW_EUNSUPPORTED, "a number is too large");
            return n;
        }
    }
    if (n != p->empty)
        n->number = value;
    parse_next(p);
    return n;
}

/* Expressions up to the closing symbol, which is taken. */
static struct jinja_node *items(struct parser *p, const char *closing)
{
    struct jinja_node *first = NULL, **tail = &first;

    while (p->status == GW_OK && !parse_is_symbol(p, closing)) {
        *tail = parse_expression(p);
        tail = &(*tail)->next;
        if (!parse_take_symbol(p, ","))
            break;
    }
    parse_expect_symbol(p, closing);
    return p->status == GW_OK ? first : NULL;
}

static struct jinja_node *dictionary(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_DICT), *first = NULL, **tail = &first;

    parse_next(p);
    while (p->status == GW_OK && !parse_is_symbol(p, "}")) {
        struct jinja_node *key = parse_expression(p);

        parse_expect_symbol(p, ":");
        *tail = parse_wrap(p, JINJA_KEYWORD, key, parse_expression(p));
        tail = &(*tail)->next;
        if (!parse_take_symbol(p, ","))
            break;
    }
    parse_expect_symbol(p, "}");
    if (n != p->empty)
        n->a = p->status == GW_OK ? first : NULL;
    return n;
}

/* (a), (a, b), () */
static struct jinja_node *parentheses(struct parser *p)
{
    struct jinja_node *list = parse_node(p, JINJA_LIST), *first;

    parse_next(p);
    if (list != p->empty)
        list->number = 1;
    if (parse_take_symbol(p, ")"))
        return list;
    first = parse_expression(p);
    if (parse_take_symbol(p, ")"))
        return first;
    parse_expect_symbol(p, ",");
    if (list != p->empty && first != p->empty) {
        first->next = items(p, ")");
        list->a = first;
    }
    return list;
}

static struct jinja_node *constant(struct parser *p)
{
    static const struct {
        const char *word;
        enum jinja_kind kind;
        int value;
    } words[] = {
        {"true", JINJA_BOOL, 1},  {"True", JINJA_BOOL, 1}, {"false", JINJA_BOOL, 0},
        {"False", JINJA_BOOL, 0}, {"none", JINJA_NONE, 0}, {"None", JINJA_NONE, 0},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (parse_is_word(p, words[i].word)) {
            struct jinja_node *n = parse_node(p, words[i].kind);

            if (n != p->empty)
                n->number = words[i].value;
            parse_next(p);
            return n;
        }
    }
    return parse_name(p);
}

static struct jinja_node *primary(struct parser *p)
{
    if (p->now.type == LEX_STRING)
        return string(p);
    if (p->now.type == LEX_NUMBER)
        return number(p);
    if (parse_is_symbol(p, "("))
        return parentheses(p);
    if (parse_is_symbol(p, "{"))
        return dictionary(p);
    if (parse_is_symbol(p, "[")) {
        struct jinja_node *n = parse_node(p, JINJA_LIST);

        parse_next(p);
        struct jinja_node *first = items(p, "]");
        if (n != p->empty)
            n->a = first;
        return n;
    }
    return constant(p);
}

/* ---- what follows a primary ----------------------------------------------------------------------- */

/* The arguments after "(", with name=value ones. */
static struct jinja_node *arguments(struct parser *p)
{
    struct jinja_node *first = NULL, **tail = &first;

    while (p->status == GW_OK && !parse_is_symbol(p, ")")) {
        struct jinja_node *value = parse_expression(p);

        if (parse_is_symbol(p, "=") && value->kind == JINJA_NAME) {
            struct gw_span key = value->text;

            parse_next(p);
            value = parse_wrap(p, JINJA_KEYWORD, parse_expression(p), NULL);
            if (value != p->empty)
                value->text = key;
        }
        *tail = value;
        tail = &value->next;
        if (!parse_take_symbol(p, ","))
            break;
    }
    parse_expect_symbol(p, ")");
    return p->status == GW_OK ? first : NULL;
}

/* [index] or [start:stop:step], after "[". */
static struct jinja_node *subscript(struct parser *p, struct jinja_node *object)
{
    struct jinja_node *part[3] = {NULL, NULL, NULL};
    unsigned colons = 0;

    while (p->status == GW_OK && !parse_is_symbol(p, "]")) {
        if (parse_take_symbol(p, ":")) {
            if (++colons > 2)
                parse_fail(p, GW_EPARSE, "a slice has too many colons");
        } else if (part[colons] != NULL) {
            parse_fail(p, GW_EPARSE, "an index is not closed");
        } else {
            part[colons] = parse_expression(p);
        }
    }
    parse_expect_symbol(p, "]");
    struct jinja_node *n = parse_wrap(p, colons == 0 ? JINJA_INDEX : JINJA_SLICE, object, part[0]);
    if (colons == 0 && part[0] == NULL)
        parse_fail(p, GW_EPARSE, "an index is empty");
    if (n != p->empty) {
        n->c = part[1];
        n->d = part[2];
    }
    return n;
}

static struct jinja_node *filter(struct parser *p, struct jinja_node *value)
{
    struct jinja_node *n = parse_node(p, JINJA_FILTER);

    if (p->now.type != LEX_NAME)
        parse_fail(p, GW_EPARSE, "a filter name is expected");
    parse_next(p);
    struct jinja_node *args = parse_take_symbol(p, "(") ? arguments(p) : NULL;
    if (n != p->empty) {
        n->a = value;
        n->b = args;
    }
    return n;
}

/* A test may have one argument without parentheses; words that go on with the expression are none. */
static bool begins_argument(const struct parser *p)
{
    static const char *const others[] = {"and", "or", "not", "is", "in", "if", "else"};

    if (p->now.type == LEX_NAME) {
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
            if (parse_is_word(p, others[i]))
                return false;
        return true;
    }
    return p->now.type == LEX_STRING || p->now.type == LEX_NUMBER || parse_is_symbol(p, "[");
}

/* "is [not] name [argument]" after "is". */
static struct jinja_node *test(struct parser *p, struct jinja_node *value)
{
    bool negated = parse_take_word(p, "not");
    struct jinja_node *n = parse_node(p, JINJA_TEST), *argument = NULL;

    if (p->now.type != LEX_NAME)
        parse_fail(p, GW_EPARSE, "a test name is expected");
    parse_next(p);
    if (parse_take_symbol(p, "("))
        argument = arguments(p);
    else if (begins_argument(p))
        argument = parse_target(p);
    if (n != p->empty) {
        n->a = value;
        n->b = argument;
        n->number = negated;
    }
    return n;
}

static struct jinja_node *postfix(struct parser *p, struct jinja_node *value)
{
    while (p->status == GW_OK) {
        if (parse_take_symbol(p, ".")) {
            struct jinja_node *n = parse_node(p, JINJA_ATTR);

            if (p->now.type != LEX_NAME)
                parse_fail(p, GW_EPARSE, "a name is expected after the dot");
            parse_next(p);
            if (n != p->empty)
                n->a = value;
            value = n;
        } else if (parse_take_symbol(p, "[")) {
            value = subscript(p, value);
        } else if (parse_take_symbol(p, "(")) {
            value = parse_wrap(p, JINJA_CALL, value, arguments(p));
        } else {
            break;
        }
    }
    return value;
}

struct jinja_node *parse_target(struct parser *p)
{
    return postfix(p, primary(p));
}

struct jinja_node *parse_filters(struct parser *p, struct jinja_node *value)
{
    while (p->status == GW_OK && parse_take_symbol(p, "|"))
        value = filter(p, value);
    return value;
}

struct jinja_node *parse_first_filter(struct parser *p, struct jinja_node *value)
{
    return parse_filters(p, filter(p, value));
}

static struct jinja_node *filters_and_tests(struct parser *p, struct jinja_node *value)
{
    while (p->status == GW_OK) {
        if (parse_take_symbol(p, "|"))
            value = postfix(p, filter(p, value));
        else if (parse_take_word(p, "is"))
            value = test(p, value);
        else
            break;
    }
    return value;
}

/* ---- operators, loosest last ---------------------------------------------------------------------- */

/* -x, +x, or x with what follows it; a sign binds closer than filters do. */
static struct jinja_node *signed_value(struct parser *p)
{
    struct jinja_node *n;

    if (!parse_enter(p))
        return p->empty;
    if (parse_take_symbol(p, "-"))
        n = parse_wrap(p, JINJA_NEGATE, signed_value(p), NULL);
    else if (parse_take_symbol(p, "+"))
        n = signed_value(p);
    else
        n = primary(p);
    p->depth--;
    return postfix(p, n);
}

static struct jinja_node *unary(struct parser *p)
{
    return filters_and_tests(p, signed_value(p));
}

static struct jinja_node *power(struct parser *p)
{
    struct jinja_node *n = unary(p);

    while (parse_take_symbol(p, "**"))
        n = binary(p, JINJA_OP_POWER, n, unary(p));
    return n;
}

static struct jinja_node *product(struct parser *p)
{
    struct jinja_node *n = power(p);

    while (p->status == GW_OK) {
        if (parse_take_symbol(p, "*"))
            n = binary(p, JINJA_OP_MUL, n, power(p));
        else if (parse_take_symbol(p, "//"))
            n = binary(p, JINJA_OP_DIV, n, power(p));
        else if (parse_take_symbol(p, "/"))
            n = binary(p, JINJA_OP_FRACTION, n, power(p));
        else if (parse_take_symbol(p, "%"))
            n = binary(p, JINJA_OP_MOD, n, power(p));
        else
            break;
    }
    return n;
}

static struct jinja_node *joined(struct parser *p)
{
    struct jinja_node *n = product(p);

    while (parse_take_symbol(p, "~"))
        n = binary(p, JINJA_OP_CONCAT, n, product(p));
    return n;
}

static struct jinja_node *sum(struct parser *p)
{
    struct jinja_node *n = joined(p);

    while (p->status == GW_OK) {
        if (parse_take_symbol(p, "+"))
            n = binary(p, JINJA_OP_ADD, n, joined(p));
        else if (parse_take_symbol(p, "-"))
            n = binary(p, JINJA_OP_SUB, n, joined(p));
        else
            break;
    }
    return n;
}

static bool comparison_op(struct parser *p, enum jinja_op *op)
{
    static const struct {
        const char *symbol;
        enum jinja_op op;
    } symbols[] = {
        {"==", JINJA_OP_EQ}, {"!=", JINJA_OP_NE}, {"<=", JINJA_OP_LE},
        {">=", JINJA_OP_GE}, {"<", JINJA_OP_LT},  {">", JINJA_OP_GT},
    };

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        if (parse_take_symbol(p, symbols[i].symbol)) {
            *op = symbols[i].op;
            return true;
        }
    }
    *op = JINJA_OP_IN;
    if (parse_take_word(p, "in"))
        return true;
    if (!parse_take_word(p, "not"))
        return false;
    *op = JINJA_OP_NOT_IN;
    if (!parse_take_word(p, "in"))
        parse_fail(p, GW_EPARSE, "\"in\" is expected after \"not\"");
    return true;
}

/* a < b, and a < b < c as (a < b) and (b < c): values have no side effects. */
static struct jinja_node *comparison(struct parser *p)
{
    struct jinja_node *left = sum(p), *out = NULL;
    enum jinja_op op;

    while (p->status == GW_OK && comparison_op(p, &op)) {
        struct jinja_node *right = sum(p), *one = binary(p, op, left, right);

        out = out == NULL ? one : parse_wrap(p, JINJA_AND, out, one);
        left = right;
    }
    return out == NULL ? left : out;
}

static struct jinja_node *negation(struct parser *p)
{
    struct jinja_node *n;

    if (!parse_is_word(p, "not"))
        return comparison(p);
    if (!parse_enter(p))
        return p->empty;
    parse_next(p);
    n = parse_wrap(p, JINJA_NOT, negation(p), NULL);
    p->depth--;
    return n;
}

static struct jinja_node *conjunction(struct parser *p)
{
    struct jinja_node *n = negation(p);

    while (parse_take_word(p, "and"))
        n = parse_wrap(p, JINJA_AND, n, negation(p));
    return n;
}

struct jinja_node *parse_operators(struct parser *p)
{
    struct jinja_node *n = conjunction(p);

    while (parse_take_word(p, "or"))
        n = parse_wrap(p, JINJA_OR, n, conjunction(p));
    return n;
}

struct jinja_node *parse_expression(struct parser *p)
{
    struct jinja_node *n;

    if (!parse_enter(p))
        return p->empty;
    n = parse_operators(p);
    while (parse_take_word(p, "if")) {
        n = parse_wrap(p, JINJA_CONDITION, n, parse_operators(p));
        struct jinja_node *other = parse_take_word(p, "else") ? parse_expression(p) : NULL;
        if (n != p->empty)
            n->c = other;
    }
    p->depth--;
    return n;
}

struct jinja_node *parse_tuple(struct parser *p)
{
    struct jinja_node *first = parse_expression(p), *list, **tail = &first->next;

    if (!parse_is_symbol(p, ",") || p->status != GW_OK)
        return first;
    list = parse_node(p, JINJA_LIST);
    if (list == p->empty)
        return first;
    list->a = first;
    list->number = 1;
    while (parse_take_symbol(p, ",") && p->now.type != LEX_CLOSE && p->status == GW_OK) {
        struct jinja_node *next = parse_expression(p);

        if (next == p->empty)
            break;
        *tail = next;
        tail = &next->next;
    }
    return list;
}
