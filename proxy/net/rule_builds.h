/* proxy/net/rule_builds.h - the thread that compiles rules while they already serve. For server.c, reload.c and the metrics.
 *
 *   setup_open() ─► rules, interpreted ─► published ─► rule_builds_want() ─► dlp_rules_compile() ─► native, in place
 *                                                                                    └─► failed: the interpreter goes on
 *
 * A failure is a log line, a record and a metric, and never an answer: what is found does not depend on it. That re2c or a
 * compiler is missing is no failure. */
#ifndef PROXY_RULE_BUILDS_H
#define PROXY_RULE_BUILDS_H

#include <stdint.h>

#include "base/err.h"
#include "proxy/net/setup.h"

struct rule_builds;
struct server;

/* Starts the thread, which keeps objects in state_dir/rules. GW_ENOMEM, GW_EIO. */
enum gw_status rule_builds_open(struct server *s, const char *state_dir, struct rule_builds **out,
                                struct gw_err *err);
/* Ends a build under way, and the thread. b may be NULL. */
void rule_builds_close(struct rule_builds *b);

/* The rules that serve from now on: compiles them when `dlp.native` says so; a build of others is given up. Thread: any. */
void rule_builds_want(struct rule_builds *b, const struct setup *setup);

struct rule_builds_stats {
    uint64_t ok, failed; /* sets */
};
void rule_builds_stats(struct rule_builds *b, struct rule_builds_stats *out);

#endif
