/* router/glob.c - matches names against patterns. */
#include "router/glob.h"

#include "base/glob.h"
#include "router/router.h"

bool glob_match_any(const struct gw_span *patterns, unsigned n, struct gw_span text)
{
    for (unsigned i = 0; i < n; i++)
        if (gw_glob(patterns[i], text))
            return true;
    return n == 0;
}

bool router_name_matches(const struct gw_span *patterns, unsigned n, struct gw_span name)
{
    return glob_match_any(patterns, n, name);
}
