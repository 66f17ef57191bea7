/* engine/drafter.h - a small model that guesses what a larger one with the same vocabulary writes next.
 *
 * It has pages of its own, bounded when it is opened: a sequence that finds none is not guessed for. Its prompts are read a piece at a
 * call, so that no stream waits for one. What it guesses is checked by the larger model, so nothing here changes an answer.
 * Thread: the scheduler's, except drafter_open. */
#ifndef ENGINE_DRAFTER_H
#define ENGINE_DRAFTER_H

#include "engine/kvcache.h"
#include "engine/model.h"
#include "engine/pool.h"
#include "engine/tokenizer.h"

struct drafter;

struct drafter_config {
    const char *path;           /* of the small model */
    const struct kern_ops *ops; /* this and what follows must outlive the drafter */
    struct pool *p;
    const struct tok *tok; /* of the larger model */
    unsigned max_context, max_seqs;
};

/* What it holds of one sequence. Starts as zeroes; given back with drafter_release. */
struct drafter_seq {
    struct kvcache_seq kv;
    unsigned n_cached; /* tokens whose keys it has */
};

/* GW_EINVAL: its vocabulary is another one; else as engine_open. */
enum gw_status drafter_open(const struct drafter_config *cfg, struct drafter **out,
                            struct gw_err *err);
void drafter_close(struct drafter *d); /* d may be NULL */

/* Guesses at most k ids behind ids[n]. Returns how many are in out: 0 when there are no pages, when the context is longer than the model's, or while
 * it is still reading what came before. */
unsigned drafter_guess(struct drafter *d, struct drafter_seq *s, const int32_t *ids, unsigned n,
                       unsigned k, int32_t *out);
/* Only the first n tokens of what it has seen are in the answer. */
void drafter_keep(struct drafter *d, struct drafter_seq *s, unsigned n);
void drafter_release(struct drafter *d, struct drafter_seq *s); /* d may be NULL */

uint64_t drafter_bytes(const struct drafter *d); /* of its pages; d may be NULL */

#endif
