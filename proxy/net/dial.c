/* proxy/net/dial.c - resolve, check, connect. */
#include "proxy/net/dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/dns.h>
#include <event2/event.h>

#include "proxy/net/address.h"
#include "proxy/net/egress.h"
#include "proxy/net/worker.h"

enum { MAX_ADDRESSES = 6 };

struct dial {
    struct worker *w;
    struct dial_target t;
    const char *host; /* what is dialled: the target's, or the proxy's */
    uint16_t port;
    struct egress *egress; /* the CONNECT that runs, or NULL */
    dial_done_fn done;
    void *ctx;
    struct evdns_getaddrinfo_request *dns; /* running, or NULL */
    struct event *timer;                   /* the deadline; also reports a result soon */
    struct event *writable;                /* of the socket that connects */
    int fd;                                /* -1: none */
    struct sockaddr_storage addrs[MAX_ADDRESSES];
    socklen_t lens[MAX_ADDRESSES];
    unsigned n_addrs, next;
    bool refused_address, finished;
    char why[160];
};

static void close_attempt(struct dial *d)
{
    egress_free(d->egress);
    d->egress = NULL;
    if (d->writable != NULL)
        event_free(d->writable);
    d->writable = NULL;
    if (d->fd >= 0)
        (void)close(d->fd);
    d->fd = -1;
}

static void dial_free(struct dial *d)
{
    if (d == NULL)
        return;
    close_attempt(d);
    if (d->timer != NULL)
        event_free(d->timer);
    free(d);
}

void dial_cancel(struct dial *d)
{
    if (d == NULL)
        return;
    d->done = NULL;
    if (d->dns != NULL) {
        /* The callback still comes, with EVUTIL_EAI_CANCEL, and frees. */
        (void)evtimer_del(d->timer);
        evdns_getaddrinfo_cancel(d->dns);
        return;
    }
    dial_free(d);
}

static void finish(struct dial *d, int fd, bool timed_out)
{
    dial_done_fn done = d->done;
    void *ctx = d->ctx;
    char why[sizeof(d->why)];

    memcpy(why, d->why, sizeof(why));
    d->fd = -1;
    dial_cancel(d);
    if (done != NULL)
        done(ctx, fd, timed_out, why);
}

/* Reports the failure from the loop, never from inside dial_start(). */
static void fail_soon(struct dial *d)
{
    const struct timeval now = {0, 0};

    d->finished = true;
    (void)evtimer_add(d->timer, &now);
}

static void try_next(struct dial *d);

static bool through_proxy(const struct dial_target *t)
{
    return t->via != NULL && t->via->url.set;
}

static void on_tunnel(void *ctx, bool ok, const char *why)
{
    struct dial *d = ctx;
    int fd = d->fd;

    egress_free(d->egress);
    d->egress = NULL;
    if (ok) {
        finish(d, fd, false);
        return;
    }
    (void)snprintf(d->why, sizeof(d->why), "%s", why);
    close_attempt(d);
    fail_soon(d); /* another address of the proxy would say the same */
}

static void ask_proxy(struct dial *d)
{
    char proxy[272];

    (void)snprintf(proxy, sizeof(proxy), "%s:%u", d->host, d->port);
    d->egress = egress_start(d->w->base, d->fd, proxy, d->t.host, d->t.port, d->t.via->auth.value,
                             on_tunnel, d);
    if (d->egress != NULL)
        return;
    (void)snprintf(d->why, sizeof(d->why), "out of memory");
    close_attempt(d);
    fail_soon(d);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct dial *d = ctx;
    int err = 0;
    socklen_t len = sizeof(err);

    (void)what;
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err != 0) {
        (void)snprintf(d->why, sizeof(d->why), "%s:%u: %s", d->host, d->port, strerrordesc_np(err));
        close_attempt(d);
        try_next(d);
        return;
    }
    event_free(d->writable);
    d->writable = NULL;
    if (through_proxy(&d->t))
        ask_proxy(d);
    else
        finish(d, fd, false);
}

static bool may_dial(const struct dial *d, const struct sockaddr *sa)
{
    return !d->t.public_only || through_proxy(&d->t) || address_is_public(sa) ||
           (d->t.allow != NULL && address_in(sa, d->t.allow));
}

static void try_next(struct dial *d)
{
    const int one = 1;

    while (d->next < d->n_addrs) {
        const struct sockaddr *sa = (const struct sockaddr *)&d->addrs[d->next];
        socklen_t len = d->lens[d->next++];

        d->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (d->fd < 0) {
            (void)snprintf(d->why, sizeof(d->why), "socket: %s", strerrordesc_np(errno));
            continue;
        }
        (void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)setsockopt(d->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
        if (connect(d->fd, sa, len) != 0 && errno != EINPROGRESS) {
            (void)snprintf(d->why, sizeof(d->why), "%s:%u: %s", d->host, d->port,
                           strerrordesc_np(errno));
            close_attempt(d);
            continue;
        }
        d->writable = event_new(d->w->base, d->fd, EV_WRITE, on_writable, d);
        if (d->writable != NULL && event_add(d->writable, NULL) == 0)
            return;
        close_attempt(d);
    }
    if (d->n_addrs == 0 && d->refused_address)
        (void)snprintf(d->why, sizeof(d->why),
                       "%s resolves to an address that is not public (intercept.allow_private)",
                       d->t.host);
    fail_soon(d);
}

static void add_address(struct dial *d, const struct sockaddr *sa, socklen_t len, bool trusted)
{
    struct sockaddr_storage *to = &d->addrs[d->n_addrs];

    if (d->n_addrs == MAX_ADDRESSES || len > sizeof(*to))
        return;
    if (!trusted && !may_dial(d, sa)) {
        d->refused_address = true;
        return;
    }
    memcpy(to, sa, len);
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)to)->sin_port = htons(d->port);
    else
        ((struct sockaddr_in6 *)(void *)to)->sin6_port = htons(d->port);
    d->lens[d->n_addrs++] = len;
}

static void on_resolved(int result, struct evutil_addrinfo *list, void *ctx)
{
    struct dial *d = ctx;

    d->dns = NULL;
    if (d->done == NULL) {
        if (list != NULL)
            evutil_freeaddrinfo(list);
        dial_free(d);
        return;
    }
    if (result != 0)
        (void)snprintf(d->why, sizeof(d->why), "cannot resolve %s: %s", d->host,
                       evutil_gai_strerror(result));
    for (struct evutil_addrinfo *a = list; a != NULL; a = a->ai_next)
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            add_address(d, a->ai_addr, (socklen_t)a->ai_addrlen, false);
    if (list != NULL)
        evutil_freeaddrinfo(list);
    try_next(d);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct dial *d = ctx;
    bool timed_out = !d->finished;

    (void)fd;
    (void)what;
    if (timed_out) {
        (void)snprintf(d->why, sizeof(d->why), "%s:%u: %s within %lld ms", d->host, d->port,
                       d->egress != NULL ? "no tunnel through this proxy" : "no connection",
                       (long long)d->t.timeout_ms);
        close_attempt(d);
    }
    finish(d, -1, timed_out);
}

/* Fills the addresses from the map or from a literal; false: DNS must be asked. */
static bool known_address(struct dial *d)
{
    struct sockaddr_in sa4 = {.sin_family = AF_INET};
    struct sockaddr_in6 sa6 = {.sin6_family = AF_INET6};

    for (unsigned i = 0; d->t.resolve != NULL && i < d->t.resolve->n; i++) {
        const struct proxy_config_resolve *r = &d->t.resolve->items[i];

        if (strcmp(r->host, d->host) != 0)
            continue;
        if (r->addr.port != 0)
            d->port = r->addr.port;
        add_address(d, (const struct sockaddr *)&r->addr.sa, r->addr.sa_len, true);
        return true;
    }
    if (inet_pton(AF_INET, d->host, &sa4.sin_addr) == 1) {
        add_address(d, (const struct sockaddr *)&sa4, sizeof(sa4), false);
        return true;
    }
    if (inet_pton(AF_INET6, d->host, &sa6.sin6_addr) == 1) {
        add_address(d, (const struct sockaddr *)&sa6, sizeof(sa6), false);
        return true;
    }
    return false;
}

/* What a proxy is asked for: a name, or an address that may be dialled. */
static bool may_name(const struct dial_target *t)
{
    struct sockaddr_in sa4 = {.sin_family = AF_INET};
    struct sockaddr_in6 sa6 = {.sin6_family = AF_INET6};
    const struct sockaddr *sa = NULL;

    if (inet_pton(AF_INET, t->host, &sa4.sin_addr) == 1)
        sa = (const struct sockaddr *)&sa4;
    else if (inet_pton(AF_INET6, t->host, &sa6.sin6_addr) == 1)
        sa = (const struct sockaddr *)&sa6;
    return sa == NULL || !t->public_only || address_is_public(sa) ||
           (t->allow != NULL && address_in(sa, t->allow));
}

struct dial *dial_start(struct worker *w, const struct dial_target *t, dial_done_fn done, void *ctx)
{
    const struct timeval tv = {t->timeout_ms / 1000, (t->timeout_ms % 1000) * 1000};
    const struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct dial *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return NULL;
    d->w = w;
    d->t = *t;
    d->host = through_proxy(t) ? t->via->url.host : t->host;
    d->port = through_proxy(t) ? t->via->url.port : t->port;
    d->done = done;
    d->ctx = ctx;
    d->fd = -1;
    d->timer = evtimer_new(w->base, on_timer, d);
    if (d->timer == NULL) {
        free(d);
        return NULL;
    }
    (void)evtimer_add(d->timer, &tv);
    if (through_proxy(t) && !may_name(t)) {
        d->refused_address = true;
        try_next(d);
        return d;
    }
    if (known_address(d)) {
        try_next(d);
        return d;
    }
    d->dns = evdns_getaddrinfo(w->dns, d->host, NULL, &hints, on_resolved, d);
    return d;
}
