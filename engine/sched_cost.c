/* engine/sched_cost.c - what layers on the CPU and pages in the host's memory cost a token, measured by a short run before the first request. */
#include "engine/sched_private.h"

enum { COST_TOKENS = 6, COST_WARM = 2 };

/* Single tokens of a made-up sequence; the shortest times count. */
static enum gw_status time_steps(struct sched *s, const struct kvcache_seq *seq,
                                 struct engine_cost *c)
{
    const unsigned n_host = s->cfg.device->first_layer, n_layers = s->cfg.m->n_layers;
    uint64_t host = UINT64_MAX, there = UINT64_MAX;

    for (unsigned i = 0; i < COST_TOKENS; i++) {
        const int32_t id = (int32_t)((i * 7919u + 100u) % s->cfg.m->n_vocab);
        struct forward_run run = {
            .seq = seq, .tokens = &id, .n_tokens = 1, .pos = i, .n_logits = 1};
        uint64_t ns[2];

        GW_TRY(forward_step(s->forward, &run, 1));
        forward_times(s->forward, &ns[0], &ns[1]);
        if (i <
            COST_WARM) /* takes scratch, records the launches, touches weights for the first time */
            continue;
        host = ns[0] < host ? ns[0] : host;
        there = ns[1] < there ? ns[1] : there;
    }
    c->host_layers = n_host;
    if (n_host != 0)
        c->host_layer_s = (double)host / 1e9 / n_host;
    c->gpu_layer_s = (double)there / 1e9 / (n_layers - n_host);
    return GW_OK;
}

enum gw_status sched_measure(struct sched *s, struct engine_cost *out, struct gw_err *err)
{
    struct device *d = s->cfg.device;
    struct engine_cost c = {.host_kv_tokens = d->far_tokens};
    struct kvcache_seq seq = {0};
    enum gw_status st;

    if (d->first_layer == 0 && d->far_tokens == 0)
        return GW_OK;
    GW_TRY(kvcache_reserve(s->kv, &seq, COST_TOKENS));
    st = time_steps(s, &seq, &c);
    if (st != GW_OK)
        st = gw_fail(err, st, "%s", forward_error(s->forward));
    kvcache_release(s->kv, &seq);
    GW_TRY(st);
    if (d->far_tokens != 0)
        GW_TRY(device_cost(d, &c, err));
    *out = c;
    return GW_OK;
}
