/* proxy/local/local_front.h - tells what a model writes apart: what it thinks before it answers, its text, and calls behind a
 * marker. Pure; one thread at a time.
 *
 *   START --<think>--> THOUGHT --</think>--> BEHIND --no white space--> PLAIN --a marker--> CALLS
 *     |                                                                  ^
 *     +--------------------------- anything else ------------------------+
 *
 * Held back is only what may still be a marker; and calls, to the end of the answer, or until they are too long for that: then
 * they are text. White space around what it thinks is left out. */
#ifndef PROXY_LOCAL_FRONT_H
#define PROXY_LOCAL_FRONT_H

#include <stdbool.h>

#include "base/buf.h"

struct local_front {
    unsigned forms; /* of calls that are looked for: ENGINE_SAYS_..., engine.h */
    enum { FRONT_START, FRONT_THOUGHT, FRONT_BEHIND, FRONT_PLAIN, FRONT_CALLS } state;
    struct gw_buf held;          /* what may be a marker; or calls, from their marker on */
    struct gw_buf thought, text; /* what is certain: the caller takes it out */
    size_t skipped;              /* bytes before the text; the caller takes them out, too */
    bool any;                    /* there was text that is no white space */
};

/* says: of the model. Calls are looked for only when there are tools. Zeroed but for what is set here. */
void local_front_init(struct local_front *f, unsigned says, bool tools);
void local_front_fini(struct local_front *f);

/* Takes more of the answer. Out of memory shows in gw_buf_ok() of the three. */
void local_front_take(struct local_front *f, struct gw_span text);
/* The answer is complete: all that was held, but calls, is certain. */
void local_front_end(struct local_front *f);
/* What is held as calls is text. */
void local_front_give_up(struct local_front *f);

#endif
