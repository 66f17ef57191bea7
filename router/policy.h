/* router/policy.h - the built policy, as the files of router/ see it. */
#ifndef ROUTER_POLICY_H
#define ROUTER_POLICY_H

#include "base/arena.h"
#include "base/digest.h"
#include "router/router.h"

enum { POLICY_MAX_LINES = ROUTER_MAX_LINES, POLICY_MAX_ROUTES = 1000, POLICY_MAX_ALIASES = 10000 };
enum { POLICY_MAX_NAME = 256 }; /* bytes of a pattern or a requested model */

struct policy_list {
    const struct gw_span *items;
    unsigned n;
};

struct policy_target {
    struct gw_span name; /* NUL-terminated */
    enum gw_zone zone;
    struct policy_list models;
};

struct policy_line {
    struct router_line c; /* its spans belong to the policy */
    struct policy_line *next;
};

struct policy_route {
    struct policy_list models;
    struct policy_list names[GW_TIER_COUNT]; /* as written, for check */
    bool tiered, refuse;
    struct policy_route *next;
};

struct policy_alias {
    struct gw_span from, to;
    struct policy_alias *next;
};

/* Invariants: (R1) lists keep the order of the adds; (R2) after the last add nothing changes but `digest`,
 * which router_policy_digest() makes once. */
struct router_policy {
    struct gw_arena *arena;
    struct policy_target targets[ROUTER_MAX_TARGETS];
    unsigned n_targets;
    struct policy_line *lines, *last_line;
    unsigned n_lines;
    struct policy_route *routes, *last_route;
    unsigned n_routes;
    struct policy_alias *aliases, *last_alias;
    unsigned n_aliases;
    struct router_complexity complexity;
    enum gw_action default_action;
    enum router_mode mode;
    bool by_target;                   /* a line has targets */
    bool on_trial;                    /* a line is in mode MONITOR, or the policy is */
    char digest[GW_SHA256_HEX_BYTES]; /* "" until asked for */
};

/* The index of the target with that name, or -1. */
int policy_find_target(const struct router_policy *p, struct gw_span name);

/* Targets in one of the zones, a bit each. */
uint64_t policy_targets_in(const struct router_policy *p, unsigned zones);

#endif
