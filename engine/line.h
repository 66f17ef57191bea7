/* engine/line.h - who is next: the requests that wait, and what each tenant has had.
 *
 * The highest priority goes first; a request that waits gains one level every LINE_AGING_NS, so a low one
 * waits long but not for ever. Within a level it is the turn of the tenant that has had the fewest tokens,
 * computed or generated; within a tenant, of the oldest. A tenant that comes back, or is new, begins with as
 * much as the least of those that are here: nobody saves up turns while away, nobody is held back for ever
 * for what he had on a quiet day.
 *
 * The line knows requests by the member `line` only. Thread: the scheduler's. */
#ifndef ENGINE_LINE_H
#define ENGINE_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/span.h"

enum {
    LINE_MAX_IDLE = 1024 /* tenants that are remembered while they have no request */
};
#define LINE_AGING_NS (10 * GW_NS_PER_SEC)

struct line;

struct line_tenant {
    struct line_tenant *next;
    uint64_t served;    /* tokens, above what it began with */
    unsigned n_members; /* requests that wait or run */
    unsigned n_running;
    size_t len;
    char name[];
};

/* A request's place: a member of what waits and runs. */
struct line_place {
    struct line_tenant *tenant;
    struct line_place *next; /* behind it in the line */
    uint64_t since_ns;       /* when it joined first */
    int priority;
    bool waiting;
};

struct line *line_new(void);    /* NULL: out of memory */
void line_free(struct line *l); /* all have left; l may be NULL */

/* p, whose priority is set, becomes a member of that tenant and waits. False: out of memory. */
bool line_join(struct line *l, struct line_place *p, struct gw_span tenant, uint64_t now);
/* A member that does not wait waits again, with the age it had. */
void line_rejoin(struct line *l, struct line_place *p);
/* A member that waits does not any more; it runs. */
void line_run(struct line *l, struct line_place *p);
/* It is no member any more, whether it waited or ran. */
void line_leave(struct line *l, struct line_place *p);

/* Whose turn it is; NULL: nobody waits. */
struct line_place *line_next(const struct line *l, uint64_t now);
/* Those who wait, in the order of joining, by next. */
struct line_place *line_first(const struct line *l);

/* The tenant of a member had that many tokens. */
void line_charge(struct line_place *p, uint64_t tokens);

#endif
