/* proxy/cache/cache_redis.c - see cache_redis.h. */
#include "proxy/cache/cache_redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "proxy/net/worker.h"
#include "proxy/redis/redis.h"

enum {
    FIRST_RETRY_MS = 100,
    LAST_RETRY_MS = 10000,
    ANSWER_MS = 100,      /* a look-up that takes longer is a miss */
    DEAD_MS = 3000,       /* an answer that takes so long ends the connection */
    TICK_MS = 25,         /* how late these two may be */
    MAX_WAITING = 1000,   /* commands without an answer */
    MAX_UNSENT = 8 << 20, /* bytes: answers that come faster than they can be stored are not */
    MAX_SLACK = 64 << 10, /* of an answer, beside a value */
    MAX_ELEMENTS = 8,     /* no command here is answered by an array */
};

/* A look-up without an answer. */
struct cache_question {
    struct cache_question *next; /* asked after it */
    cache_found_fn fn;           /* NULL: nobody waits */
    void *ctx;
    uint64_t asked_ns;
};

struct cache_redis {
    struct redis_conn *conn;
    struct cache_question *first, **last; /* in the order of asking, which is that of answers */
    char prefix[65];                      /* copied: the configuration may be replaced */
    uint64_t max_entry;
};

/* Says it once. */
static void tell(struct cache_question *q, const struct cache_answer *answer)
{
    cache_found_fn fn = q->fn;

    q->fn = NULL;
    if (fn != NULL)
        fn(q->ctx, answer);
}

void cache_redis_forget(struct cache_question *q)
{
    if (q != NULL)
        q->fn = NULL;
}

/* The answer to the first of the list; an error (read-only, out of memory) is a miss. */
static bool on_value(void *ctx, void *what, const struct redisReply *reply)
{
    struct cache_redis *r = ctx;
    struct cache_question *q = what;
    struct cache_answer answer;
    bool found = reply != NULL && reply->type == REDIS_REPLY_STRING && reply->str != NULL &&
                 cache_value_read((struct gw_span){reply->str, reply->len}, &answer);

    r->first = q->next;
    if (r->first == NULL)
        r->last = &r->first;
    tell(q, found ? &answer : NULL);
    free(q);
    return true;
}

/* Nobody is told whether a value was kept. */
static bool on_kept(void *ctx, void *what, const struct redisReply *reply)
{
    (void)ctx;
    (void)what;
    (void)reply;
    return true;
}

/* Requests do not wait for a slow Redis. Telling one may change the list behind it, but frees nothing of it. */
static bool tell_the_late(void *ctx)
{
    struct cache_redis *r = ctx;
    const uint64_t now = gw_clock_ns();

    for (struct cache_question *q = r->first; q != NULL; q = q->next) {
        if (now - q->asked_ns < ANSWER_MS * GW_NS_PER_MS || !redis_is_up(r->conn))
            break;
        tell(q, NULL);
    }
    return true;
}

static struct gw_span name_of(const struct cache_redis *r, const unsigned char *key, char out[200])
{
    int n = snprintf(out, 200, "%s:answer:", r->prefix);

    gw_hex(key, CACHE_KEY_BYTES, out + n);
    return gw_span_str(out);
}

struct cache_question *cache_redis_get(struct cache_redis *r,
                                       const unsigned char key[CACHE_KEY_BYTES], cache_found_fn fn,
                                       void *ctx)
{
    struct cache_question *q;
    char name[200];

    if (!redis_is_up(r->conn))
        return NULL;
    q = calloc(1, sizeof(*q));
    if (q == NULL)
        return NULL;
    *q = (struct cache_question){.fn = fn, .ctx = ctx, .asked_ns = gw_clock_ns()};
    if (!redis_say(r->conn, (const struct gw_span[]){GW_SPAN("GET"), name_of(r, key, name)}, 2,
                   on_value, q)) {
        free(q);
        return NULL;
    }
    *r->last = q;
    r->last = &q->next;
    return q;
}

void cache_redis_put(struct cache_redis *r, const unsigned char key[CACHE_KEY_BYTES],
                     const struct cache_answer *answer, int64_t ttl_ms)
{
    struct gw_buf value = {0};
    char name[200], ms[24];

    if (!redis_is_up(r->conn) || answer->body.len > r->max_entry)
        return;
    cache_value_write(&value, answer);
    (void)snprintf(ms, sizeof(ms), "%lld", (long long)ttl_ms);
    if (gw_buf_ok(&value))
        (void)redis_say(r->conn,
                        (const struct gw_span[]){GW_SPAN("SET"), name_of(r, key, name),
                                                 gw_buf_span(&value), GW_SPAN("PX"),
                                                 gw_span_str(ms)},
                        5, on_kept, NULL);
    gw_buf_fini(&value);
}

struct cache_redis *cache_redis_open(struct worker *w)
{
    static const struct redis_use use = {
        .up_event = "cache_redis_connected",
        .away_event = "cache_redis_away",
        .away_level = GW_LOG_WARN,
        .first_retry_ms = FIRST_RETRY_MS,
        .last_retry_ms = LAST_RETRY_MS,
        .max_waiting = MAX_WAITING,
        .max_unsent = MAX_UNSENT,
        .max_elements = MAX_ELEMENTS,
        .tick = tell_the_late,
    };
    const struct proxy_config *cfg = w->setup->cfg;
    const struct redis_bounds bounds = {
        .max_answer = cfg->cache.max_entry + MAX_SLACK, .answer_ms = DEAD_MS, .tick_ms = TICK_MS};
    struct cache_redis *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->last = &r->first;
    r->max_entry = cfg->cache.max_entry;
    (void)snprintf(r->prefix, sizeof(r->prefix), "%s", cfg->redis.prefix);
    r->conn = redis_open(w, &use, &bounds, r);
    if (r->conn == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void cache_redis_close(struct cache_redis *r)
{
    if (r == NULL)
        return;
    for (struct cache_question *q = r->first; q != NULL; q = q->next)
        cache_redis_forget(q);
    redis_close(r->conn);
    free(r);
}
