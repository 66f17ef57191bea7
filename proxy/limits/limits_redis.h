/* proxy/limits/limits_redis.h - a worker's connection to the Redis that gateways share their counters in (proxy/redis/redis.h
 * has its life; its greeting goes on with INFO, SCRIPT LOAD and SET alive).
 *
 * Invariants: (D1) all counters of a step change in one script, or none does; (D2) what is held in Redis is held by this
 * connection's own name, which expires when nobody renews it: a gateway that dies gives back what it held, and what it had
 * used stays; (D3) a new connection has a new name and holds anew what the worker's requests hold; (D4) an answer comes
 * within redis.timeout or not at all; no answer, however malformed, does more than end the connection. Thread: the
 * worker's. */
#ifndef PROXY_LIMITS_REDIS_H
#define PROXY_LIMITS_REDIS_H

#include <stdbool.h>

#include "base/err.h"

struct limits_redis;
struct limits_step;
struct worker;

/* Starts connecting. Reads the configuration the worker has now. NULL: out of memory. */
struct limits_redis *limits_redis_open(struct worker *w);
void limits_redis_close(struct limits_redis *r); /* r may be NULL */

/* Sends a step. GW_EAGAIN: limits_step_done() is called when it is answered, or a NOTE is freed; then r has the step.
 * GW_EIO: not connected, or too many wait; the step stays the caller's. */
enum gw_status limits_redis_send(struct limits_redis *r, struct limits_step *step);

/* redis.on_unavailable: local. */
bool limits_redis_may_go_apart(const struct limits_redis *r);

#endif
