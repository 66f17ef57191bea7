/* router/glob.h - patterns of names: `*` any run of characters, `?` one, the rest itself.
 *
 * ASCII letters match in both cases, so that a rule about `o1-*` cannot be dodged with `O1-`. No recursion,
 * at most pattern times text steps; both are short (limits of the callers). Thread: any. */
#ifndef ROUTER_GLOB_H
#define ROUTER_GLOB_H

#include <stdbool.h>

#include "base/span.h"

bool glob_match(struct gw_span pattern, struct gw_span text);

/* True when one of the patterns matches; also when there is none. */
bool glob_match_any(const struct gw_span *patterns, unsigned n, struct gw_span text);

#endif
