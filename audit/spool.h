/* audit/spool.h - the append-only files that are the truth of what happened.
 *
 * A spool is a directory of slots; a slot is a series of segments with one writing thread. Records of a
 * slot form a chain: an id and a sequence that never goes back and is never used twice. A chain whose
 * end is not intact is given up and the slot begins a new one.
 *
 *   spool/lock                 held (flock) by the one process that writes
 *   spool/s000-0000000001.seg  segments, see spool_format.h; written once, then only read and deleted
 *   spool/cursor               how far Kafka has acknowledged (audit/cursor.h); expendable
 *   spool/cursor.NAME          the same of another sink
 *   spool/index                which segments a start need not read again (audit/spool_index.h); expendable
 *   spool/quarantine/          bytes that failed their checksum
 *   spool/dead-letter.jsonl    records that Kafka refuses for good
 *   spool/dead-letter.NAME.jsonl   the same of another sink
 *
 * Invariants: (S1) bytes before a slot's `durable` position never change; those behind it may be taken back by a failed write, and
 * who passes records on never looks at them (kafka_feed.h); (S2) a segment that failed a
 * write or a sync is never written again; (S3) segments of a slot are deleted oldest first, never
 * the newest, never one at or behind which a decided request is still open; (S4)
 * used_bytes counts every byte of records, quarantine and dead letters, and is at most max_bytes; beyond it an open segment has
 * room allocated, two SPOOL_WINDOW_BYTES at most. */
#ifndef AUDIT_SPOOL_H
#define AUDIT_SPOOL_H

#include <sys/types.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/openset.h"
#include "audit/print_ring.h"
#include "audit/spool_format.h"
#include "audit/spool_link.h"
#include "audit/spool_window.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* The system calls that can fail in the middle of a life, replaceable by tests. */
struct spool_io {
    ssize_t (*write)(int fd, const void *bytes, size_t n);
    int (*fdatasync)(int fd);
    int (*allocate)(int fd, int mode, off_t from, off_t n); /* NULL: no windows */
};
extern struct spool_io spool_io;

/* A place in a slot: segment number above, byte offset below, so that places compare as numbers.
 * segment_bytes is below 4 GiB. */
typedef uint64_t spool_pos;
static inline spool_pos spool_pos_make(uint64_t segno, uint64_t offset)
{
    return segno << 32 | (offset & 0xFFFFFFFFu);
}

struct spool_seg {
    uint64_t segno;
    uint64_t bytes;   /* file size as far as it counts; final once closed */
    uint64_t records; /* final once closed */
    int64_t last_ms;  /* time of the last record; final once closed */
    unsigned n_open;  /* decided here, not completed */
    bool closed;
    bool whole;          /* closed, on the disk, and every byte of it is a record */
    uint64_t last_seq;   /* of the last record; final once closed */
    uint64_t changed_ns; /* whole: when the file was last changed, 0: not known yet */
};

/* A closed segment that the keeper still has to sync. */
struct spool_closing {
    int fd;
    unsigned slot;
    uint64_t segno;
};

struct spool;

/* How far one sink is in one slot. */
struct spool_mark {
    /* What its cursor said at the start: acknowledged up to this sequence of this segment. */
    uint64_t cursor_segno, cursor_seq;
    atomic_uint_fast64_t delivered; /* spool_pos behind the last acknowledged record */
    atomic_uint_fast64_t opening;   /* segment that its reader is about to open: stays; 0: none */
    atomic_uint_fast64_t reading;   /* segment that its reader has open, or was the last */
    atomic_uint_fast64_t lost;      /* records in segments that were deleted before it read them */
};

enum { SPOOL_MAX_SLOTS = 512, SPOOL_MAX_SINKS = 16, SPOOL_SINK_NAME_BYTES = 33 };

struct spool_slot {
    struct spool *sp;
    unsigned index;

    /* ---- of the writing thread ---- */
    char chain[SPOOL_CHAIN_BYTES];
    uint64_t next_seq;
    struct spool_link last; /* of the last record that was taken; the next one names it */
    struct spool_link
        kept; /* of the last durable one: where the chain goes on when a write fails */
    struct gw_span
        owed; /* the last record, while last is not made of it yet (spool_settle()); borrowed; disk: of unsynced */
    int fd;   /* -1: no open segment */
    uint64_t segno, last_segno; /* open one; highest ever used */
    uint64_t written, synced;   /* offsets in the open segment */
    uint64_t fd_at;             /* where write() goes on: records in a window moved nothing */
    struct spool_window window; /* process */
    uint64_t seg_records, seg_last_seq; /* in the open segment */
    int64_t seg_last_ms;
    bool dir_dirty;           /* a new file name is not synced yet */
    struct gw_buf unsynced;   /* disk: frames since the last good sync, kept for re-appending */
    bool spent;               /* disk: all of unsynced is durable, and goes with spool_settle() */
    size_t most_unsynced;     /* disk: bytes that were in unsynced, at most, since spool_slim() */
    size_t unwritten;         /* disk: where in unsynced the part begins that no write saw */
    uint64_t unsynced_first;  /* sequence of the first frame in unsynced */
    uint64_t dirty_since_ns;  /* disk: when unsynced became non-empty */
    uint64_t retry_ns;        /* 0, or no write is tried before this moment */
    uint64_t lost, lost_from; /* records lost by failed writes and the first sequence of them */
    int64_t failed_since_ms;  /* 0: writable */
    char failed_why[96];
    struct openset open;
    struct print_ring *prints; /* for the sealer; NULL: nobody seals */

    /* ---- under sp->lock ---- */
    struct spool_seg *segs; /* oldest first, the last one may be open */
    size_t n_segs, max_segs;

    /* ---- any thread ---- */
    atomic_uint_fast64_t durable; /* spool_pos behind the last durable record */
    struct spool_mark marks[SPOOL_MAX_SINKS];
    atomic_uint_fast64_t sealed; /* spool_pos behind the last record that a checkpoint covers */
};

/* A sink as the spool sees it. */
struct spool_sink_config {
    const char *name; /* of its cursor and its dead letters; "": Kafka's */
    bool yields;      /* above 90 % of the cap segments go although it has not passed them */
};

struct spool_config {
    const char *dir, *instance;
    uint64_t max_bytes, segment_bytes;
    unsigned n_slots; /* slots that will be written to, 1 to SPOOL_MAX_SLOTS */
    unsigned retain_seconds;
    bool process; /* durable means written, not synced */
    const struct spool_sink_config
        *sinks;       /* who reads the spool: what one has not passed is kept */
    unsigned n_sinks; /* at most SPOOL_MAX_SINKS */
    bool seal;        /* a sealer reads the spool: segments that are not sealed are never deleted */
};

struct spool {
    int dirfd, lockfd;
    uint64_t max_bytes, segment_bytes, retain_ms;
    bool process, seal;
    struct spool_sink {
        char name[SPOOL_SINK_NAME_BYTES];
        bool yields;
        atomic_uint_fast64_t undelivered; /* records */
    } sinks[SPOOL_MAX_SINKS];
    unsigned n_sinks;
    char *instance;
    unsigned char boot[SPOOL_BOOT_BYTES];
    struct spool_slot *slots; /* n_slots: those of the configuration and those found on disk */
    unsigned n_slots;
    pthread_mutex_t lock;             /* of the segment lists and of closing[] */
    struct spool_closing closing[64]; /* process only */
    unsigned n_closing;
    atomic_uint_fast64_t used_bytes;
    atomic_uint_fast64_t n_open;   /* requests decided and not completed */
    atomic_uint_fast64_t n_coming; /* those whose decided record is on its way to the writer */
    atomic_uint_fast64_t acked;    /* records that Kafka has acknowledged, since open */
    atomic_uint_fast64_t records, bytes, syncs;
    atomic_uint n_failed; /* slots that cannot be written now */
    uint32_t index_crc;   /* of the keeper: of what stands in the index */
};

/* Creates the directory, takes the lock, lists the segments. No slot is usable before spool_recover().
 * Errors: GW_EEXIST (locked by another process), GW_EIO, GW_ENOMEM. */
enum gw_status spool_open(const struct spool_config *cfg, struct spool **out, struct gw_err *err);

/* Closes without syncing: spool_sync() the slots first. sp may be NULL. */
void spool_close(struct spool *sp);

/* ---- writing: the slot's thread -------------------------------------------------------------- */

struct spool_entry {
    enum spool_kind kind;
    bool opens;  /* decided: the request is open from here on */
    bool closes; /* completed: it is not any more */
    int64_t time_ms;
    struct gw_span id; /* request id, for opens and closes */
};

/* How deep into the cap a record may reach. */
enum spool_room {
    SPOOL_ROOM_NEW,  /* leaves room for a completion of every open request */
    SPOOL_ROOM_END,  /* a completion */
    SPOOL_ROOM_LIFE, /* lifecycle: up to the cap */
};

/* Takes n bytes of the cap, false when there is no room. Thread: any. */
bool spool_reserve(struct spool *sp, uint64_t n, enum spool_room room);
void spool_unreserve(struct spool *sp, uint64_t n);

/* True above the first mark, 95 % of the cap: what a record can do without is left out. Only what no sink has taken yet lets a
 * spool get there; at 90 % delivered segments go. */
bool spool_crowded(const struct spool *sp);

/* Bytes left for new requests, what is kept for open ones and for lifecycle records taken off. */
uint64_t spool_room_left(struct spool *sp);

/* What spool_put() adds to a buffer at most: the link, the sequence and the closing braces. */
enum { SPOOL_TAIL_BYTES = SPOOL_LINK_BYTES + 24 };

/* What the buffer of unsynced records holds at least: any one record. */
enum { SPOOL_MIN_BUFFER_BYTES = SPOOL_MAX_PAYLOAD_BYTES + (32 << 10) };

/* Takes a record: buf holds SPOOL_FRAME_BYTES of room and then JSON that ends with `"sequence":`; the
 * link to the record before, the sequence, the closing braces and the frame are filled in. buf->len + SPOOL_TAIL_BYTES is reserved
 * before; what is not used is given back, on failure all of it. process: it is written when this
 * returns GW_OK, and the buffer of a record that opens a request stays borrowed until spool_settle(). disk: it is kept until spool_flush(). GW_EIO: cannot be written (process, or a slot
 * that failed a moment ago); GW_ELIMIT: too long; GW_ENOMEM. */
enum gw_status spool_put(struct spool_slot *s, struct gw_buf *buf, const struct spool_entry *e);

/* Makes up for what was left for later, so that a request does not wait for it: the fingerprint of the last record (process:
 * where it opened a request), and emptying the buffer behind spool_flush_first(). The next spool_put() does it, too. process:
 * before the buffer of that record changes or goes. Thread: the slot's. */
void spool_settle(struct spool_slot *s);

/* True while a slot waits after a failure. Thread: the slot's. */
bool spool_failing(const struct spool_slot *s);

/* disk: true when a record of n bytes should wait for a spool_flush(s, true), because the segment ends
 * before it and what is unsynced must stand in one segment. */
bool spool_wants_flush(const struct spool_slot *s, size_t n);

/* disk: makes room for a record of n bytes behind what is unsynced; false: there is no memory, a spool_flush(s, true) gives
 * some back. Thread: the slot's. */
bool spool_holds(struct spool_slot *s, size_t n);

/* disk: true when the buffer of unsynced records is empty, and as large as a crowd made it; spool_slim() makes it small again
 * and gives its memory back. Thread: the slot's. */
bool spool_is_fat(const struct spool_slot *s);
void spool_slim(struct spool_slot *s);

/* Forgets that a decided request is open: its record was lost. */
void spool_forget(struct spool_slot *s, struct gw_span id);

/* disk: writes what was put, and with sync makes it durable. On GW_EIO all that was put since the last
 * sync is lost and counted in s->lost. */
enum gw_status spool_flush(struct spool_slot *s, bool sync);

/* The same, so far as somebody waits for it: spool_settle() is to follow. */
enum gw_status spool_flush_first(struct spool_slot *s, bool sync);

/* Both: makes the open segment durable on the disk now (at the end, when idle). */
enum gw_status spool_sync(struct spool_slot *s);

/* True once after writes began to work again: *lost records from sequence *from on are gone. */
bool spool_recovered(struct spool_slot *s, uint64_t *lost, uint64_t *from, int64_t *since_ms);

/* Closes the open segment, so that the next record begins a new one. Synced before in disk mode. */
void spool_roll(struct spool_slot *s);

/* ---- keeping: one thread ----------------------------------------------------------------------- */

/* Syncs closed segments, deletes those past retention or, above 90 % of the cap, delivered ones. */
void spool_keep(struct spool *sp, int64_t now_ms);

/* Makes the windows that writing threads have asked for. */
void spool_keep_windows(struct spool *sp);

/* Milliseconds until spool_keep() can have something to do, or -1. */
int spool_keep_due_ms(struct spool *sp, int64_t now_ms);

/* The list entry of a segment, or NULL; sp->lock is held. */
struct spool_seg *spool_seg_of(struct spool_slot *s, uint64_t segno);

/* Registers a segment that recovery found. */
bool spool_seg_add(struct spool_slot *s, const struct spool_seg *seg);

#endif
