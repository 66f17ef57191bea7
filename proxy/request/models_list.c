/* proxy/request/models_list.c - the names a client can send: routes, aliases and targets' models without wildcards, in the shapes
 * of three APIs. */
#include "proxy/request/models_list.h"

#include <string.h>

#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

enum { MAX_NAMES = 256 };

struct names {
    struct models_entry items[MAX_NAMES];
    unsigned n;
};

static void add(struct names *names, struct gw_span name, struct gw_span owner)
{
    if (name.len == 0 || memchr(name.ptr, '*', name.len) != NULL ||
        memchr(name.ptr, '?', name.len) != NULL)
        return;
    for (unsigned i = 0; i < names->n; i++)
        if (gw_span_eq(names->items[i].id, name))
            return;
    if (names->n == MAX_NAMES)
        return;
    names->items[names->n++] = (struct models_entry){name, owner};
}

/* May one of the route's targets answer the caller? */
static bool route_leads(const struct proxy_config_route *r, const struct proxy_principal *who)
{
    const struct proxy_config_list *lists[] = {
        &r->to, &r->tiers[GW_TIER_SIMPLE], &r->tiers[GW_TIER_MODERATE], &r->tiers[GW_TIER_COMPLEX]};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        for (unsigned k = 0; k < lists[i]->n; k++)
            if (proxy_principal_may_target(who, lists[i]->items[k]))
                return true;
    return false;
}

static void add_target(struct names *names, const struct proxy_config_target *t,
                       const struct proxy_principal *who)
{
    struct gw_span owner = gw_span_str(t->name), own = gw_span_str(t->default_model);

    if (!proxy_principal_may_target(who, owner))
        return;
    for (unsigned k = 0; k < t->models.n; k++)
        if (proxy_principal_may_model(who, t->models.items[k], t->models.items[k]))
            add(names, t->models.items[k], owner);
    for (unsigned k = 0; k < t->adapters.n; k++)
        if (proxy_principal_may_model(who, t->adapters.items[k].from, t->adapters.items[k].from))
            add(names, t->adapters.items[k].from, owner);
    if (t->kind != PROXY_TARGET_ENGINE && proxy_principal_may_model(who, own, own))
        add(names, own, owner);
}

/* What the caller may ask for; one that is nobody is not restricted. */
static void collect(const struct proxy_config *cfg, const struct proxy_principal *who,
                    struct names *names)
{
    const struct gw_span us = GW_SPAN("sluice");

    for (unsigned i = 0; i < cfg->n_routes; i++)
        for (unsigned k = 0; k < cfg->routes[i].models.n; k++)
            if (route_leads(&cfg->routes[i], who) &&
                proxy_principal_may_model(who, cfg->routes[i].models.items[k],
                                          cfg->routes[i].models.items[k]))
                add(names, cfg->routes[i].models.items[k], us);
    for (unsigned i = 0; i < cfg->aliases.n; i++)
        if (proxy_principal_may_model(who, cfg->aliases.items[i].from, cfg->aliases.items[i].to))
            add(names, cfg->aliases.items[i].from, us);
    for (unsigned i = 0; i < cfg->n_targets; i++)
        add_target(names, &cfg->targets[i], who);
}

/* ---- shapes --------------------------------------------------------------------------------- */

/* Nobody knows when a model came to be that may be an alias; the epoch says so in Anthropic's API. */
static void put_model(struct gw_buf *out, enum api_dialect d, const struct models_entry *m)
{
    if (d == API_GEMINI) {
        gw_buf_adds(out, "{\"name\":\"models/");
        gw_buf_add_json(out, m->id);
        gw_buf_adds(out, "\",\"displayName\":");
        gw_buf_add_json_str(out, m->id);
        gw_buf_adds(out, ",\"description\":\"Served by ");
        gw_buf_add_json(out, m->owner);
        gw_buf_adds(out, ".\",\"supportedGenerationMethods\":[\"generateContent\","
                         "\"streamGenerateContent\",\"countTokens\"]}");
    } else if (d == API_ANTHROPIC) {
        gw_buf_adds(out, "{\"type\":\"model\",\"id\":");
        gw_buf_add_json_str(out, m->id);
        gw_buf_adds(out, ",\"display_name\":");
        gw_buf_add_json_str(out, m->id);
        gw_buf_adds(out, ",\"created_at\":\"1970-01-01T00:00:00Z\",\"lifecycle\":\"active\"}");
    } else {
        gw_buf_adds(out, "{\"id\":");
        gw_buf_add_json_str(out, m->id);
        gw_buf_adds(out, ",\"object\":\"model\",\"created\":0,\"owned_by\":");
        gw_buf_add_json_str(out, m->owner);
        gw_buf_addc(out, '}');
    }
}

static void put_id(struct gw_buf *out, const char *name, const struct models_entry *models,
                   unsigned n, unsigned i)
{
    gw_buf_printf(out, ",\"%s\":", name);
    if (n == 0)
        gw_buf_adds(out, "null");
    else
        gw_buf_add_json_str(out, models[i].id);
}

static void put_list(struct gw_buf *out, enum api_dialect d, const struct models_entry *models,
                     unsigned n)
{
    const char *head = "{\"object\":\"list\",\"data\":[";

    if (d == API_GEMINI)
        head = "{\"models\":[";
    else if (d == API_ANTHROPIC)
        head = "{\"data\":[";
    gw_buf_adds(out, head);
    for (unsigned i = 0; i < n; i++) {
        if (i != 0)
            gw_buf_addc(out, ',');
        put_model(out, d, &models[i]);
    }
    gw_buf_addc(out, ']');
    if (d == API_ANTHROPIC) {
        gw_buf_adds(out, ",\"has_more\":false");
        put_id(out, "first_id", models, n, 0);
        put_id(out, "last_id", models, n, n - 1);
    }
    gw_buf_adds(out, "}\n");
}

bool models_list_write(struct gw_buf *out, enum api_dialect d, const struct models_entry *models,
                       unsigned n, struct gw_span id)
{
    if (id.len == 0) {
        put_list(out, d, models, n);
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        if (gw_span_eq(models[i].id, id)) {
            put_model(out, d, &models[i]);
            gw_buf_addc(out, '\n');
            return true;
        }
    }
    return false;
}

/* ---- the endpoint --------------------------------------------------------------------------- */

void models_list_answer(struct req *req, enum api_dialect d, struct gw_span id)
{
    struct names *names = gw_arena_alloc(req->arena, sizeof(*names));
    struct gw_span name = endpoint_decode(req->arena, id, false); /* of "org%2Fmodel", or not */
    struct gw_buf body = {0}, fields = {0};

    if (names == NULL || name.ptr == NULL) {
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
                   "The gateway is out of memory.");
        return;
    }
    collect(req->setup->cfg, &req->who, names);
    if (!models_list_write(&body, d, names->items, names->n, name)) {
        req_refuse(req, 404, "invalid_request_error", "model_not_found", 0, AUDIT_END_REFUSED,
                   "No model of that name is listed; GET /v1/models lists them.");
    } else {
        gw_buf_printf(&fields, "Content-Type: application/json\r\nx-request-id: %s\r\n", req->id);
        req_add_fields(req, &fields);
        req->status = 200;
        conn_answer_head(req->conn, 200, gw_buf_span(&fields), (int64_t)body.len);
        conn_answer_body(req->conn, gw_buf_span(&body));
        conn_answer_end(req->conn);
        req_finish(req, AUDIT_END_COMPLETE);
    }
    gw_buf_fini(&body);
    gw_buf_fini(&fields);
}
