/* tests/unit/engine/test_draft.c - guessed tokens: fewer steps, the same answers. */
#include "tests/unit/engine/sched_bed.h"

enum { CONTEXT = 1024, N = 3 };

static uint64_t n_model, n_model_taken;
static bool eager;

static struct drafter *drafter; /* of the schedulers with guesses; NULL: prompt lookup alone */

static struct sched *open_sched(const struct bed *b, bool no_drafts)
{
    const struct sched_config cfg = {.m = &b->m,
                                     .tok = b->tok,
                                     .chat = b->chat,
                                     .p = b->p,
                                     .max_context = CONTEXT,
                                     .max_seqs = 4,
                                     .max_queued = 8,
                                     .drafter = no_drafts ? NULL : drafter,
                                     .eager_drafts = eager,
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
    CHECK(st.draft_model_taken <= st.draft_model_tokens);
    CHECK(st.draft_model_tokens <= st.draft_tokens);
    CHECK(drafter != NULL || st.draft_model_tokens == 0);
    n_model += st.draft_model_tokens;
    n_model_taken += st.draft_model_taken;
    if (temperature == 0 && drafter == NULL) /* a greedy model of this size repeats itself */
        CHECK(st.draft_taken > 10);
    CHECK(bed_settle(without).draft_tokens == 0);
    bed_clear(a, N);
    bed_clear(c, N);
    free(text);
    sched_free(with);
    sched_free(without);
}

/* Few pages for all: sequences are sent back, cancelled, and share prefixes; the bytes stay. */
static void test_pressed(const struct bed *b)
{
    enum { JOBS = 6 };
    struct sched_config cfg = {.m = &b->m,
                               .tok = b->tok,
                               .chat = b->chat,
                               .p = b->p,
                               .max_context = 512,
                               .max_seqs = 4,
                               .max_queued = 16,
                               .kv_tokens = 512,
                               .eager_drafts = true,
                               .drafter = drafter};
    struct sched *s[2] = {NULL, NULL};
    struct job jobs[2][JOBS];
    char *text = bed_text(60, "people play and");

    CHECK(sched_new(&cfg, &s[0], NULL) == GW_OK);
    cfg.drafter = NULL;
    cfg.no_drafts = true;
    CHECK(sched_new(&cfg, &s[1], NULL) == GW_OK);
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < JOBS; i++) {
            jobs[k][i] = (struct job){.text = text, .params = bed_drawn};
            jobs[k][i].params.temperature = i % 2 == 0 ? 0 : 0.6f;
            jobs[k][i].params.max_tokens = 100;
            jobs[k][i].params.seed = i + 1;
            jobs[k][i].cancel_after = i == 3 ? 4 : 0;
        }
        bed_run(s[k], jobs[k], JOBS);
        (void)bed_settle(s[k]);
    }
    for (unsigned i = 0; i < JOBS; i++)
        if (i != 3)
            CHECK(gw_span_eq(gw_buf_span(&jobs[0][i].out), gw_buf_span(&jobs[1][i].out)) &&
                  jobs[0][i].out.len != 0);
    for (unsigned k = 0; k < 2; k++) {
        bed_clear(jobs[k], JOBS);
        sched_free(s[k]);
    }
    free(text);
}

/* The same with a draft model: one that is the model itself, and one that has nothing to do with it. */
static void test_drafter(const struct bed *b, const char *path, bool alike)
{
    const struct drafter_config cfg = {.path = path,
                                       .ops = kern_ops(NULL),
                                       .p = b->p,
                                       .tok = b->tok,
                                       .max_context = CONTEXT,
                                       .max_seqs = 4};
    struct gw_err err = {0};

    n_model = n_model_taken = 0;
    eager = true;
    if (!CHECK(drafter_open(&cfg, &drafter, &err) == GW_OK)) {
        printf("%s\n", err.text);
        return;
    }
    test_same(b, 0, false);
    test_same(b, 0, true);
    CHECK(n_model > 100);
    if (alike) /* the same numbers: wrong only where penalties have a say */
        CHECK(n_model_taken * 2 > n_model);
    test_same(b, 0.4f, false);
    test_same(b, 1.2f, true);
    test_pressed(b);
    eager = false; /* as it is used: by what it costs */
    test_same(b, 0, false);
    test_same(b, 0.4f, true);
    drafter_close(drafter);
    drafter = NULL;
}

/* A model of other words is refused, and the reason is said. */
static void test_other_words(const struct bed *b, const char *path)
{
    const struct drafter_config cfg = {.path = path,
                                       .ops = kern_ops(NULL),
                                       .p = b->p,
                                       .tok = b->tok,
                                       .max_context = CONTEXT,
                                       .max_seqs = 4};
    struct drafter *d = NULL;
    struct gw_err err = {0};

    CHECK(drafter_open(&cfg, &d, &err) == GW_EINVAL && d == NULL);
    CHECK(strstr(err.text, "vocabulary") != NULL);
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
        test_same(&b, 0.4f, true);
        test_drafter(&b, path, true);
#ifndef __SANITIZE_THREAD__ /* the threads do the same for each */
        test_same(&b, 0, false);
        test_same(&b, 0, true);
        test_same(&b, 1.2f, true);
        (void)snprintf(path, sizeof(path), "%s/tiny-qwen3-Q8_0.gguf", models);
        test_drafter(&b, path, false);
#endif
        (void)snprintf(path, sizeof(path), "%s/tiny-llama-Q8_0.gguf", models);
        test_other_words(&b, path);
    }
    bed_fini(&b);
    return test_done();
}
