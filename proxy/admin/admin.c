/* proxy/admin/admin.c - a small HTTP server for operators: one request a connection. Main thread.
 *
 * What is asked and who may is in admin_api.c. A call may outlive its connection: a handler that waits holds it. */
#include "proxy/admin/admin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "proxy/admin/admin_api.h"
#include "proxy/admin/metrics_text.h"
#include "proxy/net/address.h"
#include "proxy/net/server.h"
#include "proxy/net/worker.h"
#include "proxy/store/store.h"

enum { MAX_CLIENTS = 64, TIMEOUT_S = 10, MAX_ARENA = 1 << 20, CLOSE_MS = 3000 };

struct client {
    struct client *next;
    struct admin *admin;
    struct bufferevent *bev;
    struct http1 *parser;
    struct gw_buf body;
    struct waiting *waiting; /* a call whose answer is not there yet */
    bool answered;
    char peer[46];
};

struct admin {
    struct server *server;
    struct evconnlistener *listener;
    struct event *store_ev;  /* the store thread has done something */
    struct event *reload_ev; /* a reload has ended */
    struct admin_guard *guard;
    struct client *clients;
    unsigned n_clients;
    struct waiting *calls; /* that a handler holds */
};

/* A call and what it points to. */
struct waiting {
    struct admin_call call;
    struct admin *admin; /* NULL once the port is closed */
    struct waiting *next;
    struct gw_buf body;
};

static void client_free(struct client *c)
{
    struct client **at = &c->admin->clients;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->admin->n_clients--;
    if (c->waiting != NULL)
        c->waiting->call.client = NULL;
    bufferevent_free(c->bev);
    http1_free(c->parser);
    gw_buf_fini(&c->body);
    free(c);
}

/* ---- answers ---------------------------------------------------------------------------------- */

static void answer(struct client *c, const struct admin_call *call)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);
    struct gw_span body = gw_buf_span(&call->out);
    const struct timeval limit = {TIMEOUT_S, 0};

    c->answered = true;
    bufferevent_set_timeouts(c->bev, &limit, &limit);
    (void)evbuffer_add_printf(out,
                              "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                              "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                              call->status, call->status < 300 ? "OK" : "Error", call->type,
                              body.len);
    if (call->status == 401)
        (void)evbuffer_add_printf(out, "WWW-Authenticate: Bearer realm=\"sluice admin\"\r\n");
    if (call->allow != NULL)
        (void)evbuffer_add_printf(out, "Allow: %s\r\n", call->allow);
    if (call->retry_after_s != 0)
        (void)evbuffer_add_printf(out, "Retry-After: %d\r\n", call->retry_after_s);
    (void)evbuffer_add_printf(out, "Connection: close\r\n\r\n");
    if (!call->head_only)
        (void)evbuffer_add(out, body.ptr, body.len);
    (void)bufferevent_disable(c->bev, EV_READ);
}

/* Ends a call: gives the answer to the client, if it is still there. */
static void send_call(struct admin_call *call)
{
    struct waiting *w = (struct waiting *)(void *)call;
    struct client *c = call->client;

    if (w->admin != NULL) {
        struct waiting **at = &w->admin->calls;

        while (*at != w)
            at = &(*at)->next;
        *at = w->next;
    }
    if (c != NULL) {
        c->waiting = NULL;
        answer(c, call);
    }
    gw_buf_fini(&call->out); /* wipes: a new key may lie in it */
    gw_buf_fini(&w->body);
    gw_arena_free(call->arena);
    free(w);
}

static void answer_plain(struct client *c, unsigned status, const char *text)
{
    struct admin_call call = {.status = status, .type = "text/plain"};

    gw_buf_adds(&call.out, text);
    answer(c, &call);
    gw_buf_fini(&call.out);
}

/* ---- the three that need no key --------------------------------------------------------------- */

enum admin_result admin_health(struct admin_call *c)
{
    c->type = metrics_text_type;
    gw_buf_adds(&c->out, "ok\n");
    return ADMIN_DONE;
}

enum admin_result admin_metrics(struct admin_call *c)
{
    struct gw_buf text = {0};

    c->type = metrics_text_type;
    if (!c->openmetrics) {
        metrics_text(c->server, &c->out);
        return ADMIN_DONE;
    }
    c->type = metrics_openmetrics_type;
    metrics_text(c->server, &text);
    if (gw_buf_ok(&text))
        metrics_openmetrics(gw_buf_span(&text), &c->out);
    else
        admin_call_error(c, 503, "out_of_memory", "The gateway is out of memory.");
    gw_buf_fini(&text);
    return ADMIN_DONE;
}

/* Ready: this gateway would take a request and record it. Says what is missing. */
static bool ready(struct server *s, struct gw_buf *out)
{
    struct audit_stats a;
    struct proxy_store_stats k;
    struct setup *setup = server_setup(s);
    bool ok = true;

    audit_stats(s->audit, &a);
    proxy_store_stats(s->store, &k);
    if (atomic_load(&s->leaving) || atomic_load(&s->stop_level) != 0) {
        gw_buf_adds(out, "not ready: draining\n");
        ok = false;
    }
    if (!a.writable) {
        gw_buf_adds(out, "not ready: the audit spool cannot be written\n");
        ok = false;
    }
    if (setup->cfg->auth.required && !k.usable) {
        gw_buf_adds(out, "not ready: the keys database cannot be read\n");
        ok = false;
    }
    if (ok)
        gw_buf_adds(out, "ready\n");
    server_setup_done(s, setup);
    return ok;
}

enum admin_result admin_ready(struct admin_call *c)
{
    c->type = metrics_text_type;
    c->status = ready(c->server, &c->out) ? 200 : 503;
    return ADMIN_DONE;
}

/* ---- connections -------------------------------------------------------------------------------- */

static void on_request(struct client *c, const struct http1_head *h)
{
    struct waiting *w = calloc(1, sizeof(*w));
    struct gw_span peer;

    if (w != NULL)
        w->call.arena = gw_arena_new(MAX_ARENA);
    if (w == NULL || w->call.arena == NULL || !gw_buf_ok(&c->body)) {
        if (w != NULL)
            gw_arena_free(w->call.arena);
        free(w);
        answer_plain(c, 503, "out of memory\n");
        return;
    }
    peer = gw_arena_copy(w->call.arena, gw_span_str(c->peer)); /* the client may be gone first */
    w->call.peer = peer.ptr == NULL ? "" : peer.ptr;
    w->call.server = c->admin->server;
    w->call.client = c;
    w->call.send = send_call;
    w->admin = c->admin;
    w->body = c->body;
    c->body = (struct gw_buf){0};
    c->waiting = w;
    w->next = c->admin->calls;
    c->admin->calls = w;
    admin_api_answer(&w->call, c->admin->guard, h, gw_buf_span(&w->body));
    if (c->waiting !=
        NULL) /* a reload may load a model: nothing is heard of the client meanwhile */
        bufferevent_set_timeouts(c->bev, NULL, NULL);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);

    while (!c->answered && c->waiting == NULL) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data;
        enum http1_event ev;

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        ev = http1_next(c->parser, &rest,
                        &data); /* also without input: the end of a head without body */
        if (ev == HTTP1_BODY)
            gw_buf_add(&c->body, data); /* the parser has a limit */
        else if (ev == HTTP1_DONE)
            on_request(c, http1_head(c->parser));
        else if (ev == HTTP1_ERROR)
            answer_plain(c, http1_error(c->parser, NULL),
                         "malformed request, or a body above 64 KiB\n");
        (void)evbuffer_drain(in, v.iov_len - rest.len);
        if (ev == HTTP1_MORE && evbuffer_get_length(in) == 0)
            break;
    }
}

static void on_write(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;

    /* A deferred call may be older than the answer. */
    if (c->answered && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        client_free(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    (void)what;
    client_free(ctx);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *ctx)
{
    struct admin *a = ctx;
    struct client *c = a->n_clients < MAX_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
    static const struct http1_limits limits = {.max_body_bytes = ADMIN_MAX_BODY};
    const struct timeval limit = {TIMEOUT_S, 0};
    uint16_t port;

    (void)len;
    if (c == NULL) {
        (void)evutil_closesocket(fd);
        return;
    }
    c->admin = a;
    c->parser = http1_new(HTTP1_REQUEST, &limits);
    address_text(sa, c->peer, sizeof(c->peer), &port);
    c->bev = bufferevent_socket_new(evconnlistener_get_base(l), fd,
                                    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (c->parser == NULL || c->bev == NULL) {
        http1_free(c->parser);
        if (c->bev != NULL)
            bufferevent_free(c->bev);
        else
            (void)evutil_closesocket(fd);
        free(c);
        return;
    }
    c->next = a->clients;
    a->clients = c;
    a->n_clients++;
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(c->bev, EV_READ, 0, (size_t)64 * 1024);
    bufferevent_set_timeouts(c->bev, &limit, &limit);
    (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void on_store(evutil_socket_t fd, short what, void *ctx)
{
    struct admin *a = ctx;

    (void)fd;
    (void)what;
    proxy_store_dispatch(a->server->store);
}

/* A finished call leaves the list, so the search begins again. */
static struct waiting *next_reloaded(const struct admin *a)
{
    struct waiting *w = a->calls;

    while (w != NULL && (w->call.ticket == 0 || !admin_reload_done(&w->call)))
        w = w->next;
    return w;
}

static void on_reload(evutil_socket_t fd, short what, void *ctx)
{
    struct admin *a = ctx;
    struct waiting *w;
    uint64_t n;

    (void)what;
    while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
        continue;
    while ((w = next_reloaded(a)) != NULL)
        admin_call_done(&w->call);
}

static struct event *watch(struct event_base *base, int fd, event_callback_fn fn, struct admin *a)
{
    struct event *ev = event_new(base, fd, EV_READ | EV_PERSIST, fn, a);

    if (ev != NULL && event_add(ev, NULL) != 0) {
        event_free(ev);
        return NULL;
    }
    return ev;
}

enum gw_status admin_open(struct event_base *base, struct server *s,
                          const struct proxy_config_addr *addr, struct admin **out,
                          struct gw_err *err)
{
    struct admin *a;

    *out = NULL;
    if (addr->off)
        return GW_OK;
    a = calloc(1, sizeof(*a));
    if (a == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    a->server = s;
    a->guard = admin_guard_new();
    a->store_ev = watch(base, proxy_store_fd(s->store), on_store, a);
    a->reload_ev = watch(base, server_reload_fd(s), on_reload, a);
    if (a->guard == NULL || a->store_ev == NULL || a->reload_ev == NULL) {
        admin_close(a);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    a->listener = evconnlistener_new_bind(
        base, on_accept, a, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 64,
        (const struct sockaddr *)&addr->sa, (int)addr->sa_len);
    if (a->listener == NULL) {
        const char *why = strerrordesc_np(errno);

        admin_close(a);
        return gw_fail(err, GW_EIO, "cannot listen on %s: %s", addr->text, why);
    }
    *out = a;
    return GW_OK;
}

void admin_close(struct admin *a)
{
    struct client *next;

    if (a == NULL)
        return;
    for (struct client *c = a->clients; c != NULL; c = next) {
        next = c->next;
        client_free(c);
    }
    for (struct waiting *w = a->calls, *after; w != NULL; w = after) { /* nobody waits any more */
        after = w->next;
        if (w->call.ticket != 0)
            admin_call_done(&w->call);
    }
    /* What the store thread still does for a call is short; its memory must not go before. */
    for (int ms = 0; a->calls != NULL && ms < CLOSE_MS; ms += 10) {
        struct pollfd p = {.fd = proxy_store_fd(a->server->store), .events = POLLIN};

        if (poll(&p, 1, 10) == 1)
            proxy_store_dispatch(a->server->store);
    }
    for (struct waiting *w = a->calls; w != NULL; w = w->next)
        w->admin = NULL; /* who holds it frees it */
    if (a->listener != NULL)
        evconnlistener_free(a->listener);
    if (a->store_ev != NULL)
        event_free(a->store_ev);
    if (a->reload_ev != NULL)
        event_free(a->reload_ev);
    admin_guard_free(a->guard);
    free(a);
}
