/* engine/embed_private.h - the embedder, its requests, and the channels that their events go back through.
 *
 * Two threads hold a request: the channel's (submits, cancels, takes the event) and the embedder's
 * (computes). Invariants: (E1) `listed`, `done` and setting `canceled` happen under the channel's lock;
 * (E2) a canceled request gives no event any more; (E3) a channel has at most `capacity` requests whose
 * event was not taken, so its queue is never full; (E4) request and channel are freed with the last
 * reference, by either thread. */
#ifndef ENGINE_EMBED_PRIVATE_H
#define ENGINE_EMBED_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/queue.h"
#include "engine/bert.h"
#include "engine/engine.h"
#include "engine/pieces.h"
#include "engine/pool.h"

/* A text has two special tokens. */
enum { EMBED_MIN_TOKENS = 2 };

struct embed_req {
    uint64_t id;
    void *ctx;
    struct engine_embed_chan *chan; /* a reference */
    struct gw_span *texts;          /* a reranker's: the documents */
    struct gw_span query;           /* a reranker's */
    void *block;                    /* texts, query and their bytes */
    size_t block_bytes;
    unsigned n_texts;
    size_t n_bytes; /* of the texts */
    uint64_t deadline_ns, submit_ns;
    atomic_uint refs;
    atomic_bool canceled;

    bool listed; /* in the channel's queue */
    struct engine_embed_event done;

    /* The rest belongs to the embedder's thread. */
    int32_t *ids;     /* of all texts, end to end */
    size_t *ends;     /* [n_texts]: where each text's ids end */
    unsigned n_query; /* a reranker's: ids of the query, in front of each text's */
    float *vectors;   /* [n_texts][n_dims] */
    unsigned n_begun; /* texts that are computed or being computed */
    uint64_t start_ns;
    struct embed_req *next;
};

struct engine_embed_chan {
    struct engine_embedder *e;
    pthread_mutex_t lock;
    struct gw_queue *ready; /* of struct embed_req * */
    atomic_uint refs;       /* the owner and every request */
    struct embed_req **reqs;
    unsigned n_reqs, capacity;
    bool draining; /* the queue's bell was acknowledged */
};

struct engine_embedder {
    char name[64];
    struct bert b;
    struct pieces pieces;
    struct pool *p;
    struct bert_space *space;
    struct gw_queue *cmds; /* of struct embed_req * */
    pthread_t thread;
    bool started;
    unsigned max_tokens, max_unfinished, step_tokens;
    unsigned n_dims; /* numbers a text: 1 when the model reranks */

    /* The thread's. */
    struct embed_req *first; /* whose texts are not all computed, in the order of their turns */
    struct bert_run *runs;   /* [step_tokens / EMBED_MIN_TOKENS] */

    atomic_bool quit;
    atomic_uint n_unfinished;
    atomic_ullong next_id, n_bytes; /* n_bytes: of the texts of what is unfinished */
    atomic_ullong n_requests, n_texts, n_tokens, n_rejected, n_canceled;
};

/* What the embedder's thread runs; arg: struct engine_embedder. Ends when quit is set and the queue closed. */
void *embed_work(void *arg);

/* A channel for at most capacity unfinished requests. NULL: out of memory or descriptors. */
struct engine_embed_chan *embed_chan_new(struct engine_embedder *e, unsigned capacity);
/* Adds r, with the caller's reference; false when there are too many. */
bool embed_chan_add(struct engine_embed_chan *ch, struct embed_req *r);
void embed_chan_remove(struct engine_embed_chan *ch, struct embed_req *r);

/* Copies the texts into a new request of ch with two references, the caller's and the embedder's. NULL: out
 * of memory. */
struct embed_req *embed_req_new(struct engine_embed_chan *ch, const struct gw_span *texts,
                                unsigned n_texts, size_t n_bytes);
void embed_req_unref(struct embed_req *r);

/* Embedder's side: hands the event over (its vectors with it) unless the request was canceled. */
void embed_req_post(struct embed_req *r, const struct engine_embed_event *done);

static inline bool embed_reranks(const struct engine_embedder *e)
{
    return e->b.head.out != NULL;
}

static inline bool embed_req_is_canceled(const struct embed_req *r)
{
    return atomic_load_explicit(&r->canceled, memory_order_relaxed);
}

#endif
