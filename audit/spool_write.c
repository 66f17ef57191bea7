/* audit/spool_write.c - appending to a slot: frames, rolling, syncing, and what happens when it fails.
 *
 *                put/flush ok                     segment full
 *      [no file] ------------> [open segment] --------------------> [no file]
 *          ^   new_segment()      |       close_segment()
 *          |                      | write or sync failed: abandon()
 *          +----------------------+--- once: new segment, re-append; twice: lose(), wait 200 ms
 *
 * Thread: the slot's own, but for the atomics and what sp->lock guards. */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/spool.h"
#include "base/clock.h"
#include "base/log.h"

struct spool_io spool_io = {write, fdatasync, fallocate};

enum {
    RETRY_MS = 200,               /* after a failure: between tries */
    MAX_IDLE_BYTES = 600 << 10,   /* of the buffer, when nothing goes through it */
    MAX_TOUCHED_BYTES = 64 << 10, /* of it, in memory */
    COMPLETION_BYTES = 3 << 10,   /* room kept for the completion of each open request */
    LIFE_BYTES = 128 << 10,       /* room kept for lifecycle records */
};

/* ---- room ------------------------------------------------------------------------------------ */

/* Of all requests that are open or about to be, and one more. */
static uint64_t completions(struct spool *sp)
{
    return (atomic_load(&sp->n_open) + atomic_load(&sp->n_coming) + 1) * COMPLETION_BYTES;
}

bool spool_reserve(struct spool *sp, uint64_t n, enum spool_room room)
{
    uint64_t kept = 0, used = atomic_load(&sp->used_bytes);

    if (room != SPOOL_ROOM_LIFE)
        kept += LIFE_BYTES;
    if (room == SPOOL_ROOM_NEW)
        kept += completions(sp);
    do {
        if (used + n + SPOOL_HEADER_BYTES + kept > sp->max_bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&sp->used_bytes, &used, used + n));
    return true;
}

bool spool_crowded(const struct spool *sp)
{
    return atomic_load(&sp->used_bytes) > sp->max_bytes / 20 * 19;
}

uint64_t spool_room_left(struct spool *sp)
{
    uint64_t taken =
        atomic_load(&sp->used_bytes) + SPOOL_HEADER_BYTES + LIFE_BYTES + completions(sp);

    return taken < sp->max_bytes ? sp->max_bytes - taken : 0;
}

void spool_unreserve(struct spool *sp, uint64_t n)
{
    atomic_fetch_sub(&sp->used_bytes, n);
}

/* ---- segments -------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *p, size_t n)
{
    while (n != 0) {
        ssize_t done = spool_io.write(fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            if (done == 0)
                errno = EIO;
            return false;
        }
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* Enters the final figures of the open segment into the list. */
static void settle(struct spool_slot *s, uint64_t bytes, bool whole)
{
    struct spool_seg *seg;

    (void)pthread_mutex_lock(&s->sp->lock);
    seg = spool_seg_of(s, s->segno);
    if (seg != NULL) {
        seg->bytes = bytes;
        seg->records = s->seg_records;
        seg->last_ms = s->seg_last_ms;
        seg->last_seq = s->seg_last_seq;
        seg->closed = true;
        seg->whole = whole;
    }
    (void)pthread_mutex_unlock(&s->sp->lock);
}

/* The open segment gets no window any more, and ends where its records do. */
static void end_windows(struct spool_slot *s)
{
    if (spool_window_drop(&s->window) > s->written && ftruncate(s->fd, (off_t)s->written) != 0)
        gw_log(GW_LOG_WARN, "audit_segment_not_cut", "slot=%u segment=%" PRIu64, s->index,
               s->segno); /* its readers see where it ends */
}

static void close_segment(struct spool_slot *s)
{
    struct spool *sp = s->sp;

    if (s->fd < 0)
        return;
    end_windows(s);
    settle(s, s->written, !sp->process && s->synced == s->written);
    if (sp->process) {
        /* The sync can take long: the keeper does it. */
        (void)pthread_mutex_lock(&sp->lock);
        if (sp->n_closing < sizeof(sp->closing) / sizeof(sp->closing[0])) {
            sp->closing[sp->n_closing++] = (struct spool_closing){s->fd, s->index, s->segno};
            s->fd = -1;
        }
        (void)pthread_mutex_unlock(&sp->lock);
    }
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}

/* Takes the half-made segment away again. */
static void drop_segment(struct spool_slot *s)
{
    char name[SPOOL_NAME_BYTES];

    spool_name(name, s->index, s->segno);
    (void)unlinkat(s->sp->dirfd, name, 0);
    (void)pthread_mutex_lock(&s->sp->lock);
    if (s->n_segs != 0 && s->segs[s->n_segs - 1].segno == s->segno) {
        s->n_segs--;
        spool_unreserve(s->sp, SPOOL_HEADER_BYTES);
    }
    (void)pthread_mutex_unlock(&s->sp->lock);
}

static bool new_segment(struct spool_slot *s)
{
    struct spool *sp = s->sp;
    unsigned char bytes[SPOOL_HEADER_BYTES];
    struct spool_header h = {.segno = s->last_segno + 1,
                             .first_seq = s->unsynced.len != 0 ? s->unsynced_first : s->next_seq,
                             .created_ms = gw_clock_wall_ms(),
                             .flags = sp->process ? SPOOL_FLAG_PROCESS : 0};
    struct spool_seg seg = {.segno = h.segno, .bytes = SPOOL_HEADER_BYTES, .last_ms = h.created_ms};
    char name[SPOOL_NAME_BYTES];
    int why;

    memcpy(h.prev_print, s->kept.print, sizeof(h.prev_print));
    memcpy(h.boot, sp->boot, sizeof(h.boot));
    memcpy(h.chain, s->chain, sizeof(h.chain));
    spool_header_encode(&h, bytes);
    spool_name(name, s->index, h.segno);
    s->fd = openat(sp->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0) {
        why = errno;
        /* A leftover with that name is no reason to fail for ever. */
        if (why == EEXIST)
            s->last_segno++;
        errno = why;
        return false;
    }
    s->segno = s->last_segno = h.segno;
    s->written = s->synced = 0;
    s->seg_records = 0;
    s->seg_last_seq = 0;
    s->seg_last_ms = h.created_ms;
    if (!write_all(s->fd, (const char *)bytes, sizeof(bytes)) || !spool_seg_add(s, &seg)) {
        why = errno;
        (void)close(s->fd);
        s->fd = -1;
        (void)unlinkat(sp->dirfd, name, 0);
        errno = why;
        return false;
    }
    atomic_fetch_add(&sp->used_bytes, SPOOL_HEADER_BYTES);
    s->written = s->fd_at = SPOOL_HEADER_BYTES;
    s->synced = 0;
    s->dir_dirty = true;
    return true;
}

/* Gives the segment up after a failed write or sync: the kernel may have dropped what it could not
 * store and call the next sync a success. Its confirmed part stays. */
static void abandon(struct spool_slot *s)
{
    uint64_t good = s->sp->process ? s->written : s->synced;
    int why = errno;

    (void)snprintf(s->failed_why, sizeof(s->failed_why), "%s", strerrordesc_np(why));
    if (s->fd < 0)
        return;
    (void)spool_window_drop(&s->window);
    gw_log(GW_LOG_ERROR, "audit_segment_abandoned", "slot=%u segment=%" PRIu64 " error=\"%s\"",
           s->index, s->segno, s->failed_why);
    if (good > SPOOL_HEADER_BYTES) {
        /* Without the truncation a reader would see records twice; it can tell by the sequence. */
        if (ftruncate(s->fd, (off_t)good) != 0)
            gw_log(GW_LOG_WARN, "audit_segment_not_cut", "slot=%u segment=%" PRIu64, s->index,
                   s->segno);
        settle(s, good, false);
    }
    (void)close(s->fd);
    s->fd = -1;
    if (good <= SPOOL_HEADER_BYTES)
        drop_segment(s);
}

/* One try to write n bytes behind what is there. */
static bool write_out(struct spool_slot *s, const char *p, size_t n)
{
    if (s->fd >= 0 && s->written > SPOOL_HEADER_BYTES && s->written + n > s->sp->segment_bytes)
        close_segment(s);
    if (s->fd < 0 && !new_segment(s))
        return false;
    if (s->sp->process) {
        bool failed = false;

        if (spool_window_put(&s->window, s->written, p, n, &failed)) {
            s->written += n;
            return true;
        }
        if (failed) {
            errno = EIO;
            return false;
        }
        if (s->fd_at != s->written && lseek(s->fd, (off_t)s->written, SEEK_SET) < 0)
            return false;
    }
    if (!write_all(s->fd, p, n))
        return false;
    s->written += n;
    s->fd_at = s->written;
    return true;
}

static bool sync_segment(struct spool_slot *s)
{
    if (s->fd < 0 || s->synced == s->written)
        return true;
    if (spool_io.fdatasync(s->fd) != 0)
        return false;
    if (s->dir_dirty && fsync(s->sp->dirfd) != 0)
        return false;
    s->dir_dirty = false;
    s->synced = s->written;
    atomic_fetch_add(&s->sp->syncs, 1);
    return true;
}

static void note_failure(struct spool_slot *s, uint64_t first_seq, uint64_t n)
{
    if (s->lost == 0)
        s->lost_from = first_seq;
    s->lost += n;
    if (s->failed_since_ms == 0) {
        s->failed_since_ms = gw_clock_wall_ms();
        atomic_fetch_add(&s->sp->n_failed, 1);
    }
    s->retry_ns = gw_clock_ns() + RETRY_MS * GW_NS_PER_MS;
}

static void note_success(struct spool_slot *s)
{
    s->retry_ns = 0;
}

bool spool_recovered(struct spool_slot *s, uint64_t *lost, uint64_t *from, int64_t *since_ms)
{
    if (s->failed_since_ms == 0 || s->retry_ns != 0)
        return false;
    *lost = s->lost;
    *from = s->lost_from;
    *since_ms = s->failed_since_ms;
    s->lost = s->lost_from = 0;
    s->failed_since_ms = 0;
    atomic_fetch_sub(&s->sp->n_failed, 1);
    return true;
}

/* ---- records --------------------------------------------------------------------------------- */

static uint64_t newest_segment(struct spool_slot *s)
{
    uint64_t segno;

    (void)pthread_mutex_lock(&s->sp->lock);
    segno = s->n_segs != 0 ? s->segs[s->n_segs - 1].segno : 0;
    (void)pthread_mutex_unlock(&s->sp->lock);
    return segno;
}

/* Counts requests in and out, and holds the segment of the decided one (S3): the newest that there is, in front of which the
 * record cannot come to stand. */
static void track(struct spool_slot *s, const struct spool_entry *e)
{
    uint64_t segno = s->fd >= 0 ? s->segno : newest_segment(s);
    struct spool_seg *seg;
    bool changed;

    if (!e->opens && !e->closes)
        return;
    if (e->opens)
        changed = openset_add(&s->open, e->id, &segno, 0);
    else
        changed = openset_remove(&s->open, e->id, &segno);
    if (!changed)
        return;
    if (e->opens)
        atomic_fetch_add(&s->sp->n_open, 1);
    else
        atomic_fetch_sub(&s->sp->n_open, 1);
    (void)pthread_mutex_lock(&s->sp->lock);
    seg = spool_seg_of(s, segno);
    if (seg != NULL && e->opens)
        seg->n_open++;
    else if (seg != NULL && seg->n_open != 0)
        seg->n_open--;
    (void)pthread_mutex_unlock(&s->sp->lock);
}

void spool_forget(struct spool_slot *s, struct gw_span id)
{
    const struct spool_entry e = {.closes = true, .id = id};

    track(s, &e);
}

/* n_records are durable, the last of them is the one before next_seq. */
static void count(struct spool_slot *s, uint64_t n_records, uint64_t n_bytes, int64_t time_ms)
{
    s->seg_records += n_records;
    s->seg_last_seq = s->next_seq - 1;
    s->seg_last_ms = time_ms > s->seg_last_ms ? time_ms : s->seg_last_ms;
    atomic_fetch_add(&s->sp->records, n_records);
    atomic_fetch_add(&s->sp->bytes, n_bytes);
    for (unsigned k = 0; k < s->sp->n_sinks; k++)
        atomic_fetch_add(&s->sp->sinks[k].undelivered, n_records);
}

static struct gw_span payload_of(const struct gw_buf *frame)
{
    return gw_span_from(gw_buf_span(frame), SPOOL_FRAME_BYTES);
}

/* Fills in the link, the sequence, the end of the JSON and the frame. */
static bool finish(struct spool_slot *s, struct gw_buf *buf, const struct spool_entry *e)
{
    struct spool_rec rec = {e->kind, s->next_seq, e->time_ms, {NULL, 0}};

    if (!spool_link_put(buf, s->chain, &s->last))
        return false;
    gw_buf_addu(buf, s->next_seq);
    gw_buf_add(buf, GW_SPAN("}}"));
    if (!gw_buf_ok(buf) || buf->len > SPOOL_FRAME_BYTES + SPOOL_MAX_PAYLOAD_BYTES)
        return false;
    rec.payload = payload_of(buf);
    spool_frame_encode(&rec, (unsigned char *)buf->ptr);
    return true;
}

/* The record that was taken is the one that the next one names, and a leaf of the tree. */
static void note_print(struct spool_slot *s, struct gw_span record, uint64_t seq)
{
    spool_link_of(record, &s->last);
    if (s->prints != NULL)
        print_ring_put(s->prints, seq, s->last.print);
}

void spool_settle(struct spool_slot *s)
{
    if (s->owed.ptr != NULL)
        note_print(s, s->owed, s->next_seq - 1);
    s->owed = (struct gw_span){NULL, 0};
    if (!s->sp->process && !s->spent)
        return;
    s->kept = s->last;
    gw_buf_clear(&s->unsynced);
    s->unwritten = 0;
    s->spent = false;
}

static enum gw_status put_written(struct spool_slot *s, const struct gw_buf *buf,
                                  const struct spool_entry *e)
{
    bool ok = write_out(s, buf->ptr, buf->len);

    if (!ok) {
        abandon(s);
        ok = write_out(s, buf->ptr, buf->len);
    }
    if (!ok) {
        abandon(s);
        note_failure(s, s->next_seq, 1);
        s->next_seq++; /* never reused: bytes of the failed write may still turn up */
        spool_unreserve(s->sp, buf->len);
        return GW_EIO;
    }
    note_success(s);
    s->owed = payload_of(buf);
    s->next_seq++;
    if (!e->opens) /* nobody waits: the buffer is the caller's again */
        spool_settle(s);
    count(s, 1, buf->len, e->time_ms);
    track(s, e);
    atomic_store(&s->durable, spool_pos_make(s->segno, s->written));
    if (e->opens) /* somebody waits for the next one */
        spool_window_ask(&s->window, s->segno, s->written, s->sp->segment_bytes);
    return GW_OK;
}

bool spool_failing(const struct spool_slot *s)
{
    return s->retry_ns != 0 && gw_clock_ns() < s->retry_ns;
}

enum gw_status spool_put(struct spool_slot *s, struct gw_buf *buf, const struct spool_entry *e)
{
    struct spool *sp = s->sp;
    size_t reserved = buf->len + SPOOL_TAIL_BYTES;

    spool_settle(s);
    if (spool_failing(s) || !finish(s, buf, e)) {
        spool_unreserve(sp, reserved);
        return spool_failing(s) ? GW_EIO : gw_buf_ok(buf) ? GW_ELIMIT : GW_ENOMEM;
    }
    spool_unreserve(sp, reserved - buf->len);
    if (sp->process)
        return put_written(s, buf, e);
    if (s->unsynced.len == 0) {
        s->unsynced_first = s->next_seq;
        s->dirty_since_ns = gw_clock_ns();
    }
    gw_buf_add(&s->unsynced, gw_buf_span(buf));
    if (!gw_buf_ok(&s->unsynced)) {
        /* gw_buf keeps what it had before the failed growth. */
        s->unsynced.failed = false;
        spool_unreserve(sp, buf->len);
        return GW_ENOMEM;
    }
    if (s->unsynced.len > s->most_unsynced)
        s->most_unsynced = s->unsynced.len;
    s->owed =
        gw_span_from(gw_buf_span(&s->unsynced), s->unsynced.len - buf->len + SPOOL_FRAME_BYTES);
    s->next_seq++;
    s->seg_last_ms = e->time_ms > s->seg_last_ms ? e->time_ms : s->seg_last_ms;
    track(s, e);
    return GW_OK;
}

bool spool_holds(struct spool_slot *s, size_t n)
{
    bool ok;

    spool_settle(s); /* the buffer may move */
    ok = gw_buf_reserve(&s->unsynced, n);
    s->unsynced.failed = false; /* it keeps what it had before the failed growth */
    return ok;
}

bool spool_wants_flush(const struct spool_slot *s, size_t n)
{
    return s->fd >= 0 && s->unsynced.len != 0 &&
           s->written + (s->unsynced.len - s->unwritten) + n > s->sp->segment_bytes;
}

/* Writes everything unsynced into one segment and syncs it when asked. */
static bool flush_once(struct spool_slot *s, bool sync)
{
    size_t n = s->unsynced.len - s->unwritten;

    if (n != 0 && !write_out(s, s->unsynced.ptr + s->unwritten, n))
        return false;
    s->unwritten = s->unsynced.len;
    return !sync || sync_segment(s);
}

bool spool_is_fat(const struct spool_slot *s)
{
    return s->unsynced.len == 0 && s->most_unsynced > MAX_TOUCHED_BYTES;
}

/* An empty buffer needs its room, but no memory behind it: also a fresh one lies where others have written before. */
static void give_pages(const struct gw_buf *empty)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)empty->ptr;
    uintptr_t first = (from + page) & ~(page - 1), end = (from + empty->cap) & ~(page - 1);

    if (end > first)
        (void)madvise(empty->ptr + (first - from), end - first, MADV_DONTNEED);
}

void spool_slim(struct spool_slot *s)
{
    struct gw_buf small = {0};

    if (s->unsynced.cap > MAX_IDLE_BYTES && gw_buf_reserve(&small, SPOOL_MIN_BUFFER_BYTES)) {
        gw_buf_fini(&s->unsynced);
        s->unsynced = small;
    }
    give_pages(&s->unsynced);
    s->most_unsynced = 0;
}

enum gw_status spool_flush_first(struct spool_slot *s, bool sync)
{
    uint64_t n = s->next_seq - s->unsynced_first;
    bool ok;

    if (s->spent)
        spool_settle(s);
    if (s->unsynced.len == 0)
        return GW_OK;
    ok = flush_once(s, sync);
    if (!ok) {
        abandon(s);
        s->unwritten = 0;
        ok = flush_once(s, sync);
    }
    if (!ok) {
        abandon(s);
        note_failure(s, s->unsynced_first, n);
        spool_unreserve(s->sp, s->unsynced.len);
        gw_buf_clear(&s->unsynced);
        s->unwritten = 0;
        s->owed = (struct gw_span){NULL, 0};
        s->last = s->kept;
        return GW_EIO;
    }
    note_success(s);
    if (!sync)
        return GW_OK;
    count(s, n, s->unsynced.len, s->seg_last_ms);
    s->spent = true;
    atomic_store(&s->durable, spool_pos_make(s->segno, s->written));
    return GW_OK;
}

enum gw_status spool_flush(struct spool_slot *s, bool sync)
{
    enum gw_status st = spool_flush_first(s, sync);

    spool_settle(s);
    return st;
}

enum gw_status spool_sync(struct spool_slot *s)
{
    if (!s->sp->process)
        return spool_flush(s, true);
    if (s->fd >= 0)
        end_windows(s);
    return sync_segment(s) ? GW_OK : GW_EIO;
}

void spool_roll(struct spool_slot *s)
{
    close_segment(s);
}
