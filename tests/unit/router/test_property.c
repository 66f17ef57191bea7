/* Random policies and requests against a slow reference that shares no code with router/.
 *
 * What must hold for each: no choice outside the allowed zones, none that is down, the reference's actions
 * and zones, the same answer twice, and the same answer when the findings come in another order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/router.h"
#include "tests/test.h"

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
        bool request, has_else;
        unsigned action, zones, else_action;
    } lines[MAX_L];
    unsigned n_routes;
    struct {
        unsigned models;
        bool tiered, refuse;
        unsigned n[3], to[3][MAX_T];
    } routes[MAX_R];
    unsigned default_action;
    /* the request */
    unsigned model, groups, n_findings, down, unfit;
    bool unrouted;
    struct {
        unsigned rule, class_, severity, confidence;
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
    }
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
    }
    w->fixed = rnd(6) == 0;
    w->fixed_zone = all_zones[rnd(3)];
}

/* ---- through router/ ------------------------------------------------------------------------- */

static unsigned list_of(unsigned mask, const struct gw_span *names, unsigned n, struct gw_span *out)
{
    unsigned used = 0;

    for (unsigned i = 0; i < n; i++)
        if ((mask >> i & 1) != 0)
            out[used++] = names[i];
    return used;
}

static struct router_policy *build(const struct world *w)
{
    struct router_policy *p = router_policy_new();
    struct gw_span a[8], b[8], c[8];
    bool ok = true;
    unsigned index;

    for (unsigned i = 0; i < w->n_targets; i++)
        ok = ok && router_policy_add_target(p, target_names[i], (enum gw_zone)w->target_zone[i], a,
                                            list_of(w->target_models[i], model_names, N_MODELS, a),
                                            &index, NULL) == GW_OK;
    for (unsigned i = 0; i < w->n_lines; i++) {
        char name[16];
        struct router_line l = {.name = {name, 2},
                                .classes = w->lines[i].classes,
                                .rules = a,
                                .n_rules = list_of(w->lines[i].rules, rule_names, N_RULES, a),
                                .groups = b,
                                .n_groups = list_of(w->lines[i].groups, group_names, N_GROUPS, b),
                                .models = c,
                                .n_models = list_of(w->lines[i].models, model_names, N_MODELS, c),
                                .min_confidence = w->lines[i].confidence,
                                .min_severity = (enum gw_severity)w->lines[i].severity,
                                .min_count = w->lines[i].count,
                                .request_line = w->lines[i].request,
                                .action = (enum gw_action)w->lines[i].action,
                                .zones = w->lines[i].zones,
                                .has_else = w->lines[i].has_else,
                                .else_action = (enum gw_action)w->lines[i].else_action};

        (void)snprintf(name, sizeof(name), "l%u", i);
        ok = ok && router_policy_add_line(p, &l, NULL) == GW_OK;
    }
    for (unsigned i = 0; i < w->n_routes; i++) {
        struct gw_span to[3][MAX_T];
        struct router_route r = {.models = a,
                                 .n_models = list_of(w->routes[i].models, model_names, N_MODELS, a),
                                 .tiered = w->routes[i].tiered,
                                 .refuse_on_conflict = w->routes[i].refuse};

        for (unsigned t = 0; t < 3; t++) {
            for (unsigned k = 0; k < w->routes[i].n[t]; k++)
                to[t][k] = target_names[w->routes[i].to[t][k]];
            r.targets[t] = to[t];
            r.n_targets[t] = w->routes[i].n[t];
        }
        ok = ok && router_policy_add_route(p, &r, NULL) == GW_OK;
    }
    router_policy_set_default(p, (enum gw_action)w->default_action);
    CHECK(ok);
    return p;
}

/* order[i]: which finding of the world comes at place i. */
static void decide(const struct router_policy *p, const struct world *w, const unsigned *order,
                   struct router_decision *d)
{
    struct router_finding fs[MAX_F];
    struct gw_span groups[N_GROUPS];
    struct router_input in = {.model = model_names[w->model],
                              .groups = groups,
                              .n_groups = list_of(w->groups, group_names, N_GROUPS, groups),
                              .findings = fs,
                              .n_findings = w->n_findings,
                              .targets_down = w->down,
                              .targets_unfit = w->unfit,
                              .unrouted = w->unrouted,
                              .fixed = w->fixed,
                              .fixed_zone = (enum gw_zone)w->fixed_zone};

    for (unsigned i = 0; i < w->n_findings; i++) {
        unsigned k = order[i];

        fs[i] = (struct router_finding){
            rule_names[w->findings[k].rule], (enum gw_class)w->findings[k].class_,
            (enum gw_severity)w->findings[k].severity, w->findings[k].confidence};
    }
    router_decide(p, &in, d);
}

/* ---- the reference --------------------------------------------------------------------------- */

static bool meets(const struct world *w, unsigned l, unsigned f)
{
    return (w->lines[l].classes == 0 || (w->lines[l].classes >> w->findings[f].class_ & 1) != 0) &&
           (w->lines[l].rules == 0 || (w->lines[l].rules >> w->findings[f].rule & 1) != 0) &&
           w->findings[f].confidence >= w->lines[l].confidence &&
           w->findings[f].severity >= w->lines[l].severity;
}

/* Line of finding f, or of the request (f == -1); -1: none. */
static int line_of(const struct world *w, int f)
{
    for (unsigned l = 0; l < w->n_lines; l++) {
        unsigned n = 0;

        if (w->lines[l].groups != 0 && (w->lines[l].groups & w->groups) == 0)
            continue;
        if (w->lines[l].models != 0 && (w->lines[l].models >> w->model & 1) == 0)
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
    unsigned zones, action, actions[MAX_F];
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

/* Is there anywhere to go in these zones, outages aside? */
static bool somewhere(const struct world *w, const struct expected *e, unsigned zones)
{
    bool refuse = !w->fixed && (w->unrouted || w->routes[e->route].refuse);

    if (w->fixed)
        return (w->fixed_zone & zones) != 0;
    for (unsigned t = 0; t < w->n_targets; t++)
        if ((w->target_zone[t] & zones) != 0 && (w->unfit >> t & 1) == 0 &&
            (!refuse || (e->route_set >> t & 1) != 0))
            return true;
    return false;
}

static void expect(const struct world *w, struct expected *e)
{
    int of[MAX_F + 1];
    unsigned gave_way = 0;

    memset(e, 0, sizeof(*e));
    e->zones = GW_ZONES_ALL;
    find_route(w, e);
    of[MAX_F] = line_of(w, -1);
    for (unsigned i = 0; i < w->n_findings; i++)
        of[i] = line_of(w, (int)i);
    for (unsigned l = 0; l < w->n_lines && !e->no_route; l++) {
        bool taken = of[MAX_F] == (int)l;

        for (unsigned i = 0; i < w->n_findings; i++)
            taken = taken || of[i] == (int)l;
        if (!taken || w->lines[l].zones == 0)
            continue;
        if (somewhere(w, e, e->zones & w->lines[l].zones))
            e->zones &= w->lines[l].zones;
        else if (w->lines[l].has_else && w->lines[l].else_action != GW_ACTION_BLOCK)
            gave_way |= 1u << l;
        else
            e->conflict = true;
    }
    for (unsigned i = 0; i <= MAX_F; i++) {
        unsigned action = i == MAX_F ? (unsigned)GW_ACTION_ALLOW : w->default_action;

        if (i >= w->n_findings && i < MAX_F)
            continue;
        if (of[i] >= 0)
            action = w->lines[of[i]].action;
        if (of[i] >= 0 && (gave_way >> of[i] & 1) != 0 && w->lines[of[i]].else_action > action)
            action = w->lines[of[i]].else_action;
        if (i < MAX_F)
            e->actions[i] = action;
        if (action > e->action)
            e->action = action;
    }
    e->blocked_by_policy = e->action == GW_ACTION_BLOCK;
}

/* ---- comparing --------------------------------------------------------------------------------- */

static bool check_choices(const struct world *w, const struct expected *e,
                          const struct router_decision *d)
{
    bool ok = d->zones == e->zones || e->conflict;

    for (unsigned i = 0; i < d->n_choices; i++) {
        ok = ok && d->choices[i] < w->n_targets;
        ok = ok && (w->target_zone[d->choices[i]] & e->zones) != 0;
        ok = ok && ((w->down | w->unfit) >> d->choices[i] & 1) == 0;
        for (unsigned k = 0; k < i; k++)
            ok = ok && d->choices[k] != d->choices[i];
    }
    return ok;
}

static bool check_result(const struct world *w, const struct expected *e,
                         const struct router_decision *d)
{
    unsigned up = 0, exist = 0;

    if (e->conflict)
        return d->blocked && d->reason == ROUTER_REASON_ZONE_CONFLICT && d->n_choices == 0;
    if (e->blocked_by_policy)
        return d->blocked && d->reason == ROUTER_REASON_POLICY_BLOCK && d->n_choices == 0;
    if (w->fixed)
        return !d->blocked && d->reason == ROUTER_REASON_FIXED && d->n_choices == 0;
    if (e->no_route)
        return d->blocked && d->reason == ROUTER_REASON_NO_ROUTE;
    /* The route's own targets first; only when none of them exists in the zones, any other. */
    for (unsigned t = 0; t < w->n_targets; t++) {
        bool in = (w->target_zone[t] & e->zones) != 0 && (e->route_set >> t & 1) != 0;

        exist += in;
        up += in && (w->down >> t & 1) == 0;
    }
    if (exist == 0)
        for (unsigned t = 0; t < w->n_targets; t++)
            up += (w->target_zone[t] & e->zones) != 0 && ((w->down | w->unfit) >> t & 1) == 0;
    if (up == 0)
        return d->blocked && d->reason == ROUTER_REASON_UNAVAILABLE && d->n_choices == 0;
    for (unsigned i = 0; exist > 0 && i < d->n_choices; i++)
        if ((e->route_set >> d->choices[i] & 1) == 0)
            return false;
    return !d->blocked && d->n_choices == up &&
           d->rerouted == (d->reason == ROUTER_REASON_SENSITIVE);
}

static bool same_decision(const struct router_decision *a, const struct router_decision *b)
{
    return a->blocked == b->blocked && a->reason == b->reason && a->action == b->action &&
           a->zones == b->zones && a->n_choices == b->n_choices &&
           memcmp(a->choices, b->choices, a->n_choices * sizeof(a->choices[0])) == 0 &&
           a->rerouted == b->rerouted && strcmp(a->line, b->line) == 0 &&
           a->sensitivity == b->sensitivity && strcmp(a->reason_text, b->reason_text) == 0;
}

static void test_random_worlds(unsigned rounds)
{
    unsigned n_blocked = 0, n_moved = 0, n_else = 0;

    for (unsigned round = 0; round < rounds; round++) {
        unsigned straight[MAX_F], shuffled[MAX_F];
        uint8_t a1[MAX_F], w1[MAX_F], a2[MAX_F], w2[MAX_F];
        struct router_decision d1 = {.actions = a1, .always = w1};
        struct router_decision d2 = {.actions = a2, .always = w2};
        struct router_policy *p;
        struct expected e;
        struct world w;
        bool ok = true;

        make_world(&w);
        expect(&w, &e);
        p = build(&w);
        for (unsigned i = 0; i < MAX_F; i++)
            straight[i] = shuffled[i] = i;
        for (unsigned i = w.n_findings; i > 1; i--) {
            unsigned k = rnd(i), t = shuffled[i - 1];

            shuffled[i - 1] = shuffled[k];
            shuffled[k] = t;
        }
        decide(p, &w, straight, &d1);
        ok = ok && check_choices(&w, &e, &d1) && check_result(&w, &e, &d1);
        for (unsigned i = 0; i < w.n_findings && !e.conflict; i++)
            ok = ok && a1[i] == e.actions[i];
        decide(p, &w, straight, &d2);
        ok = ok && same_decision(&d1, &d2) && memcmp(a1, a2, w.n_findings) == 0;
        decide(p, &w, shuffled, &d2);
        ok = ok && same_decision(&d1, &d2);
        for (unsigned i = 0; i < w.n_findings; i++)
            ok = ok && a2[i] == a1[shuffled[i]];
        if (!CHECK(ok))
            fprintf(stderr, "  round %u: %s (%s)\n", round, d1.reason_text,
                    router_reason_name(d1.reason));
        n_blocked += d1.blocked;
        n_moved += d1.rerouted;
        n_else += !d1.blocked && d1.zones == GW_ZONES_ALL && e.action > GW_ACTION_ALLOW;
        router_policy_free(p);
    }
    /* The generator must reach all of it, or the test shows nothing. */
    CHECK(n_blocked > rounds / 10 && n_blocked < rounds * 9 / 10);
    CHECK(n_moved > rounds / 50 && n_else > rounds / 50);
}

int main(void)
{
    test_random_worlds(30000);
    return test_done();
}
