/* audit/sink_notice.c - what the ledger says of a sink: that it fails, that it works again, that it has missed records. Thread:
 * the sink's. */
#include "audit/core.h"
#include "base/clock.h"

enum { DEGRADED_MS = 5000 }; /* a failure that lasts that long gets a record */

static void tell(struct audit *a, const struct core_trouble *t, enum event_life_kind kind,
                 struct gw_span cause, uint64_t records)
{
    const struct event_life ev = {.kind = kind,
                                  .time_ms = gw_clock_wall_ms(),
                                  .since_ms = t->since_ms,
                                  .cause = cause,
                                  .sink = gw_span_str(t->sink),
                                  .records = records};

    (void)core_hand_life(a, &ev);
}

void core_sink_fails(struct audit *a, struct core_trouble *t, bool at_once)
{
    uint64_t now = gw_clock_ns();

    if (t->since_ns == 0) {
        t->since_ns = now;
        t->since_ms = gw_clock_wall_ms();
    }
    if (t->told || (!at_once && now - t->since_ns < DEGRADED_MS * GW_NS_PER_MS))
        return;
    t->told = true;
    tell(a, t, EVENT_LIFE_DEGRADED, GW_SPAN("sink_failing"), 0);
}

bool core_sink_works(struct audit *a, struct core_trouble *t)
{
    bool failed = t->since_ns != 0;

    if (t->told)
        tell(a, t, EVENT_LIFE_RECOVERED, GW_SPAN("sink_failing"), 0);
    t->told = false;
    t->since_ns = 0;
    t->since_ms = 0;
    return failed;
}

void core_sink_gap(struct audit *a, const struct core_trouble *t, uint64_t records)
{
    tell(a, t, EVENT_LIFE_DEGRADED, GW_SPAN("sink_gap"), records);
}
