/* proxy/request/request_cost.c - what an answer cost, and what it would have cost elsewhere. Worker's thread. */
#include "base/clock.h"
#include "proxy/cache/cache.h"
#include "proxy/net/setup.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

/* By the name that was asked for; else by the one that the answer gives: a deployment's name says nothing of its model. */
static const struct router_price *price_of(const struct req *req, int64_t now_ms)
{
    const struct router_prices *table = req->setup->cfg->prices.table;
    struct gw_span target = req_target_name(req);
    const struct router_price *price = router_prices_find(table, target, req->out_model, now_ms);

    return price != NULL ? price : router_prices_find(table, target, req->response_model, now_ms);
}

/* An answer that is given again costs nothing. */
static void price_hit(struct req *req)
{
    const uint64_t *t = cache_answer_of(req->cached)->tokens;
    const struct router_usage u = {t[0], t[1], t[2], t[3], t[4]};
    const struct router_price *price = price_of(req, gw_clock_wall_ms());

    req->has_saved = price != NULL && router_price_cost(price, &u, &req->saved_nano);
    req->has_cost = req->has_saved;
    req->cost_nano = 0;
    if (price != NULL)
        req->price_from_ms = price->from_ms;
}

void req_price(struct req *req)
{
    const struct proxy_config *cfg = req->setup->cfg;
    int64_t now_ms = gw_clock_wall_ms();
    const struct router_price *price;

    req->has_cost = false;
    req->has_compare = false;
    if (req->cache == REQ_CACHE_HIT) {
        price_hit(req);
        return;
    }
    if ((!req->has_usage && !req->usage_estimated) || cfg->prices.n_lines == 0)
        return;
    price = price_of(req, now_ms);
    if (price != NULL && router_price_cost(price, &req->usage, &req->cost_nano)) {
        req->has_cost = true;
        req->price_from_ms = price->from_ms;
    }
    if (req->target != REQ_NO_TARGET && req->zone != GW_ZONE_APPROVED)
        req->has_compare = router_prices_cost(
            cfg->prices.table, gw_span_str(cfg->prices.compare_target),
            gw_span_str(cfg->prices.compare_model), now_ms, &req->usage, &req->compare_nano);
}

/* Names of intercepted hosts come from clients: they are no label. */
static struct gw_span label_of(const struct req *req)
{
    return req->target == REQ_NO_TARGET ? GW_SPAN("intercepted") : req_target_name(req);
}

void req_count_cost(struct req *req)
{
    const struct router_usage *u = &req->usage;
    const uint64_t tokens[METRICS_TOKEN_KINDS] = {u->prompt, u->cached, u->cache_write,
                                                  u->completion, u->reasoning};
    struct metrics_target *t;

    if (u->prompt == 0 && u->completion == 0 && !req->has_saved)
        return;
    t = metrics_target_of(&req->w->metrics, label_of(req), req->setup->cfg->prices.currency);
    for (unsigned k = 0; k < METRICS_TOKEN_KINDS; k++)
        if (tokens[k] != 0)
            metrics_add(&t->tokens[k], tokens[k]);
    if (req->has_saved)
        metrics_add(&t->saved_nano, req->saved_nano);
    else if (req->has_cost)
        metrics_add(&t->cost_nano, req->cost_nano);
    else
        metrics_add(&t->unpriced, 1);
    if (req->usage_estimated)
        metrics_add(&t->estimated, 1);
}
