/* engine/sched_step.c - what goes into a step, and what comes out of it. See sched.h.
 *
 * Every sequence that has one token to feed gets its place first; what is left of the step is shared by
 * the prompts in equal parts, so a long one delays nobody for longer than a step. Pages are given by age:
 * the oldest may take those of the youngest, so the oldest always ends. */
#include <stdio.h>

#include "base/clock.h"
#include "engine/sched_private.h"

enum {
    /* Prompts' tokens at most in a step that somebody's stream waits for. */
    MIXED_STEP_TOKENS = 128,
    MIN_CHUNK = 16,
    /* A sequence begins only when there is room for it and for this much growth of each older one;
     * otherwise it would be sent back a few steps later and its work lost. */
    GROWTH_TOKENS = 32
};

/* What such a step should take: a stream that comes in jerks of this size still reads well. */
#define MIXED_STEP_NS (100 * GW_NS_PER_MS)

/* Prompts' tokens in a step that streams wait for: as many as fit the time on this machine. */
static unsigned mixed_tokens(const struct sched *s)
{
    uint64_t n = s->token_ns == 0 ? MIXED_STEP_TOKENS : MIXED_STEP_NS / s->token_ns;

    if (n < MIN_CHUNK)
        return MIN_CHUNK;
    return n < MIXED_STEP_TOKENS ? (unsigned)n : MIXED_STEP_TOKENS;
}

/* Takes the time of a step of n tokens into the mean of about the last eight. */
static void note_time(struct sched *s, unsigned n, uint64_t ns)
{
    uint64_t each = ns / n;

    if (n <= SCHED_DRAFT_ROWS)
        s->width_ns[n] = s->width_ns[n] == 0 ? ns + 1 : (7 * s->width_ns[n] + ns) / 8 + 1;
    if (n < MIN_CHUNK) { /* most of its time is reading the weights */
        s->single_ns = s->single_ns == 0 ? ns + 1 : (7 * s->single_ns + ns) / 8 + 1;
        return;
    }
    s->token_ns = s->token_ns == 0 ? each + 1 : (7 * s->token_ns + each) / 8 + 1;
}

/* Fills s->by_age with what runs, oldest first. Returns how many. */
static unsigned sort_by_age(struct sched *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->cfg.max_seqs; i++) {
        unsigned at = n;

        if (s->seqs[i].r == NULL)
            continue;
        for (; at != 0 && s->by_age[at - 1]->age > s->seqs[i].age; at--)
            s->by_age[at] = s->by_age[at - 1];
        s->by_age[at] = &s->seqs[i];
        n++;
    }
    return n;
}

static unsigned to_feed(const struct seq *q)
{
    return (unsigned)q->ids.n - q->n_cached;
}

/* Whether q may begin: there is room for what it has to compute and for the growth of the older ones.
 * The oldest always may. *promised: tokens of those that begin in this step. */
static bool begin(struct sched *s, struct seq *q, unsigned i, size_t *promised)
{
    size_t room, need;

    sched_attach(s, q);
    room = (size_t)kvcache_free_tokens(s->kv) + kvcache_idle_tokens(s->kv);
    need = *promised + to_feed(q) + (size_t)GROWTH_TOKENS * (i + 1);
    q->starved = i != 0 && room < need;
    if (q->starved) {
        kvcache_release(s->kv, &q->kv);
        q->n_hit -= q->sent_back ? 0 : q->n_cached;
        q->n_cached = 0;
        q->leader = NULL;
        return false;
    }
    *promised += to_feed(q);
    return true;
}

/* Lets sequences begin, and says who follows another one in this step. Returns how many have one token to
 * feed; *n_long gets how many have more. */
static unsigned sort_out(struct sched *s, unsigned n_seqs, unsigned *n_long)
{
    size_t promised = 0;
    unsigned n_single = 0;

    *n_long = 0;
    for (unsigned i = 0; i < n_seqs; i++) {
        struct seq *q = s->by_age[i];

        if (!q->begun)
            q->begun = begin(s, q, i, &promised);
        q->follows = q->begun && sched_follows(s, q);
        if (!q->begun || q->follows)
            continue;
        n_single += to_feed(q) == 1;
        *n_long += to_feed(q) > 1;
    }
    return n_single;
}

/* Gets pages for the next n tokens of by_age[i]: free ones, then those that are kept for prefixes only,
 * then those of the youngest. False: not in this step (or, out of memory, ended). */
static bool get_pages(struct sched *s, unsigned i, unsigned n_seqs, unsigned n)
{
    struct seq *q = s->by_age[i];
    unsigned victim = n_seqs;
    enum gw_status st;

    while ((st = kvcache_reserve_from(s->kv, &q->kv, q->n_cached, q->n_cached + n)) == GW_EAGAIN) {
        if (radix_evict(s->tree, kvcache_missing(s->kv, &q->kv, q->n_cached, q->n_cached + n)) != 0)
            continue;
        while (victim-- > i + 1 && s->by_age[victim]->kv.n_pages == 0)
            continue;
        if (victim <= i) {
            /* Half a sequence is of no use to anybody: the older ones get its pages. */
            sched_preempt(s, q);
            return false;
        }
        sched_preempt(s, s->by_age[victim]);
    }
    if (st != GW_OK)
        sched_end(s, q, ENGINE_FINISH_ERROR, st, "out of memory for the cache's pages");
    return st == GW_OK;
}

/* How much of n tokens goes into the step, of which `left` tokens are shared by n_long prompts. */
static unsigned chunk(unsigned n, unsigned left, unsigned n_long)
{
    unsigned share = n_long == 0 ? left : left / n_long;

    if (share < MIN_CHUNK)
        share = left < MIN_CHUNK ? left : MIN_CHUNK;
    return n < share ? n : share;
}

static struct forward_run run_of(const struct seq *q, unsigned n)
{
    struct forward_run run = {.seq = &q->kv,
                              .lora = q->r->lora,
                              .tokens = q->ids.ids + q->n_cached,
                              .n_tokens = n,
                              .pos = q->n_cached,
                              .n_logits = n == to_feed(q)};

    if (q->n_draft != 0) {
        run.tokens = q->fed;
        run.n_tokens = run.n_logits = 1 + q->n_draft;
    }
    return run;
}

/* Puts n tokens of q among the n_runs that are there. Those with one adapter stand together: what it adds is computed
 * for all of them at once. */
static void add_run(struct sched *s, unsigned n_runs, struct seq *q, unsigned n)
{
    unsigned at = n_runs;

    for (; at > 0 && s->run_seqs[at - 1]->r->lora_id > q->r->lora_id; at--) {
        s->run_seqs[at] = s->run_seqs[at - 1];
        s->runs[at] = s->runs[at - 1];
    }
    s->run_seqs[at] = q;
    s->runs[at] = run_of(q, n);
}

/* How many guesses are fed behind the only token of q. */
static unsigned guesses(struct sched *s, struct seq *q, unsigned n_single, bool all_single)
{
    q->n_draft = 0;
    return all_single && to_feed(q) == 1 ? sched_draft(s, q, n_single) : 0;
}

/* Chooses the runs of the step. Returns how many. */
static unsigned plan(struct sched *s)
{
    unsigned n_seqs = sort_by_age(s), n_single, n_runs = 0, left, n_long;
    bool all_single;

    n_single = sort_out(s, n_seqs, &n_long);
    all_single = n_long == 0;
    left = forward_max_tokens(s->forward);
    if (n_single != 0 && left > mixed_tokens(s) + n_single)
        left = mixed_tokens(s) + n_single;
    left -= n_single;
    for (unsigned i = 0; i < n_seqs; i++) {
        struct seq *q = s->by_age[i];
        unsigned n = to_feed(q);

        if (!q->begun || q->follows) /* or was sent back in this step */
            continue;
        if (n > 1)
            n = chunk(n, left, n_long--);
        if (n == 0 || !get_pages(s, i, n_seqs, n + guesses(s, q, n_single, all_single)))
            continue;
        if (to_feed(q) > 1)
            left -= n;
        add_run(s, n_runs++, q, n);
    }
    return n_runs;
}

/* Sends what the last token added to the answer. */
static void send_text(struct seq *q)
{
    if (q->probs != NULL)
        probs_give(q->probs, q->answer.certain, q->text.len, &q->tokens);
    if (q->text.len != 0 || q->tokens.len != 0)
        request_post_text(q->r, &q->text, &q->tokens);
}

/* Whether memory ran out for something of the answer. */
static bool is_lost(const struct seq *q)
{
    return !gw_buf_ok(&q->text) || !gw_buf_ok(&q->answer.held) ||
           (q->probs != NULL && !probs_ok(q->probs));
}

static void finish(struct sched *s, struct seq *q, enum engine_finish how)
{
    if (is_lost(q)) {
        sched_end(s, q, ENGINE_FINISH_ERROR, GW_ENOMEM, "out of memory for the answer");
        return;
    }
    send_text(q);
    sched_end(s, q, how, GW_OK, NULL);
}

/* Takes a token into the answer; the end of a sequence is the end of the answer. False: q has ended. */
static bool take_token(struct sched *s, struct seq *q, int32_t id)
{
    const struct tok *tok = s->cfg.tok;
    enum steer_next next = STEER_ON;
    bool stopped;

    if (tok_is_end(tok, id)) {
        answer_end(&q->answer, &q->text);
        finish(s, q, ENGINE_FINISH_STOP);
        return false;
    }
    q->n_sampled++;
    atomic_fetch_add_explicit(&s->completion_tokens, 1, memory_order_relaxed);
    sampler_accept(q->sampler, id, true);
    if (q->steer != NULL)
        next = steer_take(q->steer, id);
    stopped = answer_add(&q->answer, tok_shown(tok, id), &q->text);
    if (next == STEER_FAILED) {
        sched_end(s, q, ENGINE_FINISH_ERROR, GW_ELIMIT, "the answer's format is too complex");
        return false;
    }
    if (stopped || next == STEER_OVER) {
        if (!stopped)
            answer_end(&q->answer, &q->text);
        finish(s, q, ENGINE_FINISH_STOP);
        return false;
    }
    if (q->n_sampled == q->max_sampled) {
        answer_end(&q->answer, &q->text);
        finish(s, q, ENGINE_FINISH_LENGTH);
        return false;
    }
    if (is_lost(q) || tok_ids_add(&q->ids, id) != GW_OK) {
        sched_end(s, q, ENGINE_FINISH_ERROR, GW_ENOMEM, "out of memory for the answer");
        return false;
    }
    send_text(q);
    return true;
}

/* Takes what the format leaves no choice about: it is fed in one step with the token before it. */
static void take_forced(struct sched *s, struct seq *q)
{
    struct tok_ids ids = {0};

    if (steer_forced(q->steer, &ids) != GW_OK) {
        tok_ids_fini(&ids);
        sched_end(s, q, ENGINE_FINISH_ERROR, GW_ENOMEM, "out of memory for the answer");
        return;
    }
    for (size_t i = 0; i < ids.n && take_token(s, q, ids.ids[i]); i++)
        continue;
    tok_ids_fini(&ids);
}

/* Notes how likely the token is that is about to be taken. */
static void note_prob(const struct sched *s, struct seq *q, int32_t id)
{
    struct gw_span piece = tok_shown(s->cfg.tok, id);
    bool skips = q->answer.strip_space && piece.len != 0 && piece.ptr[0] == ' ';

    if (!tok_is_end(s->cfg.tok, id))
        probs_take(q->probs, s->probs_space, id, piece.len, skips);
}

/* Picks a token from a row of logits, unless a device did (picked), and takes it. False: q has ended. *id gets it. */
static bool sample_row(struct sched *s, struct seq *q, unsigned row, int32_t picked, int32_t *id)
{
    unsigned n_model = s->cfg.m->n_vocab, n_tok = tok_n_vocab(s->cfg.tok);
    float *logits = forward_logits(s->forward, row);
    const int32_t *ids = NULL;
    unsigned n_ids = 0;

    n_tok = n_tok < n_model ? n_tok : n_model; /* rows behind the vocabulary's end are padding */
    if (q->probs != NULL)
        probs_keep(s->probs_space, logits, n_tok);
    if (q->steer != NULL && !steer_logits(q->steer, logits, n_tok, &ids, &n_ids)) {
        sched_end(s, q, ENGINE_FINISH_ERROR, GW_ELIMIT,
                  "no token of the model continues the answer's format");
        return false;
    }
    if (picked >= 0) {
        *id = picked;
        sampler_drew(q->sampler);
    } else {
        *id = sampler_pick_of(q->sampler, s->space, logits, n_tok, ids, n_ids);
    }
    if (q->probs != NULL)
        note_prob(s, q, *id);
    return take_token(s, q, *id);
}

/* Samples behind the last token; and behind each guess, as long as the guesses are what was sampled. */
static void sample(struct sched *s, struct seq *q, const struct forward_run *run)
{
    unsigned n_taken = 0;
    int32_t id;

    if (q->first_ns == 0) {
        q->first_ns = gw_clock_ns();
        request_post_start(q->r, q->n_prompt, q->n_hit, q->first_ns - q->start_ns);
        atomic_fetch_add_explicit(&s->cached_tokens, q->n_hit, memory_order_relaxed);
    }
    for (;;) {
        if (!sample_row(s, q, run->logits_row + n_taken, run->picked, &id))
            return;
        if (n_taken == q->n_draft || id != q->fed[1 + n_taken])
            break;
        n_taken++;
        q->n_cached++; /* the guess was fed, so its keys are there */
    }
    line_charge(&q->r->place, n_taken);
    sched_drafted(s, q, n_taken, run->logits_row + n_taken);
    /* Forced tokens have no logits, and do not heed biases. */
    if (q->steer != NULL && q->probs == NULL && q->r->params.n_bias == 0)
        take_forced(s, q);
}

/* Lets a device pick what nothing on the CPU has a say in. */
static void offer_picks(struct sched *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct seq *q = s->run_seqs[i];

        s->runs[i].pick = NULL;
        if (s->cfg.device != NULL && s->runs[i].n_logits == 1 && q->steer == NULL &&
            q->probs == NULL && sampler_describe(q->sampler, &s->picks[i]))
            s->runs[i].pick = &s->picks[i];
    }
}

/* Only a device fails. Who was in the step, and who waits, is told; nobody else comes in (sched_push). */
static void step_failed(struct sched *s, unsigned n, enum gw_status st)
{
    if (!atomic_load(&s->is_lost)) {
        (void)snprintf(s->lost, sizeof(s->lost), "%.159s", forward_error(s->forward));
        atomic_store(&s->is_lost, true);
    }
    for (unsigned i = 0; i < n; i++)
        sched_end(s, s->run_seqs[i], ENGINE_FINISH_ERROR, st, s->lost);
    sched_refuse_waiting(s, st, s->lost);
}

static void count_in(atomic_ullong buckets[ENGINE_STEP_BUCKETS], unsigned v)
{
    unsigned i = v <= 1 ? 0 : 32 - (unsigned)__builtin_clz(v - 1);

    if (i < ENGINE_STEP_BUCKETS)
        atomic_fetch_add_explicit(&buckets[i], 1, memory_order_relaxed);
}

static void count_step(struct sched *s, unsigned n_requests, unsigned n_tokens)
{
    atomic_fetch_add_explicit(&s->n_steps, 1, memory_order_relaxed); /* first: see sched_stats() */
    atomic_fetch_add_explicit(&s->step_requests, n_requests, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->step_tokens, n_tokens, memory_order_relaxed);
    count_in(s->by_requests, n_requests);
    count_in(s->by_tokens, n_tokens);
}

void sched_step(struct sched *s)
{
    unsigned n = plan(s), n_tokens = 0;
    enum gw_status st;
    uint64_t t0 = gw_clock_ns();

    if (n == 0)
        return;
    for (unsigned i = 0; i < n; i++)
        n_tokens += s->runs[i].n_tokens;
    offer_picks(s, n);
    st = forward_step(s->forward, s->runs, n);
    if (st != GW_OK) {
        step_failed(s, n, st);
        return;
    }
    note_time(s, n_tokens, gw_clock_ns() - t0);
    count_step(s, n, n_tokens);
    for (unsigned i = 0; i < n; i++) {
        struct seq *q = s->run_seqs[i];
        const struct forward_run *run = &s->runs[i];
        unsigned before = q->n_cached;

        q->n_cached += run->n_tokens - q->n_draft;
        q->n_turn += run->n_tokens - q->n_draft;
        line_charge(&q->r->place, run->n_tokens - q->n_draft);
        if (before < q->n_prompt)
            sched_publish(s, q); /* others may need it as soon as it is there */
        if (before < q->n_prompt && q->n_sampled == 0)
            atomic_fetch_add_explicit(
                &s->prompt_tokens, (q->n_cached < q->n_prompt ? q->n_cached : q->n_prompt) - before,
                memory_order_relaxed);
        if (run->n_logits != 0 && !request_is_canceled(q->r))
            sample(s, q, run);
    }
}
