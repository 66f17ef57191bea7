/* engine/embed_work.c - the embedder's thread.
 *
 * It turns the texts of a request into tokens when it gets it, then computes step after step: a step takes texts
 * from all requests in turn until its tokens are used up, so nobody waits for a long request. Cancelling and
 * deadlines are looked at between steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/embed_private.h"

/* Text that is turned into tokens between two steps: who is being computed waits that long. */
enum { ENCODE_BYTES = 1 << 20 };

/* ---- the end of a request ------------------------------------------------------------------ */

/* Hands the event over and lets go of the request. Counted out first: who has the event may ask again at once. */
static void end(struct engine_embedder *e, struct embed_req *r,
                const struct engine_embed_event *done)
{
    if (embed_req_is_canceled(r))
        atomic_fetch_add(&e->n_canceled, 1);
    atomic_fetch_sub(&e->n_bytes, r->n_bytes);
    atomic_fetch_sub(&e->n_unfinished, 1);
    embed_req_post(r, done);
    embed_req_unref(r);
}

static void fail(struct engine_embedder *e, struct embed_req *r, enum gw_status st,
                 const char *error)
{
    struct engine_embed_event done = {.status = st, .n_texts = r->n_texts, .n_dims = e->n_dims};

    (void)snprintf(done.error, sizeof(done.error), "%s", error);
    end(e, r, &done);
}

/* Hands the vectors over, unless a damaged model made some of them nonsense. */
static void finish(struct engine_embedder *e, struct embed_req *r)
{
    const size_t n = (size_t)r->n_texts * e->n_dims;
    struct engine_embed_event done = {.n_texts = r->n_texts,
                                      .n_dims = e->n_dims,
                                      .prompt_tokens = (unsigned)r->ends[r->n_texts - 1],
                                      .wait_ns = r->start_ns - r->submit_ns,
                                      .compute_ns = gw_clock_ns() - r->start_ns};

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(r->vectors[i])) {
            fail(e, r, GW_ECORRUPT, "the model gives no finite numbers: its file is damaged");
            return;
        }
        if (embed_reranks(e))
            r->vectors[i] = (float)(1 / (1 + exp(-(double)r->vectors[i])));
    }
    atomic_fetch_add(&e->n_texts, r->n_texts);
    atomic_fetch_add(&e->n_tokens, done.prompt_tokens);
    done.vectors = r->vectors;
    r->vectors = NULL;
    end(e, r, &done);
}

/* ---- taking requests ------------------------------------------------------------------------- */

static enum gw_status make_memory(const struct engine_embedder *e, struct embed_req *r,
                                  size_t *room, struct gw_err *err)
{
    size_t n = 0;

    for (unsigned i = 0; i < r->n_texts; i++) {
        size_t most = pieces_room(&e->pieces, r->texts[i].len + r->query.len) + EMBED_MIN_TOKENS;

        n += most < e->max_tokens ? most : e->max_tokens;
    }
    *room = n < ENGINE_EMBED_MAX_TOKENS ? n : ENGINE_EMBED_MAX_TOKENS;
    r->ids = malloc((*room + 1) * sizeof(*r->ids));
    r->ends = calloc((size_t)r->n_texts + 1, sizeof(*r->ends));
    r->vectors = calloc((size_t)r->n_texts * e->n_dims + 1, sizeof(*r->vectors));
    if (r->ids == NULL || r->ends == NULL || r->vectors == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the request");
    return GW_OK;
}

/* Text i as at most max tokens at ids; a reranker's has the query's in front, which text 0 encodes for all. GW_ELIMIT:
 * they are more; GW_ENOMEM. */
static enum gw_status encode_text(const struct engine_embedder *e, struct embed_req *r, unsigned i,
                                  int32_t *ids, unsigned max, unsigned *n)
{
    if (max < EMBED_MIN_TOKENS)
        return GW_ELIMIT;
    if (!embed_reranks(e))
        return pieces_encode(&e->pieces, r->texts[i], ids, 0, max, n);
    if (i == 0)
        GW_TRY(pieces_encode(&e->pieces, r->query, ids, 0, max, &r->n_query));
    if (r->n_query >= max)
        return GW_ELIMIT;
    if (i != 0)
        memcpy(ids, r->ids, r->n_query * sizeof(*ids));
    return pieces_encode(&e->pieces, r->texts[i], ids, r->n_query, max, n);
}

/* The texts as tokens. GW_ELIMIT names the text that is too long. */
static enum gw_status encode(const struct engine_embedder *e, struct embed_req *r,
                             struct gw_err *err)
{
    size_t at = 0, room = 0;

    GW_TRY(make_memory(e, r, &room, err));
    for (unsigned i = 0; i < r->n_texts && !embed_req_is_canceled(r); i++) {
        unsigned n = 0, max = e->max_tokens;
        bool short_of_room = room - at < max;
        enum gw_status st;

        if (short_of_room)
            max = (unsigned)(room - at);
        st = encode_text(e, r, i, r->ids + at, max, &n);
        if (st == GW_ENOMEM)
            return gw_fail(err, st, "out of memory for the request");
        if (st != GW_OK) {
            if (short_of_room && room == ENGINE_EMBED_MAX_TOKENS)
                return gw_fail(err, GW_ELIMIT,
                               "the texts have more than %d tokens together; text %u is the first "
                               "that is too much",
                               ENGINE_EMBED_MAX_TOKENS, i);
            return gw_fail(err, GW_ELIMIT,
                           "text %u has more than %u tokens%s, the most that this model takes", i,
                           e->max_tokens, embed_reranks(e) ? " with the query" : "");
        }
        at += n;
        r->ends[i] = at;
    }
    return GW_OK;
}

static bool is_late(const struct embed_req *r)
{
    return r->deadline_ns != 0 && gw_clock_ns() >= r->deadline_ns;
}

static void add(struct engine_embedder *e, struct embed_req *r)
{
    struct embed_req **at = &e->first;

    while (*at != NULL)
        at = &(*at)->next;
    r->next = NULL;
    *at = r;
}

static void admit(struct engine_embedder *e, struct embed_req *r)
{
    struct gw_err err = {GW_OK, ""};
    enum gw_status st;

    if (embed_req_is_canceled(r) || is_late(r)) {
        fail(e, r, GW_ETIMEDOUT, "the deadline passed while the request was waiting");
        return;
    }
    st = encode(e, r, &err);
    if (st != GW_OK)
        fail(e, r, st, err.text);
    else
        add(e, r);
}

/* Takes the waiting requests; waits for one when there is nothing to do. False when the embedder closes. */
static bool take_requests(struct engine_embedder *e)
{
    struct embed_req *r;
    size_t bytes = 0;

    if (e->first == NULL) {
        if (gw_queue_wait(e->cmds, &r, -1) != GW_OK)
            return false;
        admit(e, r);
    }
    while (bytes < ENCODE_BYTES && !atomic_load(&e->quit) && gw_queue_pop(e->cmds, &r) == GW_OK) {
        bytes += r->n_bytes;
        admit(e, r);
    }
    return !atomic_load(&e->quit);
}

/* ---- steps --------------------------------------------------------------------------------------- */

/* Ends what was canceled or is too late. */
static void sweep(struct engine_embedder *e)
{
    struct embed_req **at = &e->first;

    while (*at != NULL) {
        struct embed_req *r = *at;

        if (embed_req_is_canceled(r) || is_late(r)) {
            *at = r->next;
            fail(e, r, GW_ETIMEDOUT, "the deadline passed");
        } else {
            at = &r->next;
        }
    }
}

static struct bert_run next_run(const struct engine_embedder *e, struct embed_req *r)
{
    size_t begin = r->n_begun == 0 ? 0 : r->ends[r->n_begun - 1];

    return (struct bert_run){.ids = r->ids + begin,
                             .n = (unsigned)(r->ends[r->n_begun] - begin),
                             .n_query = r->n_query,
                             .out = r->vectors + (size_t)r->n_begun * e->n_dims};
}

/* Fills the step with a text of each request in turn; returns how many. */
static unsigned plan(struct engine_embedder *e)
{
    unsigned n = 0, left = e->step_tokens;

    for (bool any = true; any;) {
        any = false;
        for (struct embed_req *r = e->first; r != NULL; r = r->next) {
            if (r->n_begun == r->n_texts)
                continue;

            struct bert_run run = next_run(e, r);

            if (run.n > left)
                return n;
            if (r->n_begun++ == 0)
                r->start_ns = gw_clock_ns();
            e->runs[n++] = run;
            left -= run.n;
            any = true;
        }
    }
    return n;
}

static void step(struct engine_embedder *e)
{
    struct embed_req **at = &e->first, *head;
    unsigned n = plan(e);

    if (n != 0)
        bert_step(e->space, e->runs, n);
    while (*at != NULL) {
        struct embed_req *r = *at;

        if (r->n_begun == r->n_texts) {
            *at = r->next;
            finish(e, r);
        } else {
            at = &r->next;
        }
    }
    head = e->first; /* who was first is last in the next turn */
    if (head != NULL) {
        e->first = head->next;
        add(e, head);
    }
}

void *embed_work(void *arg)
{
    struct engine_embedder *e = arg;
    struct embed_req *r;

    pool_yield();
    while (take_requests(e)) {
        sweep(e);
        step(e);
    }
    while ((r = e->first) != NULL) {
        e->first = r->next;
        fail(e, r, GW_ECANCELED, "the engine closes");
    }
    while (gw_queue_pop(e->cmds, &r) == GW_OK)
        fail(e, r, GW_ECANCELED, "the engine closes");
    return NULL;
}
