/* proxy/local/local_tokens.h - which of the engine's tokens belong to which piece of an answer's text.
 *
 * The engine counts the text that the model wrote; of it, pieces become the answer's texts, others calls or nothing. A token
 * is told with the piece that its text ends in, when all of its text is in that piece and those that came right before. Pure;
 * one thread at a time. */
#ifndef PROXY_LOCAL_TOKENS_H
#define PROXY_LOCAL_TOKENS_H

#include "engine/engine.h"
#include "proxy/api/api.h"

/* Zeroed but for engine: at the beginning. */
struct local_tokens {
    const struct engine *engine; /* NULL: nobody asked */
    struct gw_buf raw;           /* records of the engine that were not told yet */
    struct api_tokens told;      /* of the last piece */
    size_t said;                 /* bytes of text of those that raw no longer has */
    size_t from, until;          /* the pieces that came last, without a gap between them */
};

/* More records. */
void local_tokens_add(struct local_tokens *t, struct gw_span records);
/* Gives a DELTA, whose text begins at byte `at` of all that the model wrote, its tokens; valid until the next call. False: out of
 * memory. */
bool local_tokens_tell(struct local_tokens *t, size_t at, struct api_event *ev);
void local_tokens_fini(struct local_tokens *t);

#endif
