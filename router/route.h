/* router/route.h - which targets a route names, in the order to try; private to router/. Pure; any thread. */
#ifndef ROUTER_ROUTE_H
#define ROUTER_ROUTE_H

#include "router/policy.h"

/* Targets in the order to try, without any twice and without those that are unfit. */
struct route_order {
    uint8_t items[ROUTER_MAX_TARGETS];
    unsigned n;
    uint64_t set, unfit;
};

/* What the requested model means, after aliases; belongs to the policy or is the model. */
struct gw_span route_meant_model(const struct router_policy *p, struct gw_span model);

/* The first route that takes the model, or NULL. */
const struct policy_route *route_find(const struct router_policy *p, struct gw_span model);

/* Appends the route's targets: those of the decision's tier first, or those that take its model. */
void route_order_of(const struct router_policy *p, const struct policy_route *r,
                    const struct router_decision *d, struct route_order *o);
/* Without a route: those that take the model, then the others. */
void route_append_all(struct route_order *o, const struct router_policy *p, struct gw_span model);
/* Where policy may move a request that its route cannot take: the nearest zone first, in it those that
 * take the model first. */
void route_append_elsewhere(struct route_order *o, const struct router_policy *p,
                            struct gw_span model);

#endif
