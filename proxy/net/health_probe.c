/* proxy/net/health_probe.c - see health_probe.h. */
#include "proxy/net/health_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/digest.h"
#include "proxy/http/http1.h"
#include "proxy/net/dial.h"
#include "proxy/net/health.h"
#include "proxy/net/wire.h"
#include "proxy/net/worker.h"
#include "proxy/tls/tls.h"
#include "proxy/version.h"

/* Nothing to ask: only now and then does a reload bring something. */
enum { TICK_MS = 50, IDLE_TICK_MS = 1000, IN_HIGH = 64 * 1024 };

struct probe {
    struct probe *next;
    struct prober *of;
    struct setup *setup; /* pinned */
    unsigned target, endpoint;
    struct dial *dial;
    struct wire *wire;
    struct http1 *parser;
    struct event *timer;
};

struct due {
    uint64_t ns; /* when the endpoint is asked next */
    bool busy;
};

struct prober {
    struct worker *w;
    struct event *tick;
    struct probe *running;
    uint64_t serial;                        /* of the setup that due belongs to */
    struct due (*due)[PROXY_MAX_ENDPOINTS]; /* per target */
};

/* ---- one probe ---------------------------------------------------------------------------- */

static const struct proxy_config_target *target_of(const struct probe *p)
{
    return &p->setup->cfg->targets[p->target];
}

static void probe_free(struct probe *p)
{
    dial_cancel(p->dial);
    wire_free(p->wire);
    if (p->timer != NULL)
        event_free(p->timer);
    http1_free(p->parser);
    setup_unpin(p->of->w, p->setup);
    free(p);
}

static void probe_end(struct probe *p, bool well)
{
    struct prober *of = p->of;
    struct probe **at = &of->running;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    health_probed(p->setup->health, p->target, p->endpoint, well);
    if (of->serial == p->setup->serial)
        of->due[p->target][p->endpoint].busy = false;
    probe_free(p);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    probe_end(ctx, false);
}

static void on_read(void *ctx)
{
    struct probe *p = ctx;
    struct evbuffer *in = wire_in(p->wire);

    for (;;) {
        struct evbuffer_iovec v = {NULL, 0};
        struct gw_span rest, data;
        enum http1_event ev;

        wire_fill(p->wire);
        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        rest = (struct gw_span){v.iov_base, v.iov_len};
        ev = http1_next(p->parser, &rest, &data);
        if (ev == HTTP1_ERROR) {
            probe_end(p, false);
            return;
        }
        if (ev == HTTP1_HEAD && http1_head(p->parser)->status >= 200) {
            unsigned status = http1_head(p->parser)->status;

            probe_end(p, status < 300);
            return;
        }
        (void)evbuffer_drain(in, v.iov_len - rest.len);
        if (ev == HTTP1_MORE)
            return;
    }
}

static void ask(struct probe *p)
{
    const struct proxy_config_target *t = target_of(p);
    const struct proxy_config_url *url = &t->endpoints.items[p->endpoint];
    bool v6 = strchr(url->host, ':') != NULL;
    struct gw_buf head = {0};

    gw_buf_printf(&head, "GET %s HTTP/1.1\r\nHost: %s%s%s", t->health.path, v6 ? "[" : "",
                  url->host, v6 ? "]" : "");
    if (url->port != (url->tls ? 443 : 80))
        gw_buf_printf(&head, ":%u", url->port);
    gw_buf_printf(&head,
                  "\r\nUser-Agent: sluice/%s\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
                  "Connection: close\r\n\r\n",
                  sluice_version());
    http1_expect(p->parser, GW_SPAN("GET"));
    if (gw_buf_ok(&head))
        wire_put(p->wire, gw_buf_span(&head)); /* else the timer ends it */
    gw_buf_fini(&head);
}

static void on_event(void *ctx, short what)
{
    if ((what & BEV_EVENT_CONNECTED) != 0)
        ask(ctx);
    else
        probe_end(ctx, false);
}

static void on_dialled(void *ctx, int fd, bool timed_out, const char *why)
{
    static const struct wire_calls calls = {on_read, NULL, on_event};
    struct probe *p = ctx;
    const struct proxy_config_url *url = &target_of(p)->endpoints.items[p->endpoint];
    struct wire_config wire = {
        .base = p->of->w->base, .in_high = IN_HIGH, .calls = &calls, .ctx = p};
    struct bufferevent *bev = NULL;

    (void)timed_out;
    (void)why;
    p->dial = NULL;
    if (fd >= 0)
        bev = bufferevent_socket_new(p->of->w->base, fd,
                                     BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (fd >= 0 && bev == NULL)
        (void)close(fd);
    if (bev != NULL && url->tls &&
        (wire.ssl = tls_client_new(p->setup->target_tls[p->target], url->host)) == NULL)
        bufferevent_free(bev);
    else if (bev != NULL)
        p->wire = wire_new(bev, &wire);
    if (p->wire == NULL)
        probe_end(p, false);
    else if (!url->tls)
        ask(p);
}

/* Out of memory: nothing is found out; it is asked again later. */
static void probe_start(struct prober *of, unsigned target, unsigned endpoint)
{
    struct probe *p = calloc(1, sizeof(*p));
    const struct proxy_config_target *t;
    struct dial_target to;
    struct timeval tv;

    if (p == NULL)
        return;
    p->of = of;
    p->setup = setup_pin(of->w);
    p->target = target;
    p->endpoint = endpoint;
    t = target_of(p);
    p->parser = http1_new(HTTP1_RESPONSE, NULL);
    p->timer = evtimer_new(of->w->base, on_timer, p);
    to = (struct dial_target){.host = t->endpoints.items[endpoint].host,
                              .port = t->endpoints.items[endpoint].port,
                              .resolve = &t->resolve,
                              .timeout_ms = t->health.timeout_ms,
                              .via = &t->egress};
    if (p->parser != NULL && p->timer != NULL)
        p->dial = dial_start(of->w, &to, on_dialled, p);
    if (p->dial == NULL) {
        probe_free(p);
        return;
    }
    tv = (struct timeval){t->health.timeout_ms / 1000, (t->health.timeout_ms % 1000) * 1000};
    (void)evtimer_add(p->timer, &tv);
    p->next = of->running;
    of->running = p;
    of->due[target][endpoint].busy = true;
}

/* ---- when --------------------------------------------------------------------------------- */

/* A little apart, so that many gateways do not ask at the same time. */
static uint64_t next_time(const struct proxy_config_target *t, uint64_t now)
{
    uint64_t ns = (uint64_t)t->health.interval_ms * 1000000, random;

    gw_random(&random, sizeof(random));
    return now + ns - ns / 10 + random % (ns / 5 + 1);
}

static bool follow_setup(struct prober *p)
{
    const struct setup *s = p->w->setup;
    void *due;

    if (p->due != NULL && p->serial == s->serial)
        return true;
    due = calloc(s->cfg->n_targets + 1, sizeof(*p->due));
    if (due == NULL)
        return false;
    free(p->due);
    p->due = due;
    p->serial = s->serial;
    return true;
}

static bool ask_those_due(struct prober *p)
{
    const struct proxy_config *cfg = p->w->setup->cfg;
    uint64_t now = gw_clock_ns();
    bool any = false;

    for (unsigned i = 0; i < cfg->n_targets; i++) {
        const struct proxy_config_target *t = &cfg->targets[i];

        if (t->health.path[0] == '\0')
            continue;
        any |= t->endpoints.n != 0;
        for (unsigned k = 0; k < t->endpoints.n; k++) {
            struct due *d = &p->due[i][k];

            if (d->busy || now < d->ns)
                continue;
            d->ns = next_time(t, now);
            probe_start(p, i, k);
        }
    }
    return any;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct prober *p = ctx;
    struct timeval tv = {0, 0};
    unsigned ms = IDLE_TICK_MS;

    (void)fd;
    (void)what;
    if (p->w->draining)
        return;
    if (follow_setup(p) && ask_those_due(p))
        ms = TICK_MS;
    tv.tv_sec = ms / 1000;
    tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
    (void)evtimer_add(p->tick, &tv);
}

struct prober *prober_new(struct worker *w)
{
    const struct timeval now = {0, 0};
    struct prober *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->w = w;
    p->tick = evtimer_new(w->base, on_tick, p);
    if (p->tick == NULL) {
        free(p);
        return NULL;
    }
    (void)evtimer_add(p->tick, &now);
    return p;
}

void prober_free(struct prober *p)
{
    struct probe *next;

    if (p == NULL)
        return;
    for (struct probe *one = p->running; one != NULL; one = next) {
        next = one->next;
        probe_free(one);
    }
    event_free(p->tick);
    free(p->due);
    free(p);
}
