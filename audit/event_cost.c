/* audit/event_cost.c - what a request used and cost, as members of its completed record. Thread: any. */
#include <stdio.h>

#include "audit/audit.h"
#include "audit/event_json.h"
#include "base/clock.h"

void event_money(struct event_json *j, struct gw_span key, uint64_t nano)
{
    enum { NANO = 1000000000 };
    uint64_t rest = nano % NANO;

    event_key(j, key);
    gw_buf_addu(j->b, nano / NANO);
    gw_buf_addc(j->b, '.');
    for (uint64_t digit = NANO / 10; digit > rest && digit > 1; digit /= 10)
        gw_buf_addc(j->b, '0');
    gw_buf_addu(j->b, rest);
}

void event_write_cost(struct event_json *j, const struct audit_event *ev)
{
    char day[GW_RFC3339_BYTES];

    event_opt_u(j, EVENT_KEY("cached_tokens"), ev->cached_tokens);
    event_opt_u(j, EVENT_KEY("cache_write_tokens"), ev->cache_write_tokens);
    event_opt_u(j, EVENT_KEY("reasoning_tokens"), ev->reasoning_tokens);
    if (ev->usage_estimated)
        event_bool(j, EVENT_KEY("usage_estimated"), true);
    if (ev->has_cost) {
        event_money(j, EVENT_KEY("cost"), ev->cost_nano);
        gw_clock_rfc3339(ev->price_from_ms, day);
        event_text(j, EVENT_KEY("price_from"), (struct gw_span){day, 10});
    }
    event_opt(j, EVENT_KEY("cache"), ev->cache);
    if (ev->has_saved)
        event_money(j, EVENT_KEY("cost_saved"), ev->saved_nano);
    if (ev->has_compare) {
        event_money(j, EVENT_KEY("cost_alternative"), ev->compare_nano);
        event_text(j, EVENT_KEY("cost_alternative_model"), ev->compare_model);
    }
    if (ev->has_lost)
        event_money(j, EVENT_KEY("cost_lost"), ev->lost_nano);
    if (ev->has_cost || ev->has_compare || ev->has_lost)
        event_text(j, EVENT_KEY("currency"), ev->currency);
}
