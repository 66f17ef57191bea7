/* engine/sched_heads.c - how many tokens the Medusa heads guess for a sequence (medusa.h), by what was measured lately: how often each head
 * was right where those before it were, how long a step of so many tokens takes, and how long the guesses. See sched_draft.c for what
 * becomes of them. */
#include <string.h>

#include "base/clock.h"
#include "engine/sched_private.h"

enum {
    HEADS_PAUSE =
        64, /* one of so many tokens is guessed for though it does not pay, to see whether that has changed */
};

/* The time of w, or of the next smaller that is known. */
static double known_ns(const uint64_t *ns, unsigned w)
{
    while (w > 0 && ns[w] == 0)
        w--;
    return (double)ns[w];
}

unsigned sched_heads_worth(const struct sched *s, const struct seq *q, unsigned n_single,
                           unsigned most)
{
    const double alone = known_ns(s->width_ns, n_single);
    double fastest = 1, expected = 1,
           reached = 1; /* in tokens in the time of a step without guesses */
    unsigned n = 0;

    for (unsigned k = 1; k <= most && alone > 0; k++) {
        const double ns =
            known_ns(s->width_ns, n_single * (1 + k)) + n_single * known_ns(s->heads_ns, k);

        reached *= 1 - (double)q->head_missed[k - 1];
        expected += reached;
        if (expected * alone > fastest * ns) {
            fastest = expected * alone / ns;
            n = k;
        }
    }
    return alone > 0 ? n : most;
}

unsigned sched_ask_heads(struct sched *s, struct seq *q, unsigned n_single, unsigned most,
                         int32_t *out)
{
    const size_t at = (size_t)(q - s->seqs) * s->cfg.m->n_embd;
    unsigned n = medusa_n_heads(s->cfg.medusa);
    uint64_t t0;

    n = n < most ? n : most;
    if (!q->head_known)
        memcpy(q->head_missed, s->head_missed, sizeof(q->head_missed));
    q->head_known = true;
    if (!s->cfg.eager_drafts && q->n_sampled % HEADS_PAUSE != 0)
        n = sched_heads_worth(s, q, n_single, n);
    if (n == 0 || q->hidden_of != q->ids.n)
        return 0;
    t0 = gw_clock_ns();
    medusa_guess(s->cfg.medusa, s->hidden + at, n, out);
    t0 = gw_clock_ns() - t0;
    s->heads_ns[n] = s->heads_ns[n] == 0 ? t0 + 1 : (7 * s->heads_ns[n] + t0) / 8 + 1;
    return n;
}

/* Takes a guess into the mean of about the last n. */
static void note(float *missed, bool right, float n)
{
    *missed += ((right ? 0.0f : 1.0f) - *missed) / n;
}

void sched_heads_drafted(struct sched *s, struct seq *q, unsigned n_taken)
{
    for (unsigned i = 0; i < q->n_draft && i <= n_taken; i++) {
        note(&q->head_missed[i], i < n_taken, 16);
        note(&s->head_missed[i], i < n_taken, 128);
    }
    atomic_fetch_add_explicit(&s->draft_medusa_tokens, q->n_draft, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->draft_medusa_taken, n_taken, memory_order_relaxed);
}

void sched_keep_hidden(struct sched *s, struct seq *q, unsigned row)
{
    const size_t d = s->cfg.m->n_embd, at = (size_t)(q - s->seqs) * d;

    if (s->cfg.medusa == NULL || s->cfg.no_drafts)
        return;
    memcpy(s->hidden + at, forward_hidden(s->forward, row), d * sizeof(*s->hidden));
    q->hidden_of = q->ids.n;
}
