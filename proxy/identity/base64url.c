/* proxy/identity/base64url.c - RFC 4648 section 5 without padding. Any thread. */
#include "proxy/identity/base64url.h"

#include "base/base64.h"

struct gw_span base64url_decode(struct gw_arena *arena, struct gw_span text)
{
    char *out = gw_arena_alloc(arena, text.len / 4 * 3 + 3);
    const ptrdiff_t n = out == NULL ? -1 : gw_unbase64url(text, out, text.len / 4 * 3 + 3);

    return n < 0 ? (struct gw_span){NULL, 0} : (struct gw_span){out, (size_t)n};
}
