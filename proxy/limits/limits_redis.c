/* proxy/limits/limits_redis.c - see limits_redis.h. */
#include "proxy/limits/limits_redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "proxy/limits/limits_private.h"
#include "proxy/limits/limits_script.h"
#include "proxy/net/worker.h"
#include "proxy/redis/redis.h"
#include "proxy/redis/redis_wire.h"

enum {
    FIRST_RETRY_MS = 50,
    LAST_RETRY_MS = 5000,
    BEAT_MS = 1000,       /* how often the name is renewed */
    ALIVE_MS = 5000,      /* how long it lives without that */
    MAX_WAITING = 20000,  /* commands without an answer */
    MAX_UNSENT = 1 << 30, /* bytes: commands are small, and so many of them there are */
    MAX_ELEMENTS = 1024,  /* of an array: a script's answer has at most 3 * 128 + 2 */
    MAX_ANSWER = 1 << 20, /* bytes */
    MIN_TICK_MS = 20,
    SHA_BYTES = 41,
};

struct limits_redis {
    struct worker *w;
    struct limits *l;
    struct redis_conn *conn;
    uint64_t beat_ns; /* of the last renewal */
    char id[LIMITS_ID_BYTES], sha[SHA_BYTES];
    char prefix[65]; /* copied: the configuration may be replaced */
    unsigned share;
    bool local;
};

/* ---- steps without an answer ------------------------------------------------------------------ */

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
    enum gw_status st = redis_is_late(r->conn) ? GW_ETIMEDOUT : GW_EIO;

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

/* ---- commands --------------------------------------------------------------------------- */

static bool say_alive(struct limits_redis *r)
{
    char key[128], ms[16];

    (void)snprintf(key, sizeof(key), "%s:alive:%s", r->prefix, r->id);
    (void)snprintf(ms, sizeof(ms), "%d", ALIVE_MS);
    r->beat_ns = gw_clock_ns();
    return redis_say(r->conn,
                     (const struct gw_span[]){GW_SPAN("SET"), gw_span_str(key), GW_SPAN("1"),
                                              GW_SPAN("PX"), gw_span_str(ms)},
                     5, redis_is_ok, NULL);
}

static bool on_step(void *ctx, void *what, const struct redisReply *reply)
{
    struct limits_redis *r = ctx;
    struct limits_step *step = what;
    enum gw_status st;

    if (reply == NULL) {
        fail_step(r, step);
        return true;
    }
    st = limits_script_read(r->l->ledger, step, reply);
    if (st == GW_EPARSE)
        return false;
    if (step->why == LIMITS_NOTE || step->why == LIMITS_ASSERT)
        drop_note(r, step);
    else
        limits_step_done(step, st);
    return true;
}

enum gw_status limits_redis_send(struct limits_redis *r, struct limits_step *step)
{
    struct gw_buf out = {0};

    if (!redis_is_up(r->conn))
        return GW_EIO;
    limits_script_write(&out, r->l->ledger, step, r->prefix, r->sha, r->id);
    if (redis_ask(r->conn, &out, on_step, step))
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
    for (struct limits_req *lr = r->w->reservations; lr != NULL && redis_is_up(r->conn);
         lr = lr->next) {
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

/* ---- greeting --------------------------------------------------------------------------- */

/* Another Redis than before, or one that began anew: it may have lost what it was told. */
static bool on_info(void *ctx, void *what, const struct redisReply *reply)
{
    struct limits_redis *r = ctx;
    char run_id[sizeof(r->l->run_id)] = "";
    const char *at;
    bool changed;

    (void)what;
    if (reply == NULL || reply->type != REDIS_REPLY_STRING || reply->str == NULL)
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

static bool on_script(void *ctx, void *what, const struct redisReply *reply)
{
    struct limits_redis *r = ctx;

    (void)what;
    if (reply == NULL || reply->type != REDIS_REPLY_STRING || reply->str == NULL ||
        reply->len != SHA_BYTES - 1 || strspn(reply->str, "0123456789abcdef") != SHA_BYTES - 1)
        return false;
    memcpy(r->sha, reply->str, SHA_BYTES);
    return true;
}

/* A new connection has a new name. */
static bool greet(void *ctx)
{
    struct limits_redis *r = ctx;
    unsigned char random[16];

    gw_random(random, sizeof(random));
    gw_hex(random, sizeof(random), r->id);
    return redis_say(r->conn, (const struct gw_span[]){GW_SPAN("INFO"), GW_SPAN("server")}, 2,
                     on_info, NULL) &&
           redis_say(r->conn,
                     (const struct gw_span[]){GW_SPAN("SCRIPT"), GW_SPAN("LOAD"),
                                              gw_span_str(limits_script)},
                     3, on_script, NULL) &&
           say_alive(r);
}

static void come_up(void *ctx)
{
    struct limits_redis *r = ctx;

    atomic_fetch_add(&r->l->redis_up, 1);
    atomic_fetch_add(&r->l->redis_connects, 1);
    hold_again(r);
}

static void go_down(void *ctx, bool greeted, bool was_up)
{
    struct limits_redis *r = ctx;

    if (was_up)
        atomic_fetch_sub(&r->l->redis_up, 1);
    if (greeted)
        ledger_lost(r->l->ledger, r->share);
    atomic_fetch_add(&r->l->redis_errors, 1);
}

static bool tick(void *ctx)
{
    struct limits_redis *r = ctx;

    return gw_clock_ns() - r->beat_ns <= BEAT_MS * GW_NS_PER_MS || say_alive(r);
}

/* ---- life ------------------------------------------------------------------------------- */

struct limits_redis *limits_redis_open(struct worker *w)
{
    static const struct redis_use use = {
        .up_event = "redis_connected",
        .away_event = "redis_away",
        .away_level = GW_LOG_ERROR,
        .first_retry_ms = FIRST_RETRY_MS,
        .last_retry_ms = LAST_RETRY_MS,
        .max_waiting = MAX_WAITING,
        .max_unsent = MAX_UNSENT,
        .max_elements = MAX_ELEMENTS,
        .greet = greet,
        .up = come_up,
        .down = go_down,
        .tick = tick,
    };
    const struct proxy_config *cfg = w->setup->cfg;
    const unsigned ms = (unsigned)cfg->redis.timeout_ms;
    const struct redis_bounds bounds = {.max_answer = MAX_ANSWER,
                                        .answer_ms = ms,
                                        .tick_ms = ms / 4 < MIN_TICK_MS ? MIN_TICK_MS : ms / 4};
    struct limits_redis *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->w = w;
    r->l = limits_of(w);
    r->share = cfg->redis.share;
    r->local = cfg->redis.on_unavailable == 1;
    (void)snprintf(r->prefix, sizeof(r->prefix), "%s", cfg->redis.prefix);
    r->conn = redis_open(w, &use, &bounds, r);
    if (r->conn == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

/* What is still to be said is given to the socket at once, for the loop has ended; that nobody holds anything any more,
 * too. What does not fit is lost: then names expire, and what was used is told by the next start. */
static void say_goodbye(struct limits_redis *r)
{
    char key[128];

    (void)snprintf(key, sizeof(key), "%s:alive:%s", r->prefix, r->id);
    (void)redis_say(r->conn, (const struct gw_span[]){GW_SPAN("DEL"), gw_span_str(key)}, 2,
                    redis_is_ok, NULL);
    redis_push(r->conn);
}

void limits_redis_close(struct limits_redis *r)
{
    if (r == NULL)
        return;
    if (redis_is_up(r->conn))
        say_goodbye(r);
    redis_close(r->conn);
    free(r);
}
