/* engine/forward.h - one transformer step over tokens of several sequences.
 *
 * All tokens of a step go through the linear layers together, so that each weight is read once; attention
 * looks at each sequence alone. What an adapter adds is computed for its tokens only. Invariant (F1): the logits of a token depend on its sequence only, not on
 * what else was in the step nor on how the sequence was cut into steps nor on the number of threads: the
 * kernels keep one order of operations per output. Thread: the scheduler's; the pool's threads help. */
#ifndef ENGINE_FORWARD_H
#define ENGINE_FORWARD_H

#include "base/err.h"
#include "engine/kvcache.h"
#include "engine/lora.h"
#include "engine/model.h"
#include "engine/pool.h"

struct device;
struct device_pick;
struct forward;

/* Consecutive tokens of one sequence. The cache must hold room for all of them (kvcache_reserve). */
struct forward_run {
    const struct kvcache_seq *seq;
    const struct lora *lora; /* NULL: the model as it is; else room for its rank was taken */
    const int32_t *tokens;   /* each from 0 to n_vocab - 1 */
    unsigned n_tokens;       /* at least 1 */
    unsigned pos;            /* of tokens[0] in the sequence */
    unsigned n_logits;       /* logits are wanted for the last n_logits tokens */
    unsigned logits_row;     /* set by forward_step: row of the first of them */
    /* Not NULL: the device may pick the token of the only row of logits, and then there are none. */
    const struct device_pick *pick;
    int32_t picked; /* set by forward_step; -1: nothing was picked, the logits are there */
};

/* Memory for steps of at most max_tokens tokens with max_logits rows of logits, contexts of at most
 * max_context. A model whose shape asks for far more memory than its file gets smaller steps, see
 * forward_max_tokens. m, kv and p must outlive *out. GW_ENOMEM, GW_ELIMIT. */
enum gw_status forward_new(const struct model *m, const struct kvcache *kv, struct pool *p,
                           unsigned max_tokens, unsigned max_logits, unsigned max_context,
                           struct forward **out, struct gw_err *err);
void forward_free(struct forward *f); /* f may be NULL */

/* Takes room for steps with adapters of ranks up to max_rank. Once, before the first of them. GW_ENOMEM. */
enum gw_status forward_allow_adapters(struct forward *f, unsigned max_rank, struct gw_err *err);

/* From now on d computes its layers and the logits; it must outlive f. Before the first step. */
void forward_use_device(struct forward *f, struct device *d);

unsigned forward_max_tokens(const struct forward *f);

/* Computes the step: writes the cache of every token and the logits that are wanted. Runs belong to
 * different sequences; the sums of n_tokens and of n_logits keep within the limits. Fails only with a device: GW_EIO,
 * GW_ENOMEM, and nothing of the step may be used; forward_error says why. */
enum gw_status forward_step(struct forward *f, struct forward_run *runs, unsigned n_runs);

/* How long the last step took here and on the device, ns; only with a device. */
void forward_times(const struct forward *f, uint64_t *host, uint64_t *there);

/* Why the last step failed. Valid until the next one. */
const char *forward_error(const struct forward *f);

/* Row of n_vocab logits of the last step. The caller may write on it. */
float *forward_logits(const struct forward *f, unsigned row);

/* What that row of logits was computed from: n_embd values, the stream behind the last norm. NULL when a device computed it. Valid until the
 * next step. */
const float *forward_hidden(const struct forward *f, unsigned row);

#endif
