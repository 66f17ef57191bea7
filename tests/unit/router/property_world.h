/* Random policies and requests, and what must become of them by a slow reference that shares no code with router/. For
 * test_property.c. */
#ifndef PROPERTY_WORLD_H
#define PROPERTY_WORLD_H

#include <string.h>

#include "router/router.h"

enum { MAX_T = 6, MAX_L = 8, MAX_F = 10, MAX_R = 4, N_RULES = 4, N_MODELS = 4, N_GROUPS = 3 };

static const struct gw_span rule_names[N_RULES] = {{"r0", 2}, {"r1", 2}, {"r2", 2}, {"r3", 2}};
static const struct gw_span model_names[N_MODELS] = {{"m0", 2}, {"m1", 2}, {"m2", 2}, {"auto", 4}};
static const struct gw_span group_names[N_GROUPS] = {{"g0", 2}, {"g1", 2}, {"g2", 2}};
static const struct gw_span target_names[MAX_T] = {{"t0", 2}, {"t1", 2}, {"t2", 2},
                                                   {"t3", 2}, {"t4", 2}, {"t5", 2}};
static const unsigned all_zones[3] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};

/* The world as the generator knows it: sets are bit masks, 0 means any. */
struct world {
    unsigned n_targets, target_zone[MAX_T], target_models[MAX_T];
    unsigned n_lines;
    struct {
        unsigned classes, rules, groups, models, confidence, severity, count;
        unsigned keys, teams, targets, fields, views, mode,
            hours; /* hours: 0 none, 1 now, 2 not now */
        bool request, has_else, justify;
        unsigned action, zones, else_action;
    } lines[MAX_L];
    unsigned n_routes;
    struct {
        unsigned models;
        bool tiered, refuse;
        unsigned n[3], to[3][MAX_T];
    } routes[MAX_R];
    unsigned default_action, mode;
    /* the request */
    unsigned key, team; /* index of a group's name */
    bool justified;
    unsigned model, groups, n_findings, down, unfit;
    bool unrouted;
    struct {
        unsigned rule, class_, severity, confidence, field, view;
        bool monitored, allowed;
    } findings[MAX_F];
    bool fixed;
    unsigned fixed_zone;
};

static uint64_t state = 88172645463325252ull;
static unsigned rnd(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* Conditions that few lines have. */
static void make_conditions(struct world *w, unsigned i)
{
    w->lines[i].keys = rnd(8) == 0 ? 1 + rnd(7) : 0;
    w->lines[i].teams = rnd(8) == 0 ? 1 + rnd(7) : 0;
    w->lines[i].hours = rnd(6) == 0 ? 1 + rnd(2) : 0;
    w->lines[i].mode = rnd(5) == 0 ? rnd(ROUTER_MODE_COUNT) : ROUTER_MODE_ENFORCE;
    if (!w->lines[i].request) {
        w->lines[i].fields = rnd(5) == 0 ? 1 + rnd(7) : 0;
        w->lines[i].views = rnd(6) == 0 ? 1 + rnd(7) : 0;
    }
    if (rnd(4) == 0) {
        w->lines[i].targets = 1 + rnd(63);
        w->lines[i].zones = 0;
        w->lines[i].has_else = false;
        w->lines[i].else_action = 0;
    }
    if (rnd(8) == 0) {
        w->lines[i].action = GW_ACTION_BLOCK;
        w->lines[i].justify = true;
    }
}

static void make_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->n_targets = 1 + rnd(MAX_T);
    for (unsigned i = 0; i < w->n_targets; i++) {
        w->target_zone[i] = all_zones[rnd(3)];
        w->target_models[i] = rnd(3) == 0 ? 1 + rnd(15) : 0;
    }
    w->n_lines = rnd(MAX_L + 1);
    for (unsigned i = 0; i < w->n_lines; i++) {
        w->lines[i].request = rnd(4) == 0;
        if (!w->lines[i].request) {
            w->lines[i].classes = rnd(2) == 0 ? 1 + rnd(7) : 0;
            w->lines[i].rules = rnd(3) == 0 ? 1 + rnd(15) : 0;
            w->lines[i].confidence = rnd(3) == 0 ? rnd(101) : 0;
            w->lines[i].severity = rnd(3) == 0 ? rnd(5) : 0;
            w->lines[i].count = rnd(4) == 0 ? rnd(4) : 0;
        }
        w->lines[i].groups = rnd(4) == 0 ? 1 + rnd(7) : 0;
        w->lines[i].models = rnd(4) == 0 ? 1 + rnd(15) : 0;
        w->lines[i].action = rnd(GW_ACTION_COUNT - (rnd(4) != 0));
        w->lines[i].zones = rnd(2) == 0 ? 1 + rnd(7) : 0;
        w->lines[i].has_else = w->lines[i].zones != 0 && rnd(2) == 0;
        w->lines[i].else_action = w->lines[i].has_else ? rnd(GW_ACTION_COUNT) : 0;
        make_conditions(w, i);
    }
    w->mode = rnd(12) == 0 ? ROUTER_MODE_MONITOR : ROUTER_MODE_ENFORCE;
    w->key = rnd(N_GROUPS);
    w->team = rnd(N_GROUPS);
    w->justified = rnd(3) == 0;
    w->n_routes = 1 + rnd(MAX_R);
    for (unsigned i = 0; i < w->n_routes; i++) {
        w->routes[i].models = rnd(3) == 0 ? 1 + rnd(15) : 15;
        w->routes[i].tiered = rnd(2) == 0;
        w->routes[i].refuse = rnd(3) == 0;
        for (unsigned t = 0; t < (w->routes[i].tiered ? 3 : 1); t++) {
            w->routes[i].n[t] = rnd(MAX_T);
            for (unsigned k = 0; k < w->routes[i].n[t]; k++)
                w->routes[i].to[t][k] = rnd(w->n_targets);
        }
    }
    w->default_action = rnd(10) == 0 ? rnd(GW_ACTION_COUNT) : GW_ACTION_ALLOW;
    w->model = rnd(N_MODELS);
    w->groups = rnd(8);
    w->down = rnd(3) == 0 ? rnd(64) : 0;
    w->unfit = rnd(3) == 0 ? rnd(64) : 0;
    w->unrouted = rnd(5) == 0;
    w->n_findings = rnd(MAX_F + 1);
    for (unsigned i = 0; i < w->n_findings; i++) {
        w->findings[i].rule = rnd(N_RULES);
        w->findings[i].class_ = rnd(3);
        w->findings[i].severity = rnd(5);
        w->findings[i].confidence = 40 + rnd(61);
        w->findings[i].field = rnd(3);
        w->findings[i].view = rnd(3);
        w->findings[i].monitored = rnd(10) == 0;
        w->findings[i].allowed = rnd(10) == 0;
    }
    w->fixed = rnd(6) == 0;
    w->fixed_zone = all_zones[rnd(3)];
}

/* ---- the reference --------------------------------------------------------------------------- */

static bool has(unsigned mask, unsigned bit)
{
    return mask == 0 || (mask >> bit & 1) != 0;
}

static bool meets(const struct world *w, unsigned l, unsigned f)
{
    return !w->findings[f].allowed && !w->findings[f].monitored &&
           has(w->lines[l].classes, w->findings[f].class_) &&
           has(w->lines[l].rules, w->findings[f].rule) &&
           has(w->lines[l].fields, w->findings[f].field) &&
           has(w->lines[l].views, w->findings[f].view) &&
           w->findings[f].confidence >= w->lines[l].confidence &&
           w->findings[f].severity >= w->lines[l].severity;
}

/* Line of finding f, or of the request (f == -1), if it went to target t; -1: none. */
static int line_of(const struct world *w, int f, unsigned t)
{
    for (unsigned l = 0; l < w->n_lines; l++) {
        unsigned n = 0;

        if (w->mode != ROUTER_MODE_ENFORCE || w->lines[l].mode != ROUTER_MODE_ENFORCE)
            continue;
        if (w->lines[l].groups != 0 && (w->lines[l].groups & w->groups) == 0)
            continue;
        if (!has(w->lines[l].models, w->model) || !has(w->lines[l].keys, w->key) ||
            !has(w->lines[l].teams, w->team) || w->lines[l].hours == 2 ||
            !has(w->lines[l].targets, w->fixed ? 0 : t))
            continue;
        if (w->lines[l].request != (f < 0))
            continue;
        if (f < 0)
            return (int)l;
        for (unsigned k = 0; k < w->n_findings; k++)
            n += meets(w, l, k);
        if (meets(w, l, (unsigned)f) && n >= w->lines[l].count)
            return (int)l;
    }
    return -1;
}

struct expected {
    bool conflict, blocked_by_policy, no_route;
    unsigned zones;
    unsigned allowed;                                      /* targets that policy leaves */
    unsigned action[MAX_T + 1], actions[MAX_T + 1][MAX_F]; /* at each target; the last: nowhere */
    int route;
    unsigned route_set; /* targets that the route can take for this model */
};

static void find_route(const struct world *w, struct expected *e)
{
    e->route = -1;
    for (unsigned t = 0; w->unrouted && t < w->n_targets; t++)
        e->route_set |= (w->unfit >> t & 1) == 0 ? 1u << t : 0;
    e->no_route = !w->fixed && e->route_set == 0;
    if (w->unrouted)
        return;
    for (unsigned i = 0; i < w->n_routes && e->route < 0; i++)
        if ((w->routes[i].models >> w->model & 1) != 0)
            e->route = (int)i;
    for (unsigned t = 0; e->route >= 0 && t < 3; t++) {
        for (unsigned k = 0; k < w->routes[e->route].n[t]; k++) {
            unsigned to = w->routes[e->route].to[t][k];
            bool takes = w->target_models[to] == 0 || (w->target_models[to] >> w->model & 1) != 0;

            if ((w->routes[e->route].tiered || takes) && (w->unfit >> to & 1) == 0)
                e->route_set |= 1u << to;
        }
    }
    e->no_route = !w->fixed && e->route_set == 0;
}

/* Targets that policy may choose from; bit 0 for fixed traffic. Where there are none, a place that no line with targets
 * is about, so that what else policy says of the request is seen. */
static unsigned candidates(const struct world *w, const struct expected *e)
{
    unsigned set = 0;

    if (w->fixed)
        return 1;
    for (unsigned t = 0; t < w->n_targets; t++)
        set |= (w->unfit >> t & 1) == 0 ? 1u << t : 0;
    if (w->unrouted || (e->route >= 0 && w->routes[e->route].refuse))
        set &= e->route_set;
    return set == 0 ? 1u << MAX_T : set;
}

static bool line_is_taken(const struct world *w, unsigned l, unsigned t)
{
    bool taken = line_of(w, -1, t) == (int)l;

    for (unsigned i = 0; i < w->n_findings; i++)
        taken = taken || line_of(w, (int)i, t) == (int)l;
    return taken;
}

/* The limits in their order. gave_way: a bit per line. */
static void limit(const struct world *w, struct expected *e, unsigned *gave_way)
{
    for (unsigned l = 0; l < w->n_lines && !e->no_route; l++) {
        unsigned left = 0;
        bool anywhere = false, everywhere = true;

        if (w->lines[l].zones == 0)
            continue;
        for (unsigned t = 0; t < MAX_T; t++) {
            unsigned zone = w->fixed ? w->fixed_zone : w->target_zone[t];
            bool taken;

            if ((e->allowed >> t & 1) == 0)
                continue;
            taken = line_is_taken(w, l, t);
            anywhere = anywhere || taken;
            everywhere = everywhere && taken;
            if (!taken || (zone & w->lines[l].zones) != 0)
                left |= 1u << t;
        }
        if (left != 0) {
            e->allowed = left;
            if (anywhere && everywhere)
                e->zones &= w->lines[l].zones;
        } else if (w->lines[l].has_else && w->lines[l].else_action != GW_ACTION_BLOCK) {
            *gave_way |= 1u << l;
        } else {
            e->conflict = true;
            if (w->lines[l].has_else)
                *gave_way |= 1u << l;
        }
    }
}

/* What happens to finding i, or to the request (-1), at t. */
static unsigned action_at(const struct world *w, int i, unsigned t, unsigned gave_way)
{
    bool spared = i >= 0 && (w->findings[i].allowed || w->findings[i].monitored);
    int l = line_of(w, i, t);
    unsigned action;

    if (l < 0)
        return i < 0 || spared || w->mode != ROUTER_MODE_ENFORCE ? (unsigned)GW_ACTION_ALLOW
                                                                 : w->default_action;
    action = w->lines[l].justify && w->justified ? (unsigned)GW_ACTION_COACH : w->lines[l].action;
    if ((gave_way >> l & 1) != 0 && w->lines[l].else_action > action)
        action = w->lines[l].else_action;
    return action;
}

static void expect(const struct world *w, struct expected *e)
{
    unsigned gave_way = 0, blocked = 0;

    memset(e, 0, sizeof(*e));
    e->zones = GW_ZONES_ALL;
    find_route(w, e);
    e->allowed = candidates(w, e);
    limit(w, e, &gave_way);
    for (unsigned t = 0; t <= MAX_T; t++) {
        e->action[t] = action_at(w, -1, t, gave_way);
        for (unsigned i = 0; i < w->n_findings; i++) {
            e->actions[t][i] = action_at(w, (int)i, t, gave_way);
            if (e->actions[t][i] > e->action[t])
                e->action[t] = e->actions[t][i];
        }
        blocked |= e->action[t] == GW_ACTION_BLOCK ? 1u << t : 0;
    }
    e->blocked_by_policy = (e->allowed & ~blocked) == 0;
    if (!e->blocked_by_policy)
        e->allowed &= ~blocked;
}

#endif
