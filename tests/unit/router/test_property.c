/* Random policies and requests against a slow reference that shares no code with router/.
 *
 * What must hold for each: no choice outside the allowed zones or where a line blocks, none that is down, the reference's
 * actions (of each choice) and zones, the same answer twice, and the same answer when the findings come in another order;
 * and what is on trial changes nothing and is told as what the same policy does with all of it in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"
#include "tests/unit/router/property_world.h"

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
    struct gw_span a[8], b[8], c[8], d[8], e[8], f[8];
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
                                .keys = d,
                                .n_keys = list_of(w->lines[i].keys, group_names, N_GROUPS, d),
                                .teams = e,
                                .n_teams = list_of(w->lines[i].teams, group_names, N_GROUPS, e),
                                .targets = f,
                                .n_targets = list_of(w->lines[i].targets, target_names, MAX_T, f),
                                .fields = w->lines[i].fields,
                                .views = w->lines[i].views,
                                .hours = {.set = w->lines[i].hours != 0,
                                          .days = w->lines[i].hours == 1 ? 1u << 3 : 1u << 4},
                                .mode = (enum router_mode)w->lines[i].mode,
                                .justify = w->lines[i].justify,
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
    router_policy_set_mode(p, (enum router_mode)w->mode);
    CHECK(ok);
    return p;
}

/* order[i]: which finding of the world comes at place i. target: the choice that is asked about; -1: all of it. */
static void decide(const struct router_policy *p, const struct world *w, const unsigned *order,
                   int target, struct router_decision *d)
{
    struct router_finding fs[MAX_F];
    struct gw_span groups[N_GROUPS];
    struct router_input in = {.model = model_names[w->model],
                              .key_id = group_names[w->key],
                              .team = group_names[w->team],
                              .justified = w->justified, /* and 1970 began on a Thursday */
                              .groups = groups,
                              .n_groups = list_of(w->groups, group_names, N_GROUPS, groups),
                              .findings = fs,
                              .n_findings = w->n_findings,
                              .targets_down = w->down,
                              .targets_unfit = w->unfit,
                              .unrouted = w->unrouted,
                              .fixed = w->fixed,
                              .fixed_zone = (enum gw_zone)w->fixed_zone,
                              .target = target_names[0]};

    for (unsigned i = 0; i < w->n_findings; i++) {
        unsigned k = order[i];

        fs[i] = (struct router_finding){
            .rule = rule_names[w->findings[k].rule],
            .class_ = (enum gw_class)w->findings[k].class_,
            .severity = (enum gw_severity)w->findings[k].severity,
            .confidence = w->findings[k].confidence,
            .field = (enum router_field)w->findings[k].field,
            .view = (uint8_t)w->findings[k].view,
            .monitored = w->findings[k].monitored,
            .allowed = w->findings[k].allowed,
        };
    }
    if (target < 0)
        router_decide(p, &in, d);
    else
        router_decide_at(p, &in, (unsigned)target, d);
}

/* ---- comparing --------------------------------------------------------------------------------- */

static bool check_choices(const struct world *w, const struct expected *e,
                          const struct router_decision *d)
{
    bool ok = d->zones == e->zones || e->conflict;

    for (unsigned i = 0; i < d->n_choices; i++) {
        ok = ok && d->choices[i] < w->n_targets;
        ok = ok && (w->target_zone[d->choices[i]] & e->zones) != 0;
        ok = ok && (e->allowed >> d->choices[i] & 1) != 0;
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
        bool in = (e->allowed >> t & 1) != 0 && (e->route_set >> t & 1) != 0;

        exist += in;
        up += in && (w->down >> t & 1) == 0;
    }
    if (exist == 0)
        for (unsigned t = 0; t < w->n_targets; t++)
            up += (e->allowed >> t & 1) != 0 && ((w->down | w->unfit) >> t & 1) == 0;
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

/* One world through router/, and what came of it. */
struct tried {
    uint8_t actions[MAX_F], always[MAX_F], would[MAX_F];
    struct router_decision d;
};

static void try_it(const struct router_policy *p, const struct world *w, const unsigned *order,
                   struct tried *t)
{
    memset(t, 0, sizeof(*t));
    t->d = (struct router_decision){
        .actions = t->actions, .always = t->always, .would_actions = t->would};
    decide(p, w, order, -1, &t->d);
}

/* The reference's action, which is an alert where things on trial would do more. */
static bool same_actions(const struct world *w, const unsigned *expected, const struct tried *t)
{
    bool ok = true;

    for (unsigned i = 0; i < w->n_findings; i++) {
        bool raised = expected[i] == GW_ACTION_ALLOW && t->would[i] > GW_ACTION_ALLOW;

        ok = ok && t->actions[i] == (raised ? (unsigned)GW_ACTION_ALERT : expected[i]);
    }
    return ok;
}

/* At the first choice, then, asked for one by one, at all of them. */
static bool check_actions(const struct router_policy *p, const struct world *w,
                          const struct expected *e, const unsigned *order, struct tried *t)
{
    struct tried other = *t;
    bool ok = true, by_target = router_policy_by_target(p);

    if (w->fixed && !e->conflict)
        return same_actions(w, e->actions[0], t);
    other.d.actions = other.actions;
    other.d.always = other.always;
    other.d.would_actions = other.would;
    for (unsigned i = 0; i < t->d.n_choices; i++) {
        decide(p, w, order, (int)t->d.choices[i], &other.d);
        ok = ok && same_actions(w, e->actions[t->d.choices[i]], by_target ? &other : t);
        ok = ok && (i != 0 || same_actions(w, e->actions[t->d.choices[0]], t));
    }
    return ok;
}

/* The same world with everything on trial in force. */
static void end_trials(struct world *w)
{
    w->mode = ROUTER_MODE_ENFORCE;
    for (unsigned i = 0; i < w->n_lines; i++)
        if (w->lines[i].mode == ROUTER_MODE_MONITOR)
            w->lines[i].mode = ROUTER_MODE_ENFORCE;
    for (unsigned i = 0; i < w->n_findings; i++)
        w->findings[i].monitored = false;
}

static bool check_trial(const struct world *w, const unsigned *order, const struct tried *t)
{
    const struct router_would *would = &t->d.would;
    struct world all = *w;
    struct router_policy *p;
    struct tried then;
    bool ok;

    end_trials(&all);
    p = build(&all);
    try_it(p, &all, order, &then);
    ok = memcmp(then.actions, t->would, w->n_findings) == 0;
    ok = ok && !then.d.would.differs;
    if (would->differs)
        ok = ok && would->blocked == then.d.blocked && would->action == then.d.action &&
             would->reason == then.d.reason && would->zones == then.d.zones &&
             strcmp(would->line, then.d.line) == 0;
    else
        ok = ok && then.d.blocked == t->d.blocked && then.d.action == t->d.action &&
             then.d.zones == t->d.zones;
    router_policy_free(p);
    return ok;
}

static void shuffle(unsigned *order, unsigned n)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned k = rnd(i), t = order[i - 1];

        order[i - 1] = order[k];
        order[k] = t;
    }
}

static void test_random_worlds(unsigned rounds)
{
    unsigned n_blocked = 0, n_moved = 0, n_edited = 0, n_would = 0, n_reason = 0;

    for (unsigned round = 0; round < rounds; round++) {
        unsigned straight[MAX_F], shuffled[MAX_F];
        struct tried t, again, mixed;
        struct router_policy *p;
        struct expected e;
        struct world w;
        bool ok;

        make_world(&w);
        expect(&w, &e);
        p = build(&w);
        for (unsigned i = 0; i < MAX_F; i++)
            straight[i] = shuffled[i] = i;
        shuffle(shuffled, w.n_findings);
        try_it(p, &w, straight, &t);
        ok = check_choices(&w, &e, &t.d) && check_result(&w, &e, &t.d);
        ok = ok && check_actions(p, &w, &e, straight, &t) && check_trial(&w, straight, &t);
        try_it(p, &w, straight, &again);
        ok = ok && same_decision(&t.d, &again.d);
        ok = ok && memcmp(t.actions, again.actions, w.n_findings) == 0;
        try_it(p, &w, shuffled, &mixed);
        ok = ok && same_decision(&t.d, &mixed.d);
        for (unsigned i = 0; i < w.n_findings; i++)
            ok = ok && mixed.actions[i] == t.actions[shuffled[i]];
        if (!CHECK(ok))
            fprintf(stderr, "  round %u: %s (%s)\n", round, t.d.reason_text,
                    router_reason_name(t.d.reason));
        n_blocked += t.d.blocked;
        n_moved += t.d.rerouted;
        n_edited += !t.d.blocked && t.d.action > GW_ACTION_ALERT;
        n_would += t.d.would.differs;
        n_reason += t.d.justified != ROUTER_NO_LINE;
        router_policy_free(p);
    }
    /* The generator must reach all of it, or the test shows nothing. */
    CHECK(n_blocked > rounds / 10 && n_blocked < rounds * 9 / 10);
    CHECK(n_moved > rounds / 50 && n_edited > rounds / 50);
    CHECK(n_would > rounds / 50 && n_reason > rounds / 100);
}

int main(void)
{
    test_random_worlds(20000);
    return test_done();
}
