/* proxy/net/relay.c - a spliced tunnel: bytes both ways, untouched and counted, with back-pressure. Worker's thread. */
#include <sys/socket.h>

#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/net/conn.h"
#include "proxy/net/connect_private.h"
#include "proxy/net/worker.h"

enum { CONNECT_MS = 10000, IDLE_S = 600 };

static struct bufferevent *other(struct tunnel *t, const struct bufferevent *bev)
{
    return bev == t->bev ? t->up : t->bev;
}

/* Moves what has arrived to the other side; stops reading when that side is slow. */
static void on_read(struct bufferevent *from, void *ctx)
{
    struct tunnel *t = ctx;
    struct bufferevent *to = other(t, from);
    struct evbuffer *in = bufferevent_get_input(from), *out = bufferevent_get_output(to);

    t->moved_ns = gw_clock_ns();
    *(from == t->bev ? &t->bytes_out : &t->bytes_in) += evbuffer_get_length(in);
    (void)evbuffer_add_buffer(out, in);
    if (evbuffer_get_length(out) > CONN_OUT_HIGH)
        (void)bufferevent_disable(from, EV_READ);
}

static void finish(struct tunnel *t)
{
    tunnel_record(t, false, "");
    tunnel_free(t);
}

/* The output fell below the low mark: read the other side again, or pass its end on. */
static void on_write(struct bufferevent *bev, void *ctx)
{
    struct tunnel *t = ctx;
    bool source_done = bev == t->up ? t->client_eof : t->up_eof;

    if (!source_done) {
        (void)bufferevent_enable(other(t, bev), EV_READ);
        return;
    }
    if (evbuffer_get_length(bufferevent_get_output(bev)) != 0)
        return;
    if (!t->client_eof || !t->up_eof)
        (void)shutdown(bufferevent_getfd(bev), SHUT_WR);
    else if (evbuffer_get_length(bufferevent_get_output(other(t, bev))) == 0)
        finish(t);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct tunnel *t = ctx;
    bool idle = gw_clock_ns() - t->moved_ns >= (uint64_t)IDLE_S * GW_NS_PER_SEC;

    if (what == (BEV_EVENT_TIMEOUT | BEV_EVENT_READING) && !idle) {
        (void)bufferevent_enable(bev, EV_READ); /* quiet, while the other side talks */
        return;
    }
    if ((what & BEV_EVENT_EOF) == 0) {
        finish(t);
        return;
    }
    on_read(bev, t); /* what came with the end */
    if (bev == t->bev)
        t->client_eof = true;
    else
        t->up_eof = true;
    bufferevent_setwatermark(other(t, bev), EV_WRITE, 0, 0);
    if (evbuffer_get_length(bufferevent_get_output(other(t, bev))) == 0)
        on_write(other(t, bev), t);
}

static void set_up_side(struct tunnel *t, struct bufferevent *bev)
{
    const struct timeval idle = {IDLE_S, 0};

    bufferevent_setcb(bev, on_read, on_write, on_event, t);
    bufferevent_setwatermark(bev, EV_READ, 0, CONN_OUT_HIGH);
    bufferevent_setwatermark(bev, EV_WRITE, CONN_OUT_LOW, 0);
    bufferevent_set_timeouts(bev, &idle, &idle);
    (void)bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void on_dialled(void *ctx, int fd, bool timed_out, const char *why)
{
    struct tunnel *t = ctx;

    (void)timed_out;
    t->dial = NULL;
    if (fd >= 0)
        t->up =
            bufferevent_socket_new(t->w->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (t->up == NULL) {
        if (fd >= 0)
            (void)close(fd);
        gw_log(GW_LOG_INFO, "splice_failed", "host=%s why=\"%s\"", t->host, why);
        tunnel_record(t, true, why);
        tunnel_free(t);
        return;
    }
    /* It may go on for days, and reads no configuration any more. */
    setup_unpin(t->w, t->setup);
    t->setup = NULL;
    t->moved_ns = gw_clock_ns();
    set_up_side(t, t->up);
    set_up_side(t, t->bev);
    on_read(t->bev, t); /* the ClientHello, still in the buffer */
}

/* While dialling the client may leave. */
static void on_early_event(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    (void)what;
    tunnel_free(ctx);
}

void tunnel_relay(struct tunnel *t)
{
    const struct proxy_config *cfg = t->setup->cfg;
    const struct dial_target target = {t->host,
                                       t->port,
                                       &cfg->intercept.resolve,
                                       true,
                                       &cfg->intercept.allow_private,
                                       CONNECT_MS,
                                       &cfg->intercept.egress};

    t->peeking = false;
    (void)bufferevent_disable(t->bev, EV_READ);
    bufferevent_setcb(t->bev, NULL, NULL, on_early_event, t);
    t->dial = dial_start(t->w, &target, on_dialled, t);
    if (t->dial == NULL)
        tunnel_free(t);
}
