/* proxy/import/import_regex.c - see the header.
 *
 * A pattern becomes a tree whose leaves are texts in our notation; the tree is changed where ours has other means (ends of
 * text, gaps, groups), then written. Recursion is bounded by MAX_DEPTH. */
#include <stdlib.h>
#include <string.h>

#include "proxy/import/import_tree.h"

enum { MAX_BYTES = 16384, MAX_DEPTH = 60, MAX_NODES = 20000 };

struct flags {
    bool i, s, x;
};

struct parser {
    struct gw_arena *arena;
    const char *p, *end;
    struct flags f;
    bool expand; /* letters are written in both cases where case does not matter */
    unsigned n_groups, n_nodes;
    bool any_fold, any_exact; /* letters where case does not matter, and where it does */
    enum gw_status st;
    struct gw_err *err;
};

static struct import_node *fail(struct parser *x, enum gw_status st, const char *why)
{
    if (x->st == GW_OK)
        x->st = gw_fail(x->err, st, "%s", why);
    return NULL;
}

static struct import_node *make(struct parser *x, enum import_kind kind)
{
    struct import_node *n = x->n_nodes++ < MAX_NODES ? gw_arena_alloc(x->arena, sizeof(*n)) : NULL;

    if (n == NULL)
        return fail(x, x->n_nodes > MAX_NODES ? GW_ELIMIT : GW_ENOMEM, "the pattern is too large");
    *n = (struct import_node){.kind = kind};
    return n;
}

static bool more(const struct parser *x)
{
    return x->p < x->end;
}

static bool take(struct parser *x, const char *s)
{
    size_t n = strlen(s);

    if ((size_t)(x->end - x->p) < n || memcmp(x->p, s, n) != 0)
        return false;
    x->p += n;
    return true;
}

static bool is_letter(unsigned c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- characters ------------------------------------------------------------------------- */

/* Writes byte c; special: what must be escaped there. */
static void put_byte(struct gw_buf *out, unsigned c, const char *special)
{
    if (c < ' ' || c == 0x7f)
        gw_buf_printf(out, "\\x%02x", c);
    else if (c < 0x80 && strchr(special, (int)c) != NULL)
        gw_buf_printf(out, "\\%c", (int)c);
    else
        gw_buf_addc(out, (char)c);
}

static const char in_pattern[] = "\\^$.|?*+()[]{}", in_class[] = "\\^-[]";

static void note_letter(struct parser *x, unsigned c)
{
    if (!is_letter(c))
        return;
    if (x->f.i)
        x->any_fold = true;
    else
        x->any_exact = true;
}

static struct import_node *atom(struct parser *x, struct gw_buf *text)
{
    struct import_node *n = make(x, IMPORT_ATOM);

    if (n != NULL) {
        n->text = gw_arena_copy(x->arena, gw_buf_span(text));
        if (n->text.ptr == NULL || !gw_buf_ok(text))
            n = fail(x, GW_ENOMEM, "out of memory");
    }
    gw_buf_fini(text);
    return n;
}

static struct import_node *literal(struct parser *x, unsigned c)
{
    struct gw_buf text = {NULL, 0, 0, false};

    note_letter(x, c);
    if (x->expand && x->f.i && is_letter(c))
        gw_buf_printf(&text, "[%c%c]", (int)(c | 0x20), (int)(c & ~0x20u));
    else
        put_byte(&text, c, in_pattern);
    return atom(x, &text);
}

static int hex(char c)
{
    if (is_digit(c))
        return c - '0';
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* \xHH or \x{H..} behind the x; -1: none that we have. */
static long hex_escape(struct parser *x)
{
    bool braces = take(x, "{");
    long v = 0;
    unsigned n = 0;

    while (more(x) && hex(*x->p) >= 0 && n < (braces ? 6u : 2u)) {
        v = v * 16 + hex(*x->p++);
        n++;
    }
    if (n == 0 || (braces && !take(x, "}")))
        return -1;
    return v > 0 && v < 0x80 ? v : -1;
}

/* An escape that is one byte, behind its backslash; -1 when it is something else. */
static long byte_escape(struct parser *x)
{
    static const char from[] = "tnrfvae", into[] = "\t\n\r\f\v\a\x1b";
    char c = *x->p;
    const char *known = c == '\0' ? NULL : strchr(from, c);

    if (c == 'x') {
        x->p++;
        return hex_escape(x);
    }
    if (known != NULL) {
        x->p++;
        return (unsigned char)into[known - from];
    }
    if (is_letter((unsigned char)c) || is_digit(c))
        return -1;
    x->p++;
    return (unsigned char)c;
}

/* ---- classes ---------------------------------------------------------------------------- */

static void put_range(struct parser *x, struct gw_buf *out, unsigned from, unsigned to)
{
    put_byte(out, from, in_class);
    if (to != from) {
        gw_buf_addc(out, '-');
        put_byte(out, to, in_class);
    }
    note_letter(x, from);
    /* Other cases of letters that a range within letters has. */
    if (x->expand && x->f.i && is_letter(from) && is_letter(to) && (from & 0x20) == (to & 0x20)) {
        put_byte(out, from ^ 0x20u, in_class);
        if (to != from) {
            gw_buf_addc(out, '-');
            put_byte(out, to ^ 0x20u, in_class);
        }
    }
}

/* One byte of a class, or -1 after writing what is more than one, or -2 after a failure. */
static long class_byte(struct parser *x, struct gw_buf *out)
{
    long c;

    if (*x->p != '\\')
        return (unsigned char)*x->p++;
    x->p++;
    if (!more(x))
        return -2;
    if (strchr("dDwWsS", *x->p) != NULL) {
        gw_buf_printf(out, "\\%c", *x->p++);
        return -1;
    }
    if (take(x, "h")) {
        gw_buf_adds(out, " \\x09");
        return -1;
    }
    if (take(x, "b"))
        return '\b';
    c = byte_escape(x);
    return c < 0 ? -2 : c;
}

/* What follows [. */
static struct import_node *parse_class(struct parser *x)
{
    struct gw_buf out = {NULL, 0, 0, false};
    bool first = true, negative = take(x, "^"), wide;
    struct import_node *n = NULL;

    gw_buf_adds(&out, negative ? "[^" : "[");
    for (;; first = false) {
        long from, to;
        size_t posix;

        if (!more(x)) {
            gw_buf_fini(&out);
            return fail(x, GW_EPARSE, "a class does not end");
        }
        if (!first && take(x, "]"))
            break;
        posix = import_posix_class((struct gw_span){x->p, (size_t)(x->end - x->p)}, &out);
        x->p += posix;
        if (posix > 0)
            continue;
        from = class_byte(x, &out);
        if (from == -1)
            continue;
        to = from;
        if (x->end - x->p >= 2 && x->p[0] == '-' && x->p[1] != ']') {
            x->p++;
            to = class_byte(x, &out);
        }
        if (from < 0 || to < 0 || (from >= 0x80) != (to >= 0x80) || (from >= 0x80 && from != to)) {
            gw_buf_fini(&out);
            return fail(x, GW_EUNSUPPORTED, "a class has an escape or a range that we do not have");
        }
        put_range(x, &out, (unsigned)from, (unsigned)to);
    }
    gw_buf_addc(&out, ']');
    wide = gw_span_is(gw_buf_span(&out), "[\\s\\S]") || gw_span_is(gw_buf_span(&out), "[\\S\\s]") ||
           gw_span_is(gw_buf_span(&out), "[\\w\\W]") || gw_span_is(gw_buf_span(&out), "[^\\x0a]");
    n = atom(x, &out);
    if (n != NULL)
        n->wide = wide;
    return n;
}

/* ---- escapes and groups ----------------------------------------------------------------- */

static struct import_node *fixed(struct parser *x, const char *text, bool wide)
{
    struct gw_buf b = {NULL, 0, 0, false};
    struct import_node *n;

    gw_buf_adds(&b, text);
    n = atom(x, &b);
    if (n != NULL)
        n->wide = wide;
    return n;
}

static struct import_node *assertion(struct parser *x, char what)
{
    struct import_node *n = make(x, IMPORT_ASSERT);

    if (n != NULL)
        n->assert = what;
    return n;
}

/* An escape outside of a class, behind its backslash. */
static struct import_node *parse_escape(struct parser *x)
{
    char c, text[3] = {'\\', 0, 0};
    long v;

    if (!more(x))
        return fail(x, GW_EPARSE, "a backslash at the end");
    c = *x->p;
    if (strchr("dDwWsS", c) != NULL) {
        x->p++;
        text[1] = c;
        return fixed(x, text, false);
    }
    if (take(x, "b"))
        return assertion(x, 'b');
    if (take(x, "A"))
        return assertion(x, '^');
    if (take(x, "z") || take(x, "Z"))
        return assertion(x, '$');
    if (take(x, "h"))
        return fixed(x, "[ \\x09]", false);
    if (take(x, "R"))
        return fixed(x, "[\\x0a\\x0d]", false);
    if (is_digit(c) || c == 'k' || c == 'g')
        return fail(x, GW_EUNSUPPORTED, "a back-reference");
    if (c == 'p' || c == 'P')
        return fail(x, GW_EUNSUPPORTED, "a class of Unicode (\\p)");
    if (c == 'B' || c == 'G' || c == 'K')
        return fail(x, GW_EUNSUPPORTED, "an assertion that we do not have (\\B, \\G, \\K)");
    v = byte_escape(x);
    return v < 0 ? fail(x, GW_EUNSUPPORTED, "an escape that we do not have")
                 : literal(x, (unsigned)v);
}

static struct import_node *parse_alt(struct parser *x, unsigned depth);

/* i, m, s, x, U and their end behind (?; sets the flags. 0: not flags; ':' or ')' is what ended them. */
static char parse_flags(struct parser *x)
{
    const char *from = x->p;
    struct flags f = x->f;
    bool on = true;

    for (; more(x) && *x->p != ')' && *x->p != ':'; x->p++) {
        switch (*x->p) {
        case '-':
            on = false;
            break;
        case 'i':
            f.i = on;
            break;
        case 's':
            f.s = on;
            break;
        case 'x':
            f.x = on;
            break;
        case 'm':
        case 'U':
        case 'u':
            break;
        default:
            x->p = from;
            return 0;
        }
    }
    if (!more(x))
        return 0;
    x->f = f;
    return *x->p++;
}

/* The name of a group behind (?< or (?P<; false when it is a look-behind. */
static bool group_name(struct parser *x)
{
    if (more(x) && (*x->p == '=' || *x->p == '!'))
        return false;
    while (more(x) && *x->p != '>')
        x->p++;
    return take(x, ">");
}

/* What follows (. NULL without a failure: flags for what follows. */
static struct import_node *parse_group(struct parser *x, unsigned depth)
{
    struct flags outer = x->f;
    struct import_node *n = NULL, *body = NULL;
    unsigned capture = 0;
    char ended;

    if (take(x, "?#")) {
        while (more(x) && *x->p != ')')
            x->p++;
        return take(x, ")") ? NULL : fail(x, GW_EPARSE, "a comment does not end");
    }
    if (!take(x, "?")) {
        capture = ++x->n_groups;
    } else if (take(x, "P<") || take(x, "<")) {
        if (!group_name(x))
            return fail(x, GW_EUNSUPPORTED, "look-around");
        capture = ++x->n_groups;
    } else if (take(x, "=") || take(x, "!")) {
        return fail(x, GW_EUNSUPPORTED, "look-around");
    } else if (take(x, ">")) {
        /* What it does not give back only makes matching faster here. */
    } else {
        ended = parse_flags(x);
        if (ended == 0)
            return fail(x, GW_EUNSUPPORTED, "a group that we do not have");
        if (ended == ')')
            return NULL;
    }
    body = parse_alt(x, depth + 1);
    x->f = outer;
    if (body == NULL)
        return NULL;
    if (!take(x, ")"))
        return fail(x, GW_EPARSE, "a group does not end");
    n = make(x, IMPORT_GROUP);
    if (n != NULL) {
        n->capture = capture;
        n->kid = body;
    }
    return n;
}

/* ---- repeats ---------------------------------------------------------------------------- */

/* {n}, {n,}, {n,m}, {,m} at p; false when the brace stands for itself. */
static bool parse_count(struct parser *x, int *min, int *max)
{
    const char *p = x->p + 1;
    long lo = 0, hi;
    char *end = NULL;

    if (p < x->end && is_digit(*p)) {
        lo = strtol(p, &end, 10);
        p = end;
    } else if (p >= x->end || *p != ',' || p + 1 >= x->end || !is_digit(p[1])) {
        return false;
    }
    hi = lo;
    if (p < x->end && *p == ',') {
        p++;
        hi = IMPORT_INFINITE;
        if (p < x->end && is_digit(*p)) {
            hi = strtol(p, &end, 10);
            p = end;
        }
    }
    if (p >= x->end || *p != '}' || lo > 65536 || hi > 65536)
        return false;
    *min = (int)lo;
    *max = (int)hi;
    x->p = p + 1;
    return true;
}

static bool parse_repeat(struct parser *x, int *min, int *max)
{
    if (!more(x))
        return false;
    if (*x->p == '{')
        return parse_count(x, min, max);
    if (strchr("?*+", *x->p) == NULL)
        return false;
    *min = *x->p == '+' ? 1 : 0;
    *max = *x->p == '?' ? 1 : IMPORT_INFINITE;
    x->p++;
    return true;
}

/* Blanks and comments of the flag x. */
static void skip_verbose(struct parser *x)
{
    while (x->f.x && more(x)) {
        if (*x->p == '#')
            while (more(x) && *x->p != '\n')
                x->p++;
        else if (strchr(" \t\r\n\f\v", *x->p) != NULL)
            x->p++;
        else
            return;
    }
}

/* One atom; *none: it was flags or a comment. */
static struct import_node *parse_atom(struct parser *x, unsigned depth, bool *none)
{
    unsigned char c = (unsigned char)*x->p++;
    struct import_node *n;

    *none = false;
    switch (c) {
    case '(':
        n = parse_group(x, depth);
        *none = n == NULL && x->st == GW_OK;
        return n;
    case '[':
        return parse_class(x);
    case '\\':
        return parse_escape(x);
    case '.':
        return x->f.s ? fixed(x, "[\\s\\S]", true) : fixed(x, ".", true);
    case '^':
    case '$':
        return assertion(x, (char)c);
    case '*':
    case '+':
    case '?':
        return fail(x, GW_EPARSE, "a repeat of nothing");
    default:
        if (c == 0)
            return fail(x, GW_EPARSE, "a NUL byte");
        return literal(x, c);
    }
}

static struct import_node *parse_cat(struct parser *x, unsigned depth)
{
    struct import_node *cat = make(x, IMPORT_CAT), **tail = cat == NULL ? NULL : &cat->kid;

    for (skip_verbose(x); cat != NULL && more(x) && *x->p != '|' && *x->p != ')'; skip_verbose(x)) {
        int min = 0, max = 0;
        bool none = false;
        struct import_node *n = parse_atom(x, depth, &none), *repeat;

        if (none)
            continue;
        if (n == NULL)
            return NULL;
        skip_verbose(x);
        while (parse_repeat(x, &min, &max)) {
            if (!take(x, "?"))
                (void)take(x, "+");
            repeat = make(x, IMPORT_REPEAT);
            if (repeat == NULL)
                return NULL;
            repeat->min = min;
            repeat->max = max;
            repeat->kid = n;
            n = repeat;
            skip_verbose(x);
        }
        *tail = n;
        tail = &n->next;
    }
    return cat;
}

// NOLINTNEXTLINE(misc-no-recursion): MAX_DEPTH
static struct import_node *parse_alt(struct parser *x, unsigned depth)
{
    struct import_node *first, *alt, **tail;

    if (depth == MAX_DEPTH)
        return fail(x, GW_ELIMIT, "groups are nested too deep");
    first = parse_cat(x, depth);
    if (first == NULL || !more(x) || *x->p != '|')
        return first;
    alt = make(x, IMPORT_ALT);
    if (alt == NULL)
        return NULL;
    alt->kid = first;
    tail = &first->next;
    while (take(x, "|")) {
        struct import_node *n = parse_cat(x, depth);

        if (n == NULL)
            return NULL;
        *tail = n;
        tail = &n->next;
    }
    return alt;
}

/* ---- the whole -------------------------------------------------------------------------- */

static struct import_node *parse(struct parser *x, struct gw_span text)
{
    struct import_node *root;

    x->p = text.ptr;
    x->end = text.ptr + text.len;
    x->f = (struct flags){false, false, false};
    x->n_groups = x->n_nodes = 0;
    root = parse_alt(x, 0);
    if (root != NULL && more(x))
        return fail(x, GW_EPARSE, "a ) without its (");
    return root;
}

enum gw_status import_regex(struct gw_arena *arena, struct gw_span text,
                            const struct import_regex_options *o, struct import_regex *out,
                            struct gw_buf *notes, struct gw_err *err)
{
    struct parser x = {.arena = arena, .err = err};
    struct import_regex got = {.n_patterns = 0};
    struct import_node *root = NULL;

    if (text.len == 0 || text.len > MAX_BYTES || memchr(text.ptr, '\0', text.len) != NULL)
        return gw_fail(err, GW_ELIMIT, "the pattern is empty, longer than 16 KiB, or holds a NUL");
    text = gw_arena_copy(arena, text); /* ends in a NUL */
    if (text.ptr == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    root = parse(&x, text);
    if (root != NULL && x.any_fold && x.any_exact) {
        /* Case matters in parts of it: letters are written in both cases where it does not. */
        x.expand = true;
        root = parse(&x, text);
    }
    if (root == NULL)
        return x.st;
    got.nocase = x.any_fold && !x.expand;
    GW_TRY(import_tree_write(arena, root, o, &got, notes, err));
    *out = got;
    return GW_OK;
}
