/* engine/sched.c - the scheduler's thread: messages in, the end of a request, set-up.
 * See sched.h for the states; who begins is in sched_admit.c, the steps are in sched_step.c. */
#include "engine/sched.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/sched_private.h"

enum {
    STEP_TOKENS = SCHED_STEP_TOKENS,
    /* How often the prompts that wait may fill the cache: a longer line would be minutes. */
    MAX_FILLS = 8
};

/* Memory that the cache may take when a model is small. */
#define KV_BYTES ((uint64_t)1 << 30)

/* ---- the end of a request --------------------------------------------------------------- */

void sched_forget(struct sched *s, struct request *r)
{
    if (request_is_canceled(r))
        atomic_fetch_add(&s->n_canceled, 1);
    if (r->place.tenant != NULL)
        line_leave(s->line, &r->place);
    request_unref(r);
    atomic_fetch_sub(&s->n_unfinished, 1);
}

void sched_end(struct sched *s, struct seq *q, enum engine_finish finish, enum gw_status status,
               const char *error)
{
    uint64_t now = gw_clock_ns();
    struct engine_event done = {
        .finish = finish,
        .status = status,
        .prompt_tokens = q->n_prompt,
        .completion_tokens = q->n_sampled,
        .cached_tokens = q->n_hit,
        .prefill_ns = (q->first_ns == 0 ? now : q->first_ns) - q->start_ns,
        .decode_ns = q->first_ns == 0 ? 0 : now - q->first_ns,
    };

    if (error != NULL)
        (void)snprintf(done.error, sizeof(done.error), "%s", error);
    request_post_done(q->r, &done);
    sched_forget(s, q->r);
    sched_publish(s, q);
    kvcache_release(s->kv, &q->kv);
    drafter_release(s->cfg.drafter, &q->own);
    radix_leave(s->tree, q->root);
    tok_ids_fini(&q->ids);
    sampler_free(q->sampler);
    steer_free(q->steer);
    probs_free(q->probs);
    answer_fini(&q->answer);
    gw_buf_fini(&q->text);
    gw_buf_fini(&q->tokens);
    *q = (struct seq){0};
    s->n_running--;
}

void sched_preempt(struct sched *s, struct seq *q)
{
    sched_publish(s, q);
    kvcache_release(s->kv, &q->kv);
    drafter_release(s->cfg.drafter, &q->own);
    q->n_cached = 0;
    q->hidden_of = 0;
    q->begun = false;
    q->sent_back = true;
    q->leader = NULL;
}

/* ---- the thread ------------------------------------------------------------------------- */

static void end_job(struct sched *s, struct sched_job *job, enum gw_status st)
{
    (void)pthread_mutex_lock(&s->job_lock);
    job->status = st;
    job->done = true; /* the caller may be gone as soon as the lock is free */
    (void)pthread_cond_broadcast(&s->job_done);
    (void)pthread_mutex_unlock(&s->job_lock);
}

static bool is_idle(const struct sched *s)
{
    return s->n_running == 0 && line_first(s->line) == NULL;
}

static void take_cmd(struct sched *s, const struct sched_cmd *cmd)
{
    if (cmd->r != NULL)
        sched_join(s, cmd->r);
    else
        end_job(s, cmd->job, is_idle(s) ? sched_run_bench(s, cmd->job) : GW_EAGAIN);
}

/* Takes all messages; waits for one when there is nothing else to do. False when the engine closes. */
static bool take_cmds(struct sched *s)
{
    struct sched_cmd cmd;

    if (is_idle(s)) {
        if (gw_queue_wait(s->cmds, &cmd, -1) != GW_OK)
            return false;
        take_cmd(s, &cmd);
    }
    while (gw_queue_pop(s->cmds, &cmd) == GW_OK)
        take_cmd(s, &cmd);
    return !atomic_load(&s->quit);
}

static void publish(struct sched *s)
{
    atomic_store_explicit(&s->n_running_seen, s->n_running, memory_order_relaxed);
    atomic_store_explicit(&s->kv_used_tokens, kvcache_used_tokens(s->kv), memory_order_relaxed);
    atomic_store_explicit(&s->kv_idle_tokens, kvcache_idle_tokens(s->kv), memory_order_relaxed);
    atomic_store_explicit(&s->evicted_tokens, radix_n_evicted(s->tree) * KERN_KV_BLOCK,
                          memory_order_relaxed);
    atomic_store_explicit(&s->missed_tokens, radix_n_missed(s->tree) * KERN_KV_BLOCK,
                          memory_order_relaxed);
    atomic_store_explicit(&s->copied_tokens, kvcache_copied_tokens(s->kv), memory_order_relaxed);
}

static void end_all(struct sched *s)
{
    struct sched_cmd cmd;

    for (unsigned i = 0; i < s->cfg.max_seqs; i++)
        if (s->seqs[i].r != NULL)
            sched_end(s, &s->seqs[i], ENGINE_FINISH_CANCELED, GW_ECANCELED, "the engine closes");
    sched_refuse_waiting(s, GW_ECANCELED, "the engine closes");
    while (gw_queue_pop(s->cmds, &cmd) == GW_OK) {
        if (cmd.r != NULL)
            sched_refuse(s, cmd.r, GW_ECANCELED, "the engine closes");
        else
            end_job(s, cmd.job, GW_ECANCELED);
    }
}

static void *sched_main(void *arg)
{
    struct sched *s = arg;

    pool_yield();
    while (take_cmds(s)) {
        sched_sweep(s);
        sched_admit(s);
        publish(s);
        if (s->n_running != 0)
            sched_step(s);
        publish(s);
    }
    end_all(s);
    return NULL;
}

/* ---- set-up and calls from outside ------------------------------------------------------ */

/* Tokens that the pages of a device can hold; with layers on both sides the fewer of both. */
static uint64_t fit_device(struct device *d, const struct kvcache_shape *shape, uint64_t tokens)
{
    const uint64_t there = device_room(d) / device_token_bytes(d);

    return shape->n_layers == 0 || there < tokens ? there : tokens;
}

/* Takes the pages: fewer where a device has no room for all. */
static enum gw_status make_pages(struct sched *s, struct kvcache_shape *shape, struct gw_err *err)
{
    const struct sched_config *cfg = &s->cfg;
    enum gw_status st = GW_OK;

    if (cfg->device != NULL) {
        shape->copy = device_copy_page;
        shape->copy_ctx = cfg->device;
        for (;;) {
            st = device_start(cfg->device, shape->n_tokens / KERN_KV_BLOCK + 1, err);
            if (st != GW_ENOMEM || shape->n_tokens / 2 < cfg->max_context)
                break;
            shape->n_tokens /= 2;
        }
    }
    return st == GW_OK ? kvcache_new(shape, &s->kv, err) : st;
}

/* What the scheduler keeps of its sequences and steps. */
static enum gw_status make_lists(struct sched *s, struct gw_err *err)
{
    const struct sched_config *cfg = &s->cfg;

    s->tree = radix_new(s->kv, cfg->prefixes == ENGINE_PREFIXES_PREDICT);
    s->line = line_new();
    s->space = sampler_space_new(cfg->m->n_vocab);
    s->steer_space = steer_space_new(cfg->tok, cfg->m->ops);
    s->probs_space = probs_space_new(cfg->m->n_vocab);
    s->cmds = gw_queue_new((size_t)cfg->max_seqs + cfg->max_queued + 1, sizeof(struct sched_cmd));
    s->seqs = calloc(cfg->max_seqs, sizeof(*s->seqs));
    s->runs = calloc(cfg->max_seqs, sizeof(*s->runs));
    s->picks = calloc(cfg->max_seqs, sizeof(*s->picks));
    s->run_seqs = calloc(cfg->max_seqs, sizeof(struct seq *));
    s->by_age = calloc(cfg->max_seqs, sizeof(struct seq *));
    s->hidden = calloc(cfg->medusa == NULL ? 1 : cfg->max_seqs,
                       cfg->medusa == NULL ? 1 : cfg->m->n_embd * sizeof(*s->hidden));
    if (s->tree == NULL || s->line == NULL || s->space == NULL || s->steer_space == NULL ||
        s->probs_space == NULL || s->cmds == NULL || s->seqs == NULL || s->runs == NULL ||
        s->picks == NULL || s->run_seqs == NULL || s->by_age == NULL || s->hidden == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the scheduler");
    return GW_OK;
}

static enum gw_status make_memory(struct sched *s, struct gw_err *err)
{
    struct sched_config *cfg = &s->cfg;
    struct kvcache_shape shape = {.n_layers = cfg->device != NULL ? cfg->device->first_layer
                                                                  : cfg->m->n_layers,
                                  .n_kv_heads = cfg->m->n_kv_heads,
                                  .head_dim = cfg->m->head_dim,
                                  .max_seq_tokens = cfg->max_context,
                                  .type = cfg->kv_type,
                                  .layer_types = cfg->layer_types};
    uint64_t budget = cfg->m->weights_bytes / 2 > KV_BYTES ? cfg->m->weights_bytes / 2 : KV_BYTES;
    uint64_t tokens = shape.n_layers == 0 ? 0 : budget / kvcache_token_bytes(&shape);

    if (cfg->device != NULL)
        tokens = fit_device(cfg->device, &shape, tokens);
    if (cfg->kv_tokens != 0)
        tokens = cfg->kv_tokens;
    if (tokens > (uint64_t)cfg->max_context * cfg->max_seqs)
        tokens = (uint64_t)cfg->max_context * cfg->max_seqs;
    /* One page more: who writes on a shared one holds both for a moment. */
    shape.n_tokens =
        (tokens < cfg->max_context ? cfg->max_context : (unsigned)tokens) + KERN_KV_BLOCK;
    GW_TRY(make_pages(s, &shape, err));
    GW_TRY(forward_new(cfg->m, s->kv, cfg->p,
                       cfg->max_seqs > STEP_TOKENS ? cfg->max_seqs : STEP_TOKENS,
                       cfg->max_seqs > SCHED_DRAFT_ROWS ? cfg->max_seqs : SCHED_DRAFT_ROWS,
                       cfg->max_context, &s->forward, err));
    if (cfg->device != NULL)
        forward_use_device(s->forward, cfg->device);
    if (cfg->max_rank != 0)
        GW_TRY(forward_allow_adapters(s->forward, cfg->max_rank, err));
    if (cfg->max_seqs > forward_max_tokens(s->forward))
        cfg->max_seqs = forward_max_tokens(s->forward);
    return make_lists(s, err);
}

enum gw_status sched_new(const struct sched_config *cfg, struct sched **out, struct gw_err *err)
{
    struct sched *s = calloc(1, sizeof(*s));
    sigset_t all, before;
    enum gw_status st;
    int rc;

    if (s == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the scheduler");
    (void)pthread_mutex_init(&s->job_lock, NULL);
    (void)pthread_cond_init(&s->job_done, NULL);
    s->cfg = *cfg;
    st = make_memory(s, err);
    if (st == GW_OK && cfg->device != NULL)
        st = sched_measure(s, &s->cost, err);
    if (st != GW_OK) {
        sched_free(s);
        return st;
    }
    /* Signals are for the threads that have event loops. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&s->thread, NULL, sched_main, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        sched_free(s);
        return gw_fail(err, GW_EIO, "cannot start the scheduler's thread: %s", strerrordesc_np(rc));
    }
    s->started = true;
    *out = s;
    return GW_OK;
}

void sched_free(struct sched *s)
{
    if (s == NULL)
        return;
    if (s->started) {
        atomic_store(&s->quit, true);
        gw_queue_close(s->cmds);
        (void)pthread_join(s->thread, NULL);
    }
    (void)pthread_cond_destroy(&s->job_done);
    (void)pthread_mutex_destroy(&s->job_lock);
    gw_queue_free(s->cmds);
    sampler_space_free(s->space);
    steer_space_free(s->steer_space);
    probs_space_free(s->probs_space);
    forward_free(s->forward);
    radix_free(s->tree);
    line_free(s->line);
    kvcache_free(s->kv);
    free(s->seqs);
    free(s->runs);
    free(s->picks);
    free((void *)s->run_seqs);
    free((void *)s->by_age);
    free(s->hidden);
    free(s);
}

/* Whether the line takes r, of which want tokens are its own. The prompts that wait may want MAX_FILLS
 * times the pages there are; one that comes to an empty line always may. */
static enum gw_status check_room(struct sched *s, uint64_t wanted, uint64_t want,
                                 struct gw_err *err)
{
    unsigned unfinished = atomic_load(&s->n_unfinished),
             limit = s->cfg.max_seqs + s->cfg.max_queued;
    unsigned total = kvcache_total_tokens(s->kv);

    if (unfinished > limit)
        return gw_fail(err, GW_EAGAIN, "%u requests run or wait, which is the most; try again soon",
                       limit);
    if (wanted != want && wanted > (uint64_t)MAX_FILLS * total)
        return gw_fail(err, GW_EAGAIN,
                       "prompts of about %llu tokens wait for the KV cache, which holds %u; try "
                       "again soon",
                       (unsigned long long)(wanted - want), total);
    return GW_OK;
}

enum gw_status sched_push(struct sched *s, struct request *r, struct gw_err *err)
{
    struct sched_cmd cmd = {.r = r};
    uint64_t want = r->want_tokens < s->cfg.max_context ? r->want_tokens : s->cfg.max_context;
    uint64_t wanted;
    enum gw_status st;

    if (atomic_load(&s->is_lost))
        return gw_fail(err, GW_ENOENT, "%s; it computes again after a restart of the gateway",
                       s->lost);
    r->want_tokens = (unsigned)want;
    atomic_fetch_add(&s->n_unfinished, 1);
    wanted = atomic_fetch_add(&s->wanted_tokens, want) + want;
    st = check_room(s, wanted, want, err);
    if (st == GW_OK && gw_queue_push(s->cmds, &cmd) != GW_OK)
        st = gw_fail(err, GW_EAGAIN, "the queue of the engine is full; try again soon");
    if (st != GW_OK) {
        atomic_fetch_sub(&s->wanted_tokens, want);
        atomic_fetch_sub(&s->n_unfinished, 1);
        atomic_fetch_add(&s->n_rejected, 1);
        return st;
    }
    atomic_fetch_add(&s->n_requests, 1);
    return GW_OK;
}

enum gw_status sched_bench(struct sched *s, unsigned prompt, unsigned decode,
                           struct engine_bench *out, struct gw_err *err)
{
    struct sched_job job = {.prompt = prompt, .decode = decode, .out = out, .err = err};
    struct sched_cmd cmd = {.job = &job};
    enum gw_status st = GW_EAGAIN;

    if (prompt == 0 || decode == 0 || prompt >= s->cfg.max_context ||
        decode > s->cfg.max_context - prompt)
        return gw_fail(err, GW_EINVAL,
                       "a bench of %u and %u tokens does not fit into a context of %u", prompt,
                       decode, s->cfg.max_context);
    if (gw_queue_push(s->cmds, &cmd) == GW_OK) {
        (void)pthread_mutex_lock(&s->job_lock);
        while (!job.done)
            (void)pthread_cond_wait(&s->job_done, &s->job_lock);
        st = job.status;
        (void)pthread_mutex_unlock(&s->job_lock);
    }
    if (st == GW_EAGAIN)
        return gw_fail(err, GW_EAGAIN, "the engine is busy; a bench needs it alone");
    return st;
}

void sched_stats(struct sched *s, struct engine_stats *out)
{
    unsigned unfinished = atomic_load(&s->n_unfinished), running = atomic_load(&s->n_running_seen);
    struct mask_stats masks;

    steer_space_stats(s->steer_space, &masks);
    *out = (struct engine_stats){
        .prompt_tokens = atomic_load(&s->prompt_tokens),
        .cached_tokens = atomic_load(&s->cached_tokens),
        .completion_tokens = atomic_load(&s->completion_tokens),
        .requests = atomic_load(&s->n_requests),
        .rejected = atomic_load(&s->n_rejected),
        .canceled = atomic_load(&s->n_canceled),
        .parked = atomic_load(&s->n_parked),
        .draft_tokens = atomic_load(&s->draft_tokens),
        .draft_taken = atomic_load(&s->draft_taken),
        .draft_model_tokens = atomic_load(&s->draft_model_tokens),
        .draft_model_taken = atomic_load(&s->draft_model_taken),
        .draft_medusa_tokens = atomic_load(&s->draft_medusa_tokens),
        .draft_medusa_taken = atomic_load(&s->draft_medusa_taken),
        .running = running,
        .queued = unfinished > running ? unfinished - running : 0,
        .kv_used_tokens = atomic_load(&s->kv_used_tokens),
        .kv_idle_tokens = atomic_load(&s->kv_idle_tokens),
        .kv_total_tokens = kvcache_total_tokens(s->kv),
        .evicted_tokens = atomic_load(&s->evicted_tokens),
        .missed_tokens = atomic_load(&s->missed_tokens),
        .copied_tokens = atomic_load(&s->copied_tokens),
        .mask_hits = masks.hits,
        .mask_misses = masks.misses,
        .mask_bytes = masks.bytes,
    };
    for (unsigned i = 0; i < ENGINE_STEP_BUCKETS; i++) {
        out->steps.by_requests[i] = atomic_load(&s->by_requests[i]);
        out->steps.by_tokens[i] = atomic_load(&s->by_tokens[i]);
    }
    out->steps.requests = atomic_load(&s->step_requests);
    out->steps.tokens = atomic_load(&s->step_tokens);
    out->steps.n = atomic_load(&s->n_steps); /* last: no less than the buckets have */
}

void sched_cost(const struct sched *s, struct engine_cost *out)
{
    *out = s->cost;
}

bool sched_is_lost(const struct sched *s)
{
    return atomic_load(&s->is_lost);
}

uint64_t sched_kv_bytes(const struct sched *s)
{
    const struct device *d = s->cfg.device;

    return kvcache_bytes(s->kv) + drafter_bytes(s->cfg.drafter) +
           (d == NULL ? 0 : device_token_bytes(d) * kvcache_total_tokens(s->kv));
}
