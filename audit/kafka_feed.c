/* audit/kafka_feed.c - reading slots for a sink. Owns the readers and the rings. */
#include "audit/kafka_feed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void feed_init(struct feed *f, struct spool_slot *slot, unsigned sink)
{
    memset(f, 0, sizeof(*f));
    f->slot = slot;
    f->r = SPOOL_READER_CLOSED;
    if (sink == FEED_NO_SINK)
        return;
    f->mark = &slot->marks[sink];
    f->acked_segno = f->mark->cursor_segno;
    f->acked_seq = f->mark->cursor_seq;
}

void feed_fini(struct feed *f)
{
    spool_reader_fini(&f->r);
    free(f->ring);
    f->ring = NULL;
}

/* The lowest segment number of the slot that is at least `from`, or 0. It is not deleted until it is open, or given up. */
static uint64_t find_segment(struct feed *f, uint64_t from)
{
    struct spool_slot *s = f->slot;
    uint64_t found = 0;

    (void)pthread_mutex_lock(&s->sp->lock);
    for (size_t i = 0; i < s->n_segs && found == 0; i++)
        if (s->segs[i].segno >= from)
            found = s->segs[i].segno;
    if (f->mark != NULL)
        atomic_store(&f->mark->opening, found);
    (void)pthread_mutex_unlock(&s->sp->lock);
    return found;
}

/* Lets the reader of segment segno look at durable bytes only: what stands behind them a failed write may take back, and a
 * reader that has it in its buffer already would send a record that the ledger calls lost. */
static void bound(struct feed *f, uint64_t segno, spool_pos durable)
{
    struct spool_slot *s = f->slot;
    const struct spool_seg *seg;

    f->bounded = segno < durable >> 32;
    f->r.until = durable & 0xFFFFFFFFu;
    if (!f->bounded)
        return;
    (void)pthread_mutex_lock(&s->sp->lock);
    seg = spool_seg_of(s, segno);
    f->r.until = seg != NULL ? seg->bytes : 0; /* final: writing is at a later one */
    (void)pthread_mutex_unlock(&s->sp->lock);
}

/* Opens the segment and notices when a new chain begins with it. */
static bool open_segment(struct feed *f, uint64_t segno, spool_pos durable)
{
    struct gw_err err;
    enum gw_status st;
    bool opened;

    bound(f, segno, durable);
    st = spool_reader_open(&f->r, f->slot->sp->dirfd, f->slot->index, segno, &err);
    opened = st == GW_OK || st == GW_ECORRUPT;
    if (f->mark != NULL && opened)
        atomic_store(&f->mark->reading, segno);
    if (f->mark != NULL)
        atomic_store(&f->mark->opening, 0);
    if (!opened) {
        gw_log(GW_LOG_ERROR, "audit_sender_read_failed", "error=\"%s\"", err.text);
        return false;
    }
    if (st == GW_OK && strcmp(f->chain, f->r.header.chain) != 0) {
        memcpy(f->chain, f->r.header.chain, sizeof(f->chain));
        f->last_seq = 0;
    }
    return true;
}

/* Opens the first segment from that number on when the durable part reaches there. */
static bool open_from(struct feed *f, uint64_t from, spool_pos durable)
{
    uint64_t segno = find_segment(f, from);

    if (segno != 0 && segno << 32 <= durable)
        return open_segment(f, segno, durable);
    if (f->mark != NULL)
        atomic_store(&f->mark->opening, 0);
    return false;
}

/* Stands behind the cursor, at its segment or at the first one after it. */
static bool place(struct feed *f)
{
    f->chain[0] = '\0';
    f->last_seq = 0;
    if (!open_from(f, f->acked_segno, atomic_load(&f->slot->durable)))
        return false;
    if (f->r.segno == f->acked_segno)
        f->last_seq = f->acked_seq; /* what is not above is skipped */
    f->placed = true;
    return true;
}

/* Goes to the next segment when the durable part goes on there. */
static bool advance(struct feed *f, spool_pos durable)
{
    return f->r.segno < durable >> 32 && open_from(f, f->r.segno + 1, durable);
}

bool feed_next(struct feed *f, struct spool_rec *rec)
{
    spool_pos durable = atomic_load(&f->slot->durable);

    if (!f->placed && !place(f))
        return false;
    for (;;) {
        uint64_t at = f->r.off, skipped;
        enum spool_read got;

        if (spool_pos_make(f->r.segno, at) >= durable)
            return false;
        if (!f->bounded)
            bound(f, f->r.segno, durable);
        got = spool_reader_next(&f->r, rec);
        switch (got) {
        case SPOOL_READ_REC:
            if (rec->seq <= f->last_seq)
                continue; /* sent already, or written twice around a failed write */
            f->last_seq = rec->seq;
            return true;
        case SPOOL_READ_END:
            if (!advance(f, durable))
                return false;
            break;
        case SPOOL_READ_TORN:
        case SPOOL_READ_BAD:
            /* The end of a segment that failed a write; or damage since the start. */
            skipped = spool_reader_resync(&f->r);
            gw_log(GW_LOG_WARN, "audit_sender_skipped",
                   "slot=%u segment=%" PRIu64 " bytes=%" PRIu64, f->slot->index, f->r.segno,
                   skipped);
            if (skipped == 0)
                return false;
            break;
        case SPOOL_READ_EIO:
            return false;
        }
    }
}

void feed_unread(struct feed *f, const struct spool_rec *rec)
{
    f->r.off -= SPOOL_FRAME_BYTES + rec->payload.len;
    f->last_seq = rec->seq - 1;
}

bool feed_push(struct feed *f, const struct spool_rec *rec, uint64_t *ticket)
{
    if (f->tail - f->head == f->cap) {
        size_t cap = f->cap == 0 ? 256 : f->cap * 2;
        struct feed_sent *ring = calloc(cap, sizeof(*ring));

        if (ring == NULL)
            return false;
        for (uint64_t i = f->head; i < f->tail; i++)
            ring[i & (cap - 1)] = f->ring[i & (f->cap - 1)];
        free(f->ring);
        f->ring = ring;
        f->cap = cap;
    }
    *ticket = f->tail;
    f->ring[f->tail++ & (f->cap - 1)] =
        (struct feed_sent){spool_pos_make(f->r.segno, f->r.off), rec->seq, rec->time_ms, false};
    return true;
}

unsigned feed_ack(struct feed *f, uint64_t ticket)
{
    unsigned n = 0;

    if (ticket < f->head || ticket >= f->tail)
        return 0;
    f->ring[ticket & (f->cap - 1)].acked = true;
    while (f->head < f->tail && f->ring[f->head & (f->cap - 1)].acked) {
        const struct feed_sent *e = &f->ring[f->head & (f->cap - 1)];

        f->acked_segno = e->end >> 32;
        f->acked_seq = e->seq;
        atomic_store(&f->mark->delivered, e->end);
        f->moved = true;
        f->head++;
        n++;
    }
    return n;
}

void feed_rewind(struct feed *f)
{
    f->head = f->tail;
    f->placed = false;
}

bool feed_waiting(const struct feed *f)
{
    spool_pos durable = atomic_load(&f->slot->durable);

    if (!f->placed)
        return f->mark == NULL || durable > atomic_load(&f->mark->delivered);
    return spool_pos_make(f->r.segno, f->r.off) < durable;
}

/* The cursor as a file entry; false when it never moved. */
static bool feed_cursor(struct feed *f, struct cursor_entry *out)
{
    struct spool_reader r = SPOOL_READER_CLOSED;

    if (f->acked_segno == 0)
        return false;
    if (f->saved.segno != f->acked_segno || f->saved.chain[0] == '\0') {
        /* The chain id stands in the segment's header; a deleted segment needs none. */
        memset(f->saved.chain, 0, sizeof(f->saved.chain));
        if (spool_reader_open(&r, f->slot->sp->dirfd, f->slot->index, f->acked_segno, NULL) ==
            GW_OK)
            memcpy(f->saved.chain, r.header.chain, sizeof(f->saved.chain));
        spool_reader_fini(&r);
    }
    f->saved.slot = f->slot->index;
    f->saved.segno = f->acked_segno;
    f->saved.seq = f->acked_seq;
    *out = f->saved;
    f->moved = false;
    return true;
}

bool feeds_waiting(const struct feed *feeds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (feed_waiting(&feeds[i]))
            return true;
    return false;
}

bool feeds_moved(const struct feed *feeds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (feeds[i].moved)
            return true;
    return false;
}

void feeds_save(struct feed *feeds, unsigned n, const char *sink)
{
    struct cursor_entry *entries = calloc(n, sizeof(*entries));
    struct gw_err err;
    size_t used = 0;

    if (entries == NULL)
        return;
    for (unsigned i = 0; i < n; i++)
        if (feed_cursor(&feeds[i], &entries[used]))
            used++;
    if (cursor_save(feeds[0].slot->sp->dirfd, sink, entries, used, &err) != GW_OK)
        gw_log(GW_LOG_WARN, "audit_cursor_failed", "sink=%s why=\"%s\"",
               sink[0] == '\0' ? "kafka" : sink, err.text);
    free(entries);
}
