/* Unit tests of attention that is split over threads by ranges of keys: the logits of a token behind a long context
 * have the same bits whether it is fed alone or within a prompt, by one thread or by several, alone or among others. */
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

enum { N_TOKENS = 1020, N_SINGLE = 3, N_OTHERS = 3 };

static int32_t id(unsigned i)
{
    return (int32_t)(i * 7919u % 500u + 3u);
}

/* Feeds tokens [from, to) in steps of at most `most`; logits of the last one to out, unless it is NULL. */
static void feed(struct rig *r, struct kvcache_seq *s, unsigned from, unsigned to, unsigned most,
                 float *out)
{
    int32_t ids[RIG_STEP];

    CHECK(kvcache_reserve_from(r->kv, s, from, to) == GW_OK);
    for (unsigned at = from; at < to;) {
        struct forward_run run = {.seq = s, .tokens = ids, .pos = at};

        for (; run.n_tokens < most && at < to; at++)
            ids[run.n_tokens++] = id(at);
        run.n_logits = 1;
        forward_step(r->f, &run, 1);
        if (out != NULL && at == to)
            memcpy(out, forward_logits(r->f, run.logits_row), r->m.n_vocab * sizeof(float));
    }
}

/* A token of each of some sequences in one step, of different lengths; logits of the first to out. */
static void feed_together(struct rig *r, struct kvcache_seq *s, float *out)
{
    struct forward_run runs[1 + N_OTHERS];
    int32_t ids[1 + N_OTHERS];

    for (unsigned i = 0; i <= N_OTHERS; i++) {
        const unsigned pos = N_TOKENS - 1 - 200 * i;

        ids[i] = id(pos);
        runs[i] = (struct forward_run){
            .seq = &s[i], .tokens = &ids[i], .n_tokens = 1, .pos = pos, .n_logits = 1};
        CHECK(kvcache_reserve_from(r->kv, &s[i], pos, pos + 1) == GW_OK);
    }
    forward_step(r->f, runs, 1 + N_OTHERS);
    memcpy(out, forward_logits(r->f, runs[0].logits_row), r->m.n_vocab * sizeof(float));
}

static bool rig_with(struct rig *r, unsigned threads, enum kern_kv_type type)
{
    struct kvcache_shape shape;

    if (!CHECK(rig_init(r, RIG_SHARED "/stories260K/stories260K-F32.gguf", NULL, threads, NULL) ==
               GW_OK))
        return false;
    shape = (struct kvcache_shape){.n_layers = r->m.n_layers,
                                   .n_kv_heads = r->m.n_kv_heads,
                                   .head_dim = r->m.head_dim,
                                   .n_tokens = RIG_CONTEXT * RIG_SEQS,
                                   .max_seq_tokens = RIG_CONTEXT,
                                   .type = type};
    forward_free(r->f);
    kvcache_free(r->kv);
    r->f = NULL;
    r->kv = NULL;
    return CHECK(kvcache_new(&shape, &r->kv, NULL) == GW_OK &&
                 forward_new(&r->m, r->kv, r->p, RIG_STEP, RIG_STEP, RIG_CONTEXT, &r->f, NULL) ==
                     GW_OK);
}

static void test_type(enum kern_kv_type type)
{
    static float want[4096], got[4096];

    for (unsigned threads = 1; threads <= 5; threads += 2) {
        struct kvcache_seq s[1 + N_OTHERS] = {{0}}, whole = {0};
        struct rig r;

        if (!rig_with(&r, threads, type) || !CHECK(r.m.n_vocab <= 4096))
            return;
        if (threads == 1)
            feed(&r, &whole, 0, N_TOKENS, RIG_STEP, want);
        feed(&r, &s[0], 0, N_TOKENS - N_SINGLE, RIG_STEP, NULL);
        feed(&r, &s[0], N_TOKENS - N_SINGLE, N_TOKENS, 1, got);
        CHECK(memcmp(want, got, r.m.n_vocab * sizeof(float)) == 0);
        for (unsigned i = 1; i <= N_OTHERS; i++)
            feed(&r, &s[i], 0, N_TOKENS - 1 - 200 * i, 48, NULL);
        feed_together(&r, s, got);
        CHECK(memcmp(want, got, r.m.n_vocab * sizeof(float)) == 0);
        for (unsigned i = 0; i <= N_OTHERS; i++)
            kvcache_release(r.kv, &s[i]);
        kvcache_release(r.kv, &whole);
        rig_fini(&r);
    }
}

int main(void)
{
    for (int t = 0; t < KERN_KV_TYPES; t += TEST_STEP)
        test_type((enum kern_kv_type)t);
    return test_done();
}
