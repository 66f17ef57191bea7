/* proxy/admin/admin.c - a small HTTP server for operators: one request a connection. Main thread. */
#include "proxy/admin/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "proxy/admin/metrics_text.h"
#include "proxy/http/http1.h"
#include "proxy/net/worker.h"
#include "proxy/store/store.h"

enum { MAX_CLIENTS = 64, TIMEOUT_S = 10 };

struct client {
    struct client *next;
    struct admin *admin;
    struct bufferevent *bev;
    struct http1 *parser;
    bool answered, head_only;
};

struct admin {
    struct server *server;
    struct evconnlistener *listener;
    struct client *clients;
    unsigned n_clients;
};

static void client_free(struct client *c)
{
    struct client **at = &c->admin->clients;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->admin->n_clients--;
    bufferevent_free(c->bev);
    http1_free(c->parser);
    free(c);
}

static void answer(struct client *c, unsigned status, const char *type, struct gw_span body)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);

    c->answered = true;
    (void)evbuffer_add_printf(out,
                              "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                              "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                              status, status == 200 ? "OK" : "Error", type, body.len);
    if (!c->head_only)
        (void)evbuffer_add(out, body.ptr, body.len);
    (void)bufferevent_disable(c->bev, EV_READ);
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
    if (atomic_load(&s->stop_level) != 0) {
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

static void on_request(struct client *c, const struct http1_head *h)
{
    struct gw_buf body = {0};
    struct server *s = c->admin->server;
    unsigned status = 200;

    c->head_only = gw_span_is(h->method, "HEAD");
    if (!gw_span_is(h->method, "GET") && !gw_span_is(h->method, "HEAD")) {
        answer(c, 405, "text/plain", GW_SPAN("GET only\n"));
        return;
    }
    if (gw_span_is(h->path, "/healthz")) {
        gw_buf_adds(&body, "ok\n");
    } else if (gw_span_is(h->path, "/readyz")) {
        status = ready(s, &body) ? 200 : 503;
    } else if (gw_span_is(h->path, "/metrics")) {
        metrics_text(s, &body);
    } else {
        status = 404;
        gw_buf_adds(&body, "here are /healthz, /readyz and /metrics\n");
    }
    answer(c, status, "text/plain; version=0.0.4; charset=utf-8", gw_buf_span(&body));
    gw_buf_fini(&body);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);

    while (!c->answered && evbuffer_get_length(in) != 0) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data;
        enum http1_event ev;

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        ev = http1_next(c->parser, &rest, &data);
        if (ev == HTTP1_HEAD)
            on_request(c, http1_head(c->parser));
        else if (ev == HTTP1_ERROR)
            answer(c, http1_error(c->parser, NULL), "text/plain", GW_SPAN("malformed request\n"));
        (void)evbuffer_drain(in, v.iov_len - rest.len);
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
    const struct timeval limit = {TIMEOUT_S, 0};

    (void)sa;
    (void)len;
    if (c == NULL) {
        (void)evutil_closesocket(fd);
        return;
    }
    c->admin = a;
    c->parser = http1_new(HTTP1_REQUEST, NULL);
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
    a->listener = evconnlistener_new_bind(
        base, on_accept, a, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 64,
        (const struct sockaddr *)&addr->sa, (int)addr->sa_len);
    if (a->listener == NULL) {
        free(a);
        return gw_fail(err, GW_EIO, "cannot listen on %s: %s", addr->text, strerrordesc_np(errno));
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
    evconnlistener_free(a->listener);
    free(a);
}
