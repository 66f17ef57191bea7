/* proxy/models_list.c - the names a client can send: routes, aliases and targets' models without wildcards. */
#include "proxy/models_list.h"

#include <string.h>

#include "proxy/conn.h"
#include "proxy/request_private.h"
#include "proxy/worker.h"

enum { MAX_NAMES = 256 };

struct names {
    struct gw_span items[MAX_NAMES], owner[MAX_NAMES];
    unsigned n;
};

static void add(struct names *names, struct gw_span name, struct gw_span owner)
{
    if (name.len == 0 || memchr(name.ptr, '*', name.len) != NULL ||
        memchr(name.ptr, '?', name.len) != NULL)
        return;
    for (unsigned i = 0; i < names->n; i++)
        if (gw_span_eq(names->items[i], name))
            return;
    if (names->n == MAX_NAMES)
        return;
    names->items[names->n] = name;
    names->owner[names->n++] = owner;
}

static void collect(const struct proxy_config *cfg, struct names *names)
{
    const struct gw_span us = GW_SPAN("sluice");

    for (unsigned i = 0; i < cfg->n_routes; i++)
        for (unsigned k = 0; k < cfg->routes[i].models.n; k++)
            add(names, cfg->routes[i].models.items[k], us);
    for (unsigned i = 0; i < cfg->aliases.n; i++)
        add(names, cfg->aliases.items[i].from, us);
    for (unsigned i = 0; i < cfg->n_targets; i++) {
        const struct proxy_config_target *t = &cfg->targets[i];
        struct gw_span owner = gw_span_str(t->name);

        for (unsigned k = 0; k < t->models.n; k++)
            add(names, t->models.items[k], owner);
        if (t->kind != PROXY_TARGET_ENGINE)
            add(names, gw_span_str(t->default_model), owner);
    }
}

static void put_model(struct gw_buf *out, const struct names *names, unsigned i)
{
    gw_buf_adds(out, "{\"id\":");
    gw_buf_add_json_str(out, names->items[i]);
    gw_buf_adds(out, ",\"object\":\"model\",\"created\":0,\"owned_by\":");
    gw_buf_add_json_str(out, names->owner[i]);
    gw_buf_addc(out, '}');
}

/* Returns false when id names none of them. */
static bool put_answer(struct gw_buf *out, const struct names *names, struct gw_span id)
{
    if (id.len != 0) {
        for (unsigned i = 0; i < names->n; i++) {
            if (gw_span_eq(names->items[i], id)) {
                put_model(out, names, i);
                gw_buf_addc(out, '\n');
                return true;
            }
        }
        return false;
    }
    gw_buf_adds(out, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; i < names->n; i++) {
        if (i != 0)
            gw_buf_addc(out, ',');
        put_model(out, names, i);
    }
    gw_buf_adds(out, "]}\n");
    return true;
}

void models_list_answer(struct req *req)
{
    struct names *names = gw_arena_alloc(req->arena, sizeof(*names));
    struct gw_buf body = {0}, fields = {0};
    struct gw_span id = gw_span_from(req->path, sizeof("/v1/models/") - 1);

    if (names == NULL) {
        req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
                   "The gateway is out of memory.");
        return;
    }
    collect(req->w->server->cfg, names);
    if (!put_answer(&body, names, id)) {
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
