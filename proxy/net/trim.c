/* proxy/net/trim.c - see trim.h. Main thread. */
#include "proxy/net/trim.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <event2/event.h>

#include "proxy/net/clients.h"
#include "proxy/net/worker.h"

enum {
    TICK_S = 1,
    TRIMS = 3,                      /* one each tick */
    CROWD = 200,                    /* connections: fewer are not worth it */
    MUCH_BYTES = 16 * 1024 * 1024,  /* memory of requests */
    LARGE_BLOCK_BYTES = 1024 * 1024 /* from here on a block is mapped by itself */
};

struct trim {
    struct server *server;
    struct event *tick;
    uint64_t most_conns, most_bytes; /* since the last trim */
    unsigned again;                  /* trims that are still to follow: others free later */
};

void trim_set_up(void)
{
    /* A fixed threshold; by itself glibc raises it to 32 MiB as blocks are freed, and keeps them. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct trim *t = ctx;
    uint64_t conns = atomic_load(&t->server->n_conns), bytes = clients_memory(t->server->clients);
    int64_t active = 0;
    bool crowd, much;

    (void)fd;
    (void)what;
    for (unsigned i = 0; i < t->server->n_workers; i++)
        active += atomic_load(&t->server->workers[i].metrics.active);
    t->most_conns = conns > t->most_conns ? conns : t->most_conns;
    t->most_bytes = bytes > t->most_bytes ? bytes : t->most_bytes;
    crowd = t->most_conns >= CROWD && conns <= t->most_conns / 2;
    much = t->most_bytes >= MUCH_BYTES && bytes <= t->most_bytes / 2;
    if ((crowd || much) && (uint64_t)active <= t->most_conns / 4) {
        t->most_conns = conns;
        t->most_bytes = bytes;
        t->again = TRIMS;
    }
    if (t->again != 0) {
        t->again--;
        (void)malloc_trim(0);
    }
}

struct trim *trim_open(struct event_base *base, struct server *server)
{
    const struct timeval each = {TICK_S, 0};
    struct trim *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->server = server;
    t->tick = event_new(base, -1, EV_PERSIST, on_tick, t);
    if (t->tick == NULL || event_add(t->tick, &each) != 0) {
        trim_close(t);
        return NULL;
    }
    return t;
}

void trim_close(struct trim *t)
{
    if (t == NULL)
        return;
    if (t->tick != NULL)
        event_free(t->tick);
    free(t);
}
