/* router/policy_digest.c - the canonical form of a policy, and its SHA-256: what two gateways compare. Pure. */
#include "router/policy.h"

/* Everything with its length in front, so that no two policies have one canonical form. */
static void put_list(struct gw_buf *b, const char *key, const struct gw_span *items, unsigned n)
{
    gw_buf_printf(b, "%s %u", key, n);
    for (unsigned i = 0; i < n; i++) {
        gw_buf_printf(b, " %zu:", items[i].len);
        gw_buf_add(b, items[i]);
    }
    gw_buf_addc(b, '\n');
}

/* Those that few lines have. */
static void put_conditions(const struct router_line *c, struct gw_buf *b)
{
    const struct router_hours *h = &c->hours;

    if (c->n_keys != 0)
        put_list(b, "keys", c->keys, c->n_keys);
    if (c->n_teams != 0)
        put_list(b, "teams", c->teams, c->n_teams);
    if (c->n_targets != 0)
        put_list(b, "targets", c->targets, c->n_targets);
    if ((c->fields | c->views) != 0)
        gw_buf_printf(b, "fields %u %u\n", c->fields, c->views);
    if (c->mode != ROUTER_MODE_ENFORCE || c->justify)
        gw_buf_printf(b, "mode %u %d\n", (unsigned)c->mode, c->justify);
    if (c->media != 0)
        gw_buf_printf(b, "media %u\n", c->media);
    if (c->shape || c->pin)
        gw_buf_printf(b, "more %d %d\n", c->shape, c->pin);
    if (!h->set)
        return;
    gw_buf_printf(b, "hours %u %u %u %d", h->days, h->from, h->to, h->zone.first_s);
    for (unsigned i = 0; i < h->zone.n; i++)
        gw_buf_printf(b, " %lld:%d", (long long)h->zone.from_s[i], h->zone.offset_s[i]);
    gw_buf_addc(b, '\n');
}

static void put_policy(const struct router_policy *p, struct gw_buf *b)
{
    for (unsigned i = 0; i < p->n_targets; i++) {
        gw_buf_printf(b, "target %u\n", (unsigned)p->targets[i].zone);
        put_list(b, "name", &p->targets[i].name, 1);
        put_list(b, "models", p->targets[i].models.items, p->targets[i].models.n);
    }
    for (const struct policy_route *r = p->routes; r != NULL; r = r->next) {
        gw_buf_printf(b, "route %d %d\n", r->tiered, r->refuse);
        put_list(b, "models", r->models.items, r->models.n);
        for (unsigned t = 0; t < GW_TIER_COUNT; t++)
            put_list(b, "to", r->names[t].items, r->names[t].n);
    }
    for (const struct policy_line *l = p->lines; l != NULL; l = l->next) {
        const struct router_line *c = &l->c;

        gw_buf_printf(b, "line %u %u %u %u %d %d %u %d %d %d\n", c->classes, c->min_confidence,
                      (unsigned)c->min_severity, c->min_count, c->request_line, (int)c->action,
                      c->zones, c->has_else, (int)c->else_action, c->scope_always);
        if (c->on != ROUTER_ON_REQUEST)
            gw_buf_printf(b, "on %u\n", (unsigned)c->on);
        put_list(b, "name", &c->name, 1);
        put_list(b, "rules", c->rules, c->n_rules);
        put_list(b, "groups", c->groups, c->n_groups);
        put_list(b, "users", c->users, c->n_users);
        put_list(b, "models", c->models, c->n_models);
        put_conditions(c, b);
    }
    for (const struct policy_alias *a = p->aliases; a != NULL; a = a->next) {
        put_list(b, "alias", &a->from, 1);
        put_list(b, "is", &a->to, 1);
    }
    gw_buf_printf(b, "complexity %u %u\ndefault %d\n", p->complexity.moderate_from,
                  p->complexity.complex_from, (int)p->default_action);
    if (p->mode != ROUTER_MODE_ENFORCE)
        gw_buf_printf(b, "mode %u\n", (unsigned)p->mode);
}

const char *router_policy_digest(struct router_policy *p)
{
    unsigned char sum[GW_SHA256_BYTES];
    struct gw_buf b = {0};

    if (p->digest[0] == '\0') {
        put_policy(p, &b);
        if (gw_buf_ok(&b)) {
            gw_sha256(gw_buf_span(&b), sum);
            gw_hex(sum, sizeof(sum), p->digest);
        }
        gw_buf_fini(&b);
    }
    return p->digest;
}
