/* tests/unit/engine/test_draft.c - guessed tokens: fewer steps, the same answers. */
#include "tests/unit/engine/sched_bed.h"

enum { CONTEXT = 1024, N = 3 };

static struct sched *open_sched(const struct bed *b, bool no_drafts)
{
    const struct sched_config cfg = {.m = &b->m,
                                     .tok = b->tok,
                                     .chat = b->chat,
                                     .p = b->p,
                                     .max_context = CONTEXT,
                                     .max_seqs = 4,
                                     .max_queued = 8,
                                     .no_drafts = no_drafts};
    struct sched *s = NULL;

    CHECK(sched_new(&cfg, &s, NULL) == GW_OK);
    return s;
}

static void make_jobs(struct job *jobs, const char *text, float temperature)
{
    for (unsigned i = 0; i < N; i++) {
        jobs[i] = (struct job){.text = text, .params = bed_drawn};
        jobs[i].params.temperature = temperature;
        jobs[i].params.max_tokens = 64;
        jobs[i].params.seed = i + 1;
        jobs[i].params.frequency_penalty = i == 2 ? 0.5f : 0;
    }
}

/* Alone and three at once, greedy and drawn. */
static void test_same(const struct bed *b, float temperature, bool together)
{
    struct sched *with = open_sched(b, false), *without = open_sched(b, true);
    char *text = bed_text(40, "the cat and the cat and the cat and");
    struct job a[N], c[N];
    struct engine_stats st;

    make_jobs(a, text, temperature);
    make_jobs(c, text, temperature);
    for (unsigned i = 0; i < N; i += together ? N : 1) {
        bed_run(with, &a[i], together ? N : 1);
        bed_run(without, &c[i], together ? N : 1);
    }
    for (unsigned i = 0; i < N; i++) {
        CHECK(a[i].end.status == GW_OK && a[i].end.completion_tokens == c[i].end.completion_tokens);
        CHECK(a[i].end.finish == c[i].end.finish);
        CHECK(gw_span_eq(gw_buf_span(&a[i].out), gw_buf_span(&c[i].out)));
    }
    st = bed_settle(with);
    CHECK(st.draft_taken <= st.draft_tokens);
    if (temperature == 0) /* a greedy model of this size repeats itself */
        CHECK(st.draft_taken > 10);
    CHECK(bed_settle(without).draft_tokens == 0);
    bed_clear(a, N);
    bed_clear(c, N);
    free(text);
    sched_free(with);
    sched_free(without);
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
        test_same(&b, 0, false);
        test_same(&b, 0, true);
        test_same(&b, 0.4f, false);
        test_same(&b, 1.2f, true);
    }
    bed_fini(&b);
    return test_done();
}
