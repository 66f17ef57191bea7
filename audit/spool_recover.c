/* audit/spool_recover.c - reading the spool at a start, and repairing it. Thread: the opener's. */
#include "audit/spool_recover.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/event_read.h"
#include "audit/spool_index.h"
#include "audit/spool_read.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"

void spool_new_chain(struct spool_slot *s)
{
    unsigned char salt[4];
    char hex[2 * sizeof(salt) + 1];

    gw_random(salt, sizeof(salt));
    gw_hex(salt, sizeof(salt), hex);
    memset(s->chain, 0, sizeof(s->chain));
    (void)snprintf(s->chain, sizeof(s->chain), "%.100s/%s.%u", s->sp->instance, hex, s->index);
    s->next_seq = 1;
    memset(&s->last, 0, sizeof(s->last));
    memset(&s->kept, 0, sizeof(s->kept));
}

void spool_recovery_fini(struct spool_recovery *rec)
{
    free(rec->damages);
    *rec = (struct spool_recovery){NULL, 0, 0, 0};
}

/* ---- scanning ---------------------------------------------------------------------------------- */

enum { MAX_TOLD = 64 };

/* What is known while the segments of one slot go by. */
struct scan {
    struct spool *sp;
    struct spool_slot *s;
    struct spool_recovery *out;
    struct spool_reader r;
    struct spool_index index;
    bool read_on;                  /* no further segment of this slot is skipped */
    char chain[SPOOL_CHAIN_BYTES]; /* of the segment before */
    uint64_t last_seq;             /* of the last sound record in this chain, 0: none */
    struct told {
        uint64_t segno, bytes;
        unsigned slot;
    } told[MAX_TOLD]; /* the latest gap records; all stand in slot 0, which is read first */
    size_t n_told;
    bool last_damaged;    /* the latest segment is not intact to its end */
    bool last_lost_power; /* written with process durability before this boot */
};

static void note_damage(struct scan *sc, const struct spool_damage *d)
{
    struct spool_recovery *out = sc->out;

    out->n_damaged++;
    if (out->n_damages == SPOOL_MAX_DAMAGES)
        return;
    if (out->damages == NULL)
        out->damages = calloc(SPOOL_MAX_DAMAGES, sizeof(*out->damages));
    if (out->damages != NULL)
        out->damages[out->n_damages++] = *d;
}

/* Remembers a gap record of an earlier start, so that its damage is not told again. */
static void take_life(struct scan *sc, struct gw_span json)
{
    char code[32], name[SPOOL_NAME_BYTES] = "";
    struct told *t = &sc->told[sc->n_told % MAX_TOLD];
    struct gw_span segment;

    if (!gw_span_is(event_str(json, "event_code", code, sizeof(code)), "sluice.gap"))
        return;
    segment = event_str(json, "sluice.segment", name, sizeof(name) - 1);
    if (segment.len == 0)
        return;
    name[segment.len] = '\0';
    if (spool_name_parse(name, &t->slot, &t->segno) && event_num(json, "sluice.bytes", &t->bytes))
        sc->n_told++;
}

static bool was_told(const struct scan *sc, const struct spool_damage *d)
{
    for (size_t i = 0; i < sc->n_told && i < MAX_TOLD; i++)
        if (sc->told[i].slot == d->slot && sc->told[i].segno == d->segno &&
            sc->told[i].bytes == d->bytes)
            return true;
    return false;
}

/* What the cursors say of a record: which sinks have it. */
static void pass_sinks(struct scan *sc, const struct spool_rec *rec, uint64_t segno)
{
    for (unsigned k = 0; k < sc->sp->n_sinks; k++) {
        struct spool_mark *m = &sc->s->marks[k];

        if (segno < m->cursor_segno || (segno == m->cursor_segno && rec->seq <= m->cursor_seq))
            atomic_store(&m->delivered, spool_pos_make(segno, sc->r.off));
        else
            atomic_fetch_add(&sc->sp->sinks[k].undelivered, 1);
    }
}

/* Counts a sound record and follows its request. False when out of memory. */
static bool take_record(struct scan *sc, const struct spool_rec *rec, uint64_t at,
                        struct spool_seg *seg)
{
    struct spool_slot *s = sc->s;
    char id_bytes[EVENT_ID_BYTES];
    struct gw_span id;
    uint64_t segno = seg->segno;

    /* A frame that was written twice around a failed write. */
    if (rec->seq <= sc->last_seq)
        return true;
    sc->last_seq = rec->seq;
    seg->records++;
    seg->last_ms = rec->time_ms > seg->last_ms ? rec->time_ms : seg->last_ms;
    sc->out->n_records++;
    pass_sinks(sc, rec, segno);
    if (rec->kind == SPOOL_KIND_LIFECYCLE)
        take_life(sc, rec->payload);
    if (rec->kind != SPOOL_KIND_DECIDED && rec->kind != SPOOL_KIND_COMPLETED)
        return true;
    id = event_request_id(rec->payload, id_bytes);
    if (id.len == 0)
        return true;
    if (rec->kind == SPOOL_KIND_DECIDED) {
        if (!openset_add(&s->open, id, &segno, (uint32_t)at))
            return false;
        atomic_fetch_add(&sc->sp->n_open, 1);
    } else if (openset_remove(&s->open, id, &segno)) {
        atomic_fetch_sub(&sc->sp->n_open, 1);
    }
    return true;
}

/* How many records a hole in front of that sequence held. Where older segments are past retention, the header says where this
 * one begins; without either nothing is known. */
static uint64_t missing_before(const struct scan *sc, const struct spool_damage *d, uint64_t seq)
{
    uint64_t next = sc->last_seq + 1;

    if (sc->last_seq == 0)
        next = d->header ? seq : sc->r.header.first_seq;
    return seq > next ? seq - next : 0;
}

/* Reads the records of the open segment. */
static enum gw_status scan_records(struct scan *sc, struct spool_seg *seg, struct spool_damage *d,
                                   struct gw_err *err)
{
    struct spool_rec rec;
    bool hole = d->header; /* what stood between the last sound record and here cannot be read */

    d->torn = !d->header;
    for (;;) {
        uint64_t at = sc->r.off;
        enum spool_read got = spool_reader_next(&sc->r, &rec);

        switch (got) {
        case SPOOL_READ_REC:
            if (hole) {
                d->after = rec.seq;
                d->missing += missing_before(sc, d, rec.seq);
                hole = false;
            }
            if (!take_record(sc, &rec, at, seg))
                return gw_fail(err, GW_ENOMEM, "audit spool: out of memory in recovery");
            break;
        case SPOOL_READ_END:
            return GW_OK;
        case SPOOL_READ_TORN:
        case SPOOL_READ_BAD:
            if (d->bytes == 0)
                d->before = sc->last_seq != 0 ? sc->last_seq : sc->r.header.first_seq - 1;
            if (got == SPOOL_READ_BAD)
                d->torn = false;
            hole = true;
            d->after = 0;
            d->bytes += spool_reader_resync(&sc->r);
            break;
        case SPOOL_READ_EIO:
            return gw_fail(err, GW_EIO, "audit spool: segment %" PRIu64 " of slot %u: %s",
                           seg->segno, sc->s->index, strerrordesc_np(errno));
        }
    }
}

/* Takes over what the index says of a segment. False: it has to be read. Where a request is open, its end may be in here; and
 * behind a segment that is held for one, that one may begin (track() in spool_write.c). */
static bool skip_segment(struct scan *sc, const struct spool_file *f)
{
    struct spool_slot *s = sc->s;
    const struct spool_index_entry *e;
    struct spool_seg seg = {.segno = f->segno, .bytes = f->bytes, .closed = true, .whole = true};

    for (unsigned k = 0; k < sc->sp->n_sinks; k++)
        if (f->segno == s->marks[k].cursor_segno)
            return false; /* how much of it has gone is not in the index */
    if (sc->read_on || s->open.len != 0)
        return false;
    e = spool_index_find(&sc->index, sc->sp->dirfd, f->slot, f->segno);
    if (e == NULL || e->bytes != f->bytes ||
        spool_reader_open(&sc->r, sc->sp->dirfd, f->slot, f->segno, NULL) != GW_OK) {
        sc->read_on = true;
        return false;
    }
    memcpy(sc->chain, sc->r.header.chain, sizeof(sc->chain));
    sc->last_seq = seg.last_seq = e->last_seq;
    seg.records = e->records;
    seg.last_ms = e->last_ms;
    seg.changed_ns = e->changed_ns;
    if (!spool_seg_add(s, &seg))
        return false;
    sc->out->n_records += e->records;
    for (unsigned k = 0; k < sc->sp->n_sinks; k++) {
        if (f->segno < s->marks[k].cursor_segno)
            atomic_store(&s->marks[k].delivered, spool_pos_make(f->segno, f->bytes));
        else
            atomic_fetch_add(&sc->sp->sinks[k].undelivered, e->records);
    }
    atomic_fetch_add(&sc->sp->used_bytes, seg.bytes);
    return true;
}

/* Cuts off what was allocated ahead of the records (spool_window.h). */
static void cut_room(const struct scan *sc, struct spool_seg *seg, unsigned slot)
{
    char name[SPOOL_NAME_BYTES];
    int fd;

    spool_name(name, slot, seg->segno);
    fd = openat(sc->sp->dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && ftruncate(fd, (off_t)sc->r.off) == 0)
        seg->bytes = sc->r.off;
    else
        gw_log(GW_LOG_WARN, "audit_segment_not_cut", "slot=%u segment=%" PRIu64, slot, seg->segno);
    if (fd >= 0)
        (void)close(fd);
}

static enum gw_status scan_segment(struct scan *sc, const struct spool_file *f, bool is_last,
                                   struct gw_err *err)
{
    struct spool_seg seg = {.segno = f->segno, .bytes = f->bytes, .closed = true};
    struct spool_damage d = {.slot = f->slot, .segno = f->segno};
    char name[SPOOL_NAME_BYTES];
    enum gw_status st;

    if (f->bytes == 0) {
        /* Killed between creating the file and writing its header: nothing was in it. */
        spool_name(name, f->slot, f->segno);
        (void)unlinkat(sc->sp->dirfd, name, 0);
        return GW_OK;
    }
    st = spool_reader_open(&sc->r, sc->sp->dirfd, f->slot, f->segno, err);
    if (st != GW_OK && st != GW_ECORRUPT)
        return st;
    if (st == GW_ECORRUPT) {
        d.header = true;
        d.bytes = f->bytes < SPOOL_HEADER_BYTES ? f->bytes : SPOOL_HEADER_BYTES;
        d.before = sc->last_seq;
        memcpy(sc->r.header.chain, sc->chain, sizeof(sc->chain));
    } else if (strcmp(sc->r.header.chain, sc->chain) != 0) {
        memcpy(sc->chain, sc->r.header.chain, sizeof(sc->chain));
        sc->last_seq = 0;
    }
    seg.last_ms = sc->r.header.created_ms;
    memcpy(d.chain, sc->chain, sizeof(d.chain));
    GW_TRY(scan_records(sc, &seg, &d, err));
    sc->last_lost_power = (sc->r.header.flags & SPOOL_FLAG_PROCESS) != 0 &&
                          memcmp(sc->r.header.boot, sc->sp->boot, SPOOL_BOOT_BYTES) != 0;
    if (sc->r.off < seg.bytes && d.bytes == 0 && sc->last_lost_power) {
        d.before = sc->last_seq; /* records may have stood there: the machine went down */
        d.bytes = seg.bytes - sc->r.off;
    } else if (sc->r.off < seg.bytes) {
        cut_room(sc, &seg, f->slot);
    }
    if (d.bytes != 0)
        note_damage(sc, &d);
    sc->last_damaged = d.bytes != 0;
    seg.last_seq = sc->last_seq;
    seg.whole = d.bytes == 0 && !is_last;
    atomic_fetch_add(&sc->sp->used_bytes, seg.bytes);
    if (!spool_seg_add(sc->s, &seg))
        return gw_fail(err, GW_ENOMEM, "audit spool: out of memory in recovery");
    return GW_OK;
}

/* Finds the last record, which the next one has to name. */
static bool find_last(struct scan *sc)
{
    struct spool_rec rec;
    uint64_t last_segno = sc->s->segs[sc->s->n_segs - 1].segno;

    if (spool_reader_open(&sc->r, sc->sp->dirfd, sc->s->index, last_segno, NULL) != GW_OK)
        return false;
    while (spool_reader_next(&sc->r, &rec) == SPOOL_READ_REC)
        if (rec.seq == sc->last_seq)
            spool_link_of(rec.payload, &sc->s->last);
    sc->s->kept = sc->s->last;
    return sc->s->last.any;
}

/* Decides whether the slot's chain goes on. */
static void end_slot(struct scan *sc)
{
    struct spool_slot *s = sc->s;
    const char *slash = strrchr(sc->chain, '/');

    s->last_segno = s->n_segs == 0 ? 0 : s->segs[s->n_segs - 1].segno;
    /* Numbers are not used twice, even when the segments are gone: the cursor counts in them. */
    for (unsigned k = 0; k < s->sp->n_sinks; k++)
        if (s->marks[k].cursor_segno > s->last_segno)
            s->last_segno = s->marks[k].cursor_segno;
    if (s->n_segs != 0) {
        const struct spool_seg *last = &s->segs[s->n_segs - 1];

        atomic_store(&s->durable, spool_pos_make(last->segno, last->bytes));
    }
    spool_new_chain(s);
    if (s->n_segs == 0 || sc->last_seq == 0 || sc->last_damaged || sc->last_lost_power ||
        slash == NULL || strlen(sc->sp->instance) != (size_t)(slash - sc->chain) ||
        strncmp(sc->chain, sc->sp->instance, (size_t)(slash - sc->chain)) != 0 || !find_last(sc))
        return;
    memcpy(s->chain, sc->chain, sizeof(s->chain));
    s->next_seq = sc->last_seq + 1;
}

/* Holds the segments in which open requests were decided. */
static void hold_open(struct spool_slot *s)
{
    const struct openset_entry *e;
    size_t at = 0;

    while ((e = openset_next(&s->open, &at)) != NULL)
        for (size_t i = 0; i < s->n_segs; i++)
            if (s->segs[i].segno == e->segno)
                s->segs[i].n_open += e->count;
}

enum gw_status spool_recover(struct spool *sp, struct spool_recovery *out, struct gw_err *err)
{
    struct spool_file *files = NULL;
    struct scan sc = {.sp = sp, .out = out, .r = SPOOL_READER_CLOSED};
    enum gw_status st;
    size_t n = 0, i = 0;

    *out = (struct spool_recovery){NULL, 0, 0, 0};
    GW_TRY(spool_list(sp->dirfd, &files, &n, err));
    spool_index_load(sp->dirfd, &sc.index);
    st = GW_OK;
    for (unsigned slot = 0; slot < sp->n_slots && st == GW_OK; slot++) {
        sc.s = &sp->slots[slot];
        memset(sc.chain, 0, sizeof(sc.chain));
        sc.last_seq = 0;
        sc.last_damaged = sc.last_lost_power = sc.read_on = false;
        for (; i < n && files[i].slot == slot && st == GW_OK; i++) {
            bool is_last = i + 1 == n || files[i + 1].slot != slot;

            if (is_last || !skip_segment(&sc, &files[i]))
                st = scan_segment(&sc, &files[i], is_last, err);
        }
        if (st != GW_OK)
            break;
        end_slot(&sc);
        hold_open(sc.s);
    }
    for (size_t k = 0; k < out->n_damages; k++)
        out->damages[k].told = was_told(&sc, &out->damages[k]);
    free(files);
    spool_index_fini(&sc.index);
    spool_reader_fini(&sc.r);
    if (st != GW_OK)
        spool_recovery_fini(out);
    return st;
}

/* ---- repairing --------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n != 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* Copies n bytes from off of one file to the end of another. */
static bool copy_range(int from, uint64_t off, uint64_t n, int to)
{
    char chunk[16 << 10];

    while (n != 0) {
        size_t want = n < sizeof(chunk) ? (size_t)n : sizeof(chunk);
        ssize_t got = pread(from, chunk, want, (off_t)off);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || !write_all(to, chunk, (size_t)got))
            return false;
        off += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return true;
}

/* Sorts the segment's bytes: sound records to good, the rest to bad. */
static bool sort_bytes(struct spool_reader *r, bool header_bad, int good, int bad)
{
    struct spool_rec rec;

    struct stat st;

    if (header_bad) {
        if (fstat(r->fd, &st) != 0 ||
            !copy_range(r->fd, 0, (uint64_t)st.st_size < r->off ? (uint64_t)st.st_size : r->off,
                        bad))
            return false;
    }
    for (;;) {
        uint64_t from = r->off, n;
        enum spool_read got = spool_reader_next(r, &rec);

        if (got == SPOOL_READ_END)
            return true;
        if (got == SPOOL_READ_EIO)
            return false;
        n = got == SPOOL_READ_REC ? r->off - from : spool_reader_resync(r);
        if (!copy_range(r->fd, from, n, got == SPOOL_READ_REC ? good : bad))
            return false;
    }
}

static int create(int dirfd, const char *name)
{
    return openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The segment is shorter now, and what was taken out lies in quarantine. */
static void resize(struct spool_slot *s, uint64_t segno, int fd, int bad)
{
    struct stat st;

    if (fstat(bad, &st) == 0)
        atomic_fetch_add(&s->sp->used_bytes, (uint64_t)st.st_size);

    if (fstat(fd, &st) != 0)
        return;
    (void)pthread_mutex_lock(&s->sp->lock);
    for (size_t i = 0; i < s->n_segs; i++) {
        if (s->segs[i].segno != segno)
            continue;
        atomic_fetch_sub(&s->sp->used_bytes, s->segs[i].bytes - (uint64_t)st.st_size);
        s->segs[i].bytes = (uint64_t)st.st_size; /* not whole: the next start reads it */
    }
    (void)pthread_mutex_unlock(&s->sp->lock);
}

enum gw_status spool_repair(struct spool *sp, const struct spool_damage *d, struct gw_err *err)
{
    struct spool_reader r = SPOOL_READER_CLOSED;
    char name[SPOOL_NAME_BYTES], tmp[SPOOL_NAME_BYTES + 8], aside[SPOOL_NAME_BYTES + 48];
    unsigned char header[SPOOL_HEADER_BYTES];
    enum gw_status st = spool_reader_open(&r, sp->dirfd, d->slot, d->segno, err);
    int good = -1, bad = -1;

    if (st != GW_OK && st != GW_ECORRUPT)
        goto out;
    st = GW_EIO;
    spool_name(name, d->slot, d->segno);
    (void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
    (void)snprintf(aside, sizeof(aside), "quarantine/%s.%" PRId64, name, gw_clock_wall_ms());
    (void)mkdirat(sp->dirfd, "quarantine", 0700);
    good = create(sp->dirfd, tmp);
    bad = create(sp->dirfd, aside);
    if (d->header)
        memcpy(r.header.chain, d->chain, sizeof(d->chain));
    spool_header_encode(&r.header, header);
    if (good < 0 || bad < 0 || !write_all(good, header, sizeof(header)) ||
        !sort_bytes(&r, d->header, good, bad) || fsync(bad) != 0 || fsync(good) != 0 ||
        renameat(sp->dirfd, tmp, sp->dirfd, name) != 0) {
        (void)gw_fail(err, st, "audit spool: cannot set the damaged part of %s aside: %s", name,
                      strerrordesc_np(errno));
        (void)unlinkat(sp->dirfd, tmp, 0);
        goto out;
    }
    (void)fsync(sp->dirfd);
    resize(&sp->slots[d->slot], d->segno, good, bad);
    st = GW_OK;
out:
    if (good >= 0)
        (void)close(good);
    if (bad >= 0)
        (void)close(bad);
    spool_reader_fini(&r);
    return st;
}
