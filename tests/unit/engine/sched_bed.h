/* tests/unit/engine/sched_bed.h - a loaded model for schedulers, and requests that are run to their end. */
#ifndef TESTS_UNIT_ENGINE_SCHED_BED_H
#define TESTS_UNIT_ENGINE_SCHED_BED_H

#include <poll.h>

#include "base/clock.h"
#include "engine/sched.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

struct bed {
    struct gguf *g;
    struct pool *p;
    struct model m;
    struct tok *tok;
    struct chat *chat;
    enum kern_kv_type kv_type; /* of schedulers */
    const enum kern_kv_type *layer_types;
    enum engine_prefixes prefixes;
};

static inline bool bed_init(struct bed *b, const char *path)
{
    struct gw_err err;

    if (CHECK(gguf_open(path, &b->g, &err) == GW_OK) && CHECK(pool_new(2, &b->p, &err) == GW_OK) &&
        CHECK(model_load(&b->m, b->g, kern_ops(NULL), b->p, NULL, NULL, &err) == GW_OK) &&
        CHECK(tok_open(b->g, &b->tok, &err) == GW_OK) &&
        CHECK(chat_open(b->g, b->tok, &b->chat, &err) == GW_OK))
        return true;
    printf("%s\n", err.text);
    return false;
}

static inline void bed_fini(struct bed *b)
{
    chat_free(b->chat);
    tok_free(b->tok);
    model_fini(&b->m);
    pool_free(b->p);
    gguf_close(b->g);
}

static inline struct sched *bed_sched(const struct bed *b, unsigned context, unsigned seqs,
                                      unsigned kv_tokens)
{
    const struct sched_config cfg = {.m = &b->m,
                                     .tok = b->tok,
                                     .chat = b->chat,
                                     .p = b->p,
                                     .max_context = context,
                                     .max_seqs = seqs,
                                     .max_queued = 64,
                                     .kv_type = b->kv_type,
                                     .layer_types = b->layer_types,
                                     .prefixes = b->prefixes,
                                     .kv_tokens = kv_tokens};
    struct sched *s = NULL;

    CHECK(sched_new(&cfg, &s, NULL) == GW_OK);
    return s;
}

/* A request and what came back. */
struct job {
    const char *text, *tenant; /* tenant: NULL is none */
    struct engine_params params;
    const struct lora *lora; /* NULL: none; needs a scheduler with room for its rank */
    unsigned cancel_after;   /* events; 0: never. The job then counts as done. */
    struct engine_chan *ch;
    struct request *r;
    struct gw_buf out;
    unsigned n_events, n_text;
    bool done;
    struct engine_event start, end;
};

enum { BED_MAX_JOBS = 64 };

static const struct engine_params bed_drawn = {
    .temperature = 1, .top_p = 1, .repeat_penalty = 1, .max_tokens = 24, .seed = 5};

static inline enum gw_status bed_try(struct sched *s, struct engine_chan *ch, struct job *j,
                                     uint64_t id, struct gw_err *err)
{
    struct engine_message m = {GW_SPAN("user"), gw_span_str(j->text)};

    if (j->tenant != NULL)
        j->params.tenant = gw_span_str(j->tenant);
    j->ch = ch;
    j->r = request_new(ch, &m, 1, &j->params, 1 << 20);
    j->r->id = id;
    j->r->ctx = j;
    j->r->lora = j->lora;
    j->r->lora_id = j->lora != NULL;
    CHECK(request_chan_add(ch, j->r));
    return sched_push(s, j->r, err);
}

static inline void bed_push(struct sched *s, struct engine_chan *ch, struct job *j, uint64_t id)
{
    CHECK(bed_try(s, ch, j, id, NULL) == GW_OK);
}

static inline void bed_take(struct engine_event *ev)
{
    struct job *j = ev->ctx;

    j->n_events++;
    if (ev->type == ENGINE_EVENT_START)
        j->start = *ev;
    if (ev->type == ENGINE_EVENT_TEXT) {
        gw_buf_add(&j->out, gw_buf_span(&ev->text));
        gw_buf_fini(&ev->text);
        gw_buf_fini(&ev->tokens);
        j->n_text++;
    }
    if (ev->type == ENGINE_EVENT_DONE) {
        j->end = *ev;
        j->done = true;
    } else if (j->n_events == j->cancel_after) {
        engine_cancel(j->ch, j->r->id);
        j->done = true;
    }
}

/* Takes events until all of the jobs are done, or 60 s passed. */
static inline void bed_wait(struct engine_chan *ch, const struct job *jobs, unsigned n)
{
    const uint64_t stuck = 60 * GW_NS_PER_SEC; /* that long without an event: it hangs */
    uint64_t end = gw_clock_ns() + stuck;
    unsigned n_done = 0;

    while (n_done < n && gw_clock_ns() < end) {
        struct pollfd p = {.fd = engine_chan_fd(ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 1000);
        while (engine_chan_next(ch, &ev)) {
            end = gw_clock_ns() + stuck;
            bed_take(&ev);
        }
        n_done = 0;
        for (unsigned i = 0; i < n; i++)
            n_done += jobs[i].done;
    }
    CHECK(n_done == n);
}

/* All jobs at once. */
static inline void bed_run(struct sched *s, struct job *jobs, unsigned n)
{
    struct engine_chan *ch = request_chan_new(NULL, BED_MAX_JOBS);

    for (unsigned i = 0; i < n; i++)
        bed_push(s, ch, &jobs[i], i + 1);
    bed_wait(ch, jobs, n);
    engine_chan_free(ch);
}

static inline void bed_clear(struct job *jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        gw_buf_fini(&jobs[i].out);
}

/* Waits until nothing runs; what sequences hold must be given back then. */
static inline struct engine_stats bed_settle(struct sched *s)
{
    struct engine_stats st = {0};

    for (int i = 0; i < 3000; i++) {
        sched_stats(s, &st);
        if (st.running == 0 && st.queued == 0 && st.kv_used_tokens == 0)
            return st;
        (void)usleep(5000);
    }
    CHECK(!"the scheduler did not come to rest");
    return st;
}

/* n words and a last one. The caller frees it. */
static inline char *bed_text(unsigned n, const char *last)
{
    static const char *const words[] = {"people ", "the ", "cat ", "and ", "one ", "dog ", "play "};
    size_t size = (size_t)n * 8 + strlen(last) + 1, at = 0;
    char *s = malloc(size);

    for (unsigned i = 0; s != NULL && i < n; i++)
        at += (size_t)snprintf(s + at, size - at, "%s", words[(i * i + i / 3) % 7]);
    if (s != NULL)
        (void)snprintf(s + at, size - at, "%s", last);
    return s;
}

#endif
