/* base/glob.h - patterns of names: `*` any run of characters, `?` one, the rest itself.
 *
 * ASCII letters match in both cases, so that a rule about `o1-*` cannot be dodged with `O1-`. No recursion,
 * at most pattern times text steps; both are short (limits of the callers). Thread: any. */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include <stdbool.h>

#include "base/span.h"

bool gw_glob(struct gw_span pattern, struct gw_span text);

#endif
