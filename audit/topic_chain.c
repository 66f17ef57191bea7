/* audit/topic_chain.c - see topic_chain.h. Owns the ring, what waits, and the trees. */
#include "audit/topic_chain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/seal.h"

/* ---- checkpoints -------------------------------------------------------------------------------- */

static void say_known(struct topic_chain *c, const struct topic_tree *t, const struct topic_note *n)
{
    char origin[NOTE_ORIGIN_BYTES];

    if (!n->last_known)
        return;
    seal_origin(c->name, t->first_seq, origin, sizeof(origin));
    verify_say_known(c->t, gw_span_str(origin), n->size, n->time_ms);
}

/* Compares with the checkpoints of the tree's size. */
static void compare(struct topic_chain *c, struct topic_tree *t)
{
    struct merkle_hash root;
    bool made = false;

    for (; t->next < t->n_notes && t->notes[t->next].size <= t->m.size; t->next++) {
        const struct topic_note *n = &t->notes[t->next];

        if (n->size != t->m.size || t->wrong)
            continue; /* of the part that is not in the topic */
        if (!made)
            merkle_root(&t->m, &root);
        made = true;
        if (memcmp(&root, &n->root, sizeof(root)) == 0) {
            t->signed_size = n->size;
            t->signed_ms = n->time_ms;
            say_known(c, t, n);
            continue;
        }
        t->wrong = true;
        c->t->altered = true;
        verify_tell(c->t,
                    "ALTERED    %s of %s+%" PRIu64 ": the first %" PRIu64
                    " records are not those it has signed\n",
                    n->last_known ? "the last known checkpoint" : "the checkpoint", c->name,
                    t->first_seq, n->size);
    }
}

/* A tree whose beginning is not there goes on at a checkpoint that brings its edge. */
static void find_place(struct topic_chain *c, struct topic_tree *t, uint64_t seq)
{
    for (; t->next < t->n_notes; t->next++) {
        const struct topic_note *n = &t->notes[t->next];

        if (n->last_seq > seq)
            return;
        if (n->last_seq != seq || n->edge == NULL)
            continue;
        t->m = *n->edge;
        t->placed = true;
        compare(c, t);
        return;
    }
}

static void add_leaf(struct topic_chain *c, struct topic_tree *t, uint64_t seq,
                     const struct merkle_hash *leaf)
{
    if (seq < t->first_seq)
        return;
    if (seq == t->first_seq && t->m.size == 0)
        t->placed = true;
    if (!t->placed) {
        t->partial = true;
        find_place(c, t, seq);
        return;
    }
    merkle_add(&t->m, leaf);
    compare(c, t);
}

/* ---- order -------------------------------------------------------------------------------------- */

static void accept(struct topic_chain *c, uint64_t seq, const struct merkle_hash *print)
{
    if (c->records++ == 0)
        c->first_seq = seq;
    for (size_t i = 0; i < c->n_trees; i++)
        add_leaf(c, &c->trees[i], seq, print);
    c->ring[seq % TOPIC_RING].seq = seq;
    c->ring[seq % TOPIC_RING].print = *print;
    c->last_seq = seq;
    c->last = *print;
    c->has_last = true;
}

static bool names_last(const struct topic_chain *c, const struct topic_wait *w)
{
    return w->linked == SPOOL_LINKED_TO && memcmp(w->before, c->last.bytes, sizeof(w->before)) == 0;
}

/* Is it the next one? One that names nothing, of an older version, is believed. */
static bool fits(const struct topic_chain *c, const struct topic_wait *w)
{
    return !c->has_last || w->seq == c->last_seq + 1 || w->linked == SPOOL_LINKED_NONE ||
           names_last(c, w);
}

static void take_next(struct topic_chain *c, const struct topic_wait *w)
{
    if (c->has_last && w->linked != SPOOL_LINKED_NONE && !names_last(c, w)) {
        c->t->altered = true;
        verify_tell(c->t,
                    "ALTERED    chain %s: the record with sequence %" PRIu64
                    " names another record before it than the one that stands there\n",
                    c->name, w->seq);
    }
    accept(c, w->seq, &w->print);
}

/* What waits and fits now. late: it had waited for a record that came behind it. */
static void drain(struct topic_chain *c, bool late)
{
    size_t n = 0;

    while (n < c->n_waiting && (c->waiting[n].seq <= c->last_seq || fits(c, &c->waiting[n]))) {
        if (c->waiting[n].seq > c->last_seq)
            take_next(c, &c->waiting[n]);
        c->late += late;
        n++;
    }
    if (n == 0)
        return;
    memmove(c->waiting, c->waiting + n, (c->n_waiting - n) * sizeof(*c->waiting));
    c->n_waiting -= n;
}

/* The first that waits does so in vain: what is in front of it is not there. */
static void give_up_hole(struct topic_chain *c)
{
    const struct topic_wait *w = &c->waiting[0];

    if (c->n_holes < TOPIC_HOLES)
        c->holes[c->n_holes++] = (struct topic_hole){c->last_seq + 1, w->seq - 1};
    for (size_t i = 0; i < c->n_trees; i++)
        if (c->trees[i].placed) { /* it may go on at an edge behind the hole */
            c->trees[i].placed = false;
            c->trees[i].m.size = UINT64_MAX;
        }
    c->has_last = false;
    drain(c, false);
}

static enum gw_status wait_for_others(struct topic_chain *c, const struct topic_wait *w)
{
    size_t at = c->n_waiting;

    if (c->n_waiting == c->cap_waiting) {
        size_t cap = c->cap_waiting == 0 ? 64 : c->cap_waiting * 2;
        void *p = realloc(c->waiting, cap * sizeof(*c->waiting));

        if (p == NULL)
            return GW_ENOMEM;
        c->waiting = p;
        c->cap_waiting = cap;
    }
    while (at > 0 && c->waiting[at - 1].seq > w->seq)
        at--;
    if (at > 0 && c->waiting[at - 1].seq == w->seq) {
        c->repeated++;
        return GW_OK;
    }
    memmove(c->waiting + at + 1, c->waiting + at, (c->n_waiting - at) * sizeof(*c->waiting));
    c->waiting[at] = *w;
    if (++c->n_waiting == TOPIC_WAITING)
        give_up_hole(c);
    return GW_OK;
}

/* Not above the last: the same again, as delivery at least once does, or something else. */
static void take_again(struct topic_chain *c, const struct topic_wait *w)
{
    const uint64_t in_ring = c->ring[w->seq % TOPIC_RING].seq;

    if (in_ring == w->seq &&
        memcmp(&c->ring[w->seq % TOPIC_RING].print, &w->print, sizeof(w->print)) != 0) {
        c->t->altered = true;
        verify_tell(c->t,
                    "ALTERED    chain %s: there are two different records with sequence %" PRIu64
                    "\n",
                    c->name, w->seq);
        return;
    }
    if (in_ring == w->seq || c->last_seq - w->seq >= TOPIC_RING || w->seq < c->first_seq) {
        c->repeated++;
        return;
    }
    c->t->altered = true;
    verify_tell(c->t,
                "ALTERED    chain %s: the record with sequence %" PRIu64
                " does not stand in its place\n",
                c->name, w->seq);
}

enum gw_status topic_chain_take(struct topic_chain *c, const struct spool_rec *rec)
{
    struct topic_wait w = {.seq = rec->seq, .time_ms = rec->time_ms};

    if (c->ring == NULL && (c->ring = calloc(TOPIC_RING, sizeof(*c->ring))) == NULL)
        return GW_ENOMEM;
    w.linked = spool_link_read(rec->payload, w.before);
    spool_print(rec->payload, w.print.bytes);
    if (c->records != 0 && w.seq <= c->last_seq) {
        take_again(c, &w);
        return GW_OK;
    }
    if (!fits(c, &w))
        return wait_for_others(c, &w);
    take_next(c, &w);
    drain(c, true);
    return GW_OK;
}

void topic_chain_end(struct topic_chain *c)
{
    while (c->n_waiting != 0)
        give_up_hole(c);
}

void topic_chain_fini(struct topic_chain *c)
{
    free(c->trees);
    free(c->ring);
    free(c->waiting);
}
