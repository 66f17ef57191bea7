/* tests/unit/engine/test_sched.c - sequences that want more pages than there are. */
#include <poll.h>

#include "base/clock.h"
#include "engine/sched.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

enum { N_REQUESTS = 6, CONTEXT = 256, STUCK_S = 60 }; /* that long without an event: it hangs */

struct bed {
    struct gguf *g;
    struct pool *p;
    struct model m;
    struct tok *tok;
    struct chat *chat;
};

static bool bed_init(struct bed *b, const char *path)
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

static void bed_fini(struct bed *b)
{
    chat_free(b->chat);
    tok_free(b->tok);
    model_fini(&b->m);
    pool_free(b->p);
    gguf_close(b->g);
}

/* Runs the same six requests at once on a cache of kv_tokens; texts gets the answers. */
static void run(const struct bed *b, unsigned kv_tokens, struct gw_buf *texts)
{
    const struct sched_config cfg = {.m = &b->m,
                                     .tok = b->tok,
                                     .chat = b->chat,
                                     .p = b->p,
                                     .max_context = CONTEXT,
                                     .max_seqs = 4,
                                     .max_queued = 8,
                                     .kv_tokens = kv_tokens};
    struct engine_params params = {
        .temperature = 1, .top_p = 1, .repeat_penalty = 1, .max_tokens = 150};
    struct engine_chan *ch = request_chan_new(NULL, N_REQUESTS);
    uint64_t end = gw_clock_ns() + STUCK_S * GW_NS_PER_SEC;
    unsigned n_done = 0;
    struct sched *s = NULL;

    if (!CHECK(sched_new(&cfg, &s, NULL) == GW_OK))
        return;
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        struct engine_message m = {GW_SPAN("user"), GW_SPAN("the cat and the dog")};
        struct request *r;

        params.seed = i + 1;
        r = request_new(ch, &m, 1, &params, 1000);
        r->id = i + 1;
        r->ctx = &texts[i];
        CHECK(request_chan_add(ch, r) && sched_push(s, r) == GW_OK);
    }
    while (n_done < N_REQUESTS && gw_clock_ns() < end) {
        struct pollfd p = {.fd = engine_chan_fd(ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 1000);
        while (engine_chan_next(ch, &ev)) {
            end = gw_clock_ns() + STUCK_S * GW_NS_PER_SEC;
            if (ev.type == ENGINE_EVENT_TEXT) {
                gw_buf_add(ev.ctx, gw_buf_span(&ev.text));
                gw_buf_fini(&ev.text);
            }
            n_done += ev.type == ENGINE_EVENT_DONE && CHECK(ev.status == GW_OK);
        }
    }
    CHECK(n_done == N_REQUESTS);
    engine_chan_free(ch);
    sched_free(s);
}

/* With room for all, and with room for little more than one: the answers are the same. */
static void test_preemption(const struct bed *b)
{
    struct gw_buf wide[N_REQUESTS] = {{0}}, tight[N_REQUESTS] = {{0}};
    size_t all = 0;

    run(b, 0, wide);
    run(b, CONTEXT, tight);
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        CHECK(gw_span_eq(gw_buf_span(&wide[i]), gw_buf_span(&tight[i])));
        all += wide[i].len;
        gw_buf_fini(&wide[i]);
        gw_buf_fini(&tight[i]);
    }
    CHECK(all > N_REQUESTS * 50); /* long enough to have been short of pages */
}

int main(void)
{
    char why[256] = "the model generator failed", path[PATH_MAX + 64];
    const char *models = rig_models(why);
    struct bed b = {0};

    if (models == NULL) {
        test_skip(why);
        return test_done();
    }
    (void)snprintf(path, sizeof(path), "%s/tiny-qwen2-Q8_0.gguf", models);
    if (bed_init(&b, path))
        test_preemption(&b);
    bed_fini(&b);
    return test_done();
}
