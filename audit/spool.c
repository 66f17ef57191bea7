/* audit/spool.c - the spool's directory: lock, segment lists, the cap, keeping and deleting.
 *
 * Owns the directory and lock descriptors and the slots. Thread: spool_open and spool_close the opener,
 * spool_keep one keeper thread, the segment lists whoever holds sp->lock. */
#include "audit/spool.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/leaf_file.h"
#include "audit/spool_index.h"
#include "audit/spool_read.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"

/* mkdir -p with mode 0700. */
static bool make_dirs(const char *dir)
{
    char *path = strdup(dir);
    bool ok;

    if (path == NULL)
        return false;
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(path, 0700); /* the last one's failure tells */
        *p = '/';
    }
    ok = mkdir(path, 0700) == 0 || errno == EEXIST;
    free(path);
    return ok;
}

/* The kernel's boot id as 16 bytes: tells a crash of ours from a crash of the machine. */
static void read_boot(unsigned char out[SPOOL_BOOT_BYTES])
{
    unsigned char print[GW_SHA256_BYTES];
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));

    if (fd >= 0)
        (void)close(fd);
    memset(out, 0, SPOOL_BOOT_BYTES);
    if (n <= 0)
        return;
    gw_sha256((struct gw_span){text, (size_t)n}, print);
    memcpy(out, print, SPOOL_BOOT_BYTES);
}

static enum gw_status take_lock(struct spool *sp, const char *dir, struct gw_err *err)
{
    sp->lockfd = openat(sp->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sp->lockfd < 0)
        return gw_fail(err, GW_EIO, "audit spool %s: cannot create its lock file: %s", dir,
                       strerrordesc_np(errno));
    if (flock(sp->lockfd, LOCK_EX | LOCK_NB) == 0)
        return GW_OK;
    if (errno == EWOULDBLOCK)
        return gw_fail(
            err, GW_EEXIST,
            "audit spool %s is in use by another process: stop it, or set audit.spool to "
            "another directory",
            dir);
    return gw_fail(err, GW_EIO, "audit spool %s: cannot lock: %s", dir, strerrordesc_np(errno));
}

/* As many slots as will be written or lie on the disk. */
static enum gw_status make_slots(struct spool *sp, unsigned n_slots, struct gw_err *err)
{
    struct spool_file *files = NULL;
    size_t n = 0;

    GW_TRY(spool_list(sp->dirfd, &files, &n, err));
    sp->n_slots = n_slots;
    if (n != 0 && files[n - 1].slot + 1 > sp->n_slots)
        sp->n_slots = files[n - 1].slot + 1;
    free(files);
    if (sp->n_slots > SPOOL_MAX_SLOTS)
        return gw_fail(err, GW_EUNSUPPORTED, "audit spool: %u slots, at most %d are supported",
                       sp->n_slots, SPOOL_MAX_SLOTS);
    sp->slots = calloc(sp->n_slots, sizeof(*sp->slots));
    if (sp->slots == NULL)
        return gw_fail(err, GW_ENOMEM, "audit spool: out of memory");
    for (unsigned i = 0; i < sp->n_slots; i++) {
        sp->slots[i].sp = sp;
        sp->slots[i].index = i;
        sp->slots[i].fd = -1;
        spool_window_init(&sp->slots[i].window);
        if (sp->seal && (sp->slots[i].prints = calloc(1, sizeof(struct print_ring))) == NULL)
            return gw_fail(err, GW_ENOMEM, "audit spool: out of memory");
    }
    /* So that what a flush leaves behind has always room for one record. */
    if (!sp->process && !spool_holds(&sp->slots[0], SPOOL_MIN_BUFFER_BYTES))
        return gw_fail(err, GW_ENOMEM, "audit spool: out of memory");
    return GW_OK;
}

/* Bytes of the regular files in the folder dir of the spool whose names begin with prefix. */
static uint64_t count_files(const struct spool *sp, const char *dir, const char *prefix)
{
    int fd = openat(sp->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *de;
    uint64_t bytes = 0;
    struct stat st;

    if (d == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone
    while ((de = readdir(d)) != NULL)
        if (strncmp(de->d_name, prefix, strlen(prefix)) == 0 &&
            fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    (void)closedir(d);
    return bytes;
}

/* Counts what else lies in the spool: quarantined bytes and dead letters are under the cap too. */
static void count_leftovers(struct spool *sp)
{
    atomic_fetch_add(&sp->used_bytes,
                     count_files(sp, ".", "dead-letter") + count_files(sp, "quarantine", ""));
}

enum gw_status spool_open(const struct spool_config *cfg, struct spool **out, struct gw_err *err)
{
    struct spool *sp = calloc(1, sizeof(*sp));
    uint64_t most = 1u << 30;
    enum gw_status st;

    if (sp == NULL)
        return gw_fail(err, GW_ENOMEM, "audit spool: out of memory");
    sp->dirfd = sp->lockfd = -1;
    (void)pthread_mutex_init(&sp->lock, NULL);
    sp->max_bytes = cfg->max_bytes;
    /* At the cap only closed segments can go: each slot's open one may hold a small share at most. */
    if (cfg->max_bytes / 4 / cfg->n_slots < most)
        most = cfg->max_bytes / 4 / cfg->n_slots;
    sp->segment_bytes = cfg->segment_bytes == 0 ? 64u << 20 : cfg->segment_bytes;
    if (sp->segment_bytes > most)
        sp->segment_bytes = most;
    sp->retain_ms = (uint64_t)cfg->retain_seconds * 1000;
    sp->process = cfg->process;
    for (; sp->n_sinks < cfg->n_sinks && sp->n_sinks < SPOOL_MAX_SINKS; sp->n_sinks++) {
        struct spool_sink *k = &sp->sinks[sp->n_sinks];

        (void)snprintf(k->name, sizeof(k->name), "%s", cfg->sinks[sp->n_sinks].name);
        k->yields = cfg->sinks[sp->n_sinks].yields;
    }
    sp->seal = cfg->seal;
    sp->instance = strdup(cfg->instance);
    read_boot(sp->boot);
    if (sp->instance == NULL) {
        st = gw_fail(err, GW_ENOMEM, "audit spool: out of memory");
        goto out;
    }
    st = GW_EIO;
    if (!make_dirs(cfg->dir)) {
        (void)gw_fail(err, st, "cannot create the audit spool %s: %s", cfg->dir,
                      strerrordesc_np(errno));
        goto out;
    }
    sp->dirfd = open(cfg->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sp->dirfd < 0) {
        (void)gw_fail(err, st, "cannot open the audit spool %s: %s", cfg->dir,
                      strerrordesc_np(errno));
        goto out;
    }
    st = take_lock(sp, cfg->dir, err);
    if (st == GW_OK)
        st = make_slots(sp, cfg->n_slots, err);
    if (st == GW_OK)
        count_leftovers(sp);
out:
    if (st != GW_OK) {
        spool_close(sp);
        return st;
    }
    *out = sp;
    return GW_OK;
}

void spool_close(struct spool *sp)
{
    if (sp == NULL)
        return;
    for (unsigned i = 0; i < sp->n_closing; i++)
        (void)close(sp->closing[i].fd);
    for (unsigned i = 0; sp->slots != NULL && i < sp->n_slots; i++) {
        struct spool_slot *s = &sp->slots[i];

        spool_window_fini(&s->window);
        if (s->fd >= 0)
            (void)close(s->fd);
        gw_buf_fini(&s->unsynced);
        openset_fini(&s->open);
        free(s->prints);
        free(s->segs);
    }
    free(sp->slots);
    free(sp->instance);
    if (sp->lockfd >= 0)
        (void)close(sp->lockfd);
    if (sp->dirfd >= 0)
        (void)close(sp->dirfd);
    (void)pthread_mutex_destroy(&sp->lock);
    free(sp);
}

bool spool_seg_add(struct spool_slot *s, const struct spool_seg *seg)
{
    bool ok = true;

    (void)pthread_mutex_lock(&s->sp->lock);
    if (s->n_segs == s->max_segs) {
        size_t more = s->max_segs == 0 ? 16 : s->max_segs * 2;
        struct spool_seg *p = realloc(s->segs, more * sizeof(*p));

        if (p != NULL) {
            s->segs = p;
            s->max_segs = more;
        }
        ok = p != NULL;
    }
    if (ok)
        s->segs[s->n_segs++] = *seg;
    (void)pthread_mutex_unlock(&s->sp->lock);
    return ok;
}

/* ---- keeping --------------------------------------------------------------------------------- */

static bool pressed(const struct spool *sp)
{
    return atomic_load(&sp->used_bytes) > sp->max_bytes / 10 * 9;
}

/* True when no sink needs the segment any more; under pressure those that yield are not asked. */
static bool passed(const struct spool_slot *s, const struct spool_seg *seg)
{
    const struct spool *sp = s->sp;
    spool_pos end = spool_pos_make(seg->segno, seg->bytes);
    bool press = pressed(sp);

    for (unsigned k = 0; k < sp->n_sinks; k++) {
        const struct spool_mark *m = &s->marks[k];

        if (atomic_load(&m->delivered) < end &&
            (!press || !sp->sinks[k].yields || atomic_load(&m->opening) == seg->segno))
            return false;
    }
    return true;
}

/* True when the oldest segment of the slot may go; sp->lock is held. */
static bool may_delete(const struct spool_slot *s, int64_t now_ms)
{
    const struct spool *sp = s->sp;
    const struct spool_seg *seg = &s->segs[0];
    bool old;

    if (s->n_segs < 2 || !seg->closed || seg->n_open != 0)
        return false;
    if (seg->records != 0 && !passed(s, seg))
        return false;
    if (sp->seal && atomic_load(&s->sealed) < spool_pos_make(seg->segno, seg->bytes) &&
        seg->records != 0)
        return false;
    old = now_ms - seg->last_ms >= (int64_t)sp->retain_ms;
    /* Without a sink the spool is the only copy: then pressure is no reason to delete. */
    return old || (sp->n_sinks != 0 && pressed(sp));
}

static void delete_oldest(struct spool_slot *s)
{
    char name[SPOOL_NAME_BYTES];
    struct spool_seg seg = s->segs[0];

    spool_name(name, s->index, seg.segno);
    if (unlinkat(s->sp->dirfd, name, 0) != 0 && errno != ENOENT) {
        gw_log(GW_LOG_WARN, "audit_segment_delete_failed", "segment=%s error=\"%s\"", name,
               strerrordesc_np(errno));
        return;
    }
    leaf_name(name, s->index, seg.segno);
    (void)unlinkat(s->sp->dirfd, name, 0); /* not there when nothing seals */
    for (unsigned k = 0; k < s->sp->n_sinks; k++) {
        struct spool_mark *m = &s->marks[k];

        if (atomic_load(&m->delivered) < spool_pos_make(seg.segno, seg.bytes) &&
            atomic_load(&m->reading) < seg.segno)
            atomic_fetch_add(&m->lost, seg.records);
    }
    s->n_segs--;
    memmove(s->segs, s->segs + 1, s->n_segs * sizeof(*s->segs));
    atomic_fetch_sub(&s->sp->used_bytes, seg.bytes);
}

struct spool_seg *spool_seg_of(struct spool_slot *s, uint64_t segno)
{
    for (size_t i = s->n_segs; i-- > 0;)
        if (s->segs[i].segno == segno)
            return &s->segs[i];
    return NULL;
}

static void sync_closed(struct spool *sp)
{
    struct spool_closing list[sizeof(sp->closing) / sizeof(sp->closing[0])];
    unsigned n;

    (void)pthread_mutex_lock(&sp->lock);
    n = sp->n_closing;
    memcpy(list, sp->closing, n * sizeof(list[0]));
    sp->n_closing = 0;
    (void)pthread_mutex_unlock(&sp->lock);
    for (unsigned i = 0; i < n; i++) {
        /* process durability promises nothing about this; it only keeps the window small. */
        bool synced = spool_io.fdatasync(list[i].fd) == 0;
        struct spool_seg *seg;

        (void)close(list[i].fd);
        (void)pthread_mutex_lock(&sp->lock);
        seg = spool_seg_of(&sp->slots[list[i].slot], list[i].segno);
        if (seg != NULL)
            seg->whole = synced;
        (void)pthread_mutex_unlock(&sp->lock);
    }
    if (n != 0)
        (void)fsync(sp->dirfd);
}

void spool_keep(struct spool *sp, int64_t now_ms)
{
    sync_closed(sp);
    for (unsigned i = 0; i < sp->n_slots; i++) {
        struct spool_slot *s = &sp->slots[i];
        size_t before;

        (void)pthread_mutex_lock(&sp->lock);
        do {
            before = s->n_segs;
            if (may_delete(s, now_ms))
                delete_oldest(s);
        } while (s->n_segs < before);
        (void)pthread_mutex_unlock(&sp->lock);
    }
    spool_index_save(sp);
}

void spool_keep_windows(struct spool *sp)
{
    for (unsigned i = 0; i < sp->n_slots; i++) {
        struct spool_window *w = &sp->slots[i].window;
        char name[SPOOL_NAME_BYTES];
        uint64_t segno;

        if (!spool_window_wanted(w, &segno))
            continue;
        spool_name(name, i, segno);
        spool_window_make(w, sp->dirfd, name, segno);
    }
}

int spool_keep_due_ms(struct spool *sp, int64_t now_ms)
{
    int64_t due = -1;

    (void)pthread_mutex_lock(&sp->lock);
    if (sp->n_closing != 0)
        due = 0;
    for (unsigned i = 0; i < sp->n_slots; i++) {
        const struct spool_slot *s = &sp->slots[i];
        int64_t wait;

        if (s->n_segs < 2 || !s->segs[0].closed)
            continue;
        wait = s->segs[0].last_ms + (int64_t)sp->retain_ms - now_ms;
        if (wait < 1000) /* held by an open request or by a sink: look again in a while */
            wait = pressed(sp) ? 100 : 1000;
        if (due < 0 || wait < due)
            due = wait;
    }
    (void)pthread_mutex_unlock(&sp->lock);
    return due > 3600000 ? 3600000 : (int)due;
}
