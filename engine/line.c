/* engine/line.c - the line and the tenants' accounts. See line.h. */
#include "engine/line.h"

#include <stdlib.h>
#include <string.h>

struct line {
    struct line_place *first, *last;
    struct line_tenant *tenants;
    unsigned n_idle; /* tenants without members */
};

struct line *line_new(void)
{
    return calloc(1, sizeof(struct line));
}

void line_free(struct line *l)
{
    struct line_tenant *t = l == NULL ? NULL : l->tenants;

    while (t != NULL) {
        struct line_tenant *next = t->next;

        free(t);
        t = next;
    }
    free(l);
}

/* ---- tenants ---------------------------------------------------------------------------- */

/* Forgets the one without members that has had least: it loses least by that. */
static void forget_one(struct line *l)
{
    struct line_tenant **at = NULL, *t;

    for (struct line_tenant **i = &l->tenants; *i != NULL; i = &(*i)->next)
        if ((*i)->n_members == 0 && (at == NULL || (*i)->served < (*at)->served))
            at = i;
    if (at == NULL)
        return;
    t = *at;
    *at = t->next;
    free(t);
    l->n_idle--;
}

static struct line_tenant *tenant_of(struct line *l, struct gw_span name)
{
    struct line_tenant *t = l->tenants;

    while (t != NULL && !gw_span_eq((struct gw_span){t->name, t->len}, name))
        t = t->next;
    if (t != NULL)
        return t;
    if (l->n_idle >= LINE_MAX_IDLE)
        forget_one(l);
    t = calloc(1, sizeof(*t) + name.len + 1);
    if (t == NULL)
        return NULL;
    t->len = name.len;
    if (name.len != 0)
        memcpy(t->name, name.ptr, name.len);
    t->next = l->tenants;
    l->tenants = t;
    l->n_idle++;
    return t;
}

/* A tenant that had no request gets no credit for the time it was away. */
static void come_back(const struct line *l, struct line_tenant *t)
{
    uint64_t least = UINT64_MAX;

    for (const struct line_tenant *i = l->tenants; i != NULL; i = i->next)
        if (i->n_members != 0 && i->served < least)
            least = i->served;
    if (least != UINT64_MAX && t->served < least)
        t->served = least;
}

void line_charge(struct line_place *p, uint64_t tokens)
{
    p->tenant->served += tokens;
}

/* ---- the line --------------------------------------------------------------------------- */

void line_rejoin(struct line *l, struct line_place *p)
{
    p->next = NULL;
    *(l->first == NULL ? &l->first : &l->last->next) = p;
    l->last = p;
    p->waiting = true;
    p->tenant->n_running--;
}

bool line_join(struct line *l, struct line_place *p, struct gw_span tenant, uint64_t now)
{
    struct line_tenant *t = tenant_of(l, tenant);

    if (t == NULL)
        return false;
    if (t->n_members == 0) {
        come_back(l, t);
        l->n_idle--;
    }
    t->n_members++;
    t->n_running++; /* until it has joined */
    p->tenant = t;
    p->since_ns = now;
    line_rejoin(l, p);
    return true;
}

void line_run(struct line *l, struct line_place *p)
{
    struct line_place **at = &l->first, *before = NULL;

    while (*at != p) {
        before = *at;
        at = &before->next;
    }
    *at = p->next;
    if (l->last == p)
        l->last = before;
    p->next = NULL;
    p->waiting = false;
    p->tenant->n_running++;
}

void line_leave(struct line *l, struct line_place *p)
{
    struct line_tenant *t = p->tenant;

    if (p->waiting)
        line_run(l, p);
    t->n_running--;
    t->n_members--;
    l->n_idle += t->n_members == 0;
    p->tenant = NULL;
}

/* Its priority with what it gained by waiting. */
static int64_t level(const struct line_place *p, uint64_t now)
{
    uint64_t waited = now > p->since_ns ? now - p->since_ns : 0;

    return p->priority + (int64_t)(waited / LINE_AGING_NS);
}

struct line_place *line_next(const struct line *l, uint64_t now)
{
    struct line_place *best = l->first;

    for (struct line_place *p = l->first; p != NULL; p = p->next) {
        int64_t a = level(p, now), b = level(best, now);

        if (a > b || (a == b && p->tenant->served < best->tenant->served) ||
            (a == b && p->tenant == best->tenant && p->since_ns < best->since_ns))
            best = p;
    }
    return best;
}

struct line_place *line_first(const struct line *l)
{
    return l->first;
}
