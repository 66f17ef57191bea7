/* proxy/net/metrics.c - histograms of metrics.h; the text for Prometheus is in metrics_text.c. */
#include "proxy/net/metrics.h"

#include <string.h>

#include "proxy/admin/metrics_text.h"

const uint64_t metrics_bounds_us[METRICS_BUCKETS - 1] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,
    250000, 1000000, 2500000, 5000000, 10000000, 60000000,
};

void metrics_observe(struct metrics_histogram *h, uint64_t us)
{
    unsigned b = 0;

    while (b < METRICS_BUCKETS - 1 && us > metrics_bounds_us[b])
        b++;
    metrics_add(&h->buckets[b], 1);
    metrics_add(&h->sum_us, us);
    metrics_add(&h->count, 1);
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
