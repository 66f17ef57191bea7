/* proxy/identity/base64url.c - RFC 4648 section 5 without padding. Any thread. */
#include "proxy/identity/base64url.h"

#include <stdint.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_is(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (value_of(text.ptr[i]) < 0)
            return false;
    return true;
}

struct gw_span base64url_decode(struct gw_arena *arena, struct gw_span text)
{
    char *out = gw_arena_alloc(arena, text.len / 4 * 3 + 3);
    uint32_t bits = 0;
    unsigned n = 0; /* bits that are not written yet */
    size_t len = 0;

    if (out == NULL || text.len % 4 == 1)
        return (struct gw_span){NULL, 0};
    for (size_t i = 0; i < text.len; i++) {
        int v = value_of(text.ptr[i]);

        if (v < 0)
            return (struct gw_span){NULL, 0};
        bits = bits << 6 | (uint32_t)v;
        n += 6;
        if (n >= 8) {
            n -= 8;
            out[len++] = (char)(bits >> n & 0xFF);
        }
    }
    if ((bits & ((1u << n) - 1)) != 0)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){out, len};
}
