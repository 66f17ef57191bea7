/* dlp/rulec_sequel.c - what every match has behind a window: some bytes of one set, then so many of another, twice.
 *
 * Many rules look for a name to which something is given: a common word, a few bytes that may stand between, a sign, and a value of many
 * bytes of one kind. The word alone is in every text; what stands behind it tells most of these places from matches before anything in
 * front is looked at. Thread: any. */
#include <string.h>

#include "dlp/rulec_sequence.h"

enum {
    MAX_PIECES = 2 * RULEC_MAX_ELEMENTS,
    VALUE = 4, /* bytes of a run that is worth more than any sign */
};

/* What is worth a look: it refuses that share of the places at least. */
static const double WORTH = 0.3;

/* Bytes of a set in a row: n of them, or up to n. */
struct piece {
    const struct element *e;
    unsigned n;
    bool is_sure;
};

struct pieces {
    struct piece p[MAX_PIECES];
    unsigned n;
};

static unsigned cap(long n)
{
    return n == RX_INFINITE || n > BUNDLE_SEQUEL_FAR ? BUNDLE_SEQUEL_FAR + 1 : (unsigned)n;
}

static void add_piece(struct pieces *all, const struct element *e, unsigned n, bool is_sure)
{
    if (n > 0)
        all->p[all->n++] = (struct piece){e, n, is_sure};
}

static void take_pieces(const struct sequence *s, unsigned i, struct pieces *all)
{
    for (all->n = 0; i < s->n; i++) {
        const struct element *e = s->e[i];

        if (e->kind == ELEMENT_SET)
            add_piece(all, e, 1, true);
        if (e->kind != ELEMENT_GAP)
            continue;
        add_piece(all, e, cap(e->min), true);
        add_piece(all, e, e->max == RX_INFINITE ? cap(e->max) : cap(e->max - e->min), false);
    }
}

/* How often as many bytes as n are all of a set that a byte of text is of that often. */
static double all_of(double often, unsigned n)
{
    double cost = 1;

    for (unsigned i = 0; i < n && often < 1; i++)
        cost *= often;
    return cost;
}

static void join(struct bundle_set *all, double *often, const struct element *e)
{
    struct bundle_set was = *all;

    rx_set_join(all, &e->set);
    if (memcmp(all, &e->set, sizeof(was)) == 0)
        *often = e->often;
    else if (memcmp(all, &was, sizeof(was)) != 0)
        *often = rulec_set_frequency(all);
}

/* Fills in the run that begins with piece k, as many pieces as make it the rarest. apart: without a byte of part->skip, and so long that it is known
 * where it ends. Returns the piece behind it, k when there is none, and how rare it is in *cost. */
static unsigned take_run(const struct pieces *all, unsigned k, bool apart,
                         struct rulec_sequel_part *part, double *cost)
{
    struct bundle_set set = {{0}};
    unsigned n = 0, behind = k;
    double often = 0;

    *cost = 2;
    for (; k < all->n && all->p[k].is_sure && n < BUNDLE_SEQUEL_FAR; k++) {
        double now;

        join(&set, &often, all->p[k].e);
        if (apart && (rx_set_meets(&set, &part->skip) || n + all->p[k].n > BUNDLE_SEQUEL_FAR))
            break;
        n += all->p[k].n;
        now = all_of(often, n);
        if (now > *cost)
            continue;
        *cost = now;
        part->run = set;
        part->n = n < BUNDLE_SEQUEL_FAR ? n : BUNDLE_SEQUEL_FAR;
        behind = k + 1;
    }
    return behind;
}

static void skip_piece(struct rulec_sequel_part *part, const struct piece *p)
{
    rx_set_join(&part->skip, &p->e->set);
    part->most = cap((long)part->most + p->n);
}

/* The first run that what stands in front of it cannot be taken for. Returns the piece behind it; 0: there is none. */
static unsigned first_part(const struct pieces *all, struct rulec_sequel_part *part)
{
    double cost = 0;

    for (unsigned k = 0; k < all->n; k++) {
        if (all->p[k].is_sure && !rx_set_meets(&part->skip, &all->p[k].e->set)) {
            unsigned behind = take_run(all, k, true, part, &cost);

            return behind > k ? behind : 0;
        }
        skip_piece(part, &all->p[k]);
    }
    return 0;
}

/* The rarest run of those that may be a value, or of all when there is none. False: there are no runs. */
static bool last_part(const struct pieces *all, unsigned k, struct rulec_sequel_part *part)
{
    struct rulec_sequel_part now = {.most = 0};
    double least = 2;
    bool found = false;

    for (; k < all->n; k++) {
        double cost = 0;

        if (all->p[k].is_sure) {
            (void)take_run(all, k, false, &now, &cost);
            if (!found || (now.n >= VALUE) > (part->n >= VALUE) ||
                ((now.n >= VALUE) == (part->n >= VALUE) && cost < least)) {
                least = cost;
                *part = now;
                found = true;
            }
        }
        skip_piece(&now, &all->p[k]);
    }
    return found;
}

void rulec_sequel_of(const struct sequence *s, unsigned i, struct rulec_sequel *out)
{
    struct pieces all;
    unsigned behind;

    memset(out, 0, sizeof(*out));
    for (; i < s->n && s->e[i]->kind == ELEMENT_SET &&
           (out->at < BUNDLE_WINDOW_BYTES || s->e[i]->n_folded > 0);
         i++)
        out->at++;
    take_pieces(s, i, &all);
    behind = first_part(&all, &out->part[0]);
    if (behind == 0) {
        out->part[0] = (struct rulec_sequel_part){.most = 0};
        out->n_parts = last_part(&all, 0, &out->part[0]);
        return;
    }
    out->n_parts = 1 + last_part(&all, behind, &out->part[1]);
}

/* Leaves p's run only n bytes; the part behind it begins with the others. */
static void shorten(struct rulec_sequel_part *p, unsigned n, struct rulec_sequel_part *next)
{
    if (next != NULL && p->n > n) {
        rx_set_join(&next->skip, &p->run);
        next->most = cap((long)next->most + p->n - n);
    }
    p->n = n;
}

void rulec_sequel_widen(struct rulec_sequel *a, const struct rulec_sequel *b)
{
    struct rulec_sequel other = *b;

    if (a->at != b->at)
        a->n_parts = 0;
    if (a->n_parts > b->n_parts)
        a->n_parts = b->n_parts;
    for (unsigned k = 0; k < a->n_parts; k++) {
        struct rulec_sequel_part *x = &a->part[k], *y = &other.part[k];
        unsigned n = x->n < y->n ? x->n : y->n;
        bool is_last = k + 1 == a->n_parts;

        shorten(x, n, is_last ? NULL : x + 1);
        shorten(y, n, is_last ? NULL : y + 1);
        rx_set_join(&x->skip, &y->skip);
        rx_set_join(&x->run, &y->run);
        x->most = x->most > y->most ? x->most : y->most;
        /* Where the next part begins is known only as long as it is told what is skipped and what is not. */
        if (rx_set_meets(&x->skip, &x->run))
            a->n_parts = k + 1;
    }
}

void rulec_sequel_finish(struct rulec_sequel *a)
{
    double cost = 1;

    for (unsigned k = 0; k < a->n_parts; k++) {
        const struct rulec_sequel_part *p = &a->part[k];

        cost *= all_of(rulec_set_frequency(&p->run), p->n);
    }
    if (cost > 1 - WORTH || a->n_parts == 0)
        *a = (struct rulec_sequel){.at = 0};
}

void rulec_sequel_read(const struct bundle *b, const struct bundle_target *t,
                       struct rulec_sequel *out)
{
    const struct bundle_sequel *s = &b->sequels[t->sequel];

    memset(out, 0, sizeof(*out));
    out->at = t->sequel_at;
    out->n_parts = s->n_parts;
    for (unsigned k = 0; k < s->n_parts; k++) {
        out->part[k].skip = b->sets[s->part[k].skip];
        out->part[k].run = b->sets[s->part[k].run];
        out->part[k].most = s->part[k].most;
        out->part[k].n = s->part[k].n;
    }
}
