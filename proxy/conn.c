/* proxy/conn.c - client connections: see conn.h for the states. The answer side is conn_answer.c. */
#include "proxy/conn.h"

#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "proxy/conn_private.h"
#include "proxy/request.h"
#include "proxy/worker.h"

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

static void conn_free(struct conn *c)
{
    struct worker *w = c->w;
    SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

    if (ssl != NULL && !c->gone) {
        /* One close_notify, without waiting for the peer's: the client sees an orderly end. */
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
        (void)SSL_shutdown(ssl);
    }
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    bufferevent_free(c->bev);
    event_free(c->timer);
    http1_free(c->parser);
    free(c->fixed_host);
    gw_arena_free(c->arena);
    free(c);
    metrics_gauge(&w->metrics.conns, -1);
    atomic_fetch_sub(&w->server->n_conns, 1);
    worker_conn_gone(w);
}

/* Closes now, or when the function that is using c returns. The request must be over. */
static void conn_close(struct conn *c)
{
    c->dead = true;
    if (c->busy == 0)
        conn_free(c);
}

static void process(struct conn *c);

/* Ends a function that counted itself in c->busy: what had to wait for the stack to unwind happens now. */
static void leave(struct conn *c)
{
    if (--c->busy != 0)
        return;
    if (c->dead) {
        conn_free(c);
    } else if (c->again) {
        c->again = false;
        process(c);
    }
}

/* ---- reading ---------------------------------------------------------------------------- */

static void refuse_bytes(struct conn *c)
{
    const char *why;
    unsigned status = http1_error(c->parser, &why);

    c->unread = true;
    c->parser_failed = true;
    if (c->req != NULL && c->message_done)
        return; /* the bytes behind a request that is being answered: closed after the answer */
    c->message_done = true;
    req_malformed(c, c->req, status, why);
}

static void on_head(struct conn *c)
{
    set_timer(c, c->w->server->cfg->limits.body_ms);
    c->n_requests++;
    memset(&c->answer, 0, sizeof(c->answer));
    c->answer.keep_alive = http1_head(c->parser)->keep_alive && !c->draining && !c->w->draining &&
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
        set_timer(c, c->w->server->cfg->limits.body_ms);
        metrics_add(&c->w->metrics.bytes_in, data.len);
        if (c->req != NULL)
            req_on_body(c->req, data);
        return true;
    case HTTP1_DONE:
        c->message_done = true;
        set_timer(c, 0);
        if (c->req != NULL)
            req_on_body_end(c->req);
        return true;
    case HTTP1_ERROR:
        refuse_bytes(c);
        return false;
    case HTTP1_MORE:
    default:
        return false;
    }
}

/* Parses what has arrived, up to the end of the current request. */
static void process(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);

    c->busy++;
    while (!c->dead && !c->lingering && !c->parser_failed && !c->gone &&
           !(c->req != NULL && c->message_done)) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data = {NULL, 0};
        enum http1_event ev;

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        if (v.iov_len != 0 && c->req == NULL && http1_idle(c->parser))
            set_timer(c, c->w->server->cfg->limits.header_ms);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        ev = http1_next(c->parser, &rest, &data);
        if (!on_parsed(c, ev, data) && v.iov_len == rest.len)
            break;
        (void)evbuffer_drain(in, v.iov_len - rest.len);
    }
    leave(c);
}

static void discard(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);

    c->discarded += evbuffer_get_length(in);
    (void)evbuffer_drain(in, evbuffer_get_length(in));
    if (c->discarded > LINGER_MAX)
        conn_close(c);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct conn *c = ctx;

    (void)bev;
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
    if (bufferevent_openssl_get_ssl(c->bev) == NULL)
        (void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
    discard(c);
}

static void after_flush(struct conn *c)
{
    if (c->unread)
        start_linger(c);
    else
        conn_close(c);
}

static void on_write(struct bufferevent *bev, void *ctx)
{
    struct conn *c = ctx;
    size_t left = evbuffer_get_length(bufferevent_get_output(bev));

    c->busy++;
    if (c->closing && left == 0 && !c->lingering)
        after_flush(c);
    else if (c->full && left <= CONN_OUT_LOW) {
        c->full = false;
        if (c->req != NULL)
            req_writable(c->req);
    }
    leave(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct conn *c = ctx;

    (void)bev;
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
    if (c->req != NULL && !c->message_done) {
        c->unread = true;
        c->message_done = true;
        req_malformed(c, c->req, 408, "the body did not arrive in time");
    } else if (c->req == NULL && !c->lingering && !http1_idle(c->parser)) {
        c->unread = true;
        req_malformed(c, NULL, 408, "the head did not arrive in time");
    } else {
        conn_close(c);
    }
    leave(c);
}

void conn_request_done(struct conn *c)
{
    const struct proxy_config *cfg = c->w->server->cfg;

    c->busy++;
    c->req = NULL;
    if (!c->message_done && !c->bodyless)
        c->unread = true;
    if (c->gone) {
        conn_close(c);
    } else if (!c->answer.keep_alive || c->answer.aborted || c->unread || c->parser_failed ||
               c->draining) {
        c->closing = true;
        bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
        if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
            after_flush(c);
    } else {
        set_timer(c, cfg->limits.idle_ms);
        c->again = true; /* a pipelined request may wait in the input buffer */
    }
    leave(c);
}

void conn_drain(struct conn *c)
{
    c->draining = true;
    c->answer.keep_alive = false;
    if (c->req == NULL && !c->closing && !c->lingering)
        conn_close(c);
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
    struct gw_span *groups;

    c->arena = gw_arena_new(64 * 1024);
    groups = c->arena == NULL ? NULL : gw_arena_array(c->arena, who->n_groups + 1, sizeof(*groups));
    if (groups == NULL)
        return false;
    for (unsigned i = 0; i < who->n_groups; i++)
        groups[i] = gw_arena_copy(c->arena, who->groups[i]);
    c->who = (struct proxy_principal){gw_arena_copy(c->arena, who->id),
                                      gw_arena_copy(c->arena, who->name),
                                      gw_arena_copy(c->arena, who->owner),
                                      groups,
                                      who->n_groups,
                                      who->expires_ms};
    c->fixed.who = &c->who;
    return true;
}

static bool set_up(struct conn *c, struct worker *w, struct bufferevent *bev,
                   const struct conn_fixed *fixed)
{
    const struct proxy_config *cfg = w->server->cfg;
    const struct http1_limits lim = {
        .max_line_bytes = (uint32_t)cfg->limits.max_request_line,
        .max_head_bytes = (uint32_t)cfg->limits.max_header,
        .max_body_bytes = cfg->limits.max_body,
    };

    c->w = w;
    c->bev = bev;
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

struct conn *conn_new(struct worker *w, struct bufferevent *bev, const char *peer,
                      uint16_t peer_port, const struct conn_fixed *fixed)
{
    struct conn *c = calloc(1, sizeof(*c));
    const struct timeval stalled = {w->server->cfg->limits.idle_ms / 1000, 0};

    if (c == NULL || !set_up(c, w, bev, fixed)) {
        if (c != NULL) {
            http1_free(c->parser);
            if (c->timer != NULL)
                event_free(c->timer);
            free(c->fixed_host);
            gw_arena_free(c->arena);
        }
        free(c);
        bufferevent_free(bev);
        return NULL;
    }
    memcpy(c->peer, peer, strnlen(peer, sizeof(c->peer) - 1));
    c->peer_port = peer_port;
    c->next = w->conns;
    if (w->conns != NULL)
        w->conns->prev = c;
    w->conns = c;
    metrics_gauge(&w->metrics.conns, 1);
    atomic_fetch_add(&w->server->n_conns, 1);
    bufferevent_setcb(bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(bev, EV_READ, 0, IN_HIGH);
    bufferevent_setwatermark(bev, EV_WRITE, CONN_OUT_LOW, 0);
    bufferevent_set_timeouts(bev, NULL, &stalled);
    set_timer(c, w->server->cfg->limits.header_ms);
    (void)bufferevent_enable(bev, EV_READ | EV_WRITE);
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

const char *conn_peer(const struct conn *c, uint16_t *port)
{
    *port = c->peer_port;
    return c->peer;
}

struct conn *conn_next(const struct conn *c)
{
    return c->next;
}
