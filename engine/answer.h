/* engine/answer.h - turns the bytes of tokens into text that may be sent.
 *
 * A token can hold part of a character, and a stop string can begin in one token and end in another, so
 * bytes are held back until it is clear what they are. Invariants: (A1) what is given out is UTF-8: what
 * can never become a character is U+FFFD; (A2) no byte of a stop string is given out; (A3) at most the
 * longest stop string and three bytes are held back. One answer, one thread at a time. */
#ifndef ENGINE_ANSWER_H
#define ENGINE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct answer {
    struct gw_buf held;
    const struct gw_span *stop; /* borrowed */
    size_t n_stop, longest;     /* bytes of the longest stop string */
    size_t certain;   /* bytes of tokens that are in the text, or were left out at its beginning */
    bool strip_space; /* drop the first byte of the answer when it is a space */
};

/* Starts an empty answer. stop (empty ones are ignored) must outlive it. strip_space: for vocabularies
 * whose words begin with their space. Needs answer_fini. */
void answer_init(struct answer *a, const struct gw_span *stop, size_t n_stop, bool strip_space);
void answer_fini(struct answer *a);

/* Takes the bytes of one token and appends what is certain to out. Returns true when a stop string is
 * complete: the answer ends, what came before the stop string was appended. Out of memory shows in
 * gw_buf_ok(out) or gw_buf_ok(&a->held). */
bool answer_add(struct answer *a, struct gw_span piece, struct gw_buf *out);

/* The answer ended without a stop string: appends all that is held. */
void answer_end(struct answer *a, struct gw_buf *out);

#endif
