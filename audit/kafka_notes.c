/* audit/kafka_notes.c - see kafka_notes.h.
 *
 *   [nothing new] -- the file grew: remember how far the slots are --> [gated] -- all delivered up to there --> [sending]
 *        ^                                                                                                      |
 *        +---- all acknowledged: outbox_done() -----------------------------------------------------------------+
 *        +---- anything else: new producer after a while, outbox_rewind() */
#include "audit/kafka_notes.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/kafka.h"
#include "audit/kafka_producer.h"
#include "audit/outbox.h"
#include "audit/seal.h"
#include "base/clock.h"
#include "base/log.h"

enum { TICK_MS = 200, RETRY_MS = 10000, MAX_SENT = 256 };

struct kafka_notes {
    struct spool *sp;
    struct audit_config cfg;
    char **strings; /* everything that cfg points to, NULL-terminated */
    struct outbox box;
    struct producer *p; /* NULL: none now */
    uint64_t retry_ns;
    uint64_t gate_end; /* of the file, when the gate was set; 0: no gate */
    uint64_t gate;     /* so many records must have been acknowledged before */
    unsigned sent, acked;
    enum producer_fate trouble;
    pthread_t thread;
    int fd; /* eventfd: librdkafka's and ours */
    atomic_bool stopping;
    atomic_uint_fast64_t stop_ns, delivered;
};

static void on_report(void *ctx, uint64_t feed, uint64_t ticket, enum producer_fate fate,
                      struct gw_span payload, const char *why)
{
    struct kafka_notes *k = ctx;

    (void)feed, (void)ticket, (void)payload;
    if (fate == PRODUCER_DELIVERED)
        k->acked++;
    else if (k->trouble == PRODUCER_DELIVERED) {
        k->trouble = fate;
        gw_log(GW_LOG_ERROR, "audit_checkpoint_undelivered", "topic=%s why=\"%s\"",
               k->cfg.kafka_topic, why);
    }
}

static void on_failed(void *ctx, enum producer_fate fate, const char *why)
{
    on_report(ctx, 0, 0, fate, (struct gw_span){NULL, 0}, why);
}

static void on_down(void *ctx)
{
    (void)ctx; /* the sender of records says so */
}

static const struct producer_events events = {on_report, on_failed, on_down};

static void send_notes(struct kafka_notes *k)
{
    struct note note;

    while (k->sent - k->acked < MAX_SENT && outbox_next(&k->box, k->gate_end, &note)) {
        const char *why = "";

        if (producer_send_text(k->p, note.origin, note.text, note.time_ms, k->sent, &why) !=
            PRODUCER_PUT_OK) {
            on_failed(k, PRODUCER_FAILED, why);
            return;
        }
        k->sent++;
    }
}

static void give_up(struct kafka_notes *k, uint64_t now)
{
    producer_free(k->p, NULL, NULL);
    k->p = NULL;
    k->retry_ns = now + RETRY_MS * GW_NS_PER_MS;
    k->trouble = PRODUCER_DELIVERED;
    k->sent = k->acked = 0;
    outbox_rewind(&k->box);
}

/* Everything that was sent is there. */
static void settle(struct kafka_notes *k)
{
    if (k->sent == 0 || k->acked != k->sent)
        return;
    atomic_fetch_add(&k->delivered, k->sent);
    k->sent = k->acked = 0;
    (void)outbox_done(&k->box);
}

static void turn(struct kafka_notes *k, uint64_t now)
{
    const uint64_t end = outbox_end(&k->box);
    struct gw_err err;

    if (k->p != NULL)
        producer_serve(k->p, &events, k);
    if (k->p != NULL && k->trouble != PRODUCER_DELIVERED)
        give_up(k, now);
    settle(k);
    if (k->gate_end <= k->box.at && k->sent == 0 && end > k->box.at) {
        k->gate = atomic_load(&k->sp->acked) + atomic_load(&k->sp->sinks[KAFKA_SINK].undelivered);
        k->gate_end = end;
    }
    if (k->gate_end <= k->box.at || atomic_load(&k->sp->acked) < k->gate ||
        (k->p == NULL && now < k->retry_ns))
        return;
    if (k->p == NULL && producer_new(&k->cfg, k->fd, &k->p, &err) != GW_OK) {
        gw_log(GW_LOG_ERROR, "audit_checkpoint_undelivered", "why=\"%s\"", err.text);
        k->retry_ns = now + RETRY_MS * GW_NS_PER_MS;
        return;
    }
    send_notes(k);
    if (k->sent == 0 && k->trouble == PRODUCER_DELIVERED) {
        /* Blank lines, or half a note, which a later look finds whole. */
        if (k->box.at != k->box.done)
            (void)outbox_done(&k->box);
        k->gate_end = 0;
    }
}

static bool finished(struct kafka_notes *k, uint64_t now)
{
    return atomic_load(&k->stopping) && (now >= atomic_load(&k->stop_ns) ||
                                         (k->sent == 0 && k->box.done >= outbox_end(&k->box)));
}

static void *notes_run(void *arg)
{
    struct kafka_notes *k = arg;
    uint64_t n;

    for (;;) {
        struct pollfd p = {k->fd, POLLIN, 0};

        turn(k, gw_clock_ns());
        if (finished(k, gw_clock_ns()))
            break;
        (void)poll(&p, 1, atomic_load(&k->stopping) ? 20 : TICK_MS);
        while (read(k->fd, &n, sizeof(n)) < 0 && errno == EINTR)
            continue;
    }
    producer_free(k->p, &events, k);
    k->p = NULL;
    settle(k);
    return NULL;
}

static void notes_free(struct kafka_notes *k)
{
    producer_free(k->p, NULL, NULL);
    outbox_fini(&k->box);
    if (k->fd >= 0)
        (void)close(k->fd);
    producer_config_fini(k->strings);
    free(k);
}

enum gw_status kafka_notes_open(struct spool *sp, const struct audit_config *cfg,
                                struct kafka_notes **out, struct gw_err *err)
{
    struct kafka_notes *k = calloc(1, sizeof(*k));
    enum gw_status st = GW_ENOMEM;

    if (k == NULL)
        return gw_fail(err, st, "audit.kafka: out of memory");
    k->sp = sp;
    k->box.fd = -1;
    k->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (k->fd < 0 || !producer_config_copy(cfg, cfg->kafka_checkpoints, &k->cfg, &k->strings)) {
        (void)gw_fail(err, st, "audit.kafka: no memory or descriptor");
        goto out;
    }
    st = outbox_open(&k->box, sp->dirfd, SEAL_CHECKPOINTS ".kafka", false, err);
    if (st == GW_OK && pthread_create(&k->thread, NULL, notes_run, k) != 0)
        st = gw_fail(err, GW_EIO, "audit.kafka: cannot start the checkpoints' thread");
out:
    if (st != GW_OK) {
        notes_free(k);
        return st;
    }
    *out = k;
    return GW_OK;
}

void kafka_notes_close(struct kafka_notes *k, int drain_ms)
{
    const uint64_t one = 1;

    if (k == NULL)
        return;
    atomic_store(&k->stop_ns,
                 gw_clock_ns() + (drain_ms > 0 ? (unsigned)drain_ms : 0) * GW_NS_PER_MS);
    atomic_store(&k->stopping, true);
    while (write(k->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    (void)pthread_join(k->thread, NULL);
    notes_free(k);
}

uint64_t kafka_notes_delivered(const struct kafka_notes *k)
{
    return k == NULL ? 0 : atomic_load(&k->delivered);
}
