/* proxy/config/config_policy.c - checks routes and policy lines, and fills in the default routes.
 *
 * Names are checked here, where the line of the file is known; the router checks what only it can see (config_policy_build.c).
 * Runs at the end of a load, on that thread. */
#include <string.h>

#include "proxy/config/config_private.h"

void config_complain_item(struct config_load *l, unsigned line, const char *path, unsigned index,
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
        config_complain_item(l, line, "routes", index, what);
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
            config_complain_item(l, r->line, "routes", i,
                                 "needs either `to` or at least one of simple, moderate, complex");
    }
}

static void check_line(struct config_load *l, const struct proxy_config_line *line, unsigned i,
                       const char *path)
{
    if (line->else_action != GW_ACTION_COUNT && line->zones == 0)
        config_complain_item(l, line->line, path, i, "then.else needs then.zone");
    if (line->unless == 1 && line->action != GW_ACTION_BLOCK)
        config_complain_item(l, line->line, path, i,
                             "then.unless: a reason lifts the action block only");
    if (line->style != 0 && line->action != GW_ACTION_TOKENIZE &&
        line->else_action != GW_ACTION_TOKENIZE)
        config_complain_item(l, line->line, path, i, "then.style: only tokenize has one");
    if ((line->message[0] != '\0' || line->appeal[0] != '\0') && line->on == ROUTER_ON_RESPONSE &&
        line->action != GW_ACTION_BLOCK)
        config_complain_item(l, line->line, path, i,
                             "message: an answer tells it only where it is blocked");
}

static void check_lines(struct config_load *l, const struct proxy_config_line *lines, unsigned n,
                        const char *path)
{
    for (unsigned i = 0; i < n; i++) {
        check_line(l, &lines[i], i, path);
        for (unsigned k = 0; k < i; k++)
            if (lines[i].name[0] != '\0' && strcmp(lines[k].name, lines[i].name) == 0)
                config_complain_item(
                    l, lines[i].line, path, i,
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

void config_build_policy(struct config_load *l)
{
    if (l->cfg->routes == NULL)
        default_routes(l);
    check_routes(l);
    check_lines(l, l->cfg->lines, l->cfg->n_lines, "policy");
    check_lines(l, l->cfg->simulated_lines, l->cfg->n_simulated_lines, "simulate: policy");
    config_check_allow(l);
    if (l->n_errors > 0) /* its parts are not trustworthy, and every problem has been named */
        return;
    config_make_policies(l);
}
