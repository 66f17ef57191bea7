/* engine/sched_draft.c - guessing the next tokens of an answer from what the sequence holds already (prompt
 * lookup): where its last three or two tokens stood before, what followed them then may follow again. The
 * guesses are computed in the same step as the token before them, which costs little while a step waits for
 * memory, and each is taken only when the sampler picks that very token from the logits before it. So the
 * answer is the same with and without. See sched_step.c. */
#include <string.h>

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

unsigned sched_draft(struct sched *s, struct seq *q, unsigned n_single)
{
    unsigned most = room_for(s, q, n_single), n = 0;

    q->n_draft = 0;
    /* A format may force tokens behind each one, which no guess foresees. */
    if (s->cfg.no_drafts || q->steer != NULL || q->n_sampled == 0 || most == 0)
        return 0;
    if (q->taken < LOW_TAKEN && q->n_sampled % PAUSE != 0)
        return 0;
    for (unsigned len = LONGEST; n == 0 && len >= SHORTEST; len--)
        n = look_up(&q->ids, len, q->fed + 1, most);
    /* Nobody loses a page for a guess. */
    while (n != 0 && kvcache_missing(s->kv, &q->kv, q->n_cached, q->n_cached + 1 + n) != 0)
        n--;
    q->fed[0] = q->ids.ids[q->n_cached];
    q->n_draft = n;
    return n;
}

void sched_drafted(struct sched *s, struct seq *q, unsigned n_taken)
{
    if (q->n_draft == 0)
        return;
    /* A mean over about the last eight steps. */
    q->taken += (int)(n_taken * 256 / q->n_draft - (unsigned)q->taken) / 8;
    atomic_fetch_add_explicit(&s->draft_tokens, q->n_draft, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->draft_taken, n_taken, memory_order_relaxed);
    kvcache_truncate(s->kv, &q->kv, q->n_cached);
    q->n_draft = 0;
}
