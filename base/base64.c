/* base/base64.c - RFC 4648, both alphabets. Any thread. */
#include "base/base64.h"

#include <stdint.h>

static void encode(struct gw_buf *out, struct gw_span bytes, const char digits[65], bool pad)
{
    uint32_t bits = 0;
    unsigned n = 0; /* bits that are not written yet */
    char *p;

    if (!gw_buf_reserve(out, bytes.len / 3 * 4 + 4))
        return;
    p = out->ptr + out->len;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (unsigned char)bytes.ptr[i];
        for (n += 8; n >= 6; n -= 6)
            *p++ = digits[bits >> (n - 6) & 63];
    }
    if (n > 0)
        *p++ = digits[bits << (6 - n) & 63];
    for (size_t k = bytes.len % 3; pad && k != 0 && k < 3; k++)
        *p++ = '=';
    *p = '\0';
    out->len = (size_t)(p - out->ptr);
}

void gw_base64(struct gw_buf *out, struct gw_span bytes)
{
    encode(out, bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

void gw_base64url(struct gw_buf *out, struct gw_span bytes)
{
    encode(out, bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

static int digit(char c, char d62, char d63)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == d62 ? 62 : c == d63 ? 63 : -1;
}

int gw_base64_digit(char c)
{
    return digit(c, '+', '/');
}

bool gw_base64url_is(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (digit(text.ptr[i], '-', '_') < 0)
            return false;
    return true;
}

/* A text without padding. */
static ptrdiff_t decode(struct gw_span text, char d62, char d63, unsigned char *out, size_t max)
{
    uint32_t bits = 0;
    unsigned n = 0; /* bits that are not written yet */
    size_t len = 0;

    if (text.len % 4 == 1)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        const int v = digit(text.ptr[i], d62, d63);

        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        n += 6;
        if (n < 8)
            continue;
        n -= 8;
        if (len == max)
            return -1;
        out[len++] = (unsigned char)(bits >> n & 0xFF);
    }
    return (bits & ((1u << n) - 1)) != 0 ? -1 : (ptrdiff_t)len;
}

ptrdiff_t gw_unbase64(struct gw_span text, void *out, size_t max)
{
    if (text.len % 4 != 0)
        return -1;
    for (unsigned pad = 0; pad < 2 && text.len != 0 && text.ptr[text.len - 1] == '='; pad++)
        text.len--;
    return decode(text, '+', '/', out, max);
}

ptrdiff_t gw_unbase64url(struct gw_span text, void *out, size_t max)
{
    return decode(text, '-', '_', out, max);
}
