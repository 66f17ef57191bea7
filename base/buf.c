/* base/buf.c - growable bytes. */
#include "base/buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void gw_buf_fini(struct gw_buf *b)
{
    if (b->ptr != NULL)
        explicit_bzero(b->ptr, b->cap);
    free(b->ptr);
    *b = (struct gw_buf){NULL, 0, 0, false};
}

void gw_buf_clear(struct gw_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->ptr != NULL)
        b->ptr[0] = '\0';
}

/* Apart from the quick question below, which is asked some hundred times a request. */
static bool grow(struct gw_buf *b, size_t n)
{
    size_t cap = b->cap == 0 ? 256 : b->cap;
    char *p;

    if (b->failed)
        return false;
    if (n > SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return false;
    }
    while (cap <= b->len + n)
        cap *= 2;
    /* malloc and wipe rather than realloc: the old block may hold a prompt. */
    p = malloc(cap);
    if (p == NULL) {
        b->failed = true;
        return false;
    }
    if (b->ptr != NULL) {
        memcpy(p, b->ptr, b->len);
        explicit_bzero(b->ptr, b->len);
        free(b->ptr);
    }
    p[b->len] = '\0';
    b->ptr = p;
    b->cap = cap;
    return true;
}

static inline bool has_room(struct gw_buf *b, size_t n)
{
    /* strictly: one byte stays for the NUL */
    return (n < b->cap - b->len && !b->failed) || grow(b, n);
}

bool gw_buf_reserve(struct gw_buf *b, size_t n)
{
    return has_room(b, n);
}

static inline void add(struct gw_buf *b, const char *bytes, size_t n)
{
    if (n == 0 || !has_room(b, n))
        return;
    memcpy(b->ptr + b->len, bytes, n);
    b->len += n;
    b->ptr[b->len] = '\0';
}

static inline void add_char(struct gw_buf *b, char c)
{
    if (!has_room(b, 1))
        return;
    b->ptr[b->len++] = c;
    b->ptr[b->len] = '\0';
}

void gw_buf_add(struct gw_buf *b, struct gw_span bytes)
{
    add(b, bytes.ptr, bytes.len);
}

void gw_buf_adds(struct gw_buf *b, const char *s)
{
    add(b, s, s == NULL ? 0 : strlen(s));
}

void gw_buf_addc(struct gw_buf *b, char c)
{
    add_char(b, c);
}

void gw_buf_addu(struct gw_buf *b, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);

    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    add(b, digits + i, sizeof(digits) - i);
}

void gw_buf_addi(struct gw_buf *b, int64_t n)
{
    if (n < 0)
        gw_buf_addc(b, '-');
    gw_buf_addu(b, n < 0 ? (uint64_t) - (n + 1) + 1 : (uint64_t)n);
}

void gw_buf_printf(struct gw_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !gw_buf_reserve(b, (size_t)n + 1)) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

static void add_json_char(struct gw_buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    switch (c) {
    case '"':
        gw_buf_adds(b, "\\\"");
        return;
    case '\\':
        gw_buf_adds(b, "\\\\");
        return;
    case '\n':
        gw_buf_adds(b, "\\n");
        return;
    case '\r':
        gw_buf_adds(b, "\\r");
        return;
    case '\t':
        gw_buf_adds(b, "\\t");
        return;
    default:
        gw_buf_add(b, (struct gw_span){u, sizeof(u)});
        return;
    }
}

void gw_buf_add_json(struct gw_buf *b, struct gw_span text)
{
    size_t run = 0, i = 0; /* [run, i) is copied as it is */

    if (text.len == 0)
        return; /* its pointer may be NULL, to which nothing may be added */
    while (i < text.len) {
        unsigned char c = (unsigned char)text.ptr[i];
        uint32_t cp;
        unsigned n;

        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        n = c < 0x80 ? 0 : gw_utf8_decode(text.ptr + i, text.len - i, &cp);
        if (n > 1) {
            i += n;
            continue;
        }
        gw_buf_add(b, (struct gw_span){text.ptr + run, i - run});
        if (c < 0x80)
            add_json_char(b, c);
        else
            gw_buf_adds(b, "\xEF\xBF\xBD");
        run = ++i;
    }
    if (i != run) /* text may be {NULL, 0} */
        gw_buf_add(b, (struct gw_span){text.ptr + run, i - run});
}

void gw_buf_add_json_str(struct gw_buf *b, struct gw_span text)
{
    add_char(b, '"');
    gw_buf_add_json(b, text);
    add_char(b, '"');
}

void gw_buf_drop(struct gw_buf *b, size_t n)
{
    if (n == 0)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
    b->ptr[b->len] = '\0';
}
