/* proxy/net/sweep.c - see sweep.h. */
#include "proxy/net/sweep.h"

#include <string.h>

#include <event2/event.h>

#include "proxy/net/worker.h"

/* Deeper than any frame of a request; once in SWEEP_MS that is 0.01 % of a core. */
enum { STACK_BYTES = 96 * 1024 };

/* Below the caller nothing is alive. */
static __attribute__((noinline)) void wipe_stack(void)
{
    char dead[STACK_BYTES];

    explicit_bzero(dead, sizeof(dead));
}

static void on_sweep(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *w = ctx;

    (void)fd;
    (void)what;
    w->sweep_due = false;
    wipe_stack();
}

bool sweep_open(struct worker *w)
{
    w->sweep = event_new(w->base, -1, 0, on_sweep, w);
    return w->sweep != NULL;
}

void sweep_close(struct worker *w)
{
    if (w->sweep != NULL)
        event_free(w->sweep);
    w->sweep = NULL;
}

void sweep_soon(struct worker *w)
{
    const struct timeval delay = {0, (suseconds_t)SWEEP_MS * 1000};

    if (w->sweep_due || w->sweep == NULL)
        return;
    w->sweep_due = event_add(w->sweep, &delay) == 0;
}
