/* router/route.c - see route.h. */
#include "router/route.h"

#include "router/glob.h"

static struct gw_span follow_alias(const struct router_policy *p, struct gw_span model)
{
    for (const struct policy_alias *a = p->aliases; a != NULL; a = a->next)
        if (gw_span_eq(a->from, model))
            return a->to;
    return model;
}

struct gw_span route_meant_model(const struct router_policy *p, struct gw_span model)
{
    return model.len > POLICY_MAX_NAME ? model : follow_alias(p, model);
}

const struct policy_route *route_find(const struct router_policy *p, struct gw_span model)
{
    if (model.len == 0 || model.len > POLICY_MAX_NAME)
        return NULL;
    for (const struct policy_route *r = p->routes; r != NULL; r = r->next)
        if (glob_match_any(r->models.items, r->models.n, model))
            return r;
    return NULL;
}

static void append_target(struct route_order *o, unsigned t)
{
    if (((o->set | o->unfit) >> t & 1) != 0)
        return;
    o->items[o->n++] = (uint8_t)t;
    o->set |= (uint64_t)1 << t;
}

static void append(struct route_order *o, const struct router_policy *p,
                   const struct policy_list *names, const struct gw_span *model)
{
    for (unsigned i = 0; i < names->n; i++) {
        int t = policy_find_target(p, names->items[i]);

        if (t >= 0 && (model == NULL ||
                       glob_match_any(p->targets[t].models.items, p->targets[t].models.n, *model)))
            append_target(o, (unsigned)t);
    }
}

void route_append_all(struct route_order *o, const struct router_policy *p, struct gw_span model)
{
    for (unsigned t = 0; t < p->n_targets; t++)
        if (glob_match_any(p->targets[t].models.items, p->targets[t].models.n, model))
            append_target(o, t);
    for (unsigned t = 0; t < p->n_targets; t++)
        append_target(o, t);
}

/* A tier without a usable target takes the next harder one's, then the easier ones'. */
void route_order_of(const struct router_policy *p, const struct policy_route *r,
                    const struct router_decision *d, struct route_order *o)
{
    static const enum gw_tier tiers[GW_TIER_COUNT][GW_TIER_COUNT] = {
        {GW_TIER_SIMPLE, GW_TIER_MODERATE, GW_TIER_COMPLEX},
        {GW_TIER_MODERATE, GW_TIER_COMPLEX, GW_TIER_SIMPLE},
        {GW_TIER_COMPLEX, GW_TIER_MODERATE, GW_TIER_SIMPLE},
    };

    if (!r->tiered) {
        append(o, p, &r->names[0], &d->model);
        return;
    }
    /* The name of a tiered route ("auto") is nobody's model, so targets are not asked whether they
     * take it. */
    for (unsigned i = 0; i < GW_TIER_COUNT; i++)
        append(o, p, &r->names[tiers[d->tier][i]], NULL);
}

void route_append_elsewhere(struct route_order *o, const struct router_policy *p,
                            struct gw_span model)
{
    static const enum gw_zone near_first[] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};

    for (unsigned z = 0; z < 3; z++) {
        for (unsigned pass = 0; pass < 2; pass++) {
            for (unsigned t = 0; t < p->n_targets; t++) {
                const struct policy_target *target = &p->targets[t];

                if (target->zone == near_first[z] &&
                    (pass != 0 || glob_match_any(target->models.items, target->models.n, model)))
                    append_target(o, t);
            }
        }
    }
}
