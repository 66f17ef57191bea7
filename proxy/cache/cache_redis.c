/* proxy/cache/cache_redis.c - see cache_redis.h. Bytes are moved by libevent; of hiredis only its reader of answers is used. */
#include "proxy/cache/cache_redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "proxy/limits/limits_script.h"
#include "proxy/net/dial.h"
#include "proxy/net/worker.h"

enum {
    CONNECT_MS = 3000,
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

enum state { OFF, DIALLING, GREETING, UP };

/* A command that waits for its answer. */
struct cache_question {
    struct cache_question *next;
    cache_found_fn fn; /* NULL: nobody waits */
    void *ctx;
    bool greeting;
    uint64_t asked_ns;
};

struct cache_redis {
    struct worker *w;
    enum state state;
    struct dial *dial;
    struct bufferevent *bev;
    struct redisReader *reader;
    struct redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *task, int elements); /* hiredis' own */
    struct event *timer;
    struct cache_question *first, **last;
    unsigned n_waiting, retry_ms;
    bool warned;
    /* copied: the configuration may be replaced */
    char host[256], user[128], password[512], prefix[65];
    uint16_t port;
    unsigned db;
    uint64_t max_entry;
};

static void set_timer(struct cache_redis *r, unsigned ms)
{
    const struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    (void)evtimer_add(r->timer, &tv);
}

/* ---- what waits for an answer ------------------------------------------------------------------- */

static struct cache_question *wait_for(struct cache_redis *r, cache_found_fn fn, void *ctx)
{
    struct cache_question *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return NULL;
    q->fn = fn;
    q->ctx = ctx;
    q->greeting = r->state == GREETING;
    q->asked_ns = gw_clock_ns();
    *r->last = q;
    r->last = &q->next;
    r->n_waiting++;
    return q;
}

static struct cache_question *take_first(struct cache_redis *r)
{
    struct cache_question *q = r->first;

    if (q == NULL)
        return NULL;
    r->first = q->next;
    if (r->first == NULL)
        r->last = &r->first;
    r->n_waiting--;
    return q;
}

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

static void hang_up(struct cache_redis *r, const char *why)
{
    struct cache_question *q;

    if (!r->warned && why != NULL)
        gw_log(GW_LOG_WARN, "cache_redis_away", "host=%s port=%u why=\"%s\"", r->host, r->port,
               why);
    r->warned = true;
    r->state = OFF;
    dial_cancel(r->dial);
    r->dial = NULL;
    if (r->bev != NULL)
        bufferevent_free(r->bev);
    r->bev = NULL;
    if (r->reader != NULL)
        redisReaderFree(r->reader);
    r->reader = NULL;
    set_timer(r, r->retry_ms);
    r->retry_ms = r->retry_ms * 2 > LAST_RETRY_MS ? LAST_RETRY_MS : r->retry_ms * 2;
    while ((q = take_first(r)) != NULL) { /* last: requests go on from here */
        tell(q, NULL);
        free(q);
    }
}

/* ---- commands --------------------------------------------------------------------------- */

/* NULL: nothing was said. */
static struct cache_question *say(struct cache_redis *r, const struct gw_span *args, unsigned n,
                                  cache_found_fn fn, void *ctx)
{
    struct evbuffer *to = bufferevent_get_output(r->bev);
    struct cache_question *q = NULL;
    struct gw_buf out = {0};

    limits_command(&out, args, n);
    if (gw_buf_ok(&out) && r->n_waiting < MAX_WAITING &&
        evbuffer_get_length(to) + out.len < MAX_UNSENT)
        q = wait_for(r, fn, ctx);
    if (q != NULL && evbuffer_add(to, out.ptr, out.len) != 0)
        q->asked_ns = 0; /* it is never answered: too late in the next tick */
    gw_buf_fini(&out);
    return q;
}

static bool greet(struct cache_redis *r)
{
    const struct gw_span password = gw_span_str(r->password), user = gw_span_str(r->user);
    char db[16];

    (void)snprintf(db, sizeof(db), "%u", r->db);
    if (password.len != 0 &&
        say(r,
            user.len != 0 ? (const struct gw_span[]){GW_SPAN("AUTH"), user, password}
                          : (const struct gw_span[]){GW_SPAN("AUTH"), password, user},
            user.len != 0 ? 3 : 2, NULL, NULL) == NULL)
        return false;
    return say(r, (const struct gw_span[]){GW_SPAN("SELECT"), gw_span_str(db)}, 2, NULL, NULL) !=
           NULL;
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
    char name[200];

    if (r->state != UP)
        return NULL;
    return say(r, (const struct gw_span[]){GW_SPAN("GET"), name_of(r, key, name)}, 2, fn, ctx);
}

void cache_redis_put(struct cache_redis *r, const unsigned char key[CACHE_KEY_BYTES],
                     const struct cache_answer *answer, int64_t ttl_ms)
{
    struct gw_buf value = {0};
    char name[200], ms[24];

    if (r->state != UP || answer->body.len > r->max_entry)
        return;
    cache_value_write(&value, answer);
    (void)snprintf(ms, sizeof(ms), "%lld", (long long)ttl_ms);
    if (gw_buf_ok(&value))
        (void)say(r,
                  (const struct gw_span[]){GW_SPAN("SET"), name_of(r, key, name),
                                           gw_buf_span(&value), GW_SPAN("PX"), gw_span_str(ms)},
                  5, NULL, NULL);
    gw_buf_fini(&value);
}

/* ---- answers ---------------------------------------------------------------------------- */

static void come_up(struct cache_redis *r)
{
    r->state = UP;
    gw_log(GW_LOG_INFO, "cache_redis_connected", "host=%s port=%u worker=%u", r->host, r->port,
           r->w->index);
}

/* False: the connection is over. */
static bool on_reply(struct cache_redis *r, const struct redisReply *reply)
{
    struct cache_question *q = take_first(r);
    struct cache_answer answer;
    bool found = reply->type == REDIS_REPLY_STRING && reply->str != NULL &&
                 cache_value_read((struct gw_span){reply->str, reply->len}, &answer);

    if (q == NULL) {
        hang_up(r, "an answer that nobody asked for");
        return false;
    }
    if (q->greeting && reply->type != REDIS_REPLY_STATUS) {
        free(q);
        hang_up(r, "it refused the password or the number of the database");
        return false;
    }
    if (!q->greeting) { /* one that only greets well is no Redis, and not dialled again and again */
        r->retry_ms = FIRST_RETRY_MS;
        r->warned = false;
    }
    if (q->greeting && (r->first == NULL || !r->first->greeting))
        come_up(r);
    tell(q, found ? &answer : NULL); /* an error (read-only, out of memory) is a miss */
    free(q);
    return r->state != OFF;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    struct cache_redis *r = ctx;

    while (r->bev == bev && evbuffer_get_length(in) != 0) {
        struct evbuffer_iovec v = {NULL, 0};
        void *reply = NULL;

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        if (redisReaderFeed(r->reader, v.iov_base, v.iov_len) != REDIS_OK ||
            r->reader->len - r->reader->pos > r->max_entry + MAX_SLACK) {
            hang_up(r, "an answer that is too long");
            return;
        }
        (void)evbuffer_drain(in, v.iov_len);
        while (r->bev == bev && redisReaderGetReply(r->reader, &reply) == REDIS_OK &&
               reply != NULL) {
            bool go_on = on_reply(r, reply);

            freeReplyObject(reply);
            reply = NULL;
            if (!go_on)
                return;
        }
        if (r->bev == bev && r->reader->err != 0) {
            hang_up(r, "it does not speak Redis' protocol");
            return;
        }
    }
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    (void)what;
    hang_up(ctx, "the connection was closed");
}

/* ---- life ------------------------------------------------------------------------------- */

/* An array that says it is huge would be allocated before its first element came. */
static void *create_array(const redisReadTask *task, int elements)
{
    const struct cache_redis *r = task->privdata;

    return elements > MAX_ELEMENTS ? NULL : r->create_array(task, elements);
}

static void on_dialled(void *ctx, int fd, bool timed_out, const char *why)
{
    struct cache_redis *r = ctx;

    (void)timed_out;
    r->dial = NULL;
    if (fd < 0) {
        hang_up(r, why);
        return;
    }
    r->reader = redisReaderCreate();
    r->bev =
        bufferevent_socket_new(r->w->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (r->bev == NULL)
        (void)close(fd);
    if (r->reader == NULL || r->bev == NULL) {
        hang_up(r, "out of memory");
        return;
    }
    r->functions = *r->reader->fn;
    r->create_array = r->functions.createArray;
    r->functions.createArray = create_array;
    r->reader->privdata = r;
    r->reader->fn = &r->functions;
    bufferevent_setcb(r->bev, on_read, NULL, on_event, r);
    (void)bufferevent_enable(r->bev, EV_READ | EV_WRITE);
    r->state = GREETING;
    if (!greet(r))
        hang_up(r, "out of memory");
    else
        set_timer(r, TICK_MS);
}

static void dial_again(struct cache_redis *r)
{
    const struct dial_target t = {.host = r->host, .port = r->port, .timeout_ms = CONNECT_MS};

    r->state = DIALLING;
    r->dial = dial_start(r->w, &t, on_dialled, r);
    if (r->dial == NULL)
        hang_up(r, "out of memory");
}

/* Requests do not wait for a slow Redis. Telling one may change the list behind it, but frees nothing of it. */
static void tell_the_late(struct cache_redis *r, uint64_t now)
{
    for (struct cache_question *q = r->first; q != NULL; q = q->next) {
        if (now - q->asked_ns < ANSWER_MS * GW_NS_PER_MS)
            return;
        tell(q, NULL);
        if (r->state != UP)
            return;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct cache_redis *r = ctx;
    uint64_t now = gw_clock_ns();

    (void)fd;
    (void)what;
    if (r->state == OFF) {
        dial_again(r);
        return;
    }
    if (r->first != NULL && now - r->first->asked_ns > DEAD_MS * GW_NS_PER_MS) {
        hang_up(r, "it did not answer in time");
        return;
    }
    tell_the_late(r, now);
    if (r->state != OFF)
        set_timer(r, TICK_MS);
}

static void copy_config(struct cache_redis *r, const struct proxy_config *cfg)
{
    r->port = cfg->redis.port;
    r->db = cfg->redis.db;
    r->max_entry = cfg->cache.max_entry;
    (void)snprintf(r->host, sizeof(r->host), "%s", cfg->redis.host);
    (void)snprintf(r->user, sizeof(r->user), "%s", cfg->redis.user);
    (void)snprintf(r->prefix, sizeof(r->prefix), "%s", cfg->redis.prefix);
    (void)snprintf(r->password, sizeof(r->password), "%.*s", (int)cfg->redis.password.value.len,
                   cfg->redis.password.value.len == 0 ? "" : cfg->redis.password.value.ptr);
}

struct cache_redis *cache_redis_open(struct worker *w)
{
    struct cache_redis *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->w = w;
    r->last = &r->first;
    r->retry_ms = FIRST_RETRY_MS;
    copy_config(r, w->setup->cfg);
    r->timer = evtimer_new(w->base, on_timer, r);
    if (r->timer == NULL) {
        free(r);
        return NULL;
    }
    dial_again(r);
    return r;
}

void cache_redis_close(struct cache_redis *r)
{
    if (r == NULL)
        return;
    for (struct cache_question *q = r->first; q != NULL; q = q->next)
        cache_redis_forget(q);
    hang_up(r, NULL);
    event_free(r->timer);
    explicit_bzero(r->password, sizeof(r->password));
    free(r);
}
