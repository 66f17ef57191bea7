/* proxy/redis/redis.c - see redis.h. */
#include "proxy/redis/redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/clock.h"
#include "proxy/net/dial.h"
#include "proxy/net/worker.h"
#include "proxy/redis/redis_wire.h"

enum { CONNECT_MS = 3000, PUSH_BYTES = 16384 };

enum state { OFF, DIALLING, GREETING, UP };

/* A command that waits for its answer. */
struct waiting {
    struct waiting *next;
    redis_answer_fn fn;
    void *what;
    bool greeting;
    uint64_t asked_ns;
};

struct redis_conn {
    struct worker *w;
    const struct redis_use *use;
    struct redis_bounds bounds;
    void *ctx;
    enum state state;
    struct dial *dial;
    struct bufferevent *bev;
    struct redis_reader *reader;
    struct event *timer; /* GREETING and UP: late answers, the user's tick; OFF: the next try */
    struct waiting *first, **last;
    unsigned n_waiting, retry_ms;
    bool warned; /* since it answered last */
    bool late;   /* it was given up because an answer did not come in time */
    /* copied: the configuration may be replaced */
    char host[256], user[128], password[512];
    uint16_t port;
    unsigned db;
};

static void set_timer(struct redis_conn *c, unsigned ms)
{
    const struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    (void)evtimer_add(c->timer, &tv);
}

static struct waiting *take_first(struct redis_conn *c)
{
    struct waiting *x = c->first;

    if (x == NULL)
        return NULL;
    c->first = x->next;
    if (c->first == NULL)
        c->last = &c->first;
    c->n_waiting--;
    return x;
}

static void hang_up(struct redis_conn *c, const char *why)
{
    const bool greeted = c->state == GREETING || c->state == UP, was_up = c->state == UP;
    struct waiting *x;

    if (!c->warned && why != NULL)
        gw_log(c->use->away_level, c->use->away_event, "host=%s port=%u why=\"%s\"", c->host,
               c->port, why);
    c->warned = true;
    c->state = OFF;
    dial_cancel(c->dial);
    c->dial = NULL;
    if (c->bev != NULL)
        bufferevent_free(c->bev);
    c->bev = NULL;
    redis_reader_free(c->reader);
    c->reader = NULL;
    set_timer(c, c->retry_ms);
    c->retry_ms = c->retry_ms * 2 > c->use->last_retry_ms ? c->use->last_retry_ms : c->retry_ms * 2;
    if (c->use->down != NULL)
        c->use->down(c->ctx, greeted, was_up);
    while ((x = take_first(c)) != NULL) { /* last: requests go on from here */
        (void)x->fn(c->ctx, x->what, NULL);
        free(x);
    }
}

/* ---- commands --------------------------------------------------------------------------- */

/* A command is sent and waited for, or neither: else answers would be taken for those of others. */
bool redis_ask(struct redis_conn *c, struct gw_buf *command, redis_answer_fn fn, void *what)
{
    struct evbuffer *to = c->bev == NULL ? NULL : bufferevent_get_output(c->bev);
    struct waiting *x = NULL;

    if (to != NULL && (c->state == UP || c->state == GREETING) && gw_buf_ok(command) &&
        c->n_waiting < c->use->max_waiting &&
        evbuffer_get_length(to) + command->len < c->use->max_unsent)
        x = calloc(1, sizeof(*x));
    if (x != NULL && evbuffer_add(to, command->ptr, command->len) != 0) {
        free(x);
        x = NULL;
    }
    gw_buf_fini(command);
    if (x == NULL)
        return false;
    *x = (struct waiting){
        .fn = fn, .what = what, .greeting = c->state == GREETING, .asked_ns = gw_clock_ns()};
    *c->last = x;
    c->last = &x->next;
    c->n_waiting++;
    return true;
}

bool redis_say(struct redis_conn *c, const struct gw_span *args, unsigned n, redis_answer_fn fn,
               void *what)
{
    struct gw_buf out = {0};

    redis_command(&out, args, n);
    return redis_ask(c, &out, fn, what);
}

bool redis_is_ok(void *ctx, void *what, const struct redisReply *reply)
{
    (void)ctx;
    (void)what;
    return reply != NULL && reply->type == REDIS_REPLY_STATUS;
}

static bool greet(struct redis_conn *c)
{
    const struct gw_span password = gw_span_str(c->password), user = gw_span_str(c->user);
    char db[16];
    bool ok = true;

    (void)snprintf(db, sizeof(db), "%u", c->db);
    if (password.len != 0 && user.len != 0)
        ok = redis_say(c, (const struct gw_span[]){GW_SPAN("AUTH"), user, password}, 3, redis_is_ok,
                       NULL);
    else if (password.len != 0)
        ok =
            redis_say(c, (const struct gw_span[]){GW_SPAN("AUTH"), password}, 2, redis_is_ok, NULL);
    return ok &&
           redis_say(c, (const struct gw_span[]){GW_SPAN("SELECT"), gw_span_str(db)}, 2,
                     redis_is_ok, NULL) &&
           (c->use->greet == NULL || c->use->greet(c->ctx));
}

/* ---- answers ---------------------------------------------------------------------------- */

static void come_up(struct redis_conn *c)
{
    c->state = UP;
    gw_log(GW_LOG_INFO, c->use->up_event, "host=%s port=%u worker=%u", c->host, c->port,
           c->w->index);
    if (c->use->up != NULL)
        c->use->up(c->ctx);
}

/* Hands one answer to what has waited longest. False: the connection is over. */
static bool on_reply(struct redis_conn *c, const struct redisReply *reply)
{
    struct waiting *x = take_first(c);
    char why[120];

    if (x == NULL) {
        hang_up(c, "an answer that nobody asked for");
        return false;
    }
    if (!x->fn(c->ctx, x->what, reply)) {
        (void)snprintf(why, sizeof(why), "it answered: %.80s",
                       reply->type == REDIS_REPLY_ERROR && reply->str != NULL ? reply->str
                                                                              : "nonsense");
        hang_up(c, why);
        (void)x->fn(c->ctx, x->what, NULL);
        free(x);
        return false;
    }
    if (!x->greeting) { /* one that only greets well is no Redis, and not dialled again at once */
        c->retry_ms = c->use->first_retry_ms;
        c->warned = false;
    }
    if (c->state == GREETING && (c->first == NULL || !c->first->greeting))
        come_up(c);
    free(x);
    return c->state != OFF; /* a request that went on may have ended everything */
}

/* Hands on what is complete. False: the connection is over. */
static bool read_replies(struct redis_conn *c)
{
    for (;;) {
        struct redisReply *reply = NULL;
        enum gw_status st = redis_reader_next(c->reader, &reply);
        bool go_on;

        if (st == GW_EAGAIN)
            return true;
        if (st != GW_OK) {
            hang_up(c, "it does not speak Redis' protocol");
            return false;
        }
        go_on = on_reply(c, reply);
        freeReplyObject(reply);
        if (!go_on)
            return false;
    }
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    struct redis_conn *c = ctx;

    while (evbuffer_get_length(in) != 0) {
        struct evbuffer_iovec v = {NULL, 0};

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        if (redis_reader_feed(c->reader, (struct gw_span){v.iov_base, v.iov_len}) != GW_OK) {
            hang_up(c, "an answer that is too long");
            return;
        }
        (void)evbuffer_drain(in, v.iov_len);
        if (!read_replies(c))
            return;
    }
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    (void)what;
    hang_up(ctx, "the connection was closed");
}

/* ---- life ------------------------------------------------------------------------------- */

static void on_dialled(void *ctx, int fd, bool timed_out, const char *why)
{
    struct redis_conn *c = ctx;

    (void)timed_out;
    c->dial = NULL;
    if (fd < 0) {
        hang_up(c, why);
        return;
    }
    c->reader = redis_reader_new(c->bounds.max_answer, c->use->max_elements);
    c->bev =
        bufferevent_socket_new(c->w->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (c->bev == NULL)
        (void)close(fd);
    if (c->reader == NULL || c->bev == NULL) {
        hang_up(c, "out of memory");
        return;
    }
    bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
    (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    c->state = GREETING;
    if (!greet(c))
        hang_up(c, "out of memory");
    else
        set_timer(c, c->bounds.tick_ms);
}

static void dial_again(struct redis_conn *c)
{
    const struct dial_target t = {.host = c->host, .port = c->port, .timeout_ms = CONNECT_MS};

    c->state = DIALLING;
    c->late = false;
    c->dial = dial_start(c->w, &t, on_dialled, c);
    if (c->dial == NULL)
        hang_up(c, "out of memory");
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct redis_conn *c = ctx;

    (void)fd;
    (void)what;
    if (c->state == OFF) {
        dial_again(c);
        return;
    }
    if (c->first != NULL &&
        gw_clock_ns() - c->first->asked_ns > (uint64_t)c->bounds.answer_ms * GW_NS_PER_MS) {
        c->late = true;
        hang_up(c, "it did not answer in time");
        return;
    }
    if (c->state == UP && c->use->tick != NULL && !c->use->tick(c->ctx)) {
        hang_up(c, "out of memory");
        return;
    }
    if (c->state != OFF)
        set_timer(c, c->bounds.tick_ms);
}

struct redis_conn *redis_open(struct worker *w, const struct redis_use *use,
                              const struct redis_bounds *bounds, void *ctx)
{
    const struct proxy_config *cfg = w->setup->cfg;
    struct redis_conn *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->w = w;
    c->use = use;
    c->bounds = *bounds;
    c->ctx = ctx;
    c->last = &c->first;
    c->retry_ms = use->first_retry_ms;
    c->port = cfg->redis.port;
    c->db = cfg->redis.db;
    (void)snprintf(c->host, sizeof(c->host), "%s", cfg->redis.host);
    (void)snprintf(c->user, sizeof(c->user), "%s", cfg->redis.user);
    (void)snprintf(c->password, sizeof(c->password), "%.*s", (int)cfg->redis.password.value.len,
                   cfg->redis.password.value.len == 0 ? "" : cfg->redis.password.value.ptr);
    c->timer = evtimer_new(w->base, on_timer, c);
    if (c->timer == NULL) {
        free(c);
        return NULL;
    }
    set_timer(c, 0); /* never from inside: the user has no connection to speak of yet */
    return c;
}

bool redis_is_up(const struct redis_conn *c)
{
    return c->state == UP;
}

bool redis_is_late(const struct redis_conn *c)
{
    return c->late;
}

void redis_push(struct redis_conn *c)
{
    struct evbuffer *out = c->bev == NULL ? NULL : bufferevent_get_output(c->bev);
    char bytes[PUSH_BYTES];
    ev_ssize_t n;

    if (out == NULL || evbuffer_get_length(out) > sizeof(bytes))
        return;
    n = evbuffer_copyout(out, bytes, sizeof(bytes));
    if (n > 0)
        (void)!write(bufferevent_getfd(c->bev), bytes, (size_t)n);
}

void redis_close(struct redis_conn *c)
{
    if (c == NULL)
        return;
    hang_up(c, NULL);
    event_free(c->timer);
    explicit_bzero(c->password, sizeof(c->password));
    free(c);
}
