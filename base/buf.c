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
    if (b->len != 0)
        explicit_bzero(b->ptr, b->len);
    b->len = 0;
    b->failed = false;
    if (b->ptr != NULL)
        b->ptr[0] = '\0';
}

/* Moves to a block of cap bytes. */
static bool move_to(struct gw_buf *b, size_t cap)
{
    char *p;

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

/* Fits n more bytes and a NUL into memory's limits? */
static bool is_possible(struct gw_buf *b, size_t n)
{
    if (!b->failed && n > SIZE_MAX / 2 - b->len)
        b->failed = true;
    return !b->failed;
}

static bool grow(struct gw_buf *b, size_t n)
{
    size_t cap = b->cap == 0 ? 256 : b->cap;

    if (!is_possible(b, n))
        return false;
    while (cap <= b->len + n)
        cap *= 2;
    return move_to(b, cap);
}

bool gw_buf_reserve(struct gw_buf *b, size_t n)
{
    /* strictly: one byte stays for the NUL */
    return (n < b->cap - b->len && !b->failed) || grow(b, n);
}

bool gw_buf_reserve_exact(struct gw_buf *b, size_t n)
{
    if (n < b->cap - b->len && !b->failed)
        return true;
    return is_possible(b, n) && move_to(b, b->len + n + 1);
}

void gw_buf_addu(struct gw_buf *b, uint64_t n)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    char digits[20];
    size_t i = sizeof(digits);

    while (n >= 10) {
        i -= 2;
        memcpy(digits + i, pairs + n % 100 * 2, 2);
        n /= 100;
    }
    if (n != 0 || i == sizeof(digits))
        digits[--i] = (char)('0' + n);
    gw_buf_add(b, (struct gw_span){digits + i, sizeof(digits) - i});
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

/* True: none of the eight bytes needs a second look; they are printable ASCII, and no quote or backslash. */
static bool is_plain8(const char *text)
{
    const uint64_t each = 0x0101010101010101u, top = each * 0x80;
    uint64_t v, quote, slash;

    memcpy(&v, text, 8);
    quote = v ^ each * '"';
    slash = v ^ each * '\\';
    /* A byte that is too small for what is taken from it borrows into its top bit; that of a plain one is not set. */
    return ((v | (v - each * 0x20) | (quote - each) | (slash - each)) & top) == 0;
}

/* How many bytes at the start of text are copied as they are. */
static size_t plain_bytes(const char *text, size_t n)
{
    size_t i = 0;

    while (i + 8 <= n && is_plain8(text + i))
        i += 8;
    if (n >= 8 && i + 8 > n && is_plain8(text + n - 8))
        return n;
    while (i < n && (unsigned char)text[i] >= 0x20 && (unsigned char)text[i] < 0x80 &&
           text[i] != '"' && text[i] != '\\')
        i++;
    return i;
}

void gw_buf_add_json(struct gw_buf *b, struct gw_span text)
{
    size_t run = 0, i = 0; /* [run, i) is copied as it is */

    if (text.len == 0)
        return; /* its pointer may be NULL, to which nothing may be added */
    for (;;) {
        unsigned char c;
        uint32_t cp;
        unsigned n;

        i += plain_bytes(text.ptr + i, text.len - i);
        if (i == text.len)
            break;
        c = (unsigned char)text.ptr[i];
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
    gw_buf_add(b, (struct gw_span){text.ptr + run, i - run});
}

void gw_buf_add_json_str(struct gw_buf *b, struct gw_span text)
{
    (void)gw_buf_reserve(b, text.len + 2);
    gw_buf_addc(b, '"');
    gw_buf_add_json(b, text);
    gw_buf_addc(b, '"');
}

void gw_buf_drop(struct gw_buf *b, size_t n)
{
    if (n == 0)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
    explicit_bzero(b->ptr + b->len, n);
}
