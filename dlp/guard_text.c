/* dlp/guard_text.c - see guard.h. */
#include <string.h>

#include "base/utf8.h"
#include "dlp/guard.h"
#include "dlp/view_fold.h"

void guard_text_fini(struct guard_text *t)
{
    gw_buf_fini(&t->text);
    gw_buf_fini(&t->raw);
    gw_buf_fini(&t->widths);
    t->undecoded = t->out = 0;
    t->in_string = t->mapped = false;
}

/* ---- characters that look like others ---------------------------------------------------- */

/* Invisible, and no part of how a script is written. */
static bool is_hidden(uint32_t cp)
{
    return cp == 0xAD || cp == 0x34F || cp == 0x61C || cp == 0x180E || cp == 0xFEFF ||
           (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || (cp >= 0xFE00 && cp <= 0xFE0F) ||
           (cp >= 0xE0000 && cp <= 0xE01EF);
}

/* The ASCII character that a full-width or mathematical one is; 0: none. */
static char plain_form(uint32_t cp)
{
    char out[VIEW_FOLD_MAX];

    bool has_form = (cp >= 0xFF01 && cp <= 0xFF5E) || (cp >= 0x1D400 && cp <= 0x1D7FF);

    if (has_form && view_fold_char(cp, out) == 1)
        return out[0];
    return '\0';
}

/* Can a character that is not as it looks begin in here? */
static bool may_look_other(struct gw_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];

        if (c == 0xC2 || c == 0xCD || c == 0xD8 || c == 0xE1 || c == 0xE2 || c == 0xEF || c >= 0xF0)
            return true;
    }
    return false;
}

/* ---- escapes ----------------------------------------------------------------------------- */

/* The value of four hex digits, or -1. */
static int hex4(const char *p)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        char c = p[i];

        if (c >= '0' && c <= '9')
            v = v * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = v * 16 + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return v;
}

static unsigned put_utf8(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

/* One escape at p, n bytes of which are there. */
struct escape {
    size_t len;  /* bytes that it takes; 0: it is cut */
    char out[4]; /* what it says */
    unsigned n;  /* bytes of it; 0: it is none, and its backslash stands for itself */
};

/* \uXXXX, or two of them that are one character. */
static struct escape decode_unicode(const char *p, size_t n)
{
    struct escape e = {.len = 1};
    int high, low;

    if (n < 6)
        return (struct escape){.len = 0};
    high = hex4(p + 2);
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF))
        return e;
    if (high < 0xD800 || high > 0xDBFF) {
        e.len = 6;
        e.n = put_utf8((uint32_t)high, e.out);
        return e;
    }
    if (n < 12 && (n < 7 || p[6] == '\\') && (n < 8 || p[7] == 'u'))
        return (struct escape){.len = 0};
    low = n < 12 || p[6] != '\\' || p[7] != 'u' ? -1 : hex4(p + 8);
    if (low < 0xDC00 || low > 0xDFFF)
        return e;
    e.len = 12;
    e.n = put_utf8(0x10000 + ((uint32_t)(high - 0xD800) << 10) + (uint32_t)(low - 0xDC00), e.out);
    return e;
}

static struct escape decode_escape(const char *p, size_t n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known;
    struct escape e = {.len = 1};

    if (n < 2)
        return (struct escape){.len = 0};
    if (p[1] == 'u')
        return decode_unicode(p, n);
    known = p[1] == '\0' ? NULL : strchr(from, p[1]);
    if (known != NULL)
        e = (struct escape){.len = 2, .out = {to[known - from]}, .n = 1};
    return e;
}

static void put_char(struct guard_text *t, const char *text, unsigned n, size_t width)
{
    unsigned char flag = t->in_string ? GUARD_IN_STRING : 0;

    for (unsigned i = 0; i < n; i++) {
        gw_buf_addc(&t->text, text[i]);
        gw_buf_addc(&t->widths, (char)(flag | (i == 0 ? width : 0)));
    }
}

/* From now on raw and widths say what came. */
static void start_map(struct guard_text *t)
{
    t->mapped = true;
    gw_buf_add(&t->raw, gw_span_from(gw_buf_span(&t->text), t->out));
    for (size_t i = 0; i < t->text.len; i++)
        gw_buf_addc(&t->widths, 1);
}

/* How many bytes a character has that begins with c; 1 for any other byte. */
static size_t char_bytes(unsigned char c)
{
    if (c >= 0xF0)
        return 4;
    if (c >= 0xE0)
        return 3;
    return c >= 0xC2 ? 2 : 1;
}

/* Reads the character or escape at raw[at]. len 0: more must come first. */
static struct escape read_unit(struct guard_text *t, size_t at, bool last)
{
    const char *p = t->raw.ptr + at;
    size_t left = t->raw.len - at;
    struct escape e = {.len = 1, .out = {*p}, .n = 1};
    uint32_t cp = 0;
    char plain;

    if (t->nested && *p == '\\') {
        e = decode_escape(p, left);
        if (e.len == 0 && !last)
            return e;
        if (e.len == 0 || e.n == 0)
            e = (struct escape){.len = 1, .out = {'\\'}, .n = 1};
    } else if ((unsigned char)*p >= 0x80) {
        if (left < char_bytes((unsigned char)*p) && !last)
            return (struct escape){.len = 0};
        e.len = gw_utf8_decode(p, left, &cp);
        e.len = e.len == 0 ? 1 : e.len;
        e.n = (unsigned)e.len;
        memcpy(e.out, p, e.len);
    }
    if (gw_utf8_decode(e.out, e.n, &cp) < 2)
        return e;
    plain = plain_form(cp);
    if (plain != 0) {
        e.out[0] = plain;
        e.n = 1;
    } else if (is_hidden(cp)) {
        e.n = 0;
    }
    return e;
}

/* Puts a run of invisible bytes into text as they are: nothing came behind it. */
static void put_hidden_run(struct guard_text *t, size_t from, size_t to)
{
    for (; from < to; from++)
        put_char(t, t->raw.ptr + from, 1, 1);
}

static bool add_mapped(struct guard_text *t, struct gw_span bytes, bool last)
{
    enum { HIDDEN_MAX = 96 }; /* bytes that hang on to one character: its width has seven bits */
    size_t at, done = 0;

    gw_buf_add(&t->raw, bytes);
    if (!gw_buf_ok(&t->raw))
        return false;
    at = done = t->raw.len - bytes.len - t->undecoded;
    while (at < t->raw.len) {
        struct escape e = read_unit(t, at, last);

        if (e.len == 0)
            break;
        if (e.n == 0 && at + e.len - done <= HIDDEN_MAX) {
            at += e.len;
            continue;
        }
        if (e.n == 0) {
            at += e.len;
            put_hidden_run(t, done, at);
        } else {
            if (t->nested && t->raw.ptr[at] == '"')
                t->in_string = !t->in_string;
            put_char(t, e.out, e.n, at + e.len - done);
            at += e.len;
        }
        done = at;
    }
    if (last) {
        put_hidden_run(t, done, t->raw.len);
        done = t->raw.len;
    }
    t->undecoded = t->raw.len - done;
    return gw_buf_ok(&t->text) && gw_buf_ok(&t->widths);
}

bool guard_text_add(struct guard_text *t, struct gw_span bytes, bool last)
{
    if (!t->mapped && (t->nested || may_look_other(bytes)))
        start_map(t);
    if (t->mapped)
        return add_mapped(t, bytes, last);
    gw_buf_add(&t->text, bytes);
    return gw_buf_ok(&t->text);
}

void guard_text_pass(struct guard_text *t, size_t to, struct gw_buf *sink)
{
    struct gw_span bytes;

    if (to <= t->out)
        return;
    bytes = (struct gw_span){t->text.ptr + t->out, to - t->out};
    if (t->mapped) {
        size_t n = 0;

        for (size_t i = t->out; i < to; i++)
            n += (unsigned char)t->widths.ptr[i] & GUARD_WIDTH;
        bytes = (struct gw_span){t->raw.ptr, n};
    }
    if (sink != NULL)
        gw_buf_add(sink, bytes);
    if (t->mapped)
        gw_buf_drop(&t->raw, bytes.len);
    t->out = to;
}

bool guard_text_in_string(const struct guard_text *t, size_t at)
{
    return !t->nested || ((unsigned char)t->widths.ptr[at] & GUARD_IN_STRING) != 0;
}

void guard_text_drop(struct guard_text *t, size_t n)
{
    gw_buf_drop(&t->text, n);
    if (t->mapped)
        gw_buf_drop(&t->widths, n);
    t->out -= n;
}
