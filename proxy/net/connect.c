/* proxy/net/connect.c - the proxy port up to the decision; see connect.h for the states. Splicing is in relay.c. */
#include "proxy/net/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/net/clients.h"
#include "proxy/net/conn.h"
#include "proxy/net/connect_private.h"
#include "proxy/net/worker.h"
#include "proxy/request/record.h"
#include "proxy/tls/ca.h"

enum { HELLO_MS = 5000, IN_HIGH = 64 * 1024 };

/* ---- life ------------------------------------------------------------------------------- */

void tunnel_free(struct tunnel *t)
{
    struct worker *w = t->w;
    struct client *client = t->client;

    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        w->tunnels = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    dial_cancel(t->dial);
    if (t->bev != NULL)
        bufferevent_free(t->bev);
    if (t->up != NULL)
        bufferevent_free(t->up);
    event_free(t->timer);
    http1_free(t->parser);
    hello_reader_free(t->reader);
    gw_arena_free(t->arena);
    setup_unpin(w, t->setup);
    free(t);
    atomic_fetch_sub(&w->server->n_conns, 1);
    client_leave(client);
    worker_conn_gone(w);
}

void tunnel_record(const struct tunnel *t, bool denied, const char *why)
{
    const struct record_shadow s = {
        .client_ip = t->peer,
        .client_port = t->peer_port,
        .host = t->host,
        .sni = t->hello.sni,
        .user = t->has_who ? t->who.user : gw_span_str(t->peer),
        .denied = denied,
        .why = why,
        .bytes_out = t->bytes_out,
        .bytes_in = t->bytes_in,
        .duration_us = (gw_clock_ns() - t->start_ns) / 1000,
    };

    record_shadow(t->w, &s);
    metrics_add(denied ? &t->w->metrics.connects_denied : &t->w->metrics.connects_spliced, 1);
}

/* ---- answers of the proxy itself ------------------------------------------------------------ */

static void on_refusal_written(struct bufferevent *bev, void *ctx)
{
    if (evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        tunnel_free(ctx);
}

static void on_gone(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    (void)what;
    tunnel_free(ctx);
}

/* Answers in plain text and closes when it is written. */
static void refuse(struct tunnel *t, unsigned status, const char *reason, const char *fields,
                   const char *why)
{
    gw_log(GW_LOG_INFO, "connect_refused", "client=%s host=%s status=%u why=\"%s\"", t->peer,
           t->host, status, why);
    bufferevent_setcb(t->bev, NULL, on_refusal_written, on_gone, t);
    (void)evbuffer_add_printf(bufferevent_get_output(t->bev),
                              "HTTP/1.1 %u %s\r\n%sContent-Type: text/plain\r\n"
                              "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                              status, reason, fields, strlen(why) + 1, why);
}

static void deny(struct tunnel *t, const char *why)
{
    tunnel_record(t, true, why);
    refuse(t, 403, "Forbidden", "", why);
}

/* After the 200: there is nothing left to say it in. */
static void deny_silently(struct tunnel *t, const char *why)
{
    gw_log(GW_LOG_INFO, "connect_denied", "client=%s host=%s sni=%s why=\"%s\"", t->peer, t->host,
           t->hello.sni, why);
    tunnel_record(t, true, why);
    tunnel_free(t);
}

/* ---- who and where ------------------------------------------------------------------------ */

/* The longest suffix of list that is host or a parent domain of it; 0: none. */
static size_t match(const struct proxy_config_list *list, const char *host)
{
    size_t best = 0, n = strlen(host);

    for (unsigned i = 0; i < list->n; i++) {
        struct gw_span s = list->items[i];

        if (s.len <= n && s.len > best && memcmp(host + n - s.len, s.ptr, s.len) == 0 &&
            (s.len == n || host[n - s.len - 1] == '.'))
            best = s.len;
    }
    return best;
}

/* The most specific entry wins; among equals the stricter. */
static unsigned mode_of(const struct proxy_config *cfg, const char *host)
{
    size_t denied = match(&cfg->intercept.deny, host), bump = match(&cfg->intercept.bump, host);
    size_t splice = match(&cfg->intercept.splice, host);

    if (denied != 0 && denied >= bump && denied >= splice)
        return PROXY_INTERCEPT_DENY;
    if (bump != 0 && bump >= splice)
        return PROXY_INTERCEPT_BUMP;
    return splice != 0 ? PROXY_INTERCEPT_SPLICE : cfg->intercept.default_mode;
}

static bool read_authority(struct tunnel *t, struct gw_span authority)
{
    size_t colon = authority.len, n;
    unsigned port = 0;

    while (colon > 0 && authority.ptr[colon - 1] != ':')
        colon--;
    for (size_t i = colon; i < authority.len; i++) {
        port = port * 10 + (unsigned)(authority.ptr[i] - '0'); /* the parser saw digits only */
        if (port > 65535)
            return false;
    }
    if (colon < 2 || port == 0)
        return false;
    n = colon - 1;
    if (authority.ptr[0] == '[' && n > 2) { /* an IPv6 literal */
        authority = gw_span_from(authority, 1);
        n -= 2;
    }
    if (n > 1 && authority.ptr[n - 1] == '.')
        n--;
    if (n == 0 || n >= sizeof(t->host))
        return false;
    for (size_t i = 0; i < n; i++)
        t->host[i] = gw_ascii_lower(authority.ptr[i]);
    t->host[n] = '\0';
    t->port = (uint16_t)port;
    return true;
}

static bool port_allowed(const struct proxy_config *cfg, uint16_t port)
{
    for (unsigned i = 0; i < cfg->intercept.connect_ports.n; i++)
        if (cfg->intercept.connect_ports.items[i] == port)
            return true;
    return false;
}

/* ---- after the ClientHello ------------------------------------------------------------------ */

static void bump(struct tunnel *t)
{
    struct worker *w = t->w;
    const struct conn_fixed fixed = {t->host, t->port, t->has_who ? &t->who : NULL};
    struct ssl_st *ssl = t->setup->mint == NULL ? NULL : leaf_mint_ssl(t->setup->mint, t->host);
    struct bufferevent *bev = t->bev;
    struct client *client = t->client;

    if (ssl == NULL) {
        deny_silently(t, t->setup->mint == NULL ? "no interception CA: run sluice ca init"
                                                : "no certificate could be made for this name");
        return;
    }
    t->bev = NULL; /* belongs to the connection now */
    metrics_add(&w->metrics.connects_bumped, 1);
    t->client = NULL; /* as well */
    (void)conn_new(w, bev, ssl, client, t->peer, t->peer_port, &fixed);
    tunnel_free(t);
}

static void decide(struct tunnel *t)
{
    if (t->hello.sni[0] != '\0' && strcmp(t->hello.sni, t->host) != 0) {
        deny_silently(t, "the TLS name is not the CONNECT host");
        return;
    }
    if (mode_of(t->setup->cfg, t->host) == PROXY_INTERCEPT_BUMP)
        bump(t);
    else
        tunnel_relay(t);
}

static void on_hello(struct tunnel *t)
{
    struct evbuffer *in = bufferevent_get_input(t->bev);
    size_t len = evbuffer_get_length(in);
    size_t n = len < HELLO_MAX_BYTES + 1 ? len : HELLO_MAX_BYTES + 1;
    const char *bytes = n == 0 ? NULL : (const char *)evbuffer_pullup(in, (ev_ssize_t)n);

    if (bytes == NULL)
        return;
    switch (hello_read(t->reader, (struct gw_span){bytes, n}, &t->hello)) {
    case HELLO_NEED_MORE:
        return;
    case HELLO_DONE:
        (void)evtimer_del(t->timer);
        decide(t);
        return;
    case HELLO_NOT_TLS:
        deny_silently(t, "not TLS");
        return;
    case HELLO_TOO_LONG:
    case HELLO_BAD:
    default:
        deny_silently(t, "the ClientHello is malformed");
        return;
    }
}

static void on_hello_read(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    on_hello(ctx);
}

/* ---- the CONNECT ------------------------------------------------------------------------ */

static void start_peek(struct tunnel *t)
{
    const struct timeval limit = {HELLO_MS / 1000, 0};

    t->reader = hello_reader_new();
    if (t->reader == NULL) {
        tunnel_free(t);
        return;
    }
    (void)evbuffer_add_printf(bufferevent_get_output(t->bev),
                              "HTTP/1.1 200 Connection established\r\n\r\n");
    (void)evtimer_add(t->timer, &limit);
    t->peeking = true;
    bufferevent_setcb(t->bev, on_hello_read, NULL, on_gone, t);
    on_hello(t); /* an eager client has sent it with the CONNECT */
}

/* Why a credential does not open the proxy. */
static void refuse_credential(struct tunnel *t, enum gw_status st)
{
    if (st == GW_EDENIED)
        deny(t, "This credential may not be used from your address, or not for this host.");
    else if (st == GW_EAGAIN || st == GW_EIO || st == GW_ENOMEM)
        refuse(t, 503, "Service Unavailable", "Retry-After: 1\r\n",
               "Who you are cannot be checked now; try again later.");
    else
        refuse(t, 407, "Proxy Authentication Required",
               t->setup->cfg->auth.n_jwt == 0 ? "Proxy-Authenticate: Basic realm=\"sluice\"\r\n"
                                              : "Proxy-Authenticate: Basic realm=\"sluice\"\r\n"
                                                "Proxy-Authenticate: Bearer realm=\"sluice\"\r\n",
               "This proxy needs a key: http://any:slk_...@host:port");
}

static void on_connect(struct tunnel *t, const struct http1_head *h)
{
    const struct proxy_config *cfg = t->setup->cfg;
    enum gw_status st;

    if (!h->connect) {
        refuse(t, 405, "Method Not Allowed", "Allow: CONNECT\r\n",
               "This port is a proxy for HTTPS: it takes CONNECT only.");
    } else if (!read_authority(t, h->authority)) {
        refuse(t, 400, "Bad Request", "", "CONNECT needs host:port.");
    } else if ((st = tunnel_authenticate(t, h)) != GW_OK) {
        refuse_credential(t, st);
    } else if (!port_allowed(cfg, t->port)) {
        deny(t, "This port may not be tunnelled (intercept.connect_ports).");
    } else if (mode_of(cfg, t->host) == PROXY_INTERCEPT_DENY) {
        deny(t, "This host is not allowed by your organisation's policy.");
    } else {
        start_peek(t);
    }
}

static void on_head_read(struct bufferevent *bev, void *ctx)
{
    struct tunnel *t = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);

    for (;;) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data;
        enum http1_event ev;
        const char *why;

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        ev = http1_next(t->parser, &rest, &data);
        (void)evbuffer_drain(in, v.iov_len - rest.len);
        if (ev == HTTP1_HEAD) {
            on_connect(t, http1_head(t->parser));
            return;
        }
        if (ev == HTTP1_ERROR) {
            unsigned status = http1_error(t->parser, &why);

            refuse(t, status, "Error", "", why);
            return;
        }
        if (v.iov_len == 0)
            return;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct tunnel *t = ctx;

    (void)fd;
    (void)what;
    if (t->peeking)
        deny_silently(t, "no ClientHello in time");
    else
        tunnel_free(t);
}

void connect_accept(struct worker *w, struct bufferevent *bev, struct client *client,
                    const char *peer, uint16_t peer_port)
{
    struct tunnel *t = calloc(1, sizeof(*t));
    int64_t ms = w->setup->cfg->limits.header_ms;
    const struct timeval limit = {ms / 1000, (ms % 1000) * 1000};

    if (t != NULL) {
        t->parser = http1_new(HTTP1_REQUEST, NULL);
        t->timer = evtimer_new(w->base, on_timer, t);
    }
    if (t == NULL || t->parser == NULL || t->timer == NULL) {
        if (t != NULL) {
            http1_free(t->parser);
            if (t->timer != NULL)
                event_free(t->timer);
        }
        free(t);
        bufferevent_free(bev);
        client_leave(client);
        return;
    }
    t->w = w;
    t->setup = setup_pin(w);
    t->bev = bev;
    t->client = client;
    t->start_ns = gw_clock_ns();
    memcpy(t->peer, peer, strnlen(peer, sizeof(t->peer) - 1));
    t->peer_port = peer_port;
    t->next = w->tunnels;
    if (w->tunnels != NULL)
        w->tunnels->prev = t;
    w->tunnels = t;
    atomic_fetch_add(&w->server->n_conns, 1);
    bufferevent_setcb(bev, on_head_read, NULL, on_gone, t);
    bufferevent_setwatermark(bev, EV_READ, 0, IN_HIGH);
    (void)evtimer_add(t->timer, &limit);
    (void)bufferevent_enable(bev, EV_READ | EV_WRITE);
}

void connect_drain(struct worker *w)
{
    struct tunnel *next;

    for (struct tunnel *t = w->tunnels; t != NULL; t = next) {
        next = t->next;
        if (t->up == NULL)
            tunnel_free(t);
    }
}

void connect_stop(struct worker *w)
{
    struct tunnel *next;

    for (struct tunnel *t = w->tunnels; t != NULL; t = next) {
        next = t->next;
        if (t->up != NULL)
            tunnel_record(t, false, "the gateway stopped");
        tunnel_free(t);
    }
}
