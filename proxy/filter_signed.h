/* proxy/filter_signed.h - texts in a whole answer that its provider has signed: they must not change. Private. */
#ifndef PROXY_FILTER_SIGNED_H
#define PROXY_FILTER_SIGNED_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct filter_signed {
    const struct gw_span *texts; /* in the body, without quotes, ascending; in the arena */
    unsigned n;
};

/* Finds Anthropic's thinking blocks: objects with a "thinking" and a "signature". A body that is no JSON has none.
 * GW_ENOMEM (also when the arena is full). */
enum gw_status filter_find_signed(struct gw_span body, struct gw_arena *arena,
                                  struct filter_signed *out);

/* True when the byte is in one of them. */
bool filter_is_signed(const struct filter_signed *s, const char *byte);

#endif
