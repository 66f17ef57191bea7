/* dlp/rulec_regex.c - parses the pattern language of dlp/rulec.h.
 *
 * A recursive descent whose depth is bounded by the group depth below. Everything becomes sets of bytes:
 * characters beyond ASCII are expanded to their UTF-8 bytes. Thread: any, one per arena. */
#include "dlp/rulec_regex.h"

#include <string.h>

#include "base/utf8.h"
#include "dlp/rulec_parse.h"

enum { MAX_GROUPS = 32, MAX_COUNT = 65536 };

/* A set of one ASCII byte, or the UTF-8 bytes of one character. */
static struct rx_node *parse_literal(struct rx_parser *x, uint32_t cp)
{
    struct rx_node *n = NULL, *alt = NULL;

    if (cp < 0x80) {
        n = rx_make(x, RX_SET);
        if (n == NULL)
            return NULL;
        rx_set_add(&n->set, cp);
        if (x->nocase)
            rx_set_fold(&n->set);
        return n;
    }
    alt = rx_make(x, RX_ALT);
    if (alt == NULL || !rx_add_utf8_sequence(x, alt, cp, cp))
        return NULL;
    return alt->kid;
}

static struct rx_node *parse_alt(struct rx_parser *x);

static struct rx_node *parse_group(struct rx_parser *x)
{
    bool nocase = x->nocase, secret = false;
    struct rx_node *body = NULL, *n = NULL;

    if (rx_take(x, "?")) {
        if (rx_take(x, "i:")) {
            x->nocase = true;
        } else if (rx_take(x, "<secret>") || rx_take(x, "P<secret>")) {
            secret = true;
        } else if (!rx_take(x, ":")) {
            if (rx_more(x) &&
                (*x->p == '=' || *x->p == '!' ||
                 (*x->p == '<' && x->end - x->p > 1 && (x->p[1] == '=' || x->p[1] == '!'))))
                return rx_fail(
                    x, "look-around is not supported; use `boundary:`, (?<secret>...) for the "
                       "part to report, `context:` or `reject:`");
            return rx_fail(x,
                           "unknown group; there are (...), (?:...), (?i:...) and (?<secret>...)");
        }
    }
    if (++x->depth > MAX_GROUPS)
        return rx_fail(x, "groups are nested too deep");
    body = parse_alt(x);
    x->depth--;
    if (body == NULL)
        return NULL;
    if (!rx_take(x, ")"))
        return rx_fail(x, "a group is not closed; add )");
    x->nocase = nocase;
    if (!secret)
        return body;
    n = rx_make(x, RX_SECRET);
    if (n != NULL)
        n->kid = body;
    return n;
}

static struct rx_node *parse_escape(struct rx_parser *x)
{
    struct rx_node *n = NULL;
    long v = -1;

    if (!rx_more(x))
        return rx_fail(x, "the pattern ends with \\; double it");
    if (rx_is_class_letter(*x->p)) {
        n = rx_make(x, RX_SET);
        if (n != NULL)
            rx_set_add_class(&n->set, *x->p++);
        return n;
    }
    v = rx_escaped_char(x);
    return v < 0 ? rx_fail(x, rx_escape_advice(*x->p)) : parse_literal(x, (uint32_t)v);
}

static struct rx_node *parse_atom(struct rx_parser *x)
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
        return rx_parse_class(x);
    case '\\':
        x->p++;
        return parse_escape(x);
    case '.':
        x->p++;
        n = rx_make(x, RX_SET);
        if (n != NULL) {
            rx_set_add(&n->set, '\n');
            rx_set_invert(&n->set);
        }
        return n;
    case '^':
    case '$':
        return rx_fail(
            x, "^ and $ work only at the two ends of the pattern; match \\n itself, or escape "
               "it");
    case '*':
    case '+':
    case '?':
        return rx_fail(x, "nothing to repeat; escape it to mean the character");
    default:
        len = gw_utf8_decode(x->p, (size_t)(x->end - x->p), &cp);
        if (len == 0 || cp == 0)
            return rx_fail(x, "not UTF-8, or a NUL; patterns are text");
        x->p += len;
        return parse_literal(x, cp);
    }
}

/* ---- repeats, sequences, alternatives --------------------------------------------------- */

static bool parse_number(struct rx_parser *x, int *out)
{
    int v = 0;

    if (!rx_more(x) || *x->p < '0' || *x->p > '9')
        return false;
    while (rx_more(x) && *x->p >= '0' && *x->p <= '9') {
        v = v * 10 + (*x->p++ - '0');
        if (v > MAX_COUNT) {
            (void)rx_fail(x, "a count is above 65536; use + and `length:`");
            return false;
        }
    }
    *out = v;
    return true;
}

/* Reads {n}, {n,} or {n,m}. False without an error when it is a literal brace. */
static bool parse_counts(struct rx_parser *x, int *min, int *max)
{
    const char *start = x->p;

    x->p++;
    if (!parse_number(x, min)) {
        x->p = start;
        return false;
    }
    *max = *min;
    if (rx_take(x, ",")) {
        *max = RX_INFINITE;
        if (rx_more(x) && *x->p != '}' && !parse_number(x, max)) {
            x->p = start;
            return false;
        }
    }
    if (!rx_take(x, "}")) {
        x->p = start;
        return false;
    }
    if (*max != RX_INFINITE && *max < *min)
        (void)rx_fail(x, "a repeat runs backwards; swap its counts");
    return x->st == GW_OK;
}

static bool parse_repeat(struct rx_parser *x, int *min, int *max)
{
    if (!rx_more(x))
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
    (void)rx_take(x, "?"); /* lazy: the longest match counts anyway */
    return true;
}

static struct rx_node *parse_cat(struct rx_parser *x)
{
    struct rx_node *cat = rx_make(x, RX_CAT), **tail = NULL;

    if (cat == NULL)
        return NULL;
    tail = &cat->kid;
    while (rx_more(x) && *x->p != '|' && *x->p != ')') {
        struct rx_node *atom = parse_atom(x);
        int min = 0, max = 0;

        if (atom == NULL)
            return NULL;
        if (parse_repeat(x, &min, &max)) {
            struct rx_node *rep = rx_make(x, RX_REPEAT);

            if (rep == NULL)
                return NULL;
            rep->min = min;
            rep->max = max;
            rep->kid = atom;
            atom = rep;
            if (parse_repeat(x, &min, &max))
                return rx_fail(x, "a repeat of a repeat; put the first in a group");
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

static struct rx_node *parse_alt(struct rx_parser *x)
{
    struct rx_node *first = parse_cat(x), *alt = NULL, **tail = NULL;

    if (first == NULL || !rx_more(x) || *x->p != '|')
        return first;
    alt = rx_make(x, RX_ALT);
    if (alt == NULL)
        return NULL;
    x->top_alternatives = x->top_alternatives || x->depth == 0;
    alt->kid = first;
    tail = &first->next;
    while (rx_take(x, "|")) {
        struct rx_node *n = parse_cat(x);

        if (n == NULL)
            return NULL;
        *tail = n;
        tail = &n->next;
    }
    return alt;
}

/* Takes \b, ^ and $ off the two ends. Returns true when it took a ^ or $. */
static void strip_ends(struct rx_parser *x, struct rx_pattern *out)
{
    size_t slashes = 0;

    if (rx_take(x, "\\b"))
        out->before = RULEC_BOUNDARY_WORD;
    else if (rx_take(x, "^"))
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
    struct rx_parser x = {.arena = arena,
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
    if (rx_take(&x, "(?i)"))
        x.nocase = true;
    r.root = parse_alt(&x);
    if (r.root != NULL && rx_more(&x))
        r.root = rx_fail(&x, "a ) without its (; escape it to mean the character");
    if (r.root != NULL && x.top_alternatives && (r.before != boundary || r.after != boundary))
        r.root = rx_fail(&x, "\\b, ^ or $ around alternatives: put the alternatives in a group");
    if (r.root == NULL)
        return x.st != GW_OK ? x.st : gw_fail(err, GW_EPARSE, "the pattern is wrong");
    *out = r;
    return GW_OK;
}
