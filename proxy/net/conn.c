/* proxy/net/conn.c - client connections: see conn.h for the states. The answer side is conn_answer.c. */
#include "proxy/net/conn.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/net/clients.h"
#include "proxy/net/conn_private.h"
#include "proxy/net/wire.h"
#include "proxy/net/worker.h"
#include "proxy/request/request.h"

enum {
    IN_HIGH = 128 * 1024, /* bytes that wait unparsed behind a running request */
    LINGER_MS = 2000,     /* how long an answered client may go on sending */
    LINGER_MAX = 64 * 1024 * 1024,
    MAX_REQUESTS = 100000, /* of one connection: bounds what a leak of any kind could cost */
};

static void set_timer(struct conn *c, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

    if (ms <= 0)
        (void)evtimer_del(c->timer);
    else
        (void)evtimer_add(c->timer, &tv);
}

/* Waits ms, but not past the end of the request's time. */
static void set_request_timer(struct conn *c, int64_t ms)
{
    uint64_t now = gw_clock_ns();
    int64_t left = c->deadline_ns > now ? (int64_t)((c->deadline_ns - now) / GW_NS_PER_MS) + 1 : 1;

    set_timer(c, ms < left ? ms : left);
}

/* What a connection has that its worker does not know of yet. */
static void unmake(struct conn *c)
{
    wire_free(c->wire);
    http1_free(c->parser);
    if (c->timer != NULL)
        event_free(c->timer);
    free(c->fixed_host);
    gw_arena_free(c->arena);
    free(c);
}

static void conn_free(struct conn *c)
{
    struct worker *w = c->w;
    struct client *client = c->client;

    if (!c->gone)
        wire_goodbye(c->wire);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    unmake(c);
    metrics_gauge(&w->metrics.conns, -1);
    atomic_fetch_sub(&w->server->n_conns, 1);
    client_leave(client);
    worker_conn_gone(w);
}

/* Closes when the last function that uses c leaves: callers count themselves in c->busy. The request must be
 * over. */
static void conn_close(struct conn *c)
{
    c->dead = true;
}

static void process(struct conn *c);

/* Ends a function that counted itself in c->busy: what had to wait for the stack to unwind happens now. */
static void leave(struct conn *c)
{
    if (c->busy > 1) {
        c->busy--;
        return;
    }
    while (c->again && !c->dead) {
        c->again = false;
        process(c);
    }
    c->busy = 0;
    if (c->dead)
        conn_free(c);
    else if (c->req == NULL)
        http1_rest(c->parser);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Refuses what is being read, head or body; the connection closes after the answer. */
static void refuse(struct conn *c, unsigned status, const char *why)
{
    c->unread = true;
    c->message_done = true;
    if (c->req == NULL) /* no head yet: what stands there answered the request before */
        memset(&c->answer, 0, sizeof(c->answer));
    c->answer.keep_alive = false;
    req_malformed(c, c->req, status, why);
}

static void refuse_bytes(struct conn *c)
{
    const char *why;
    unsigned status = http1_error(c->parser, &why);

    c->parser_failed = true;
    refuse(c, status, why);
}

static void on_head(struct conn *c)
{
    c->deadline_ns = gw_clock_ns() + (uint64_t)c->w->setup->cfg->limits.request_ms * GW_NS_PER_MS;
    set_request_timer(c, c->w->setup->cfg->limits.body_ms);
    c->n_requests++;
    memset(&c->answer, 0, sizeof(c->answer));
    c->answer.keep_alive = http1_head(c->parser)->keep_alive && !c->draining && !c->w->draining &&
                           !atomic_load_explicit(&c->w->server->leaving, memory_order_relaxed) &&
                           c->n_requests < MAX_REQUESTS;
    c->answer.minor = http1_head(c->parser)->minor;
    c->answer.no_body = gw_span_is(http1_head(c->parser)->method, "HEAD");
    c->message_done = false;
    c->bodyless = !http1_head(c->parser)->chunked && http1_head(c->parser)->content_length == 0;
    c->req = req_begin(c, http1_head(c->parser));
    if (c->req == NULL && !c->answer.ended) {
        gw_log(GW_LOG_ERROR, "out_of_memory", "where=request");
        conn_close(c);
    }
}

/* Handles one parser event. Returns false when no more can be parsed now. */
static bool on_parsed(struct conn *c, enum http1_event ev, struct gw_span data)
{
    switch (ev) {
    case HTTP1_HEAD:
        on_head(c);
        return true;
    case HTTP1_BODY:
        if (c->req != NULL)
            set_request_timer(c, c->w->setup->cfg->limits.body_ms);
        metrics_add(&c->w->metrics.bytes_in, data.len);
        if (c->req != NULL)
            req_on_body(c->req, data);
        return true;
    case HTTP1_DONE:
        c->message_done = true;
        if (c->req != NULL) {
            set_request_timer(c, INT64_MAX);
            req_on_body_end(c->req);
        } else {
            set_timer(c, c->w->setup->cfg->limits.idle_ms);
        }
        return true;
    case HTTP1_ERROR:
        refuse_bytes(c);
        return false;
    case HTTP1_MORE:
    default:
        return false;
    }
}

/* Nothing behind the last request of a connection is ever looked at (C2). */
static bool may_parse(const struct conn *c)
{
    bool ending = c->dead || c->gone || c->closing || c->lingering || c->parser_failed;

    return !ending && !(c->req != NULL && c->message_done);
}

/* Parses what has arrived, up to the end of the current request. c->busy is above 0. */
static void process(struct conn *c)
{
    struct evbuffer *in = wire_in(c->wire);

    while (may_parse(c)) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data = {NULL, 0};
        enum http1_event ev;

        wire_fill(c->wire);
        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        if (v.iov_len != 0 && c->req == NULL && http1_idle(c->parser))
            set_timer(c, c->w->setup->cfg->limits.header_ms);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        ev = http1_next(c->parser, &rest, &data);
        if (!on_parsed(c, ev, data) && v.iov_len == rest.len)
            break;
        (void)evbuffer_drain(in, v.iov_len - rest.len);
    }
}

static void discard(struct conn *c)
{
    struct evbuffer *in = wire_in(c->wire);

    while (evbuffer_get_length(in) != 0) {
        c->discarded += evbuffer_get_length(in);
        (void)evbuffer_drain(in, evbuffer_get_length(in));
        wire_fill(c->wire);
    }
    if (c->discarded > LINGER_MAX)
        conn_close(c);
}

static void on_read(void *ctx)
{
    struct conn *c = ctx;

    c->busy++;
    if (c->lingering)
        discard(c);
    else
        process(c);
    leave(c);
}

/* ---- ending ----------------------------------------------------------------------------- */

/* The answer is written; the client may still be sending what nobody reads. Closing at once would make
 * the kernel send RST and the client lose the answer. */
static void start_linger(struct conn *c)
{
    c->lingering = true;
    set_timer(c, LINGER_MS);
    if (!wire_is_tls(c->wire))
        wire_shutdown(c->wire);
    discard(c);
}

static void after_flush(struct conn *c)
{
    if (c->unread || evbuffer_get_length(wire_in(c->wire)) != 0) {
        start_linger(c);
        return;
    }
    c->said_goodbye = true;
    wire_goodbye(c->wire);
    if (wire_waiting(c->wire) != 0)
        set_timer(c, LINGER_MS); /* on_write() is quicker when the client reads */
    else
        conn_close(c);
}

static void on_write(void *ctx)
{
    struct conn *c = ctx;
    size_t left = wire_waiting(c->wire);

    c->busy++;
    if (c->said_goodbye && left == 0)
        conn_close(c);
    else if (c->closing && left == 0 && !c->lingering && !c->said_goodbye)
        after_flush(c);
    else if (c->full && left <= CONN_OUT_LOW) {
        c->full = false;
        if (c->req != NULL)
            req_writable(c->req);
    }
    leave(c);
}

static void on_event(void *ctx, short what)
{
    struct conn *c = ctx;

    if ((what & BEV_EVENT_CONNECTED) != 0)
        return;
    c->busy++;
    c->gone = true;
    if (c->req != NULL)
        req_client_gone(c->req); /* conn_request_done() closes, maybe later */
    else
        conn_close(c);
    leave(c);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct conn *c = ctx;

    (void)fd;
    (void)what;
    c->busy++;
    if (c->closing || c->lingering || (c->req == NULL && http1_idle(c->parser)))
        conn_close(c);
    else if (c->req != NULL && !c->message_done)
        refuse(c, 408, "the body did not arrive in time");
    else if (c->req != NULL)
        req_out_of_time(c->req);
    else
        refuse(c, 408, "the head did not arrive in time");
    leave(c);
}

void conn_request_done(struct conn *c)
{
    const struct proxy_config *cfg = c->w->setup->cfg;

    c->busy++;
    c->req = NULL;
    if (!c->message_done && !c->bodyless)
        c->unread = true;
    if (c->gone) {
        conn_close(c);
    } else if (!c->answer.keep_alive || c->answer.aborted || c->unread || c->parser_failed ||
               c->draining) {
        c->closing = true;
        set_timer(c, 0); /* a client that does not take the answer runs into the write timeout */
        if (wire_waiting(c->wire) == 0)
            after_flush(c);
    } else {
        set_timer(c, cfg->limits.idle_ms);
        c->again = true; /* a pipelined request may wait in the input buffer */
    }
    leave(c);
}

void conn_drain(struct conn *c)
{
    c->busy++;
    c->draining = true;
    c->answer.keep_alive = false;
    if (c->req == NULL && !c->closing && !c->lingering)
        conn_close(c);
    leave(c);
}

void conn_stop(struct conn *c)
{
    c->busy++;
    c->gone = true;
    if (c->req != NULL)
        req_stop(c->req);
    else
        conn_close(c);
    leave(c);
}

/* ---- making ----------------------------------------------------------------------------- */

/* Copies the principal of the tunnel into memory of the connection. */
static bool keep_principal(struct conn *c, const struct proxy_principal *who)
{
    c->arena = gw_arena_new((size_t)64 * 1024);
    if (c->arena == NULL || !proxy_principal_copy(c->arena, who, &c->who))
        return false;
    c->fixed.who = &c->who;
    return true;
}

static bool set_up(struct conn *c, struct worker *w, const struct conn_fixed *fixed)
{
    const struct proxy_config *cfg = w->setup->cfg;
    const struct http1_limits lim = {
        .max_line_bytes = (uint32_t)cfg->limits.max_request_line,
        .max_head_bytes = (uint32_t)cfg->limits.max_header,
        .max_body_bytes = cfg->limits.max_body,
    };

    c->w = w;
    c->parser = http1_new(HTTP1_REQUEST, &lim);
    c->timer = evtimer_new(w->base, on_timer, c);
    if (fixed != NULL) {
        c->fixed_host = strdup(fixed->host);
        c->fixed = (struct conn_fixed){c->fixed_host, fixed->port, NULL};
        if (c->fixed_host == NULL || (fixed->who != NULL && !keep_principal(c, fixed->who)))
            return false;
    }
    return c->parser != NULL && c->timer != NULL;
}

struct conn *conn_new(struct worker *w, struct bufferevent *bev, struct ssl_st *ssl,
                      struct client *client, const char *peer, uint16_t peer_port,
                      const struct conn_fixed *fixed)
{
    static const struct wire_calls calls = {on_read, on_write, on_event};
    struct conn *c = calloc(1, sizeof(*c));
    const struct wire_config wire = {.base = w->base,
                                     .ssl = ssl,
                                     .accepts = true,
                                     .in_high = IN_HIGH,
                                     .out_low = CONN_OUT_LOW,
                                     .stall_s = (int)(w->setup->cfg->limits.idle_ms / 1000),
                                     .calls = &calls,
                                     .ctx = c};
    bool ready = c != NULL && set_up(c, w, fixed);

    if (c == NULL || !ready) {
        SSL_free(ssl);
        bufferevent_free(bev);
    } else {
        c->wire = wire_new(bev, &wire);
        ready = c->wire != NULL;
    }
    if (!ready) {
        if (c != NULL)
            unmake(c);
        client_leave(client);
        return NULL;
    }
    c->client = client;
    memcpy(c->peer, peer, strnlen(peer, sizeof(c->peer) - 1));
    c->peer_port = peer_port;
    c->next = w->conns;
    if (w->conns != NULL)
        w->conns->prev = c;
    w->conns = c;
    metrics_gauge(&w->metrics.conns, 1);
    atomic_fetch_add(&w->server->n_conns, 1);
    set_timer(c, w->setup->cfg->limits.header_ms);
    return c;
}

struct worker *conn_worker(const struct conn *c)
{
    return c->w;
}

const struct conn_fixed *conn_fixed(const struct conn *c)
{
    return c->fixed_host == NULL ? NULL : &c->fixed;
}

struct client *conn_client(const struct conn *c)
{
    return c->client;
}

const char *conn_peer(const struct conn *c, uint16_t *port)
{
    *port = c->peer_port;
    return c->peer;
}

struct conn *conn_next(const struct conn *c)
{
    return c->next;
}
