/* proxy/net/upstream_head.c - the head a target gets. Pure but for reading the request. */
#include "proxy/net/upstream_head.h"

#include "base/clock.h"
#include "proxy/http/fields.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/request.h"

enum {
    INTERCEPT_CONNECT_MS = 10000,
    INTERCEPT_FIRST_BYTE_MS = 300000,
    INTERCEPT_IDLE_MS = 300000,
    INTERCEPT_MAX_IDLE = 8
};

void upstream_peer_of(const struct req *req, unsigned endpoint, unsigned key,
                      struct upstream_peer *out)
{
    const struct setup *s = req->setup;
    const struct proxy_config *cfg = s->cfg;

    if (req->target == REQ_NO_TARGET) {
        const struct conn_fixed *fixed = conn_fixed(req->conn);

        *out = (struct upstream_peer){REQ_NO_TARGET,
                                      0,
                                      0,
                                      fixed->host,
                                      fixed->port,
                                      s->intercept_tls,
                                      &cfg->intercept.resolve,
                                      true,
                                      &cfg->intercept.allow_private,
                                      INTERCEPT_CONNECT_MS,
                                      INTERCEPT_FIRST_BYTE_MS,
                                      INTERCEPT_IDLE_MS,
                                      &cfg->intercept.egress,
                                      INTERCEPT_MAX_IDLE};
    } else {
        const struct proxy_config_target *t = &cfg->targets[req->target];
        const struct proxy_config_url *url = &t->endpoints.items[endpoint];

        *out = (struct upstream_peer){req->target,
                                      endpoint,
                                      key,
                                      url->host,
                                      url->port,
                                      url->tls ? s->target_tls[req->target] : NULL,
                                      &t->resolve,
                                      false,
                                      NULL,
                                      t->connect_ms,
                                      t->first_byte_ms,
                                      t->idle_ms,
                                      &t->egress,
                                      t->max_idle};
    }
}

static void add_host(const struct upstream_peer *peer, struct gw_buf *out)
{
    struct gw_span host = gw_span_str(peer->host);
    bool v6 = memchr(host.ptr, ':', host.len) != NULL;

    gw_buf_adds(out, v6 ? "[" : "");
    gw_buf_add(out, host);
    gw_buf_adds(out, v6 ? "]" : "");
    if (peer->port != (peer->tls != NULL ? 443 : 80)) {
        gw_buf_addc(out, ':');
        gw_buf_addu(out, peer->port);
    }
}

void upstream_call_of(const struct req *req, struct provider_call *out)
{
    static const enum provider_op ops[] = {[ENDPOINT_CHAT] = PROVIDER_CHAT,
                                           [ENDPOINT_EMBEDDINGS] = PROVIDER_EMBEDDINGS,
                                           [ENDPOINT_RERANK] = PROVIDER_OTHER,
                                           [ENDPOINT_COUNT_TOKENS] = PROVIDER_COUNT_TOKENS,
                                           [ENDPOINT_PASS] = PROVIDER_OTHER};

    *out = (struct provider_call){
        .target = &req->setup->cfg->targets[req->target],
        .op = ops[req->ep.kind],
        .dialect = req->translated ? req->spoken : req->ep.dialect,
        .model = req->out_model,
        .stream = req->asked.stream,
        .json_array = req->ep.json_array && !req->translated,
        .method = req->head->method,
        .path = req->path,
        .query = req->translated ? GW_SPAN("") : req->query,
        .versioned = http1_get(req->head, "anthropic-version").ptr != NULL,
        .beta = http1_get(req->head, "anthropic-beta"),
        .body = req_out_body(req),
        .tokens = req->setup->tokens,
        .now_s = gw_clock_wall_ms() / 1000,
    };
}

static bool dropped(const struct req *req, const struct http1_field *f, struct gw_span connection)
{
    const struct proxy_config_target *t;

    if (field_is_hop(f, connection) || gw_span_eq_nocase(f->name, GW_SPAN("host")) ||
        gw_span_eq_nocase(f->name, GW_SPAN("accept-encoding")) ||
        gw_span_eq_nocase(f->name, GW_SPAN("content-encoding")) ||
        (f->name.len > 9 &&
         gw_span_eq_nocase((struct gw_span){f->name.ptr, 9}, GW_SPAN("x-sluice-"))))
        return true; /* said to this gateway, of hosts that the client chose, too */
    if (req->target == REQ_NO_TARGET)
        return false;
    t = &req->setup->cfg->targets[req->target];
    return field_is_credential(f->name) || provider_drops_field(t, f->name) ||
           (req->translated && gw_span_eq_nocase(f->name, GW_SPAN("accept")));
}

/* The request line and the fields that are the target's own. */
static enum gw_status write_own(const struct req *req, const struct upstream_peer *peer,
                                struct gw_span host, struct gw_buf *line, struct gw_buf *fields,
                                struct gw_err *err)
{
    struct provider_call call;

    if (req->target == REQ_NO_TARGET) {
        gw_buf_add(line, req->head->method);
        gw_buf_addc(line, ' ');
        gw_buf_add(line, req->head->path);
        gw_buf_adds(line, " HTTP/1.1\r\n");
        return GW_OK;
    }
    upstream_call_of(req, &call);
    call.endpoint = peer->endpoint;
    call.key = peer->key;
    GW_TRY(provider_write_line(&call, line, err));
    return provider_write_fields(&call, host, fields, err);
}

enum gw_status upstream_write_head(const struct req *req, const struct upstream_peer *peer,
                                   size_t body_len, struct gw_buf *out, struct gw_err *err)
{
    const struct http1_head *h = req->head;
    struct gw_span connection = http1_get(h, "connection");
    struct gw_buf host = {0}, own = {0};
    enum gw_status st;

    add_host(peer, &host);
    st = write_own(req, peer, gw_buf_span(&host), out, &own, err);
    gw_buf_adds(out, "Host: ");
    gw_buf_add(out, gw_buf_span(&host));
    gw_buf_adds(out, "\r\n");
    for (unsigned i = 0; i < h->n_fields; i++)
        if (!dropped(req, &h->fields[i], connection))
            field_add(out, h->fields[i].name, h->fields[i].value);
    /* Answers are read, so they must come unpacked. */
    gw_buf_adds(out, "Accept-Encoding: identity\r\nVia: 1.1 sluice\r\n");
    gw_buf_add(out, gw_buf_span(&own));
    if (body_len != 0 || gw_span_is(h->method, "POST") || gw_span_is(h->method, "PUT") ||
        gw_span_is(h->method, "PATCH")) {
        gw_buf_adds(out, "Content-Length: ");
        gw_buf_addu(out, body_len);
        gw_buf_adds(out, "\r\n");
    }
    gw_buf_adds(out, "\r\n");
    if (st == GW_OK && (!gw_buf_ok(&host) || !gw_buf_ok(&own) || !gw_buf_ok(out)))
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    gw_buf_fini(&host);
    gw_buf_fini(&own);
    return st;
}
