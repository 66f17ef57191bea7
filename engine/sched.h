/* engine/sched.h - the scheduler: one thread that owns the cache, the steps and every running sequence.
 *
 *   submitted --sched_push--> waiting --admit--> running --end--> gone
 *                                ^                  |
 *                                +------park--------+      (another tenant's turn, or a higher priority)
 *
 * A running sequence whose pages are taken away (preempt: none is left, and an older one needs some) stays in
 * its slot and computes what is lost again.
 *
 * Any state goes to gone when the request was canceled or its deadline passed (sweep). A running sequence
 * feeds the tokens that are not in the cache yet: its prompt in chunks beside the others' single tokens,
 * then what it sampled. What other sequences have computed of it is not computed again (sched_prefix.c).
 * line.h says whose turn it is. */
#ifndef ENGINE_SCHED_H
#define ENGINE_SCHED_H

#include "engine/chat.h"
#include "engine/drafter.h"
#include "engine/engine.h"
#include "engine/medusa.h"
#include "engine/model.h"
#include "engine/pool.h"
#include "engine/request.h"
#include "engine/tokenizer.h"

struct sched;

enum {
    SCHED_STEP_TOKENS = 256, /* of a step, where there are fewer sequences */
    SCHED_DRAFT_ROWS = 8, /* tokens of a step with guesses: up to there more of them cost little */
};

struct sched_config {
    const struct model *m;
    struct device *device; /* NULL: all layers are computed on the CPU */
    const struct tok *tok;
    const struct chat *chat;
    struct pool *p;
    unsigned max_context, max_seqs, max_queued; /* above 0 */
    enum kern_kv_type kv_type;
    const enum kern_kv_type *layer_types; /* of each layer, or NULL: all are of kv_type */
    unsigned max_rank;                    /* of adapters; 0: there are none */
    struct drafter *drafter;              /* guesses tokens (sched_draft.c); NULL: there is none */
    struct medusa *medusa;                /* likewise, where there is no drafter and no device */
    enum engine_prefixes prefixes;
    bool no_drafts;     /* no guessing (sched_draft.c) */
    bool eager_drafts;  /* models and heads guess whatever it costs; for tests */
    unsigned kv_tokens; /* 0: what memory allows; at least max_context is taken */
};

/* Takes the memory of cache and steps and starts the thread. All that cfg points to must outlive *out.
 * GW_ENOMEM, GW_ELIMIT, GW_EIO. */
enum gw_status sched_new(const struct sched_config *cfg, struct sched **out, struct gw_err *err);
/* Ends all requests without events, joins the thread, frees. s may be NULL. */
void sched_free(struct sched *s);

/* Takes over one reference of r on GW_OK. GW_EAGAIN, with the reason in err: max_seqs + max_queued requests
 * are unfinished, or the prompts that wait would fill the cache too often. GW_ENOENT: the device failed. Thread: any. */
enum gw_status sched_push(struct sched *s, struct request *r, struct gw_err *err);

/* Runs engine_bench on the scheduler's thread and waits for it. GW_EAGAIN when it is not idle. */
enum gw_status sched_bench(struct sched *s, unsigned prompt, unsigned decode,
                           struct engine_bench *out, struct gw_err *err);

/* What it costs that a device had no room for all. Thread: any. */
void sched_cost(const struct sched *s, struct engine_cost *out);

/* Whether the device failed, so that nothing is computed any more. Thread: any. */
bool sched_is_lost(const struct sched *s);

void sched_stats(struct sched *s, struct engine_stats *out);
uint64_t sched_kv_bytes(const struct sched *s);

#endif
