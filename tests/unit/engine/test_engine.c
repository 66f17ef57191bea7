/* tests/unit/engine/test_engine.c - requests through the public calls: answers, limits, cancelling. */
#include <sys/resource.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/cpus.h"
#include "engine/engine.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

static const char *models; /* folder of the generated ones */

static const struct engine_params greedy = {.max_tokens = 24, .top_p = 1, .repeat_penalty = 1};

/* What came back for one request. */
struct result {
    unsigned n_start, n_text, n_done;
    struct gw_buf text;
    struct engine_event done;
};

static void result_fini(struct result *r)
{
    gw_buf_fini(&r->text);
    *r = (struct result){0};
}

static struct engine *open_model(const char *name, struct engine_config cfg)
{
    char path[PATH_MAX];
    struct engine *e = NULL;
    struct gw_err err;

    (void)snprintf(path, sizeof(path), "%s/%s", models, name);
    cfg.model_path = path;
    if (!CHECK(engine_open(&cfg, &e, &err) == GW_OK))
        printf("%s\n", err.text);
    return e;
}

static void take(const struct engine_event *ev)
{
    struct result *r = ev->ctx;
    struct gw_buf text = ev->text;

    switch (ev->type) {
    case ENGINE_EVENT_START:
        CHECK(r->n_start++ == 0 && r->n_text == 0 && r->n_done == 0);
        break;
    case ENGINE_EVENT_TEXT:
        CHECK(r->n_start == 1 && r->n_done == 0 && text.len != 0);
        r->n_text++;
        gw_buf_add(&r->text, gw_buf_span(&text));
        gw_buf_fini(&text);
        break;
    case ENGINE_EVENT_DONE:
        CHECK(r->n_done++ == 0);
        r->done = *ev;
        break;
    }
}

/* Takes events until *until is not 0, or none came for 60 s. */
static void run_until(struct engine_chan *ch, const unsigned *until)
{
    uint64_t end = gw_clock_ns() + 60 * GW_NS_PER_SEC;

    while (*until == 0 && gw_clock_ns() < end) {
        struct pollfd p = {.fd = engine_chan_fd(ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 1000);
        while (engine_chan_next(ch, &ev)) {
            end = gw_clock_ns() + 60 * GW_NS_PER_SEC;
            take(&ev);
        }
    }
    CHECK(*until != 0);
}

static uint64_t submit(struct engine_chan *ch, const char *text, const struct engine_params *p,
                       struct result *r)
{
    struct engine_message m = {GW_SPAN("user"), gw_span_str(text)};
    struct gw_err err;
    uint64_t id = 0;

    if (!CHECK(engine_submit(ch, &m, 1, p, r, &id, &err) == GW_OK))
        printf("%s\n", err.text);
    CHECK(id != 0);
    return id;
}

/* Waits until the engine has nothing left. */
static void settle(struct engine *e)
{
    for (int i = 0; i < 3000; i++) {
        struct engine_stats st;

        engine_stats(e, &st);
        if (st.running == 0 && st.queued == 0 && st.kv_used_tokens == 0)
            return;
        (void)usleep(10000);
    }
    CHECK(!"the engine did not come to rest");
}

static void test_open_errors(void)
{
    static const struct {
        const char *file;
        enum gw_status st;
        const char *words;
    } cases[] = {
        {"no-such-file.gguf", GW_ENOENT, "cannot open"},
        {"venv.log", GW_EPARSE, ""},
        {"tiny-bert-F16.gguf", GW_EUNSUPPORTED, "architecture bert is not built in"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[PATH_MAX];
        struct engine_config cfg = {.model_path = path};
        struct engine_info info;
        struct engine *e = NULL;
        struct gw_err err = {0};

        (void)snprintf(path, sizeof(path), "%s/%s", models, cases[i].file);
        if (access(path, R_OK) != 0 && cases[i].st != GW_ENOENT)
            continue;
        CHECK(engine_open(&cfg, &e, &err) == cases[i].st && e == NULL);
        if (!CHECK(strstr(err.text, cases[i].words) != NULL))
            printf("%s\n", err.text);
        CHECK(engine_inspect(path, &info, &err) == cases[i].st);
    }
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
    uint64_t *seen = ctx;

    CHECK(done >= seen[0] && done <= total);
    seen[0] = done;
    seen[1] = total;
}

static void test_info(void)
{
    uint64_t seen[2] = {0, 0};
    struct engine_config cfg = {.threads = 64, .progress = progress, .progress_ctx = seen};
    struct engine *e = open_model("tiny-qwen2-Q8_0.gguf", cfg);
    struct engine_info info = {0}, looked = {0};
    char path[PATH_MAX];

    if (e == NULL)
        return;
    engine_info(e, &info);
    CHECK(seen[0] == seen[1] && seen[0] != 0);
    CHECK(strcmp(info.arch, "qwen2") == 0 && strcmp(info.quant, "Q8_0") == 0);
    CHECK(info.threads >= 1 && info.threads <= cpus_allowed(""));
    CHECK(info.n_vocab == 1024 && info.n_layers == 2 && info.max_context == 4096);
    CHECK(strstr(info.kernels, "Q8_0") != NULL && info.kv_bytes != 0);
    (void)snprintf(path, sizeof(path), "%s/tiny-qwen2-Q8_0.gguf", models);
    CHECK(engine_inspect(path, &looked, NULL) == GW_OK && looked.n_params == info.n_params);
    engine_close(e);
}

static void test_answer(struct engine *e)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_params p = greedy;
    struct result a = {0}, b = {0};
    struct gw_span stop;

    submit(ch, "Hello world", &p, &a);
    run_until(ch, &a.n_done);
    CHECK(a.n_start == 1 && a.done.status == GW_OK && a.text.len != 0);
    CHECK(a.done.completion_tokens <= 24 && a.done.prompt_tokens > 4);
    CHECK(a.done.finish ==
          (a.done.completion_tokens == 24 ? ENGINE_FINISH_LENGTH : ENGINE_FINISH_STOP));
    CHECK(a.done.prefill_ns != 0);
    /* A piece from the middle of that answer as stop string. */
    stop = (struct gw_span){a.text.ptr + a.text.len / 2, 3};
    p.stop = &stop;
    p.n_stop = 1;
    submit(ch, "Hello world", &p, &b);
    run_until(ch, &b.n_done);
    CHECK(b.done.finish == ENGINE_FINISH_STOP && b.text.len <= a.text.len / 2);
    CHECK(gw_span_starts(gw_buf_span(&a.text), gw_buf_span(&b.text)));
    CHECK(b.text.len < 3 || memmem(b.text.ptr, b.text.len, stop.ptr, stop.len) == NULL);
    result_fini(&a);
    result_fini(&b);
    engine_chan_free(ch);
}

/* The same request alone and beside seven others of different lengths, greedy and drawn. */
static void test_batch_independence(struct engine *e)
{
    enum { N = 8 };
    static const char *const texts[N] = {
        "Once upon a time",
        "a",
        "the cat and the dog play with the ball in the park",
        "int main(void) { return 0; }",
        "one two three four five six seven eight nine ten",
        "Hello",
        "Lily wanted to see the sun. Tom said no. Mom was very happy that day.",
        "?!"};
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_params p = greedy;

    p.max_tokens = 40;
    for (int drawn = 0; drawn < 2; drawn++) {
        struct result alone[N] = {{0}}, together[N] = {{0}};

        p.temperature = drawn ? 1.2f : 0;
        p.top_k = drawn ? 50 : 0;
        p.seed = 7;
        for (int i = 0; i < N; i++) {
            submit(ch, texts[i], &p, &alone[i]);
            run_until(ch, &alone[i].n_done);
        }
        for (int i = 0; i < N; i++)
            submit(ch, texts[i], &p, &together[i]);
        for (int i = 0; i < N; i++)
            run_until(ch, &together[i].n_done);
        for (int i = 0; i < N; i++) {
            CHECK(gw_span_eq(gw_buf_span(&alone[i].text), gw_buf_span(&together[i].text)));
            CHECK(alone[i].done.completion_tokens == together[i].done.completion_tokens);
            result_fini(&alone[i]);
            result_fini(&together[i]);
        }
    }
    engine_chan_free(ch);
}

/* Text of n words. */
static char *long_text(size_t n)
{
    static const char word[] = "people ";
    char *s = malloc(n * (sizeof(word) - 1) + 1);

    for (size_t i = 0; s != NULL && i < n; i++)
        memcpy(s + i * (sizeof(word) - 1), word, sizeof(word));
    return s;
}

static void test_context(struct engine *e, unsigned max_context)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_params p = greedy;
    struct result a = {0}, b = {0}, c = {0};
    char *fits = long_text(max_context / 4), *over = long_text(max_context * 2),
         *huge = long_text((size_t)max_context * 64);

    p.max_tokens = 0;
    p.temperature = 1;
    p.seed = 3;
    submit(ch, fits, &p, &a);
    submit(ch, over, &p, &b);
    submit(ch, huge, &p, &c);
    run_until(ch, &a.n_done);
    run_until(ch, &b.n_done);
    run_until(ch, &c.n_done);
    if (!CHECK(a.done.status == GW_OK && a.done.prompt_tokens > max_context / 4))
        printf("%u tokens: %s\n", a.done.prompt_tokens, a.done.error);
    if (a.done.finish == ENGINE_FINISH_LENGTH)
        CHECK(a.done.prompt_tokens + a.done.completion_tokens == max_context);
    CHECK(b.done.status == GW_ELIMIT && b.n_start == 0 && b.done.finish == ENGINE_FINISH_ERROR);
    CHECK(strstr(b.done.error, "context") != NULL);
    CHECK(c.done.status == GW_ELIMIT && strstr(c.done.error, "context") != NULL);
    result_fini(&a);
    result_fini(&b);
    result_fini(&c);
    free(fits);
    free(over);
    free(huge);
    engine_chan_free(ch);
}

static void test_bad_params(struct engine *e)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_message m = {GW_SPAN("user"), GW_SPAN("x")};
    struct gw_span stops[17] = {{"a", 1}};
    struct engine_params p = greedy;
    uint64_t id = 5;
    struct gw_err err;

    p.temperature = -1;
    CHECK(engine_submit(ch, &m, 1, &p, NULL, &id, &err) == GW_EINVAL && id == 5);
    p = greedy;
    CHECK(engine_submit(ch, &m, 0, &p, NULL, &id, &err) == GW_EINVAL);
    p.stop = stops;
    p.n_stop = 17;
    CHECK(engine_submit(ch, &m, 1, &p, NULL, &id, &err) == GW_EINVAL);
    p.n_stop = 2; /* the second is empty */
    CHECK(engine_submit(ch, &m, 1, &p, NULL, &id, &err) == GW_EINVAL);
    engine_cancel(ch, 12345); /* unknown: ignored */
    engine_chan_free(ch);
}

static void test_deadline(struct engine *e)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_params p = greedy;
    struct result a = {0}, b = {0};

    p.max_tokens = 0;
    p.temperature = 1.5f;
    p.deadline_ns = 1;
    submit(ch, "Hello", &p, &a);
    p.deadline_ns = gw_clock_ns() + 30 * GW_NS_PER_MS;
    submit(ch, "Hello", &p, &b);
    run_until(ch, &a.n_done);
    run_until(ch, &b.n_done);
    CHECK(a.done.status == GW_ETIMEDOUT && a.n_start == 0);
    /* b is late too unless it drew an end token at once. */
    CHECK(b.done.status == GW_ETIMEDOUT || b.done.finish == ENGINE_FINISH_STOP);
    result_fini(&a);
    result_fini(&b);
    engine_chan_free(ch);
}

/* Nobody reads: the engine goes on, and all text comes in one piece. */
static void test_slow_reader(struct engine *e)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct result a = {0};

    submit(ch, "Hello world", &greedy, &a);
    settle(e);
    run_until(ch, &a.n_done);
    CHECK(a.n_text == 1 && a.n_done == 1 && a.done.status == GW_OK);
    result_fini(&a);
    engine_chan_free(ch);
}

/* Cancels after `wait_us`; nothing may come after that. */
static void cancel_after(struct engine *e, unsigned wait_us, const char *text, bool drain)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_params p = greedy;
    struct result a = {0}, b = {0};
    struct engine_event ev;
    uint64_t id;

    p.max_tokens = 0;
    p.temperature = 1.5f;
    id = submit(ch, text, &p, &a);
    (void)usleep(wait_us);
    while (drain && engine_chan_next(ch, &ev))
        take(&ev);
    engine_cancel(ch, id);
    engine_cancel(ch, id);
    if (a.n_done == 0)
        a.n_done = 100; /* take() fails the test when anything comes for a */
    submit(ch, "Hello", &greedy, &b);
    run_until(ch, &b.n_done);
    CHECK(b.done.status == GW_OK && (a.n_done == 100 || a.n_done == 1));
    result_fini(&a);
    result_fini(&b);
    engine_chan_free(ch);
}

static void test_cancel(struct engine *e)
{
    static const unsigned waits[] = {0, 50, 500, 2000, 5000, 20000, 100000};
    char *text = long_text(150);

    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        cancel_after(e, waits[i], text, false);
        cancel_after(e, waits[i], text, true);
        cancel_after(e, waits[i], "a", true);
    }
    free(text);
    settle(e);
}

/* One sequence, one place in the queue: the third is refused, cancelling makes room. */
static void test_queue_full(void)
{
    struct engine *e =
        open_model("tiny-qwen2-Q8_0.gguf",
                   (struct engine_config){.threads = 2, .max_seqs = 1, .max_queued = 1});
    struct engine_message m = {GW_SPAN("user"), GW_SPAN("x")};
    struct engine_params p = greedy;
    struct engine_chan *ch;
    struct result a = {0}, b = {0}, c = {0};
    struct engine_stats st;
    struct gw_err err;
    uint64_t ida, idb, idc = 0;
    char *text = long_text(1500);

    if (e == NULL)
        return;
    ch = engine_chan_new(e);
    p.max_tokens = 0;
    p.temperature = 2;
    ida = submit(ch, text, &p, &a);
    idb = submit(ch, text, &p, &b);
    CHECK(engine_submit(ch, &m, 1, &p, &c, &idc, &err) == GW_EAGAIN && idc == 0);
    engine_stats(e, &st);
    CHECK(st.rejected + st.requests >= 2);
    engine_cancel(ch, ida); /* running */
    engine_cancel(ch, idb); /* waiting, or just admitted */
    a.n_done = b.n_done = 100;
    settle(e);
    submit(ch, "Hello", &greedy, &c);
    run_until(ch, &c.n_done);
    CHECK(c.done.status == GW_OK);
    engine_stats(e, &st);
    CHECK(st.canceled == 2 && st.completion_tokens != 0);
    result_fini(&c);
    engine_chan_free(ch);
    free(text);
    engine_close(e);
}

struct caller {
    struct engine *e;
    unsigned seed, bad;
};

/* A worker: submits, reads some, cancels some, closes its channel in the middle. */
static void *call_much(void *arg)
{
    struct caller *c = arg;
    struct engine_message m = {GW_SPAN("user"), GW_SPAN("the dog and the cat")};

    for (unsigned round = 0; round < 6; round++) {
        struct engine_chan *ch = engine_chan_new(c->e);
        uint64_t ids[4] = {0};
        struct engine_event ev;

        for (unsigned i = 0; i < 4; i++)
            (void)engine_submit(ch, &m, 1, &greedy, NULL, &ids[i], NULL);
        for (unsigned i = 0; i < 20; i++) {
            (void)usleep(200 + 97 * ((c->seed + i) % 7));
            while (engine_chan_next(ch, &ev)) {
                c->bad += ev.type == ENGINE_EVENT_TEXT && ev.text.len == 0;
                gw_buf_fini(&ev.text);
            }
            if (i % 5 == 1)
                engine_cancel(ch, ids[(c->seed + round) % 4]);
        }
        engine_chan_free(ch);
    }
    return NULL;
}

static void test_many_callers(struct engine *e)
{
    struct caller callers[3] = {{e, 1, 0}, {e, 2, 0}, {e, 3, 0}};
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, call_much, &callers[i]) == 0);
    for (int i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK(callers[i].bad == 0);
    }
    settle(e);
}

static void test_bench(struct engine *e)
{
    struct engine_chan *ch = engine_chan_new(e);
    struct engine_params p = greedy;
    struct engine_bench b = {0};
    struct result a = {0};
    struct gw_err err;
    uint64_t id;

    CHECK(engine_bench(e, 32, 8, &b, &err) == GW_OK);
    CHECK(b.prefill_tokens_per_s > 0 && b.decode_tokens_per_s > 0 && b.bytes_per_token > 100000);
    CHECK(engine_bench(e, 1 << 20, 8, &b, &err) == GW_EINVAL);
    p.max_tokens = 0;
    p.temperature = 2;
    id = submit(ch, "Hello", &p, &a);
    if (engine_bench(e, 32, 8, &b, &err) != GW_EAGAIN)
        CHECK(a.n_done == 0); /* only when the answer ended at once */
    engine_cancel(ch, id);
    result_fini(&a);
    engine_chan_free(ch);
    settle(e);
}

static void test_idle_costs_nothing(struct engine *e)
{
    struct rusage before, after;
    double spent = 1;

    settle(e);
    (void)usleep(50000);
    for (int i = 0; i < 10 && spent >= 0.15; i++) {
        (void)getrusage(RUSAGE_SELF, &before);
        (void)usleep(300000);
        (void)getrusage(RUSAGE_SELF, &after);
        spent = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6;
    }
    CHECK(spent < 0.15); /* spinning would take 0.6 each time */
}

static void test_tools(struct engine *e)
{
    struct engine_message m = {GW_SPAN("user"), GW_SPAN("Hello <|im_end|>")};
    struct gw_buf prompt = {0};
    struct gw_err err;
    int32_t *ids = NULL;
    size_t n = 0;

    CHECK(engine_tokenize(e, GW_SPAN("Hello world"), &ids, &n) == GW_OK && n != 0);
    free(ids);
    ids = NULL;
    CHECK(engine_tokenize(e, GW_SPAN(""), &ids, &n) == GW_OK && n == 0 && ids != NULL);
    free(ids);
    CHECK(engine_render(e, &m, 1, &prompt, &err) == GW_OK);
    CHECK(memmem(prompt.ptr, prompt.len, "Hello", 5) != NULL);
    gw_buf_fini(&prompt);
}

/* Closing while requests run and wait. */
static void test_close_busy(void)
{
    struct engine *e =
        open_model("tiny-qwen2-Q8_0.gguf", (struct engine_config){.threads = 2, .max_seqs = 2});
    struct engine_params p = greedy;
    struct engine_chan *ch;
    struct result r = {0};

    if (e == NULL)
        return;
    ch = engine_chan_new(e);
    p.max_tokens = 0;
    p.temperature = 2;
    for (int i = 0; i < 6; i++)
        submit(ch, "Hello", &p, &r);
    (void)usleep(3000);
    engine_chan_free(ch);
    engine_close(e);
    CHECK(r.n_done == 0);
}

int main(void)
{
    char why[256] = "the model generator failed";
    struct engine_config cfg = {.threads = 2, .max_context = 512};
    struct engine *e;

    models = rig_models(why);
    if (models == NULL) {
        test_skip(why);
        return test_done();
    }
    test_open_errors();
    test_info();
    e = open_model("tiny-qwen2-Q8_0.gguf", cfg);
    if (e != NULL) {
        test_answer(e);
        test_batch_independence(e);
        test_context(e, 512);
        test_bad_params(e);
        test_deadline(e);
        test_slow_reader(e);
        test_cancel(e);
        test_many_callers(e);
        test_bench(e);
        test_tools(e);
        test_idle_costs_nothing(e);
        engine_close(e);
    }
    test_queue_full();
    test_close_busy();
    return test_done();
}
