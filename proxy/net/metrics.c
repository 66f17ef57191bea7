/* proxy/net/metrics.c - histograms of metrics.h; the text for Prometheus is in metrics_text.c. */
#include "proxy/net/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const uint64_t metrics_bounds_us[METRICS_BUCKETS - 1] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,
    250000, 1000000, 2500000, 5000000, 10000000, 60000000,
};

const uint64_t metrics_bounds_stage[METRICS_BUCKETS - 1] = {
    10000,   25000,   50000,    100000,   250000,    500000,     1000000,
    2500000, 5000000, 10000000, 50000000, 250000000, 1000000000,
};

const uint64_t metrics_bounds_tokens[METRICS_BUCKETS - 1] = {
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216,
};

/* One thread writes, so a load and a store do what a locked addition would. */
static void bump(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void metrics_observe(struct metrics_histogram *h, const uint64_t *bounds, uint64_t v)
{
    unsigned b = 0;

    while (b < METRICS_BUCKETS - 1 && v > bounds[b])
        b++;
    bump(&h->buckets[b], 1);
    bump(&h->sum, v);
}

/* ---- names of targets ------------------------------------------------------------------- */

struct metrics_names {
    pthread_mutex_t lock;
    char *names[METRICS_TARGETS];
    unsigned n;
};

struct metrics_names *metrics_names_new(void)
{
    struct metrics_names *n = calloc(1, sizeof(*n));

    if (n != NULL)
        (void)pthread_mutex_init(&n->lock, NULL);
    return n;
}

void metrics_names_free(struct metrics_names *n)
{
    if (n == NULL)
        return;
    for (unsigned i = 0; i < n->n; i++)
        free(n->names[i]);
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
}

unsigned metrics_name(struct metrics_names *n, const char *name)
{
    unsigned place = 0;

    (void)pthread_mutex_lock(&n->lock);
    while (place < n->n && strcmp(n->names[place], name) != 0)
        place++;
    if (place == n->n && place < METRICS_TARGETS) {
        n->names[place] = strdup(name);
        if (n->names[place] != NULL)
            n->n++;
        else
            place = METRICS_TARGETS;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return place;
}

const char *metrics_name_at(struct metrics_names *n, unsigned place)
{
    const char *name = place == METRICS_TARGETS ? "other" : NULL;

    (void)pthread_mutex_lock(&n->lock);
    if (place < n->n)
        name = n->names[place];
    (void)pthread_mutex_unlock(&n->lock);
    return name;
}

static bool is_slot(const struct metrics_target *t, struct gw_span name, const char *currency)
{
    return strncmp(t->name, name.ptr, name.len) == 0 && t->name[name.len] == '\0' &&
           strcmp(t->currency, currency) == 0;
}

struct metrics_target *metrics_target_of(struct metrics *m, struct gw_span name,
                                         const char *currency)
{
    unsigned n = atomic_load_explicit(&m->n_targets, memory_order_relaxed);
    struct metrics_target *t;

    if (name.len >= sizeof(t->name))
        name = GW_SPAN("other");
    for (unsigned i = 0; i < n; i++)
        if (is_slot(&m->targets[i], name, currency))
            return &m->targets[i];
    if (n == METRICS_MAX_TARGETS)
        return &m->targets[n - 1];
    t = &m->targets[n];
    if (n == METRICS_MAX_TARGETS - 1)
        name = GW_SPAN("other");
    memcpy(t->name, name.ptr, name.len);
    memcpy(t->currency, currency, strnlen(currency, sizeof(t->currency) - 1));
    atomic_store_explicit(&m->n_targets, n + 1, memory_order_release);
    return t;
}
