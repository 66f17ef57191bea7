/* audit/audit.c - opening, closing, figures. Owns the spool, the writer thread and the sender. */
#include "audit/audit.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "audit/core.h"
#include "audit/kafka.h"
#include "audit/kafka_notes.h"
#include "audit/seal.h"
#include "audit/sinks.h"
#include "audit/witness.h"
#include "base/clock.h"
#include "base/log.h"

enum { MIN_SPOOL_BYTES = 8 << 20, SEAL_INTERVAL_MS = 10000, MAX_NOTES_DRAIN_MS = 1000 };

static enum gw_status check(const struct audit_config *cfg, struct gw_err *err)
{
    if (cfg->spool_dir == NULL || cfg->spool_dir[0] == '\0')
        return gw_fail(err, GW_EINVAL, "audit: no spool directory: set audit.spool");
    if (cfg->instance == NULL || cfg->instance[0] == '\0')
        return gw_fail(err, GW_EINVAL, "audit: the gateway has no name");
    if (cfg->max_spool_bytes < MIN_SPOOL_BYTES)
        return gw_fail(err, GW_EINVAL, "audit: the spool's cap must be at least 8 MiB");
    if (cfg->n_channels == 0 || cfg->n_channels >= SPOOL_MAX_SLOTS)
        return gw_fail(err, GW_EINVAL, "audit: 1 to %d channels", SPOOL_MAX_SLOTS - 1);
    if (cfg->n_sinks > AUDIT_MAX_SINKS)
        return gw_fail(err, GW_EINVAL, "audit: at most %d sinks", AUDIT_MAX_SINKS);
    return GW_OK;
}

static void drop_sinks(const struct audit_config *cfg)
{
    for (unsigned i = 0; i < cfg->n_sinks; i++)
        cfg->sinks[i].ops->close(cfg->sinks[i].self);
}

static void items_free(struct core_item *item)
{
    while (item != NULL) {
        struct core_item *next = item->next;

        gw_buf_fini(&item->buf);
        free(item);
        item = next;
    }
}

static void chans_free(struct audit *a)
{
    while (a->chans != NULL) {
        struct audit_chan *ch = a->chans;

        a->chans = ch->next;
        gw_queue_free(ch->done);
        gw_buf_fini(&ch->buf);
        items_free(ch->ends);
        items_free(ch->late);
        free(ch);
    }
}

/* Frees what there is; the threads have ended. */
static void audit_free(struct audit *a)
{
    chans_free(a);
    gw_queue_free(a->queue);
    spool_close(a->spool);
    event_source_fini(&a->src);
    free(a->full);
    free(a->used);
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
}

static bool has_kafka(const struct audit_config *cfg)
{
    return cfg->kafka_brokers != NULL && cfg->kafka_brokers[0] != '\0';
}

/* Who reads the spool; Kafka is the first. */
static unsigned list_readers(const struct audit_config *cfg,
                             struct spool_sink_config out[SPOOL_MAX_SINKS])
{
    unsigned n = 0;

    if (has_kafka(cfg))
        out[n++] = (struct spool_sink_config){"", false};
    for (unsigned i = 0; i < cfg->n_sinks; i++)
        out[n++] = (struct spool_sink_config){cfg->sinks[i].name, cfg->sinks[i].yields};
    return n;
}

static enum gw_status prepare(struct audit *a, const struct audit_config *cfg, struct gw_err *err)
{
    struct spool_sink_config readers[SPOOL_MAX_SINKS];
    const struct spool_config sc = {
        .dir = cfg->spool_dir,
        .instance = cfg->instance,
        .max_bytes = cfg->max_spool_bytes,
        .segment_bytes = cfg->segment_bytes,
        .n_slots = a->process ? 1 + cfg->n_channels : 1,
        .retain_seconds = cfg->retain_seconds,
        .process = a->process,
        .sinks = readers,
        .n_sinks = list_readers(cfg, readers),
        .seal = cfg->seal_key != NULL,
    };

    GW_TRY(event_source_init(&a->src, cfg, err));
    GW_TRY(spool_open(&sc, &a->spool, err));
    a->queue = gw_queue_new(CORE_QUEUE_ITEMS, sizeof(struct core_item *));
    a->full = calloc(a->spool->n_slots, sizeof(*a->full));
    a->used = calloc(cfg->n_channels, sizeof(*a->used));
    if (a->queue == NULL || a->full == NULL || a->used == NULL)
        return gw_fail(err, GW_ENOMEM, "audit: out of memory");
    gw_queue_silence(a->queue); /* the writer waits in it */
    return core_start(a, err);
}

static enum gw_status open_seal(struct audit *a, const struct audit_config *cfg, struct gw_err *err)
{
    const struct seal_config sc = {
        .key_file = cfg->seal_key,
        .instance = cfg->instance,
        .interval_ms = cfg->seal_interval_ms != 0 ? cfg->seal_interval_ms : SEAL_INTERVAL_MS,
    };

    return seal_open(a->spool, &sc, &a->seal, err);
}

/* Starts what reads the spool. The sinks are taken over, whatever becomes of the rest. */
static enum gw_status open_readers(struct audit *a, const struct audit_config *cfg,
                                   struct gw_err *err)
{
    enum gw_status st = GW_OK;

    if (a->spool->seal)
        st = open_seal(a, cfg, err);
    if (st == GW_OK && has_kafka(cfg))
        st = kafka_open(a, cfg, &a->kafka, err);
    if (st == GW_OK && a->seal != NULL && has_kafka(cfg) && cfg->kafka_checkpoints != NULL &&
        cfg->kafka_checkpoints[0] != '\0')
        st = kafka_notes_open(a->spool, cfg, &a->notes, err);
    if (st == GW_OK && a->seal != NULL && cfg->witness != NULL)
        st = witness_open(a->spool, cfg->witness, &a->witness, err);
    if (st == GW_OK && cfg->n_sinks != 0)
        return sinks_open(a, cfg->sinks, cfg->n_sinks, has_kafka(cfg) ? KAFKA_SINK + 1 : 0,
                          &a->sinks, err);
    if (st != GW_OK)
        drop_sinks(cfg);
    return st;
}

/* More than one: else the writer would look out on the core that the record is made on. */
static bool has_cores(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof(cores), &cores) == 0 && CPU_COUNT(&cores) > 1;
}

enum gw_status audit_open(const struct audit_config *cfg, struct audit **out, struct gw_err *err)
{
    enum gw_status st = check(cfg, err);
    struct audit *a;

    if (st != GW_OK) {
        drop_sinks(cfg);
        return st;
    }
    a = calloc(1, sizeof(*a));
    if (a == NULL) {
        drop_sinks(cfg);
        return gw_fail(err, GW_ENOMEM, "audit: out of memory");
    }
    (void)pthread_mutex_init(&a->lock, NULL);
    a->on_full = cfg->on_full;
    a->process = cfg->durability == AUDIT_DURABILITY_PROCESS;
    a->looks_out = !a->process && has_cores();
    a->n_channels = cfg->n_channels;
    a->payload = cfg->payload;
    st = prepare(a, cfg, err);
    if (st == GW_OK)
        st = open_readers(a, cfg, err);
    else
        drop_sinks(cfg);
    if (st == GW_OK && pthread_create(&a->writer, NULL, core_writer_run, a) != 0)
        st = gw_fail(err, GW_EIO, "audit: cannot start the writer thread");
    if (st != GW_OK) {
        kafka_notes_close(a->notes, 0);
        witness_close(a->witness);
        sinks_stop(a->sinks, 0);
        sinks_close(a->sinks);
        kafka_close(a->kafka, 0);
        seal_close(a->seal);
        audit_free(a);
        return st;
    }
    a->writer_runs = true;
    *out = a;
    return GW_OK;
}

void audit_close(struct audit *a, int drain_ms)
{
    struct event_life ev = {.kind = EVENT_LIFE_STOPPED};

    if (a == NULL)
        return;
    gw_queue_close(a->queue); /* the writer ends when it is empty */
    if (a->writer_runs)
        (void)pthread_join(a->writer, NULL);
    for (unsigned i = 0; i < a->spool->n_slots; i++)
        core_last_notice(a, &a->spool->slots[i]);
    ev.time_ms = gw_clock_wall_ms();
    (void)core_put_life(a, &a->spool->slots[0], &ev);
    for (unsigned i = 0; i < a->spool->n_slots; i++)
        if (spool_sync(&a->spool->slots[i]) != GW_OK)
            gw_log(GW_LOG_ERROR, "audit_sync_failed", "slot=%u", i);
    seal_close(a->seal);
    witness_close(a->witness);
    core_wake_sinks(a);
    sinks_stop(a->sinks, drain_ms);
    kafka_close(a->kafka, drain_ms);
    sinks_close(a->sinks);
    kafka_notes_close(a->notes, drain_ms < MAX_NOTES_DRAIN_MS ? drain_ms : MAX_NOTES_DRAIN_MS);
    audit_free(a);
}

void core_wake_sinks(struct audit *a)
{
    if (a->kafka != NULL)
        kafka_wake(a->kafka);
    sinks_wake(a->sinks);
}

void audit_reopen_sinks(struct audit *a)
{
    sinks_reopen(a->sinks);
}

/* Kafka's figures in the form of a sink's. */
static void kafka_row(struct audit *a, struct audit_sink_stats *out)
{
    struct audit_stats st = {0};

    kafka_stats(a->kafka, &st);
    *out = (struct audit_sink_stats){.name = "kafka",
                                     .kind = "kafka",
                                     .up = st.kafka_up,
                                     .delivered = st.delivered,
                                     .undelivered = st.undelivered,
                                     .oldest_undelivered_ms = st.oldest_undelivered_ms,
                                     .dead_letters = st.dead_letters};
    out->failures[SINK_CONNECT] = st.producer_restarts;
}

unsigned audit_sink_stats(struct audit *a, struct audit_sink_stats *out, unsigned max)
{
    unsigned n = 0;

    if (a->kafka != NULL && max > 0)
        kafka_row(a, &out[n++]);
    return n + sinks_stats(a->sinks, out + n, max - n);
}

void audit_stats(struct audit *a, struct audit_stats *out)
{
    struct spool *sp = a->spool;

    memset(out, 0, sizeof(*out));
    out->records = atomic_load(&sp->records);
    out->bytes = atomic_load(&sp->bytes);
    out->syncs = atomic_load(&sp->syncs);
    out->spool_bytes = atomic_load(&sp->used_bytes);
    out->spool_max_bytes = sp->max_bytes;
    out->rejected = atomic_load(&a->rejected);
    out->writable = atomic_load(&sp->n_failed) == 0;
    for (unsigned i = 0; i < sp->n_slots; i++)
        if (atomic_load(&a->full[i].full) && a->on_full == AUDIT_ON_FULL_REJECT)
            out->writable = false;
    if (a->kafka != NULL)
        kafka_stats(a->kafka, out);
    witness_stats(a->witness, out);
    out->checkpoints_delivered = kafka_notes_delivered(a->notes);
    if (a->seal != NULL) {
        struct seal_stats st;

        seal_stats(a->seal, &st);
        out->checkpoints = st.checkpoints;
        out->last_checkpoint_ms = st.last_ms;
        out->seal_failing = st.failing;
    }
}
