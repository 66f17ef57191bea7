/* router/policy.c - builds a policy: copies what it is given, checks it, names it by a digest.
 *
 * Owns the memory of every span in it (one arena). Built on one thread, then immutable. */
#include "router/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/glob.h"

enum { MAX_ARENA_BYTES = 64 << 20, MAX_LIST = 10000 };

struct router_policy *router_policy_new(void)
{
    struct router_policy *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->arena = gw_arena_new(MAX_ARENA_BYTES);
    if (p->arena == NULL) {
        free(p);
        return NULL;
    }
    p->complexity = (struct router_complexity){25, 50};
    p->default_action = GW_ACTION_ALLOW;
    return p;
}

void router_policy_free(struct router_policy *p)
{
    if (p == NULL)
        return;
    gw_arena_free(p->arena);
    free(p);
}

/* ---- copying ------------------------------------------------------------------------------- */

static enum gw_status copy_name(struct router_policy *p, struct gw_span in, struct gw_span *out,
                                struct gw_err *err)
{
    struct gw_span copy;

    if (in.len > POLICY_MAX_NAME)
        return gw_fail(err, GW_ELIMIT, "a name or pattern is longer than %d bytes",
                       POLICY_MAX_NAME);
    copy = gw_arena_copy(p->arena, in);
    if (copy.ptr == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    *out = copy;
    return GW_OK;
}

static enum gw_status copy_list(struct router_policy *p, const struct gw_span *in, unsigned n,
                                struct policy_list *out, struct gw_err *err)
{
    struct gw_span *items;

    if (n > MAX_LIST)
        return gw_fail(err, GW_ELIMIT, "a list has more than %d items", MAX_LIST);
    items = gw_arena_array(p->arena, n, sizeof(*items));
    if (items == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < n; i++)
        GW_TRY(copy_name(p, in[i], &items[i], err));
    *out = (struct policy_list){items, n};
    return GW_OK;
}

/* The same in place: the pointer and count of a router_line. */
static enum gw_status own_list(struct router_policy *p, const struct gw_span **items, unsigned n,
                               struct gw_err *err)
{
    struct policy_list list = {NULL, 0};

    GW_TRY(copy_list(p, *items, n, &list, err));
    *items = list.items;
    return GW_OK;
}

static enum gw_status own_zone(struct router_policy *p, struct router_zone *z, struct gw_err *err)
{
    int64_t *from = gw_arena_array(p->arena, z->n, sizeof(*from));
    int32_t *offset = gw_arena_array(p->arena, z->n, sizeof(*offset));

    if (from == NULL || offset == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (z->n != 0) {
        memcpy(from, z->from_s, z->n * sizeof(*from));
        memcpy(offset, z->offset_s, z->n * sizeof(*offset));
    }
    z->from_s = from;
    z->offset_s = offset;
    return GW_OK;
}

/* ---- adding --------------------------------------------------------------------------------- */

int policy_find_target(const struct router_policy *p, struct gw_span name)
{
    for (unsigned i = 0; i < p->n_targets; i++)
        if (gw_span_eq(p->targets[i].name, name))
            return (int)i;
    return -1;
}

enum gw_status router_policy_add_target(struct router_policy *p, struct gw_span name,
                                        enum gw_zone zone, const struct gw_span *models,
                                        unsigned n_models, unsigned *index, struct gw_err *err)
{
    struct policy_target t = {.zone = zone};

    if (policy_find_target(p, name) >= 0)
        return gw_fail(err, GW_EEXIST, "two targets are named %.*s", (int)name.len, name.ptr);
    if (p->n_targets == ROUTER_MAX_TARGETS)
        return gw_fail(err, GW_ELIMIT, "more than %d targets", ROUTER_MAX_TARGETS);
    if (zone != GW_ZONE_PROCESS && zone != GW_ZONE_PRIVATE && zone != GW_ZONE_APPROVED)
        return gw_fail(err, GW_EINVAL, "a target needs one zone");
    GW_TRY(copy_name(p, name, &t.name, err));
    GW_TRY(copy_list(p, models, n_models, &t.models, err));
    *index = p->n_targets;
    p->targets[p->n_targets++] = t;
    return GW_OK;
}

static enum gw_status check_direction(const struct router_line *line, struct gw_err *err)
{
    if (line->on >= ROUTER_DIRECTION_COUNT)
        return gw_fail(err, GW_EINVAL, "a value is out of range");
    if (line->on == ROUTER_ON_REQUEST)
        return GW_OK;
    if (line->request_line)
        return gw_fail(err, GW_EINVAL,
                       "on: an answer is judged by its findings; say class, rule, confidence or "
                       "severity in `when`");
    if (line->min_count != 0)
        return gw_fail(err, GW_EINVAL,
                       "on: an answer is judged as it comes, so `count` is about requests only; "
                       "use two lines");
    if (line->on == ROUTER_ON_RESPONSE && line->zones != 0)
        return gw_fail(err, GW_EINVAL,
                       "on: an answer is already here, so `zone` is about requests only");
    return GW_OK;
}

static enum gw_status check_line(const struct router_line *line, struct gw_err *err)
{
    const struct router_hours *h = &line->hours;

    if (line->name.len == 0)
        return gw_fail(err, GW_EINVAL, "a policy line needs a name");
    if ((line->zones & ~GW_ZONES_ALL) != 0 || line->action >= GW_ACTION_COUNT ||
        line->else_action >= GW_ACTION_COUNT || line->min_severity >= GW_SEVERITY_COUNT ||
        line->min_confidence > 100 || line->mode >= ROUTER_MODE_COUNT || h->from >= 24 * 60 ||
        h->to >= 24 * 60)
        return gw_fail(err, GW_EINVAL, "a value is out of range");
    if (line->justify && line->action != GW_ACTION_BLOCK)
        return gw_fail(err, GW_EINVAL, "a reason lifts the action block only");
    if (line->n_targets != 0 && line->zones != 0)
        return gw_fail(err, GW_EINVAL,
                       "target: a line about some targets has no `zone`; `block` keeps it away "
                       "from them");
    return check_direction(line, err);
}

/* Makes what the line points to the policy's own. */
static enum gw_status own_line(struct router_policy *p, struct router_line *c, struct gw_err *err)
{
    GW_TRY(copy_name(p, c->name, &c->name, err));
    GW_TRY(own_list(p, &c->rules, c->n_rules, err));
    GW_TRY(own_list(p, &c->groups, c->n_groups, err));
    GW_TRY(own_list(p, &c->users, c->n_users, err));
    GW_TRY(own_list(p, &c->models, c->n_models, err));
    GW_TRY(own_list(p, &c->keys, c->n_keys, err));
    GW_TRY(own_list(p, &c->teams, c->n_teams, err));
    GW_TRY(own_list(p, &c->targets, c->n_targets, err));
    return own_zone(p, &c->hours.zone, err);
}

enum gw_status router_policy_add_line(struct router_policy *p, const struct router_line *line,
                                      struct gw_err *err)
{
    struct policy_line *l;

    if (p->n_lines == POLICY_MAX_LINES)
        return gw_fail(err, GW_ELIMIT, "more than %d policy lines", POLICY_MAX_LINES);
    GW_TRY(check_line(line, err));
    l = gw_arena_alloc(p->arena, sizeof(*l));
    if (l == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    l->c = *line;
    GW_TRY(own_line(p, &l->c, err));
    p->by_target = p->by_target || (line->n_targets != 0 && line->mode != ROUTER_MODE_OFF);
    p->on_trial = p->on_trial || line->mode == ROUTER_MODE_MONITOR;
    if (p->last_line == NULL)
        p->lines = l;
    else
        p->last_line->next = l;
    p->last_line = l;
    p->n_lines++;
    return GW_OK;
}

enum gw_status router_policy_add_route(struct router_policy *p, const struct router_route *r,
                                       struct gw_err *err)
{
    struct policy_route *route;
    unsigned n_tiers = r->tiered ? GW_TIER_COUNT : 1;

    if (p->n_routes == POLICY_MAX_ROUTES)
        return gw_fail(err, GW_ELIMIT, "more than %d routes", POLICY_MAX_ROUTES);
    for (unsigned t = 0; t < n_tiers; t++)
        if (r->n_targets[t] > ROUTER_MAX_TARGETS)
            return gw_fail(err, GW_ELIMIT, "more than %d targets in one list", ROUTER_MAX_TARGETS);
    if (r->n_models == 0)
        return gw_fail(err, GW_EINVAL, "a route needs a model pattern");
    route = gw_arena_alloc(p->arena, sizeof(*route));
    if (route == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    route->tiered = r->tiered;
    route->refuse = r->refuse_on_conflict;
    GW_TRY(copy_list(p, r->models, r->n_models, &route->models, err));
    for (unsigned t = 0; t < n_tiers; t++)
        GW_TRY(copy_list(p, r->targets[t], r->n_targets[t], &route->names[t], err));
    if (p->last_route == NULL)
        p->routes = route;
    else
        p->last_route->next = route;
    p->last_route = route;
    p->n_routes++;
    return GW_OK;
}

enum gw_status router_policy_add_alias(struct router_policy *p, struct gw_span from,
                                       struct gw_span to, struct gw_err *err)
{
    struct policy_alias *a;

    if (p->n_aliases == POLICY_MAX_ALIASES)
        return gw_fail(err, GW_ELIMIT, "more than %d aliases", POLICY_MAX_ALIASES);
    for (a = p->aliases; a != NULL; a = a->next)
        if (gw_span_eq(a->from, from))
            return gw_fail(err, GW_EEXIST, "two aliases for the same model");
    if (from.len == 0 || to.len == 0)
        return gw_fail(err, GW_EINVAL, "an alias needs two names");
    a = gw_arena_alloc(p->arena, sizeof(*a));
    if (a == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    GW_TRY(copy_name(p, from, &a->from, err));
    GW_TRY(copy_name(p, to, &a->to, err));
    if (p->last_alias == NULL)
        p->aliases = a;
    else
        p->last_alias->next = a;
    p->last_alias = a;
    p->n_aliases++;
    return GW_OK;
}

enum gw_status router_policy_set_complexity(struct router_policy *p,
                                            const struct router_complexity *c, struct gw_err *err)
{
    if (c->moderate_from > c->complex_from || c->complex_from > 101)
        return gw_fail(err, GW_EINVAL,
                       "moderate_from must not be above complex_from, and that not above 101");
    p->complexity = *c;
    return GW_OK;
}

void router_policy_set_default(struct router_policy *p, enum gw_action action)
{
    p->default_action = action;
}

void router_policy_set_mode(struct router_policy *p, enum router_mode mode)
{
    p->mode = mode;
    p->on_trial = p->on_trial || mode == ROUTER_MODE_MONITOR;
}

bool router_policy_by_target(const struct router_policy *p)
{
    return p->by_target;
}

/* ---- checking ---------------------------------------------------------------------------------- */

uint64_t policy_targets_in(const struct router_policy *p, unsigned zones)
{
    uint64_t set = 0;

    for (unsigned i = 0; i < p->n_targets; i++)
        if (((unsigned)p->targets[i].zone & zones) != 0)
            set |= (uint64_t)1 << i;
    return set;
}

struct check {
    void (*report)(void *ctx, const char *message);
    void *ctx;
    unsigned n;
};

static void found(struct check *c, const char *what, struct gw_span name, const char *why)
{
    char text[400];

    c->n++;
    if (c->report == NULL)
        return;
    (void)snprintf(text, sizeof(text), "%s %.*s: %s", what, (int)(name.len > 64 ? 64 : name.len),
                   name.len == 0 ? "" : name.ptr, why);
    c->report(c->ctx, text);
}

static void check_route(const struct router_policy *p, const struct policy_route *r,
                        struct check *c)
{
    unsigned n = 0;

    for (unsigned t = 0; t < GW_TIER_COUNT; t++) {
        for (unsigned i = 0; i < r->names[t].n; i++, n++)
            if (policy_find_target(p, r->names[t].items[i]) < 0)
                found(c, "route", r->models.items[0], "names a target that does not exist");
    }
    if (n == 0)
        found(c, "route", r->models.items[0], "has no target");
}

unsigned router_policy_check(const struct router_policy *p,
                             void (*report)(void *ctx, const char *message), void *ctx)
{
    struct check c = {report, ctx, 0};

    if (p->n_targets == 0)
        found(&c, "targets", GW_SPAN(""), "there is none");
    for (const struct policy_route *r = p->routes; r != NULL; r = r->next)
        check_route(p, r, &c);
    for (const struct policy_line *l = p->lines; l != NULL; l = l->next)
        if (l->c.zones != 0 && !l->c.has_else && policy_targets_in(p, l->c.zones) == 0)
            found(&c, "policy line", l->c.name,
                  "no target lies in its zones: everything it matches would be refused. Add a "
                  "target, or say so with `else: block`");
    return c.n;
}

const char *router_target_name(const struct router_policy *p, unsigned index)
{
    return index < p->n_targets ? p->targets[index].name.ptr : "";
}

enum gw_zone router_target_zone(const struct router_policy *p, unsigned index)
{
    return index < p->n_targets ? p->targets[index].zone : GW_ZONE_APPROVED;
}

unsigned router_target_count(const struct router_policy *p)
{
    return p->n_targets;
}

const char *router_line_name(const struct router_policy *p, unsigned index)
{
    const struct policy_line *l = p->lines;

    while (l != NULL && index-- > 0)
        l = l->next;
    return l == NULL ? "" : l->c.name.ptr;
}

/* A name that a tiered route spells out ("auto") stands for the tiers and is nobody's model. */
static bool is_virtual(const struct router_policy *p, struct gw_span model)
{
    for (const struct policy_route *r = p->routes; r != NULL; r = r->next)
        for (unsigned i = 0; r->tiered && i < r->models.n; i++)
            if (gw_span_eq_nocase(r->models.items[i], model))
                return true;
    return false;
}

bool router_target_takes(const struct router_policy *p, unsigned index, struct gw_span model)
{
    return index < p->n_targets && !is_virtual(p, model) &&
           glob_match_any(p->targets[index].models.items, p->targets[index].models.n, model);
}
