/* engine/grammar_regex.c - regular expressions as byte automata. See grammar_make.h. Pure; one thread at a time.
 *
 * Groups are kept on a stack of our own. Repeats are written out, which NFA_MAX_NODES bounds. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/grammar_make.h"

enum { MAX_GROUPS = 32, MAX_RANGES = 256, MAX_REPEAT = 10000, LAST_CHAR = 0x10FFFF };

struct range {
    uint32_t lo, hi;
};

/* A set of characters. */
struct chars {
    struct range ranges[MAX_RANGES];
    unsigned n;
};

/* An open group: alternatives done, and the one being read. */
struct group {
    struct nfa_frag alternatives, sequence;
    bool has_alternative;
    bool from_start, to_end; /* anchors of the alternative; only outside of groups */
};

struct reading {
    struct nfa *n;
    struct gw_span text;
    size_t at;
    bool json;
    struct group groups[MAX_GROUPS];
    unsigned depth;
    struct gw_err *err;
};

static enum gw_status broken(const struct reading *r, const char *what)
{
    return gw_fail(r->err, GW_EPARSE, "the pattern is wrong at byte %zu: %s", r->at, what);
}

static enum gw_status unsupported(const struct reading *r, const char *what)
{
    return gw_fail(r->err, GW_EUNSUPPORTED,
                   "the pattern has %s at byte %zu, which is not supported", what, r->at);
}

static bool at_end(const struct reading *r)
{
    return r->at == r->text.len;
}

static char peek(const struct reading *r, size_t ahead)
{
    if (r->at + ahead >= r->text.len)
        return '\0';
    return r->text.ptr[r->at + ahead];
}

/* ---- characters ------------------------------------------------------------------------------------ */

static enum gw_status add_range(const struct reading *r, struct chars *c, uint32_t lo, uint32_t hi)
{
    if (c->n == MAX_RANGES)
        return gw_fail(r->err, GW_ELIMIT, "a class of the pattern has more than %d ranges",
                       MAX_RANGES);
    c->ranges[c->n++] = (struct range){lo, hi};
    return GW_OK;
}

static int by_lo(const void *a, const void *b)
{
    const struct range *x = a, *y = b;

    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Sorted, without overlaps. */
static void tidy(struct chars *c)
{
    unsigned n = 0;

    qsort(c->ranges, c->n, sizeof(c->ranges[0]), by_lo);
    for (unsigned i = 0; i < c->n; i++) {
        if (n != 0 && c->ranges[i].lo <= c->ranges[n - 1].hi + 1) {
            if (c->ranges[i].hi > c->ranges[n - 1].hi)
                c->ranges[n - 1].hi = c->ranges[i].hi;
        } else {
            c->ranges[n++] = c->ranges[i];
        }
    }
    c->n = n;
}

/* All characters that are not in it; it has room for one range more. */
static void invert(struct chars *c)
{
    struct chars out = {.n = 0};
    uint32_t from = 0;

    tidy(c);
    for (unsigned i = 0; i < c->n; i++) {
        if (c->ranges[i].lo > from)
            out.ranges[out.n++] = (struct range){from, c->ranges[i].lo - 1};
        from = c->ranges[i].hi + 1;
    }
    if (from <= LAST_CHAR && out.n < MAX_RANGES)
        out.ranges[out.n++] = (struct range){from, LAST_CHAR};
    *c = out;
}

/* \d, \w, \s and their opposites, as ECMA 262 has them. */
static enum gw_status add_named(const struct reading *r, struct chars *c, char name)
{
    static const struct range digits[] = {{'0', '9'}},
                              word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                              space[] = {{9, 13},          {' ', ' '},       {0xA0, 0xA0},
                                         {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
                                         {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
                                         {0xFEFF, 0xFEFF}};
    const struct range *from = name == 'd' || name == 'D'   ? digits
                               : name == 'w' || name == 'W' ? word
                                                            : space;
    size_t n = from == digits ? 1 : from == word ? 4 : sizeof(space) / sizeof(space[0]);
    struct chars set = {.n = 0};

    for (size_t i = 0; i < n; i++)
        set.ranges[set.n++] = from[i];
    if (name == 'D' || name == 'W' || name == 'S')
        invert(&set);
    for (unsigned i = 0; i < set.n; i++)
        GW_TRY(add_range(r, c, set.ranges[i].lo, set.ranges[i].hi));
    return GW_OK;
}

static bool is_named(char c)
{
    return c != '\0' && strchr("dDwWsS", c) != NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = gw_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* So many hexadecimal digits at r->at. */
static enum gw_status read_hex(struct reading *r, unsigned digits, uint32_t *out)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < digits; i++) {
        int d = hex_value(peek(r, 0));

        if (d < 0)
            return broken(r, "hexadecimal digits are missing");
        v = v << 4 | (uint32_t)d;
        r->at++;
    }
    *out = v;
    return GW_OK;
}

/* The character behind a backslash, which was passed. */
static enum gw_status read_escape(struct reading *r, uint32_t *out)
{
    static const char named[][2] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'},
                                    {'f', '\f'}, {'v', '\v'}, {'0', '\0'}};
    char c = peek(r, 0);

    if (at_end(r))
        return broken(r, "it ends with a backslash");
    r->at++;
    if (c == 'x')
        return read_hex(r, 2, out);
    if (c == 'u' && peek(r, 0) != '{')
        return read_hex(r, 4, out);
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (named[i][0] == c) {
            *out = (unsigned char)named[i][1];
            return GW_OK;
        }
    }
    r->at--;
    if ((c >= '1' && c <= '9') || c == 'k')
        return unsupported(r, "a back reference");
    if (c == 'b' || c == 'B')
        return unsupported(r, "a word border");
    if (c == 'p' || c == 'P')
        return unsupported(r, "a Unicode property");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return unsupported(r, "an unknown escape");
    *out = (unsigned char)c;
    if ((unsigned char)c >= 0x80)
        return unsupported(r, "an unknown escape");
    r->at++;
    return GW_OK;
}

/* One character as it stands. */
static enum gw_status read_char(struct reading *r, uint32_t *out)
{
    unsigned len = gw_utf8_decode(r->text.ptr + r->at, r->text.len - r->at, out);

    if (len == 0)
        return broken(r, "it is not UTF-8");
    r->at += len;
    return GW_OK;
}

/* A member of a class: a character (*single) or a named set, which is added. */
static enum gw_status read_class_atom(struct reading *r, struct chars *c, bool *single,
                                      uint32_t *out)
{
    *single = true;
    if (peek(r, 0) != '\\')
        return read_char(r, out);
    r->at++;
    if (is_named(peek(r, 0))) {
        *single = false;
        return add_named(r, c, r->text.ptr[r->at++]);
    }
    if (peek(r, 0) == 'b') {
        r->at++;
        *out = '\b';
        return GW_OK;
    }
    if (peek(r, 0) == '-') {
        r->at++;
        *out = '-';
        return GW_OK;
    }
    return read_escape(r, out);
}

/* A member of a class, or a range of two. */
static enum gw_status read_class_member(struct reading *r, struct chars *c)
{
    uint32_t lo, hi;
    bool single;

    GW_TRY(read_class_atom(r, c, &single, &lo));
    if (!single)
        return GW_OK;
    hi = lo;
    if (peek(r, 0) == '-' && peek(r, 1) != ']' && r->at + 1 < r->text.len) {
        r->at++;
        GW_TRY(read_class_atom(r, c, &single, &hi));
        if (!single || hi < lo)
            return broken(r, "a range of a class is upside down");
    }
    return add_range(r, c, lo, hi);
}

/* [...], whose bracket was passed. */
static enum gw_status read_class(struct reading *r, struct chars *c)
{
    bool inverted = peek(r, 0) == '^';

    r->at += inverted;
    while (peek(r, 0) != ']') {
        if (at_end(r))
            return broken(r, "a class has no end");
        GW_TRY(read_class_member(r, c));
    }
    r->at++;
    if (inverted)
        invert(c);
    else
        tidy(c);
    return GW_OK;
}

/* The characters as a part; none: a part that nothing meets. */
static struct nfa_frag put_chars(struct reading *r, const struct chars *c)
{
    struct nfa_frag all = {0};

    if (c->n == 0)
        return nfa_range(r->n, 1, 0);
    for (unsigned i = 0; i < c->n; i++) {
        struct range range = c->ranges[i];
        struct nfa_frag f;

        if (range.lo >= 0xD800 && range.hi <= 0xDFFF)
            f = nfa_range(r->n, 1, 0);
        else
            f = r->json ? grammar_json_chars(r->n, range.lo, range.hi)
                        : nfa_chars(r->n, range.lo, range.hi);
        all = i == 0 ? f : nfa_or(r->n, all, f);
    }
    return all;
}

/* ---- atoms, repeats, groups ------------------------------------------------------------------------- */

static void begin_group(struct reading *r)
{
    struct group *g = &r->groups[r->depth++];

    *g = (struct group){.sequence = nfa_empty(r->n)};
}

/* The alternatives of the innermost group as one part. */
static void end_alternative(struct reading *r)
{
    struct group *g = &r->groups[r->depth - 1];

    g->alternatives = g->has_alternative ? nfa_or(r->n, g->alternatives, g->sequence) : g->sequence;
    g->has_alternative = true;
}

static enum gw_status open_group(struct reading *r)
{
    if (peek(r, 0) == '?') {
        if (peek(r, 1) == '<' && peek(r, 2) != '=' && peek(r, 2) != '!') {
            while (!at_end(r) && peek(r, 0) != '>')
                r->at++;
            r->at += !at_end(r);
        } else if (peek(r, 1) == ':') {
            r->at += 2;
        } else {
            return unsupported(r, "a look-around or a flag");
        }
    }
    if (r->depth == MAX_GROUPS)
        return gw_fail(r->err, GW_ELIMIT, "the pattern has more than %d groups in one another",
                       MAX_GROUPS - 1);
    begin_group(r);
    return GW_OK;
}

static bool read_count(struct reading *r, uint32_t *out)
{
    uint32_t v = 0;
    size_t from = r->at;

    for (; peek(r, 0) >= '0' && peek(r, 0) <= '9' && v <= MAX_REPEAT; r->at++)
        v = v * 10 + (uint32_t)(peek(r, 0) - '0');
    *out = v;
    return r->at != from;
}

/* {m}, {m,} or {m,n}, whose brace was passed. */
static enum gw_status read_counts(struct reading *r, uint32_t *min, uint32_t *max)
{
    if (!read_count(r, min))
        return broken(r, "a brace must be escaped or begin a count");
    *max = *min;
    if (peek(r, 0) == ',') {
        r->at++;
        if (peek(r, 0) == '}')
            *max = UINT32_MAX;
        else if (!read_count(r, max))
            return broken(r, "a count is wrong");
    }
    if (peek(r, 0) != '}')
        return broken(r, "a count has no end");
    r->at++;
    if (*min > MAX_REPEAT || (*max > MAX_REPEAT && *max != UINT32_MAX))
        return gw_fail(r->err, GW_ELIMIT, "the pattern repeats something more than %d times",
                       MAX_REPEAT);
    return *max < *min ? broken(r, "a count is upside down") : GW_OK;
}

static bool is_repeat(char c)
{
    return c == '*' || c == '+' || c == '?' || c == '{';
}

/* Adds an atom, with the repeat behind it, to the sequence. */
static enum gw_status add_atom(struct reading *r, struct nfa_frag f)
{
    struct group *g = &r->groups[r->depth - 1];
    char c = peek(r, 0);
    uint32_t min = 1, max = 1;

    if (c == '*' || c == '+' || c == '?') {
        r->at++;
        f = c == '*'   ? nfa_star(r->n, f)
            : c == '?' ? nfa_maybe(r->n, f)
                       : nfa_repeat(r->n, f, 1, UINT32_MAX);
    } else if (c == '{') {
        r->at++;
        GW_TRY(read_counts(r, &min, &max));
        f = nfa_repeat(r->n, f, min, max);
    }
    if (is_repeat(c) && peek(r, 0) == '?')
        r->at++; /* lazy: the same texts */
    else if (is_repeat(c) && is_repeat(peek(r, 0)))
        return broken(r, "a repeat is repeated");
    g->sequence = nfa_then(r->n, g->sequence, f);
    return GW_OK;
}

static enum gw_status close_group(struct reading *r)
{
    struct nfa_frag f;

    if (r->depth == 1)
        return broken(r, "a parenthesis closes nothing");
    end_alternative(r);
    f = r->groups[--r->depth].alternatives;
    return add_atom(r, f);
}

static enum gw_status read_anchor(struct reading *r, char c)
{
    struct group *g = &r->groups[0];
    bool begins = c == '^' && (r->at == 1 || r->text.ptr[r->at - 2] == '|');
    bool ends = c == '$' && (at_end(r) || peek(r, 0) == '|');

    if (r->depth != 1 || (!begins && !ends)) {
        r->at--;
        return unsupported(r, "an anchor inside");
    }
    g->from_start |= begins;
    g->to_end |= ends;
    return GW_OK;
}

/* Any text in front of or behind what an alternative without anchors describes. */
static struct nfa_frag anything(struct reading *r)
{
    const struct chars all = {{{0, LAST_CHAR}}, 1};

    return nfa_star(r->n, put_chars(r, &all));
}

/* The alternative is complete: outside of groups it is found anywhere, unless anchored. A raw pattern is of the whole text. */
static void complete(struct reading *r)
{
    struct group *g = &r->groups[r->depth - 1];

    if (r->depth == 1 && r->json && !g->to_end)
        g->sequence = nfa_then(r->n, g->sequence, anything(r));
    if (r->depth == 1 && r->json && !g->from_start) {
        struct nfa_frag front = anything(r);

        front = nfa_then(r->n, front, g->sequence);
        front.first = g->sequence.first;
        g->sequence = front;
    }
    end_alternative(r);
    g->from_start = g->to_end = false;
}

/* Behind a backslash, which was passed. */
static enum gw_status read_escaped(struct reading *r, struct chars *set)
{
    uint32_t cp = 0;

    if (is_named(peek(r, 0)))
        return add_named(r, set, r->text.ptr[r->at++]);
    GW_TRY(read_escape(r, &cp));
    return add_range(r, set, cp, cp);
}

/* The characters of one atom. */
static enum gw_status read_set(struct reading *r, struct chars *set)
{
    static const struct chars line_ends = {{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}, 3};
    char c = peek(r, 0);
    uint32_t cp = 0;

    if (c == '\\' || c == '[' || c == '.')
        r->at++;
    if (c == '\\')
        return read_escaped(r, set);
    if (c == '[')
        return read_class(r, set);
    if (c == '.') {
        *set = line_ends;
        invert(set);
        return GW_OK;
    }
    GW_TRY(read_char(r, &cp));
    return add_range(r, set, cp, cp);
}

/* What a byte of the pattern begins. */
static enum gw_status read_one(struct reading *r)
{
    struct chars set = {.n = 0};
    char c = peek(r, 0);

    if (is_repeat(c))
        return broken(r, "a repeat has nothing in front");
    if (c != '(' && c != ')' && c != '|' && c != '^' && c != '$') {
        GW_TRY(read_set(r, &set));
        return add_atom(r, put_chars(r, &set));
    }
    r->at++;
    if (c == '(')
        return open_group(r);
    if (c == ')')
        return close_group(r);
    if (c != '|')
        return read_anchor(r, c);
    complete(r);
    r->groups[r->depth - 1].sequence = nfa_empty(r->n);
    return GW_OK;
}

enum gw_status grammar_regex_parse(struct nfa *n, struct gw_span text, bool json,
                                   struct nfa_frag *out, struct gw_err *err)
{
    struct reading r = {.n = n, .text = text, .json = json, .err = err};

    begin_group(&r);
    while (!at_end(&r) && !n->full)
        GW_TRY(read_one(&r));
    if (r.depth != 1 && !n->full)
        return broken(&r, "a group has no end");
    complete(&r);
    *out = r.groups[0].alternatives;
    return GW_OK;
}
