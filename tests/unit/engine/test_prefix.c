/* tests/unit/engine/test_prefix.c - prefixes that requests share: computed once, never across tenants, and
 * without any effect on the answers. */
#include "tests/unit/engine/sched_bed.h"

enum { CONTEXT = 1024, N = 8, PREFIX_WORDS = 220 };

/* Texts that begin alike and end differently. */
static void make_texts(char **texts)
{
    static const char *const ends[N] = {"Hello",    "world", "one two three", "the end of it", "a",
                                        "int main", "?!",    "Lily and Tom"};

    for (unsigned i = 0; i < N; i++)
        texts[i] = bed_text(PREFIX_WORDS, ends[i]);
}

static void make_jobs(struct job *jobs, char *const *texts, const char *const *tenants)
{
    for (unsigned i = 0; i < N; i++) {
        jobs[i] = (struct job){.text = texts[i], .params = bed_drawn};
        jobs[i].tenant = tenants == NULL ? NULL : tenants[i];
        jobs[i].params.seed = i + 1;
    }
}

static void check_same(const struct job *a, const struct job *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        CHECK(gw_span_eq(gw_buf_span(&a[i].out), gw_buf_span(&b[i].out)));
}

/* Eight at once: the prefix is computed once. Eight tenants: eight times. The answers are equal. */
static void test_shared_once(const struct bed *b, char *const *texts)
{
    static const char *const tenants[N] = {"a", "b", "c", "d", "e", "f", "g", "ab"};
    struct sched *s = bed_sched(b, CONTEXT, N, 0), *apart = bed_sched(b, CONTEXT, N, 0);
    struct job jobs[N], alone[N];
    struct engine_stats st;
    uint64_t all = 0, cached = 0;

    make_jobs(jobs, texts, NULL);
    make_jobs(alone, texts, tenants);
    bed_run(s, jobs, N);
    bed_run(apart, alone, N);
    check_same(jobs, alone, N);
    for (unsigned i = 0; i < N; i++) {
        CHECK(jobs[i].end.status == GW_OK && jobs[i].end.prompt_tokens > PREFIX_WORDS);
        CHECK(jobs[i].start.cached_tokens == jobs[i].end.cached_tokens);
        CHECK(alone[i].end.cached_tokens == 0);
        all += jobs[i].end.prompt_tokens;
        cached += jobs[i].end.cached_tokens;
    }
    st = bed_settle(s);
    CHECK(st.prompt_tokens + st.cached_tokens == all && st.cached_tokens == cached);
    /* Seven took at least the prefix; its last half page may have been computed again. */
    CHECK(cached >= (uint64_t)(N - 1) * (PREFIX_WORDS - KERN_KV_BLOCK));
    CHECK(st.kv_idle_tokens != 0);
    st = bed_settle(apart);
    CHECK(st.cached_tokens == 0 && st.prompt_tokens == all);
    bed_clear(jobs, N);
    bed_clear(alone, N);
    sched_free(s);
    sched_free(apart);
}

/* The same prompt again: everything but its last token is there. */
static void test_again(const struct bed *b, char *const *texts)
{
    struct sched *s = bed_sched(b, CONTEXT, N, 0);
    struct job first[N], again[N];

    make_jobs(first, texts, NULL);
    make_jobs(again, texts, NULL);
    bed_run(s, first, 1);
    bed_run(s, again, 1);
    check_same(first, again, 1);
    CHECK(first[0].end.cached_tokens == 0);
    CHECK(again[0].end.cached_tokens + 1 == again[0].end.prompt_tokens ||
          again[0].end.cached_tokens + KERN_KV_BLOCK >= again[0].end.prompt_tokens);
    bed_clear(first, 1);
    bed_clear(again, 1);
    sched_free(s);
}

/* Eight answers to one prompt: seven take all of it from the first, half pages too. */
static void test_branches(const struct bed *b, char *const *texts)
{
    struct sched *s = bed_sched(b, CONTEXT, N, 0);
    struct job jobs[N], alone[N];
    unsigned whole = 0;

    make_jobs(jobs, texts, NULL);
    make_jobs(alone, texts, NULL);
    for (unsigned i = 0; i < N; i++)
        jobs[i].text = alone[i].text = texts[0];
    bed_run(s, jobs, N);
    for (unsigned i = 0; i < N; i++) {
        whole += jobs[i].end.cached_tokens + 1 == jobs[i].end.prompt_tokens;
        bed_run(s, &alone[i], 1);
    }
    check_same(jobs, alone, N);
    CHECK(whole >= 1); /* those that came while the first was at it */
    bed_clear(jobs, N);
    bed_clear(alone, N);
    sched_free(s);
}

/* The one that computes the prefix goes away: another one takes over, and all answers are right. */
static void test_leader_leaves(const struct bed *b, char *const *texts)
{
    struct sched *s = bed_sched(b, CONTEXT, N, 0), *apart = bed_sched(b, CONTEXT, 1, 0);
    struct engine_chan *ch = request_chan_new(NULL, BED_MAX_JOBS);
    struct job jobs[N], alone[N];

    make_jobs(jobs, texts, NULL);
    make_jobs(alone, texts, NULL);
    for (unsigned i = 0; i < N; i++)
        bed_push(s, ch, &jobs[i], i + 1);
    (void)usleep(2000);
    engine_cancel(ch, 1);
    jobs[0].done = true;
    bed_wait(ch, jobs, N);
    engine_chan_free(ch);
    bed_run(apart, alone, N);
    check_same(jobs + 1, alone + 1, N - 1);
    (void)bed_settle(s);
    bed_clear(jobs, N);
    bed_clear(alone, N);
    sched_free(s);
    sched_free(apart);
}

/* Hardly room for one, so that pages are taken back all the time; some leave in the middle. */
static void test_tight(const struct bed *b, char *const *texts)
{
    struct sched *s = bed_sched(b, 512, 4, 512), *apart = bed_sched(b, 512, 1, 0);
    struct job alone[N];

    make_jobs(alone, texts, NULL);
    bed_run(apart, alone, N);
    for (unsigned i = 0; i < N; i++)
        CHECK(alone[i].end.status == GW_OK);
    for (unsigned round = 0; round < 3; round++) {
        struct job jobs[N];

        make_jobs(jobs, texts, NULL);
        jobs[1 + round].cancel_after = 1;
        jobs[6 - round].cancel_after = 3;
        bed_run(s, jobs, N);
        for (unsigned i = 0; i < N; i++)
            if (jobs[i].cancel_after == 0)
                check_same(&jobs[i], &alone[i], 1);
        (void)bed_settle(s);
        bed_clear(jobs, N);
    }
    bed_clear(alone, N);
    sched_free(s);
    sched_free(apart);
}

/* Twice the texts with 1, 4 and 16 at a time, with room for few, by prediction and with nothing kept: the same answers. */
static void test_kinds(struct bed *b, char *const *texts)
{
#ifdef __SANITIZE_THREAD__
    static const unsigned seqs[] = {4};
#else
    static const unsigned seqs[] = {1, 4, 16};
#endif
    struct sched *apart = bed_sched(b, 512, 1, 0);
    struct job alone[N];

    make_jobs(alone, texts, NULL);
    bed_run(apart, alone, N);
    for (b->prefixes = ENGINE_PREFIXES_PREDICT; b->prefixes <= ENGINE_PREFIXES_OFF; b->prefixes++)
        for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
            static const char *const tenants[N] = {"a", "a", "b", "a", "b", "a", "a", "b"};
            struct sched *s = bed_sched(b, 512, seqs[i], 768);
            struct job jobs[2 * N];
            struct engine_stats st;
            uint64_t all = 0;

            make_jobs(jobs, texts, tenants);
            make_jobs(jobs + N, texts, tenants);
            bed_run(s, jobs, 2 * N);
            check_same(jobs, alone, N);
            check_same(jobs + N, alone, N);
            for (unsigned k = 0; k < 2 * N; k++) {
                CHECK(jobs[k].end.status == GW_OK);
                CHECK(b->prefixes != ENGINE_PREFIXES_OFF || jobs[k].end.cached_tokens == 0);
                all += jobs[k].end.prompt_tokens;
            }
            st = bed_settle(s);
            if (b->prefixes == ENGINE_PREFIXES_OFF)
                CHECK(st.kv_idle_tokens == 0 && st.evicted_tokens == 0 && st.missed_tokens == 0 &&
                      st.copied_tokens == 0 && st.cached_tokens == 0 && st.prompt_tokens >= all);
            else
                CHECK(st.evicted_tokens != 0 && st.cached_tokens != 0);
            bed_clear(jobs, 2 * N);
            sched_free(s);
        }
    b->prefixes = ENGINE_PREFIXES_LRU;
    bed_clear(alone, N);
    sched_free(apart);
}

int main(void)
{
    char why[256] = "the model generator failed", path[PATH_MAX + 64], *texts[N];
    const char *models = rig_models(why);
    struct bed b = {0};

    if (models == NULL) {
        test_skip(why);
        return test_done();
    }
    make_texts(texts);
    (void)snprintf(path, sizeof(path), "%s/tiny-qwen2-Q8_0.gguf", models);
    if (bed_init(&b, path)) {
        test_shared_once(&b, texts);
        test_again(&b, texts);
        test_branches(&b, texts);
        test_leader_leaves(&b, texts);
        test_tight(&b, texts);
        test_kinds(&b, texts);
        for (int t = KERN_KV_I8; t < KERN_KV_TYPES; t += TEST_STEP) {
            b.kv_type = (enum kern_kv_type)t;
            test_shared_once(&b, texts);
            test_branches(&b, texts);
        }
    }
    bed_fini(&b);
    for (unsigned i = 0; i < N; i++)
        free(texts[i]);
    return test_done();
}
