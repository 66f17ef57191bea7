/* engine/chat_parse.c - parses a chat template into a tree: tags, and the parser's common tools. */
#include "engine/chat_parse.h"

#include <stdlib.h>

static struct jinja_node *statements(struct parser *p, const char *const *until);

/* ---- small helpers ---------------------------------------------------------------------------- */

void parse_fail(struct parser *p, enum gw_status code, const char *what)
{
    if (p->status == GW_OK)
        p->status = gw_fail(p->err, code, "chat template, line %u: %s", p->now.line, what);
    p->now.type = LEX_END;
}

void parse_next(struct parser *p)
{
    if (p->status != GW_OK)
        return;
    p->now = lex_next(&p->lexer);
    if (p->now.type == LEX_ERROR)
        parse_fail(p, GW_EPARSE, "a tag or string does not end, or holds an unknown character");
}

struct jinja_node *parse_node(struct parser *p, enum jinja_kind kind)
{
    struct jinja_node *n = p->empty;

    if (p->status == GW_OK && p->n_nodes++ >= JINJA_MAX_NODES)
        parse_fail(p, GW_ELIMIT, "the template is too large");
    if (p->status == GW_OK) {
        n = gw_arena_alloc(p->j->arena, sizeof(*n));
        if (n == NULL) {
            parse_fail(p, GW_ENOMEM, "out of memory");
            return p->empty;
        }
    }
    if (n != p->empty) {
        n->kind = kind;
        n->line = p->now.line;
        n->text = p->now.text;
    }
    return n;
}

bool parse_enter(struct parser *p)
{
    if (++p->depth > JINJA_MAX_DEPTH)
        parse_fail(p, GW_ELIMIT, "too deeply nested");
    return p->status == GW_OK;
}

bool parse_is_symbol(const struct parser *p, const char *symbol)
{
    return p->now.type == LEX_SYMBOL && gw_span_is(p->now.text, symbol);
}

bool parse_is_word(const struct parser *p, const char *word)
{
    return p->now.type == LEX_NAME && gw_span_is(p->now.text, word);
}

bool parse_take_symbol(struct parser *p, const char *symbol)
{
    if (!parse_is_symbol(p, symbol))
        return false;
    parse_next(p);
    return true;
}

bool parse_take_word(struct parser *p, const char *word)
{
    if (!parse_is_word(p, word))
        return false;
    parse_next(p);
    return true;
}

void parse_expect_symbol(struct parser *p, const char *symbol)
{
    if (!parse_take_symbol(p, symbol))
        parse_fail(p, GW_EPARSE, "punctuation is missing in an expression");
}

struct jinja_node *parse_name(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_NAME);

    if (p->now.type != LEX_NAME)
        parse_fail(p, GW_EPARSE, "a name is expected");
    parse_next(p);
    return n;
}

struct jinja_node *parse_wrap(struct parser *p, enum jinja_kind kind, struct jinja_node *a,
                              struct jinja_node *b)
{
    struct jinja_node *n = parse_node(p, kind);

    if (n != p->empty) {
        n->a = a;
        n->b = b;
    }
    return n;
}

/* ---- statements ------------------------------------------------------------------------------- */

static void expect_close(struct parser *p)
{
    if (p->now.type != LEX_CLOSE)
        parse_fail(p, GW_EPARSE, "a tag holds more than it should");
    parse_next(p);
}

/* "{% word %}" whose "{%" and word are at hand: the end of a block. */
static void expect_end(struct parser *p, const char *word)
{
    if (!parse_take_word(p, word))
        parse_fail(p, GW_EPARSE, "a block is not closed by its end tag");
    expect_close(p);
}

/* After "if" or "elif": condition, body, and what follows up to endif. */
static struct jinja_node *if_tag(struct parser *p)
{
    static const char *const until[] = {"elif", "else", "endif", NULL};
    struct jinja_node *n = parse_node(p, JINJA_IF), *other = NULL;

    if (!parse_enter(p))
        return p->empty;
    struct jinja_node *condition = parse_expression(p);
    expect_close(p);
    struct jinja_node *body = statements(p, until);
    if (parse_take_word(p, "elif")) {
        other = if_tag(p);
    } else {
        if (parse_take_word(p, "else")) {
            expect_close(p);
            other = statements(p, until + 2);
        }
        expect_end(p, "endif");
    }
    if (n != p->empty) {
        n->a = condition;
        n->b = body;
        n->c = other;
    }
    p->depth--;
    return n;
}

static struct jinja_node *for_tag(struct parser *p)
{
    static const char *const until[] = {"else", "endfor", NULL};
    struct jinja_node *n = parse_node(p, JINJA_FOR), *more = NULL, **tail = &more, *other = NULL;
    bool parentheses = parse_take_symbol(p, "(");
    struct jinja_node *first = parse_name(p);

    if (!parse_enter(p))
        return p->empty;
    while (p->status == GW_OK && parse_take_symbol(p, ",")) {
        *tail = parse_name(p);
        tail = &(*tail)->next;
    }
    if (parentheses)
        parse_expect_symbol(p, ")");
    if (!parse_take_word(p, "in"))
        parse_fail(p, GW_EPARSE, "\"in\" is expected in a for tag");
    struct jinja_node *iterable = parse_operators(p);
    struct jinja_node *condition = parse_take_word(p, "if") ? parse_expression(p) : NULL;
    if (parse_is_word(p, "recursive"))
        parse_fail(p, GW_EUNSUPPORTED, "recursive loops are not supported");
    expect_close(p);
    p->loops++;
    struct jinja_node *body = statements(p, until);
    p->loops--;
    if (parse_take_word(p, "else")) {
        expect_close(p);
        other = statements(p, until + 1);
    }
    expect_end(p, "endfor");
    if (n != p->empty) {
        n->text = first->text;
        n->a = p->status == GW_OK ? more : NULL;
        n->b = body;
        n->c = other;
        n->d = iterable;
        n->e = condition;
    }
    p->depth--;
    return n;
}

/* "| filter | filter" behind what a block gathers; NULL: none. */
static struct jinja_node *filters_of_block(struct parser *p)
{
    if (!parse_is_symbol(p, "|"))
        return NULL;
    return parse_filters(p, parse_node(p, JINJA_CAPTURED));
}

/* A block's body up to its end tag, which may repeat its name. */
static struct jinja_node *body_until(struct parser *p, const char *word)
{
    const char *const until[] = {word, NULL};
    unsigned loops = p->loops;
    struct jinja_node *body;

    expect_close(p);
    body = statements(p, until);
    p->loops = loops;
    if (!parse_take_word(p, word))
        parse_fail(p, GW_EPARSE, "a block is not closed by its end tag");
    if (p->now.type == LEX_NAME)
        parse_next(p);
    expect_close(p);
    return body;
}

static void check_target(struct parser *p, const struct jinja_node *target)
{
    if (p->status == GW_OK && target->kind != JINJA_NAME && target->kind != JINJA_ATTR)
        parse_fail(p, GW_EUNSUPPORTED, "only names and attributes can be set");
}

/* The names before "=": one, or several with commas. */
static struct jinja_node *targets(struct parser *p)
{
    struct jinja_node *first = parse_target(p), *list, **tail = &first->next;

    check_target(p, first);
    if (!parse_is_symbol(p, ",") || p->status != GW_OK)
        return first;
    list = parse_node(p, JINJA_LIST);
    if (list == p->empty)
        return first;
    list->a = first;
    while (p->status == GW_OK && parse_take_symbol(p, ",")) {
        struct jinja_node *next = parse_target(p);

        check_target(p, next);
        if (next == p->empty)
            break;
        *tail = next;
        tail = &next->next;
    }
    return list;
}

static struct jinja_node *set_tag(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_SET), *target = targets(p), *value = NULL;
    struct jinja_node *body = NULL;
    bool block = false;

    if (!parse_enter(p))
        return p->empty;
    if (parse_take_symbol(p, "=")) {
        value = parse_tuple(p);
        expect_close(p);
    } else {
        block = true;
        value = filters_of_block(p);
        body = body_until(p, "endset");
    }
    if (n != p->empty) {
        n->a = target;
        n->b = value;
        n->c = body;
        n->number = block;
    }
    p->depth--;
    return n;
}

static struct jinja_node *jump_tag(struct parser *p, enum jinja_kind kind)
{
    struct jinja_node *n = parse_node(p, kind);

    if (p->loops == 0)
        parse_fail(p, GW_EPARSE, "a jump stands outside of a loop");
    expect_close(p);
    return n;
}

/* "(a, b=1)": NAME nodes, defaults behind them. */
static struct jinja_node *parameters(struct parser *p)
{
    struct jinja_node *first = NULL, **tail = &first;

    parse_expect_symbol(p, "(");
    while (p->status == GW_OK && !parse_is_symbol(p, ")")) {
        struct jinja_node *name = parse_name(p),
                          *value = parse_take_symbol(p, "=") ? parse_expression(p) : NULL;

        if (name == p->empty)
            break;
        name->a = value;
        *tail = name;
        tail = &name->next;
        if (!parse_take_symbol(p, ","))
            break;
    }
    parse_expect_symbol(p, ")");
    return first;
}

static struct jinja_node *macro_tag(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_MACRO), *names, *body;
    unsigned loops = p->loops;

    if (p->now.type != LEX_NAME)
        parse_fail(p, GW_EPARSE, "a macro needs a name");
    parse_next(p);
    names = parameters(p);
    if (!parse_enter(p))
        return p->empty;
    p->loops = 0;
    body = body_until(p, "endmacro");
    p->loops = loops;
    if (n != p->empty) {
        n->a = names;
        n->b = body;
    }
    p->depth--;
    return n;
}

/* {% call(a, b) macro(...) %} */
static struct jinja_node *call_tag(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_CALL_BLOCK), *caller = parse_node(p, JINJA_MACRO);
    struct jinja_node *names = parse_is_symbol(p, "(") ? parameters(p) : NULL, *call, *body;
    unsigned loops = p->loops;

    call = parse_expression(p);
    if (p->status == GW_OK && call->kind != JINJA_CALL)
        parse_fail(p, GW_EPARSE, "a call tag needs a call");
    if (!parse_enter(p))
        return p->empty;
    p->loops = 0;
    body = body_until(p, "endcall");
    p->loops = loops;
    if (p->status == GW_OK) {
        caller->text = (struct gw_span){NULL, 0};
        caller->a = names;
        caller->b = body;
        n->a = call;
        n->b = caller;
    }
    p->depth--;
    return n;
}

static struct jinja_node *filter_tag(struct parser *p)
{
    struct jinja_node *n = parse_node(p, JINJA_FILTERED);
    struct jinja_node *filters = parse_first_filter(p, parse_node(p, JINJA_CAPTURED)), *body;

    if (!parse_enter(p))
        return p->empty;
    body = body_until(p, "endfilter");
    if (n != p->empty) {
        n->a = filters;
        n->b = body;
    }
    p->depth--;
    return n;
}

/* {% with a = 1, b = 2 %}; and {% generation %}, which only marks what an assistant said, for training. */
static struct jinja_node *with_tag(struct parser *p, const char *end)
{
    struct jinja_node *n = parse_node(p, JINJA_WITH), *first = NULL, **tail = &first, *body;

    while (p->status == GW_OK && p->now.type == LEX_NAME) {
        struct jinja_node *name = parse_node(p, JINJA_KEYWORD);

        parse_next(p);
        parse_expect_symbol(p, "=");
        struct jinja_node *value = parse_expression(p);
        if (name == p->empty)
            break;
        name->a = value;
        *tail = name;
        tail = &name->next;
        if (!parse_take_symbol(p, ","))
            break;
    }
    if (!parse_enter(p))
        return p->empty;
    body = body_until(p, end);
    if (n != p->empty) {
        n->a = first;
        n->b = body;
    }
    p->depth--;
    return n;
}

/* A tag whose name is at hand. */
static struct jinja_node *tag(struct parser *p)
{
    if (parse_take_word(p, "if"))
        return if_tag(p);
    if (parse_take_word(p, "for"))
        return for_tag(p);
    if (parse_take_word(p, "set"))
        return set_tag(p);
    if (parse_take_word(p, "break"))
        return jump_tag(p, JINJA_BREAK);
    if (parse_take_word(p, "continue"))
        return jump_tag(p, JINJA_CONTINUE);
    if (parse_take_word(p, "macro"))
        return macro_tag(p);
    if (parse_take_word(p, "call"))
        return call_tag(p);
    if (parse_take_word(p, "filter"))
        return filter_tag(p);
    if (parse_take_word(p, "with"))
        return with_tag(p, "endwith");
    if (parse_take_word(p, "generation"))
        return with_tag(p, "endgeneration");
    parse_fail(p, GW_EUNSUPPORTED, "this tag is not supported");
    return NULL;
}

static bool is_one_of(const struct parser *p, const char *const *words)
{
    for (; *words != NULL; words++)
        if (parse_is_word(p, *words))
            return true;
    return false;
}

/* Statements up to a tag that begins with one of the words, whose "{%" is taken; NULL: up to the end. */
static struct jinja_node *statements(struct parser *p, const char *const *until)
{
    struct jinja_node *first = NULL, **tail = &first;

    while (p->status == GW_OK && p->now.type != LEX_END) {
        struct jinja_node *n = NULL;

        if (p->now.type == LEX_TEXT) {
            if (p->now.text.len > 0)
                n = parse_node(p, JINJA_TEXT);
            parse_next(p);
        } else if (p->now.type == LEX_OUTPUT_OPEN) {
            parse_next(p);
            n = parse_wrap(p, JINJA_OUTPUT, parse_tuple(p), NULL);
            expect_close(p);
        } else {
            parse_next(p);
            if (until != NULL && is_one_of(p, until))
                return first;
            n = tag(p);
        }
        if (n != NULL && n != p->empty) {
            *tail = n;
            tail = &n->next;
        }
    }
    if (until != NULL)
        parse_fail(p, GW_EPARSE, "a block is not closed");
    return first;
}

/* Copies text with all line ends made \n, as Jinja does. */
static struct gw_span copy_template(struct parser *p, struct gw_span text)
{
    struct gw_span copy = {NULL, 0};
    char *out = p->j->arena == NULL ? NULL : gw_arena_alloc(p->j->arena, text.len + 1);

    if (out == NULL) {
        parse_fail(p, GW_ENOMEM, "out of memory");
        return copy;
    }
    copy.ptr = out;
    for (size_t i = 0; i < text.len; i++) {
        bool pair = text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n';

        if (!pair)
            out[copy.len++] = (char)(text.ptr[i] == '\r' ? '\n' : text.ptr[i]);
    }
    return copy;
}

enum gw_status jinja_parse(struct gw_span text, struct jinja **out, struct gw_err *err)
{
    struct jinja_node empty = {.kind = JINJA_NONE};
    struct parser p = {.empty = &empty, .status = GW_OK, .err = err};

    if (text.len > JINJA_MAX_TEMPLATE_BYTES)
        return gw_fail(err, GW_ELIMIT, "the chat template holds %zu bytes, the limit is %d",
                       text.len, JINJA_MAX_TEMPLATE_BYTES);
    p.j = calloc(1, sizeof(*p.j));
    if (p.j == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the chat template");
    p.j->arena = gw_arena_new((size_t)JINJA_MAX_NODES * sizeof(struct jinja_node) +
                              (size_t)4 * JINJA_MAX_TEMPLATE_BYTES);
    lex_init(&p.lexer, copy_template(&p, text));
    parse_next(&p);
    p.j->body = statements(&p, NULL);
    if (p.status != GW_OK) {
        jinja_free(p.j);
        return p.status;
    }
    *out = p.j;
    return GW_OK;
}

void jinja_free(struct jinja *j)
{
    if (j == NULL)
        return;
    gw_arena_free(j->arena);
    free(j);
}
