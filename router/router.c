/* router/router.c - one decision: policy first, then order and complexity inside what policy allows.
 *
 * Steps, in this order: (1) each finding, and the request as a whole, takes the first policy line that
 * matches it; (2) the lines that were taken are combined: the strictest action wins, zone limits
 * intersect, a limit that leaves no target is replaced by its `else` or refuses; (3) the route gives
 * targets in an order; (4) only those in the allowed zones, and up, are chosen.
 *
 * Invariants: (R3) no choice lies outside d->zones; (R4) whatever cannot be decided is blocked; (R5) the
 * order of findings changes nothing but the index in d->finding. Pure; no allocation; any thread. */
#include "router/router.h"

#include <string.h>

#include "router/glob.h"
#include "router/policy.h"
#include "router/reason.h"

_Static_assert(ROUTER_MAX_TARGETS <= 64, "a set of targets is one uint64_t");

/* What one decision remembers of each policy line. */
struct use {
    const struct policy_line *line;
    uint32_t matched; /* findings that meet its conditions, for `count` */
    bool applies;     /* to this caller and model */
    bool taken;       /* by a finding or the request */
    bool dropped;     /* its zone limit gave way to its `else` */
};

struct deciding {
    const struct router_policy *p;
    const struct router_input *in;
    struct router_decision *d;
    struct use *uses; /* one a line, in the order of the file */
    unsigned n_uses;
    uint64_t candidates; /* targets that policy may choose from at all */
};

const char *router_reason_name(enum router_reason r)
{
    static const char *const names[] = {
        [ROUTER_REASON_ROUTE] = "route",
        [ROUTER_REASON_TIER] = "tier",
        [ROUTER_REASON_SENSITIVE] = "sensitive",
        [ROUTER_REASON_FIXED] = "fixed",
        [ROUTER_REASON_POLICY_BLOCK] = "policy_block",
        [ROUTER_REASON_ZONE_CONFLICT] = "zone_conflict",
        [ROUTER_REASON_NO_ROUTE] = "no_route",
        [ROUTER_REASON_UNAVAILABLE] = "unavailable",
    };

    return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "unknown";
}

/* ---- (1) lines -------------------------------------------------------------------------------- */

static bool in_groups(const struct router_line *c, const struct router_input *in)
{
    if (c->n_groups == 0)
        return true;
    for (unsigned i = 0; i < in->n_groups; i++)
        for (unsigned k = 0; k < c->n_groups; k++)
            if (gw_span_eq(in->groups[i], c->groups[k]))
                return true;
    return false;
}

/* The model is matched as it was asked for and as what it means, so that an alias is no way around. */
static bool line_applies(const struct router_line *c, const struct router_input *in,
                         struct gw_span model)
{
    return in_groups(c, in) && glob_match_any(c->users, c->n_users, in->user) &&
           (glob_match_any(c->models, c->n_models, in->model) ||
            glob_match_any(c->models, c->n_models, model));
}

static bool finding_fits(const struct router_line *c, const struct router_finding *f)
{
    return (c->classes == 0 || (c->classes & (1u << (unsigned)f->class_)) != 0) &&
           f->confidence >= c->min_confidence && f->severity >= c->min_severity &&
           glob_match_any(c->rules, c->n_rules, f->rule);
}

static void find_lines(struct deciding *g)
{
    g->n_uses = 0;
    for (const struct policy_line *l = g->p->lines; l != NULL; l = l->next) {
        struct use *u = &g->uses[g->n_uses++];

        *u = (struct use){.line = l,
                          .applies = l->c.on != ROUTER_ON_RESPONSE &&
                                     line_applies(&l->c, g->in, g->d->model)};
        for (unsigned i = 0; u->applies && l->c.min_count > 0 && i < g->in->n_findings; i++)
            u->matched += finding_fits(&l->c, &g->in->findings[i]);
    }
}

/* The first line for the finding, or for the request when f is NULL; NULL when none matches. */
static struct use *first_line(struct deciding *g, const struct router_finding *f)
{
    for (unsigned i = 0; i < g->n_uses; i++) {
        struct use *u = &g->uses[i];
        const struct router_line *c = &u->line->c;

        if (!u->applies || c->request_line != (f == NULL))
            continue;
        if (f == NULL || (finding_fits(c, f) && (c->min_count == 0 || u->matched >= c->min_count)))
            return u;
    }
    return NULL;
}

static bool same_kind(const struct router_finding *a, const struct router_finding *b)
{
    return a->class_ == b->class_ && a->severity == b->severity && a->confidence == b->confidence &&
           gw_span_eq(a->rule, b->rule);
}

/* Remembers the line and finding behind the strictest action so far; the earlier line wins a tie. */
struct strictest {
    enum gw_action action;
    const struct use *use;
    int finding; /* the lowest index of that line; -1: the request's own line */
};

static void consider(struct strictest *s, enum gw_action action, const struct use *use, int finding)
{
    if (action > s->action ||
        (action == s->action && use != NULL && (s->use == NULL || use < s->use))) {
        s->action = action;
        s->use = use;
        s->finding = finding;
    }
}

static void take_lines(struct deciding *g, struct strictest *s)
{
    const struct router_input *in = g->in;
    struct use *u = first_line(g, NULL);

    if (u != NULL) {
        u->taken = true;
        consider(s, u->line->c.action, u, -1);
    }
    for (unsigned i = 0; i < in->n_findings; i++) {
        const struct router_finding *f = &in->findings[i];
        enum gw_action action;

        if (f->severity > g->d->sensitivity)
            g->d->sensitivity = f->severity;
        /* Findings come in runs of one kind; the answer for a run is looked up once. */
        if (i == 0 || !same_kind(f, &in->findings[i - 1]))
            u = first_line(g, f);
        action = u == NULL ? g->p->default_action : u->line->c.action;
        g->d->actions[i] = (uint8_t)action;
        g->d->always[i] = u != NULL && u->line->c.scope_always;
        if (g->d->lines != NULL)
            g->d->lines[i] = u == NULL ? ROUTER_NO_LINE : (uint16_t)(u - g->uses);
        if (u != NULL)
            u->taken = true;
        consider(s, action, u, (int)i);
    }
}

/* ---- (2) zones -------------------------------------------------------------------------------- */

/* Is there a place for the request in these zones? */
static bool has_place(const struct deciding *g, unsigned zones)
{
    if (g->in->fixed)
        return ((unsigned)g->in->fixed_zone & zones) != 0;
    return (policy_targets_in(g->p, zones) & g->candidates) != 0;
}

/* Adds the `else` of the lines whose limit gave way to what those lines decided. */
static void apply_elses(struct deciding *g, struct strictest *s)
{
    const struct router_input *in = g->in;
    const struct use *u = first_line(g, NULL);

    if (u != NULL && u->dropped)
        consider(s, u->line->c.else_action, u, -1);
    for (unsigned i = 0; i < in->n_findings; i++) {
        if (i == 0 || !same_kind(&in->findings[i], &in->findings[i - 1]))
            u = first_line(g, &in->findings[i]);
        if (u == NULL || !u->dropped)
            continue;
        if (u->line->c.else_action > g->d->actions[i])
            g->d->actions[i] = (uint8_t)u->line->c.else_action;
        consider(s, u->line->c.else_action, u, (int)i);
    }
}

/* Intersects the limits of the lines that were taken, in the order of the file. A limit that leaves no
 * place beside the earlier ones gives way to its `else`; without one, or with `else: block`, nothing may
 * go anywhere. Returns the line that refused, or NULL. */
static const struct use *limit_zones(struct deciding *g, struct strictest *s,
                                     const struct use **limiting)
{
    const struct use *refused = NULL;
    bool dropped = false;

    for (unsigned i = 0; i < g->n_uses; i++) {
        struct use *u = &g->uses[i];
        unsigned zones = u->line->c.zones;

        if (!u->taken || zones == 0)
            continue;
        if (has_place(g, g->d->zones & zones)) {
            if ((g->d->zones & zones) != g->d->zones && *limiting == NULL)
                *limiting = u;
            g->d->zones &= zones;
            continue;
        }
        u->dropped = u->line->c.has_else;
        dropped = dropped || u->dropped;
        if (refused == NULL && (!u->line->c.has_else || u->line->c.else_action == GW_ACTION_BLOCK))
            refused = u;
    }
    if (dropped)
        apply_elses(g, s);
    return refused;
}

/* ---- (3) the route ------------------------------------------------------------------------------ */

static struct gw_span follow_alias(const struct router_policy *p, struct gw_span model)
{
    for (const struct policy_alias *a = p->aliases; a != NULL; a = a->next)
        if (gw_span_eq(a->from, model))
            return a->to;
    return model;
}

static struct gw_span meant_model(const struct router_policy *p, struct gw_span model)
{
    return model.len > POLICY_MAX_NAME ? model : follow_alias(p, model);
}

static const struct policy_route *find_route(const struct router_policy *p, struct gw_span model)
{
    if (model.len == 0 || model.len > POLICY_MAX_NAME)
        return NULL;
    for (const struct policy_route *r = p->routes; r != NULL; r = r->next)
        if (glob_match_any(r->models.items, r->models.n, model))
            return r;
    return NULL;
}

/* Targets in the order to try, without any twice. */
struct order {
    uint8_t items[ROUTER_MAX_TARGETS];
    unsigned n;
    uint64_t set, unfit;
};

static void append_target(struct order *o, unsigned t)
{
    if (((o->set | o->unfit) >> t & 1) != 0)
        return;
    o->items[o->n++] = (uint8_t)t;
    o->set |= (uint64_t)1 << t;
}

static void append(struct order *o, const struct router_policy *p, const struct policy_list *names,
                   const struct gw_span *model)
{
    for (unsigned i = 0; i < names->n; i++) {
        int t = policy_find_target(p, names->items[i]);

        if (t >= 0 && (model == NULL ||
                       glob_match_any(p->targets[t].models.items, p->targets[t].models.n, *model)))
            append_target(o, (unsigned)t);
    }
}

/* Without a route: those that take the model, then the others. */
static void append_all(struct order *o, const struct router_policy *p, struct gw_span model)
{
    for (unsigned t = 0; t < p->n_targets; t++)
        if (glob_match_any(p->targets[t].models.items, p->targets[t].models.n, model))
            append_target(o, t);
    for (unsigned t = 0; t < p->n_targets; t++)
        append_target(o, t);
}

/* A tier without a usable target takes the next harder one's, then the easier ones'. */
static void order_of(const struct router_policy *p, const struct policy_route *r,
                     const struct router_decision *d, struct order *o)
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

/* Where policy may move a request that its route cannot take: the nearest zone first, in it those that
 * take the model first. */
static void append_reroutes(struct order *o, const struct router_policy *p, struct gw_span model)
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

/* ---- (4) choosing ---------------------------------------------------------------------------------- */

static void pick(struct deciding *g, const struct order *o)
{
    uint64_t allowed = policy_targets_in(g->p, g->d->zones);

    for (unsigned i = 0; i < o->n && g->d->n_choices < ROUTER_MAX_CHOICES; i++) {
        uint64_t bit = (uint64_t)1 << o->items[i];

        if ((allowed & bit) != 0 && (g->in->targets_down & bit) == 0)
            g->d->choices[g->d->n_choices++] = o->items[i];
    }
}

/* The target that would have been first without policy, or -1. */
static int first_up(const struct deciding *g, const struct order *o)
{
    for (unsigned i = 0; i < o->n; i++)
        if ((g->in->targets_down >> o->items[i] & 1) == 0)
            return (int)o->items[i];
    return -1;
}

static void block(struct router_decision *d, enum router_reason reason)
{
    d->blocked = true;
    d->reason = reason;
    d->n_choices = 0;
}

static void choose(struct deciding *g, const struct policy_route *r, struct order *o)
{
    struct router_decision *d = g->d;
    uint64_t allowed = policy_targets_in(g->p, d->zones);
    int wanted = first_up(g, o);

    pick(g, o);
    if (d->n_choices == 0 && (o->set & allowed) == 0 && !r->refuse) {
        struct order more = {.set = o->set, .unfit = o->unfit};

        append_reroutes(&more, g->p, d->model);
        allowed &= more.set;
        pick(g, &more);
        d->rerouted = d->n_choices > 0;
    }
    if (d->n_choices == 0) { /* the zones hold targets (has_place), so they are down */
        block(d, (allowed & g->candidates) != 0 ? ROUTER_REASON_UNAVAILABLE
                                                : ROUTER_REASON_ZONE_CONFLICT);
        return;
    }
    if (wanted >= 0 && d->choices[0] != (unsigned)wanted)
        d->rerouted = true;
    d->reason = d->rerouted ? ROUTER_REASON_SENSITIVE
                : r->tiered ? ROUTER_REASON_TIER
                            : ROUTER_REASON_ROUTE;
}

static enum gw_tier tier_of(const struct router_policy *p, unsigned score)
{
    if (score >= p->complexity.complex_from)
        return GW_TIER_COMPLEX;
    return score >= p->complexity.moderate_from ? GW_TIER_MODERATE : GW_TIER_SIMPLE;
}

static void set_line(struct router_decision *d, const struct use *u)
{
    if (u != NULL)
        d->line = u->line->c.name.ptr;
}

/* The route of requests that have none. */
static const struct policy_route unrouted = {.refuse = true};

/* Policy, then the route. Returns the route (NULL when none was consulted). */
static void decide(struct deciding *g)
{
    struct strictest s = {.action = GW_ACTION_ALLOW, .finding = -1};
    const struct policy_route *r = NULL;
    const struct use *refused, *limiting = NULL;
    struct router_decision *d = g->d;
    struct order o = {.unfit = g->in->targets_unfit};

    find_lines(g);
    take_lines(g, &s);
    if (g->in->unrouted && !g->in->fixed) {
        r = &unrouted;
        append_all(&o, g->p, d->model);
        g->candidates = o.set;
    } else if (!g->in->fixed) {
        r = find_route(g->p, d->model);
        if (r != NULL)
            order_of(g->p, r, d, &o);
        /* Policy may move a request to any target, unless its route says that it may not. */
        g->candidates =
            r != NULL && r->refuse ? o.set : policy_targets_in(g->p, GW_ZONES_ALL) & ~o.unfit;
    }
    if (g->in->fixed || o.n > 0)
        refused = limit_zones(g, &s, &limiting);
    else
        refused = NULL;
    d->action = s.action;
    d->finding = s.finding;
    set_line(d, s.use);
    if (refused != NULL) {
        d->action = GW_ACTION_BLOCK;
        set_line(d, refused);
        block(d, ROUTER_REASON_ZONE_CONFLICT);
    } else if (s.action == GW_ACTION_BLOCK) {
        block(d, ROUTER_REASON_POLICY_BLOCK);
    } else if (g->in->fixed) {
        d->reason = ROUTER_REASON_FIXED;
    } else if (o.n == 0) {
        block(d, ROUTER_REASON_NO_ROUTE);
    } else {
        if (limiting != NULL) /* a zone limit is stricter than every edit */
            set_line(d, limiting);
        choose(g, r, &o);
    }
}

void router_decide(const struct router_policy *p, const struct router_input *in,
                   struct router_decision *d)
{
    struct use uses[POLICY_MAX_LINES]; /* not zeroed: find_lines() fills those that are read */
    struct deciding g = {.p = p, .in = in, .d = d, .uses = uses};
    uint8_t *actions = d->actions, *always = d->always;
    uint16_t *lines = d->lines;

    memset(d, 0, sizeof(*d));
    d->actions = actions;
    d->always = always;
    d->lines = lines;
    d->zones = GW_ZONES_ALL;
    d->line = "";
    d->finding = -1;
    d->model = meant_model(p, in->model);
    d->complexity = router_complexity_score(&in->features, NULL);
    d->tier = tier_of(p, d->complexity);
    if (in->n_findings > ROUTER_MAX_FINDINGS) { /* more than policy can weigh: fail closed */
        d->action = GW_ACTION_BLOCK;
        d->sensitivity = GW_SEVERITY_CRITICAL;
        memset(actions, GW_ACTION_BLOCK, in->n_findings);
        memset(always, 1, in->n_findings);
        if (lines != NULL)
            memset(lines, 0xFF, in->n_findings * sizeof(*lines)); /* ROUTER_NO_LINE */
        block(d, ROUTER_REASON_POLICY_BLOCK);
    } else {
        decide(&g);
    }
    reason_write(p, in, d);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

bool router_watches_responses(const struct router_policy *p, const struct router_input *in)
{
    struct gw_span model = {NULL, 0};

    if (in != NULL)
        model = meant_model(p, in->model);
    for (const struct policy_line *l = p->lines; l != NULL; l = l->next)
        if (l->c.on != ROUTER_ON_REQUEST && l->c.action != GW_ACTION_ALLOW &&
            (in == NULL || line_applies(&l->c, in, model)))
            return true;
    return false;
}

enum gw_action router_decide_response(const struct router_policy *p, const struct router_input *in,
                                      const struct router_finding *f, uint16_t *line)
{
    struct gw_span model = meant_model(p, in->model);
    enum gw_action action = GW_ACTION_ALLOW;
    unsigned i = 0;
    const struct policy_line *l = p->lines;

    while (l != NULL && (l->c.on == ROUTER_ON_REQUEST || !line_applies(&l->c, in, model) ||
                         !finding_fits(&l->c, f))) {
        l = l->next;
        i++;
    }
    if (line != NULL)
        *line = l == NULL ? (uint16_t)ROUTER_NO_LINE : (uint16_t)i;
    if (l != NULL)
        action = l->c.action;
    if (action == GW_ACTION_TOKENIZE)
        return GW_ACTION_REDACT;
    return action == GW_ACTION_COACH ? GW_ACTION_ALERT : action;
}
