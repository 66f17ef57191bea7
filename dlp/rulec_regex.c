/* dlp/rulec_regex.c - parses the pattern language of dlp/rulec.h.
 *
 * A recursive descent whose depth is bounded by the group depth below. Everything becomes sets of bytes:
 * characters beyond ASCII are expanded to their UTF-8 bytes here. Thread: any, one per arena. */
#include "dlp/rulec_regex.h"

#include <string.h>

#include "base/utf8.h"

enum { MAX_GROUPS = 32, MAX_COUNT = 8192, MAX_NODES = 40000, MAX_CLASS_RANGES = 128 };

struct parser {
    struct gw_arena *arena;
    const char *p, *end, *begin;
    unsigned depth;   /* open groups */
    unsigned n_nodes; /* made so far */
    bool nocase;
    struct gw_err *err;
    enum gw_status st;
};

static struct rx_node *fail(struct parser *x, const char *what)
{
    if (x->st == GW_OK)
        x->st = gw_fail(x->err, GW_EPARSE, "pattern, column %zu: %s", (size_t)(x->p - x->begin) + 1,
                        what);
    return NULL;
}

static struct rx_node *node(struct parser *x, enum rx_kind kind)
{
    struct rx_node *n = NULL;

    if (++x->n_nodes > MAX_NODES) {
        if (x->st == GW_OK)
            x->st = gw_fail(x->err, GW_ELIMIT, "pattern: too large; split it with `patterns:`");
        return NULL;
    }
    n = rx_new(x->arena, kind);
    if (n == NULL && x->st == GW_OK)
        x->st = gw_fail(x->err, GW_ENOMEM, "pattern: out of memory");
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

/* ---- sets ------------------------------------------------------------------------------- */

static void add_range(struct bundle_set *s, unsigned from, unsigned to)
{
    for (unsigned b = from; b <= to; b++)
        rx_set_add(s, b);
}

static void invert(struct bundle_set *s)
{
    for (unsigned i = 0; i < 8; i++)
        s->w[i] = ~s->w[i];
    s->w[0] &= ~1u; /* NUL is never matched: it is what matchers see behind the end */
}

static void fold(struct bundle_set *s)
{
    for (unsigned b = 'a'; b <= 'z'; b++) {
        if (rx_set_has(s, b))
            rx_set_add(s, b - 32);
        else if (rx_set_has(s, b - 32))
            rx_set_add(s, b);
    }
}

static void add_class(struct bundle_set *s, char letter)
{
    struct bundle_set c = {{0}};

    switch (letter | 0x20) {
    case 'd':
        add_range(&c, '0', '9');
        break;
    case 'w':
        add_range(&c, '0', '9');
        add_range(&c, 'A', 'Z');
        add_range(&c, 'a', 'z');
        rx_set_add(&c, '_');
        break;
    default:
        add_range(&c, '\t', '\r');
        rx_set_add(&c, ' ');
        break;
    }
    if (letter < 'a')
        invert(&c);
    rx_set_join(s, &c);
}

/* ---- escapes ---------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = gw_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character that an escape (behind its backslash) stands for; -1 when it is none. */
static long escaped_char(struct parser *x)
{
    static const char from[] = "tnrfv", to[] = "\t\n\r\f\v";
    char c = *x->p;
    const char *at = c == '\0' ? NULL : strchr(from, c);

    if (at != NULL) {
        x->p++;
        return to[at - from];
    }
    if (c == 'x' && x->end - x->p >= 3 && hex_digit(x->p[1]) >= 0 && hex_digit(x->p[2]) >= 0) {
        int v = hex_digit(x->p[1]) * 16 + hex_digit(x->p[2]);

        if (v == 0 || v > 0x7f)
            return -1;
        x->p += 3;
        return v;
    }
    if ((unsigned char)c < 0x80 && (unsigned char)c > ' ' && c != '_' &&
        !((gw_ascii_lower(c) >= 'a' && gw_ascii_lower(c) <= 'z') || (c >= '0' && c <= '9'))) {
        x->p++;
        return c;
    }
    return -1;
}

static bool is_class_letter(char c)
{
    return c != '\0' && strchr("dDwWsS", c) != NULL;
}

static const char *escape_advice(char c)
{
    if (c == 'b' || c == 'B')
        return "\\b works only at the two ends of the pattern; use `boundary:` or a byte class";
    if (c >= '0' && c <= '9')
        return "back-references are not supported; write the part out, or use a validator";
    if (c == 'A' || c == 'z' || c == 'Z')
        return "use ^ or $ at the ends of the pattern (`boundary: line`)";
    if (c == 'p' || c == 'P')
        return "Unicode classes are not supported; list the characters";
    if (c == 'x')
        return "\\x takes two digits from 01 to 7f; write other characters as they are";
    return "unknown escape; escape only punctuation, or use \\t \\n \\r \\f \\v \\d \\w \\s \\xHH";
}

/* ---- characters beyond ASCII ------------------------------------------------------------ */

static void append(struct rx_node *list, struct rx_node *n)
{
    struct rx_node **at = &list->kid;

    while (*at != NULL)
        at = &(*at)->next;
    *at = n;
}

/* One alternative for lo..hi, whose encodings have one length and vary like digits do. */
static bool add_utf8_sequence(struct parser *x, struct rx_node *alt, uint32_t lo, uint32_t hi)
{
    char a[4], b[4];
    unsigned n = gw_utf8_encode(lo, a);
    struct rx_node *cat = node(x, RX_CAT);

    (void)gw_utf8_encode(hi, b);
    if (cat == NULL)
        return false;
    for (unsigned i = 0; i < n; i++) {
        struct rx_node *set = node(x, RX_SET);

        if (set == NULL)
            return false;
        add_range(&set->set, (unsigned char)a[i], (unsigned char)b[i]);
        append(cat, set);
    }
    append(alt, cat);
    return true;
}

/* Splits lo..hi (both beyond ASCII) into such sequences. Depth: at most two halvings a level of the
 * encoding. */
static bool add_utf8_range(struct parser *x, struct rx_node *alt, uint32_t lo, uint32_t hi)
{
    static const uint32_t last[] = {0x7ff, 0xffff};

    for (unsigned i = 0; i < 2; i++)
        if (lo <= last[i] && hi > last[i])
            return add_utf8_range(x, alt, lo, last[i]) && add_utf8_range(x, alt, last[i] + 1, hi);
    for (unsigned i = 1; i <= 3; i++) {
        uint32_t m = (1u << (6 * i)) - 1;

        if ((lo & ~m) == (hi & ~m))
            continue;
        if ((lo & m) != 0)
            return add_utf8_range(x, alt, lo, lo | m) && add_utf8_range(x, alt, (lo | m) + 1, hi);
        if ((hi & m) != m)
            return add_utf8_range(x, alt, lo, (hi & ~m) - 1) && add_utf8_range(x, alt, hi & ~m, hi);
    }
    return add_utf8_sequence(x, alt, lo, hi);
}

/* ---- atoms ------------------------------------------------------------------------------ */

struct class_ranges {
    struct bundle_set ascii;
    uint32_t lo[MAX_CLASS_RANGES], hi[MAX_CLASS_RANGES]; /* beyond ASCII */
    unsigned n;
    bool negated;
};

/* Reads one character of a class; *is_set when it was \d or the like (already added). */
static bool class_char(struct parser *x, struct class_ranges *c, uint32_t *cp, bool *is_set)
{
    unsigned n = 0;

    *is_set = false;
    if (take(x, "\\")) {
        long v = -1;

        if (!more(x))
            return fail(x, "a class ends with \\; double it") != NULL;
        if (is_class_letter(*x->p)) {
            add_class(&c->ascii, *x->p++);
            *is_set = true;
            return true;
        }
        v = escaped_char(x);
        if (v < 0)
            return fail(x, escape_advice(*x->p)) != NULL;
        *cp = (uint32_t)v;
        return true;
    }
    n = gw_utf8_decode(x->p, (size_t)(x->end - x->p), cp);
    if (n == 0 || *cp == 0)
        return fail(x, "not UTF-8, or a NUL; patterns are text") != NULL;
    x->p += n;
    return true;
}

static bool class_add(struct parser *x, struct class_ranges *c, uint32_t lo, uint32_t hi)
{
    if (hi < lo)
        return fail(x, "a range runs backwards; swap its ends") != NULL;
    if (lo < 0x80)
        add_range(&c->ascii, lo, hi < 0x80 ? hi : 0x7f);
    if (hi < 0x80)
        return true;
    if (c->negated)
        return fail(x, "[^...] takes ASCII only; list what may match instead") != NULL;
    if (c->n == MAX_CLASS_RANGES)
        return fail(x, "too many characters beyond ASCII in one class") != NULL;
    c->lo[c->n] = lo < 0x80 ? 0x80 : lo;
    c->hi[c->n++] = hi;
    return true;
}

static bool class_body(struct parser *x, struct class_ranges *c)
{
    for (bool first = true;; first = false) {
        uint32_t lo = 0, hi = 0;
        bool is_set = false;

        if (!more(x))
            return fail(x, "a class is not closed; add ]") != NULL;
        if (*x->p == ']' && !first) {
            x->p++;
            return true;
        }
        if (x->end - x->p >= 2 && x->p[0] == '[' && x->p[1] == ':')
            return fail(x, "[:names:] are not supported; use ranges or \\d \\w \\s") != NULL;
        if (!class_char(x, c, &lo, &is_set))
            return false;
        if (is_set)
            continue;
        hi = lo;
        if (x->end - x->p >= 2 && x->p[0] == '-' && x->p[1] != ']') {
            x->p++;
            if (!class_char(x, c, &hi, &is_set))
                return false;
            if (is_set)
                return fail(x, "a range ends with a class; put - last or escape it") != NULL;
        }
        if (!class_add(x, c, lo, hi))
            return false;
    }
}

static struct rx_node *parse_class(struct parser *x)
{
    struct class_ranges c = {.negated = false};
    struct rx_node *set = NULL, *alt = NULL;

    c.negated = take(x, "^");
    if (!class_body(x, &c))
        return NULL;
    if (x->nocase)
        fold(&c.ascii);
    if (c.negated)
        invert(&c.ascii);
    set = node(x, RX_SET);
    if (set == NULL)
        return NULL;
    set->set = c.ascii;
    if (c.n == 0)
        return set;
    alt = node(x, RX_ALT);
    if (alt == NULL)
        return NULL;
    for (unsigned b = 0; b < 256; b++)
        if (rx_set_has(&c.ascii, b)) {
            append(alt, set);
            break;
        }
    for (unsigned i = 0; i < c.n; i++)
        if (!add_utf8_range(x, alt, c.lo[i], c.hi[i]))
            return NULL;
    return alt;
}

/* A set of one ASCII byte, or the UTF-8 bytes of one character. */
static struct rx_node *parse_literal(struct parser *x, uint32_t cp)
{
    struct rx_node *n = NULL, *alt = NULL;

    if (cp < 0x80) {
        n = node(x, RX_SET);
        if (n == NULL)
            return NULL;
        rx_set_add(&n->set, cp);
        if (x->nocase)
            fold(&n->set);
        return n;
    }
    alt = node(x, RX_ALT);
    if (alt == NULL || !add_utf8_sequence(x, alt, cp, cp))
        return NULL;
    return alt->kid;
}

static struct rx_node *parse_alt(struct parser *x);

static struct rx_node *parse_group(struct parser *x)
{
    bool nocase = x->nocase, secret = false;
    struct rx_node *body = NULL, *n = NULL;

    if (take(x, "?")) {
        if (take(x, "i:")) {
            x->nocase = true;
        } else if (take(x, "<secret>") || take(x, "P<secret>")) {
            secret = true;
        } else if (!take(x, ":")) {
            if (more(x) &&
                (*x->p == '=' || *x->p == '!' ||
                 (*x->p == '<' && x->end - x->p > 1 && (x->p[1] == '=' || x->p[1] == '!'))))
                return fail(x,
                            "look-around is not supported; use `boundary:`, (?<secret>...) for the "
                            "part to report, `context:` or `reject:`");
            return fail(x, "unknown group; there are (...), (?:...), (?i:...) and (?<secret>...)");
        }
    }
    if (++x->depth > MAX_GROUPS)
        return fail(x, "groups are nested too deep");
    body = parse_alt(x);
    x->depth--;
    if (body == NULL)
        return NULL;
    if (!take(x, ")"))
        return fail(x, "a group is not closed; add )");
    x->nocase = nocase;
    if (!secret)
        return body;
    n = node(x, RX_SECRET);
    if (n != NULL)
        n->kid = body;
    return n;
}

static struct rx_node *parse_escape(struct parser *x)
{
    struct rx_node *n = NULL;
    long v = -1;

    if (!more(x))
        return fail(x, "the pattern ends with \\; double it");
    if (is_class_letter(*x->p)) {
        n = node(x, RX_SET);
        if (n != NULL)
            add_class(&n->set, *x->p++);
        return n;
    }
    v = escaped_char(x);
    return v < 0 ? fail(x, escape_advice(*x->p)) : parse_literal(x, (uint32_t)v);
}

static struct rx_node *parse_atom(struct parser *x)
{
    struct rx_node *n = NULL;
    uint32_t cp = 0;
    unsigned len = 0;

    switch (*x->p) {
    case '(':
        x->p++;
        return parse_group(x);
    case '[':
        x->p++;
        return parse_class(x);
    case '\\':
        x->p++;
        return parse_escape(x);
    case '.':
        x->p++;
        n = node(x, RX_SET);
        if (n != NULL) {
            rx_set_add(&n->set, '\n');
            invert(&n->set);
        }
        return n;
    case '^':
    case '$':
        return fail(x,
                    "^ and $ work only at the two ends of the pattern; match \\n itself, or escape "
                    "it");
    case '*':
    case '+':
    case '?':
        return fail(x, "nothing to repeat; escape it to mean the character");
    default:
        len = gw_utf8_decode(x->p, (size_t)(x->end - x->p), &cp);
        if (len == 0 || cp == 0)
            return fail(x, "not UTF-8, or a NUL; patterns are text");
        x->p += len;
        return parse_literal(x, cp);
    }
}

/* ---- repeats, sequences, alternatives --------------------------------------------------- */

static bool parse_number(struct parser *x, int *out)
{
    int v = 0;

    if (!more(x) || *x->p < '0' || *x->p > '9')
        return false;
    while (more(x) && *x->p >= '0' && *x->p <= '9') {
        v = v * 10 + (*x->p++ - '0');
        if (v > MAX_COUNT) {
            (void)fail(x, "a count is above 8192; use + and `length:`");
            return false;
        }
    }
    *out = v;
    return true;
}

/* Reads {n}, {n,} or {n,m}. False without an error when it is a literal brace. */
static bool parse_counts(struct parser *x, int *min, int *max)
{
    const char *start = x->p;

    x->p++;
    if (!parse_number(x, min)) {
        x->p = start;
        return false;
    }
    *max = *min;
    if (take(x, ",")) {
        *max = RX_INFINITE;
        if (more(x) && *x->p != '}' && !parse_number(x, max)) {
            x->p = start;
            return false;
        }
    }
    if (!take(x, "}")) {
        x->p = start;
        return false;
    }
    if (*max != RX_INFINITE && *max < *min)
        (void)fail(x, "a repeat runs backwards; swap its counts");
    return x->st == GW_OK;
}

static bool parse_repeat(struct parser *x, int *min, int *max)
{
    if (!more(x))
        return false;
    switch (*x->p) {
    case '?':
        *min = 0;
        *max = 1;
        break;
    case '*':
        *min = 0;
        *max = RX_INFINITE;
        break;
    case '+':
        *min = 1;
        *max = RX_INFINITE;
        break;
    case '{':
        if (!parse_counts(x, min, max))
            return false;
        x->p--;
        break;
    default:
        return false;
    }
    x->p++;
    (void)take(x, "?"); /* lazy: the longest match counts anyway */
    return true;
}

static struct rx_node *parse_cat(struct parser *x)
{
    struct rx_node *cat = node(x, RX_CAT), **tail = NULL;

    if (cat == NULL)
        return NULL;
    tail = &cat->kid;
    while (more(x) && *x->p != '|' && *x->p != ')') {
        struct rx_node *atom = parse_atom(x);
        int min = 0, max = 0;

        if (atom == NULL)
            return NULL;
        if (parse_repeat(x, &min, &max)) {
            struct rx_node *rep = node(x, RX_REPEAT);

            if (rep == NULL)
                return NULL;
            rep->min = min;
            rep->max = max;
            rep->kid = atom;
            atom = rep;
            if (parse_repeat(x, &min, &max))
                return fail(x, "a repeat of a repeat; put the first in a group");
        }
        if (x->st != GW_OK)
            return NULL;
        *tail = atom;
        tail = &atom->next;
    }
    if (cat->kid == NULL)
        cat->kind = RX_EMPTY;
    return cat->kid != NULL && cat->kid->next == NULL ? cat->kid : cat;
}

static struct rx_node *parse_alt(struct parser *x)
{
    struct rx_node *first = parse_cat(x), *alt = NULL, **tail = NULL;

    if (first == NULL || !more(x) || *x->p != '|')
        return first;
    alt = node(x, RX_ALT);
    if (alt == NULL)
        return NULL;
    alt->kid = first;
    tail = &first->next;
    while (take(x, "|")) {
        struct rx_node *n = parse_cat(x);

        if (n == NULL)
            return NULL;
        *tail = n;
        tail = &n->next;
    }
    return alt;
}

/* Takes \b, ^ and $ off the two ends. Returns true when it took a ^ or $. */
static void strip_ends(struct parser *x, struct rx_pattern *out)
{
    size_t slashes = 0;

    if (take(x, "\\b"))
        out->before = RULEC_BOUNDARY_WORD;
    else if (take(x, "^"))
        out->before = RULEC_BOUNDARY_LINE;
    if (x->p == x->end)
        return;
    while (x->end - 1 - slashes > x->p && x->end[-2 - (long)slashes] == '\\')
        slashes++;
    if (x->end[-1] == '$' && slashes % 2 == 0) {
        out->after = RULEC_BOUNDARY_LINE;
        x->end--;
    } else if (x->end[-1] == 'b' && slashes % 2 == 1) {
        out->after = RULEC_BOUNDARY_WORD;
        x->end -= 2;
    }
}

enum gw_status rx_parse(struct gw_arena *arena, struct gw_span text, bool nocase,
                        enum rulec_boundary boundary, struct rx_pattern *out, struct gw_err *err)
{
    struct rx_pattern r = {.before = boundary, .after = boundary};
    struct parser x = {.arena = arena,
                       .p = text.ptr,
                       .begin = text.ptr,
                       .end = text.ptr + text.len,
                       .nocase = nocase,
                       .err = err};

    if (text.len == 0)
        return gw_fail(err, GW_EPARSE, "the pattern is empty");
    if (text.len > RULEC_MAX_PATTERN_BYTES)
        return gw_fail(err, GW_ELIMIT, "the pattern is longer than %d bytes; split it",
                       RULEC_MAX_PATTERN_BYTES);
    strip_ends(&x, &r);
    if (take(&x, "(?i)"))
        x.nocase = true;
    r.root = parse_alt(&x);
    if (r.root != NULL && more(&x))
        r.root = fail(&x, "a ) without its (; escape it to mean the character");
    if (r.root != NULL && r.root->kind == RX_ALT && (r.before != boundary || r.after != boundary))
        r.root = fail(&x, "\\b, ^ or $ around alternatives: put the alternatives in a group");
    if (r.root == NULL)
        return x.st != GW_OK ? x.st : gw_fail(err, GW_EPARSE, "the pattern is wrong");
    *out = r;
    return GW_OK;
}
