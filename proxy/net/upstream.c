/* proxy/net/upstream.c - see upstream.h. The request's head for the target is written in upstream_head.c. */
#include "proxy/net/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/net/conn.h"
#include "proxy/net/dial.h"
#include "proxy/net/upstream_head.h"
#include "proxy/net/wire.h"
#include "proxy/net/worker.h"
#include "proxy/request/request.h"
#include "proxy/tls/tls.h"

enum { IDLE_MS = 30000, IN_HIGH = 256 * 1024 };

struct uconn {
    struct uconn *prev, *next; /* in the pool while idle */
    struct worker *w;
    struct req *req;           /* NULL: idle */
    struct upstream_peer peer; /* while idle only target, port, max_idle and host are valid */
    char host[256];            /* copy of peer.host */
    struct dial *dial;
    struct wire *wire;  /* NULL while dialling */
    struct ssl_st *ssl; /* owned by wire */
    struct http1 *parser;
    struct event *timer;
    uint64_t begun_ns; /* of dialling */
    unsigned busy;
    bool timed_out_is_idle; /* the timer belongs to the pool */
    bool pooled, reused;    /* in the list; came from it */
    bool got_bytes;         /* of the answer */
    bool head_given;        /* req_on_head was called for a final answer */
    bool complete;          /* the answer ended */
    bool paused, eof, dead;
    bool broken; /* ended by an error: not a proper end of anything */
};

struct upstream_pool {
    struct worker *w;
    struct uconn *idle; /* most recently used first */
};

static void start_attempt(struct uconn *u);

static void set_timer(struct uconn *u, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

    u->timed_out_is_idle = false;
    if (ms <= 0)
        (void)evtimer_del(u->timer);
    else
        (void)evtimer_add(u->timer, &tv);
}

static void unlink_idle(struct uconn *u)
{
    if (!u->pooled)
        return;
    if (u->prev != NULL)
        u->prev->next = u->next;
    else
        u->w->pool->idle = u->next;
    if (u->next != NULL)
        u->next->prev = u->prev;
    u->prev = u->next = NULL;
    u->pooled = false;
}

static void uconn_free(struct uconn *u)
{
    unlink_idle(u);
    dial_cancel(u->dial);
    wire_free(u->wire);
    if (u->timer != NULL)
        event_free(u->timer);
    http1_free(u->parser);
    free(u);
}

/* Closes when the last function that uses u leaves: callers count themselves in u->busy. */
static void uconn_close(struct uconn *u)
{
    u->dead = true;
    u->req = NULL;
}

static void leave(struct uconn *u)
{
    if (u->busy > 1) {
        u->busy--;
        return;
    }
    u->busy = 0;
    if (u->dead)
        uconn_free(u);
}

/* Closes from where nothing else uses u, or from below functions that do. */
static void uconn_drop(struct uconn *u)
{
    u->busy++;
    uconn_close(u);
    leave(u);
}

static bool same_peer(const struct uconn *u, const struct upstream_peer *peer)
{
    return u->peer.target == peer->target && u->peer.port == peer->port &&
           strcmp(u->host, peer->host) == 0;
}

static bool pool_is_full(const struct uconn *like)
{
    unsigned n = 0;

    for (const struct uconn *u = like->w->pool->idle; u != NULL; u = u->next)
        n += same_peer(u, &like->peer);
    return n >= like->peer.max_idle;
}

/* Gives the connection back or closes it; the request no longer knows it. */
static void release(struct uconn *u, bool reusable)
{
    bool current = u->req->setup == u->w->setup;

    u->req->attempt = NULL;
    u->req = NULL;
    if (!reusable || !current || u->eof || u->w->draining || !http1_idle(u->parser) ||
        !wire_is_clean(u->wire) || pool_is_full(u)) {
        uconn_close(u);
        return;
    }
    u->next = u->w->pool->idle;
    if (u->next != NULL)
        u->next->prev = u;
    u->w->pool->idle = u;
    u->pooled = true;
    set_timer(u, IDLE_MS);
    u->timed_out_is_idle = true;
}

static void fail(struct uconn *u, bool timed_out, const char *why)
{
    struct req *req = u->req;
    char text[160];

    (void)snprintf(text, sizeof(text), "%.159s", why);
    metrics_add(&u->w->metrics.upstream_errors, 1);
    req->attempt = NULL;
    uconn_close(u);
    req_on_error(req, timed_out ? REQ_FAIL_TIMEOUT : REQ_FAIL_UPSTREAM, text);
}

/* A pooled connection that the server had closed: one more try on a fresh one (U3). */
static bool retry_fresh(struct uconn *u)
{
    struct req *req = u->req;
    struct gw_err err;

    if (!u->reused || u->got_bytes)
        return false;
    req->attempt = NULL;
    uconn_close(u);
    if (upstream_start_fresh(req, &err) != GW_OK)
        req_on_error(req, REQ_FAIL_UPSTREAM, err.text);
    return true;
}

/* ---- reading ---------------------------------------------------------------------------- */

static void on_head(struct uconn *u)
{
    const struct http1_head *h = http1_head(u->parser);
    int64_t length = h->has_length && !h->chunked ? (int64_t)h->content_length : -1;

    set_timer(u, u->peer.idle_ms);
    if (h->status < 200)
        return; /* 100, 103: the final answer follows */
    u->head_given = true;
    req_on_head(u->req, h->status, h->fields, h->n_fields, length);
}

/* One parser event; false: stop reading for now. */
static bool on_parsed(struct uconn *u, enum http1_event ev, struct gw_span data)
{
    const char *why;

    switch (ev) {
    case HTTP1_HEAD:
        if (http1_head(u->parser)->status == 101) {
            fail(u, false, "the server switched protocols");
            return false;
        }
        on_head(u);
        return true;
    case HTTP1_BODY:
        set_timer(u, u->peer.idle_ms);
        req_on_data(u->req, data);
        return true;
    case HTTP1_DONE:
        if (u->head_given)
            u->complete = true;
        return !u->complete;
    case HTTP1_ERROR:
        (void)http1_error(u->parser, &why);
        fail(u, false, why);
        return false;
    case HTTP1_MORE:
    default:
        return false;
    }
}

/* Parses what has arrived; u->busy is above 0. */
static void process(struct uconn *u)
{
    struct evbuffer *in = wire_in(u->wire);

    while (!u->dead && u->req != NULL && !u->complete && !u->paused) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data = {NULL, 0};
        enum http1_event ev;
        bool more;

        wire_fill(u->wire);
        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        u->got_bytes |= v.iov_len != 0;
        ev = http1_next(u->parser, &rest, &data);
        more = on_parsed(u, ev, data);
        if (!u->dead)
            (void)evbuffer_drain(in, v.iov_len - rest.len);
        if (!more && v.iov_len == rest.len)
            break;
    }
    if (!u->dead && u->req != NULL && u->complete) {
        struct req *req = u->req;

        release(u, http1_head(u->parser)->keep_alive);
        req_on_end(req);
    }
}

static void on_read(void *ctx)
{
    struct uconn *u = ctx;

    u->busy++;
    if (u->req == NULL)
        uconn_close(u); /* bytes nobody asked for */
    else
        process(u);
    leave(u);
}

/* The server closed: the answer may end with that, unless the connection broke. u->busy is above 0. */
static void on_eof(struct uconn *u, const char *why)
{
    u->eof = true;
    if (!u->paused)
        process(u);
    if (!u->dead && u->req != NULL && !u->complete && !u->paused) {
        if (u->head_given && !u->broken && http1_eof(u->parser)) {
            struct req *req = u->req;

            release(u, false);
            req_on_end(req);
        } else if (!retry_fresh(u)) {
            fail(u, false, why);
        }
    }
}

/* The connection ended, or never came to be. u->busy is above 0. */
static void on_gone(struct uconn *u, short what)
{
    char why[300];

    u->broken = (what & BEV_EVENT_ERROR) != 0;
    if (u->ssl != NULL && !u->got_bytes && !u->reused && (what & BEV_EVENT_ERROR) != 0) {
        unsigned long e = wire_error(u->wire);
        char reason[120];

        tls_why_code(u->ssl, e, reason, sizeof(reason));
        (void)snprintf(why, sizeof(why), "TLS with %s: %s", u->peer.host, reason);
        fail(u, false, why);
        return;
    }
    (void)snprintf(why, sizeof(why), "%s closed the connection %s", u->peer.host,
                   u->head_given ? "in the middle of its answer" : "without an answer");
    on_eof(u, why);
}

static void on_event(void *ctx, short what)
{
    struct uconn *u = ctx;

    u->busy++;
    if ((what & BEV_EVENT_CONNECTED) != 0)
        start_attempt(u); /* TLS is up */
    else if (u->req == NULL)
        uconn_close(u);
    else
        on_gone(u, what);
    leave(u);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct uconn *u = ctx;
    char why[300];

    (void)fd;
    (void)what;
    if (u->timed_out_is_idle) {
        uconn_drop(u);
        return;
    }
    (void)snprintf(why, sizeof(why), "%s: %s", u->peer.host,
                   u->wire == NULL  ? "no TLS connection in time"
                   : !u->head_given ? "no answer within first_byte"
                                    : "the answer stood still longer than idle");
    u->busy++;
    fail(u, true, why);
    leave(u);
}

/* ---- starting --------------------------------------------------------------------------- */

/* The connection is ready: write the request. u->busy is above 0. */
static void start_attempt(struct uconn *u)
{
    struct evbuffer *out = wire_out(u->wire);
    struct gw_span body = req_out_body(u->req);
    struct gw_buf head = {0};
    struct gw_err err;
    enum gw_status st;

    if (!u->reused)
        metrics_stage(&u->w->metrics, METRICS_STAGE_CONNECT, gw_clock_ns() - u->begun_ns);
    u->got_bytes = u->head_given = u->complete = false;
    st = upstream_write_head(u->req, &u->peer, body.len, &head, &err);
    http1_expect(u->parser, u->req->head->method);
    set_timer(u, u->peer.first_byte_ms);
    if (st != GW_OK)
        fail(u, false, err.text);
    else if (
        evbuffer_add(out, head.ptr, head.len) != 0 ||
        /* By reference: the request outlives its attempt, and an attempt that is given back has an
              * empty output (release()). */
        (body.len != 0 && evbuffer_add_reference(out, body.ptr, body.len, NULL, NULL) != 0))
        fail(u, false, "out of memory");
    else {
        u->req->upstream_bytes += head.len + body.len;
        (void)wire_flush(u->wire);
    }
    gw_buf_fini(&head);
}

static void use_socket(struct uconn *u, int fd)
{
    static const struct wire_calls calls = {on_read, NULL, on_event};
    struct wire_config wire = {.base = u->w->base, .in_high = IN_HIGH, .calls = &calls, .ctx = u};
    struct bufferevent *bev =
        bufferevent_socket_new(u->w->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);

    metrics_add(&u->w->metrics.upstream_connects, 1);
    if (bev == NULL)
        (void)close(fd);
    else if (u->peer.tls != NULL && (u->ssl = tls_client_new(u->peer.tls, u->peer.host)) == NULL)
        bufferevent_free(bev);
    else {
        wire.ssl = u->ssl;
        u->wire = wire_new(bev, &wire);
    }
    if (u->wire == NULL)
        fail(u, false, "out of memory");
    else if (u->peer.tls == NULL)
        start_attempt(u);
}

static void on_dialled(void *ctx, int fd, bool timed_out, const char *why)
{
    struct uconn *u = ctx;

    u->busy++;
    u->dial = NULL;
    if (fd < 0)
        fail(u, timed_out, why);
    else
        use_socket(u, fd);
    leave(u);
}

enum gw_status upstream_start_fresh(struct req *req, struct gw_err *err)
{
    struct worker *w = req->w;
    struct uconn *u = calloc(1, sizeof(*u));
    struct dial_target t;

    if (u == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    u->w = w;
    u->begun_ns = gw_clock_ns();
    u->req = req;
    upstream_peer_of(req, &u->peer);
    (void)snprintf(u->host, sizeof(u->host), "%s", u->peer.host);
    u->peer.host = u->host;
    u->parser = http1_new(HTTP1_RESPONSE, NULL);
    u->timer = evtimer_new(w->base, on_timer, u);
    t = (struct dial_target){u->host,       u->peer.port,      u->peer.resolve, u->peer.public_only,
                             u->peer.allow, u->peer.connect_ms};
    if (u->parser != NULL && u->timer != NULL)
        u->dial = dial_start(w, &t, on_dialled, u);
    if (u->dial == NULL) {
        uconn_free(u);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    set_timer(u, u->peer.connect_ms * 2); /* dial has its own deadline; this one covers TLS */
    req->attempt = u;
    return GW_OK;
}

static struct uconn *find_idle(struct worker *w, const struct upstream_peer *peer)
{
    for (struct uconn *u = w->pool->idle; u != NULL; u = u->next)
        if (same_peer(u, peer))
            return u;
    return NULL;
}

static enum gw_status upstream_start(struct req *req, unsigned target, struct gw_err *err)
{
    struct upstream_peer peer;
    struct uconn *u;

    (void)target; /* in req */
    upstream_peer_of(req, &peer);
    /* What is idle was made under the current setup (upstream_pool_drain()). */
    u = req->setup == req->w->setup ? find_idle(req->w, &peer) : NULL;
    if (u == NULL)
        return upstream_start_fresh(req, err);
    unlink_idle(u);
    u->peer = peer;
    u->peer.host = u->host;
    u->reused = true;
    u->req = req;
    u->paused = false;
    req->attempt = u;
    u->busy++;
    start_attempt(u);
    leave(u);
    return GW_OK;
}

static void upstream_cancel(struct req *req)
{
    struct uconn *u = req->attempt;

    if (u == NULL)
        return;
    req->attempt = NULL;
    uconn_drop(u);
}

static void upstream_pause(struct req *req)
{
    struct uconn *u = req->attempt;

    if (u != NULL && u->wire != NULL) {
        u->paused = true;
        set_timer(u, 0); /* it is the client who is slow */
        wire_pause(u->wire);
    }
}

static void upstream_resume(struct req *req)
{
    struct uconn *u = req->attempt;

    if (u == NULL || u->wire == NULL || !u->paused)
        return;
    u->busy++;
    u->paused = false;
    set_timer(u, u->peer.idle_ms);
    wire_resume(u->wire);
    /* What is in the buffer will not be announced again. */
    if (u->eof)
        on_eof(u, "the server closed the connection in the middle of its answer");
    else
        process(u);
    leave(u);
}

const struct backend backend_upstream = {"upstream", upstream_start, upstream_cancel,
                                         upstream_pause, upstream_resume};

/* ---- the pool --------------------------------------------------------------------------- */

struct upstream_pool *upstream_pool_new(struct worker *w)
{
    struct upstream_pool *p = calloc(1, sizeof(*p));

    if (p != NULL)
        p->w = w;
    return p;
}

void upstream_pool_drain(struct upstream_pool *p)
{
    struct uconn *next;

    for (struct uconn *u = p->idle; u != NULL; u = next) {
        next = u->next;
        uconn_drop(u);
    }
}

void upstream_pool_free(struct upstream_pool *p)
{
    if (p == NULL)
        return;
    upstream_pool_drain(p);
    free(p);
}
