/* router/lines.h - which policy lines are about a request or a finding; private to router/. Pure; any thread. */
#ifndef ROUTER_LINES_H
#define ROUTER_LINES_H

#include "router/policy.h"

/* What one decision remembers of each policy line. */
struct line_use {
    const struct policy_line *line;
    uint64_t targets; /* the candidates that it is about */
    uint64_t taken;   /* those where a finding or the request took it */
    uint32_t matched; /* findings that meet its conditions, for `count` */
    bool applies;     /* to this caller, model and time, in the mode that is looked at */
    bool dropped;     /* its zone limit gave way to its `else` */
};

/* One look at a policy. */
struct lines {
    const struct router_policy *p;
    const struct router_input *in;
    struct line_use *uses; /* one a line, in the order of the file */
    unsigned n_uses;
    uint64_t candidates; /* targets, a bit each; of fixed traffic the only bit */
    bool all_in_force;   /* what is on trial is looked at as if it was in force */
};

/* Fills uses. model: what the requested one means. */
void lines_find(struct lines *l, struct gw_span model);

/* Does no line act on the finding, in this look? */
bool lines_spare(const struct lines *l, const struct router_finding *f);

/* The first line for the finding, or for the request when f is NULL, at a place: a bit of candidates; NULL when none
 * matches. */
struct line_use *lines_first(const struct lines *l, const struct router_finding *f, uint64_t place);

/* Marks in `taken` the lines that the finding, or the request when f is NULL, takes anywhere. */
void lines_take(struct lines *l, const struct router_finding *f);

/* True when a line for one is a line for the other. */
bool lines_same_kind(const struct router_finding *a, const struct router_finding *b);

/* Is the line about answers, this request and this finding? in->target is the one that answers. */
bool lines_fit_answer(const struct policy_line *l, const struct router_input *in,
                      struct gw_span model, const struct router_finding *f);
/* The same without a finding. */
bool lines_watch_answer(const struct policy_line *l, const struct router_input *in,
                        struct gw_span model);

/* The line's action for this request. */
enum gw_action lines_action(const struct router_line *c, const struct router_input *in);

#endif
