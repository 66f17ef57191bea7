/* router/glob.h - lists of patterns (base/glob.h). Thread: any. */
#ifndef ROUTER_GLOB_H
#define ROUTER_GLOB_H

#include <stdbool.h>

#include "base/span.h"

/* True when one of the patterns matches; also when there is none. */
bool glob_match_any(const struct gw_span *patterns, unsigned n, struct gw_span text);

#endif
