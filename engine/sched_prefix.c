/* engine/sched_prefix.c - what a sequence need not compute, because another one did or is about to.
 *
 * A sequence that begins takes the pages of the longest prefix in the tree. When an older one that still
 * computes its prompt agrees with it further than that, it follows: it sits out until the leader has passed
 * what they share, and takes the pages straight from it. So of requests that come at once with one prefix,
 * one computes it. Leaders are older, so the oldest never waits and no two wait for each other. */
#include "engine/sched_private.h"

/* Tokens that are worth waiting for. */
enum { FOLLOW_TOKENS = KERN_KV_BLOCK };

/* The last token is always computed: its logits are wanted. */
static unsigned most_shared(const struct seq *q)
{
    return (unsigned)q->ids.n - 1;
}

static unsigned common(const struct seq *a, const struct seq *b)
{
    size_t n = a->ids.n < b->ids.n ? a->ids.n : b->ids.n, i = 0;

    while (i < n && a->ids.ids[i] == b->ids.ids[i])
        i++;
    return (unsigned)i;
}

/* Looks for an older sequence that is about to compute what q needs. */
static void find_leader(struct sched *s, struct seq *q)
{
    unsigned most = q->n_cached + FOLLOW_TOKENS - 1;

    q->leader = NULL;
    for (unsigned i = 0; i < s->cfg.max_seqs; i++) {
        struct seq *o = &s->seqs[i];
        unsigned n;

        if (o->r == NULL || o->age >= q->age || o->root != q->root || o->n_cached >= o->n_prompt)
            continue;
        n = common(o, q);
        n = n < most_shared(q) ? n : most_shared(q);
        if (n <= most || o->n_cached >= n)
            continue;
        most = n;
        q->leader = o;
        q->leader_age = o->age;
        q->n_common = n;
    }
}

static bool is_led(const struct seq *q)
{
    return q->leader != NULL && q->leader->r != NULL && q->leader->age == q->leader_age;
}

/* Counts what q need not compute; its own work, taken back after it was sent back, is no gain. */
static void count_hit(struct seq *q, unsigned before)
{
    if (!q->sent_back && q->n_cached > before)
        q->n_hit += q->n_cached - before;
}

/* Takes the first n_common tokens from the leader's pages, the last of which may be half full. */
static void take_from_leader(struct sched *s, struct seq *q)
{
    const struct seq *o = q->leader;
    unsigned before = q->n_cached;

    if (q->n_cached >= q->n_common)
        return;
    kvcache_truncate(s->kv, &q->kv, q->n_cached - q->n_cached % KERN_KV_BLOCK);
    q->n_cached -= q->n_cached % KERN_KV_BLOCK;
    while (q->n_cached < q->n_common) {
        unsigned i = q->n_cached / KERN_KV_BLOCK, end = (i + 1) * KERN_KV_BLOCK;

        if (kvcache_put(s->kv, &q->kv, i, o->kv.pages[i]) != GW_OK)
            break;
        q->n_cached = end < q->n_common ? end : q->n_common;
    }
    count_hit(q, before);
}

void sched_attach(struct sched *s, struct seq *q)
{
    unsigned before = q->n_cached;

    if (s->cfg.prefixes == ENGINE_PREFIXES_OFF)
        return;
    if (q->ids.n > 1)
        q->n_cached = radix_attach(s->tree, q->root, q->ids.ids, most_shared(q), &q->kv, before);
    count_hit(q, before);
    find_leader(s, q);
}

bool sched_follows(struct sched *s, struct seq *q)
{
    if (q->leader == NULL)
        return false;
    if (is_led(q)) {
        if (q->leader->n_cached < q->n_common && q->leader->n_cached + FOLLOW_TOKENS > q->n_cached)
            return true;
        if (q->leader->n_cached >= q->n_common)
            take_from_leader(s, q);
        q->leader = NULL;
        return false;
    }
    /* It ended: it may have left pages, and another one may lead. */
    sched_attach(s, q);
    return q->leader != NULL;
}

void sched_publish(struct sched *s, struct seq *q)
{
    if (s->cfg.prefixes != ENGINE_PREFIXES_OFF)
        radix_publish(s->tree, q->root, q->age + 1, q->ids.ids, q->n_cached, &q->kv);
}
