/* audit/core.h - what the files of this folder share about one open audit.
 *
 *   channel threads --- process: write to their own slot
 *         |         \-- disk: queue --> writer thread: slot 0, group commit --> done queues
 *         |
 *   writer thread: also keeps the spool (retention, syncs of closed segments)
 *   sender thread: reads the slots, feeds Kafka (audit/kafka.c)
 *   a thread for each other sink: reads the slots, delivers in batches (audit/sink.c)
 *
 * Slot 0 belongs to the writer while it runs (process: lifecycle records only), else to the opener; slot 1 + i to
 * channel i (process). */
#ifndef AUDIT_CORE_H
#define AUDIT_CORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit.h"
#include "audit/event.h"
#include "audit/spool.h"
#include "base/buf.h"
#include "base/queue.h"

struct kafka;
struct sinks;
struct kafka_notes;
struct witness;
struct seal;

/* The cap as the threads that write to one slot have seen it. */
struct core_full {
    atomic_bool full; /* refusing new records until there is room again */
    bool noted;       /* of the slot's thread: sluice.degraded was written */
    atomic_int_fast64_t since_ms;
    atomic_uint_fast64_t refused; /* records since */
};

struct audit_chan {
    struct audit *a;
    struct spool_slot *slot; /* process: our own; disk: NULL */
    struct gw_queue *done;   /* disk: struct core_done; process: never used */
    struct gw_buf buf;       /* process: the record in the making */
    unsigned index;
    unsigned in_flight;     /* of the channel's thread: emitted with done, not dispatched */
    struct core_item *ends; /* disk: one for each decided record without its completed one (A2) */
    struct core_item *late,
        *late_last; /* completed records that found the queue full or the disk failing, oldest first */
    bool closed;
    struct audit_chan *next;
};

/* A record on its way to the writer; NULL in the queue only wakes it. */
struct core_item {
    struct core_item *next; /* in the channel's lists */
    struct audit_chan *ch;
    audit_done_fn done;
    void *ctx;
    struct gw_buf buf;
    struct spool_entry entry; /* id points to id_bytes */
    char id_bytes[EVENT_ID_BYTES];
};

struct core_done {
    audit_done_fn done;
    void *ctx;
    enum gw_status st;
};

enum { CORE_QUEUE_ITEMS = 8192, CORE_CHAN_ITEMS = 4096 };

struct audit {
    struct spool *spool;
    struct event_source src;
    enum audit_on_full on_full;
    bool process;
    unsigned n_channels;

    pthread_mutex_t lock; /* of chans and used */
    struct audit_chan *chans;
    bool *used; /* channel numbers in use, n_channels */

    struct core_full *full; /* one a slot */
    atomic_bool refusing;   /* disk: the writer's slot failed a moment ago */
    atomic_uint_fast64_t rejected;

    struct gw_queue *queue; /* struct core_item * */
    bool looks_out;         /* disk, with a core to spare: the writer heeds audit_expect() */
    atomic_uint_fast64_t
        expected_ns; /* when a record was announced that has not come, by gw_clock_ns(); 0: none */
    atomic_int expected_cpu; /* where it will be made */
    atomic_int writer_cpu;   /* where the writer went to sleep */
    atomic_bool asleep; /* the writer sleeps, or is about to: then it looks at expected_ns again */
    pthread_t writer;
    bool writer_runs;

    struct audit_payload *payload; /* the caller's; NULL: nothing is sealed */
    struct seal *seal;             /* NULL: not configured */
    struct kafka *kafka;           /* NULL: not configured */
    struct sinks *sinks;           /* the others; NULL: none */
    struct kafka_notes *notes;     /* NULL: not configured */
    struct witness *witness;       /* NULL: not configured */
};

/* Where a record of ev goes and what it means for its request. id is cut to EVENT_ID_BYTES. */
struct spool_entry core_entry(const struct audit_event *ev);
enum spool_room core_room(const struct audit_event *ev);

/* Starts a record in buf: room for the frame. */
void core_begin(struct gw_buf *buf);

/* Puts a lifecycle record into the slot (its thread); in disk mode it waits for the next flush. */
enum gw_status core_put_life(struct audit *a, struct spool_slot *s, const struct event_life *ev);

/* Hands a lifecycle record to the writer, whose slot 0 is. Does not wait. GW_EAGAIN, GW_ELIMIT, GW_ENOMEM, GW_ECANCELED: there
 * is no record. Thread: any. */
enum gw_status core_hand_life(struct audit *a, const struct event_life *ev);

/* What is told of a sink that fails, in the log's order: how it is, and since when. Of the sink's thread. */
struct core_trouble {
    const char *sink;
    uint64_t since_ns; /* 0: well */
    int64_t since_ms;  /* the same by the wall clock */
    bool told;         /* sluice.degraded was written */
};
/* It fails; once that has lasted a while, or at once, sluice.degraded is written. Called again while it lasts. */
void core_sink_fails(struct audit *a, struct core_trouble *t, bool at_once);
/* It is well; sluice.recovered is written when the other was. True: it was not well before. */
bool core_sink_works(struct audit *a, struct core_trouble *t);
/* Records were deleted before the sink had them. */
void core_sink_gap(struct audit *a, const struct core_trouble *t, uint64_t records);

/* Keeps a record that a sink ("": Kafka) refuses for good in its dead-letter file, durably. False: it could not be
 * written, the log says why. Thread: the sink's. */
bool core_dead_letter(struct audit *a, const char *sink, struct gw_span record, const char *why);

/* Writes sluice.degraded when the cap was reached, and once all is well again what was held back while
 * the slot failed or was full: sluice.recovered, sluice.gap. Thread: the slot's. */
void core_notice(struct audit *a, struct spool_slot *s);

/* At the end: says how many records on_full continue left out and nobody has told yet. */
void core_last_notice(struct audit *a, struct spool_slot *s);

/* Reserves n bytes for a record of the slot; when the cap is reached, says no and remembers it. Once it
 * was reached, new requests are refused until a thirty-second of the cap is free, so that the state does
 * not flap. Thread: any. */
bool core_reserve(struct audit *a, struct core_full *full, uint64_t n, enum spool_room room);

/* Wakes the writer thread, and the sinks that sleep. */
void core_wake_writer(struct audit *a);
void core_wake_sinks(struct audit *a);

/* The writer thread (audit/writer.c). */
void *core_writer_run(void *arg);

/* Writes sluice.started, the gaps that recovery found and the gateway_lost records, then repairs. */
enum gw_status core_start(struct audit *a, struct gw_err *err);

#endif
