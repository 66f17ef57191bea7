/* tests/unit/engine/test_fair.c - slots among tenants and priorities, streams beside long prompts, what is
 * refused, and how soon a request that is given up is gone. */
#include "tests/unit/engine/sched_bed.h"

enum { CONTEXT = 2048 };

static struct job talker(const char *text, const char *tenant, unsigned tokens, uint64_t seed)
{
    struct job j = {.text = text, .tenant = tenant, .params = bed_drawn};

    j.params.max_tokens = tokens;
    j.params.temperature = 2;
    j.params.seed = seed;
    return j;
}

/* Waits until the job has so many events. */
static void wait_events(struct engine_chan *ch, const struct job *j, unsigned n)
{
    for (int i = 0; i < TEST_TURNS && j->n_events < n && !j->done; i++) {
        struct pollfd p = {.fd = engine_chan_fd(ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 100);
        while (engine_chan_next(ch, &ev))
            bed_take(&ev);
    }
    CHECK(j->n_events >= n || j->done);
}

/* Both slots are one tenant's, who talks for long: another one's request gets a slot at once, and the answers
 * are those of an empty engine. */
static void test_tenants(const struct bed *b)
{
    struct sched *s = bed_sched(b, CONTEXT, 2, 0), *alone = bed_sched(b, CONTEXT, 1, 0);
    struct engine_chan *ch = request_chan_new(NULL, BED_MAX_JOBS);
    struct job jobs[4], single[4];
    struct engine_stats st, before;

    for (unsigned i = 0; i < 4; i++)
        jobs[i] = talker("the cat", i < 3 ? "busy" : "other", i < 3 ? 500 : 8, i + 1);
    memcpy(single, jobs, sizeof(jobs));
    for (unsigned i = 0; i < 3; i++)
        bed_push(s, ch, &jobs[i], i + 1);
    wait_events(ch, &jobs[0], 80);
    sched_stats(s, &before);
    bed_push(s, ch, &jobs[3], 4);
    bed_wait(ch, &jobs[3], 1);
    CHECK(jobs[3].end.status == GW_OK);
    bed_wait(ch, jobs, 4);
    engine_chan_free(ch);
    st = bed_settle(s);
    if (before.running == 2 && before.completion_tokens < 300) /* else this thread was late */
        CHECK(st.parked >= 1);
    bed_run(alone, single, 4);
    for (unsigned i = 0; i < 4; i++)
        CHECK(gw_span_eq(gw_buf_span(&jobs[i].out), gw_buf_span(&single[i].out)));
    bed_clear(jobs, 4);
    bed_clear(single, 4);
    sched_free(s);
    sched_free(alone);
}

/* A higher priority takes the slot of a lower one; parked ones can be given up and can be late. */
static void test_priorities(const struct bed *b)
{
    struct sched *s = bed_sched(b, CONTEXT, 1, 0);
    struct engine_chan *ch = request_chan_new(NULL, BED_MAX_JOBS);
    struct job jobs[4];

    for (unsigned i = 0; i < 4; i++) {
        jobs[i] = talker("the dog", "", i < 3 ? 1900 : 4, i + 1);
        jobs[i].params.priority = (int)i;
        if (i != 3)
            bed_push(s, ch, &jobs[i], i + 1);
        if (i < 2) /* each takes the slot of the one before */
            wait_events(ch, &jobs[i], 2);
    }
    engine_cancel(ch, 1);
    jobs[0].done = true;
    bed_push(s, ch, &jobs[3], 4);
    bed_wait(ch, &jobs[3], 1);
    CHECK(jobs[3].end.status == GW_OK);
    engine_chan_free(ch); /* gives up the others, parked or not */
    CHECK(bed_settle(s).parked >= 1);
    bed_clear(jobs, 4);
    sched_free(s);
}

/* While a prompt of 1,500 tokens is computed, a stream goes on: a token at least for every chunk. */
static void test_stream_beside_prompt(const struct bed *b)
{
    struct sched *s = bed_sched(b, CONTEXT, 2, 0);
    struct engine_chan *ch = request_chan_new(NULL, BED_MAX_JOBS);
    char *text = bed_text(1000, "x");
    struct job jobs[2];
    struct engine_stats before, after;

    jobs[0] = talker("the cat", "a", 1900, 3);
    jobs[1] = talker(text, "b", 1, 1);
    bed_push(s, ch, &jobs[0], 1);
    wait_events(ch, &jobs[0], 3);
    sched_stats(s, &before);
    bed_push(s, ch, &jobs[1], 2);
    bed_wait(ch, &jobs[1], 1);
    sched_stats(s, &after);
    CHECK(jobs[1].end.status == GW_OK && jobs[1].end.prompt_tokens > 1000);
    if (!jobs[0].done) /* a chunk has 128 tokens at most */
        CHECK(after.completion_tokens - before.completion_tokens >=
              jobs[1].end.prompt_tokens / 128);
    engine_chan_free(ch);
    (void)bed_settle(s);
    bed_clear(jobs, 2);
    free(text);
    sched_free(s);
}

/* Prompts that would fill the cache many times are not taken in; the words say why. */
static void test_admission(const struct bed *b)
{
    struct sched *s = bed_sched(b, CONTEXT, 1, CONTEXT);
    struct engine_chan *ch = request_chan_new(NULL, BED_MAX_JOBS);
    char *text = bed_text(1000, "x");
    struct job jobs[BED_MAX_JOBS];
    enum gw_status st = GW_OK;
    struct gw_err err = {0};
    struct engine_stats stats;
    unsigned n = 0;

    for (; n < BED_MAX_JOBS && st == GW_OK; n++) {
        jobs[n] = talker(text, "a", 4, 1);
        st = bed_try(s, ch, &jobs[n], n + 1, &err);
    }
    CHECK(st == GW_EAGAIN && n > 4 && n < 40);
    CHECK(strstr(err.text, "KV cache") != NULL && strstr(err.text, "try again") != NULL);
    request_unref(jobs[n - 1].r); /* the scheduler's, which it did not take */
    engine_chan_free(ch);
    stats = bed_settle(s);
    CHECK(stats.rejected == 1);
    /* When the line is empty there is room again. */
    ch = request_chan_new(NULL, BED_MAX_JOBS);
    jobs[0] = talker(text, "a", 4, 1);
    bed_push(s, ch, &jobs[0], 1);
    bed_wait(ch, jobs, 1);
    CHECK(jobs[0].end.status == GW_OK);
    engine_chan_free(ch);
    bed_clear(jobs, 1);
    free(text);
    sched_free(s);
}

/* A request that was given up computes at most one step more: a token and four guesses. */
static void test_cancel_soon(const struct bed *b)
{
    struct sched *s = bed_sched(b, CONTEXT, 1, 0);
    struct engine_chan *ch = request_chan_new(NULL, BED_MAX_JOBS);
    struct engine_stats at, later;
    struct job job = talker("the cat", "a", 1900, 9);

    bed_push(s, ch, &job, 1);
    wait_events(ch, &job, 2);
    engine_cancel(ch, 1);
    sched_stats(s, &at);
    later = bed_settle(s);
    CHECK(later.completion_tokens - at.completion_tokens <= 5 || job.done);
    CHECK(later.canceled + job.done == 1);
    engine_chan_free(ch);
    bed_clear(&job, 1);
    sched_free(s);
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
    if (bed_init(&b, path)) {
        test_tenants(&b);
        test_priorities(&b);
        test_stream_beside_prompt(&b);
        test_admission(&b);
        test_cancel_soon(&b);
    }
    bed_fini(&b);
    return test_done();
}
