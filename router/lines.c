/* router/lines.c - see lines.h: the conditions of policy lines. */
#include "router/lines.h"

#include "router/glob.h"

enum { DAY_MINUTES = 24 * 60, WEEK_DAYS = 7 };

const char *router_field_name(enum router_field f)
{
    static const char *const names[ROUTER_FIELD_COUNT] = {
        "other", "system", "user", "assistant", "tool", "key", "path", "query", "file"};

    return f < ROUTER_FIELD_COUNT ? names[f] : "other";
}

/* ---- time ------------------------------------------------------------------------------------- */

static int32_t offset_at(const struct router_zone *z, int64_t now_s)
{
    unsigned lo = 0, hi = z->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (z->from_s[mid] <= now_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? z->first_s : z->offset_s[lo - 1];
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

bool router_hours_hold(const struct router_hours *h, int64_t now_ms)
{
    int64_t now_s = floor_div(now_ms, 1000);
    int64_t minutes = floor_div(now_s + offset_at(&h->zone, now_s), 60);
    int64_t days = floor_div(minutes, DAY_MINUTES);
    unsigned minute = (unsigned)(minutes - days * DAY_MINUTES);
    unsigned day; /* Monday is 0; 1970 began on a Thursday */
    bool in = minute >= h->from && minute < h->to;

    if (h->from == h->to) {
        in = true;
    } else if (h->from > h->to) {
        in = minute >= h->from || minute < h->to;
        if (minute < h->to) /* it began the day before */
            days--;
    }
    day = (unsigned)(((days + 3) % WEEK_DAYS + WEEK_DAYS) % WEEK_DAYS);
    return in && (h->days == 0 || (h->days >> day & 1u) != 0);
}

/* ---- conditions ------------------------------------------------------------------------------- */

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
           glob_match_any(c->teams, c->n_teams, in->team) &&
           (glob_match_any(c->keys, c->n_keys, in->key) ||
            glob_match_any(c->keys, c->n_keys, in->key_id)) &&
           (glob_match_any(c->models, c->n_models, in->model) ||
            glob_match_any(c->models, c->n_models, model)) &&
           (c->media == 0 || (c->media & in->media) != 0) &&
           (!c->hours.set || router_hours_hold(&c->hours, in->now_ms));
}

static bool finding_fits(const struct router_line *c, const struct router_finding *f)
{
    return (c->classes == 0 || (c->classes & (1u << (unsigned)f->class_)) != 0) &&
           (c->fields == 0 || (c->fields & (1u << (unsigned)f->field)) != 0) &&
           (c->views == 0 || (f->view < 32 && (c->views >> f->view & 1u) != 0)) &&
           f->confidence >= c->min_confidence && f->severity >= c->min_severity &&
           glob_match_any(c->rules, c->n_rules, f->rule);
}

static uint64_t targets_of(const struct lines *l, const struct router_line *c)
{
    uint64_t set = 0;

    if (c->n_targets == 0)
        return l->candidates;
    if (l->in->fixed)
        return glob_match_any(c->targets, c->n_targets, l->in->target) ? l->candidates : 0;
    for (unsigned t = 0; t < l->p->n_targets; t++)
        if (glob_match_any(c->targets, c->n_targets, l->p->targets[t].name))
            set |= (uint64_t)1 << t;
    return set & l->candidates;
}

static bool in_force(const struct lines *l, const struct router_line *c)
{
    if (c->mode == ROUTER_MODE_OFF)
        return false;
    return l->all_in_force || (c->mode == ROUTER_MODE_ENFORCE && l->p->mode == ROUTER_MODE_ENFORCE);
}

bool lines_spare(const struct lines *l, const struct router_finding *f)
{
    return f->allowed || (f->monitored && !l->all_in_force);
}

void lines_find(struct lines *l, struct gw_span model)
{
    const struct router_input *in = l->in;

    l->n_uses = 0;
    for (const struct policy_line *line = l->p->lines; line != NULL; line = line->next) {
        const struct router_line *c = &line->c;
        struct line_use *u = &l->uses[l->n_uses++];

        *u = (struct line_use){.line = line,
                               .applies = in_force(l, c) && c->on != ROUTER_ON_RESPONSE &&
                                          line_applies(c, in, model)};
        if (u->applies)
            u->targets = targets_of(l, c);
        for (unsigned i = 0; u->applies && c->min_count > 0 && i < in->n_findings; i++)
            u->matched += !lines_spare(l, &in->findings[i]) && finding_fits(c, &in->findings[i]);
    }
}

/* ---- the first line --------------------------------------------------------------------------- */

static bool use_fits(const struct line_use *u, const struct router_finding *f)
{
    const struct router_line *c = &u->line->c;

    if (!u->applies || c->request_line != (f == NULL))
        return false;
    return f == NULL || (finding_fits(c, f) && (c->min_count == 0 || u->matched >= c->min_count));
}

struct line_use *lines_first(const struct lines *l, const struct router_finding *f, uint64_t place)
{
    if (f != NULL && lines_spare(l, f))
        return NULL;
    for (unsigned i = 0; i < l->n_uses; i++)
        if ((l->uses[i].targets & place) != 0 && use_fits(&l->uses[i], f))
            return &l->uses[i];
    return NULL;
}

void lines_take(struct lines *l, const struct router_finding *f)
{
    uint64_t left = l->candidates;

    if (f != NULL && lines_spare(l, f))
        return;
    for (unsigned i = 0; i < l->n_uses && left != 0; i++) {
        struct line_use *u = &l->uses[i];

        if ((u->targets & left) == 0 || !use_fits(u, f))
            continue;
        u->taken |= u->targets & left;
        left &= ~u->targets;
    }
}

bool lines_same_kind(const struct router_finding *a, const struct router_finding *b)
{
    return a->class_ == b->class_ && a->severity == b->severity && a->confidence == b->confidence &&
           a->field == b->field && a->view == b->view && a->monitored == b->monitored &&
           a->allowed == b->allowed && gw_span_eq(a->rule, b->rule);
}

enum gw_action lines_action(const struct router_line *c, const struct router_input *in)
{
    return c->justify && in->justified && c->action == GW_ACTION_BLOCK ? GW_ACTION_COACH
                                                                       : c->action;
}

/* ---- answers ---------------------------------------------------------------------------------- */

bool lines_watch_answer(const struct policy_line *l, const struct router_input *in,
                        struct gw_span model)
{
    return l->c.on != ROUTER_ON_REQUEST && l->c.mode != ROUTER_MODE_OFF &&
           (in == NULL || line_applies(&l->c, in, model));
}

bool lines_fit_answer(const struct policy_line *l, const struct router_input *in,
                      struct gw_span model, const struct router_finding *f)
{
    return lines_watch_answer(l, in, model) &&
           glob_match_any(l->c.targets, l->c.n_targets, in->target) && finding_fits(&l->c, f);
}
