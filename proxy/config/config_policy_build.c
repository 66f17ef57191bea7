/* proxy/config/config_policy_build.c - the router's policies out of the configuration: the one that holds, and the one of
 * `simulate:` that is looked at beside it.
 *
 * Runs at the end of a load, on that thread. */
#include <string.h>

#include "proxy/config/config_private.h"

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

static enum gw_status add_line(struct config_load *l, struct router_policy *p,
                               const struct proxy_config_line *c, struct gw_err *err)
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
        .keys = c->keys.items,
        .n_keys = c->keys.n,
        .teams = c->teams.items,
        .n_teams = c->teams.n,
        .targets = c->targets.items,
        .n_targets = c->targets.n,
        .fields = c->fields,
        .views = c->views,
        .media = c->media,
        .mode = (enum router_mode)c->mode,
        .justify = c->unless == 1,
        .min_confidence = c->min_confidence,
        .min_severity = (enum gw_severity)c->min_severity,
        .min_count = c->min_count,
        .action = (enum gw_action)c->action,
        .zones = c->zones,
        .has_else = c->else_action != GW_ACTION_COUNT,
        .scope_always = c->scope == 1,
        .on = (enum router_direction)c->on,
        .shape = c->style == DLP_STYLE_SHAPE,
        .pin = c->pin == 1 && c->zones != 0,
    };
    const char *fault;

    line.else_action = line.has_else ? (enum gw_action)c->else_action : GW_ACTION_ALLOW;
    line.request_line = c->classes == 0 && c->rules.n == 0 && c->min_confidence == 0 &&
                        c->min_severity == 0 && c->min_count == 0 && c->fields == 0 &&
                        c->views == 0;
    fault = config_hours_read(l, c, &line.hours);
    if (fault != NULL)
        return gw_fail(err, GW_EINVAL, "%s", fault);
    return router_policy_add_line(p, &line, err);
}

static void report_check(void *ctx, const char *message)
{
    config_report_line(ctx, false, 0, message);
}

/* One of the two policies. */
struct source {
    const struct proxy_config_line *lines;
    unsigned n_lines, default_action, mode;
    const char *path;
};

static void fill(struct config_load *l, const struct source *src, struct router_policy *p)
{
    const struct proxy_config *cfg = l->cfg;
    struct gw_err err = {0};

    if (add_targets(l, p, &err) != GW_OK) {
        config_report_line(l, false, 0, err.text);
        return;
    }
    for (unsigned i = 0; i < cfg->n_routes; i++)
        if (add_route(p, &cfg->routes[i], &err) != GW_OK)
            config_complain_item(l, cfg->routes[i].line, "routes", i, err.text);
    for (unsigned i = 0; i < src->n_lines; i++)
        if (add_line(l, p, &src->lines[i], &err) != GW_OK)
            config_complain_item(l, src->lines[i].line, src->path, i, err.text);
    for (unsigned i = 0; i < cfg->aliases.n; i++)
        if (router_policy_add_alias(p, cfg->aliases.items[i].from, cfg->aliases.items[i].to,
                                    &err) != GW_OK)
            config_report_line(l, false, cfg->aliases.items[i].line, err.text);
    if (router_policy_set_complexity(p, &cfg->complexity, &err) != GW_OK)
        config_report_line(l, false, 0, err.text);
    router_policy_set_default(p, (enum gw_action)src->default_action);
    router_policy_set_mode(p, (enum router_mode)src->mode);
    if (l->n_errors == 0) /* else it would say the same things again, without lines */
        (void)router_policy_check(p, report_check, l);
    (void)router_policy_digest(p); /* made now, so that later readers only read */
}

void config_make_policies(struct config_load *l)
{
    struct proxy_config *cfg = l->cfg;
    const struct source own = {cfg->lines, cfg->n_lines, cfg->default_action, cfg->mode, "policy"};
    const struct source other = {cfg->simulated_lines, cfg->n_simulated_lines,
                                 cfg->simulated_default, ROUTER_MODE_ENFORCE, "simulate: policy"};

    cfg->store->policy = cfg->policy = router_policy_new();
    if (cfg->simulate[0] != '\0')
        cfg->store->simulated = cfg->simulated = router_policy_new();
    if (cfg->policy == NULL || (cfg->simulate[0] != '\0' && cfg->simulated == NULL)) {
        l->no_memory = true;
        return;
    }
    fill(l, &own, cfg->policy);
    if (cfg->simulated != NULL && l->n_errors == 0)
        fill(l, &other, cfg->simulated);
}

/* ---- the file of the other one ------------------------------------------------------------------- */

static void walk_simulated(struct config_load *l, const struct gw_yaml_node *root)
{
    const struct gw_yaml_node *lines = gw_yaml_get(root, "policy");
    unsigned own = l->cfg->default_action;
    bool known = true;

    for (const struct gw_yaml_node *c = root->first_child; c != NULL; c = c->next) {
        if (gw_span_is(c->key, "policy") || gw_span_is(c->key, "default"))
            continue;
        config_error(l, c, "a policy to simulate has only the keys policy and default");
        known = false;
    }
    if (root->kind != GW_YAML_MAPPING || lines == NULL || lines->kind != GW_YAML_SEQUENCE) {
        config_error(l, root, "a policy to simulate needs the key policy with a list of lines");
        return;
    }
    if (!known)
        return;
    config_walk_lines(l, lines, &l->cfg->simulated_lines, &l->cfg->n_simulated_lines);
    if (gw_yaml_get(root, "default") == NULL)
        return;
    config_value_read(l, config_key_find("default"), gw_yaml_get(root, "default"),
                      &l->cfg->default_action);
    l->cfg->simulated_default = l->cfg->default_action;
    l->cfg->default_action = own;
}

void config_read_simulated(struct config_load *l)
{
    l->cfg->simulated_default = GW_ACTION_ALLOW;
    config_walk_file(l, l->cfg->simulate, "simulate", walk_simulated);
}
