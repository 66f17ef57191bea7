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
#include "router/lines.h"
#include "router/reason.h"
#include "router/route.h"

_Static_assert(ROUTER_MAX_TARGETS <= 64, "a set of targets is one uint64_t");

struct deciding {
    struct lines lines;
    const struct router_policy *p;
    const struct router_input *in;
    struct router_decision *d;
    uint64_t candidates; /* targets that policy may choose from at all, a bit each */
    uint64_t allowed;    /* those of them that no line takes away */
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
        [ROUTER_REASON_PINNED] = "pinned",
    };

    return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "unknown";
}

/* ---- (1) lines -------------------------------------------------------------------------------- */

/* Remembers the line and finding behind the strictest action so far; the earlier line wins a tie. */
struct strictest {
    enum gw_action action;
    const struct line_use *use;
    int finding; /* the lowest index of that line; -1: the request's own line */
};

static void consider(struct strictest *s, enum gw_action action, const struct line_use *use,
                     int finding)
{
    if (action > s->action ||
        (action == s->action && use != NULL && (s->use == NULL || use < s->use))) {
        s->action = action;
        s->use = use;
        s->finding = finding;
    }
}

static void take_lines(struct deciding *g)
{
    const struct router_input *in = g->in;

    lines_take(&g->lines, NULL);
    for (unsigned i = 0; i < in->n_findings; i++) {
        const struct router_finding *f = &in->findings[i];

        if (f->severity > g->d->sensitivity && !f->allowed)
            g->d->sensitivity = f->severity;
        /* Findings come in runs of one kind; a run takes the same lines. */
        if (i == 0 || !lines_same_kind(f, &in->findings[i - 1]))
            lines_take(&g->lines, f);
    }
}

/* What the line does to what took it, its `else` included when its zone limit gave way. */
static enum gw_action action_of(const struct deciding *g, const struct line_use *u)
{
    enum gw_action action = lines_action(&u->line->c, g->in);

    return u->dropped && u->line->c.else_action > action ? u->line->c.else_action : action;
}

static enum gw_action default_of(const struct deciding *g, const struct router_finding *f)
{
    if (lines_spare(&g->lines, f) || (g->p->mode != ROUTER_MODE_ENFORCE && !g->lines.all_in_force))
        return GW_ACTION_ALLOW;
    return g->p->default_action;
}

static uint16_t index_of(const struct deciding *g, const struct line_use *u)
{
    return u == NULL ? (uint16_t)ROUTER_NO_LINE : (uint16_t)(u - g->lines.uses);
}

static void note_reason(const struct deciding *g, const struct line_use *u)
{
    if (u != NULL && lines_action(&u->line->c, g->in) != u->line->c.action &&
        index_of(g, u) < g->d->justified)
        g->d->justified = index_of(g, u);
}

static void fill_finding(struct deciding *g, unsigned i, const struct line_use *u,
                         enum gw_action action)
{
    g->d->actions[i] = (uint8_t)action;
    if (g->d->always != NULL)
        g->d->always[i] = u != NULL && u->line->c.scope_always;
    if (g->d->lines != NULL)
        g->d->lines[i] = index_of(g, u);
}

/* What happens to everything at a place, a bit of the candidates; fill: into the decision, too. */
static void judge_at(struct deciding *g, uint64_t place, bool fill, struct strictest *s)
{
    const struct router_input *in = g->in;
    const struct line_use *u = lines_first(&g->lines, NULL, place);

    *s = (struct strictest){.action = GW_ACTION_ALLOW, .finding = -1};
    if (u != NULL)
        consider(s, action_of(g, u), u, -1);
    if (fill)
        note_reason(g, u);
    for (unsigned i = 0; i < in->n_findings; i++) {
        const struct router_finding *f = &in->findings[i];
        enum gw_action action;

        if (i == 0 || !lines_same_kind(f, &in->findings[i - 1]))
            u = lines_first(&g->lines, f, place);
        action = u == NULL ? default_of(g, f) : action_of(g, u);
        consider(s, action, u, (int)i);
        if (!fill)
            continue;
        fill_finding(g, i, u, action);
        note_reason(g, u);
    }
}

/* ---- (2) zones -------------------------------------------------------------------------------- */

static uint64_t in_zones(const struct deciding *g, unsigned zones)
{
    if (g->in->fixed)
        return ((unsigned)g->in->fixed_zone & zones) != 0 ? g->candidates : 0;
    return policy_targets_in(g->p, zones) & g->candidates;
}

/* Narrows by what an earlier request of the conversation was limited to; false: no place is left. */
static bool limit_by_pin(struct deciding *g)
{
    const struct router_input *in = g->in;
    uint64_t left = g->allowed & in_zones(g, in->pinned_zones);

    if (!in->pinned || (g->p->mode != ROUTER_MODE_ENFORCE && !g->lines.all_in_force) ||
        left == g->allowed)
        return true;
    g->d->pinned = true;
    g->d->zones &= in->pinned_zones;
    g->allowed = left;
    return left != 0;
}

/* The line's limit holds for all places. */
static void take_zones(struct router_decision *d, const struct line_use *u,
                       const struct line_use **limiting)
{
    const struct router_line *c = &u->line->c;

    if ((d->zones & c->zones) != d->zones && *limiting == NULL)
        *limiting = u;
    d->zones &= c->zones;
    if (c->pin && !c->request_line)
        d->pin = c->zones & (d->pin == 0 ? GW_ZONES_ALL : d->pin);
}

/* Narrows by the limits of the lines that were taken, in the order of the file. A limit that leaves no
 * place beside the earlier ones gives way to its `else`; without one, or with `else: block`, nothing may
 * go anywhere. Returns the line that refused, or NULL. */
static const struct line_use *limit_zones(struct deciding *g, const struct line_use **limiting)
{
    const struct line_use *refused = NULL;

    for (unsigned i = 0; i < g->lines.n_uses; i++) {
        struct line_use *u = &g->lines.uses[i];
        unsigned zones = u->line->c.zones;
        uint64_t left = g->allowed & (~u->taken | in_zones(g, zones));

        if ((u->taken & g->allowed) == 0 || zones == 0)
            continue;
        if (left != 0) {
            if ((u->taken & g->allowed) == g->allowed) /* else it limits some places only */
                take_zones(g->d, u, limiting);
            g->allowed = left;
            continue;
        }
        u->dropped = u->line->c.has_else;
        if (u->dropped)
            g->d->dropped[i / 64] |= (uint64_t)1 << i % 64;
        if (refused == NULL && (!u->line->c.has_else || u->line->c.else_action == GW_ACTION_BLOCK))
            refused = u;
    }
    return refused;
}

/* Takes away the targets at which a line blocks, where that may differ between them. */
static void drop_blocked(struct deciding *g)
{
    uint64_t told = 0, blocked = 0;

    for (unsigned t = 0; t < ROUTER_MAX_TARGETS; t++) {
        uint64_t bit = (uint64_t)1 << t, alike = bit;
        struct strictest s;

        if ((g->allowed & bit) == 0 || (told & bit) != 0)
            continue;
        /* Targets that the same lines are about are judged once. */
        for (unsigned o = t + 1; o < ROUTER_MAX_TARGETS; o++) {
            bool same = (g->allowed >> o & 1) != 0;

            for (unsigned i = 0; same && i < g->lines.n_uses; i++)
                same = (g->lines.uses[i].targets >> o & 1) == (g->lines.uses[i].targets >> t & 1);
            alike |= same ? (uint64_t)1 << o : 0;
        }
        judge_at(g, bit, false, &s);
        told |= alike;
        blocked |= s.action == GW_ACTION_BLOCK ? alike : 0;
    }
    if ((g->allowed & ~blocked) != 0) /* else the place that is told of says who blocked */
        g->allowed &= ~blocked;
}

/* ---- (4) choosing ---------------------------------------------------------------------------------- */

static void pick(struct deciding *g, const struct route_order *o)
{
    uint64_t allowed = policy_targets_in(g->p, g->d->zones) & g->allowed;

    for (unsigned i = 0; i < o->n && g->d->n_choices < ROUTER_MAX_CHOICES; i++) {
        uint64_t bit = (uint64_t)1 << o->items[i];

        if ((allowed & bit) != 0 && (g->in->targets_down & bit) == 0)
            g->d->choices[g->d->n_choices++] = o->items[i];
    }
}

/* The target that would have been first without policy, or -1. */
static int first_up(const struct deciding *g, const struct route_order *o)
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

static void choose(struct deciding *g, const struct policy_route *r, struct route_order *o)
{
    struct router_decision *d = g->d;
    uint64_t allowed = policy_targets_in(g->p, d->zones) & g->allowed;
    int wanted = first_up(g, o);

    pick(g, o);
    if (d->n_choices == 0 && (o->set & allowed) == 0 && !r->refuse) {
        struct route_order more = {.set = o->set, .unfit = o->unfit};

        route_append_elsewhere(&more, g->p, d->model);
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

static void set_line(struct deciding *g, const struct line_use *u)
{
    if (u == NULL)
        return;
    g->d->line = u->line->c.name.ptr;
    g->d->line_index = index_of(g, u);
}

/* The route of requests that have none. */
static const struct policy_route unrouted = {.refuse = true};

/* Which targets come into question, and in which order. Returns the route (NULL when none was consulted). */
static const struct policy_route *find_candidates(struct deciding *g, struct route_order *o)
{
    const struct policy_route *r = NULL;

    if (g->in->fixed) {
        g->candidates = 1;
        return NULL;
    }
    if (g->in->unrouted) {
        r = &unrouted;
        route_append_all(o, g->p, g->d->model);
        g->candidates = o->set;
        return r;
    }
    r = route_find(g->p, g->d->model);
    if (r != NULL)
        route_order_of(g->p, r, g->d, o);
    /* Policy may move a request to any target, unless its route says that it may not. */
    g->candidates =
        r != NULL && r->refuse ? o->set : policy_targets_in(g->p, GW_ZONES_ALL) & ~o->unfit;
    return r;
}

/* The place that the decision's actions are for: the first choice, else the first that comes into question. */
static uint64_t place_of(const struct deciding *g, const struct route_order *o)
{
    if (g->d->n_choices != 0)
        return (uint64_t)1 << g->d->choices[0];
    for (unsigned i = 0; i < o->n; i++)
        if ((g->allowed >> o->items[i] & 1) != 0)
            return (uint64_t)1 << o->items[i];
    return g->allowed & (~g->allowed + 1);
}

/* Policy, then the route. */
static void decide(struct deciding *g)
{
    const struct policy_route *r;
    const struct line_use *refused = NULL, *limiting = NULL;
    struct router_decision *d = g->d;
    struct route_order o = {.unfit = g->in->targets_unfit};
    struct strictest s;
    bool routed = false, kept = true;

    r = find_candidates(g, &o);
    if (g->candidates == 0) /* nowhere to go, but what policy says is told */
        g->candidates = (uint64_t)1 << (ROUTER_MAX_TARGETS - 1);
    g->allowed = g->lines.candidates = g->candidates;
    lines_find(&g->lines, d->model);
    take_lines(g);
    if (g->in->fixed || o.n > 0)
        kept = limit_by_pin(g);
    if (kept && (g->in->fixed || o.n > 0))
        refused = limit_zones(g, &limiting);
    if (kept && g->p->by_target && refused == NULL && !g->in->fixed)
        drop_blocked(g);
    judge_at(g, place_of(g, &o), false, &s);
    if (refused != NULL || !kept) {
        block(d, ROUTER_REASON_ZONE_CONFLICT);
    } else if (s.action == GW_ACTION_BLOCK) {
        block(d, ROUTER_REASON_POLICY_BLOCK);
    } else if (g->in->fixed) {
        d->reason = ROUTER_REASON_FIXED;
    } else if (o.n == 0) {
        block(d, ROUTER_REASON_NO_ROUTE);
    } else {
        routed = true;
        choose(g, r, &o);
    }
    judge_at(g, place_of(g, &o), d->actions != NULL || g->in->n_findings == 0, &s);
    d->action = refused != NULL || !kept ? GW_ACTION_BLOCK : s.action;
    d->finding = kept ? s.finding : -1;
    if (kept)
        set_line(g, s.use);
    if (d->pinned && !d->blocked && limiting == NULL)
        d->reason = ROUTER_REASON_PINNED;
    if (refused != NULL)
        set_line(g, refused);
    else if (routed)
        set_line(g, limiting); /* a zone limit is stricter than every edit */
}

/* Clears what router_decide() fills in. */
static void reset(const struct router_policy *p, const struct router_input *in,
                  struct router_decision *d)
{
    uint8_t *actions = d->actions, *always = d->always, *would_actions = d->would_actions;
    uint16_t *lines = d->lines;

    memset(d, 0, sizeof(*d));
    d->actions = actions;
    d->always = always;
    d->lines = lines;
    d->would_actions = would_actions;
    d->zones = GW_ZONES_ALL;
    d->line = d->would.line = "";
    d->line_index = d->justified = ROUTER_NO_LINE;
    d->finding = d->would.target = -1;
    d->model = route_meant_model(p, in->model);
    d->complexity = router_complexity_score(&in->features, NULL);
    d->tier = tier_of(p, d->complexity);
}

static void decide_one(const struct router_policy *p, const struct router_input *in,
                       bool all_in_force, struct router_decision *d)
{
    struct line_use uses[POLICY_MAX_LINES]; /* not zeroed: lines_find() fills those that are read */
    struct deciding g = {
        .lines = {.p = p, .in = in, .uses = uses, .all_in_force = all_in_force},
        .p = p,
        .in = in,
        .d = d,
    };

    reset(p, in, d);
    decide(&g);
}

/* ---- what is on trial ---------------------------------------------------------------------------- */

void router_compare(const struct router_decision *d, const struct router_decision *other,
                    unsigned n_findings, struct router_would *out)
{
    *out = (struct router_would){
        .differs = d->blocked != other->blocked || d->action != other->action ||
                   d->n_choices != other->n_choices || d->zones != other->zones ||
                   (d->n_choices != 0 && d->choices[0] != other->choices[0]),
        .blocked = other->blocked,
        .action = other->action,
        .reason = other->reason,
        .line = other->line,
        .zones = other->zones,
        .target = other->n_choices == 0 ? -1 : (int)other->choices[0],
    };
    for (unsigned i = 0; i < n_findings && !out->differs; i++)
        out->differs = d->actions[i] != other->actions[i];
}

/* What would happen with everything in force; what it would have been stricter with is at least told. */
static void look_ahead(const struct router_policy *p, const struct router_input *in,
                       struct router_decision *d)
{
    struct router_decision would = {.actions = d->would_actions};
    bool on_trial = p->on_trial;

    for (unsigned i = 0; i < in->n_findings && !on_trial; i++)
        on_trial = in->findings[i].monitored;
    if (!on_trial) {
        if (d->would_actions != NULL && in->n_findings != 0)
            memcpy(d->would_actions, d->actions, in->n_findings);
        return;
    }
    decide_one(p, in, true, &would);
    router_compare(d, &would, d->would_actions == NULL ? 0 : in->n_findings, &d->would);
    for (unsigned i = 0; d->would_actions != NULL && i < in->n_findings; i++)
        if (d->would_actions[i] > d->actions[i] && d->actions[i] == GW_ACTION_ALLOW)
            d->actions[i] = GW_ACTION_ALERT;
    if (d->would.differs && d->action == GW_ACTION_ALLOW)
        d->action = GW_ACTION_ALERT;
}

void router_decide(const struct router_policy *p, const struct router_input *in,
                   struct router_decision *d)
{
    if (in->n_findings > ROUTER_MAX_FINDINGS) { /* more than policy can weigh: fail closed */
        reset(p, in, d);
        d->action = GW_ACTION_BLOCK;
        d->sensitivity = GW_SEVERITY_CRITICAL;
        memset(d->actions, GW_ACTION_BLOCK, in->n_findings);
        memset(d->always, 1, in->n_findings);
        if (d->would_actions != NULL)
            memset(d->would_actions, GW_ACTION_BLOCK, in->n_findings);
        if (d->lines != NULL)
            memset(d->lines, 0xFF, in->n_findings * sizeof(*d->lines)); /* ROUTER_NO_LINE */
        block(d, ROUTER_REASON_POLICY_BLOCK);
    } else {
        decide_one(p, in, false, d);
        look_ahead(p, in, d);
    }
    reason_write(p, in, d);
}

void router_decide_at(const struct router_policy *p, const struct router_input *in, unsigned target,
                      struct router_decision *d)
{
    struct line_use uses[POLICY_MAX_LINES];
    struct deciding g = {.lines = {.p = p, .in = in, .uses = uses}, .p = p, .in = in, .d = d};
    struct strictest s;

    if (!p->by_target || in->fixed || target >= ROUTER_MAX_TARGETS ||
        in->n_findings > ROUTER_MAX_FINDINGS)
        return;
    g.candidates = g.lines.candidates = (uint64_t)1 << target;
    lines_find(&g.lines, d->model);
    for (unsigned i = 0; i < g.lines.n_uses; i++)
        uses[i].dropped = (d->dropped[i / 64] >> i % 64 & 1) != 0;
    judge_at(&g, g.candidates, true, &s);
    d->action = s.action;
    for (unsigned i = 0; d->would_actions != NULL && i < in->n_findings; i++)
        if (d->would_actions[i] > d->actions[i] && d->actions[i] == GW_ACTION_ALLOW)
            d->actions[i] = GW_ACTION_ALERT;
}

/* ---- answers ---------------------------------------------------------------------------------------- */

bool router_watches_responses(const struct router_policy *p, const struct router_input *in)
{
    struct gw_span model = {NULL, 0};

    if (in != NULL)
        model = route_meant_model(p, in->model);
    for (const struct policy_line *l = p->lines; l != NULL; l = l->next)
        if (l->c.action != GW_ACTION_ALLOW && lines_watch_answer(l, in, model))
            return true;
    return false;
}

/* The action of the first line that fits, of those in force or of all. */
static enum gw_action decide_answer(const struct router_policy *p, const struct router_input *in,
                                    const struct router_finding *f, bool all_in_force,
                                    uint16_t *line)
{
    struct gw_span model = route_meant_model(p, in->model);
    bool spared = f->allowed || (!all_in_force && (f->monitored || p->mode != ROUTER_MODE_ENFORCE));
    enum gw_action action = GW_ACTION_ALLOW;
    const struct policy_line *l = p->lines;
    unsigned i = 0;

    while (l != NULL && (spared || (!all_in_force && l->c.mode != ROUTER_MODE_ENFORCE) ||
                         !lines_fit_answer(l, in, model, f))) {
        l = l->next;
        i++;
    }
    if (line != NULL)
        *line = l == NULL ? (uint16_t)ROUTER_NO_LINE : (uint16_t)i;
    if (l != NULL)
        action = lines_action(&l->c, in);
    if (action == GW_ACTION_TOKENIZE)
        return GW_ACTION_REDACT;
    return action == GW_ACTION_COACH ? GW_ACTION_ALERT : action;
}

enum gw_action router_decide_response(const struct router_policy *p, const struct router_input *in,
                                      const struct router_finding *f, uint16_t *line,
                                      enum gw_action *would)
{
    enum gw_action action = decide_answer(p, in, f, false, line);
    enum gw_action then =
        p->on_trial || f->monitored ? decide_answer(p, in, f, true, NULL) : action;

    if (would != NULL)
        *would = then;
    return then > action && action == GW_ACTION_ALLOW ? GW_ACTION_ALERT : action;
}
