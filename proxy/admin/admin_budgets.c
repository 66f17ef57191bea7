/* proxy/admin/admin_budgets.c - /api/budgets: what this gateway's budgets have counted by now. Main thread. */
#include <stdio.h>

#include "base/clock.h"
#include "proxy/admin/admin_api.h"
#include "proxy/limits/limits.h"
#include "proxy/net/worker.h"

enum { MAX_LISTED = 10000 };

struct listing {
    struct gw_buf *out;
    struct gw_span budget; /* only its counters; empty: all */
    int64_t now_ms;
    unsigned n;
};

static bool is_asked_for(const struct listing *l, struct gw_span key)
{
    return l->budget.len == 0 || (gw_span_starts(key, l->budget) && key.len > l->budget.len &&
                                  key.ptr[l->budget.len] == '|');
}

static void put_counter(void *ctx, const char *key, uint64_t used, uint64_t held, int64_t start_ms,
                        int64_t end_ms)
{
    struct listing *l = ctx;
    char time[GW_RFC3339_BYTES];

    if (!is_asked_for(l, gw_span_str(key)) || (end_ms != 0 && end_ms <= l->now_ms) ||
        l->n == MAX_LISTED)
        return;
    gw_buf_adds(l->out, l->n++ == 0 ? "\n{\"counter\":" : ",\n{\"counter\":");
    gw_buf_add_json_str(l->out, gw_span_str(key));
    gw_buf_printf(l->out, ",\"used\":%llu,\"held\":%llu", (unsigned long long)used,
                  (unsigned long long)held);
    if (end_ms != 0) {
        gw_clock_rfc3339(start_ms, time);
        gw_buf_printf(l->out, ",\"begins\":\"%s\"", time);
        gw_clock_rfc3339(end_ms, time);
        gw_buf_printf(l->out, ",\"ends\":\"%s\"", time);
    }
    gw_buf_addc(l->out, '}');
}

/* ?budget=NAME: only its counters. Money is in nano-units. */
enum admin_result admin_budgets_list(struct admin_call *c)
{
    struct listing l = {
        .out = &c->out, .budget = admin_call_query(c, "budget"), .now_ms = gw_clock_wall_ms()};

    gw_buf_adds(&c->out, "{\"counters\":[");
    limits_each(c->server->limits, put_counter, &l);
    gw_buf_printf(&c->out, "],\"truncated\":%s}\n", l.n == MAX_LISTED ? "true" : "false");
    return ADMIN_DONE;
}
