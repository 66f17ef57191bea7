/* proxy/local/local_python.c - see local_python.h. Recursion is bounded by MAX_DEPTH. */
#include "proxy/local/local_python.h"

#include <stdint.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_NAME = 64 };

/* ---- bytes ---------------------------------------------------------------------------------- */

/* The next byte, or -1. */
static int peek(const struct local_python *p)
{
    return p->at < p->text.len ? (unsigned char)p->text.ptr[p->at] : -1;
}

static bool take(struct local_python *p, const char *what)
{
    struct gw_span w = gw_span_str(what);

    if (!gw_span_starts(gw_span_from(p->text, p->at), w))
        return false;
    p->at += w.len;
    return true;
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_line(struct local_python *p)
{
    while (peek(p) != -1 && peek(p) != '\n')
        p->at++;
}

/* White space, lines' ends and comments. */
static void skip_blank(struct local_python *p)
{
    for (;;) {
        if (peek(p) == '#')
            skip_line(p);
        else if (is_blank(peek(p)))
            p->at++;
        else
            return;
    }
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool begins_name(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

/* A name, with dots in it; empty: there is none. */
static struct gw_span take_name(struct local_python *p)
{
    size_t from = p->at;

    if (begins_name(peek(p)))
        while (begins_name(peek(p)) || is_digit(peek(p)) || peek(p) == '.')
            p->at++;
    return (struct gw_span){p->text.ptr + from, p->at - from};
}

static void put(struct local_python *p, char c)
{
    p->out[p->n++] = c;
}

static void put_text(struct local_python *p, struct gw_span text)
{
    if (text.len != 0)
        memcpy(p->out + p->n, text.ptr, text.len);
    p->n += text.len;
}

/* ---- strings -------------------------------------------------------------------------------- */

/* A byte of a string as JSON; false: JSON has no short form for this control character. */
static bool put_byte(struct local_python *p, char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *known = c == '\0' ? NULL : strchr(from, c);

    if (known == NULL && (unsigned char)c < 0x20)
        return false;
    if (known == NULL) {
        put(p, c);
    } else {
        put(p, '\\');
        put(p, to[known - from]);
    }
    return true;
}

/* A character by its number. */
static bool put_char(struct local_python *p, uint32_t c)
{
    if (c < 0x80)
        return put_byte(p, (char)c);
    if ((c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF)
        return false;
    if (c < 0x800) {
        put(p, (char)(0xC0 | c >> 6));
    } else {
        if (c < 0x10000) {
            put(p, (char)(0xE0 | c >> 12));
        } else {
            put(p, (char)(0xF0 | c >> 18));
            put(p, (char)(0x80 | (c >> 12 & 0x3F)));
        }
        put(p, (char)(0x80 | (c >> 6 & 0x3F)));
    }
    put(p, (char)(0x80 | (c & 0x3F)));
    return true;
}

/* n digits of base 16. */
static bool take_hex(struct local_python *p, unsigned n, uint32_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; i++, p->at++) {
        int c = peek(p), lower = c | 0x20;

        if (is_digit(c))
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (c != -1 && lower >= 'a' && lower <= 'f')
            *out = *out << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* \x, \u and \U; of \u two halves of one character may follow each other, as in JSON. */
static bool put_coded(struct local_python *p, unsigned n_digits)
{
    uint32_t c, low;

    if (!take_hex(p, n_digits, &c))
        return false;
    if (n_digits == 4 && c >= 0xD800 && c <= 0xDBFF) {
        if (!take(p, "\\u") || !take_hex(p, 4, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    return put_char(p, c);
}

/* Behind a backslash. */
static bool put_escape(struct local_python *p)
{
    int c = peek(p);

    p->at++;
    switch (c) {
    case '\n':
        return true;
    case '\\':
    case '\'':
    case '"':
        return put_byte(p, (char)c);
    case 'b':
        return put_byte(p, '\b');
    case 'f':
        return put_byte(p, '\f');
    case 'n':
        return put_byte(p, '\n');
    case 'r':
        return put_byte(p, '\r');
    case 't':
        return put_byte(p, '\t');
    case 'x':
        return put_coded(p, 2);
    case 'u':
        return put_coded(p, 4);
    case 'U':
        return put_coded(p, 8);
    case 'a':
    case 'v':
    case 'N':
    case -1:
        return false;
    default: /* it is no escape: the backslash stays */
        return !is_digit(c) && put_byte(p, '\\') && put_byte(p, (char)c);
    }
}

/* Behind the opening quote, which ends it, too. */
static bool put_until(struct local_python *p, const char *quote, bool raw)
{
    bool lines = quote[1] != '\0';

    while (!take(p, quote)) {
        int c = peek(p);

        p->at++;
        if (c == -1 || (c == '\n' && !lines))
            return false;
        if (c == '\\' && !raw) {
            if (!put_escape(p))
                return false;
            continue;
        }
        if (!put_byte(p, (char)c))
            return false;
        if (c == '\\') { /* it keeps a quote from being the end, and stays itself */
            c = peek(p);
            p->at++;
            if (c == -1 || (c == '\n' && !lines) || !put_byte(p, (char)c))
                return false;
        }
    }
    return true;
}

static bool begins_string(const struct local_python *p)
{
    struct local_python behind = *p;
    int c = peek(p);

    behind.at++;
    if (c == 'r' || c == 'R' || c == 'u' || c == 'U')
        c = peek(&behind);
    return c == '"' || c == '\'';
}

/* Strings in a row are one. */
static bool put_strings(struct local_python *p)
{
    static const char *const quotes[] = {"\"\"\"", "'''", "\"", "'"};

    put(p, '"');
    while (begins_string(p)) {
        bool raw = take(p, "r") || take(p, "R");
        unsigned i = 0;

        if (!raw && !take(p, "u"))
            (void)take(p, "U");
        while (!take(p, quotes[i]))
            i++; /* one of them is there */
        if (!put_until(p, quotes[i], raw))
            return false;
        skip_blank(p);
    }
    put(p, '"');
    return true;
}

/* ---- other values --------------------------------------------------------------------------- */

/* Digits, which may have underscores between them. Returns how many digits. */
static unsigned put_digits(struct local_python *p)
{
    unsigned n = 0;

    for (;;) {
        if (n != 0 && peek(p) == '_' && p->at + 1 < p->text.len && is_digit(p->text.ptr[p->at + 1]))
            p->at++;
        if (!is_digit(peek(p)))
            return n;
        put(p, p->text.ptr[p->at++]);
        n++;
    }
}

static bool put_number(struct local_python *p)
{
    unsigned n_digits;

    if (take(p, "-"))
        put(p, '-');
    else
        (void)take(p, "+");
    n_digits = put_digits(p);
    if (n_digits == 0)
        put(p, '0'); /* .5 */
    if (take(p, ".")) {
        unsigned n_behind;

        put(p, '.');
        n_behind = put_digits(p);
        n_digits += n_behind;
        if (n_behind == 0)
            put(p, '0'); /* 5. */
    }
    if (n_digits == 0)
        return false;
    if (take(p, "e") || take(p, "E")) {
        put(p, 'e');
        if (take(p, "-"))
            put(p, '-');
        else
            (void)take(p, "+");
        if (put_digits(p) == 0)
            return false;
    }
    return !begins_name(peek(p)); /* 0x1F, 2j */
}

static bool put_word(struct local_python *p)
{
    static const struct {
        const char *python, *json;
    } words[] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    struct gw_span word = take_name(p);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!gw_span_is(word, words[i].python) && !gw_span_is(word, words[i].json))
            continue;
        put_text(p, gw_span_str(words[i].json));
        return true;
    }
    return false;
}

static bool put_value(struct local_python *p, unsigned depth);

/* Behind "{". */
static bool put_dict(struct local_python *p, unsigned depth)
{
    bool any = false;

    put(p, '{');
    for (;;) {
        skip_blank(p);
        if (take(p, "}"))
            break;
        if (any)
            put(p, ',');
        any = true;
        if (!begins_string(p) || !put_strings(p) || !take(p, ":"))
            return false;
        put(p, ':');
        if (!put_value(p, depth + 1))
            return false;
        skip_blank(p);
        if (!take(p, ",") && peek(p) != '}')
            return false;
    }
    put(p, '}');
    return true;
}

/* Behind "[" or "(". One value in round brackets without a comma is that value. */
static bool put_items(struct local_python *p, unsigned depth, const char *close)
{
    size_t from = p->n, n_items = 0;
    bool comma = *close == ']';

    put(p, '[');
    for (;;) {
        skip_blank(p);
        if (take(p, close))
            break;
        if (n_items++ != 0)
            put(p, ',');
        if (!put_value(p, depth + 1))
            return false;
        skip_blank(p);
        if (take(p, ","))
            comma = true;
        else if (peek(p) != *close)
            return false;
    }
    if (n_items == 1 && !comma) {
        p->n--;
        memmove(p->out + from, p->out + from + 1, p->n - from);
    } else {
        put(p, ']');
    }
    return true;
}

static bool put_value(struct local_python *p, unsigned depth)
{
    int c;

    skip_blank(p);
    c = peek(p);
    if (depth > MAX_DEPTH)
        return false;
    if (begins_string(p))
        return put_strings(p);
    if (take(p, "{"))
        return put_dict(p, depth);
    if (take(p, "["))
        return put_items(p, depth, "]");
    if (take(p, "("))
        return put_items(p, depth, ")");
    if (is_digit(c) || c == '-' || c == '+' || c == '.')
        return put_number(p);
    return put_word(p);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* A keyword argument: name = value. */
static bool put_argument(struct local_python *p)
{
    struct gw_span name = take_name(p);

    if (name.len == 0 || memchr(name.ptr, '.', name.len) != NULL)
        return false;
    skip_blank(p);
    if (!take(p, "="))
        return false;
    put(p, '"');
    put_text(p, name);
    put(p, '"');
    put(p, ':');
    return put_value(p, 1);
}

/* Behind "(". *out is in p->out. */
static bool take_arguments(struct local_python *p, struct gw_span *out)
{
    size_t from = p->n;
    bool any = false;

    put(p, '{');
    for (;;) {
        skip_blank(p);
        if (take(p, ")"))
            break;
        if (any)
            put(p, ',');
        any = true;
        if (!put_argument(p))
            return false;
        skip_blank(p);
        if (!take(p, ",") && peek(p) != ')')
            return false;
    }
    put(p, '}');
    *out = (struct gw_span){p->out + from, p->n - from};
    return true;
}

/* A call up to its "(". */
static struct gw_span take_callee(struct local_python *p)
{
    struct gw_span name = take_name(p);

    while (peek(p) == ' ')
        p->at++;
    return take(p, "(") ? name : (struct gw_span){NULL, 0};
}

static bool take_call(struct local_python *p)
{
    struct gw_span name = take_callee(p), arguments;

    return name.len != 0 && take_arguments(p, &arguments) && p->fn(p->ctx, name, arguments);
}

/* One call, or one in print(). */
static bool take_printed(struct local_python *p)
{
    const size_t from = p->at;
    struct gw_span name = take_callee(p);

    skip_blank(p);
    if (gw_span_is(name, "print") && begins_name(peek(p))) {
        const size_t inner = p->at;

        if (take_callee(p).len != 0) { /* no keyword argument of a tool of that name */
            p->at = inner;
            if (!take_call(p))
                return false;
            skip_blank(p);
            return take(p, ")");
        }
    }
    p->at = from;
    return take_call(p);
}

bool local_python_list(struct local_python *p)
{
    if (!take(p, "["))
        return false;
    for (;;) {
        skip_blank(p);
        if (take(p, "]"))
            return true;
        if (!take_call(p))
            return false;
        skip_blank(p);
        if (!take(p, ",") && peek(p) != ']')
            return false;
    }
}

/* The end of a statement: of its line, a semicolon, or what ends the block. */
static bool ends_statement(struct local_python *p)
{
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\r')
        p->at++;
    return peek(p) == -1 || peek(p) == '\n' || peek(p) == '#' || take(p, ";") ||
           gw_span_starts(gw_span_from(p->text, p->at), GW_SPAN(LOCAL_PYTHON_END));
}

bool local_python_block(struct local_python *p)
{
    if (!is_blank(peek(p)))
        return false;
    for (;;) {
        skip_blank(p);
        if (peek(p) == -1 || take(p, LOCAL_PYTHON_END))
            return true;
        if (!(peek(p) == '[' ? local_python_list(p) : take_printed(p)) || !ends_statement(p))
            return false;
    }
}

bool local_python_may_be_list(struct gw_span text, bool *whole)
{
    struct local_python p = {.text = text};

    *whole = false;
    if (!take(&p, "["))
        return false;
    while (is_blank(peek(&p)))
        p.at++;
    if (peek(&p) == -1)
        return text.len <= MAX_NAME;
    if (take_name(&p).len == 0)
        return false;
    while (peek(&p) == ' ')
        p.at++;
    *whole = peek(&p) == '(';
    return *whole || (peek(&p) == -1 && text.len <= MAX_NAME);
}
