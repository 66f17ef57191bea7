/* proxy/answer/filter_private.h - what filter.c needs to know of whole answers. Private to filter*.c. */
#ifndef PROXY_FILTER_PRIVATE_H
#define PROXY_FILTER_PRIVATE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "base/span.h"

/* ---- signed texts (filter_signed.c) --------------------------------------------------------- */

/* Texts that their provider has signed, and what it alone can read: they must not change. */
struct filter_signed {
    const struct gw_span *texts; /* in the body, without quotes, ascending; in the arena */
    const bool *opaque;          /* of each: bytes without a text that anybody could read */
    unsigned n;
};

/* Finds Anthropic's thinking blocks (the texts), and signatures, encrypted thoughts and redacted ones (opaque), just as
 * restream_dialect.c tells them in streams. A body that is no JSON has none. GW_ENOMEM (also when the arena is full). */
enum gw_status filter_find_signed(struct gw_span body, struct gw_arena *arena,
                                  struct filter_signed *out);

/* True when the byte is in one of them, and then *opaque says what it is. */
bool filter_is_signed(const struct filter_signed *s, const char *byte, bool *opaque);

/* ---- walking -------------------------------------------------------------------------------- */

enum { FILTER_MAX_DEPTH = 64 };

/* A walk over a tree, in the order of its text. */
struct filter_walk {
    const struct gw_json_node *stack[FILTER_MAX_DEPTH + 1];
    unsigned depth;
};

/* Reads a body into a tree; *root stays NULL when it is no JSON. GW_ENOMEM. */
enum gw_status filter_tree(struct gw_span body, struct gw_arena *arena,
                           const struct gw_json_node **root);
void filter_walk_start(struct filter_walk *w, const struct gw_json_node *root);
/* The next node, or NULL. */
const struct gw_json_node *filter_walk_next(struct filter_walk *w);

/* ---- log probabilities (filter_logprobs.c) -------------------------------------------------- */

/* Appends body without what repeats its text token by token: each "logprobs" becomes null, or an empty list.
 * GW_ENOMEM. */
enum gw_status filter_drop_logprobs(struct gw_span body, struct gw_arena *arena,
                                    struct gw_buf *out);

#endif
