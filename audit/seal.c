/* audit/seal.c - the sealing thread. Owns the leaf files and the file of checkpoints. */
#include "audit/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/kafka_feed.h"
#include "audit/leaf_file.h"
#include "audit/note.h"
#include "audit/seal_key.h"
#include "audit/seal_prune.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    MAX_PENDING = 4 * SEAL_EVERY_RECORDS,
    TICK_MS =
        250, /* under a second; a worker writes PRINT_RING_RECORDS in it, or they are hashed again */
    SEAL_EDGE_EVERY = 64,
    LOOK_AHEAD = 1024
};

uint64_t seal_prune_bytes = 4 << 20;

/* One slot being sealed. */
struct sealed {
    struct spool_slot *slot;
    struct feed feed;
    struct leaf_head
        head; /* of the tree: chain and first sequence; base is that of the leaf file */
    struct merkle tree;
    uint64_t segno;                          /* the leaf file's segment; 0: none yet */
    int fd;                                  /* of it; -1: none */
    struct merkle_hash pending[MAX_PENDING]; /* in the tree, not in the file */
    size_t n_pending;
    uint64_t last_seq;    /* of the last record in the tree */
    uint64_t signed_size; /* of this tree */
    uint64_t signed_ns;
    unsigned signs; /* notes since the start */
    spool_pos end;  /* behind the last record in the tree */
};

struct seal {
    struct spool *sp;
    struct note_signer signers[SEAL_MAX_KEYS];
    unsigned n_signers;
    unsigned interval_ms;
    struct sealed *slots;
    unsigned n_slots;
    int fd;            /* checkpoints */
    uint64_t prune_at; /* how long it may grow before it is looked through */
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* of stop */
    pthread_cond_t wake;
    bool stop;
    atomic_uint_fast64_t checkpoints;
    atomic_int_fast64_t last_ms;
    atomic_bool failing;
};

void seal_origin(const char *chain, uint64_t first_seq, char *out, size_t size)
{
    (void)snprintf(out, size, "%s+%" PRIu64, chain, first_seq);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* The bytes of the segment are on the disk. With `disk` they were before they counted as durable. */
static bool sync_segment(const struct sealed *s)
{
    char name[SPOOL_NAME_BYTES];
    bool ok;
    int fd;

    if (!s->slot->sp->process)
        return true;
    spool_name(name, s->slot->index, s->segno);
    fd = openat(s->slot->sp->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ok = fd >= 0 && fdatasync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/* Puts what is pending into the leaf file. */
static bool flush_leaves(struct sealed *s)
{
    if (s->n_pending == 0)
        return true;
    if (!sync_segment(s))
        return false;
    if (s->fd < 0)
        s->fd = leaf_append_open(s->slot->sp->dirfd, s->slot->index, s->segno);
    if (s->fd < 0 || leaf_append(s->fd, s->pending, s->n_pending) != GW_OK)
        return false;
    s->n_pending = 0;
    return true;
}

static int open_notes(const struct seal *se)
{
    return openat(se->sp->dirfd, SEAL_CHECKPOINTS,
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
}

static bool write_note(struct seal *se, struct gw_span text)
{
    off_t at;

    if (se->fd < 0)
        se->fd = open_notes(se);
    at = lseek(se->fd, 0, SEEK_END);
    if (write(se->fd, text.ptr, text.len) == (ssize_t)text.len && fdatasync(se->fd) == 0)
        return true;
    if (at >= 0 && ftruncate(se->fd, at) != 0)
        gw_log(GW_LOG_WARN, "audit_checkpoint_torn", "error=\"%s\"", strerrordesc_np(errno));
    return false;
}

/* Takes checkpoints away whose records are gone, when the file has grown. */
static void keep_short(struct seal *se)
{
    off_t size = lseek(se->fd, 0, SEEK_END);

    if (size < 0 || (uint64_t)size < se->prune_at)
        return;
    if (seal_prune(se->sp->dirfd)) {
        (void)close(se->fd);
        se->fd = open_notes(se); /* if it cannot be opened now the next checkpoint tries again */
        size = lseek(se->fd, 0, SEEK_END);
    }
    se->prune_at = size <= 0 ? 0 : (uint64_t)size * 2;
    if (se->prune_at < seal_prune_bytes)
        se->prune_at = seal_prune_bytes;
}

static bool sign_tree(struct seal *se, struct sealed *s)
{
    char origin[NOTE_ORIGIN_BYTES];
    struct note_head head = {.size = s->tree.size,
                             .last_seq = s->last_seq,
                             .time_ms = gw_clock_wall_ms(),
                             .tree = s->signs++ % SEAL_EDGE_EVERY == 0 ? &s->tree : NULL};
    struct gw_buf note = {0};
    bool ok;

    if (!flush_leaves(s))
        return false;
    seal_origin(s->head.chain, s->head.first_seq, origin, sizeof(origin));
    head.origin = gw_span_str(origin);
    merkle_root(&s->tree, &head.root);
    ok = note_write(se->signers, se->n_signers, &head, &note) == GW_OK &&
         write_note(se, gw_buf_span(&note));
    gw_buf_fini(&note);
    if (!ok)
        return false;
    s->signed_size = s->tree.size;
    s->signed_ns = gw_clock_ns();
    atomic_store(&s->slot->sealed, s->end);
    atomic_fetch_add(&se->checkpoints, 1);
    atomic_store(&se->last_ms, gw_clock_wall_ms());
    keep_short(se);
    return true;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A record of a new segment, or of a new chain: what came before is signed when its chain ends here. False: it could not
 * be written, and nothing has changed. */
static bool begin_segment(struct seal *se, struct sealed *s, uint64_t seq)
{
    const bool same = s->segno != 0 && strcmp(s->head.chain, s->feed.chain) == 0;
    struct leaf_head head = {.first_seq = same ? s->head.first_seq : seq,
                             .before = same ? s->last_seq : seq - 1};
    int fd;

    if (s->segno != 0 &&
        !(same || s->tree.size == s->signed_size ? flush_leaves(s) : sign_tree(se, s)))
        return false;
    if (same)
        head.base = s->tree;
    memcpy(head.chain, s->feed.chain, sizeof(head.chain));
    fd = leaf_create(s->slot->sp->dirfd, s->slot->index, s->feed.r.segno, &head);
    if (fd < 0)
        return false;
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = fd;
    s->head = head;
    s->tree = head.base;
    s->segno = s->feed.r.segno;
    if (!same)
        s->signed_size = 0;
    return true;
}

/* The writer's fingerprints are of its own chain; what an earlier start left may be of another, with the same sequences. */
static bool is_in_ring(const struct sealed *s, uint64_t seq, unsigned char print[SPOOL_PRINT_BYTES])
{
    return s->slot->prints != NULL && strcmp(s->feed.chain, s->slot->chain) == 0 &&
           print_ring_get(s->slot->prints, seq, print);
}

/* Takes new records into the tree until it is time to sign. False: something could not be written. */
static bool read_on(struct seal *se, struct sealed *s)
{
    struct spool_rec rec;

    while (s->n_pending < MAX_PENDING && s->tree.size - s->signed_size < SEAL_EVERY_RECORDS &&
           feed_next(&s->feed, &rec)) {
        struct merkle_hash leaf = {{0}};

        if (s->feed.r.segno != s->segno && !begin_segment(se, s, rec.seq)) {
            feed_unread(&s->feed, &rec);
            return false;
        }
        if (!is_in_ring(s, rec.seq, leaf.bytes))
            spool_print(rec.payload, leaf.bytes);
        merkle_add(&s->tree, &leaf);
        s->pending[s->n_pending++] = leaf;
        s->last_seq = rec.seq;
        s->end = spool_pos_make(s->feed.r.segno, s->feed.r.off);
    }
    return true;
}

static void tend(struct seal *se, struct sealed *s, bool last)
{
    bool ok = true, full = true;

    while (ok && full) {
        uint64_t fresh;

        ok = read_on(se, s);
        fresh = s->tree.size - s->signed_size;
        full = fresh >= SEAL_EVERY_RECORDS;
        if (ok && fresh != 0 &&
            (full || last || gw_clock_ns() - s->signed_ns >= se->interval_ms * GW_NS_PER_MS))
            ok = sign_tree(se, s);
    }
    if (!ok && !atomic_exchange(&se->failing, true))
        gw_log(GW_LOG_ERROR, "audit_checkpoint_failed", "slot=%u error=\"%s\"", s->slot->index,
               strerrordesc_np(errno));
    else if (ok)
        atomic_store(&se->failing, false);
}

static void *seal_run(void *arg)
{
    struct seal *se = arg;
    bool stop = false;

    while (!stop) {
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)(se->interval_ms < TICK_MS ? se->interval_ms : TICK_MS) * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_mutex_lock(&se->lock);
        while (!se->stop && pthread_cond_timedwait(&se->wake, &se->lock, &until) == 0)
            ;
        stop = se->stop;
        (void)pthread_mutex_unlock(&se->lock);
        for (unsigned i = 0; i < se->n_slots; i++)
            tend(se, &se->slots[i], stop);
    }
    return NULL;
}

/* ---- continuing ----------------------------------------------------------------------------- */

static void say_missing(const struct sealed *s, size_t n)
{
    gw_log(GW_LOG_ERROR, "audit_records_missing",
           "slot=%u segment=%" PRIu64 " behind=%" PRIu64 " records=%zu", s->slot->index, s->segno,
           s->last_seq, n);
}

/* Where the hash stands from `from` on, close by; f->n: nowhere. */
static size_t find_leaf(const struct leaf_file *f, size_t from, const struct merkle_hash *leaf)
{
    for (size_t i = from; i < f->n && i < from + LOOK_AHEAD; i++)
        if (memcmp(leaf, &f->leaves[i], sizeof(*leaf)) == 0)
            return i;
    return f->n;
}

/* Stands behind the records whose hashes the leaf file has, and says when one of them is another now. */
static void follow(struct sealed *s, const struct leaf_file *f)
{
    struct spool_rec rec;
    size_t i = 0, there;

    s->feed.acked_segno = s->segno;
    s->feed.acked_seq = s->last_seq = f->head.before;
    while (i < f->n && feed_next(&s->feed, &rec)) {
        struct merkle_hash leaf = {{0}};

        if (s->feed.r.segno != s->segno) {
            feed_unread(&s->feed, &rec);
            break;
        }
        spool_print(rec.payload, leaf.bytes);
        there = find_leaf(f, i, &leaf);
        if (there == f->n)
            gw_log(GW_LOG_ERROR, "audit_record_altered",
                   "slot=%u segment=%" PRIu64 " sequence=%" PRIu64, s->slot->index, s->segno,
                   rec.seq);
        else if (there != i)
            say_missing(s, there - i);
        i = there == f->n ? i : there;
        s->last_seq = rec.seq;
        s->end = spool_pos_make(s->feed.r.segno, s->feed.r.off);
        i++;
    }
    if (i < f->n)
        say_missing(s, f->n - i);
}

/* Finds the newest segment that has a leaf file and goes on there; without any, at the first segment. */
static enum gw_status resume(struct sealed *s, struct gw_err *err)
{
    enum gw_status st = GW_ENOENT;

    for (size_t i = s->slot->n_segs; i-- > 0 && st != GW_OK;) {
        struct spool_reader r = SPOOL_READER_CLOSED;
        struct leaf_file f = {0};
        const uint64_t segno = s->slot->segs[i].segno;

        st = leaf_read(s->slot->sp->dirfd, s->slot->index, segno, &f);
        if (st == GW_OK &&
            spool_reader_open(&r, s->slot->sp->dirfd, s->slot->index, segno, NULL) == GW_OK &&
            strcmp(r.header.chain, f.head.chain) == 0) {
            s->head = f.head;
            s->tree = f.head.base;
            for (size_t k = 0; k < f.n; k++)
                merkle_add(&s->tree, &f.leaves[k]);
            s->signed_size = s->tree.size == 0 ? 0 : s->tree.size - 1; /* signed again: harmless */
            s->segno = segno;
            follow(s, &f);
        } else if (st == GW_OK) {
            st = GW_ECORRUPT;
        }
        spool_reader_fini(&r);
        leaf_file_fini(&f);
        if (st == GW_ENOMEM || st == GW_EUNSUPPORTED)
            return gw_fail(err, st, "audit: cannot read the leaf file of slot %u, segment %" PRIu64,
                           s->slot->index, segno);
    }
    return GW_OK;
}

static enum gw_status open_slots(struct seal *se, struct gw_err *err)
{
    se->slots = calloc(se->sp->n_slots, sizeof(*se->slots));
    if (se->slots == NULL)
        return gw_fail(err, GW_ENOMEM, "audit: out of memory");
    for (; se->n_slots < se->sp->n_slots; se->n_slots++) {
        struct sealed *s = &se->slots[se->n_slots];

        s->slot = &se->sp->slots[se->n_slots];
        s->fd = -1;
        feed_init(&s->feed, s->slot, FEED_NO_SINK);
        GW_TRY(resume(s, err));
    }
    return GW_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum gw_status open_files(struct seal *se, const struct seal_config *cfg, struct gw_err *err)
{
    GW_TRY(seal_key_load(cfg->key_file, cfg->instance, se->signers, SEAL_MAX_KEYS, &se->n_signers,
                         err));
    GW_TRY(seal_key_publish(se->sp->dirfd, SEAL_KEYS, se->signers, se->n_signers, err));
    se->fd = open_notes(se);
    /* A note that a crash cut short ends here. */
    if (se->fd < 0 || write(se->fd, "\n\n", 2) != 2)
        return gw_fail(err, GW_EIO, "cannot write %s in the audit spool: %s", SEAL_CHECKPOINTS,
                       strerrordesc_np(errno));
    return GW_OK;
}

static void seal_free(struct seal *se)
{
    for (unsigned i = 0; i < se->n_slots; i++) {
        feed_fini(&se->slots[i].feed);
        if (se->slots[i].fd >= 0)
            (void)close(se->slots[i].fd);
    }
    free(se->slots);
    if (se->fd >= 0)
        (void)close(se->fd);
    (void)pthread_cond_destroy(&se->wake);
    (void)pthread_mutex_destroy(&se->lock);
    explicit_bzero(se->signers, sizeof(se->signers));
    free(se);
}

enum gw_status seal_open(struct spool *sp, const struct seal_config *cfg, struct seal **out,
                         struct gw_err *err)
{
    struct seal *se = calloc(1, sizeof(*se));
    pthread_condattr_t attr;
    enum gw_status st;

    if (se == NULL)
        return gw_fail(err, GW_ENOMEM, "audit: out of memory");
    se->sp = sp;
    se->fd = -1;
    se->interval_ms = cfg->interval_ms;
    se->prune_at = seal_prune_bytes;
    (void)pthread_mutex_init(&se->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&se->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    st = open_files(se, cfg, err);
    if (st == GW_OK)
        st = open_slots(se, err);
    if (st == GW_OK && pthread_create(&se->thread, NULL, seal_run, se) != 0)
        st = gw_fail(err, GW_EIO, "audit: cannot start the sealing thread");
    if (st != GW_OK) {
        seal_free(se);
        return st;
    }
    se->runs = true;
    *out = se;
    return GW_OK;
}

void seal_close(struct seal *s)
{
    if (s == NULL)
        return;
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    if (s->runs)
        (void)pthread_join(s->thread, NULL);
    seal_free(s);
}

void seal_stats(struct seal *s, struct seal_stats *out)
{
    out->checkpoints = atomic_load(&s->checkpoints);
    out->last_ms = atomic_load(&s->last_ms);
    out->failing = atomic_load(&s->failing);
}
