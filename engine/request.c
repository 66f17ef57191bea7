/* engine/request.c - memory of requests, their outboxes, and the channel functions of engine.h.
 * See request.h for who may touch what. */
#include "engine/request.h"

#include <stdlib.h>
#include <string.h>

#include "engine/grammar.h"

/* Of ordinary text. */
enum { BYTES_PER_TOKEN = 4 };

/* ---- requests --------------------------------------------------------------------------- */

/* Hands out pieces of one block. */
static struct gw_span copy_span(char **at, struct gw_span s)
{
    struct gw_span out = {*at, s.len};

    if (s.len != 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return out;
}

/* Bytes of the text, or SIZE_MAX when that is above max. */
static size_t text_bytes(const struct engine_message *messages, unsigned n, size_t max)
{
    size_t all = 0;

    for (unsigned i = 0; i < n; i++) {
        if (messages[i].role.len > max - all)
            return SIZE_MAX;
        all += messages[i].role.len;
        if (messages[i].content.len > max - all)
            return SIZE_MAX;
        all += messages[i].content.len;
    }
    return all;
}

static bool copy_into(struct request *r, const struct engine_message *messages,
                      const struct engine_params *params, size_t text)
{
    size_t stops = 0, structs = (size_t)r->n_messages * sizeof(*messages) +
                                params->n_stop * sizeof(*params->stop) +
                                params->n_bias * sizeof(*params->bias);
    struct gw_span *stop;
    struct engine_bias *bias;
    char *at;

    for (unsigned i = 0; i < params->n_stop; i++)
        stops += params->stop[i].len;
    r->block = malloc(structs + text + stops + params->tenant.len + 1);
    if (r->block == NULL)
        return false;
    r->messages = r->block;
    stop = (struct gw_span *)(void *)(r->messages + r->n_messages);
    bias = (struct engine_bias *)(void *)(stop + params->n_stop);
    if (params->n_bias != 0)
        memcpy(bias, params->bias, params->n_bias * sizeof(*bias));
    at = (char *)r->block + structs;
    for (unsigned i = 0; i < r->n_messages; i++) {
        r->messages[i].role = copy_span(&at, messages[i].role);
        r->messages[i].content = copy_span(&at, messages[i].content);
    }
    for (unsigned i = 0; i < params->n_stop; i++)
        stop[i] = copy_span(&at, params->stop[i]);
    r->params.stop = stop;
    r->params.bias = bias;
    r->params.tenant = copy_span(&at, params->tenant);
    return true;
}

struct request *request_new(struct engine_chan *ch, const struct engine_message *messages,
                            unsigned n_messages, const struct engine_params *params,
                            size_t max_bytes)
{
    struct request *r = calloc(1, sizeof(*r));
    size_t text = text_bytes(messages, n_messages, max_bytes);

    if (r == NULL)
        return NULL;
    r->params = *params;
    r->params.adapter = (struct gw_span){NULL, 0};
    r->too_long = text == SIZE_MAX;
    r->n_messages = r->too_long ? 0 : n_messages;
    r->want_tokens = r->too_long ? 0 : (unsigned)(text / BYTES_PER_TOKEN) + n_messages;
    if (!copy_into(r, messages, params, r->too_long ? 0 : text)) {
        free(r);
        return NULL;
    }
    atomic_init(&r->refs, 2);
    atomic_init(&r->canceled, false);
    r->params.grammar = grammar_ref(params->grammar);
    r->chan = ch;
    atomic_fetch_add(&ch->refs, 1);
    return r;
}

static void chan_unref(struct engine_chan *ch)
{
    if (atomic_fetch_sub(&ch->refs, 1) != 1)
        return;
    gw_queue_free(ch->ready);
    (void)pthread_mutex_destroy(&ch->lock);
    free(ch->requests);
    free(ch);
}

void request_unref(struct request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    chan_unref(r->chan);
    engine_grammar_unref(r->params.grammar);
    gw_buf_fini(&r->text);
    gw_buf_fini(&r->tokens);
    free(r->block);
    free(r);
}

/* ---- outbox ----------------------------------------------------------------------------- */

/* Begins a change of the outbox; false: nobody wants it any more. With the lock either way. */
static bool outbox_open(const struct request *r)
{
    (void)pthread_mutex_lock(&r->chan->lock);
    return !request_is_canceled(r);
}

/* Ends it; what changed is said to the channel once. The bell is rung without the lock: the event loop goes first when it
 * wakes, perhaps on this CPU, and would find the lock with a thread that has no CPU. The scheduler's reference keeps r. */
static void outbox_close(struct request *r, bool changed)
{
    const bool news = changed && !r->listed;

    r->listed = r->listed || changed;
    (void)pthread_mutex_unlock(&r->chan->lock);
    if (news)
        (void)gw_queue_push(r->chan->ready, &r); /* never full: R3 */
}

void request_post_start(struct request *r, unsigned prompt_tokens, unsigned cached_tokens,
                        uint64_t prefill_ns)
{
    const bool wanted = outbox_open(r);

    if (wanted) {
        r->start = (struct engine_event){.type = ENGINE_EVENT_START,
                                         .ctx = r->ctx,
                                         .prompt_tokens = prompt_tokens,
                                         .cached_tokens = cached_tokens,
                                         .prefill_ns = prefill_ns};
        r->has_start = true;
    }
    outbox_close(r, wanted);
}

void request_post_text(struct request *r, struct gw_buf *text, struct gw_buf *tokens)
{
    const bool wanted = outbox_open(r);

    if (wanted) {
        gw_buf_add(&r->text, gw_buf_span(text));
        gw_buf_add(&r->tokens, gw_buf_span(tokens));
    }
    outbox_close(r, wanted);
    gw_buf_clear(text);
    gw_buf_clear(tokens);
}

void request_post_done(struct request *r, const struct engine_event *done)
{
    const bool wanted = outbox_open(r);

    if (wanted) {
        r->done = *done;
        r->done.type = ENGINE_EVENT_DONE;
        r->done.ctx = r->ctx;
        r->has_done = true;
    }
    outbox_close(r, wanted);
}

/* Takes the next event of r; false when there is none (then r is not listed any more). With the lock. */
static bool take_event(struct request *r, struct engine_event *ev)
{
    if (request_is_canceled(r)) {
        r->listed = false;
        return false;
    }
    if (r->has_start) {
        *ev = r->start;
        r->has_start = false;
        return true;
    }
    if (!gw_buf_ok(&r->text) || !gw_buf_ok(&r->tokens)) {
        /* Text was lost, so the answer may not look complete. */
        gw_buf_fini(&r->text);
        gw_buf_fini(&r->tokens);
        r->done = (struct engine_event){.type = ENGINE_EVENT_DONE,
                                        .ctx = r->ctx,
                                        .finish = ENGINE_FINISH_ERROR,
                                        .status = GW_ENOMEM,
                                        .error = "out of memory for the answer"};
        r->has_done = true;
        atomic_store(&r->canceled, true);
        *ev = r->done;
        return true;
    }
    if (r->text.len != 0 || r->tokens.len != 0) {
        *ev = (struct engine_event){
            .type = ENGINE_EVENT_TEXT, .ctx = r->ctx, .text = r->text, .tokens = r->tokens};
        r->text = r->tokens = (struct gw_buf){0};
        return true;
    }
    if (r->has_done) {
        *ev = r->done;
        r->has_done = false;
        return true;
    }
    r->listed = false;
    return false;
}

/* ---- channels --------------------------------------------------------------------------- */

struct engine_chan *request_chan_new(struct engine *e, unsigned capacity)
{
    struct engine_chan *ch = calloc(1, sizeof(*ch));

    if (ch == NULL)
        return NULL;
    ch->e = e;
    ch->capacity = capacity;
    ch->ready = gw_queue_new(capacity, sizeof(struct request *));
    ch->requests = calloc(capacity, sizeof(struct request *));
    if (ch->ready == NULL || ch->requests == NULL) {
        gw_queue_free(ch->ready);
        free(ch->requests);
        free(ch);
        return NULL;
    }
    (void)pthread_mutex_init(&ch->lock, NULL);
    atomic_init(&ch->refs, 1);
    return ch;
}

bool request_chan_add(struct engine_chan *ch, struct request *r)
{
    if (ch->n_requests == ch->capacity)
        return false;
    ch->requests[ch->n_requests++] = r;
    return true;
}

void request_chan_remove(struct engine_chan *ch, struct request *r)
{
    for (unsigned i = 0; i < ch->n_requests; i++) {
        if (ch->requests[i] == r) {
            ch->requests[i] = ch->requests[--ch->n_requests];
            request_unref(r);
            return;
        }
    }
}

/* No event of r any more. Returns whether it stands in the queue, from where it has to come out first. */
static bool withdraw(struct request *r)
{
    bool listed;

    (void)pthread_mutex_lock(&r->chan->lock);
    atomic_store(&r->canceled, true);
    listed = r->listed;
    gw_buf_fini(&r->text);
    gw_buf_fini(&r->tokens);
    (void)pthread_mutex_unlock(&r->chan->lock);
    return listed;
}

void engine_cancel(struct engine_chan *ch, uint64_t id)
{
    for (unsigned i = 0; i < ch->n_requests; i++) {
        struct request *r = ch->requests[i];

        if (r->id == id) {
            if (!withdraw(r))
                request_chan_remove(ch, r);
            return;
        }
    }
}

void engine_chan_free(struct engine_chan *ch)
{
    if (ch == NULL)
        return;
    for (unsigned i = 0; i < ch->n_requests; i++)
        (void)withdraw(ch->requests[i]); /* the queue is not read again */
    while (ch->n_requests != 0)
        request_unref(ch->requests[--ch->n_requests]);
    chan_unref(ch);
}

int engine_chan_fd(const struct engine_chan *ch)
{
    return gw_queue_fd(ch->ready);
}

bool engine_chan_next(struct engine_chan *ch, struct engine_event *ev)
{
    if (!ch->draining) {
        gw_queue_ack(ch->ready);
        ch->draining = true;
    }
    for (;;) {
        struct request *r = ch->current;
        bool taken, canceled;

        if (r == NULL && gw_queue_pop(ch->ready, &r) != GW_OK) {
            ch->draining = false;
            return false;
        }
        (void)pthread_mutex_lock(&ch->lock);
        taken = take_event(r, ev);
        canceled = request_is_canceled(r);
        (void)pthread_mutex_unlock(&ch->lock);
        ch->current = taken ? r : NULL;
        if (taken && ev->type == ENGINE_EVENT_DONE)
            ch->current = NULL;
        if (ch->current == NULL && (taken || canceled))
            request_chan_remove(ch, r);
        if (taken)
            return true;
    }
}
