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

/* What a backslash and the letter or sign c say. No branch: which one comes is hard to guess. */
static char short_escape(unsigned char c)
{
    static const char letters[256] = {
        ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
    };

    return (char)(letters[c] | (c & -(letters[c] == 0)));
}

unsigned gw_json_unescape(const char **p, char out[4])
{
    const unsigned char *s = (const unsigned char *)*p + 1;
    uint32_t cp;

    *p += 2;
    if (*s != 'u') {
        out[0] = short_escape(*s);
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
