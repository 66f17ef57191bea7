/* audit/sink_file.c - records as JSON lines in a file or on standard output.
 *
 * A file only ever grows by whole lines: what a full disk or a crash cut is taken away before the next line. It is opened
 * anew after SIGHUP and when it was deleted, so that it can be rotated by moving it away. Standard output is only written
 * to when it takes bytes, so that a reader that stands still holds up this sink and nothing else.
 * Thread: the sink's. */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/sink.h"
#include "audit/spool_format.h"
#include "base/buf.h"
#include "base/log.h"

enum {
    PIPE_PART = 4096, /* a pipe that polls as writable takes this much without blocking */
    STUCK_MS = 30000, /* standard output: then the call ends, and comes again */
    SLICE_MS = 200,
};

struct file_sink {
    char *path; /* NULL: standard output */
    bool sync;
    int fd; /* -1: not open */
    struct gw_buf lines;
    unsigned n_lines;
    size_t cut; /* standard output: bytes of `lines` that are written already */
};

static enum sink_end disk(struct sink_call *call, const struct file_sink *f, const char *what)
{
    (void)snprintf(call->why, sizeof(call->why), "%s %.120s: %s", what,
                   f->path == NULL ? "standard output" : f->path, strerrordesc_np(errno));
    return SINK_DISK;
}

static void shut(struct file_sink *f)
{
    if (f->fd >= 0 && f->path != NULL)
        (void)close(f->fd);
    f->fd = -1;
}

/* ---- a file -------------------------------------------------------------------------------------- */

/* Where the last whole line ends, or -1. What follows it must look like half a record of ours: anything else is not
 * touched, and gets a newline. */
static off_t whole_lines(int fd, off_t size, bool *foreign)
{
    char part[4096];
    off_t at = size;

    *foreign = false;
    while (at > 0 && size - at <= SPOOL_MAX_PAYLOAD_BYTES) {
        size_t n = at < (off_t)sizeof(part) ? (size_t)at : sizeof(part);
        const char *nl;

        if (pread(fd, part, n, at - (off_t)n) != (ssize_t)n)
            return -1;
        nl = memrchr(part, '\n', n);
        if (nl != NULL) {
            at = at - (off_t)n + (nl - part) + 1;
            break;
        }
        at -= (off_t)n;
    }
    if (at == size)
        return size;
    *foreign = pread(fd, part, 1, at) != 1 || part[0] != '{';
    return at;
}

/* Locks the file and takes away half a line at its end. */
static bool mend(int fd)
{
    struct stat st;
    bool foreign;
    off_t end;

    if (fstat(fd, &st) != 0)
        return false;
    if (!S_ISREG(st.st_mode)) {
        errno = ESPIPE;
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) !=
        0) /* two writers would take each other's lines for halves */
        return false;
    end = whole_lines(fd, st.st_size, &foreign);
    if (end < 0)
        return false;
    if (end == st.st_size)
        return true;
    return foreign ? write(fd, "\n", 1) == 1 : ftruncate(fd, end) == 0;
}

static enum sink_end open_file(struct file_sink *f, struct sink_call *call)
{
    struct stat st;

    if (f->fd >= 0 && fstat(f->fd, &st) == 0 && st.st_nlink == 0)
        shut(f);
    if (f->fd >= 0)
        return SINK_DONE;
    f->fd = open(f->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (f->fd >= 0 && mend(f->fd))
        return SINK_DONE;
    (void)disk(call, f, "cannot open");
    shut(f);
    return SINK_DISK;
}

static enum sink_end write_file(struct file_sink *f, struct sink_call *call)
{
    struct stat st;
    size_t done = 0;

    if (open_file(f, call) != SINK_DONE)
        return SINK_DISK;
    if (fstat(f->fd, &st) != 0)
        return disk(call, f, "cannot look at");
    while (done < f->lines.len) {
        ssize_t n = write(f->fd, f->lines.ptr + done, f->lines.len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done == f->lines.len && (!f->sync || fdatasync(f->fd) == 0))
        return SINK_DONE;
    (void)disk(call, f, "cannot write to");
    /* Nothing of a batch stays that is not all there: it comes again. After a failed sync no page of the file is to be
     * believed, so it is opened anew. */
    if (ftruncate(f->fd, st.st_size) != 0)
        gw_log(GW_LOG_ERROR, "audit_sink_file", "path=%s error=\"half a line stays: %s\"", f->path,
               strerrordesc_np(errno));
    shut(f);
    return SINK_DISK;
}

/* ---- standard output ----------------------------------------------------------------------------- */

/* Goes on where the last call ended: a line that was begun is finished first. */
static enum sink_end write_out(struct file_sink *f, struct sink_call *call)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    unsigned waited = 0;

    while (f->cut < f->lines.len) {
        size_t left = f->lines.len - f->cut;
        ssize_t n;
        int ready = poll(&p, 1, SLICE_MS);

        if (ready == 0 || (ready < 0 && errno == EINTR)) {
            waited += SLICE_MS;
            if (call->give_up(call->ctx))
                return SINK_STOPPED;
            if (waited < STUCK_MS)
                continue;
            (void)snprintf(call->why, sizeof(call->why), "standard output takes nothing");
            return SINK_TIMEOUT;
        }
        n = write(STDOUT_FILENO, f->lines.ptr + f->cut, left < PIPE_PART ? left : PIPE_PART);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return disk(call, f, "cannot write to");
        waited = 0;
        f->cut += (size_t)n;
    }
    return SINK_DONE;
}

/* ---- the interface ------------------------------------------------------------------------------- */

/* The records of the call from `from` on as lines. */
static bool lay_out(struct file_sink *f, struct sink_call *call, unsigned from)
{
    gw_buf_clear(&f->lines);
    f->cut = 0;
    for (unsigned i = from; i < call->n; i++) {
        gw_buf_add(&f->lines, call->records[i].json);
        gw_buf_addc(&f->lines, '\n');
    }
    f->n_lines = gw_buf_ok(&f->lines) ? call->n - from : 0;
    if (f->n_lines == 0) {
        gw_buf_clear(&f->lines);
        (void)snprintf(call->why, sizeof(call->why), "out of memory");
    }
    return f->n_lines != 0;
}

static enum sink_end file_deliver(void *self, struct sink_call *call)
{
    struct file_sink *f = self;
    enum sink_end end = SINK_DONE;
    unsigned done = 0;

    while (end == SINK_DONE && done < call->n) {
        /* Standard output may still have to finish lines: the first records of the call are the same as then. */
        if (f->n_lines == 0 && !lay_out(f, call, done))
            return SINK_DISK;
        end = f->path == NULL ? write_out(f, call) : write_file(f, call);
        if (f->path != NULL || end == SINK_DONE) {
            for (unsigned i = 0; end == SINK_DONE && i < f->n_lines && done < call->n; i++)
                call->records[done++].fate = SINK_TAKEN;
            f->n_lines = 0;
        }
    }
    return end;
}

static void file_reopen(void *self)
{
    shut(self);
}

static void file_close(void *self)
{
    struct file_sink *f = self;

    shut(f);
    gw_buf_fini(&f->lines);
    free(f->path);
    free(f);
}

enum gw_status audit_sink_file(const char *path, bool sync, struct audit_sink *out,
                               struct gw_err *err)
{
    static const struct sink_ops ops = {file_deliver, file_reopen, file_close};
    struct file_sink *f = calloc(1, sizeof(*f));

    if (f != NULL && path != NULL)
        f->path = strdup(path);
    if (f == NULL || (path != NULL && f->path == NULL)) {
        free(f);
        return gw_fail(err, GW_ENOMEM, "audit.sinks: out of memory");
    }
    f->sync = sync;
    f->fd = -1;
    out->ops = &ops;
    out->self = f;
    return GW_OK;
}
