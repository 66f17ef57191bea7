/* dlp/guard_text.c - see guard.h. */
#include <string.h>

#include "dlp/guard.h"

void guard_text_fini(struct guard_text *t)
{
    gw_buf_fini(&t->text);
    gw_buf_fini(&t->raw);
    gw_buf_fini(&t->widths);
    t->undecoded = t->out = 0;
    t->in_string = false;
}

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

bool guard_text_add(struct guard_text *t, struct gw_span bytes, bool last)
{
    size_t at;

    if (!t->nested) {
        gw_buf_add(&t->text, bytes);
        return gw_buf_ok(&t->text);
    }
    gw_buf_add(&t->raw, bytes);
    if (!gw_buf_ok(&t->raw))
        return false;
    for (at = t->raw.len - bytes.len - t->undecoded; at < t->raw.len;) {
        const char *p = t->raw.ptr + at;
        struct escape e = {.len = 1};

        if (*p == '"')
            t->in_string = !t->in_string;
        else if (*p == '\\')
            e = decode_escape(p, t->raw.len - at);
        if (e.len == 0 && !last)
            break;
        if (e.len == 0)
            e.len = 1;
        put_char(t, e.n == 0 ? p : e.out, e.n == 0 ? 1 : e.n, e.len);
        at += e.len;
    }
    t->undecoded = t->raw.len - at;
    return gw_buf_ok(&t->text) && gw_buf_ok(&t->widths);
}

void guard_text_pass(struct guard_text *t, size_t to, struct gw_buf *sink)
{
    struct gw_span bytes;

    if (to <= t->out)
        return;
    bytes = (struct gw_span){t->text.ptr + t->out, to - t->out};
    if (t->nested) {
        size_t n = 0;

        for (size_t i = t->out; i < to; i++)
            n += (unsigned char)t->widths.ptr[i] & GUARD_WIDTH;
        bytes = (struct gw_span){t->raw.ptr, n};
    }
    if (sink != NULL)
        gw_buf_add(sink, bytes);
    if (t->nested)
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
    if (t->nested)
        gw_buf_drop(&t->widths, n);
    t->out -= n;
}
