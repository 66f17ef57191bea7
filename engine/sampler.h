/* engine/sampler.h - picks the next token from logits.
 *
 * Order: biases; repeat, frequency and presence penalties; then temperature 0 takes the largest; else the
 * logits are divided by the temperature, cut to top_k, then to min_p (relative to the most likely),
 * then to the smallest set of mass top_p, and one of what is left is drawn. Ties go to the smaller id,
 * NaN is never picked. The same seed and logits give the same tokens on every machine whose exp()
 * agrees. One sampler a sequence, one thread at a time. */
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/engine.h"

struct device_pick;
struct sampler;

/* Memory for vocabularies of n_vocab tokens that samplers of one thread share. NULL: out of memory. */
struct sampler_space;
struct sampler_space *sampler_space_new(unsigned n_vocab);
void sampler_space_free(struct sampler_space *sp); /* sp may be NULL */

/* Whether all values are in range; the message names the first that is not. GW_EINVAL. */
enum gw_status sampler_check(const struct engine_params *params, struct gw_err *err);

/* params are checked; their biases must outlive it. max_tokens: the longest sequence it will see. NULL: out of memory. */
struct sampler *sampler_new(const struct engine_params *params, unsigned max_tokens);
void sampler_free(struct sampler *s); /* s may be NULL */

/* Tells the sampler about a token of the prompt (repeat penalty) or of the answer (all penalties). */
void sampler_accept(struct sampler *s, int32_t id, bool generated);

/* What a device needs to pick as sampler_pick would, the next draw's random number with it. False: penalties or biases, which are applied
 * here. */
bool sampler_describe(const struct sampler *s, struct device_pick *out);
/* A device picked: its random number is used up. */
void sampler_drew(struct sampler *s);

/* Picks from logits[n_vocab], which are changed. */
int32_t sampler_pick(struct sampler *s, struct sampler_space *sp, float *logits, unsigned n_vocab);

/* The same when only n_ids tokens may be picked: what it would be if the logits of all others were -INFINITY, without looking at
 * them. ids: ascending, each below n_vocab; NULL: all may. */
int32_t sampler_pick_of(struct sampler *s, struct sampler_space *sp, float *logits,
                        unsigned n_vocab, const int32_t *ids, unsigned n_ids);

#endif
