/* proxy/identity/base64url.h - RFC 4648 section 5 without padding, strictly: one text for each sequence of bytes. Pure. */
#ifndef PROXY_BASE64URL_H
#define PROXY_BASE64URL_H

#include "base/arena.h"
#include "base/span.h"

/* Decodes into the arena. {NULL, 0} for any other byte, padding, a length that cannot be, bits behind the end that are not
 * zero, or no memory. An empty text has a pointer. */
struct gw_span base64url_decode(struct gw_arena *arena, struct gw_span text);

#endif
