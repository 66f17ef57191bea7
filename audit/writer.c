/* audit/writer.c - the writer thread.
 *
 * disk: takes what has queued while the last sync ran, appends it to slot 0, syncs once for all of it,
 * answers. No timer holds a record back. Records that nobody waits for (completed, finding) are written
 * at once and ride along with the next sync, at the latest after a second.
 * both: keeps the spool. Sleeps when there is nothing to do. */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "audit/core.h"
#include "audit/payload.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    MAX_BATCH = 1024,             /* records */
    MAX_UNSYNCED_BYTES = 4 << 20, /* then it is synced although nobody waits */
    IDLE_SYNC_MS = 1000,
    LOOK_OUT_NS = 50000, /* for a record that was announced */
    SLIM_MS = 1000,      /* without a record: then a large buffer is given back */
};

struct batch {
    struct core_item *items[MAX_BATCH]; /* those that need to hear how it went */
    size_t n;
};

static void item_free(struct core_item *item)
{
    gw_buf_fini(&item->buf);
    free(item);
}

static void answer(struct audit *a, struct core_item *item, enum gw_status st)
{
    struct core_done d = {item->done, item->ctx, st};

    if (st != GW_OK && item->entry.opens)
        spool_forget(&a->spool->slots[0], item->entry.id);
    if (st != GW_OK)
        atomic_fetch_add(&a->rejected, 1);
    /* Has room: the channel has no more in flight than the queue holds. */
    if (item->done != NULL)
        (void)gw_queue_push(item->ch->done, &d);
}

static void flush(struct audit *a, struct batch *b, bool sync)
{
    struct spool_slot *s = &a->spool->slots[0];
    enum gw_status st;

    if (sync)
        payload_sync(a->payload); /* a record that needs a key comes after it */
    st = spool_flush_first(s, sync);

    atomic_store(&a->refusing, spool_failing(s));
    for (size_t i = 0; i < b->n; i++)
        answer(a, b->items[i], st);
    if (b->n != 0)
        (void)sched_yield(); /* who was waiting may be on this core: it goes first */
    spool_settle(s);
    for (size_t i = 0; i < b->n; i++)
        item_free(b->items[i]);
    b->n = 0;
    if (st == GW_OK && sync)
        core_wake_sinks(a);
}

static void take(struct audit *a, struct batch *b, struct core_item *item)
{
    struct spool_slot *s = &a->spool->slots[0];
    bool opens = item->entry.opens;
    enum gw_status st;

    if (spool_wants_flush(s, item->buf.len + SPOOL_TAIL_BYTES) ||
        !spool_holds(s, item->buf.len + SPOOL_TAIL_BYTES))
        flush(a, b, true);
    st = spool_put(s, &item->buf, &item->entry);
    if (st != GW_OK) {
        answer(a, item, st);
        item_free(item);
    } else if (item->done != NULL || item->entry.opens) {
        b->items[b->n++] = item;
    } else {
        item_free(item);
    }
    if (opens) /* spool_put() has counted it, or there is none */
        atomic_fetch_sub(&a->spool->n_coming, 1);
}

/* Milliseconds to sleep at most. */
static int nap_ms(struct audit *a)
{
    const struct spool_slot *s = &a->spool->slots[0];
    int due = spool_keep_due_ms(a->spool, gw_clock_wall_ms());

    if (!a->process && s->unsynced.len != 0) {
        uint64_t age = (gw_clock_ns() - s->dirty_since_ns) / GW_NS_PER_MS;
        int left = age >= IDLE_SYNC_MS ? 0 : IDLE_SYNC_MS - (int)age;

        due = due < 0 || left < due ? left : due;
    }
    if (!a->process && spool_is_fat(s) && (due < 0 || due > SLIM_MS))
        due = SLIM_MS;
    /* Emitting is refused while the slot fails: only this thread can find out that it works again. */
    if (atomic_load(&a->refusing) && (due < 0 || due > 50))
        due = 50;
    return due;
}

/* What the clock demands. */
static void tend(struct audit *a, struct batch *b, uint64_t *kept_ns)
{
    struct spool_slot *s = &a->spool->slots[0];
    uint64_t now = gw_clock_ns();

    if (!a->process) {
        core_notice(a, s);
        if (s->unsynced.len > MAX_UNSYNCED_BYTES ||
            (s->unsynced.len != 0 && now - s->dirty_since_ns >= IDLE_SYNC_MS * GW_NS_PER_MS))
            flush(a, b, true);
        atomic_store(&a->refusing, spool_failing(s));
        if (spool_is_fat(s) && now - s->dirty_since_ns >= SLIM_MS * GW_NS_PER_MS)
            spool_slim(s);
    }
    if (a->process)
        spool_keep_windows(a->spool);
    if (now - *kept_ns >= 100 * GW_NS_PER_MS) {
        *kept_ns = now;
        spool_keep(a->spool, gw_clock_wall_ms());
        payload_sync(a->payload);
        payload_tidy(a->payload, gw_clock_wall_ms());
    }
}

/* True while a record is announced that has not come, and is worth looking out for. */
static bool is_expected(struct audit *a)
{
    uint_fast64_t since = atomic_load(&a->expected_ns);

    if (since == 0)
        return false;
    /* On the core where it is made this thread would be in its way. */
    if (gw_clock_ns() <= since + LOOK_OUT_NS && atomic_load(&a->expected_cpu) != sched_getcpu())
        return true;
    (void)atomic_compare_exchange_strong(&a->expected_ns, &since, 0); /* else: announced anew */
    return false;
}

/* A microsecond, or until an announced record has come. */
static void spin(struct audit *a)
{
    uint64_t until = gw_clock_ns() + 1000;

    while (atomic_load(&a->expected_ns) != 0 && gw_clock_ns() < until)
        continue;
}

/* Waits until there is something to do. Waking takes longer than a record needs to be made, so that audit_expect() wakes this thread
 * ahead; it must not sleep again before the record comes. */
static enum gw_status next(struct audit *a, struct core_item **item)
{
    enum gw_status st;

    for (;;) {
        st = gw_queue_pop(a->queue, item);
        if (st == GW_OK)
            return st;
        atomic_store(&a->asleep, true);
        if (!is_expected(a)) /* looked at after asleep is set: one that comes now wakes us */
            break;
        atomic_store(&a->asleep, false);
        spin(a);
    }
    atomic_store(&a->writer_cpu, sched_getcpu());
    st = gw_queue_wait(a->queue, item, nap_ms(a));
    atomic_store(&a->asleep, false);
    return st;
}

void *core_writer_run(void *arg)
{
    struct audit *a = arg;
    struct batch batch = {.n = 0}, *b = &batch;
    uint64_t kept_ns = 0;

    for (;;) {
        struct core_item *item = NULL;
        enum gw_status st = next(a, &item);
        bool sync = false;

        if (st == GW_ECANCELED)
            break;
        while (st == GW_OK) {
            if (item != NULL) {
                sync = sync || item->done != NULL || item->entry.opens;
                take(a, b, item);
            }
            if (b->n == MAX_BATCH)
                break;
            st = gw_queue_pop(a->queue, &item);
        }
        if (!a->process && a->spool->slots[0].unsynced.len != 0)
            flush(a, b, sync);
        tend(a, b, &kept_ns);
    }
    return NULL;
}

void core_wake_writer(struct audit *a)
{
    struct core_item *none = NULL;

    (void)gw_queue_push(a->queue, &none); /* full: it is awake anyway */
}
