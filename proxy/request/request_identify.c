/* proxy/request/request_identify.c - the stage that says who asks: a key, a token, a client certificate, or the tunnel's
 * principal. Worker's thread.
 *
 * What the request itself carries comes first: "slk_..." is a key, "a.b.c" a token when an issuer is configured. Clients that
 * prove themselves with a certificate still send whatever key their SDK insists on, so anything else counts as none
 * then. */
#include <string.h>

#include "base/clock.h"
#include "proxy/identity/identity.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_stages.h"

/* The credential in the shapes the SDKs send. */
struct gw_span req_client_key(const struct req *req)
{
    const struct http1_head *h = req->head;
    struct gw_span v = http1_get(h, "authorization");
    static const char *const names[] = {"x-api-key", "api-key", "x-goog-api-key"};

    if (v.len > 7 && gw_span_eq_nocase((struct gw_span){v.ptr, 7}, GW_SPAN("bearer ")))
        return gw_span_from(v, 7);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        v = http1_get(h, names[i]);
        if (v.len != 0)
            return v;
    }
    return endpoint_query_get(endpoint_query(h->path), "key"); /* Gemini's REST way */
}

/* ---- refusals ------------------------------------------------------------------------------- */

static enum stage_result refuse_memory(struct req *req)
{
    req_refuse(req, 503, "server_error", "out_of_memory", 1, AUDIT_END_REFUSED,
               "The gateway is out of memory.");
    return DONE;
}

static enum stage_result refuse_key(struct req *req, enum gw_status st)
{
    if (st == GW_ENOMEM)
        return refuse_memory(req);
    if (st == GW_EIO) {
        req_refuse(req, 503, "server_error", "keys_unavailable", 5, AUDIT_END_REFUSED,
                   "The keys database cannot be read; try again later.");
        return DONE;
    }
    req_refuse(req, 401, "invalid_request_error", "invalid_api_key", 0, AUDIT_END_REFUSED, "%s",
               st == GW_EDENIED     ? "This API key was revoked."
               : st == GW_ETIMEDOUT ? "This API key has expired."
               : st == GW_ECANCELED ? "No API key was given. Send it as your SDK does: in "
                                      "Authorization: Bearer slk_..., x-api-key or x-goog-api-key."
                                    : "This API key is not known here.");
    return DONE;
}

static enum stage_result refuse_token(struct req *req, enum gw_status st, const char *why)
{
    if (st == GW_ENOMEM)
        return refuse_memory(req);
    if (st == GW_EAGAIN || st == GW_EIO) /* SDKs try a 503 again by themselves */
        req_refuse(req, 503, "server_error", "jwks_unavailable", st == GW_EAGAIN ? 1 : 5,
                   AUDIT_END_REFUSED, "%s", why);
    else
        req_refuse(req, 401, "invalid_request_error",
                   st == GW_ETIMEDOUT ? "token_expired" : "invalid_token", 0, AUDIT_END_REFUSED,
                   "%s", why);
    return DONE;
}

static enum stage_result refuse_cert(struct req *req, enum gw_status st)
{
    if (st == GW_ENOMEM)
        return refuse_memory(req);
    if (st == GW_ETIMEDOUT)
        req_refuse(req, 401, "invalid_request_error", "certificate_expired", 0, AUDIT_END_REFUSED,
                   "Your client certificate has expired.");
    else
        req_refuse(req, 403, "permission_error", "certificate_not_mapped", 0, AUDIT_END_REFUSED,
                   "Your client certificate is valid, but it stands for nobody here.");
    return DONE;
}

/* ---- who ------------------------------------------------------------------------------------ */

/* On a tunnel: whom the proxy port authenticated, if that still holds. */
static enum stage_result by_tunnel(struct req *req, const struct proxy_principal *who)
{
    enum gw_status st = GW_OK;

    if (who == NULL)
        return NEXT;
    st = proxy_store_check(req->w->server->store, who);
    if (st != GW_OK)
        return refuse_key(req, st);
    req->who = *who;
    req->has_who = true;
    return NEXT;
}

static enum stage_result by_token(struct req *req, struct gw_span token)
{
    const char *why = "";
    enum gw_status st = identity_of_token(req->setup->identity, token, gw_clock_wall_ms(),
                                          req->w->json, req->arena, &req->who, &why);

    if (st != GW_OK)
        return refuse_token(req, st, why);
    req->has_who = true;
    return NEXT;
}

static enum stage_result by_cert(struct req *req, const struct cert *cert)
{
    enum gw_status st =
        identity_of_cert(req->setup->identity, cert, gw_clock_wall_ms(), req->arena, &req->who);

    if (st != GW_OK)
        return refuse_cert(req, st);
    req->has_who = true;
    return NEXT;
}

static enum stage_result by_key(struct req *req, struct gw_span key)
{
    enum gw_status st = GW_ECANCELED;

    if (key.len != 0)
        st = proxy_store_lookup(req->w->server->store, key, req->arena, &req->who);
    if (st != GW_OK)
        return refuse_key(req, st);
    req->has_who = true;
    return NEXT;
}

static enum stage_result by_credential(struct req *req)
{
    struct gw_span key = req_client_key(req);
    const struct cert *cert;

    if (gw_span_starts(key, GW_SPAN("slk_")))
        return by_key(req, key);
    if (identity_is_token(req->setup->identity, key))
        return by_token(req, key);
    cert = conn_certificate(req->conn);
    if (cert != NULL)
        return by_cert(req, cert);
    return req->setup->cfg->auth.required ? by_key(req, key) : NEXT;
}

enum stage_result stage_identify(struct req *req)
{
    const struct conn_fixed *fixed = conn_fixed(req->conn);
    uint16_t port;
    const char *peer = conn_peer(req->conn, &port);

    if ((fixed != NULL ? by_tunnel(req, fixed->who) : by_credential(req)) != NEXT)
        return DONE;
    if (!req->has_who) {
        req->who.name = gw_span_str(peer);
        req->who.user = req->who.name;
        return NEXT;
    }
    if (proxy_principal_may_address(&req->who, peer))
        return NEXT;
    req_refuse(req, 403, "permission_error", "address_not_allowed", 0, AUDIT_END_REFUSED,
               "This credential may not be used from your address.");
    return DONE;
}

/* ---- what it may ask for ---------------------------------------------------------------------- */

static struct gw_span meant_by(const struct req *req)
{
    const struct proxy_config_pairs *aliases = &req->setup->cfg->aliases;

    for (unsigned i = 0; i < aliases->n; i++)
        if (gw_span_eq(aliases->items[i].from, req->model))
            return aliases->items[i].to;
    return req->model;
}

bool req_may_model(const struct req *req)
{
    return !req->has_who || proxy_principal_may_model(&req->who, req->model, meant_by(req));
}
