/* engine/probs.h - how likely the model held the tokens of one answer to be, and what else it thought of.
 *
 * Probabilities are the model's own: of its raw logits, before biases, penalties, formats, temperature and cuts. So they
 * say what the model believed, not how the request had it draw, and agree between requests that draw differently.
 *
 * A token is told with the text that became certain with it (answer.h): tokens whose bytes wait for the end of a
 * character, or to know whether they begin a stop string, wait too, and those of a stop string are never told. The scheduler's thread. */
#ifndef ENGINE_PROBS_H
#define ENGINE_PROBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Memory for one row of logits, shared by the answers of a scheduler. */
struct probs_space;
struct probs_space *probs_space_new(unsigned n_vocab); /* NULL: out of memory */
void probs_space_free(struct probs_space *sp);         /* sp may be NULL */

/* Keeps logits[n] as they are now; n is at most n_vocab. */
void probs_keep(struct probs_space *sp, const float *logits, unsigned n);

struct probs;
/* n_top: how many of the most likely tokens are told with each. NULL: out of memory. */
struct probs *probs_new(unsigned n_top);
void probs_free(struct probs *p); /* p may be NULL */

/* Token id, of so many bytes in the answer, was taken from the row that was kept last. skipped: bytes at its beginning that
 * are not part of the answer. */
void probs_take(struct probs *p, struct probs_space *sp, int32_t id, size_t bytes, size_t skipped);

/* Appends the records (struct engine_token, engine.h) of the tokens that lie in the answer's first `certain` bytes, of which
 * `text` bytes of text were made since the last call. Out of memory shows in gw_buf_ok(out) or probs_ok(). */
void probs_give(struct probs *p, size_t certain, size_t text, struct gw_buf *out);

bool probs_ok(const struct probs *p);

#endif
