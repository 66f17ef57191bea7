#include "audit/kafka.h"
enum gw_status kafka_open(struct audit *a, const struct audit_config *cfg, struct kafka **out,
                          struct gw_err *err)
{
    (void)a;
    (void)cfg;
    (void)out;
    return gw_fail(err, GW_EUNSUPPORTED, "kafka: not yet");
}
void kafka_close(struct kafka *k, int drain_ms)
{
    (void)k;
    (void)drain_ms;
}
void kafka_wake(struct kafka *k)
{
    (void)k;
}
void kafka_stats(struct kafka *k, struct audit_stats *out)
{
    (void)k;
    (void)out;
}
