/* audit/kafka.c - the sender thread: spool -> producer -> cursor.
 *
 *             records and room in the window            report: delivered
 *   [asleep] --------------------------------> [feeding] ----------------> cursor moves
 *      ^  nothing left                            |  ^
 *      +------------------------------------------+  | after 1 to 30 s: new producer
 *                                                 v  |
 *                   fatal, denied, failed ----> [waiting]: producer destroyed, feeds rewound
 *
 * Records are handed over in chunks, every 50 ms at most: one by one costs librdkafka five times the
 * CPU. The window (records handed over, not acknowledged) bounds its memory. All state is of this
 * thread, but for the atomics. */
#include "audit/kafka.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/core.h"
#include "audit/cursor.h"
#include "audit/kafka_feed.h"
#include "audit/kafka_producer.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    WINDOW = 8000, /* records; below queue.buffering.max.messages */
    CHUNK = 2000,
    CHUNK_MS = 50,
    CURSOR_MS = 500,
    SAFETY_MS = 200, /* a wake-up that librdkafka forgot costs this much */
    MIN_BACKOFF_MS = 1000,
    MAX_BACKOFF_MS = 30000,
};

struct kafka {
    struct audit *a;
    /* What a new producer needs, copied from the configuration. */
    struct audit_config cfg;
    char **strings; /* NULL-terminated; everything that cfg points to */

    struct producer *p; /* NULL while waiting */
    struct feed *feeds; /* a slot each */
    unsigned n_feeds;
    unsigned in_flight;
    unsigned
        careful; /* so many records go one by one, to find the one that a batch was refused for */
    uint64_t next_chunk_ns, retry_ns, cursor_ns;
    unsigned backoff_ms;
    struct core_trouble down;
    enum producer_fate trouble; /* PRODUCER_DELIVERED: none */
    char trouble_why[160];

    pthread_t thread;
    bool thread_runs;
    int wake_fd, rk_fd; /* eventfds: ours and librdkafka's */
    atomic_bool sleeping, stopping;
    atomic_uint_fast64_t stop_ns; /* give up at this moment */
    atomic_uint_fast64_t delivered, restarts, dead;
    atomic_int_fast64_t oldest_ms; /* time of the oldest record that is not acknowledged, 0: none */
    atomic_uint_fast64_t
        oldest_since_ns; /* since when it is that one, whatever the wall clock does */
    atomic_bool up;
};

/* ---- reports ----------------------------------------------------------------------------------- */

static void trouble(struct kafka *k, enum producer_fate fate, const char *why)
{
    if (k->trouble >= fate)
        return;
    k->trouble = fate;
    (void)snprintf(k->trouble_why, sizeof(k->trouble_why), "%s", why);
}

/* Keeps a record that Kafka will never take where a person can find it. */
static void dead_letter(struct kafka *k, struct gw_span payload, const char *why)
{
    atomic_fetch_add(&k->dead, 1);
    (void)core_dead_letter(k->a, "", payload, why);
}

static void acked(struct kafka *k, struct feed *f, uint64_t ticket)
{
    unsigned n = feed_ack(f, ticket);

    if (n == 0)
        return;
    atomic_fetch_sub(&k->a->spool->sinks[KAFKA_SINK].undelivered,
                     n); /* first: a checkpoint waits for the sum of both */
    atomic_fetch_add(&k->a->spool->acked, n);
    atomic_fetch_add(&k->delivered, n);
}

static void on_report(void *ctx, uint64_t feed, uint64_t ticket, enum producer_fate fate,
                      struct gw_span payload, const char *why)
{
    struct kafka *k = ctx;

    if (feed >= k->n_feeds)
        return;
    if (fate == PRODUCER_POISON && k->careful == 0 && k->in_flight > 1 &&
        k->trouble == PRODUCER_DELIVERED) {
        /* The broker judges whole batches: a single record is guilty, or none, if only the batch was
         * too long. Everything on its way goes again, one by one. */
        k->careful = k->in_flight;
        trouble(k, PRODUCER_POISON, why);
    }
    k->in_flight--;
    if (k->trouble == PRODUCER_POISON && fate != PRODUCER_DELIVERED)
        return;
    if (fate == PRODUCER_FAILED || fate == PRODUCER_DENIED) {
        trouble(k, fate, why);
        return;
    }
    if (fate == PRODUCER_POISON)
        dead_letter(k, payload, why);
    if (k->careful != 0)
        k->careful--;
    k->backoff_ms = 0;
    atomic_store(&k->up, true);
    (void)core_sink_works(k->a, &k->down);
    acked(k, &k->feeds[feed], ticket);
}

static void on_failed(void *ctx, enum producer_fate fate, const char *why)
{
    trouble(ctx, fate, why);
}

static void on_down(void *ctx)
{
    struct kafka *k = ctx;

    core_sink_fails(k->a, &k->down, false);
    if (atomic_exchange(&k->up, false))
        gw_log(GW_LOG_WARN, "kafka_down", "undelivered=%" PRIu64,
               (uint64_t)atomic_load(&k->a->spool->sinks[KAFKA_SINK].undelivered));
}

static const struct producer_events events = {on_report, on_failed, on_down};

/* ---- the producer's life ----------------------------------------------------------------------- */

/* Throws the producer away; a new one comes after the back-off. */
static void give_up(struct kafka *k, uint64_t now)
{
    enum producer_fate why = k->trouble;

    producer_free(k->p, &events, k);
    k->p = NULL;
    k->in_flight = 0;
    k->trouble = PRODUCER_DELIVERED;
    for (unsigned i = 0; i < k->n_feeds; i++)
        feed_rewind(&k->feeds[i]);
    if (why == PRODUCER_POISON) {
        k->retry_ns = now;
        return;
    }
    k->backoff_ms = k->backoff_ms == 0 ? MIN_BACKOFF_MS : k->backoff_ms * 2;
    if (why == PRODUCER_DENIED || k->backoff_ms > MAX_BACKOFF_MS)
        k->backoff_ms = MAX_BACKOFF_MS;
    k->retry_ns = now + k->backoff_ms * GW_NS_PER_MS;
    atomic_store(&k->up, false);
    core_sink_fails(k->a, &k->down, why == PRODUCER_DENIED);
    gw_log(GW_LOG_ERROR, "kafka_producer_lost", "why=\"%s\" retry_ms=%u", k->trouble_why,
           k->backoff_ms);
}

static void revive(struct kafka *k, uint64_t now)
{
    struct gw_err err;

    if (producer_new(&k->cfg, k->rk_fd, &k->p, &err) != GW_OK) {
        gw_log(GW_LOG_ERROR, "kafka_producer_failed", "why=\"%s\"", err.text);
        k->retry_ns = now + MAX_BACKOFF_MS * GW_NS_PER_MS;
        return;
    }
    atomic_fetch_add(&k->restarts, 1);
    gw_log(GW_LOG_INFO, "kafka_producer_new", "undelivered=%" PRIu64,
           (uint64_t)atomic_load(&k->a->spool->sinks[KAFKA_SINK].undelivered));
}

/* ---- feeding ----------------------------------------------------------------------------------- */

/* Hands one record over. False when feeding has to stop. */
static bool send_one(struct kafka *k, unsigned i, const struct spool_rec *rec)
{
    struct feed *f = &k->feeds[i];
    const char *why = "";
    uint64_t ticket;

    if (!feed_push(f, rec, &ticket)) {
        feed_unread(f, rec);
        return false;
    }
    switch (producer_send(k->p, rec, f->chain, i, ticket, &why)) {
    case PRODUCER_PUT_OK:
        k->in_flight++;
        return true;
    case PRODUCER_PUT_POISON:
        dead_letter(k, rec->payload, why);
        acked(k, f, ticket);
        return true;
    case PRODUCER_PUT_FULL:
        f->tail--;
        feed_unread(f, rec);
        return false;
    case PRODUCER_PUT_FAILED:
        trouble(k, PRODUCER_FAILED, why);
        return false;
    }
    return false;
}

/* How many records may be on their way. */
static unsigned window(const struct kafka *k)
{
    return k->careful != 0 ? 1 : WINDOW;
}

/* One chunk from all slots in turn. Returns how many records went. */
static unsigned feed_chunk(struct kafka *k)
{
    unsigned sent = 0;
    bool more = true;

    while (more && sent < CHUNK) {
        more = false;
        for (unsigned i = 0; i < k->n_feeds; i++) {
            struct spool_rec rec;

            for (unsigned n = 0; n < 64 && k->in_flight < window(k) && sent < CHUNK; n++) {
                if (!feed_next(&k->feeds[i], &rec))
                    break;
                if (!send_one(k, i, &rec))
                    return sent;
                sent++;
                more = true;
            }
        }
    }
    return sent;
}

static bool waiting(const struct kafka *k)
{
    return feeds_waiting(k->feeds, k->n_feeds);
}

static void note_oldest(struct kafka *k)
{
    int64_t oldest = 0;

    for (unsigned i = 0; i < k->n_feeds; i++) {
        const struct feed *f = &k->feeds[i];
        int64_t t = f->head < f->tail ? f->ring[f->head & (f->cap - 1)].time_ms : 0;

        if (t != 0 && (oldest == 0 || t < oldest))
            oldest = t;
    }
    /* Without anything on its way the last known age stays until nothing is left. */
    if (oldest == 0 && atomic_load(&k->a->spool->sinks[KAFKA_SINK].undelivered) != 0)
        return;
    if (atomic_exchange(&k->oldest_ms, oldest) != oldest)
        atomic_store(&k->oldest_since_ns, gw_clock_ns());
}

static void save_cursor(struct kafka *k, uint64_t now)
{
    k->cursor_ns = now;
    feeds_save(k->feeds, k->n_feeds, "");
}

static bool cursor_moved(const struct kafka *k)
{
    return feeds_moved(k->feeds, k->n_feeds);
}

/* ---- the thread -------------------------------------------------------------------------------- */

static int ms_until(uint64_t when, uint64_t now)
{
    return when <= now ? 0 : (int)((when - now) / GW_NS_PER_MS) + 1;
}

static int shorter(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

/* How long to sleep, when nothing wakes us; -1: until somebody does. */
static int nap_ms(struct kafka *k, uint64_t now)
{
    bool more = waiting(k);
    int ms = -1;

    if (k->p == NULL)
        ms = ms_until(k->retry_ns, now);
    else if (more && k->in_flight < window(k))
        ms = ms_until(k->next_chunk_ns, now);
    if (k->in_flight != 0)
        ms = shorter(ms, SAFETY_MS);
    if (cursor_moved(k))
        ms = shorter(ms, ms_until(k->cursor_ns + CURSOR_MS * GW_NS_PER_MS, now));
    if (atomic_load(&k->stopping))
        ms = shorter(ms, ms_until(atomic_load(&k->stop_ns), now));
    if (!more) {
        atomic_store(&k->sleeping, true);
        if (waiting(k)) { /* it came between the two looks */
            atomic_store(&k->sleeping, false);
            ms = 0;
        }
    }
    return ms;
}

static void drain(int fd)
{
    uint64_t n;

    while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
        continue;
}

static bool finished(struct kafka *k, uint64_t now)
{
    if (!atomic_load(&k->stopping))
        return false;
    return now >= atomic_load(&k->stop_ns) || (k->in_flight == 0 && !waiting(k));
}

static void turn(struct kafka *k, uint64_t now)
{
    if (k->p != NULL)
        producer_serve(k->p, &events, k);
    if (k->p != NULL && k->trouble != PRODUCER_DELIVERED)
        give_up(k, now);
    if (k->p == NULL && now >= k->retry_ns)
        revive(k, now);
    if (k->p != NULL && now >= k->next_chunk_ns && k->in_flight < window(k)) {
        unsigned n = feed_chunk(k);

        /* A full chunk means that there is a backlog: no reason to wait. */
        if (n != 0 && n < CHUNK && k->careful == 0)
            k->next_chunk_ns = now + CHUNK_MS * GW_NS_PER_MS;
    }
    note_oldest(k);
    if (k->down.since_ns != 0)
        core_sink_fails(k->a, &k->down, false); /* it lasts */
    if (cursor_moved(k) && now - k->cursor_ns >= CURSOR_MS * GW_NS_PER_MS) {
        save_cursor(k, now);
        core_wake_writer(k->a); /* delivered segments may go */
    }
}

static void *sender_run(void *arg)
{
    struct kafka *k = arg;

    for (;;) {
        struct pollfd p[2] = {{k->wake_fd, POLLIN, 0}, {k->rk_fd, POLLIN, 0}};
        uint64_t now = gw_clock_ns();

        turn(k, now);
        if (finished(k, now))
            break;
        (void)poll(p, 2, nap_ms(k, gw_clock_ns()));
        atomic_store(&k->sleeping, false);
        drain(k->wake_fd);
        drain(k->rk_fd);
    }
    producer_free(k->p, &events, k);
    k->p = NULL;
    save_cursor(k, gw_clock_ns());
    return NULL;
}

/* ---- opening and closing ----------------------------------------------------------------------- */

static void kafka_free(struct kafka *k)
{
    producer_free(k->p, NULL, NULL);
    for (unsigned i = 0; k->feeds != NULL && i < k->n_feeds; i++)
        feed_fini(&k->feeds[i]);
    free(k->feeds);
    if (k->wake_fd >= 0)
        (void)close(k->wake_fd);
    if (k->rk_fd >= 0)
        (void)close(k->rk_fd);
    producer_config_fini(k->strings);
    free(k);
}

enum gw_status kafka_open(struct audit *a, const struct audit_config *cfg, struct kafka **out,
                          struct gw_err *err)
{
    struct kafka *k = calloc(1, sizeof(*k));
    enum gw_status st = GW_ENOMEM;

    if (k == NULL)
        return gw_fail(err, st, "audit.kafka: out of memory");
    k->a = a;
    k->down.sink = "kafka";
    k->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    /* Non-blocking: librdkafka would hang on a full one. */
    k->rk_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    k->n_feeds = a->spool->n_slots;
    k->feeds = calloc(k->n_feeds, sizeof(*k->feeds));
    if (k->wake_fd < 0 || k->rk_fd < 0 || k->feeds == NULL ||
        !producer_config_copy(cfg, cfg->kafka_topic != NULL ? cfg->kafka_topic : "ai.audit.v1",
                              &k->cfg, &k->strings)) {
        (void)gw_fail(err, st, "audit.kafka: no memory or descriptor");
        goto out;
    }
    for (unsigned i = 0; i < k->n_feeds; i++)
        feed_init(&k->feeds[i], &a->spool->slots[i], KAFKA_SINK);
    st = producer_new(&k->cfg, k->rk_fd, &k->p, err);
    if (st == GW_OK && pthread_create(&k->thread, NULL, sender_run, k) != 0)
        st = gw_fail(err, GW_EIO, "audit.kafka: cannot start the sender thread");
out:
    if (st != GW_OK) {
        kafka_free(k);
        return st;
    }
    k->thread_runs = true;
    *out = k;
    return GW_OK;
}

void kafka_close(struct kafka *k, int drain_ms)
{
    const uint64_t one = 1;

    if (k == NULL)
        return;
    atomic_store(&k->stop_ns,
                 gw_clock_ns() + (drain_ms > 0 ? (unsigned)drain_ms : 0) * GW_NS_PER_MS);
    atomic_store(&k->stopping, true);
    while (write(k->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    if (k->thread_runs)
        (void)pthread_join(k->thread, NULL);
    kafka_free(k);
}

void kafka_wake(struct kafka *k)
{
    const uint64_t one = 1;

    if (!atomic_load(&k->sleeping) || !atomic_exchange(&k->sleeping, false))
        return;
    while (write(k->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

void kafka_stats(struct kafka *k, struct audit_stats *out)
{
    int64_t oldest = atomic_load(&k->oldest_ms);
    int64_t now = gw_clock_wall_ms();
    uint64_t waited = (gw_clock_ns() - atomic_load(&k->oldest_since_ns)) / GW_NS_PER_MS;

    out->kafka_configured = true;
    out->kafka_up = atomic_load(&k->up);
    out->delivered = atomic_load(&k->delivered);
    out->undelivered = atomic_load(&k->a->spool->sinks[KAFKA_SINK].undelivered);
    /* A wall clock that went back makes the oldest record look young: it is at least as old as it has been waiting here. */
    out->oldest_undelivered_ms = oldest == 0 || oldest > now ? 0 : (uint64_t)(now - oldest);
    if (oldest != 0 && waited > out->oldest_undelivered_ms)
        out->oldest_undelivered_ms = waited;
    out->producer_restarts = atomic_load(&k->restarts);
    out->dead_letters = atomic_load(&k->dead);
}
