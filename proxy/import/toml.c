/* proxy/import/toml.c - see the header. Depth is bounded by MAX_DEPTH, so recursion is. */
#include "proxy/import/toml.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { MAX_BYTES = 4 << 20, MAX_DEPTH = 32, MAX_NODES = 250000, MAX_NUMBER = 40, MAX_KEYS = 1024 };

struct parser {
    struct gw_arena *arena;
    const char *p, *end;
    const char *name;
    unsigned line, n_nodes;
    const char *line_start;
    struct gw_buf decoded; /* of the string at hand */
    struct gw_err *err;
};

static enum gw_status fail(const struct parser *x, enum gw_status st, const char *what)
{
    return gw_fail(x->err, st, "%s:%u:%u: %s", x->name, x->line,
                   (unsigned)(x->p - x->line_start) + 1, what);
}

static bool more(const struct parser *x)
{
    return x->p < x->end;
}

static bool at(const struct parser *x, const char *s)
{
    size_t n = strlen(s);

    return (size_t)(x->end - x->p) >= n && memcmp(x->p, s, n) == 0;
}

static bool take(struct parser *x, const char *s)
{
    if (!at(x, s))
        return false;
    x->p += strlen(s);
    return true;
}

/* Steps over the newline at p. */
static void newline(struct parser *x)
{
    x->p++;
    x->line++;
    x->line_start = x->p;
}

static void skip_blanks(struct parser *x)
{
    while (more(x) && (*x->p == ' ' || *x->p == '\t'))
        x->p++;
}

/* Blanks, comments and newlines. */
static void skip_lines(struct parser *x)
{
    for (;;) {
        skip_blanks(x);
        if (more(x) && *x->p == '#')
            while (more(x) && *x->p != '\n')
                x->p++;
        if (at(x, "\r\n"))
            x->p++;
        if (!more(x) || *x->p != '\n')
            return;
        newline(x);
    }
}

/* A new node; NULL: see no_node(). */
static struct toml_node *make(struct parser *x, enum toml_kind kind)
{
    struct toml_node *n = x->n_nodes == MAX_NODES ? NULL : gw_arena_alloc(x->arena, sizeof(*n));

    if (n == NULL)
        return NULL;
    x->n_nodes++;
    *n = (struct toml_node){.kind = kind, .line = x->line};
    return n;
}

static enum gw_status no_node(const struct parser *x)
{
    return x->n_nodes == MAX_NODES ? fail(x, GW_ELIMIT, "more than 250,000 values")
                                   : gw_fail(x->err, GW_ENOMEM, "%s: out of memory", x->name);
}

static void append(struct toml_node *to, struct toml_node *n)
{
    to->n_members++;
    if (to->last == NULL)
        to->first = n;
    else
        to->last->next = n;
    to->last = n;
}

/* Members are looked up one by one, so a table has few. */
static bool is_full(const struct toml_node *table)
{
    return table->kind == TOML_TABLE && table->n_members == MAX_KEYS;
}

static struct toml_node *find(const struct toml_node *table, struct gw_span key)
{
    for (struct toml_node *n = table->first; n != NULL; n = n->next)
        if (gw_span_eq(n->key, key))
            return n;
    return NULL;
}

struct toml_node *toml_get(const struct toml_node *table, const char *key)
{
    return table == NULL || table->kind != TOML_TABLE ? NULL : find(table, gw_span_str(key));
}

/* ---- strings ---------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* \uXXXX or \UXXXXXXXX behind its letter. */
static bool unicode(struct parser *x, unsigned digits)
{
    uint32_t cp = 0;
    char utf8[4];

    for (unsigned i = 0; i < digits; i++) {
        int v = more(x) ? hex_digit(*x->p) : -1;

        if (v < 0)
            return false;
        cp = cp << 4 | (uint32_t)v;
        x->p++;
    }
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return false;
    gw_buf_add(&x->decoded, (struct gw_span){utf8, gw_utf8_encode(cp, utf8)});
    return true;
}

/* A backslash at the end of a line joins it with the next text; p is behind it. */
static bool join_lines(struct parser *x)
{
    while (more(x) && (*x->p == ' ' || *x->p == '\t' || *x->p == '\r'))
        x->p++;
    if (!more(x) || *x->p != '\n')
        return false;
    while (more(x) && (*x->p == ' ' || *x->p == '\t' || *x->p == '\r' || *x->p == '\n')) {
        if (*x->p == '\n')
            newline(x);
        else
            x->p++;
    }
    return true;
}

/* An escape behind its backslash. */
static bool escape(struct parser *x, bool many_lines)
{
    static const char from[] = "btnfr\"\\", into[] = "\b\t\n\f\r\"\\";
    const char *known;
    char c;

    if (!more(x))
        return false;
    c = *x->p;
    if (many_lines && (c == '\n' || c == ' ' || c == '\t' || c == '\r'))
        return join_lines(x);
    x->p++;
    if (c == 'u' || c == 'U')
        return unicode(x, c == 'u' ? 4 : 8);
    known = c == '\0' ? NULL : strchr(from, c);
    if (known == NULL)
        return false;
    gw_buf_addc(&x->decoded, into[known - from]);
    return true;
}

/* The end of a string of that quote at p? Three quotes may have one or two more of the text in front. */
static bool ends(const struct parser *x, char quote, bool many_lines)
{
    if (*x->p != quote)
        return false;
    return !many_lines || (x->end - x->p >= 3 && x->p[1] == quote && x->p[2] == quote &&
                           (x->end - x->p == 3 || x->p[3] != quote));
}

/* The characters of a string up to its end. */
static enum gw_status string_body(struct parser *x, char quote, bool many_lines)
{
    for (;;) {
        if (!more(x) || (*x->p == '\n' && !many_lines))
            return fail(x, GW_EPARSE, "the string does not end");
        if (ends(x, quote, many_lines))
            return GW_OK;
        if (*x->p == '\\' && quote == '"') {
            x->p++;
            if (!escape(x, many_lines))
                return fail(x, GW_EPARSE,
                            "unknown escape in a string; '...' takes backslashes as they are");
            continue;
        }
        if ((unsigned char)*x->p < 0x20 && *x->p != '\t' && *x->p != '\n' && *x->p != '\r')
            return fail(x, GW_EPARSE, "a control character in a string");
        gw_buf_addc(&x->decoded, *x->p);
        if (*x->p == '\n')
            newline(x);
        else
            x->p++;
    }
}

/* A string, from its first quote on. */
static enum gw_status parse_string(struct parser *x, struct gw_span *out)
{
    char quote = *x->p;
    bool many_lines = at(x, quote == '"' ? "\"\"\"" : "'''");

    x->p += many_lines ? 3 : 1;
    if (many_lines && at(x, "\r\n"))
        x->p++;
    if (many_lines && more(x) && *x->p == '\n')
        newline(x);
    gw_buf_clear(&x->decoded);
    GW_TRY(string_body(x, quote, many_lines));
    x->p += many_lines ? 3 : 1;
    *out = gw_arena_copy(x->arena, gw_buf_span(&x->decoded));
    if (out->ptr == NULL || !gw_buf_ok(&x->decoded))
        return gw_fail(x->err, GW_ENOMEM, "%s: out of memory", x->name);
    return GW_OK;
}

/* ---- keys ------------------------------------------------------------------------------- */

static bool is_bare(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
}

static enum gw_status parse_key(struct parser *x, struct gw_span *out)
{
    const char *begin;

    skip_blanks(x);
    if (more(x) && (*x->p == '"' || *x->p == '\''))
        return at(x, "\"\"\"") || at(x, "'''") ? fail(x, GW_EPARSE, "a key of several lines")
                                               : parse_string(x, out);
    begin = x->p;
    while (more(x) && is_bare(*x->p))
        x->p++;
    if (x->p == begin)
        return fail(x, GW_EPARSE, "expected a key");
    *out = gw_arena_copy(x->arena, (struct gw_span){begin, (size_t)(x->p - begin)});
    return out->ptr == NULL ? gw_fail(x->err, GW_ENOMEM, "%s: out of memory", x->name) : GW_OK;
}

/* The table of that name below *table, made when it is not there; of an array of tables the last. */
static enum gw_status step_into(struct parser *x, struct toml_node **table, struct gw_span key)
{
    struct toml_node *n = find(*table, key);

    if (n == NULL && is_full(*table))
        return fail(x, GW_ELIMIT, "more than 1024 keys in a table");
    if (n == NULL) {
        n = make(x, TOML_TABLE);
        if (n == NULL)
            return no_node(x);
        n->key = key;
        append(*table, n);
    }
    if (n->kind == TOML_ARRAY && !n->closed && n->last != NULL)
        n = n->last;
    if (n->kind != TOML_TABLE || n->closed)
        return fail(x, GW_EPARSE, "the key has a value already that is no table");
    *table = n;
    return GW_OK;
}

/* a.b.c: *table becomes that of a.b, *key is c. */
static enum gw_status parse_path(struct parser *x, struct toml_node **table, struct gw_span *key)
{
    for (unsigned depth = 0;; depth++) {
        if (depth == MAX_DEPTH)
            return fail(x, GW_ELIMIT, "nested deeper than 32");
        GW_TRY(parse_key(x, key));
        skip_blanks(x);
        if (!take(x, "."))
            return GW_OK;
        GW_TRY(step_into(x, table, *key));
    }
}

/* ---- values ----------------------------------------------------------------------------- */

static enum gw_status parse_value(struct parser *x, unsigned depth, struct toml_node **out);

/* Digits with single underscores between them, copied without. */
static bool digits_only(const char *from, size_t n, char *to)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        bool digit = from[i] >= '0' && from[i] <= '9';

        if (from[i] == '_') {
            if (i == 0 || i + 1 == n || from[i - 1] < '0' || from[i - 1] > '9' ||
                from[i + 1] < '0' || from[i + 1] > '9')
                return false;
            continue;
        }
        if (!digit && strchr("+-.eE", from[i]) == NULL)
            return false;
        to[k++] = from[i];
    }
    to[k] = '\0';
    return k > 0;
}

static enum gw_status parse_number(struct parser *x, struct toml_node **out)
{
    const char *begin = x->p;
    char text[MAX_NUMBER + 1], *end = NULL;
    size_t n;
    bool is_float;

    while (more(x) && (is_bare(*x->p) || *x->p == '+' || *x->p == '.' || *x->p == ':'))
        x->p++;
    n = (size_t)(x->p - begin);
    if (n == 0 || n > MAX_NUMBER || !digits_only(begin, n, text))
        return fail(x, GW_EPARSE, "expected a string, a number, true, false, [ or {");
    is_float = strpbrk(text, ".eE") != NULL;
    *out = make(x, is_float ? TOML_FLOAT : TOML_INTEGER);
    if (*out == NULL)
        return no_node(x);
    (*out)->number = strtod(text, &end);
    if (*end == '\0' && !is_float)
        (*out)->integer = strtoll(text, &end, 10);
    return *end == '\0' ? GW_OK : fail(x, GW_EPARSE, "not a number; dates are not taken");
}

/* [a, b, ...] behind its bracket. */
static enum gw_status parse_array(struct parser *x, unsigned depth, struct toml_node *array)
{
    for (;;) {
        struct toml_node *n = NULL;

        skip_lines(x);
        if (take(x, "]"))
            return GW_OK;
        GW_TRY(parse_value(x, depth, &n));
        append(array, n);
        skip_lines(x);
        if (take(x, "]"))
            return GW_OK;
        if (!take(x, ","))
            return fail(x, GW_EPARSE, "expected , or ]");
    }
}

static enum gw_status parse_pair(struct parser *x, struct toml_node *table, unsigned depth)
{
    struct toml_node *n = NULL;
    struct gw_span key = {NULL, 0};

    GW_TRY(parse_path(x, &table, &key));
    if (!take(x, "="))
        return fail(x, GW_EPARSE, "expected =");
    if (find(table, key) != NULL)
        return fail(x, GW_EPARSE, "the key is there twice");
    if (is_full(table))
        return fail(x, GW_ELIMIT, "more than 1024 keys in a table");
    skip_blanks(x);
    GW_TRY(parse_value(x, depth, &n));
    if (n == NULL)
        return no_node(x);
    n->key = key;
    append(table, n);
    return GW_OK;
}

/* { a = 1, b = 2 } behind its brace; on one line. */
static enum gw_status parse_inline(struct parser *x, unsigned depth, struct toml_node *table)
{
    skip_blanks(x);
    if (take(x, "}"))
        return GW_OK;
    for (;;) {
        GW_TRY(parse_pair(x, table, depth));
        skip_blanks(x);
        if (take(x, "}"))
            return GW_OK;
        if (!take(x, ","))
            return fail(x, GW_EPARSE, "expected , or }");
    }
}

/* An array or inline table from its bracket on. */
// NOLINTNEXTLINE(misc-no-recursion): MAX_DEPTH
static enum gw_status parse_container(struct parser *x, unsigned depth, struct toml_node **out)
{
    bool array = *x->p++ == '[';
    struct toml_node *n = make(x, array ? TOML_ARRAY : TOML_TABLE);
    enum gw_status st;

    if (n == NULL)
        return no_node(x);
    st = array ? parse_array(x, depth + 1, n) : parse_inline(x, depth + 1, n);
    n->closed = true;
    *out = n;
    return st;
}

/* A boolean behind its word. */
static enum gw_status parse_boolean(struct parser *x, bool value, struct toml_node **out)
{
    struct toml_node *n = make(x, TOML_BOOLEAN);

    if (n == NULL)
        return no_node(x);
    n->integer = value;
    *out = n;
    return more(x) && is_bare(*x->p) ? fail(x, GW_EPARSE, "expected true or false") : GW_OK;
}

// NOLINTNEXTLINE(misc-no-recursion): MAX_DEPTH
static enum gw_status parse_value(struct parser *x, unsigned depth, struct toml_node **out)
{
    if (depth == MAX_DEPTH)
        return fail(x, GW_ELIMIT, "nested deeper than 32");
    if (!more(x))
        return fail(x, GW_EPARSE, "expected a value");
    if (*x->p == '[' || *x->p == '{')
        return parse_container(x, depth, out);
    if (*x->p == '"' || *x->p == '\'') {
        *out = make(x, TOML_STRING);
        return *out == NULL ? no_node(x) : parse_string(x, &(*out)->text);
    }
    if (take(x, "true"))
        return parse_boolean(x, true, out);
    if (take(x, "false"))
        return parse_boolean(x, false, out);
    return parse_number(x, out);
}

/* ---- headers ---------------------------------------------------------------------------- */

/* A new table at the end of the array of tables that key is in table. */
static enum gw_status add_table(struct parser *x, struct toml_node *table, struct gw_span key,
                                struct toml_node **current)
{
    struct toml_node *n = NULL;

    n = find(table, key);
    if (n == NULL && is_full(table))
        return fail(x, GW_ELIMIT, "more than 1024 keys in a table");
    if (n == NULL) {
        n = make(x, TOML_ARRAY);
        if (n == NULL)
            return no_node(x);
        n->key = key;
        append(table, n);
    }
    if (n->kind != TOML_ARRAY || n->closed)
        return fail(x, GW_EPARSE, "the key has a value already that is no array of tables");
    *current = make(x, TOML_TABLE);
    if (*current == NULL)
        return no_node(x);
    append(n, *current);
    return GW_OK;
}

/* [a.b] or [[a.b]] behind its brackets. */
static enum gw_status parse_header(struct parser *x, bool array, struct toml_node *root,
                                   struct toml_node **current)
{
    struct toml_node *table = root;
    struct gw_span key = {NULL, 0};

    GW_TRY(parse_path(x, &table, &key));
    if (!take(x, array ? "]]" : "]"))
        return fail(x, GW_EPARSE, array ? "expected ]]" : "expected ]");
    if (!array) {
        GW_TRY(step_into(x, &table, key));
        if (table->defined)
            return fail(x, GW_EPARSE, "the table is there twice");
        table->defined = true;
        *current = table;
        return GW_OK;
    }
    return add_table(x, table, key, current);
}

static enum gw_status parse_lines(struct parser *x, struct toml_node *root)
{
    struct toml_node *current = root;

    for (skip_lines(x); more(x); skip_lines(x)) {
        unsigned line = x->line;

        if (take(x, "[["))
            GW_TRY(parse_header(x, true, root, &current));
        else if (take(x, "["))
            GW_TRY(parse_header(x, false, root, &current));
        else
            GW_TRY(parse_pair(x, current, 0));
        skip_lines(x);
        if (more(x) && x->line == line)
            return fail(x, GW_EPARSE, "expected the end of the line");
    }
    return GW_OK;
}

enum gw_status toml_parse(struct gw_arena *arena, struct gw_span text, const char *name,
                          struct toml_node **out, struct gw_err *err)
{
    struct parser x = {.arena = arena,
                       .p = text.ptr,
                       .end = text.ptr + text.len,
                       .name = name,
                       .line = 1,
                       .line_start = text.ptr,
                       .err = err};
    struct toml_node *root = NULL;
    enum gw_status st;

    if (text.len > MAX_BYTES)
        return gw_fail(err, GW_ELIMIT, "%s: larger than 4 MiB", name);
    if (text.len == 0)
        x.p = x.end = x.line_start = "";
    root = make(&x, TOML_TABLE);
    st = root == NULL ? no_node(&x) : parse_lines(&x, root);
    gw_buf_fini(&x.decoded);
    if (st == GW_OK)
        *out = root;
    return st;
}
