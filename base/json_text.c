/* base/json_text.c - what is inside a checked JSON string: decoding (json.h). */
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static unsigned hex4(const unsigned char *p)
{
    unsigned v = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned c = p[i];

        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

unsigned gw_json_unescape(const char **p, char out[4])
{
    const unsigned char *s = (const unsigned char *)*p + 1;
    uint32_t cp;

    *p += 2;
    switch (*s) {
    case 'b':
        out[0] = '\b';
        return 1;
    case 'f':
        out[0] = '\f';
        return 1;
    case 'n':
        out[0] = '\n';
        return 1;
    case 'r':
        out[0] = '\r';
        return 1;
    case 't':
        out[0] = '\t';
        return 1;
    case 'u':
        break;
    default:
        out[0] = (char)*s;
        return 1;
    }
    cp = hex4(s + 1);
    *p += 4;
    if (cp >= 0xD800 && cp <= 0xDBFF) {
        cp = 0x10000 + ((cp - 0xD800) << 10) + (hex4(s + 7) - 0xDC00);
        *p += 6;
    }
    return gw_utf8_encode(cp, out);
}

size_t gw_json_decode(struct gw_span raw, char *out)
{
    const char *p = raw.ptr, *end = raw.ptr;
    char *w = out;

    if (raw.len != 0)
        end += raw.len;
    while (p < end) {
        const char *esc = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((esc == NULL ? end : esc) - p);
        char tmp[4];

        memcpy(w, p, n);
        w += n;
        p += n;
        if (p < end) {
            n = gw_json_unescape(&p, tmp);
            memcpy(w, tmp, n);
            w += n;
        }
    }
    return (size_t)(w - out);
}
