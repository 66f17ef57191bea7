/* dlp/rulec_bucket.c - sorts windows into the buckets of the SIMD filter.
 *
 * The filter tests a number of unions of windows at once; a union of unlike windows passes far more text
 * than its members. Agglomerative: the two clusters whose union costs least are joined until so many are
 * left. Each cluster remembers its nearest other one, so a step looks at few pairs. Thread: any. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec_anchor.h"

struct cluster {
    struct bundle_set set[BUNDLE_WINDOW_BYTES];
    double sum[BUNDLE_WINDOW_BYTES]; /* frequency of each set's bytes */
    double cost;                     /* of the union */
    double near_cost;                /* what joining with nearest adds */
    unsigned nearest;
    bool live;
};

/* Frequency of the bytes in both sets. Most pairs have none in common, or one holds all of the other. */
static double common(const struct cluster *a, const struct cluster *b, unsigned place)
{
    struct bundle_set both = a->set[place];
    uint32_t any = 0;

    for (unsigned i = 0; i < 8; i++) {
        both.w[i] &= b->set[place].w[i];
        any |= both.w[i];
    }
    if (any == 0)
        return 0;
    if (memcmp(&both, &a->set[place], sizeof(both)) == 0)
        return a->sum[place];
    if (memcmp(&both, &b->set[place], sizeof(both)) == 0)
        return b->sum[place];
    return rulec_set_frequency(&both);
}

static double joined_cost(const struct cluster *a, const struct cluster *b)
{
    double cost = 1.0;

    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
        double sum = a->sum[k] + b->sum[k] - common(a, b, k);

        cost *= sum < 1.0 ? sum : 1.0;
    }
    return cost;
}

/* Fills in what follows from the sets. */
static void weigh(struct cluster *c)
{
    c->cost = 1.0;
    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++) {
        c->sum[k] = rulec_set_frequency(&c->set[k]);
        c->cost *= c->sum[k] < 1.0 ? c->sum[k] : 1.0;
    }
}

static void find_nearest(struct cluster *all, unsigned n, unsigned i)
{
    all[i].near_cost = DBL_MAX;
    for (unsigned j = 0; j < n; j++) {
        double cost = 0;

        if (j == i || !all[j].live)
            continue;
        cost = joined_cost(&all[i], &all[j]) - all[i].cost - all[j].cost;
        if (cost < all[i].near_cost) {
            all[i].near_cost = cost;
            all[i].nearest = j;
        }
    }
}

/* Joins the cheapest pair. */
static void join_one(struct cluster *all, unsigned n, unsigned *owner)
{
    unsigned a = 0, b = 0;
    double best = DBL_MAX;

    for (unsigned i = 0; i < n; i++) {
        if (all[i].live && all[i].near_cost < best) {
            best = all[i].near_cost;
            a = i;
        }
    }
    b = all[a].nearest;
    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
        rx_set_join(&all[a].set[k], &all[b].set[k]);
    weigh(&all[a]);
    all[b].live = false;
    for (unsigned i = 0; i < n; i++)
        if (owner[i] == b)
            owner[i] = a;
    for (unsigned i = 0; i < n; i++)
        if (all[i].live && (i == a || all[i].nearest == a || all[i].nearest == b))
            find_nearest(all, n, i);
}

enum gw_status rulec_buckets(const struct bundle_set (*windows)[BUNDLE_WINDOW_BYTES], unsigned n,
                             unsigned n_buckets, unsigned *bucket)
{
    struct cluster *all = calloc(n + 1, sizeof(*all));
    unsigned next = 0;

    if (all == NULL)
        return GW_ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
            all[i].set[k] = windows[i][k];
        weigh(&all[i]);
        all[i].live = true;
        bucket[i] = i;
    }
    for (unsigned i = 0; n > n_buckets && i < n; i++)
        find_nearest(all, n, i);
    for (unsigned live = n; live > n_buckets; live--)
        join_one(all, n, bucket);
    /* Number the clusters that are left; nearest is free now. */
    for (unsigned i = 0; i < n; i++)
        if (all[i].live)
            all[i].nearest = next++;
    for (unsigned i = 0; i < n; i++)
        bucket[i] = all[bucket[i]].nearest;
    free(all);
    return GW_OK;
}
