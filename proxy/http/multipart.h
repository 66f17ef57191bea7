/* proxy/http/multipart.h - finds the parts of a multipart body (RFC 2046 section 5.1), for scanning them one by one.
 *
 * Every byte of the body belongs to a delimiter line or to one of the stretches returned: preamble, heads, contents,
 * epilogue. So scanning the stretches scans what is forwarded. Pure; any thread. */
#ifndef PROXY_MULTIPART_H
#define PROXY_MULTIPART_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct multipart_stretch {
    struct gw_span bytes; /* in the body; never empty */
    bool is_head;         /* the fields of a part: names of files are text as well */
    struct gw_span type;  /* contents: the part's Content-Type, or empty */
    struct gw_span name;  /* contents: the part's name parameter, as written, or empty */
};

/* True for multipart/anything with a boundary. */
bool multipart_is(struct gw_span content_type);

/* Splits the body. Nothing is copied; the array is the arena's. GW_EPARSE: no first or no last delimiter, a part without
 * the empty line behind its head; GW_ELIMIT: more than 1,000 parts; GW_ENOMEM. */
enum gw_status multipart_split(struct gw_arena *arena, struct gw_span content_type,
                               struct gw_span body, struct multipart_stretch **out, unsigned *n,
                               struct gw_err *err);

#endif
