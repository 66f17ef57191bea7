/* proxy/net/connect_auth.c - who opens a tunnel: Proxy-Authorization. Worker's thread. */
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "proxy/identity/identity.h"
#include "proxy/net/connect_private.h"
#include "proxy/net/worker.h"

enum { MAX_ARENA = 128 * 1024, MAX_CREDENTIAL = 12 * 1024 };

static struct gw_span decode(struct gw_arena *arena, struct gw_span text)
{
    char *out = text.len > MAX_CREDENTIAL ? NULL : gw_arena_alloc(arena, text.len);
    const ptrdiff_t n = out == NULL ? -1 : gw_unbase64(text, out, text.len);

    return n < 0 ? (struct gw_span){NULL, 0} : (struct gw_span){out, (size_t)n};
}

/* The password of "Basic base64(user:password)", where clients put the key; or a Bearer token. */
static struct gw_span credential(struct gw_arena *arena, struct gw_span value)
{
    struct gw_span pair;
    size_t colon = 0;

    if (value.len > 7 && gw_span_eq_nocase((struct gw_span){value.ptr, 7}, GW_SPAN("bearer ")))
        return gw_span_from(value, 7);
    if (value.len < 7 || !gw_span_eq_nocase((struct gw_span){value.ptr, 6}, GW_SPAN("basic ")))
        return (struct gw_span){NULL, 0};
    pair = decode(arena, gw_span_from(value, 6));
    while (colon < pair.len && pair.ptr[colon] != ':')
        colon++;
    /* Some clients can only give a user name: a lone key counts as well. */
    if (colon + 1 >= pair.len)
        return (struct gw_span){pair.ptr, colon};
    return gw_span_from(pair, colon + 1);
}

/* Asks the issuers or the keys. */
static enum gw_status identify(struct tunnel *t, struct gw_span text)
{
    const char *why;
    enum gw_status st;

    if (text.len == 0)
        return GW_ENOENT;
    if (!identity_is_token(t->setup->identity, text)) {
        st = proxy_store_lookup(t->w->server->store, text, t->arena, &t->who);
        return st == GW_EDENIED ? GW_ENOENT : st; /* revoked: another one may do */
    }
    st = identity_of_token(t->setup->identity, text, gw_clock_wall_ms(), t->w->json, t->arena,
                           &t->who, &why);
    return st == GW_EDENIED ? GW_ENOENT : st;
}

enum gw_status tunnel_authenticate(struct tunnel *t, const struct http1_head *h)
{
    enum gw_status st;

    if (t->setup->cfg->intercept.auth == PROXY_AUTH_NONE)
        return GW_OK;
    t->arena = gw_arena_new(MAX_ARENA); /* wiped with the tunnel */
    if (t->arena == NULL)
        return GW_ENOMEM;
    st = identify(t, credential(t->arena, http1_get(h, "proxy-authorization")));
    if (st != GW_OK)
        return st;
    t->has_who = true;
    if (!proxy_principal_may_address(&t->who, t->peer) ||
        !proxy_principal_may_target(&t->who, gw_span_str(t->host)))
        return GW_EDENIED;
    return GW_OK;
}
