/* proxy/net/accept.c - see accept.h. Worker's thread. */
#include "proxy/net/accept.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "proxy/net/address.h"
#include "proxy/net/clients.h"
#include "proxy/net/conn.h"
#include "proxy/net/connect.h"
#include "proxy/net/loop_memory.h"
#include "proxy/net/worker.h"

enum {
    BACKLOG = 1024,
    PAUSE_MS = 100,   /* after a failure */
    MAX_AT_ONCE = 64, /* connections that the tick accepts */
    MAX_TOLD = 256,   /* connections that are being told to come back */
    TOLD_MS = 1000,   /* how long they may take to read it */
};

/* A listener: the gateway port or the proxy port. */
struct port {
    struct worker *w;
    struct evconnlistener *listener; /* NULL: off, or draining */
    bool gateway, paused;
};

struct acceptor {
    struct port ports[2];
    struct event *tick; /* each second; sooner after a failure */
    struct told *told;  /* list */
    unsigned n_told;    /* in it */
    uint64_t n_refused; /* since the last tick, for one line in the log */
    const char *why;    /* of the last of them */
};

/* ---- telling a client to come back -------------------------------------------------------- */

struct told {
    struct told *prev, *next;
    struct acceptor *a;
    struct event *ev; /* its descriptor */
    int fd;
};

static void told_free(struct told *t)
{
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        t->a->told = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    t->a->n_told--;
    event_free(t->ev);
    (void)close(t->fd);
    free(t);
}

/* Closing with unread bytes would reset the connection, and the client would lose the answer. */
static void on_told(evutil_socket_t fd, short what, void *ctx)
{
    char bytes[4096];

    if ((what & EV_TIMEOUT) == 0 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        return;
    told_free(ctx);
}

static bool keep_told(struct worker *w, int fd)
{
    const struct timeval limit = {TOLD_MS / 1000, (suseconds_t)(TOLD_MS % 1000) * 1000};
    struct acceptor *a = w->acceptor;
    struct told *t = a->n_told >= MAX_TOLD ? NULL : calloc(1, sizeof(*t));

    if (t == NULL)
        return false;
    t->ev = event_new(w->base, fd, EV_READ | EV_PERSIST, on_told, t);
    if (t->ev == NULL || event_add(t->ev, &limit) != 0) {
        if (t->ev != NULL)
            event_free(t->ev);
        free(t);
        return false;
    }
    t->a = a;
    t->fd = fd;
    t->next = a->told;
    if (a->told != NULL)
        a->told->prev = t;
    a->told = t;
    a->n_told++;
    return true;
}

#define ANSWER(line, type, text, length)                                                           \
    "HTTP/1.1 " line "\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"                    \
    "Connection: close\r\nContent-Length: " length "\r\n\r\n"                                      \
    "{\"error\":{\"message\":\"" text "\",\"type\":\"" type                                        \
    "\",\"param\":null,\"code\":\"too_many_connections\"}}\n"

static const char full[] = ANSWER("503 Service Unavailable", "server_error",
                                  "The gateway has no room for this connection.", "134");
static const char enough[] = ANSWER("429 Too Many Requests", "rate_limit_error",
                                    "This address has too many connections.", "132");

/* No: 429 when it is about this client, else 503; with TLS nothing could be said before the handshake. */
static void turn_away(struct worker *w, int fd, bool tls, bool about_client, const char *why)
{
    const char *answer = about_client ? enough : full;
    size_t n = about_client ? sizeof(enough) - 1 : sizeof(full) - 1;

    w->acceptor->n_refused++;
    w->acceptor->why = why;
    metrics_add(&w->metrics.conns_refused, 1);
    if (tls || send(fd, answer, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n ||
        shutdown(fd, SHUT_WR) != 0 || !keep_told(w, fd))
        (void)close(fd);
}

/* ---- accepting -------------------------------------------------------------------------- */

static bool room_for_one(const struct worker *w)
{
    unsigned max = w->setup->cfg->limits.max_connections, nofile = w->server->max_conns;

    if (nofile != 0 && (max == 0 || max > nofile))
        max = nofile;
    return (max == 0 || atomic_load_explicit(&w->server->n_conns, memory_order_relaxed) < max) &&
           !loop_memory_low();
}

/* A new connection, whose descriptor is ours. */
static void take(struct port *p, int fd, const struct sockaddr *sa)
{
    struct worker *w = p->w;
    bool tls = p->gateway && w->setup->listen_tls != NULL;
    unsigned max = w->setup->cfg->limits.max_connections_per_client;
    const int one = 1;
    struct bufferevent *bev;
    struct client *client;
    SSL *ssl = NULL;
    char peer[46];
    uint16_t port;

    if (!room_for_one(w)) {
        turn_away(w, fd, tls, false, "max_connections");
        return;
    }
    if (max == 0)
        max = (w->setup->cfg->limits.max_connections + 1) / 2;
    client = client_come(w->server->clients, sa, max);
    if (client == NULL) {
        turn_away(w, fd, tls, true, "max_connections_per_client");
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    address_text(sa, peer, sizeof(peer), &port);
    if (tls)
        ssl = SSL_new(w->setup->listen_tls);
    bev =
        tls && ssl == NULL
            ? NULL
            : bufferevent_socket_new(w->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (bev == NULL) {
        SSL_free(ssl);
        client_leave(client);
        turn_away(w, fd, tls, false, "out_of_memory");
    } else if (p->gateway) {
        (void)conn_new(w, bev, ssl, client, peer, port, NULL);
    } else {
        connect_accept(w, bev, client, peer, port);
    }
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *ctx)
{
    (void)l;
    (void)len;
    take(ctx, fd, sa);
}

static void tick_after(struct acceptor *a, unsigned ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};

    (void)event_add(a->tick, &tv);
}

/* Out of descriptors: waiting beats spinning on a socket that stays readable. */
static void on_accept_error(struct evconnlistener *l, void *ctx)
{
    struct port *p = ctx;

    gw_log(GW_LOG_ERROR, "accept_failed", "error=%d", errno);
    if (evconnlistener_disable(l) == 0)
        p->paused = true;
    tick_after(p->w->acceptor, PAUSE_MS);
}

/* Asks the listener itself. True: connections waited that the loop should have told us about. */
static bool accept_waiting(struct port *p)
{
    int listener = evconnlistener_get_fd(p->listener);
    bool any = false;

    for (unsigned i = 0; i < MAX_AT_ONCE; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        int fd = accept4(listener, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            break;
        any = true;
        take(p, fd, (const struct sockaddr *)&sa);
    }
    return any;
}

/* Watching anew takes two turns of the loop: off and on in one cancel each other out. */
static void tend(struct port *p)
{
    if (p->listener == NULL)
        return;
    if (p->paused)
        p->paused = evconnlistener_enable(p->listener) != 0;
    else if (accept_waiting(p))
        p->paused = evconnlistener_disable(p->listener) == 0;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *w = ctx;
    struct acceptor *a = w->acceptor;

    (void)fd;
    (void)what;
    if (a->n_refused != 0)
        gw_log(GW_LOG_WARN, "connections_refused", "n=%llu reason=%s",
               (unsigned long long)a->n_refused, a->why);
    a->n_refused = 0;
    tend(&a->ports[0]);
    tend(&a->ports[1]);
    tick_after(a, a->ports[0].paused || a->ports[1].paused ? PAUSE_MS : 1000);
}

/* ---- life ------------------------------------------------------------------------------- */

static enum gw_status listen_on(struct port *p, struct worker *w,
                                const struct proxy_config_addr *addr, struct gw_err *err)
{
    const unsigned flags =
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE | LEV_OPT_REUSEABLE_PORT;

    p->w = w;
    if (addr->off)
        return GW_OK;
    p->listener = evconnlistener_new_bind(w->base, on_accept, p, flags, BACKLOG,
                                          (const struct sockaddr *)&addr->sa, (int)addr->sa_len);
    if (p->listener == NULL)
        return gw_fail(err, GW_EIO, "cannot listen on %s: %s", addr->text, strerrordesc_np(errno));
    evconnlistener_set_error_cb(p->listener, on_accept_error);
    return GW_OK;
}

enum gw_status accept_open(struct worker *w, struct gw_err *err)
{
    const struct proxy_config *cfg = w->setup->cfg;
    struct acceptor *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    w->acceptor = a;
    a->tick = event_new(w->base, -1, EV_PERSIST, on_tick, w);
    if (a->tick == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    a->ports[0].gateway = true;
    tick_after(a, 1000);
    GW_TRY(listen_on(&a->ports[0], w, &cfg->listen.gateway, err));
    return listen_on(&a->ports[1], w, &cfg->listen.proxy, err);
}

void accept_stop(struct worker *w)
{
    for (unsigned i = 0; i < 2; i++) {
        if (w->acceptor->ports[i].listener != NULL)
            evconnlistener_free(w->acceptor->ports[i].listener);
        w->acceptor->ports[i].listener = NULL;
    }
}

void accept_close(struct worker *w)
{
    struct acceptor *a = w->acceptor;
    struct told *next;

    if (a == NULL)
        return;
    accept_stop(w);
    for (struct told *t = a->told; t != NULL; t = next) {
        next = t->next;
        told_free(t);
    }
    if (a->tick != NULL)
        event_free(a->tick);
    free(a);
    w->acceptor = NULL;
}
