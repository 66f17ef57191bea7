/* proxy/request/request_cost.c - what an answer cost, and what it would have cost elsewhere. Worker's thread. */
#include "base/clock.h"
#include "proxy/answer/respond.h"
#include "proxy/cache/cache.h"
#include "proxy/net/setup.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

struct router_usage req_usage_of(const struct api_usage *u)
{
    return (struct router_usage){.prompt = u->input,
                                 .cached = u->cached,
                                 .cache_write = u->cache_write,
                                 .completion = u->output,
                                 .reasoning = u->reasoning};
}

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

/* ---- attempts that gave no answer ------------------------------------------------------------- */

/* The server had it, and the request has nothing of it. Who answers with an error status or drops the connection bills
 * nothing. What the answer used is the request's own. */
static bool is_lost(const struct req *req, unsigned i)
{
    const struct req_attempt *a = &req->attempts[i];

    return (i != req->current || req->first_byte_ns == 0) && a->worked &&
           (a->outcome == REQ_OUT_ERROR_EVENT || a->outcome == REQ_OUT_BROKEN ||
            a->outcome == REQ_OUT_TIMEOUT || a->outcome == REQ_OUT_CANCELLED);
}

static void price_lost(const struct req *req, struct req_attempt *a)
{
    const struct proxy_config *cfg = req->setup->cfg;
    unsigned target = a->slot.target;
    const struct router_price *price;

    if (target == REQ_NO_TARGET || cfg->prices.n_lines == 0)
        return;
    price = router_prices_find(cfg->prices.table, gw_span_str(cfg->targets[target].name),
                               req_model_for(req, target), gw_clock_wall_ms());
    a->has_cost = price != NULL && router_price_cost(price, &a->usage, &a->cost_nano);
}

static void count_lost(struct req *req, const struct req_attempt *a)
{
    const struct proxy_config *cfg = req->setup->cfg;
    struct gw_span name = a->slot.target == REQ_NO_TARGET
                              ? GW_SPAN("intercepted")
                              : gw_span_str(cfg->targets[a->slot.target].name);
    struct metrics_target *t = metrics_target_of(&req->w->metrics, name, cfg->prices.currency);

    metrics_add(&t->lost_tokens, a->usage.prompt + a->usage.completion);
    metrics_add(&t->lost_nano, a->cost_nano);
}

void req_count_attempts(struct req *req)
{
    for (unsigned i = 0; i < req->n_attempts; i++) {
        struct req_attempt *a = &req->attempts[i];

        if (!is_lost(req, i))
            continue;
        if (!a->has_usage)
            a->usage = (struct router_usage){.prompt = respond_prompt_tokens(req)};
        a->lost = a->usage.prompt != 0 || a->usage.completion != 0;
        if (!a->lost)
            continue;
        price_lost(req, a);
        count_lost(req, a);
        req->has_lost |= a->has_cost;
        req->lost_nano += a->cost_nano;
    }
}
