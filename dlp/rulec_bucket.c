/* dlp/rulec_bucket.c - sorts windows into the buckets of the SIMD filter.
 *
 * The filter tests a number of unions of windows at once; a union of unlike windows passes far more text
 * than its members. Agglomerative: the two clusters whose union costs least are joined until so many are
 * left. Each cluster remembers its nearest other one. When that one grows or goes, what joining with it would have cost
 * stands in as an estimate that is too low by and large, and is made good when it would be the cheapest: so a step looks
 * at few pairs. Thread: any. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec_anchor.h"

struct cluster {
    struct bundle_set set[BUNDLE_WINDOW_BYTES];
    double near_cost; /* what joining with nearest adds */
    unsigned nearest;
    bool live;
    bool stale; /* nearest has changed since */
};

/* What the search for a cluster's nearest looks at most. */
struct weight {
    double sum[BUNDLE_WINDOW_BYTES]; /* frequency of each set's bytes */
    double cost;                     /* of the union */
};

struct clusters {
    struct cluster *of;
    struct weight *weight;
    unsigned n;
};

/* Frequency of the bytes in both sets. Most pairs have none in common, or one holds all of the other. */
static double common(const struct clusters *x, unsigned a, unsigned b, unsigned place)
{
    const struct bundle_set *first = &x->of[a].set[place], *second = &x->of[b].set[place];
    struct bundle_set both = *first;
    uint32_t any = 0;

    for (unsigned i = 0; i < 8; i++) {
        both.w[i] &= second->w[i];
        any |= both.w[i];
    }
    if (any == 0)
        return 0;
    if (memcmp(&both, first, sizeof(both)) == 0)
        return x->weight[a].sum[place];
    if (memcmp(&both, second, sizeof(both)) == 0)
        return x->weight[b].sum[place];
    return rulec_set_frequency(&both);
}

static double joined_cost(const struct clusters *x, unsigned a, unsigned b)
{
    double cost = 1.0;

    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
        double sum = x->weight[a].sum[k] + x->weight[b].sum[k] - common(x, a, b, k);

        cost *= sum < 1.0 ? sum : 1.0;
    }
    return cost;
}

/* What the union of two costs at least: each of its sets holds the larger one of theirs. */
static double least_cost(const struct weight *a, const struct weight *b)
{
    double cost = 1.0;

    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
        double sum = a->sum[k] > b->sum[k] ? a->sum[k] : b->sum[k];

        cost *= sum < 1.0 ? sum : 1.0;
    }
    return cost;
}

/* Fills in what follows from the sets. */
static void weigh(const struct cluster *c, struct weight *w)
{
    w->cost = 1.0;
    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
        w->sum[k] = rulec_set_frequency(&c->set[k]);
        w->cost *= w->sum[k] < 1.0 ? w->sum[k] : 1.0;
    }
}

static void find_nearest(const struct clusters *x, unsigned i)
{
    const struct weight *w = &x->weight[i];
    struct cluster *c = &x->of[i];

    c->near_cost = DBL_MAX;
    c->stale = false;
    for (unsigned j = 0; j < x->n; j++) {
        double cost = 0;

        if (j == i || !x->of[j].live ||
            least_cost(w, &x->weight[j]) - w->cost - x->weight[j].cost >= c->near_cost)
            continue;
        cost = joined_cost(x, i, j) - w->cost - x->weight[j].cost;
        if (cost < c->near_cost) {
            c->near_cost = cost;
            c->nearest = j;
        }
    }
}

/* The cluster that is cheapest to join with its nearest. */
static unsigned find_cheapest(const struct clusters *x)
{
    for (;;) {
        double best = DBL_MAX;
        unsigned a = 0;

        for (unsigned i = 0; i < x->n; i++) {
            if (x->of[i].live && x->of[i].near_cost < best) {
                best = x->of[i].near_cost;
                a = i;
            }
        }
        if (!x->of[a].stale)
            return a;
        find_nearest(x, a);
    }
}

/* Joins the cheapest pair. */
static void join_one(const struct clusters *x, unsigned *owner)
{
    struct cluster *all = x->of;
    unsigned a = find_cheapest(x), b = all[a].nearest;

    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
        rx_set_join(&all[a].set[k], &all[b].set[k]);
    weigh(&all[a], &x->weight[a]);
    all[b].live = false;
    for (unsigned i = 0; i < x->n; i++)
        if (owner[i] == b)
            owner[i] = a;
    for (unsigned i = 0; i < x->n; i++)
        all[i].stale = all[i].stale || all[i].nearest == a || all[i].nearest == b;
    find_nearest(x, a);
}

enum gw_status rulec_buckets(const struct bundle_set (*windows)[BUNDLE_WINDOW_BYTES], unsigned n,
                             unsigned n_buckets, unsigned *bucket)
{
    struct clusters x = {calloc(n + 1, sizeof(struct cluster)),
                         calloc(n + 1, sizeof(struct weight)), n};
    unsigned next = 0;

    if (x.of == NULL || x.weight == NULL) {
        free(x.of);
        free(x.weight);
        return GW_ENOMEM;
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
            x.of[i].set[k] = windows[i][k];
        weigh(&x.of[i], &x.weight[i]);
        x.of[i].live = true;
        bucket[i] = i;
    }
    for (unsigned i = 0; n > n_buckets && i < n; i++)
        find_nearest(&x, i);
    for (unsigned live = n; live > n_buckets; live--)
        join_one(&x, bucket);
    /* Number the clusters that are left; nearest is free now. */
    for (unsigned i = 0; i < n; i++)
        if (x.of[i].live)
            x.of[i].nearest = next++;
    for (unsigned i = 0; i < n; i++)
        bucket[i] = x.of[bucket[i]].nearest;
    free(x.of);
    free(x.weight);
    return GW_OK;
}
