/* tests/unit/engine/test_sched.c - sequences that want more pages than there are, answers that do not depend
 * on who else is there, and streams that go on beside long prompts. */
#include "tests/unit/engine/sched_bed.h"

enum { N_REQUESTS = 6, CONTEXT = 256 };

/* Runs the same six requests at once on a cache of kv_tokens; texts gets the answers. */
static void run(const struct bed *b, unsigned kv_tokens, struct gw_buf *texts)
{
    struct job jobs[N_REQUESTS] = {{0}};
    struct sched *s = bed_sched(b, CONTEXT, 4, kv_tokens);

    if (s == NULL)
        return;
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        jobs[i] = (struct job){.text = "the cat and the dog", .params = bed_drawn};
        jobs[i].params.max_tokens = 150;
        jobs[i].params.seed = i + 1;
    }
    bed_run(s, jobs, N_REQUESTS);
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        CHECK(jobs[i].end.status == GW_OK);
        texts[i] = jobs[i].out;
    }
    (void)bed_settle(s);
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

/* One request among 0, 3 and 15 others of different lengths: the same bytes. */
/* Steps are counted by what they had in them. */
static void check_steps(struct sched *s, unsigned n_streams)
{
    struct engine_stats st;
    uint64_t by_requests = 0, by_tokens = 0;

    if (s == NULL)
        return;
    sched_stats(s, &st);
    for (unsigned i = 0; i < ENGINE_STEP_BUCKETS; i++) {
        by_requests += st.steps.by_requests[i];
        by_tokens += st.steps.by_tokens[i];
    }
    CHECK(st.steps.n != 0 && by_requests == st.steps.n && by_tokens == st.steps.n);
    CHECK(st.steps.requests >= st.steps.n && st.steps.tokens >= st.steps.requests);
    CHECK(st.steps.tokens >= st.prompt_tokens);
    if (n_streams == 1)
        CHECK(st.steps.by_requests[0] == st.steps.n && st.steps.requests == st.steps.n);
    else /* many at once: some step has at least three, and none more than there are */
        CHECK(st.steps.requests <= n_streams * st.steps.n &&
              st.steps.by_requests[0] + st.steps.by_requests[1] < st.steps.n);
}

static void test_streams(const struct bed *b)
{
    static const unsigned counts[] = {1, 4, 16};
    struct gw_buf first = {0};
    char *texts[16];

    for (unsigned i = 0; i < 16; i++)
        texts[i] = bed_text(3 + 23 * i % 120, "Hello");
    for (unsigned c = 0; c < 3; c++) {
        struct sched *s = bed_sched(b, CONTEXT, 16, 0);
        struct job jobs[16] = {{0}};

        for (unsigned i = 0; s != NULL && i < counts[c]; i++) {
            /* The request stands last, so that the others are at work already. */
            unsigned own = i + 1 == counts[c];

            jobs[i] = (struct job){.text = texts[own ? 7 : i], .params = bed_drawn};
            jobs[i].params.max_tokens = 40;
            jobs[i].params.seed = own ? 99 : i + 1;
        }
        bed_run(s, jobs, counts[c]);
        CHECK(jobs[counts[c] - 1].out.len > 0);
        check_steps(s, counts[c]);
        if (c == 0)
            gw_buf_add(&first, gw_buf_span(&jobs[0].out));
        CHECK(gw_span_eq(gw_buf_span(&jobs[counts[c] - 1].out), gw_buf_span(&first)));
        bed_clear(jobs, 16);
        sched_free(s);
    }
    gw_buf_fini(&first);
    for (unsigned i = 0; i < 16; i++)
        free(texts[i]);
}

int main(void)
{
    char why[256] = "the model generator failed", path[PATH_MAX + 64];
    const char *models = rig_models(why);
    enum kern_kv_type layers[64];
    struct bed b = {0};

    if (models == NULL) {
        test_skip(why);
        return test_done();
    }
    (void)snprintf(path, sizeof(path), "%s/tiny-qwen2-Q8_0.gguf", models);
    if (bed_init(&b, path)) {
        test_preemption(&b);
        test_streams(&b);
        for (b.kv_type = KERN_KV_I8; b.kv_type < KERN_KV_TYPES; b.kv_type++) {
            test_preemption(&b);
            test_streams(&b);
        }
        kvcache_adapt(b.m.n_layers, layers);
        b.layer_types = layers;
        test_preemption(&b);
        test_streams(&b);
    }
    bed_fini(&b);
    return test_done();
}
