/* proxy/net/upstream_conn.c - see upstream_conn.h. The request's head for the target is written in upstream_head.c. */
#include "proxy/net/upstream_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "proxy/net/dial.h"
#include "proxy/net/wire.h"
#include "proxy/net/worker.h"
#include "proxy/tls/tls.h"

enum { IDLE_MS = 30000, IN_HIGH = 256 * 1024 };

static void start_attempt(struct uconn *u);
static enum gw_status start_fresh(struct lane *lane, struct gw_err *err);

static void set_timer(struct uconn *u, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

    u->timed_out_is_idle = false;
    if (ms <= 0)
        (void)evtimer_del(u->timer);
    else
        (void)evtimer_add(u->timer, &tv);
}

static void uconn_free(struct uconn *u)
{
    upstream_pool_unlink(u);
    dial_cancel(u->dial);
    wire_free(u->wire);
    if (u->timer != NULL)
        event_free(u->timer);
    http1_free(u->parser);
    free(u);
}

/* Closes when the last function that uses u leaves: callers count themselves in u->busy. */
void uconn_close(struct uconn *u)
{
    u->dead = true;
    u->lane = NULL;
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
void uconn_drop(struct uconn *u)
{
    u->busy++;
    uconn_close(u);
    leave(u);
}

void uconn_wait_idle(struct uconn *u)
{
    set_timer(u, IDLE_MS);
    u->timed_out_is_idle = true;
}

/* Ends what connection and lane have to do with each other. */
static struct lane *part(struct uconn *u)
{
    struct lane *lane = u->lane;

    u->lane = NULL;
    lane->u = NULL;
    return lane;
}

/* The answer is complete. u->busy is above 0. */
static void complete(struct uconn *u, bool reusable)
{
    struct lane *lane = part(u);

    /* What is idle was made under the current setup (upstream_pool_drain()). */
    upstream_pool_give(u, reusable && lane->req->setup == u->w->setup);
    lane_on_end(lane);
}

static void fail_as(struct uconn *u, enum req_failure failure, const char *why)
{
    struct lane *lane = part(u);
    char text[160];

    (void)snprintf(text, sizeof(text), "%.159s", why);
    metrics_add(&u->w->metrics.upstream_errors, 1);
    uconn_close(u);
    lane_on_fail(lane, failure, text);
}

static void fail(struct uconn *u, const char *why)
{
    fail_as(u, u->sent ? REQ_FAIL_UPSTREAM : REQ_FAIL_NOT_SENT, why);
}

/* A pooled connection that the server had closed: one more try on a fresh one (U3). */
static bool retry_fresh(struct uconn *u)
{
    struct lane *lane = u->lane;
    struct gw_err err;

    if (!u->reused || u->got_bytes)
        return false;
    (void)part(u);
    uconn_close(u);
    if (start_fresh(lane, &err) != GW_OK)
        lane_on_fail(lane, REQ_FAIL_NOT_SENT, err.text);
    return true;
}

/* ---- reading ---------------------------------------------------------------------------- */

static void on_head(struct uconn *u)
{
    const struct http1_head *h = http1_head(u->parser);

    set_timer(u, u->peer.idle_ms);
    if (h->status < 200)
        return; /* 100, 103: the final answer follows */
    u->head_given = true;
    lane_on_head(u->lane, h);
}

/* One parser event; false: stop reading for now. */
static bool on_parsed(struct uconn *u, enum http1_event ev, struct gw_span data)
{
    const char *why;

    switch (ev) {
    case HTTP1_HEAD:
        if (http1_head(u->parser)->status == 101) {
            fail(u, "the server switched protocols");
            return false;
        }
        on_head(u);
        return true;
    case HTTP1_BODY:
        set_timer(u, u->peer.idle_ms);
        lane_on_data(u->lane, data);
        return true;
    case HTTP1_DONE:
        if (u->head_given)
            u->complete = true;
        return !u->complete;
    case HTTP1_ERROR:
        (void)http1_error(u->parser, &why);
        fail(u, why);
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

    while (!u->dead && u->lane != NULL && !u->complete && !u->paused) {
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
    if (!u->dead && u->lane != NULL && u->complete)
        complete(u, http1_head(u->parser)->keep_alive);
}

static void on_read(void *ctx)
{
    struct uconn *u = ctx;

    u->busy++;
    if (u->lane == NULL)
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
    if (!u->dead && u->lane != NULL && !u->complete && !u->paused) {
        if (u->head_given && !u->broken && http1_eof(u->parser))
            complete(u, false);
        else if (!retry_fresh(u))
            fail(u, why);
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
        fail(u, why);
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
    else if (u->lane == NULL)
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
                   !u->sent         ? "no connection within connect, TLS included"
                   : !u->head_given ? "no answer within first_byte"
                                    : "the answer stood still longer than idle");
    u->busy++;
    fail_as(u, u->sent ? REQ_FAIL_TIMEOUT : REQ_FAIL_NO_CONNECTION, why);
    leave(u);
}

/* ---- starting --------------------------------------------------------------------------- */

/* The connection is ready: write the request. u->busy is above 0. */
static void start_attempt(struct uconn *u)
{
    struct evbuffer *out = wire_out(u->wire);
    struct req *req = u->lane->req;
    struct gw_span body = req_out_body(req);
    struct gw_buf head = {0};
    struct gw_err err;
    enum gw_status st;

    if (!u->reused)
        metrics_stage(&u->w->metrics, METRICS_STAGE_CONNECT, gw_clock_ns() - u->begun_ns);
    u->got_bytes = u->head_given = u->complete = false;
    st = upstream_write_head(req, &u->peer, body.len, &head, &err);
    http1_expect(u->parser, req->head->method);
    set_timer(u, u->peer.first_byte_ms);
    if (st != GW_OK)
        fail_as(u, REQ_FAIL_CALL, err.text);
    else if (
        evbuffer_add(out, head.ptr, head.len) != 0 ||
        /* By reference: the request outlives its attempt, and an attempt that is given back has an
              * empty output (upstream_pool_give()). */
        (body.len != 0 && evbuffer_add_reference(out, body.ptr, body.len, NULL, NULL) != 0))
        fail(u, "out of memory");
    else {
        req->upstream_bytes += head.len + body.len;
        u->sent = true;
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
        fail(u, "out of memory");
    else if (u->peer.tls == NULL)
        start_attempt(u);
}

static void on_dialled(void *ctx, int fd, bool timed_out, const char *why)
{
    struct uconn *u = ctx;

    u->busy++;
    u->dial = NULL;
    if (fd < 0)
        fail_as(u, timed_out ? REQ_FAIL_NO_CONNECTION : REQ_FAIL_NOT_SENT, why);
    else
        use_socket(u, fd);
    leave(u);
}

static enum gw_status start_fresh(struct lane *lane, struct gw_err *err)
{
    struct worker *w = lane->req->w;
    struct uconn *u = calloc(1, sizeof(*u));
    struct dial_target t;

    if (u == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    u->w = w;
    u->begun_ns = gw_clock_ns();
    u->lane = lane;
    upstream_peer_of(lane->req, lane->endpoint, lane->key, &u->peer);
    (void)snprintf(u->host, sizeof(u->host), "%s", u->peer.host);
    u->peer.host = u->host;
    u->parser = http1_new(HTTP1_RESPONSE, NULL);
    u->timer = evtimer_new(w->base, on_timer, u);
    t = (struct dial_target){
        u->host,       u->peer.port,       u->peer.resolve, u->peer.public_only,
        u->peer.allow, u->peer.connect_ms, u->peer.via};
    if (u->parser != NULL && u->timer != NULL)
        u->dial = dial_start(w, &t, on_dialled, u);
    if (u->dial == NULL) {
        uconn_free(u);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    set_timer(u, u->peer.connect_ms); /* dial has the same; this one goes on through TLS */
    lane->u = u;
    return GW_OK;
}

enum gw_status uconn_start(struct lane *lane, struct gw_err *err)
{
    struct req *req = lane->req;
    struct upstream_peer peer;
    struct uconn *u;

    upstream_peer_of(req, lane->endpoint, lane->key, &peer);
    u = req->setup == req->w->setup ? upstream_pool_take(req->w, &peer) : NULL;
    if (u == NULL)
        return start_fresh(lane, err);
    u->peer = peer;
    u->peer.host = u->host;
    u->reused = true;
    u->sent = false;
    u->lane = lane;
    u->paused = false;
    lane->u = u;
    u->busy++;
    start_attempt(u);
    leave(u);
    return GW_OK;
}

void uconn_cancel(struct lane *lane)
{
    struct uconn *u = lane->u;

    if (u == NULL)
        return;
    lane->u = NULL;
    uconn_drop(u);
}

void uconn_pause(struct lane *lane)
{
    struct uconn *u = lane->u;

    if (u != NULL && u->wire != NULL) {
        u->paused = true;
        set_timer(u, 0); /* it is the client who is slow */
        wire_pause(u->wire);
    }
}

void uconn_resume(struct lane *lane)
{
    struct uconn *u = lane->u;

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
