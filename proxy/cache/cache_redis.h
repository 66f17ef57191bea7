/* proxy/cache/cache_redis.h - a worker's connection to the Redis in which several gateways share answers; proxy/redis/redis.h has its life.
 *
 * It may always be away: then nothing is found and nothing is kept, at once. Budgets have a connection of their own, which
 * large answers do not hold up. Values are what cache.h keeps, in a format with a version; what is malformed is not found.
 * Thread: the worker's. */
#ifndef PROXY_CACHE_REDIS_H
#define PROXY_CACHE_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "proxy/cache/cache.h"

struct worker;
struct cache_redis;
struct cache_question;

/* Starts connecting, as the configuration of the worker says now; values above max_entry are not taken. NULL: out of
 * memory. */
struct cache_redis *cache_redis_open(struct worker *w);
void cache_redis_close(struct cache_redis *r); /* nobody is called any more; r may be NULL */

/* What was found, valid during the call; NULL: nothing. Called once, never from inside cache_redis_get(). */
typedef void (*cache_found_fn)(void *ctx, const struct cache_answer *answer);

/* Asks for a key. NULL: it cannot be asked now, and fn is not called. Else the question, until fn is called or
 * cache_redis_forget(). */
struct cache_question *cache_redis_get(struct cache_redis *r,
                                       const unsigned char key[CACHE_KEY_BYTES], cache_found_fn fn,
                                       void *ctx);
void cache_redis_forget(struct cache_question *q); /* q may be NULL */

/* Keeps an answer for ttl_ms; nobody is told whether it worked. */
void cache_redis_put(struct cache_redis *r, const unsigned char key[CACHE_KEY_BYTES],
                     const struct cache_answer *answer, int64_t ttl_ms);

/* ---- values; pure ---------------------------------------------------------------------------- */

void cache_value_write(struct gw_buf *out, const struct cache_answer *answer);
/* Spans point into value. False: it is none. */
bool cache_value_read(struct gw_span value, struct cache_answer *out);

#endif
