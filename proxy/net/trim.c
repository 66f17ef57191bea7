/* proxy/net/trim.c - see trim.h. Main thread. */
#include "proxy/net/trim.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <event2/event.h>

#include "proxy/net/clients.h"
#include "proxy/net/worker.h"

enum {
    TICK_S = 1,
    TRIMS = 3,                       /* one each tick */
    CROWD = 200,                     /* connections: fewer are not worth it */
    MUCH_BYTES = 16 * 1024 * 1024,   /* memory of requests */
    LARGE_BLOCK_BYTES = 1024 * 1024, /* from here on a block is mapped by itself */
    FREE_END_BYTES = 256 * 1024,     /* free at the end of a heap: more goes back at once */
    /* What glibc keeps for a thread: of each size of a block so many, from 24 bytes on, 16 apart. */
    KEPT = 7,
    KEPT_SIZES = 64,
    KEPT_LEAST_BYTES = 24,
    KEPT_STEP_BYTES = 16
};

struct trim {
    struct server *server;
    struct event *tick;
    uint64_t most_conns, most_bytes; /* since the last trim */
    unsigned again;                  /* trims that are still to follow: others free later */
};

void trim_set_up(void)
{
    /* Fixed thresholds; by itself glibc raises them to 32 and 64 MiB as blocks are freed, and keeps what is below. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, FREE_END_BYTES);
}

/* ---- what threads are kept ---------------------------------------------------------------- */

void *trim_take(void)
{
    void **chain = NULL;

    for (size_t i = 0; i < (size_t)KEPT_SIZES * KEPT; i++) {
        void **block = malloc(KEPT_LEAST_BYTES + i / KEPT * KEPT_STEP_BYTES);

        if (block == NULL)
            break;
        *block = (void *)chain;
        chain = block;
    }
    return (void *)chain;
}

static void *free_chain(void *chain)
{
    void **block = chain;

    while (block != NULL) {
        void **next = *block;

        free((void *)block);
        block = next;
    }
    return NULL;
}

void trim_give(void *chain)
{
    pthread_t thread;

    if (chain == NULL)
        return;
    if (pthread_create(&thread, NULL, free_chain, chain) == 0)
        (void)pthread_join(thread, NULL);
    else
        (void)free_chain(chain);
}

/* Frees what the workers have handed over since the last tick, and what this thread is kept. */
static void free_kept(struct server *s)
{
    trim_give(trim_take());
    for (unsigned i = 0; i < s->n_workers; i++)
        trim_give(atomic_exchange(&s->workers[i].kept, NULL));
}

static void ask_workers(struct server *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        atomic_store(&s->workers[i].trim, true);
        worker_wake(&s->workers[i]);
    }
}

/* ---- when ----------------------------------------------------------------------------------- */

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
        free_kept(t->server);
        (void)malloc_trim(0);
        if (t->again != 0)
            ask_workers(t->server);
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
