/* proxy/net/setup_seat.c - a worker's part of a setup: its channels to the models, and its pins. Worker's thread. */
#include <stdlib.h>

#include <event2/event.h>

#include "proxy/local/local.h"
#include "proxy/local/local_embed.h"
#include "proxy/net/setup.h"
#include "proxy/net/worker.h"

struct setup_call {
    struct setup_seat *seat;
    unsigned target;
};

static void on_engine(evutil_socket_t fd, short what, void *ctx)
{
    const struct setup_call *c = ctx;

    (void)fd;
    (void)what;
    if (c->seat->engines[c->target] != NULL)
        local_dispatch(c->seat->engines[c->target]);
    else
        local_embed_dispatch(c->seat->embed_chans[c->target]);
}

/* One channel to each model in this process. */
static enum gw_status open_channel(struct setup_seat *seat, unsigned i)
{
    const struct setup *s = seat->setup;
    int fd;

    if (s->engines[i] != NULL)
        seat->engines[i] = engine_chan_new(s->engines[i]);
    else if (s->embedders[i] != NULL)
        seat->embed_chans[i] = engine_embed_chan_new(s->embedders[i]);
    else
        return GW_OK;
    if (seat->engines[i] == NULL && seat->embed_chans[i] == NULL)
        return GW_ENOMEM;
    fd = seat->engines[i] != NULL ? engine_chan_fd(seat->engines[i])
                                  : engine_embed_chan_fd(seat->embed_chans[i]);
    seat->calls[i] = (struct setup_call){seat, i};
    seat->events[i] =
        event_new(seat->w->base, fd, EV_READ | EV_PERSIST, on_engine, &seat->calls[i]);
    return seat->events[i] != NULL && event_add(seat->events[i], NULL) == 0 ? GW_OK : GW_ENOMEM;
}

static void close_channels(struct setup_seat *seat)
{
    for (unsigned i = 0; seat->engines != NULL && i < seat->setup->cfg->n_targets; i++) {
        if (seat->events != NULL && seat->events[i] != NULL)
            event_free(seat->events[i]);
        engine_chan_free(seat->engines[i]);
        if (seat->embed_chans != NULL)
            engine_embed_chan_free(seat->embed_chans[i]);
    }
    free(seat->engines);
    free(seat->embed_chans);
    free(seat->events);
    free(seat->calls);
    *seat = (struct setup_seat){0};
}

struct setup_seat *setup_seat(const struct setup *s, const struct worker *w)
{
    return &s->seats[w->index];
}

enum gw_status setup_sit(struct setup *s, struct worker *w)
{
    struct setup_seat *seat = setup_seat(s, w);
    unsigned n = s->cfg->n_targets;
    enum gw_status st = GW_OK;

    *seat = (struct setup_seat){.w = w, .setup = s};
    seat->engines = calloc(n + 1, sizeof(struct engine_chan *));
    seat->embed_chans = calloc(n + 1, sizeof(struct engine_embed_chan *));
    seat->events = calloc(n + 1, sizeof(struct event *));
    seat->calls = calloc(n + 1, sizeof(struct setup_call));
    if (seat->engines == NULL || seat->embed_chans == NULL || seat->events == NULL ||
        seat->calls == NULL)
        st = GW_ENOMEM;
    for (unsigned i = 0; st == GW_OK && i < n; i++)
        st = open_channel(seat, i);
    if (st != GW_OK) {
        close_channels(seat);
        return st;
    }
    (void)setup_ref(s);
    (void)atomic_fetch_add(&s->n_seated, 1);
    return GW_OK;
}

void setup_rise(struct setup *s, struct worker *w)
{
    close_channels(setup_seat(s, w));
    server_setup_done(w->server, s);
}

struct setup *setup_pin(struct worker *w)
{
    setup_seat(w->setup, w)->pins++;
    return w->setup;
}

void setup_unpin(struct worker *w, struct setup *s)
{
    if (s != NULL && --setup_seat(s, w)->pins == 0 && s != w->setup)
        event_active(w->reap, EV_TIMEOUT, 0);
}

void setup_reap(struct worker *w)
{
    struct setup_seat **at = &w->old;

    while (*at != NULL) {
        struct setup_seat *seat = *at;

        if (seat->pins != 0) {
            at = &seat->next_old;
            continue;
        }
        *at = seat->next_old;
        setup_rise(seat->setup, w);
    }
}
