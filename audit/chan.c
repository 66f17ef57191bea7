/* audit/chan.c - channels: from an event to a record on its way.
 *
 * process: the channel's thread writes the record itself, done runs before audit_emit returns.
 * disk: the record goes through a->queue to the writer, its result comes back through ch->done; the
 * channel never has more in flight than ch->done holds, so that a result always finds room. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit/core.h"
#include "base/clock.h"

enum { RECORD_BYTES = 4096 }; /* few records are longer */

struct spool_entry core_entry(const struct audit_event *ev)
{
    static const enum spool_kind kinds[] = {
        [AUDIT_DECIDED] = SPOOL_KIND_DECIDED,   [AUDIT_COMPLETED] = SPOOL_KIND_COMPLETED,
        [AUDIT_FINDING] = SPOOL_KIND_FINDING,   [AUDIT_SHADOW] = SPOOL_KIND_SHADOW,
        [AUDIT_CHANGED] = SPOOL_KIND_LIFECYCLE, /* about the gateway, not about a request */
    };

    return (struct spool_entry){.kind = kinds[ev->kind],
                                .opens = ev->kind == AUDIT_DECIDED && ev->request_id.len != 0,
                                .closes = ev->kind == AUDIT_COMPLETED && ev->request_id.len != 0,
                                .time_ms = ev->time_ms,
                                .id = ev->request_id};
}

enum spool_room core_room(const struct audit_event *ev)
{
    return ev->kind == AUDIT_COMPLETED && ev->end != AUDIT_END_REFUSED ? SPOOL_ROOM_END
                                                                       : SPOOL_ROOM_NEW;
}

void core_begin(struct gw_buf *buf)
{
    static const char room[SPOOL_FRAME_BYTES];

    gw_buf_clear(buf);
    (void)gw_buf_reserve(buf, RECORD_BYTES - 1);
    gw_buf_add(buf, (struct gw_span){room, sizeof(room)});
}

bool core_reserve(struct audit *a, struct core_full *full, uint64_t n, enum spool_room room)
{
    struct spool *sp = a->spool;
    bool refusing = atomic_load(&full->full);

    if (refusing && room == SPOOL_ROOM_NEW && spool_room_left(sp) < sp->max_bytes / 32)
        goto refuse;
    if (spool_reserve(sp, n, room))
        return true;
refuse:
    atomic_fetch_add(&full->refused, 1);
    if (!atomic_exchange(&full->full, true)) {
        atomic_store(&full->since_ms, gw_clock_wall_ms());
        core_wake_writer(a); /* to delete what may go, and to say so */
    }
    return false;
}

/* ---- what waits in a channel ------------------------------------------------------------------ */

static void item_free(struct core_item *item)
{
    gw_buf_fini(&item->buf);
    free(item);
}

/* process: what the disk did not take is tried again, in order. */
static bool put_late(struct audit_chan *ch)
{
    struct audit *a = ch->a;

    while (ch->late != NULL) {
        struct core_item *item = ch->late;

        if (spool_failing(ch->slot))
            return false;
        /* A copy: spool_put() adds to it, also when it fails. */
        spool_settle(ch->slot);
        gw_buf_clear(&ch->buf);
        gw_buf_add(&ch->buf, gw_buf_span(&item->buf));
        if (!gw_buf_ok(&ch->buf) ||
            !core_reserve(a, &a->full[ch->slot->index], ch->buf.len + SPOOL_TAIL_BYTES,
                          SPOOL_ROOM_END) ||
            spool_put(ch->slot, &ch->buf, &item->entry) != GW_OK)
            return false;
        ch->late = item->next;
        item_free(item);
    }
    return true;
}

/* What found the queue full, or the disk failing, goes on its way now, in order. True: nothing waits any more. */
static bool push_late(struct audit_chan *ch)
{
    if (ch->a->process)
        return put_late(ch);
    if (atomic_load(&ch->a->refusing))
        return false;
    while (ch->late != NULL) {
        struct core_item *item = ch->late, *next = item->next;

        if (gw_queue_push(ch->a->queue, &item) != GW_OK)
            return false;
        ch->late = next; /* item is the writer's */
    }
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

enum gw_status audit_chan_open(struct audit *a, struct audit_chan **out, struct gw_err *err)
{
    struct audit_chan *ch = calloc(1, sizeof(*ch));
    unsigned i = 0;

    if (ch == NULL)
        return gw_fail(err, GW_ENOMEM, "audit: out of memory");
    ch->done = gw_queue_new(a->process ? 1 : CORE_CHAN_ITEMS, sizeof(struct core_done));
    if (ch->done == NULL) {
        free(ch);
        return gw_fail(err, GW_ENOMEM, "audit: no memory or descriptor for a channel");
    }
    ch->a = a;
    (void)pthread_mutex_lock(&a->lock);
    while (i < a->n_channels && a->used[i])
        i++;
    if (i < a->n_channels) {
        a->used[i] = true;
        ch->index = i;
        ch->next = a->chans;
        a->chans = ch;
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (i == a->n_channels) {
        gw_queue_free(ch->done);
        free(ch);
        return gw_fail(err, GW_ELIMIT, "audit: more than the %u channels that were announced",
                       a->n_channels);
    }
    if (a->process)
        ch->slot = &a->spool->slots[1 + i];
    *out = ch;
    return GW_OK;
}

void audit_chan_close(struct audit_chan *ch)
{
    const struct timespec soon = {0, 1000000};

    if (ch == NULL)
        return;
    while (!push_late(ch) && !ch->a->process && !atomic_load(&ch->a->refusing))
        (void)nanosleep(&soon, NULL); /* the writer is emptying the queue */
    /* Records in flight still point here: the memory stays until audit_close(). */
    (void)pthread_mutex_lock(&ch->a->lock);
    ch->closed = true;
    ch->a->used[ch->index] = false;
    (void)pthread_mutex_unlock(&ch->a->lock);
}

int audit_chan_fd(const struct audit_chan *ch)
{
    return gw_queue_fd(ch->done);
}

void audit_chan_dispatch(struct audit_chan *ch)
{
    struct core_done d;

    gw_queue_ack(ch->done);
    (void)push_late(ch);
    while (gw_queue_pop(ch->done, &d) == GW_OK) {
        ch->in_flight--;
        d.done(d.ctx, d.st);
    }
}

/* ---- emitting -------------------------------------------------------------------------------- */

static struct core_item *item_new(void)
{
    struct core_item *item = calloc(1, sizeof(*item));

    if (item == NULL)
        return NULL;
    core_begin(&item->buf);
    if (gw_buf_ok(&item->buf))
        return item;
    free(item);
    return NULL;
}

/* Queues an item behind those that wait in the channel. */
static void wait_late(struct audit_chan *ch, struct core_item *item)
{
    item->next = NULL;
    if (ch->late == NULL)
        ch->late = item;
    else
        ch->late_last->next = item;
    ch->late_last = item;
}

static void note_id(struct core_item *item, const struct audit_event *ev)
{
    item->entry = core_entry(ev);
    if (ev->request_id.len != 0)
        memcpy(item->id_bytes, ev->request_id.ptr, ev->request_id.len);
    item->entry.id.ptr = item->id_bytes;
}

/* process: the end of a decided request, which is owed, stays in the channel until the disk takes it. */
static enum gw_status keep_end(struct audit_chan *ch, const struct audit_event *ev)
{
    struct core_item *item = item_new();

    if (item == NULL)
        return GW_ENOMEM;
    event_write(&ch->a->src, ev, &item->buf);
    if (!gw_buf_ok(&item->buf)) {
        item_free(item);
        return GW_ENOMEM;
    }
    note_id(item, ev);
    wait_late(ch, item);
    return GW_OK;
}

/* process: makes the record and writes it. */
static enum gw_status put_now(struct audit_chan *ch, const struct audit_event *ev)
{
    const struct spool_entry e = core_entry(ev);
    struct audit *a = ch->a;

    if (spool_failing(ch->slot))
        return GW_EIO;
    spool_settle(ch->slot); /* of the record that stands in the buffer */
    core_begin(&ch->buf);
    event_write(&a->src, ev, &ch->buf);
    if (!gw_buf_ok(&ch->buf))
        return GW_ENOMEM;
    if (!core_reserve(a, &a->full[ch->slot->index], ch->buf.len + SPOOL_TAIL_BYTES, core_room(ev)))
        return GW_ELIMIT;
    return spool_put(ch->slot, &ch->buf, &e);
}

static enum gw_status emit_process(struct audit_chan *ch, const struct audit_event *ev)
{
    struct audit *a = ch->a;
    struct spool_slot *s = ch->slot;
    uint64_t segno = s->segno;
    enum gw_status st = push_late(ch) ? put_now(ch, ev) : GW_EIO;

    if (st == GW_EIO && ev->ends_decided)
        st = keep_end(ch, ev);
    if (!spool_failing(s))
        core_notice(a, s);
    if (spool_window_news(&s->window) || s->segno != segno)
        core_wake_writer(a); /* a closed segment waits for its sync; or a window is wanted */
    if (st == GW_OK)
        core_wake_sinks(a);
    return st;
}

/* The memory for a record: that of its decided one's promise when there is one (A2). */
static struct core_item *item_for(struct audit_chan *ch, const struct audit_event *ev)
{
    struct core_item *item = ch->ends;

    if (ev->kind != AUDIT_COMPLETED || !ev->ends_decided || item == NULL)
        return item_new();
    ch->ends = item->next;
    return item;
}

/* Takes the memory for the completed record that will follow. */
static bool promise_end(struct audit_chan *ch)
{
    struct core_item *item = item_new();

    if (item == NULL)
        return false;
    item->next = ch->ends;
    ch->ends = item;
    return true;
}

/* Hands an item over. may_wait: it stays in the channel while the queue is full or the disk fails. */
static enum gw_status push(struct audit_chan *ch, struct core_item *item, bool may_wait)
{
    enum gw_status st = GW_EAGAIN;

    if (push_late(ch))
        st = gw_queue_push(ch->a->queue, &item);
    if (st != GW_EAGAIN || !may_wait)
        return st;
    wait_late(ch, item);
    return GW_OK;
}

void audit_expect(struct audit_chan *ch)
{
    struct audit *a = ch->a;

    /* Where it last ran it will mostly run again: on this core it would only be in the way. */
    if (!a->looks_out || atomic_load(&a->writer_cpu) == sched_getcpu())
        return;
    atomic_store(&a->expected_cpu, sched_getcpu());
    atomic_store(&a->expected_ns, gw_clock_ns());
    if (atomic_exchange(&a->asleep, false))
        core_wake_writer(a);
}

static enum gw_status emit_disk(struct audit_chan *ch, const struct audit_event *ev,
                                audit_done_fn done, void *ctx)
{
    struct audit *a = ch->a;
    struct core_item *item;
    enum gw_status st;
    bool opens;

    if (done != NULL && ch->in_flight == CORE_CHAN_ITEMS)
        return GW_EAGAIN;
    if (ev->kind == AUDIT_DECIDED && !promise_end(ch))
        return GW_ENOMEM;
    if (atomic_load(&a->refusing) && !ev->ends_decided)
        return GW_EIO;
    item = item_for(ch, ev);
    if (item == NULL)
        return GW_ENOMEM;
    item->ch = ch;
    item->done = done;
    item->ctx = ctx;
    note_id(item, ev);
    event_write(&a->src, ev, &item->buf);
    st = gw_buf_ok(&item->buf) ? GW_OK : GW_ENOMEM;
    /* Its end needs room from now on, however far behind the writer is. */
    opens = item->entry.opens;
    if (opens)
        atomic_fetch_add(&a->spool->n_coming, 1);
    if (st == GW_OK &&
        !core_reserve(a, &a->full[0], item->buf.len + SPOOL_TAIL_BYTES, core_room(ev)))
        st = GW_ELIMIT;
    if (st == GW_OK) {
        size_t reserved = item->buf.len + SPOOL_TAIL_BYTES;

        st = push(ch, item, ev->ends_decided);
        if (opens) /* behind the push: whoever sees it finds the record */
            atomic_store(&a->expected_ns, 0);
        if (st != GW_OK)
            spool_unreserve(a->spool, reserved);
        else if (done != NULL)
            ch->in_flight++; /* only dispatch lowers it, on this thread */
    }
    if (st == GW_OK)
        return GW_OK; /* item is the writer's */
    if (opens)
        atomic_fetch_sub(&a->spool->n_coming, 1);
    item_free(item);
    return st;
}

enum gw_status audit_emit(struct audit_chan *ch, const struct audit_event *ev, audit_done_fn done,
                          void *ctx)
{
    struct audit *a = ch->a;
    struct audit_event copy = *ev;
    enum gw_status st;

    if (copy.time_ms == 0)
        copy.time_ms = gw_clock_wall_ms();
    if (copy.request_id.len > EVENT_ID_BYTES)
        copy.request_id.len = EVENT_ID_BYTES;
    copy.no_payload = spool_crowded(a->spool);
    st = a->process ? emit_process(ch, &copy) : emit_disk(ch, &copy, done, ctx);
    if (st == GW_ELIMIT && a->on_full == AUDIT_ON_FULL_CONTINUE) {
        /* The operator chose service over records: counted, and a sluice.gap will say so. */
        if (done != NULL)
            done(ctx, GW_OK);
        return GW_OK;
    }
    if (st != GW_OK) {
        atomic_fetch_add(&a->rejected, 1);
        return st;
    }
    if (a->process && done != NULL)
        done(ctx, GW_OK);
    return GW_OK;
}
