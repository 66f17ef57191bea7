/* engine/sched_draft.c - guessing the next tokens of an answer: from what the sequence holds already (prompt
 * lookup), where its last three or two tokens stood before, what followed them then may follow again; or by a draft model
 * (drafter.h) or Medusa heads (sched_heads.c), where they were named and their guesses save more time than they take, by what was measured lately. The
 * guesses are computed in the same step as the token before them, which costs little while a step waits for
 * memory, and each is taken only when the sampler picks that very token from the logits before it. So the
 * answer is the same with and without. See sched_step.c. */
#include <string.h>

#include "base/clock.h"
#include "engine/sched_private.h"

enum {
    LOOK_BACK = 4096, /* ids that are searched */
    LONGEST = 3,
    SHORTEST = 2,
    /* Of 256: below this share of taken guesses a sequence guesses in one step of PAUSE only. */
    LOW_TAKEN = 64,
    PAUSE = 16
};

/* What followed the last occurrence of the final n ids before the end, at most k ids. */
static unsigned look_up(const struct tok_ids *ids, size_t n, int32_t *out, unsigned k)
{
    size_t first = ids->n > LOOK_BACK ? ids->n - LOOK_BACK : 0;
    const int32_t *tail = ids->ids + ids->n - n;

    if (ids->n < n + 1)
        return 0;
    for (size_t at = ids->n - n; at-- > first;) {
        size_t end = at + n;
        unsigned got;

        if (memcmp(ids->ids + at, tail, n * sizeof(*tail)) != 0)
            continue;
        for (got = 0; got < k && end + got < ids->n; got++)
            out[got] = ids->ids[end + got];
        return got;
    }
    return 0;
}

/* How many guesses q may make when n_single sequences take part. */
static unsigned room_for(const struct sched *s, const struct seq *q, unsigned n_single)
{
    unsigned most = n_single == 0 || n_single >= SCHED_DRAFT_ROWS
                        ? 0
                        : (SCHED_DRAFT_ROWS - n_single) / n_single;
    unsigned left = q->max_sampled - q->n_sampled - 1, pos = q->n_cached + 1;

    if (most > SCHED_MAX_DRAFT)
        most = SCHED_MAX_DRAFT;
    if (most > left)
        most = left;
    if (most > s->cfg.max_context - pos)
        most = s->cfg.max_context - pos;
    return most;
}

/* Would a sequence's share of the steps that guesses of the draft model save outweigh the time to make them? */
static bool pays(const struct sched *s, const struct seq *q, unsigned n_single)
{
    return s->cfg.eager_drafts || s->guess_ns == 0 || s->single_ns == 0 ||
           (uint64_t)q->model_taken * s->single_ns / n_single > 256 * s->guess_ns;
}

/* Guesses of the draft model. */
static unsigned ask_model(struct sched *s, struct seq *q, unsigned most, int32_t *out)
{
    uint64_t t0 = gw_clock_ns(), each;
    unsigned n = drafter_guess(s->cfg.drafter, &q->own, q->ids.ids, (unsigned)q->ids.n, most, out);

    if (n != 0) {
        each = (gw_clock_ns() - t0) / n;
        s->guess_ns = s->guess_ns == 0 ? each + 1 : (7 * s->guess_ns + each) / 8 + 1;
    }
    return n;
}

/* Guesses of what was named, where there is nothing or less to hope for from the n that were looked up. */
static unsigned ask(struct sched *s, struct seq *q, unsigned n_single, unsigned most, unsigned n,
                    int32_t *out)
{
    if (n != 0 && !s->cfg.eager_drafts && q->model_taken <= q->taken)
        return 0;
    if (s->cfg.medusa != NULL)
        return sched_ask_heads(s, q, n_single, most, out);
    if (s->cfg.drafter != NULL && (pays(s, q, n_single) || q->n_sampled % PAUSE == 0))
        return ask_model(s, q, most, out);
    return 0;
}

unsigned sched_draft(struct sched *s, struct seq *q, unsigned n_single)
{
    unsigned most = room_for(s, q, n_single), n = 0, n_asked;
    int32_t own[SCHED_MAX_DRAFT];

    q->n_draft = 0;
    q->draft_by = BY_LOOKUP;
    /* A format may force tokens behind each one, which no guess foresees. */
    if (s->cfg.no_drafts || q->steer != NULL || q->n_sampled == 0 || most == 0)
        return 0;
    if (q->taken >= LOW_TAKEN || q->n_sampled % PAUSE == 0)
        for (unsigned len = LONGEST; n == 0 && len >= SHORTEST; len--)
            n = look_up(&q->ids, len, q->fed + 1, most);
    n_asked = ask(s, q, n_single, most, n, own);
    if (n_asked != 0) {
        q->draft_by = s->cfg.medusa != NULL ? BY_HEADS : BY_MODEL;
        memcpy(q->fed + 1, own, n_asked * sizeof(*own));
        n = n_asked;
    }
    /* Nobody loses a page for a guess. */
    while (n != 0 && kvcache_missing(s->kv, &q->kv, q->n_cached, q->n_cached + 1 + n) != 0)
        n--;
    if (q->draft_by == BY_MODEL && n == 0)
        drafter_keep(s->cfg.drafter, &q->own, (unsigned)q->ids.n);
    q->fed[0] = q->ids.ids[q->n_cached];
    q->n_draft = n;
    return n;
}

void sched_drafted(struct sched *s, struct seq *q, unsigned n_taken, unsigned row)
{
    int *taken = q->draft_by == BY_LOOKUP ? &q->taken : &q->model_taken;

    sched_keep_hidden(s, q, row);
    if (q->n_draft == 0)
        return;
    /* A mean over about the last eight steps. */
    *taken += ((int)(n_taken * 256 / q->n_draft) - *taken) / 8;
    atomic_fetch_add_explicit(&s->draft_tokens, q->n_draft, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->draft_taken, n_taken, memory_order_relaxed);
    if (q->draft_by == BY_HEADS)
        sched_heads_drafted(s, q, n_taken);
    if (q->draft_by == BY_MODEL) {
        atomic_fetch_add_explicit(&s->draft_model_tokens, q->n_draft, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->draft_model_taken, n_taken, memory_order_relaxed);
        drafter_keep(s->cfg.drafter, &q->own, q->n_cached);
    }
    kvcache_truncate(s->kv, &q->kv, q->n_cached);
    q->n_draft = 0;
}
