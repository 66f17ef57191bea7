/* engine/sched_bench.c - times a prompt and a decode on an idle scheduler. */
#include "base/clock.h"
#include "engine/sched_private.h"

/* Feeds n made-up ids after pos; the logits of the last are kept. */
static enum gw_status prefill(struct sched *s, const struct kvcache_seq *kv, const int32_t *ids,
                              unsigned n)
{
    struct forward_run run = {.seq = kv};
    unsigned step = forward_max_tokens(s->forward);

    for (unsigned i = 0; i < n; i += run.n_tokens) {
        run.tokens = ids + i;
        run.n_tokens = n - i < step ? n - i : step;
        run.pos = i;
        run.n_logits = i + run.n_tokens == n;
        GW_TRY(forward_step(s->forward, &run, 1));
    }
    return GW_OK;
}

static enum gw_status decode(struct sched *s, const struct kvcache_seq *kv, unsigned pos,
                             unsigned n)
{
    const struct model *m = s->cfg.m;

    for (unsigned i = 0; i < n; i++) {
        int32_t id = (int32_t)m->ops->argmax(forward_logits(s->forward, 0), m->n_vocab);
        struct forward_run run = {
            .seq = kv, .tokens = &id, .n_tokens = 1, .pos = pos + i, .n_logits = 1};

        GW_TRY(forward_step(s->forward, &run, 1));
    }
    return GW_OK;
}

enum { GUESSES = 16 /* that are timed */ };

/* Times guesses of all heads and the steps that check them, on positions from pos on, where decode was. */
static enum gw_status guess(struct sched *s, const struct kvcache_seq *kv, unsigned pos,
                            uint64_t single_ns, struct engine_bench *b)
{
    const unsigned n = medusa_n_heads(s->cfg.medusa);
    int32_t ids[1 + MEDUSA_MAX_USED] = {1};
    struct forward_run run = {
        .seq = kv, .tokens = ids, .n_tokens = 1 + n, .pos = pos, .n_logits = 1 + n};
    uint64_t guess_ns = 0, step_ns = 0;

    for (unsigned i = 0; i < GUESSES; i++) {
        const uint64_t t0 = gw_clock_ns();
        uint64_t t1;

        medusa_guess(s->cfg.medusa, forward_hidden(s->forward, 0), n, ids + 1);
        t1 = gw_clock_ns();
        guess_ns += t1 - t0;
        GW_TRY(forward_step(s->forward, &run, 1));
        step_ns += gw_clock_ns() - t1;
    }
    b->n_heads = n;
    b->guess_ms = (double)guess_ns / GUESSES / 1e6;
    b->wide_step = single_ns == 0 ? 0 : (double)step_ns / GUESSES / (double)single_ns;
    return GW_OK;
}

static double rate(unsigned n, uint64_t ns)
{
    return ns == 0 ? 0 : (double)n * (double)GW_NS_PER_SEC / (double)ns;
}

enum gw_status sched_run_bench(struct sched *s, const struct sched_job *job)
{
    const struct model *m = s->cfg.m;
    struct kvcache_shape shape = {.n_layers = m->n_layers,
                                  .n_kv_heads = m->n_kv_heads,
                                  .head_dim = m->head_dim,
                                  .type = s->cfg.kv_type,
                                  .layer_types = s->cfg.layer_types};
    struct kvcache_seq kv = {0};
    struct tok_ids ids = {0};
    enum gw_status st;
    struct engine_bench b = {0};
    uint64_t t0, t1, t2;

    (void)radix_evict(s->tree, UINT32_MAX);
    st = kvcache_reserve(s->kv, &kv, job->prompt + job->decode);
    for (unsigned i = 0; st == GW_OK && i < job->prompt; i++)
        st = tok_ids_add(&ids, (int32_t)((i * 7919u + 100u) % m->n_vocab));
    if (st != GW_OK) {
        st = gw_fail(job->err, GW_ENOMEM, "out of memory for the bench");
        goto out;
    }
    /* The first touch of weights and buffers is not what is measured. */
    st = prefill(s, &kv, ids.ids, job->prompt < 32 ? job->prompt : 32);
    t0 = gw_clock_ns();
    if (st == GW_OK)
        st = prefill(s, &kv, ids.ids, job->prompt);
    t1 = gw_clock_ns();
    if (st == GW_OK)
        st = decode(s, &kv, job->prompt, job->decode);
    t2 = gw_clock_ns();
    if (st == GW_OK && s->cfg.medusa != NULL && job->decode > MEDUSA_MAX_USED)
        st = guess(s, &kv, job->prompt, (t2 - t1) / job->decode, &b);
    if (st != GW_OK) {
        st = gw_fail(job->err, st, "%s", forward_error(s->forward));
        goto out;
    }
    b.prefill_tokens_per_s = rate(job->prompt, t1 - t0);
    b.decode_tokens_per_s = rate(job->decode, t2 - t1);
    b.bytes_per_token =
        m->token_bytes + kvcache_token_bytes(&shape) * (job->prompt + job->decode / 2);
    b.read_gb_per_s = kern_read_bandwidth(pool_n_threads(s->cfg.p));
    if (b.read_gb_per_s > 0)
        b.decode_bandwidth_share =
            (double)b.bytes_per_token * b.decode_tokens_per_s / (b.read_gb_per_s * 1e9);
    *job->out = b;
out:
    tok_ids_fini(&ids);
    kvcache_release(s->kv, &kv);
    return st;
}
