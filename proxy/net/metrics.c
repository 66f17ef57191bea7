/* proxy/net/metrics.c - histograms of metrics.h; the text for Prometheus is in metrics_text.c. */
#include "proxy/net/metrics.h"

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
