/* proxy/limits/limits_redis.c - see limits_redis.h. Bytes are moved by libevent like all others; of hiredis only its reader of
 * answers is used: its own asynchronous connections end the process on an answer that nobody asked for
 * (hiredis 0.14, redisProcessCallbacks()), and resolve names on the loop. */
#include "proxy/limits/limits_redis.h"

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
#include "proxy/limits/limits_private.h"
#include "proxy/limits/limits_reply.h"
#include "proxy/limits/limits_script.h"
#include "proxy/net/dial.h"
#include "proxy/net/worker.h"

enum {
    CONNECT_MS = 3000,
    FIRST_RETRY_MS = 50,
    LAST_RETRY_MS = 5000,
    BEAT_MS = 1000,      /* how often the name is renewed */
    ALIVE_MS = 5000,     /* how long it lives without that */
    MAX_WAITING = 20000, /* commands without an answer */
    SHA_BYTES = 41,
};

enum state { OFF, DIALLING, GREETING, UP };
enum waits_for { FOR_OK, FOR_INFO, FOR_SCRIPT, FOR_GREETING_END, FOR_STEP };

struct waiting {
    struct waiting *next;
    enum waits_for what;
    struct limits_step *step; /* FOR_STEP */
    uint64_t deadline_ns;
};

struct limits_redis {
    struct worker *w;
    struct limits *l;
    enum state state;
    struct dial *dial;
    struct bufferevent *bev;
    struct limits_reader *reader;
    struct event *timer; /* UP and GREETING: late answers, the beat; OFF: the next try */
    struct waiting *first, **last;
    unsigned n_waiting;
    unsigned retry_ms;
    uint64_t beat_ns; /* of the last renewal */
    bool warned;      /* since it was up last */
    char id[LIMITS_ID_BYTES], sha[SHA_BYTES];
    /* copied: the configuration may be replaced */
    char host[256], user[128], prefix[65];
    char password[512];
    uint16_t port;
    unsigned db, share;
    int64_t timeout_ms;
    bool local;
};

static void dial_again(struct limits_redis *r);

static void set_timer(struct limits_redis *r, unsigned ms)
{
    const struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    (void)evtimer_add(r->timer, &tv);
}

/* ---- what waits for an answer ------------------------------------------------------------------- */

static struct waiting *new_waiting(const struct limits_redis *r, enum waits_for what,
                                   struct limits_step *step)
{
    struct waiting *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return NULL;
    x->what = what;
    x->step = step;
    x->deadline_ns = gw_clock_ns() + (uint64_t)r->timeout_ms * GW_NS_PER_MS;
    return x;
}

static void wait_for(struct limits_redis *r, struct waiting *x)
{
    *r->last = x;
    r->last = &x->next;
    r->n_waiting++;
}

static struct waiting *take_first(struct limits_redis *r)
{
    struct waiting *x = r->first;

    if (x == NULL)
        return NULL;
    r->first = x->next;
    if (r->first == NULL)
        r->last = &r->first;
    r->n_waiting--;
    return x;
}

static void drop_note(struct limits_redis *r, struct limits_step *step)
{
    for (unsigned i = 0; i < step->n; i++)
        ledger_put(r->l->ledger, step->changes[i].entry);
    limits_step_free(step);
}

/* Nobody knows whether the note arrived. What was used is said again, which may count it twice; what came back is not:
 * then it stays used. Both err to the side of the limit. */
static void owe_note(struct limits_redis *r, struct limits_step *step)
{
    unsigned refused;

    for (unsigned i = 0; i < step->n; i++)
        if (step->changes[i].claim.use < 0)
            step->changes[i].claim.use = 0;
    if (step->why == LIMITS_NOTE)
        (void)ledger_apply(r->l->ledger, step->changes, step->n, LEDGER_APART, &refused);
    drop_note(r, step);
}

/* A step without an answer. */
static void fail_step(struct limits_redis *r, struct limits_step *step)
{
    enum gw_status st = GW_EIO;

    limits_script_untold(r->l->ledger, step);
    if (step->why == LIMITS_NOTE || step->why == LIMITS_ASSERT) {
        owe_note(r, step);
        return;
    }
    if (r->local)
        st = ledger_apply(r->l->ledger, step->changes, step->n, LEDGER_APART, &step->refused)
                 ? GW_OK
                 : GW_EDENIED;
    limits_step_done(step, st);
}

/* ---- the connection's end ------------------------------------------------------------------------ */

static void hang_up(struct limits_redis *r, const char *why)
{
    struct waiting *x;

    if (r->state == UP)
        atomic_fetch_sub(&r->l->redis_up, 1);
    if (r->state == UP || r->state == GREETING)
        ledger_lost(r->l->ledger, r->share);
    if (!r->warned && why != NULL)
        gw_log(GW_LOG_ERROR, "redis_away", "host=%s port=%u why=\"%s\" requests=%s", r->host,
               r->port, why, r->local ? "counted_locally" : "refused");
    r->warned = true;
    atomic_fetch_add(&r->l->redis_errors, 1);
    r->state = OFF;
    dial_cancel(r->dial);
    r->dial = NULL;
    if (r->bev != NULL)
        bufferevent_free(r->bev);
    r->bev = NULL;
    limits_reader_free(r->reader);
    r->reader = NULL;
    set_timer(r, r->retry_ms);
    r->retry_ms = r->retry_ms * 2 > LAST_RETRY_MS ? LAST_RETRY_MS : r->retry_ms * 2;
    while ((x = take_first(r)) != NULL) { /* last: requests go on from here */
        if (x->step != NULL)
            fail_step(r, x->step);
        free(x);
    }
}

/* ---- commands --------------------------------------------------------------------------- */

/* Takes the bytes. False: out of memory, and nothing was sent. */
static bool send_bytes(struct limits_redis *r, struct gw_buf *out)
{
    bool ok =
        gw_buf_ok(out) && evbuffer_add(bufferevent_get_output(r->bev), out->ptr, out->len) == 0;

    gw_buf_fini(out);
    return ok;
}

/* A command is sent and waited for, or neither: else answers would be taken for those of others. */
static bool ask(struct limits_redis *r, enum waits_for what, struct limits_step *step,
                struct gw_buf *command)
{
    struct waiting *x = new_waiting(r, what, step);

    if (x == NULL) {
        gw_buf_fini(command);
        return false;
    }
    if (!send_bytes(r, command)) {
        free(x);
        return false;
    }
    wait_for(r, x);
    return true;
}

static bool say(struct limits_redis *r, enum waits_for what, const struct gw_span *args, unsigned n)
{
    struct gw_buf out = {0};

    limits_command(&out, args, n);
    return ask(r, what, NULL, &out);
}

static bool say_alive(struct limits_redis *r, enum waits_for what)
{
    char key[128], ms[16];

    (void)snprintf(key, sizeof(key), "%s:alive:%s", r->prefix, r->id);
    (void)snprintf(ms, sizeof(ms), "%d", ALIVE_MS);
    r->beat_ns = gw_clock_ns();
    return say(r, what,
               (const struct gw_span[]){GW_SPAN("SET"), gw_span_str(key), GW_SPAN("1"),
                                        GW_SPAN("PX"), gw_span_str(ms)},
               5);
}

static bool greet(struct limits_redis *r)
{
    const struct gw_span password = gw_span_str(r->password), user = gw_span_str(r->user);
    char db[16];
    bool ok = true;

    (void)snprintf(db, sizeof(db), "%u", r->db);
    if (password.len != 0 && user.len != 0)
        ok = say(r, FOR_OK, (const struct gw_span[]){GW_SPAN("AUTH"), user, password}, 3);
    else if (password.len != 0)
        ok = say(r, FOR_OK, (const struct gw_span[]){GW_SPAN("AUTH"), password}, 2);
    if (r->db != 0)
        ok = ok && say(r, FOR_OK, (const struct gw_span[]){GW_SPAN("SELECT"), gw_span_str(db)}, 2);
    return ok &&
           say(r, FOR_INFO, (const struct gw_span[]){GW_SPAN("INFO"), GW_SPAN("server")}, 2) &&
           say(r, FOR_SCRIPT,
               (const struct gw_span[]){GW_SPAN("SCRIPT"), GW_SPAN("LOAD"),
                                        gw_span_str(limits_script)},
               3) &&
           say_alive(r, FOR_GREETING_END);
}

enum gw_status limits_redis_send(struct limits_redis *r, struct limits_step *step)
{
    struct gw_buf out = {0};

    if (r->state != UP || r->n_waiting >= MAX_WAITING)
        return GW_EIO;
    limits_script_write(&out, r->l->ledger, step, r->prefix, r->sha, r->id);
    if (ask(r, FOR_STEP, step, &out))
        return GW_EAGAIN;
    limits_script_untold(r->l->ledger, step);
    return GW_EIO;
}

bool limits_redis_may_go_apart(const struct limits_redis *r)
{
    return r->local;
}

/* A new name holds nothing yet: what requests hold is held by it from now on (D3). */
static void hold_again(struct limits_redis *r)
{
    for (struct limits_req *lr = r->w->reservations; lr != NULL && r->state == UP; lr = lr->next) {
        struct limits_step *step = limits_step_new(LIMITS_ASSERT, NULL, lr->n);

        for (unsigned i = 0; step != NULL && i < lr->n; i++) {
            const struct limits_hold *h = &lr->holds[i];

            if (h->held == 0)
                continue;
            ledger_ref(r->l->ledger, h->entry);
            step->changes[step->n++] = (struct ledger_change){
                .entry = h->entry,
                .claim = {.start_ms = h->start_ms,
                          .limit = h->limit,
                          .take = h->held,
                          .forced = true},
                .end_ms = h->end_ms,
            };
        }
        if (step != NULL && (step->n == 0 || limits_redis_send(r, step) != GW_EAGAIN))
            drop_note(r, step);
    }
}

/* ---- answers ---------------------------------------------------------------------------- */

/* Another Redis than before, or one that began anew: it may have lost what it was told. */
static bool read_info(struct limits_redis *r, const struct redisReply *reply)
{
    char run_id[sizeof(r->l->run_id)] = "";
    const char *at;
    bool changed;

    if (reply->type != REDIS_REPLY_STRING || reply->str == NULL)
        return false;
    at = strstr(reply->str, "run_id:");
    if (at != NULL)
        (void)snprintf(run_id, sizeof(run_id), "%.*s", (int)strcspn(at + 7, "\r\n") % 48, at + 7);
    (void)pthread_mutex_lock(&r->l->lock);
    changed = strcmp(r->l->run_id, run_id) != 0 || run_id[0] == '\0';
    memcpy(r->l->run_id, run_id, sizeof(run_id));
    (void)pthread_mutex_unlock(&r->l->lock);
    if (changed)
        ledger_doubt(r->l->ledger);
    return true;
}

static bool read_sha(struct limits_redis *r, const struct redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING || reply->str == NULL || reply->len != SHA_BYTES - 1 ||
        strspn(reply->str, "0123456789abcdef") != SHA_BYTES - 1)
        return false;
    memcpy(r->sha, reply->str, SHA_BYTES);
    return true;
}

static void come_up(struct limits_redis *r)
{
    r->state = UP;
    r->retry_ms = FIRST_RETRY_MS;
    r->warned = false;
    atomic_fetch_add(&r->l->redis_up, 1);
    atomic_fetch_add(&r->l->redis_connects, 1);
    gw_log(GW_LOG_INFO, "redis_connected", "host=%s port=%u worker=%u", r->host, r->port,
           r->w->index);
    hold_again(r);
}

/* False: the answer makes no sense, and the step, if any, has not been answered. */
static bool take_answer(struct limits_redis *r, struct waiting *x, const struct redisReply *reply)
{
    enum gw_status st;

    switch (x->what) {
    case FOR_OK:
        return reply->type == REDIS_REPLY_STATUS;
    case FOR_INFO:
        return read_info(r, reply);
    case FOR_SCRIPT:
        return read_sha(r, reply);
    case FOR_GREETING_END:
        if (reply->type != REDIS_REPLY_STATUS)
            return false;
        come_up(r);
        return true;
    case FOR_STEP:
    default:
        st = limits_script_read(r->l->ledger, x->step, reply);
        if (st == GW_EPARSE)
            return false;
        if (x->step->why == LIMITS_NOTE || x->step->why == LIMITS_ASSERT)
            drop_note(r, x->step);
        else
            limits_step_done(x->step, st);
        x->step = NULL;
        return true;
    }
}

/* Hands one answer to what has waited longest. False: the connection is over. */
static bool on_reply(struct limits_redis *r, const struct redisReply *reply)
{
    struct waiting *x = take_first(r);
    char why[120] = "an answer that nobody asked for";
    bool ok = x != NULL && take_answer(r, x, reply);

    if (ok) {
        free(x);
        return r->state != OFF; /* a request that went on may have ended everything */
    }
    if (x != NULL)
        (void)snprintf(why, sizeof(why), "it answered: %.80s",
                       reply->type == REDIS_REPLY_ERROR && reply->str != NULL ? reply->str
                                                                              : "nonsense");
    hang_up(r, why);
    if (x != NULL && x->step != NULL)
        fail_step(r, x->step);
    free(x);
    return false;
}

/* Hands on what is complete. False: the connection is over. */
static bool read_replies(struct limits_redis *r)
{
    for (;;) {
        struct redisReply *reply = NULL;
        enum gw_status st = limits_reader_next(r->reader, &reply);
        bool go_on;

        if (st == GW_EAGAIN)
            return true;
        if (st != GW_OK) {
            hang_up(r, "it does not speak Redis' protocol");
            return false;
        }
        go_on = on_reply(r, reply);
        freeReplyObject(reply);
        if (!go_on)
            return false;
    }
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    struct limits_redis *r = ctx;

    while (evbuffer_get_length(in) != 0) {
        struct evbuffer_iovec v = {NULL, 0};

        (void)evbuffer_peek(in, -1, NULL, &v, 1);
        if (limits_reader_feed(r->reader, (struct gw_span){v.iov_base, v.iov_len}) != GW_OK) {
            hang_up(r, "an answer that is too long");
            return;
        }
        (void)evbuffer_drain(in, v.iov_len);
        if (!read_replies(r))
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
    struct limits_redis *r = ctx;

    (void)timed_out;
    r->dial = NULL;
    if (fd < 0) {
        hang_up(r, why);
        return;
    }
    r->reader = limits_reader_new();
    r->bev =
        bufferevent_socket_new(r->w->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (r->bev == NULL)
        (void)close(fd);
    if (r->reader == NULL || r->bev == NULL) {
        hang_up(r, "out of memory");
        return;
    }
    bufferevent_setcb(r->bev, on_read, NULL, on_event, r);
    (void)bufferevent_enable(r->bev, EV_READ | EV_WRITE);
    r->state = GREETING;
    if (!greet(r))
        hang_up(r, "out of memory");
    else
        set_timer(r, (unsigned)(r->timeout_ms / 4 < 20 ? 20 : r->timeout_ms / 4));
}

static void dial_again(struct limits_redis *r)
{
    const struct dial_target t = {.host = r->host, .port = r->port, .timeout_ms = CONNECT_MS};
    unsigned char random[16];

    gw_random(random, sizeof(random));
    gw_hex(random, sizeof(random), r->id);
    r->state = DIALLING;
    r->dial = dial_start(r->w, &t, on_dialled, r);
    if (r->dial == NULL)
        hang_up(r, "out of memory");
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct limits_redis *r = ctx;
    uint64_t now = gw_clock_ns();

    (void)fd;
    (void)what;
    if (r->state == OFF) {
        dial_again(r);
        return;
    }
    if (r->first != NULL && r->first->deadline_ns < now) {
        hang_up(r, "it did not answer in time");
        return;
    }
    if (r->state == UP && now - r->beat_ns > BEAT_MS * GW_NS_PER_MS && !say_alive(r, FOR_OK)) {
        hang_up(r, "out of memory");
        return;
    }
    set_timer(r, (unsigned)(r->timeout_ms / 4 < 20 ? 20 : r->timeout_ms / 4));
}

struct limits_redis *limits_redis_open(struct worker *w)
{
    const struct proxy_config *cfg = w->setup->cfg;
    struct limits_redis *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->w = w;
    r->l = limits_of(w);
    r->last = &r->first;
    r->retry_ms = FIRST_RETRY_MS;
    r->port = cfg->redis.port;
    r->db = cfg->redis.db;
    r->share = cfg->redis.share;
    r->timeout_ms = cfg->redis.timeout_ms;
    r->local = cfg->redis.on_unavailable == 1;
    (void)snprintf(r->host, sizeof(r->host), "%s", cfg->redis.host);
    (void)snprintf(r->user, sizeof(r->user), "%s", cfg->redis.user);
    (void)snprintf(r->prefix, sizeof(r->prefix), "%s", cfg->redis.prefix);
    (void)snprintf(r->password, sizeof(r->password), "%.*s", (int)cfg->redis.password.value.len,
                   cfg->redis.password.value.len == 0 ? "" : cfg->redis.password.value.ptr);
    r->timer = evtimer_new(w->base, on_timer, r);
    if (r->timer == NULL) {
        free(r);
        return NULL;
    }
    dial_again(r);
    return r;
}

/* What is still to be said is given to the socket at once, for the loop has ended; that nobody holds anything any more,
 * too. What does not fit is lost: then names expire, and what was used is told by the next start. */
static void say_goodbye(struct limits_redis *r)
{
    struct evbuffer *out = bufferevent_get_output(r->bev);
    struct gw_buf last = {0};
    char key[128], bytes[16384];
    ev_ssize_t n;

    (void)snprintf(key, sizeof(key), "%s:alive:%s", r->prefix, r->id);
    limits_command(&last, (const struct gw_span[]){GW_SPAN("DEL"), gw_span_str(key)}, 2);
    if (!send_bytes(r, &last) || evbuffer_get_length(out) > sizeof(bytes))
        return;
    n = evbuffer_copyout(out, bytes, sizeof(bytes));
    if (n > 0)
        (void)!write(bufferevent_getfd(r->bev), bytes, (size_t)n);
}

void limits_redis_close(struct limits_redis *r)
{
    if (r == NULL)
        return;
    if (r->state == UP)
        say_goodbye(r);
    hang_up(r, NULL);
    event_free(r->timer);
    explicit_bzero(r->password, sizeof(r->password));
    free(r);
}
