/* proxy/limits/limits.h - budgets of requests: reserve before, settle after, whatever the way a request ends.
 *
 *   decide -> reserve -> audit -> run ... -> req_finish() -> limits_settle()
 *               |                   |
 *               |                   a stream goes on: more is reserved, or it is cut in the client's dialect
 *               429, 503            another target: its budgets instead of the first one's
 *
 * What a request is sure to use (itself, its prompt) is used when it is reserved and comes back if nothing was sent; what
 * it may use (its answer) is held, and becomes used as the answer comes. Counters are in ledger.h, and in Redis where
 * several gateways share them (limits_redis.h).
 *
 * Invariants: (L1) no byte leaves for a target before every budget that matches has had room for the whole request, all
 * or none; (L2) what was reserved is settled exactly once, in req_finish(); (L3) what is used is asked for before, or is
 * counted all the same (a prompt that was longer than estimated), and then shows in the overshoot counter. Thread: the
 * request's worker, unless said otherwise. */
#ifndef PROXY_LIMITS_H
#define PROXY_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proxy/http/http1.h"

struct proxy_config;
struct req;
struct limits;
struct limits_req;
struct worker;

/* ---- life; thread: main ------------------------------------------------------------------- */

/* Opens the counters (STATE_DIR/limits.db). Errors as ledger_open(). */
enum gw_status limits_open(const struct proxy_config *cfg, struct limits **out, struct gw_err *err);
void limits_close(struct limits *l); /* l may be NULL */

/* A worker's part: the connection to Redis, where one is configured. GW_ENOMEM. */
enum gw_status limits_worker_open(struct worker *w);
/* Thread: the worker's, or after it has ended. */
void limits_worker_close(struct worker *w);

/* ---- a request's way ------------------------------------------------------------------------ */

/* The stages `reserve` and `reserve_check` are in request_stages.h. */

/* An attempt on req->target begins. GW_OK: go on; GW_EAGAIN: req_resume_after_retarget() is called later; GW_EDENIED: a budget of that target has no room, err says which; GW_EIO: it cannot be counted now. */
enum gw_status limits_retarget(struct req *req, struct gw_err *err);

/* What limits_retarget() would have answered, now that it is known. */
enum gw_status limits_retargeted(struct req *req, struct gw_err *err);
/* Answers what the last of them said: 429, or 503. */
void limits_refuse_target(struct req *req);

/* With accounting.cap_answers: the most tokens that an answer without an end of its own may have; 0: it has one, or nothing
 * counts them. */
uint64_t limits_cap(struct req *req);

/* The attempt is about to send: from now on the request counts as one. */
void limits_sent(struct req *req);

/* A piece of a streamed answer went by, of so many tokens. */
void limits_progress(struct req *req, uint64_t tokens);
/* An event of a stream went by, with that many bytes of data. */
void limits_progress_event(struct req *req, size_t bytes);
/* True: the budget has no more, and the caller cuts the stream (req_out_of_budget()). */
bool limits_spent(const struct req *req);
/* The sentence and names of that error. */
struct api_failure;
void limits_failure(const struct req *req, struct api_failure *out);

/* The request is over: what it holds goes back, what it used is counted. Once; req->usage is final. */
void limits_settle(struct req *req);

/* ---- what clients see ------------------------------------------------------------------------ */

/* A target's answer came with these fields: where its own limits are tighter than ours they stay. */
void limits_compare(const struct req *req, const struct http1_field *fields, unsigned n);
/* True for a field of the target's that ours replaces. */
bool limits_replaces(const struct req *req, struct gw_span name);
/* Appends x-ratelimit-*, or what the client's dialect has for it. */
void limits_add_fields(const struct req *req, struct gw_buf *out);

/* ---- what operators see; thread: any ---------------------------------------------------------- */

/* The name of the budget that refused the request, or NULL. */
const char *limits_refused_by(const struct req *req);
/* Calls each for every counter of this gateway: its name ("daily|tokens|user:ann"), what is used and held, its window
 * (0: none). It may only copy, since workers wait meanwhile. */
void limits_each(struct limits *l,
                 void (*each)(void *ctx, const char *key, uint64_t used, uint64_t held,
                              int64_t start_ms, int64_t end_ms),
                 void *ctx);
/* Appends Prometheus text. */
void limits_metrics(struct limits *l, struct gw_buf *out);

#endif
