/* dlp/rulec_class.c - the lower half of the pattern parser: byte sets, escapes, classes, characters
 * beyond ASCII. Thread: any, one per arena. */
#include <string.h>

#include "base/utf8.h"
#include "dlp/rulec_parse.h"

enum { MAX_NODES = 40000, MAX_CLASS_RANGES = 128 };

struct rx_node *rx_fail(struct rx_parser *x, const char *what)
{
    if (x->st == GW_OK)
        x->st = gw_fail(x->err, GW_EPARSE, "pattern, column %zu: %s", (size_t)(x->p - x->begin) + 1,
                        what);
    return NULL;
}

struct rx_node *rx_make(struct rx_parser *x, enum rx_kind kind)
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

bool rx_more(const struct rx_parser *x)
{
    return x->p < x->end;
}

bool rx_take(struct rx_parser *x, const char *s)
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

void rx_set_invert(struct bundle_set *s)
{
    for (unsigned i = 0; i < 8; i++)
        s->w[i] = ~s->w[i];
    s->w[0] &= ~1u; /* NUL is never matched: it is what matchers see behind the end */
}

void rx_set_fold(struct bundle_set *s)
{
    for (unsigned b = 'a'; b <= 'z'; b++) {
        if (rx_set_has(s, b))
            rx_set_add(s, b - 32);
        else if (rx_set_has(s, b - 32))
            rx_set_add(s, b);
    }
}

void rx_set_add_class(struct bundle_set *s, char letter)
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
        rx_set_invert(&c);
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
long rx_escaped_char(struct rx_parser *x)
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

bool rx_is_class_letter(char c)
{
    return c != '\0' && strchr("dDwWsS", c) != NULL;
}

const char *rx_escape_advice(char c)
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

void rx_append(struct rx_node *list, struct rx_node *n)
{
    struct rx_node **at = &list->kid;

    while (*at != NULL)
        at = &(*at)->next;
    *at = n;
}

/* One alternative for lo..hi, whose encodings have one length and vary like digits do. */
bool rx_add_utf8_sequence(struct rx_parser *x, struct rx_node *alt, uint32_t lo, uint32_t hi)
{
    char a[4], b[4];
    unsigned n = gw_utf8_encode(lo, a);
    struct rx_node *cat = rx_make(x, RX_CAT);

    (void)gw_utf8_encode(hi, b);
    if (cat == NULL)
        return false;
    for (unsigned i = 0; i < n; i++) {
        struct rx_node *set = rx_make(x, RX_SET);

        if (set == NULL)
            return false;
        add_range(&set->set, (unsigned char)a[i], (unsigned char)b[i]);
        rx_append(cat, set);
    }
    rx_append(alt, cat);
    return true;
}

/* Splits lo..hi (both beyond ASCII) into such sequences. Depth: at most two halvings a level of the
 * encoding. */
static bool add_utf8_range(struct rx_parser *x, struct rx_node *alt, uint32_t lo, uint32_t hi)
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
    return rx_add_utf8_sequence(x, alt, lo, hi);
}

/* ---- atoms ------------------------------------------------------------------------------ */

struct class_ranges {
    struct bundle_set ascii;
    uint32_t lo[MAX_CLASS_RANGES], hi[MAX_CLASS_RANGES]; /* beyond ASCII */
    unsigned n;
    bool negated;
};

/* Reads one character of a class; *is_set when it was \d or the like (already added). */
static bool class_char(struct rx_parser *x, struct class_ranges *c, uint32_t *cp, bool *is_set)
{
    unsigned n = 0;

    *is_set = false;
    if (rx_take(x, "\\")) {
        long v = -1;

        if (!rx_more(x))
            return rx_fail(x, "a class ends with \\; double it") != NULL;
        if (rx_is_class_letter(*x->p)) {
            rx_set_add_class(&c->ascii, *x->p++);
            *is_set = true;
            return true;
        }
        v = rx_escaped_char(x);
        if (v < 0)
            return rx_fail(x, rx_escape_advice(*x->p)) != NULL;
        *cp = (uint32_t)v;
        return true;
    }
    n = gw_utf8_decode(x->p, (size_t)(x->end - x->p), cp);
    if (n == 0 || *cp == 0)
        return rx_fail(x, "not UTF-8, or a NUL; patterns are text") != NULL;
    x->p += n;
    return true;
}

static bool class_add(struct rx_parser *x, struct class_ranges *c, uint32_t lo, uint32_t hi)
{
    if (hi < lo)
        return rx_fail(x, "a range runs backwards; swap its ends") != NULL;
    if (lo < 0x80)
        add_range(&c->ascii, lo, hi < 0x80 ? hi : 0x7f);
    if (hi < 0x80)
        return true;
    if (c->negated)
        return rx_fail(x, "[^...] takes ASCII only; list what may match instead") != NULL;
    if (c->n == MAX_CLASS_RANGES)
        return rx_fail(x, "too many characters beyond ASCII in one class") != NULL;
    c->lo[c->n] = lo < 0x80 ? 0x80 : lo;
    c->hi[c->n++] = hi;
    return true;
}

static bool class_body(struct rx_parser *x, struct class_ranges *c)
{
    for (bool first = true;; first = false) {
        uint32_t lo = 0, hi = 0;
        bool is_set = false;

        if (!rx_more(x))
            return rx_fail(x, "a class is not closed; add ]") != NULL;
        if (*x->p == ']' && !first) {
            x->p++;
            return true;
        }
        if (x->end - x->p >= 2 && x->p[0] == '[' && x->p[1] == ':')
            return rx_fail(x, "[:names:] are not supported; use ranges or \\d \\w \\s") != NULL;
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
                return rx_fail(x, "a range ends with a class; put - last or escape it") != NULL;
        }
        if (!class_add(x, c, lo, hi))
            return false;
    }
}

struct rx_node *rx_parse_class(struct rx_parser *x)
{
    struct class_ranges c = {.negated = false};
    struct rx_node *set = NULL, *alt = NULL;

    c.negated = rx_take(x, "^");
    if (!class_body(x, &c))
        return NULL;
    if (x->nocase)
        rx_set_fold(&c.ascii);
    if (c.negated)
        rx_set_invert(&c.ascii);
    set = rx_make(x, RX_SET);
    if (set == NULL)
        return NULL;
    set->set = c.ascii;
    if (c.n == 0)
        return set;
    alt = rx_make(x, RX_ALT);
    if (alt == NULL)
        return NULL;
    for (unsigned b = 0; b < 256; b++)
        if (rx_set_has(&c.ascii, b)) {
            rx_append(alt, set);
            break;
        }
    for (unsigned i = 0; i < c.n; i++)
        if (!add_utf8_range(x, alt, c.lo[i], c.hi[i]))
            return NULL;
    return alt;
}
