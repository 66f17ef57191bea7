/* proxy/admin/admin_targets.c - GET /api/targets: how the servers of all targets do. Main thread. */
#include "proxy/admin/admin_api.h"
#include "proxy/net/health.h"
#include "proxy/net/worker.h"

static void put_endpoint(const struct health *h, unsigned target, unsigned endpoint,
                         struct gw_buf *out)
{
    struct health_endpoint_view v;

    health_look(h, target, endpoint, &v);
    gw_buf_adds(out, endpoint == 0 ? "{\"url\":" : ",{\"url\":");
    gw_buf_add_json_str(out, gw_span_str(v.url));
    gw_buf_printf(out, ",\"usable\":%s,\"breaker\":\"%s\"", v.usable ? "true" : "false",
                  router_breaker_state_name(v.breaker));
    if (v.probed)
        gw_buf_printf(out, ",\"probe\":\"%s\"", v.well ? "well" : "ill");
    gw_buf_printf(
        out, ",\"outstanding\":%u,\"resting_keys\":%u,\"latency_ms\":%.3f,\"ejections\":%llu}",
        v.outstanding, v.resting, (double)v.latency_us / 1e3, (unsigned long long)v.ejections);
}

enum admin_result admin_targets(struct admin_call *c)
{
    struct setup *setup = server_setup(c->server);
    const struct proxy_config *cfg = setup->cfg;
    uint64_t down = health_targets_down(setup->health);

    gw_buf_adds(&c->out, "{\"targets\":[");
    for (unsigned i = 0; i < cfg->n_targets; i++) {
        gw_buf_adds(&c->out, i == 0 ? "{\"name\":" : ",{\"name\":");
        gw_buf_add_json_str(&c->out, gw_span_str(cfg->targets[i].name));
        gw_buf_printf(&c->out, ",\"zone\":\"%s\",\"usable\":%s,\"keys\":%u,\"endpoints\":[",
                      gw_zone_name(cfg->targets[i].zone), (down >> i & 1) != 0 ? "false" : "true",
                      cfg->targets[i].keys.n);
        for (unsigned k = 0; k < health_endpoints(setup->health, i); k++)
            put_endpoint(setup->health, i, k, &c->out);
        gw_buf_adds(&c->out, "]}");
    }
    gw_buf_adds(&c->out, "]}\n");
    server_setup_done(c->server, setup);
    return ADMIN_DONE;
}
