/* dlp/view_escape.c - characters written as escapes in plain text: %41, &#65; and &quot;, \u0041 and \x41, and =41 of
 * quoted-printable (view.h). Pure; any thread.
 *
 * What ordinary text is full of (%20 in an address, &amp; in HTML, \u00e9 in JSON) is decoded beside the rest, but is no
 * reason to make a view. */
#include <string.h>

#include "base/utf8.h"
#include "dlp/view.h"
#include "dlp/view_find.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = gw_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of n hex digits at `at`, or -1. */
static int hex_value(struct gw_span text, size_t at, unsigned n)
{
    int v = 0;

    if (text.len - at < n)
        return -1;
    for (unsigned i = 0; i < n; i++) {
        int d = hex_digit(text.ptr[at + i]);

        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* What an escape says: len bytes of it, 0: it is none; cp, or one byte of UTF-8 when is_byte. */
struct escape {
    unsigned len;
    uint32_t cp;
    bool is_byte;
};

/* ---- HTML -------------------------------------------------------------------------------- */

static struct escape read_number(struct gw_span text, size_t at)
{
    enum { LONGEST = 12 };
    struct escape e = {.len = 0};
    bool hex = at + 2 < text.len && (text.ptr[at + 2] | 0x20) == 'x';
    size_t i = at + (hex ? 3 : 2), first = i;

    for (; i < text.len && i < at + LONGEST && e.cp <= 0x10FFFF; i++) {
        int d = hex_digit(text.ptr[i]);

        if (d < 0 || (!hex && d > 9))
            break;
        e.cp = e.cp * (hex ? 16 : 10) + (uint32_t)d;
    }
    if (i == first || e.cp > 0x10FFFF || e.cp == 0 || (e.cp >= 0xD800 && e.cp < 0xE000))
        return (struct escape){.len = 0};
    /* Browsers do without the semicolon. */
    e.len = (unsigned)(i - at) + (i < text.len && text.ptr[i] == ';');
    return e;
}

static struct escape read_named(struct gw_span text, size_t at)
{
    static const struct {
        const char *name; /* with its semicolon */
        char c;
    } names[] = {
        {"amp;", '&'},      {"lt;", '<'},    {"gt;", '>'},     {"quot;", '"'},   {"apos;", '\''},
        {"nbsp;", ' '},     {"sol;", '/'},   {"colon;", ':'},  {"period;", '.'}, {"commat;", '@'},
        {"equals;", '='},   {"plus;", '+'},  {"lowbar;", '_'}, {"hyphen;", '-'}, {"num;", '#'},
        {"dollar;", '$'},   {"excl;", '!'},  {"percnt;", '%'}, {"ast;", '*'},    {"lpar;", '('},
        {"rpar;", ')'},     {"comma;", ','}, {"semi;", ';'},   {"quest;", '?'},  {"lsqb;", '['},
        {"rsqb;", ']'},     {"lcub;", '{'},  {"rcub;", '}'},   {"bsol;", '\\'},  {"Tab;", '\t'},
        {"NewLine;", '\n'}, {"dash;", '-'},  {"verbar;", '|'}, {"grave;", '`'},  {"Hat;", '^'},
    };
    struct gw_span rest = gw_span_from(text, at + 1);

    if (rest.len == 0 || gw_ascii_lower(rest.ptr[0]) < 'a' || gw_ascii_lower(rest.ptr[0]) > 'z')
        return (struct escape){.len = 0};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].name[0] == rest.ptr[0] && gw_span_starts(rest, gw_span_str(names[i].name)))
            return (struct escape){.len = 1 + (unsigned)strlen(names[i].name),
                                   .cp = (unsigned char)names[i].c};
    return (struct escape){.len = 0};
}

/* ---- backslashes ------------------------------------------------------------------------- */

/* How many backslashes stand at `at`; JSON in JSON doubles them. */
static size_t backslashes(struct gw_span text, size_t at)
{
    enum { MOST = 8 };
    size_t n = 0;

    while (n < MOST && at + n < text.len && text.ptr[at + n] == '\\')
        n++;
    return n;
}

/* u{X}: the value of the digits that begin at `at`, up to a brace; -1. *len: of all behind the u. */
static int braced_value(struct gw_span text, size_t at, unsigned *len)
{
    enum { MOST = 6 };

    for (unsigned n = 1; n <= MOST && at + n < text.len; n++)
        if (text.ptr[at + n] == '}') {
            *len = n + 2;
            return hex_value(text, at, n);
        }
    return -1;
}

/* The value of what stands behind the backslashes: xXX, uXXXX, u{X}, UXXXXXXXX; -1. *len: of it. */
static int letter_value(struct gw_span text, size_t at, unsigned *len)
{
    unsigned digits = 0;

    if (at >= text.len)
        return -1;
    if (text.ptr[at] == 'u' && at + 1 < text.len && text.ptr[at + 1] == '{') {
        int v = braced_value(text, at + 2, len);

        *len += 1;
        return v;
    }
    if (text.ptr[at] == 'x')
        digits = 2;
    else if (text.ptr[at] == 'u')
        digits = 4;
    else if (text.ptr[at] == 'U')
        digits = 8;
    *len = 1 + digits;
    return digits == 0 ? -1 : hex_value(text, at + 1, digits);
}

static struct escape read_backslash(struct gw_span text, size_t at)
{
    enum { BYTE = 3 }; /* xXX */
    unsigned len = 0, low_len = 0;
    size_t i = at + backslashes(text, at);
    struct escape e = {.len = 0};
    int v, low;

    /* Mostly they stand in front of signs and other letters. */
    if (i == text.len || (text.ptr[i] != 'x' && (text.ptr[i] | 0x20) != 'u'))
        return e;
    v = letter_value(text, i, &len);
    if (v < 0 || v > 0x10FFFF)
        return e;
    i += len;
    if (v >= 0xD800 && v < 0xE000) {
        size_t k = i + backslashes(text, i);

        low = k > i && v < 0xDC00 ? letter_value(text, k, &low_len) : -1;
        if (low < 0xDC00 || low >= 0xE000)
            return e;
        v = 0x10000 + (v - 0xD800) * 0x400 + (low - 0xDC00);
        i = k + low_len;
    }
    e.len = (unsigned)(i - at);
    e.cp = (uint32_t)v;
    /* Above ASCII it is a byte of UTF-8, as programs write it. */
    e.is_byte = len == BYTE && v >= 0x80;
    return e;
}

static struct escape read_escape(struct gw_span text, size_t at)
{
    int v;

    switch (text.ptr[at]) {
    case '%':
        v = hex_value(text, at + 1, 2);
        return (struct escape){.len = v < 0 ? 0 : 3, .cp = (uint32_t)v, .is_byte = true};
    case '&':
        return at + 1 < text.len && text.ptr[at + 1] == '#' ? read_number(text, at)
                                                            : read_named(text, at);
    case '\\':
        return read_backslash(text, at);
    default:
        return (struct escape){.len = 0};
    }
}

/* ---- the walk ---------------------------------------------------------------------------- */

/* Does another one follow soon? One alone is how a blank is written in an address. */
static bool percent_follows(struct gw_span text, size_t at)
{
    enum { SOON = 32 };
    size_t end = text.len - at > SOON ? at + SOON : text.len;

    for (at += 3; at < end; at++)
        if (text.ptr[at] == '%' && hex_value(text, at + 1, 2) >= 0)
            return true;
    return false;
}

/* Does a word with a digit, long enough to be a number or a token, stand right behind? The escape's own digits would pass for its first. */
static bool token_follows(struct gw_span text, size_t at)
{
    enum { LONG = 9 };
    size_t end = at;
    bool digit = false;

    for (; end < text.len && end - at < LONG; end++) {
        unsigned kind = view_kind(text.ptr[end]);

        if ((kind & VIEW_KIND_BASE64) == 0 && text.ptr[end] != '.')
            return false;
        digit = digit || (kind & VIEW_KIND_DIGIT) != 0;
    }
    for (; !digit && end < text.len && (view_kind(text.ptr[end]) & VIEW_KIND_BASE64) != 0; end++)
        digit = (view_kind(text.ptr[end]) & VIEW_KIND_DIGIT) != 0;
    return digit && end - at >= LONG;
}

/* Is it one that hides something, not one that has to be there? */
static bool matters(struct gw_span text, size_t at, const struct escape *e)
{
    enum { FIRST_OTHER_SCRIPT = 0x250 };

    if (e->len == 0)
        return false;
    switch (text.ptr[at]) {
    case '%':
        /* From 0xCC on a byte begins a character of another script or form. */
        return (e->cp > ' ' && e->cp != '/' && e->cp < 0x7F) || e->cp >= 0xCC ||
               percent_follows(text, at) || token_follows(text, at + 3);
    case '&':
        if (e->cp == '&') /* the sign of another one, escaped once more */
            return at + e->len < text.len && text.ptr[at + e->len] == '#';
        return e->cp != ' ' && e->cp != '<' && e->cp != '>' &&
               (e->cp < 0x7F || e->cp == 0xAD || e->cp >= FIRST_OTHER_SCRIPT);
    default:
        return (e->cp >= ' ' && e->cp < 0x7F && e->cp != '<' && e->cp != '>' && e->cp != '&' &&
                e->cp != '\'') ||
               (!e->is_byte && e->cp >= FIRST_OTHER_SCRIPT);
    }
}

unsigned view_escape_at(struct gw_span text, size_t at, bool *worth)
{
    struct escape e = read_escape(text, at);

    *worth = matters(text, at, &e);
    return e.len;
}

static size_t find_said(struct gw_span text, const struct view_marks *marks, size_t at)
{
    return view_find_said(text, view_marks_from(marks, VIEW_MARK_ESCAPE, at, text.len));
}

static size_t next_escape(struct gw_span text, const struct view_marks *marks, size_t at,
                          size_t *resume)
{
    size_t listed = view_marks_from(marks, VIEW_MARK_ESCAPE, at, text.len);

    if (view_marks_has(marks, VIEW_MARK_ESCAPE, listed, text.len)) {
        *resume = listed + 1;
        return listed;
    }
    for (at = find_said(text, marks, at); at < text.len; at = find_said(text, marks, at)) {
        bool worth;
        unsigned len = view_escape_at(text, at, &worth);

        if (worth) {
            *resume = at + len;
            return at;
        }
        at += len == 0 ? 1 : len;
    }
    *resume = text.len;
    return text.len;
}

/* What a backslash says in front of a sign, in text that was made for a string. */
static char unescape_sign(char c)
{
    switch (c) {
    case '"':
    case '\'':
    case '/':
        return c;
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

static unsigned step_escape(struct gw_span text, size_t at, char out[VIEW_UNIT_MAX], unsigned *n)
{
    struct escape e = read_escape(text, at);
    char sign = '\0';

    if (text.ptr[at] == '\\' && at + 1 < text.len)
        sign = unescape_sign(text.ptr[at + 1]);
    *n = 1;
    if (e.len == 0 && sign != '\0') {
        out[0] = sign;
        return 2;
    }
    if (e.len == 0) {
        out[0] = text.ptr[at];
        return 1;
    }
    if (e.is_byte)
        out[0] = (char)e.cp;
    else
        *n = gw_utf8_encode(e.cp, out);
    return e.len;
}

static size_t plain_escape(struct gw_span text, size_t at, size_t to)
{
    return view_find_escape(text, at, to) - at;
}

const struct view_walk view_walk_escape = {DLP_VIEW_PERCENT, VIEW_BEFORE, VIEW_BEHIND, false,
                                           next_escape,      step_escape, plain_escape};

/* ---- quoted-printable -------------------------------------------------------------------- */

/* "=XX" in capitals, as RFC 2045 (6.7) writes it, or "=" at a line's end, which says nothing. Sets *cp and returns its bytes;
 * 0: it is neither. */
static unsigned read_quoted(struct gw_span text, size_t at, int *cp)
{
    const char *p = text.ptr + at;
    size_t left = text.len - at;

    *cp = -1;
    if (left >= 2 && p[1] == '\n')
        return 2;
    if (left >= 3 && p[1] == '\r' && p[2] == '\n')
        return 3;
    if (left < 3 || (p[1] >= 'a' && p[1] <= 'f') || (p[2] >= 'a' && p[2] <= 'f'))
        return 0;
    *cp = hex_value(text, at + 1, 2);
    return *cp < 0 ? 0 : 3;
}

static size_t find_equals(struct gw_span text, size_t at, size_t to)
{
    const char *p = at < to ? memchr(text.ptr + at, '=', to - at) : NULL;

    return p == NULL ? to : (size_t)(p - text.ptr);
}

/* Does a variable of an environment begin at `at`, as in "API_KEY=": capitals with joints? The one in front is empty then, and goes on in
 * no other line. */
static bool is_variable(struct gw_span text, size_t at)
{
    enum { LONGEST = 64 };
    size_t end = text.len - at < LONGEST ? text.len : at + LONGEST;
    bool joint = false;

    for (; at < end && ((text.ptr[at] >= 'A' && text.ptr[at] <= 'Z') || text.ptr[at] == '_'); at++)
        joint = joint || text.ptr[at] == '_';
    return joint && at < end && text.ptr[at] == '=';
}

/* Does an escape hide something? Bytes of characters beyond ASCII stand side by side, and where one escape stands no equals sign is
 * written as it is: a row of them is a line that somebody drew, and two end some base64. */
static bool hides(struct gw_span text, size_t at, unsigned len, int cp)
{
    const char *p = text.ptr + at;

    if (cp < 0)
        return (at == 0 || p[-1] != '=') && !is_variable(text, at + len);
    if (cp >= 0x80)
        return (at + len < text.len && p[len] == '=') || (at >= len && p[-(int)len] == '=');
    return cp >= ' ';
}

unsigned view_quoted_at(struct gw_span text, size_t at, bool *worth)
{
    int cp;
    unsigned len = read_quoted(text, at, &cp);

    *worth = len != 0 && hides(text, at, len, cp);
    return len;
}

/* The next equals sign that may be worth something. */
static size_t find_quoted(struct gw_span text, const struct view_marks *marks, size_t at)
{
    return find_equals(text, view_marks_from(marks, VIEW_MARK_QUOTED, at, text.len), text.len);
}

/* Two of them with few bytes between: one alone is more often an address' "a=10" or the end of some base64. */
static size_t next_quoted(struct gw_span text, const struct view_marks *marks, size_t at,
                          size_t *resume)
{
    size_t before = SIZE_MAX;

    for (at = find_quoted(text, marks, at); at < text.len; at = find_quoted(text, marks, at)) {
        bool worth;
        unsigned len = view_quoted_at(text, at, &worth);

        if (worth && before != SIZE_MAX && at - before <= VIEW_QUOTED_CLOSE) {
            *resume = at + len;
            return before;
        }
        if (worth)
            before = at;
        at += len == 0 ? 1 : len;
    }
    *resume = text.len;
    return text.len;
}

static unsigned step_quoted(struct gw_span text, size_t at, char out[VIEW_UNIT_MAX], unsigned *n)
{
    int cp = -1;
    unsigned len = text.ptr[at] == '=' ? read_quoted(text, at, &cp) : 0;

    *n = len != 0 && cp < 0 ? 0 : 1;
    out[0] = text.ptr[at];
    if (len != 0)
        out[0] = (char)cp;
    return len == 0 ? 1 : len;
}

static size_t plain_quoted(struct gw_span text, size_t at, size_t to)
{
    return find_equals(text, at, to) - at;
}

const struct view_walk view_walk_quoted = {DLP_VIEW_QUOTED, VIEW_BEFORE, VIEW_BEHIND, false,
                                           next_quoted,     step_quoted, plain_quoted};
