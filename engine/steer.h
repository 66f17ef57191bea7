/* engine/steer.h - keeps the answer of one sequence in its grammar: what may come, what came, and what must come.
 *
 * The scheduler's thread. */
#ifndef ENGINE_STEER_H
#define ENGINE_STEER_H

#include "engine/mask.h"
#include "kernels/kernels.h"

/* Shared by the sequences of a scheduler. ops and t must outlive it. NULL: out of memory. */
struct steer_space;
struct steer_space *steer_space_new(const struct tok *t, const struct kern_ops *ops);
void steer_space_free(struct steer_space *sp); /* sp may be NULL */

/* What is known of formats so far. Thread: any. */
void steer_space_stats(const struct steer_space *sp, struct mask_stats *out);

struct steer;
/* At the beginning of an answer. NULL: out of memory. */
struct steer *steer_new(struct steer_space *sp, struct engine_grammar *g);
void steer_free(struct steer *s); /* s may be NULL */

/* What may be drawn. Of many tokens: all whose logit is not -INFINITY, which those of the others in logits[n] become, and *ids
 * is NULL. Of few (less than 1 / STEER_FEW of them): *ids lists n_ids of them, ascending, and logits stay; the list is good until the next
 * call for any sequence of the space. False: there is none, since the answer can be read in too many ways, the vocabulary
 * lacks a byte, or memory ran out. */
enum { STEER_FEW = 8 };
bool steer_logits(struct steer *s, float *logits, unsigned n, const int32_t **ids, unsigned *n_ids);

enum steer_next { STEER_ON, STEER_OVER, STEER_FAILED };
/* A token came. OVER: the answer is complete and nothing can follow. */
enum steer_next steer_take(struct steer *s, int32_t id);

/* Appends tokens that must come now, the last one left out: its bytes may be the beginning of a longer one. They have not
 * been taken. GW_ENOMEM. */
enum gw_status steer_forced(struct steer *s, struct tok_ids *out);

#endif
