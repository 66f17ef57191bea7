/* proxy/upstream_head.c - the head a target gets. Pure but for reading the request. */
#include "proxy/upstream_head.h"

#include "proxy/conn.h"
#include "proxy/fields.h"
#include "proxy/request.h"
#include "proxy/worker.h"

enum {
    INTERCEPT_CONNECT_MS = 10000,
    INTERCEPT_FIRST_BYTE_MS = 300000,
    INTERCEPT_IDLE_MS = 300000,
    INTERCEPT_MAX_IDLE = 8
};

void upstream_peer_of(const struct req *req, struct upstream_peer *out)
{
    const struct server *s = req->w->server;
    const struct proxy_config *cfg = s->cfg;

    if (req->target == REQ_NO_TARGET) {
        const struct conn_fixed *fixed = conn_fixed(req->conn);

        *out = (struct upstream_peer){REQ_NO_TARGET,
                                      fixed->host,
                                      fixed->port,
                                      s->intercept_tls,
                                      &cfg->intercept.resolve,
                                      true,
                                      &cfg->intercept.allow_private,
                                      INTERCEPT_CONNECT_MS,
                                      INTERCEPT_FIRST_BYTE_MS,
                                      INTERCEPT_IDLE_MS,
                                      INTERCEPT_MAX_IDLE};
    } else {
        const struct proxy_config_target *t = &cfg->targets[req->target];

        *out = (struct upstream_peer){req->target,
                                      t->base_url.host,
                                      t->base_url.port,
                                      s->target_tls[req->target],
                                      &t->resolve,
                                      false,
                                      NULL,
                                      t->connect_ms,
                                      t->first_byte_ms,
                                      t->idle_ms,
                                      t->max_idle};
    }
}

/* The path below the target's base URL: our own "/v1" is replaced by the target's. */
static void add_target_path(const struct req *req, struct gw_buf *out)
{
    const struct proxy_config_target *t;
    struct gw_span path = req->head->path;

    if (req->target == REQ_NO_TARGET) {
        gw_buf_add(out, path);
        return;
    }
    t = &req->w->server->cfg->targets[req->target];
    gw_buf_adds(out, t->base_url.path);
    gw_buf_add(out, gw_span_starts(path, GW_SPAN("/v1/")) ? gw_span_from(path, 3) : path);
}

static void add_host(const struct upstream_peer *peer, struct gw_buf *out)
{
    struct gw_span host = gw_span_str(peer->host);
    bool v6 = memchr(host.ptr, ':', host.len) != NULL;

    gw_buf_adds(out, v6 ? "Host: [" : "Host: ");
    gw_buf_add(out, host);
    gw_buf_adds(out, v6 ? "]" : "");
    if (peer->port != (peer->tls != NULL ? 443 : 80))
        gw_buf_printf(out, ":%u", peer->port);
    gw_buf_adds(out, "\r\n");
}

static bool dropped(const struct req *req, const struct http1_field *f, struct gw_span connection)
{
    bool ours = req->target != REQ_NO_TARGET;

    return field_is_hop(f, connection) || gw_span_eq_nocase(f->name, GW_SPAN("host")) ||
           gw_span_eq_nocase(f->name, GW_SPAN("accept-encoding")) ||
           gw_span_eq_nocase(f->name, GW_SPAN("content-encoding")) ||
           (ours && (field_is_credential(f->name) ||
                     (f->name.len > 9 &&
                      gw_span_eq_nocase((struct gw_span){f->name.ptr, 9}, GW_SPAN("x-sluice-")))));
}

void upstream_write_head(const struct req *req, const struct upstream_peer *peer, size_t body_len,
                         struct gw_buf *out)
{
    const struct http1_head *h = req->head;
    struct gw_span connection = http1_get(h, "connection");

    gw_buf_add(out, h->method);
    gw_buf_addc(out, ' ');
    add_target_path(req, out);
    gw_buf_adds(out, " HTTP/1.1\r\n");
    add_host(peer, out);
    for (unsigned i = 0; i < h->n_fields; i++)
        if (!dropped(req, &h->fields[i], connection))
            field_add(out, h->fields[i].name, h->fields[i].value);
    /* Answers are read, so they must come unpacked. */
    gw_buf_adds(out, "Accept-Encoding: identity\r\nVia: 1.1 sluice\r\n");
    if (req->target != REQ_NO_TARGET) {
        struct gw_span key = req->w->server->cfg->targets[req->target].key.value;

        if (key.len != 0) {
            gw_buf_adds(out, "Authorization: Bearer ");
            gw_buf_add(out, key);
            gw_buf_adds(out, "\r\n");
        }
    }
    if (body_len != 0 || gw_span_is(h->method, "POST") || gw_span_is(h->method, "PUT") ||
        gw_span_is(h->method, "PATCH")) {
        gw_buf_adds(out, "Content-Length: ");
        gw_buf_addu(out, body_len);
        gw_buf_adds(out, "\r\n");
    }
    gw_buf_adds(out, "\r\n");
}
