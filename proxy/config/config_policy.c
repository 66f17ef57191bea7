/* proxy/config/config_policy.c - the router's policy out of the configuration.
 *
 * Names are checked here, where the line of the file is known; the router checks what only it can see.
 * Runs at the end of a load, on that thread. */
#include <string.h>

#include "proxy/config/config_private.h"

static void complain(struct config_load *l, unsigned line, const char *path, unsigned index,
                     const char *what)
{
    char text[400];

    (void)snprintf(text, sizeof(text), "%s[%u]: %s", path, index, what);
    config_report_line(l, false, line, text);
}

static bool known_target(const struct proxy_config *cfg, struct gw_span name)
{
    for (unsigned i = 0; i < cfg->n_targets; i++)
        if (gw_span_is(name, cfg->targets[i].name))
            return true;
    return false;
}

static void check_names(struct config_load *l, unsigned line, unsigned index, const char *key,
                        const struct proxy_config_list *names)
{
    char what[200];

    for (unsigned i = 0; i < names->n; i++) {
        if (known_target(l->cfg, names->items[i]))
            continue;
        (void)snprintf(what, sizeof(what), "%s: there is no target named %.64s", key,
                       names->items[i].ptr);
        complain(l, line, "routes", index, what);
    }
}

static void check_routes(struct config_load *l)
{
    for (unsigned i = 0; i < l->cfg->n_routes; i++) {
        const struct proxy_config_route *r = &l->cfg->routes[i];
        bool tiers = false;

        for (unsigned t = 0; t < GW_TIER_COUNT; t++) {
            tiers = tiers || r->tiers[t].n > 0;
            check_names(l, r->line, i, gw_tier_name((enum gw_tier)t), &r->tiers[t]);
        }
        check_names(l, r->line, i, "to", &r->to);
        if (tiers == (r->to.n > 0))
            complain(l, r->line, "routes", i,
                     "needs either `to` or at least one of simple, moderate, complex");
    }
}

static void check_lines(struct config_load *l)
{
    for (unsigned i = 0; i < l->cfg->n_lines; i++) {
        const struct proxy_config_line *line = &l->cfg->lines[i];

        if (line->else_action != GW_ACTION_COUNT && line->zones == 0)
            complain(l, line->line, "policy", i, "then.else needs then.zone");
        for (unsigned k = 0; k < i; k++)
            if (line->name[0] != '\0' && strcmp(l->cfg->lines[k].name, line->name) == 0)
                complain(l, line->line, "policy", i,
                         "another line has this name: records could not tell them apart");
    }
}

/* ---- the default routes ---------------------------------------------------------------------- */

/* All targets, those of the zones in this order; within a zone in the order of the file. */
static struct proxy_config_list by_zone(struct config_load *l, const enum gw_zone order[3])
{
    struct gw_span *names = config_alloc(l, l->cfg->n_targets, sizeof(*names));
    unsigned n = 0;

    if (names == NULL)
        return (struct proxy_config_list){NULL, 0};
    for (unsigned z = 0; z < 3; z++)
        for (unsigned i = 0; i < l->cfg->n_targets; i++)
            if (l->cfg->targets[i].zone == order[z])
                names[n++] = gw_span_str(l->cfg->targets[i].name);
    return (struct proxy_config_list){names, n};
}

/* `auto` by complexity, near to far or far to near; every other model far to near, since a
 * caller who names a provider's model means that one. */
static void default_routes(struct config_load *l)
{
    static const enum gw_zone near_first[] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};
    static const enum gw_zone middle_first[] = {GW_ZONE_PRIVATE, GW_ZONE_APPROVED, GW_ZONE_PROCESS};
    static const enum gw_zone far_first[] = {GW_ZONE_APPROVED, GW_ZONE_PRIVATE, GW_ZONE_PROCESS};
    static const struct gw_span auto_name[] = {{"auto", 4}};
    static const struct gw_span any_name[] = {{"*", 1}};
    struct proxy_config_route *r = config_alloc(l, 2, sizeof(*r));

    if (r == NULL)
        return;
    r[0].models = (struct proxy_config_list){auto_name, 1};
    r[0].tiers[GW_TIER_SIMPLE] = by_zone(l, near_first);
    r[0].tiers[GW_TIER_MODERATE] = by_zone(l, middle_first);
    r[0].tiers[GW_TIER_COMPLEX] = by_zone(l, far_first);
    r[1].models = (struct proxy_config_list){any_name, 1};
    r[1].to = by_zone(l, far_first);
    l->cfg->routes = r;
    l->cfg->n_routes = 2;
}

/* ---- building ---------------------------------------------------------------------------------- */

static enum gw_status add_targets(struct config_load *l, struct router_policy *p,
                                  struct gw_err *err)
{
    for (unsigned i = 0; i < l->cfg->n_targets; i++) {
        const struct proxy_config_target *t = &l->cfg->targets[i];
        unsigned index;

        GW_TRY(router_policy_add_target(p, gw_span_str(t->name), t->zone, t->models.items,
                                        t->models.n, &index, err));
    }
    return GW_OK;
}

static enum gw_status add_route(struct router_policy *p, const struct proxy_config_route *r,
                                struct gw_err *err)
{
    struct router_route route = {
        .models = r->models.items,
        .n_models = r->models.n,
        .tiered = r->to.n == 0,
        .refuse_on_conflict = r->on_conflict == 1,
    };

    for (unsigned t = 0; t < GW_TIER_COUNT && route.tiered; t++) {
        route.targets[t] = r->tiers[t].items;
        route.n_targets[t] = r->tiers[t].n;
    }
    if (!route.tiered) {
        route.targets[0] = r->to.items;
        route.n_targets[0] = r->to.n;
    }
    return router_policy_add_route(p, &route, err);
}

static enum gw_status add_line(struct router_policy *p, const struct proxy_config_line *c,
                               struct gw_err *err)
{
    struct router_line line = {
        .name = gw_span_str(c->name),
        .classes = c->classes,
        .rules = c->rules.items,
        .n_rules = c->rules.n,
        .groups = c->groups.items,
        .n_groups = c->groups.n,
        .users = c->users.items,
        .n_users = c->users.n,
        .models = c->models.items,
        .n_models = c->models.n,
        .min_confidence = c->min_confidence,
        .min_severity = (enum gw_severity)c->min_severity,
        .min_count = c->min_count,
        .action = (enum gw_action)c->action,
        .zones = c->zones,
        .has_else = c->else_action != GW_ACTION_COUNT,
        .scope_always = c->scope == 1,
        .on = (enum router_direction)c->on,
    };

    line.else_action = line.has_else ? (enum gw_action)c->else_action : GW_ACTION_ALLOW;
    line.request_line = c->classes == 0 && c->rules.n == 0 && c->min_confidence == 0 &&
                        c->min_severity == 0 && c->min_count == 0;
    return router_policy_add_line(p, &line, err);
}

static void report_check(void *ctx, const char *message)
{
    config_report_line(ctx, false, 0, message);
}

static void fill(struct config_load *l, struct router_policy *p)
{
    const struct proxy_config *cfg = l->cfg;
    struct gw_err err = {0};

    if (add_targets(l, p, &err) != GW_OK) {
        config_report_line(l, false, 0, err.text);
        return;
    }
    for (unsigned i = 0; i < cfg->n_routes; i++)
        if (add_route(p, &cfg->routes[i], &err) != GW_OK)
            complain(l, cfg->routes[i].line, "routes", i, err.text);
    for (unsigned i = 0; i < cfg->n_lines; i++)
        if (add_line(p, &cfg->lines[i], &err) != GW_OK)
            complain(l, cfg->lines[i].line, "policy", i, err.text);
    for (unsigned i = 0; i < cfg->aliases.n; i++)
        if (router_policy_add_alias(p, cfg->aliases.items[i].from, cfg->aliases.items[i].to,
                                    &err) != GW_OK)
            config_report_line(l, false, cfg->aliases.items[i].line, err.text);
    if (router_policy_set_complexity(p, &cfg->complexity, &err) != GW_OK)
        config_report_line(l, false, 0, err.text);
    router_policy_set_default(p, (enum gw_action)cfg->default_action);
    if (l->n_errors == 0) /* else it would say the same things again, without lines */
        (void)router_policy_check(p, report_check, l);
    (void)router_policy_digest(p); /* made now, so that later readers only read */
}

void config_build_policy(struct config_load *l)
{
    struct router_policy *p;

    if (l->cfg->routes == NULL)
        default_routes(l);
    check_routes(l);
    check_lines(l);
    if (l->n_errors > 0) /* its parts are not trustworthy, and every problem has been named */
        return;
    p = router_policy_new();
    if (p == NULL) {
        l->no_memory = true;
        return;
    }
    l->cfg->store->policy = p;
    l->cfg->policy = p;
    fill(l, p);
}
