/* engine/request.h - a request on its way, and the channel that its events go back through.
 *
 * Two threads hold a request: the channel's (submits, cancels, takes events) and the scheduler's. What
 * the scheduler has to say is put into the request's outbox, where text collects; the request itself
 * stands in the channel's queue at most once. So a slow reader costs one buffer a request and never makes
 * the scheduler wait. Invariants: (R1) the outbox and `canceled` are touched under the channel's lock
 * only, canceled may be read without; (R2) a canceled request gives no event any more; (R3) a channel has
 * at most `capacity` requests whose DONE was not delivered, so its queue is never full; (R4) request and
 * channel are freed with the last reference, by either thread. */
#ifndef ENGINE_REQUEST_H
#define ENGINE_REQUEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/queue.h"
#include "engine/engine.h"
#include "engine/line.h"
#include "engine/lora.h"

struct request {
    uint64_t id;
    void *ctx;
    struct engine_chan *chan;        /* a reference */
    struct engine_message *messages; /* NULL when too_long */
    unsigned n_messages;
    struct engine_params
        params;              /* stop, bias and tenant point into our memory; adapter is not kept */
    const struct lora *lora; /* the engine's, or NULL */
    unsigned lora_id;        /* its number from 1; 0: none */
    bool too_long;           /* the text cannot fit into the context: it was not even copied */
    atomic_uint refs;
    atomic_bool canceled;

    /* outbox */
    bool listed; /* in the channel's queue, or being delivered */
    bool has_start, has_done;
    struct gw_buf text, tokens;
    struct engine_event start, done;

    unsigned want_tokens;    /* of the prompt, estimated; 0 when it does not wait for pages */
    struct line_place place; /* scheduler: in line */
    void *parked;            /* scheduler: its sequence while it has lost its slot */
    void *block;             /* memory of messages, biases and stop strings */
};

struct engine_chan {
    struct engine *e;
    pthread_mutex_t lock;
    struct gw_queue *ready;    /* of struct request * with events */
    atomic_uint refs;          /* the owner and every request */
    struct request **requests; /* the channel's references: no DONE delivered yet */
    unsigned n_requests, capacity;
    struct request *current; /* being delivered */
    bool draining;           /* the queue's bell was acknowledged */
};

/* Copies messages and params into a new request of ch with two references, the caller's and the
 * scheduler's. Text above max_bytes is not copied (too_long). NULL: out of memory. */
struct request *request_new(struct engine_chan *ch, const struct engine_message *messages,
                            unsigned n_messages, const struct engine_params *params,
                            size_t max_bytes);
void request_unref(struct request *r);

/* Scheduler's side: puts an event into the outbox; does nothing when canceled. The bytes of text and tokens are moved
 * out of them (they are empty after). */
void request_post_start(struct request *r, unsigned prompt_tokens, unsigned cached_tokens,
                        uint64_t prefill_ns);
void request_post_text(struct request *r, struct gw_buf *text, struct gw_buf *tokens);
/* done: type, finish, status, counts, times and error are used. */
void request_post_done(struct request *r, const struct engine_event *done);

static inline bool request_is_canceled(const struct request *r)
{
    return atomic_load_explicit(&r->canceled, memory_order_relaxed);
}

/* A channel for at most capacity unfinished requests. NULL: out of memory or descriptors. */
struct engine_chan *request_chan_new(struct engine *e, unsigned capacity);
/* Adds r (with the caller's reference) to those that can be canceled; false when there are too many. */
bool request_chan_add(struct engine_chan *ch, struct request *r);
void request_chan_remove(struct engine_chan *ch, struct request *r);

#endif
