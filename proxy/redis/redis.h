/* proxy/redis/redis.h - a worker's connection to the Redis of the configuration: dialled, greeted, and dialled again.
 *
 *   off ──► dialling ──► greeting (AUTH, SELECT, what its user adds) ──► up
 *    ▲          │            │                                           │
 *    └── later ◄┴────────────┴── closed, late, too long, or an answer ◄──┘
 *                                that makes no sense
 *
 * Invariants: (R1) a command that was taken is answered exactly once, in order: by Redis, or with "there will be none";
 * (R2) no answer, however malformed, does more than end the connection. Bytes are moved by libevent like all others; of
 * hiredis only its reader of answers is used: its own asynchronous connections end the process on an answer that nobody
 * asked for (hiredis 0.14, redisProcessCallbacks()), and resolve names on the loop. Thread: the worker's. */
#ifndef PROXY_REDIS_H
#define PROXY_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/log.h"

struct redisReply;
struct redis_conn;
struct worker;

/* What a connection is used for. Static; each function gets the user's ctx, and may be NULL. */
struct redis_use {
    const char *up_event, *away_event; /* of the log */
    enum gw_log_level away_level;
    unsigned first_retry_ms, last_retry_ms;
    unsigned max_waiting; /* commands without an answer */
    size_t max_unsent;    /* bytes */
    unsigned max_elements;
    bool (*greet)(void *ctx); /* has more to say before it is up; false: out of memory */
    void (*up)(void *ctx);
    void (*down)(void *ctx, bool greeted, bool was_up); /* before what waits is told */
    bool (*tick)(void *ctx); /* at times while it is connected; false: out of memory */
};

/* The bounds that come from the configuration. */
struct redis_bounds {
    size_t max_answer;  /* bytes */
    unsigned answer_ms; /* an answer that takes longer ends the connection */
    unsigned tick_ms;   /* how late that may be noticed */
};

/* An answer; reply is valid during the call. False: it is none to this question, so the connection ends, and then it is called
 * once more. reply NULL: there will be none; what it returns means nothing. Never called from inside redis_ask(). */
typedef bool (*redis_answer_fn)(void *ctx, void *what, const struct redisReply *reply);

/* Starts connecting, as the configuration that the worker has now says. use must live as long. NULL: out of memory. */
struct redis_conn *redis_open(struct worker *w, const struct redis_use *use,
                              const struct redis_bounds *bounds, void *ctx);
/* What waits is told that there is no answer. c may be NULL. */
void redis_close(struct redis_conn *c);

bool redis_is_up(const struct redis_conn *c);
/* What is told that there will be no answer has waited for one too long, or behind what has. */
bool redis_is_late(const struct redis_conn *c);

/* Sends a command, whose bytes are taken, and calls fn when it is answered. False: not connected, too much waits, or out of
 * memory; then nothing was sent, and fn is not called. While it greets only greet() may ask. */
bool redis_ask(struct redis_conn *c, struct gw_buf *command, redis_answer_fn fn, void *what);
/* The same for a command in arguments. */
bool redis_say(struct redis_conn *c, const struct gw_span *args, unsigned n, redis_answer_fn fn,
               void *what);

/* Gives what was not sent yet to the socket at once, for a loop that has ended; what does not fit is lost. */
void redis_push(struct redis_conn *c);

/* A redis_answer_fn for commands that are answered by a status ("+OK"). */
bool redis_is_ok(void *ctx, void *what, const struct redisReply *reply);

#endif
