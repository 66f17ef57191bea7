/* proxy/net/worker.c - event loops: wake up, drain. Accepting is accept.c. */
#include "proxy/net/worker.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/dns.h>
#include <event2/event.h>

#include "base/log.h"
#include "base/slice.h"
#include "proxy/cache/cache_redis.h"
#include "proxy/limits/limits.h"
#include "proxy/net/accept.h"
#include "proxy/net/conn.h"
#include "proxy/net/connect.h"
#include "proxy/net/health_probe.h"
#include "proxy/net/sweep.h"
#include "proxy/net/trim.h"
#include "proxy/net/upstream.h"

enum { SWITCH_AGAIN_MS = 100 };

/* What a loop asks for at a stretch: less than a compute thread does, which it therefore interrupts, and no less than that. Its turns
 * are shorter, but what a thread that slept is still owed is bounded by its slice: with 0.5 ms the loop waited twice as long at the
 * 99th percentile (docs/performance.md). */
enum { SLICE_NS = 2800000 };

/* ---- other threads ------------------------------------------------------------------------ */

static void on_audit(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *w = ctx;

    (void)fd;
    (void)what;
    audit_chan_dispatch(w->audit);
}

static void end_when_empty(struct worker *w)
{
    if (w->draining && w->conns == NULL && w->tunnels == NULL)
        (void)event_base_loopbreak(w->base);
}

void worker_conn_gone(struct worker *w)
{
    end_when_empty(w);
}

static void drain(struct worker *w)
{
    struct conn *next;

    if (w->draining)
        return;
    w->draining = true;
    accept_stop(w);
    upstream_pool_drain(w->pool);
    connect_drain(w);
    for (struct conn *c = w->conns; c != NULL; c = next) {
        next = conn_next(c);
        conn_drain(c);
    }
    end_when_empty(w);
}

/* ---- switching -------------------------------------------------------------------------- */

static void switch_setup(struct worker *w);

static void on_switch_again(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    switch_setup(ctx);
}

/* Takes the server's current setup. Requests that run keep theirs; what is idle in the pool goes, because the new
 * setup's targets may be other servers. Nothing of this worker is on the stack above the loop. */
static void switch_setup(struct worker *w)
{
    const struct timeval soon = {0, (suseconds_t)SWITCH_AGAIN_MS * 1000};
    struct setup *old = w->setup, *new = server_setup(w->server);

    if (new != old && setup_sit(new, w) != GW_OK) {
        gw_log(GW_LOG_ERROR, "reload_delayed", "worker=%u reason=\"out of memory\"", w->index);
        (void)event_base_once(w->base, -1, EV_TIMEOUT, on_switch_again, w, &soon);
    } else if (new != old) {
        w->setup = new;
        upstream_pool_drain(w->pool);
        setup_seat(old, w)->next_old = w->old;
        w->old = setup_seat(old, w);
        setup_reap(w);
    }
    server_setup_done(w->server, new);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *w = ctx;
    uint64_t n;

    (void)what;
    while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
        continue;
    switch_setup(w);
    if (atomic_exchange(&w->trim, false) && atomic_load(&w->kept) == NULL)
        atomic_store(&w->kept, trim_take());
    if (atomic_load(&w->server->stop_level) == 0)
        return;
    drain(w);
    if (atomic_load(&w->server->stop_level) < 2)
        return;
    connect_stop(w);
    while (w->conns != NULL)
        conn_stop(w->conns);
    (void)event_base_loopbreak(w->base);
}

void worker_wake(struct worker *w)
{
    const uint64_t one = 1;

    while (write(w->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* ---- life ------------------------------------------------------------------------------- */

static struct event *watch(struct worker *w, int fd, event_callback_fn fn, void *ctx)
{
    struct event *ev = event_new(w->base, fd, EV_READ | EV_PERSIST, fn, ctx);

    if (ev != NULL && event_add(ev, NULL) != 0) {
        event_free(ev);
        return NULL;
    }
    return ev;
}

static void on_reap(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    setup_reap(ctx);
}

static enum gw_status init_loop(struct worker *w)
{
    struct event_config *cfg = event_config_new();

    if (cfg == NULL)
        return GW_ENOMEM;
    /* One epoll_ctl where add and del of one turn cancel out; safe: no descriptor is duplicated. */
    (void)event_config_set_flag(cfg, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK);
    w->base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    if (w->base == NULL)
        return GW_ENOMEM;
    w->dns = evdns_base_new(w->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (w->dns == NULL)
        return GW_ENOMEM;
    /* Without name servers only literal addresses, /etc/hosts and `resolve:` work; not an error. */
    (void)evdns_base_resolv_conf_parse(w->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    return GW_OK;
}

enum gw_status worker_init(struct worker *w, struct server *s, unsigned index, struct gw_err *err)
{
    w->server = s;
    w->index = index;
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->wake_fd < 0)
        return gw_fail(err, GW_EIO, "eventfd: %s", strerrordesc_np(errno));
    w->scanner = dlp_scanner_new();
    w->json = gw_json_new();
    w->pool = upstream_pool_new(w);
    if (w->scanner == NULL || w->json == NULL || w->pool == NULL || init_loop(w) != GW_OK ||
        setup_sit(s->setup, w) != GW_OK)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    w->setup = s->setup;
    GW_TRY(audit_chan_open(s->audit, &w->audit, err));
    w->audit_ev = watch(w, audit_chan_fd(w->audit), on_audit, w);
    w->wake = watch(w, w->wake_fd, on_wake, w);
    w->reap = event_new(w->base, -1, 0, on_reap, w);
    if (w->audit_ev == NULL || w->wake == NULL || w->reap == NULL || !sweep_open(w))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (index == 0)
        w->prober = prober_new(w);
    if ((index == 0 && w->prober == NULL) || limits_worker_open(w) != GW_OK)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    return accept_open(w, err);
}

static void *run(void *ctx)
{
    struct worker *w = ctx;

    gw_slice_set_only(SLICE_NS);
    (void)event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
    atomic_fetch_sub(&w->server->n_running, 1);
    return NULL;
}

enum gw_status worker_start(struct worker *w, struct gw_err *err)
{
    int rc;

    atomic_fetch_add(&w->server->n_running, 1);
    rc = pthread_create(&w->thread, NULL, run, w);
    if (rc != 0) {
        atomic_fetch_sub(&w->server->n_running, 1);
        return gw_fail(err, GW_EIO, "cannot start a worker thread: %s", strerrordesc_np(rc));
    }
    w->started = true;
    return GW_OK;
}

static void event_free_null(struct event *ev)
{
    if (ev != NULL)
        event_free(ev);
}

void worker_join(struct worker *w)
{
    if (w->started)
        (void)pthread_join(w->thread, NULL);
    w->started = false;
}

void worker_fini(struct worker *w)
{
    worker_join(w);
    cache_redis_close(w->cache_redis);
    limits_worker_close(w);
    prober_free(w->prober);
    setup_reap(w);
    if (w->setup != NULL)
        setup_rise(w->setup, w);
    w->setup = NULL;
    accept_close(w);
    event_free_null(w->audit_ev);
    event_free_null(w->wake);
    event_free_null(w->reap);
    sweep_close(w);
    if (w->audit != NULL)
        audit_chan_close(w->audit);
    upstream_pool_free(w->pool);
    if (w->dns != NULL)
        evdns_base_free(w->dns, 0);
    if (w->base != NULL) {
        /* libevent frees a bufferevent in a deferred call; every event of ours is gone by now. */
        (void)event_base_loop(w->base, EVLOOP_NONBLOCK);
        event_base_free(w->base);
    }
    dlp_scanner_free(w->scanner);
    gw_json_free(w->json);
    free(w->known);
    if (w->wake_fd > 0)
        (void)close(w->wake_fd);
    trim_give(atomic_exchange(&w->kept, NULL));
}
