/* base/find.h - where a short text stands in another.
 *
 * glibc's memmem() takes some three instructions a byte for needles of a few bytes, and asking for a handful of member names
 * in each event of a stream was half of what an event cost. Here the byte of the needle that JSON and prose have least is
 * looked for with memchr(), which is vectorised, and only what stands around it is compared. Pure; any thread. */
#ifndef BASE_FIND_H
#define BASE_FIND_H

#include <stdbool.h>

#include "base/span.h"

/* The first place of what in text, or NULL; an empty text holds nothing, an empty what is nowhere. The worst case is
 * text.len times what.len, so what is a name of ours, never something that came from outside. */
const char *gw_find(struct gw_span text, struct gw_span what);

static inline bool gw_has(struct gw_span text, struct gw_span what)
{
    return gw_find(text, what) != NULL;
}

#endif
