/* engine/embed_chan.c - memory of requests for embeddings, and the channel functions of engine.h. See
 * embed_private.h for who may touch what. */
#include <stdlib.h>
#include <string.h>

#include "engine/embed_private.h"

/* ---- requests --------------------------------------------------------------------------- */

struct embed_req *embed_req_new(struct engine_embed_chan *ch, const struct gw_span *texts,
                                unsigned n_texts, size_t n_bytes)
{
    struct embed_req *r = calloc(1, sizeof(*r));
    char *at;

    if (r == NULL)
        return NULL;
    r->texts = malloc(n_texts * sizeof(*texts) + n_bytes);
    if (r->texts == NULL) {
        free(r);
        return NULL;
    }
    at = (char *)(r->texts + n_texts);
    for (unsigned i = 0; i < n_texts; i++) {
        r->texts[i] = (struct gw_span){at, texts[i].len};
        memcpy(at, texts[i].ptr, texts[i].len);
        at += texts[i].len;
    }
    r->n_texts = n_texts;
    r->block = r->texts;
    r->block_bytes = n_texts * sizeof(*texts) + n_bytes;
    r->n_bytes = n_bytes;
    atomic_init(&r->refs, 2);
    atomic_init(&r->canceled, false);
    r->chan = ch;
    atomic_fetch_add(&ch->refs, 1);
    return r;
}

static void chan_unref(struct engine_embed_chan *ch)
{
    if (atomic_fetch_sub(&ch->refs, 1) != 1)
        return;
    gw_queue_free(ch->ready);
    (void)pthread_mutex_destroy(&ch->lock);
    free(ch->reqs);
    free(ch);
}

void embed_req_unref(struct embed_req *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    chan_unref(r->chan);
    free(r->done.vectors); /* an event that nobody took */
    free(r->vectors);
    free(r->ids);
    free(r->ends);
    explicit_bzero(r->block, r->block_bytes);
    free(r->block);
    free(r);
}

void embed_req_post(struct embed_req *r, const struct engine_embed_event *done)
{
    bool taken = false;

    (void)pthread_mutex_lock(&r->chan->lock);
    if (!embed_req_is_canceled(r)) {
        r->done = *done;
        r->done.ctx = r->ctx;
        r->listed = taken = true;
    }
    (void)pthread_mutex_unlock(&r->chan->lock);
    if (taken) /* without the lock: the event loop that wakes wants it */
        (void)gw_queue_push(r->chan->ready, &r); /* never full: E3 */
    else
        free(done->vectors);
}

/* ---- channels --------------------------------------------------------------------------- */

struct engine_embed_chan *embed_chan_new(struct engine_embedder *e, unsigned capacity)
{
    struct engine_embed_chan *ch = calloc(1, sizeof(*ch));

    if (ch == NULL)
        return NULL;
    ch->e = e;
    ch->capacity = capacity;
    ch->ready = gw_queue_new(capacity, sizeof(struct embed_req *));
    ch->reqs = calloc(capacity, sizeof(struct embed_req *));
    if (ch->ready == NULL || ch->reqs == NULL) {
        gw_queue_free(ch->ready);
        free(ch->reqs);
        free(ch);
        return NULL;
    }
    (void)pthread_mutex_init(&ch->lock, NULL);
    atomic_init(&ch->refs, 1);
    return ch;
}

bool embed_chan_add(struct engine_embed_chan *ch, struct embed_req *r)
{
    if (ch->n_reqs == ch->capacity)
        return false;
    ch->reqs[ch->n_reqs++] = r;
    return true;
}

void embed_chan_remove(struct engine_embed_chan *ch, struct embed_req *r)
{
    for (unsigned i = 0; i < ch->n_reqs; i++) {
        if (ch->reqs[i] == r) {
            ch->reqs[i] = ch->reqs[--ch->n_reqs];
            embed_req_unref(r);
            return;
        }
    }
}

/* No event of r any more. Returns whether it stands in the queue, from where it has to come out first. */
static bool withdraw(struct embed_req *r)
{
    bool listed;

    (void)pthread_mutex_lock(&r->chan->lock);
    atomic_store(&r->canceled, true);
    listed = r->listed;
    (void)pthread_mutex_unlock(&r->chan->lock);
    return listed;
}

void engine_embed_cancel(struct engine_embed_chan *ch, uint64_t id)
{
    for (unsigned i = 0; i < ch->n_reqs; i++) {
        struct embed_req *r = ch->reqs[i];

        if (r->id == id) {
            if (!withdraw(r))
                embed_chan_remove(ch, r);
            return;
        }
    }
}

void engine_embed_chan_free(struct engine_embed_chan *ch)
{
    if (ch == NULL)
        return;
    for (unsigned i = 0; i < ch->n_reqs; i++)
        (void)withdraw(ch->reqs[i]); /* the queue is not read again */
    while (ch->n_reqs != 0)
        embed_req_unref(ch->reqs[--ch->n_reqs]);
    chan_unref(ch);
}

int engine_embed_chan_fd(const struct engine_embed_chan *ch)
{
    return gw_queue_fd(ch->ready);
}

bool engine_embed_chan_next(struct engine_embed_chan *ch, struct engine_embed_event *ev)
{
    struct embed_req *r;

    if (!ch->draining) {
        gw_queue_ack(ch->ready);
        ch->draining = true;
    }
    while (gw_queue_pop(ch->ready, &r) == GW_OK) {
        bool canceled;

        (void)pthread_mutex_lock(&ch->lock);
        canceled = embed_req_is_canceled(r);
        if (!canceled) {
            *ev = r->done;
            r->done.vectors = NULL; /* the receiver's now */
        }
        (void)pthread_mutex_unlock(&ch->lock);
        embed_chan_remove(ch, r);
        if (!canceled)
            return true;
    }
    ch->draining = false;
    return false;
}
