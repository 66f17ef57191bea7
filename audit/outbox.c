/* audit/outbox.c - see outbox.h. Owns its descriptor and its state file. */
#include "audit/outbox.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/seal.h"
#include "audit/seal_key.h"
#include "audit/seal_prune.h"

enum { MAX_STATE = 64, CHUNK = 4 * NOTE_MAX_BYTES };

/* Who had not come so far goes on with what was kept of the beginning. */
static void go_on_at(struct outbox *o, uint64_t at)
{
    o->at = at < o->fresh ? o->offset : at;
}

/* Opens the file as it is now. */
static bool open_notes(struct outbox *o)
{
    char line[SEAL_PRUNED_BYTES];
    struct seal_pruned pruned;
    ssize_t n;
    int fd = openat(o->dirfd, SEAL_CHECKPOINTS, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0)
        return false;
    if (o->fd >= 0)
        (void)close(o->fd);
    o->fd = fd;
    n = pread(fd, line, sizeof(line), 0);
    seal_pruned_read((struct gw_span){line, n < 0 ? 0 : (size_t)n}, &pruned);
    o->offset = pruned.offset;
    o->fresh = pruned.offset + pruned.line + pruned.carried;
    go_on_at(o, o->at);
    return true;
}

uint64_t outbox_end(struct outbox *o)
{
    struct stat mine, now;

    if (fstat(o->fd, &mine) == 0 && fstatat(o->dirfd, SEAL_CHECKPOINTS, &now, 0) == 0 &&
        (mine.st_ino != now.st_ino || mine.st_dev != now.st_dev) && !open_notes(o))
        return o->at; /* again at the next look */
    return fstat(o->fd, &mine) == 0 && mine.st_size > 0 ? o->offset + (uint64_t)mine.st_size : 0;
}

/* The number in the state file; false when there is none, or none that fits the file of checkpoints. */
static bool read_state(struct outbox *o, uint64_t *out)
{
    struct gw_buf text = {0};
    char *end = NULL;
    bool ok = seal_read_file(o->dirfd, o->state, MAX_STATE, &text) == GW_OK && text.len != 0;

    if (ok) {
        *out = strtoull(text.ptr, &end, 10);
        ok = end != text.ptr && *end == '\n' && *out <= outbox_end(o);
    }
    gw_buf_fini(&text);
    return ok;
}

enum gw_status outbox_open(struct outbox *o, int dirfd, const char *state, bool newest,
                           struct gw_err *err)
{
    *o = (struct outbox){.dirfd = dirfd, .fd = -1, .state = state};
    if (!open_notes(o))
        return gw_fail(err, GW_EIO, "cannot read %s in the audit spool: %s", SEAL_CHECKPOINTS,
                       strerrordesc_np(errno));
    if (!read_state(o, &o->done))
        o->done = newest ? outbox_end(o) : 0;
    go_on_at(o, o->done);
    return GW_OK;
}

void outbox_fini(struct outbox *o)
{
    if (o->fd >= 0)
        (void)close(o->fd);
    gw_buf_fini(&o->chunk);
    o->fd = -1;
}

/* Fills chunk with what stands from o->at on. */
static bool fill(struct outbox *o)
{
    ssize_t n;

    gw_buf_clear(&o->chunk);
    if (!gw_buf_reserve(&o->chunk, CHUNK + 1))
        return false;
    do
        n = o->at < o->offset ? 0 : pread(o->fd, o->chunk.ptr, CHUNK, (off_t)(o->at - o->offset));
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    o->chunk.len = (size_t)n;
    o->chunk_at = o->at;
    return true;
}

bool outbox_next(struct outbox *o, uint64_t until, struct note *out)
{
    while (o->at < until && fill(o)) {
        struct gw_span text = gw_buf_span(&o->chunk);
        enum gw_status st;

        if (text.len > until - o->at)
            text.len = (size_t)(until - o->at);
        const struct gw_span all = text;

        st = note_read(&text, out);
        if (st == GW_OK) {
            o->at += (uint64_t)(all.len - text.len);
            return true;
        }
        if (st == GW_ENOENT) { /* blank lines only */
            o->at += all.len;
            continue;
        }
        /* Half a note: being written when it is the last, else what a crash has left. */
        const char *p = memmem(all.ptr, all.len, "\n\n", 2);

        if (p == NULL && all.len < NOTE_MAX_BYTES)
            return false;
        o->at += p == NULL ? all.len : (uint64_t)(p - all.ptr) + 2;
    }
    return false;
}

bool outbox_done(struct outbox *o)
{
    char tmp[80], text[MAX_STATE];
    int fd, n = snprintf(text, sizeof(text), "%" PRIu64 "\n", o->at);
    bool ok;

    o->done = o->at;
    (void)snprintf(tmp, sizeof(tmp), "%s.tmp", o->state);
    fd = openat(o->dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ok = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0)
        (void)close(fd);
    return ok && renameat(o->dirfd, tmp, o->dirfd, o->state) == 0;
}

void outbox_rewind(struct outbox *o)
{
    go_on_at(o, o->done);
}
