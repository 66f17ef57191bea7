/* audit/spool_read.c - buffered reading of segments. Owns the reader's descriptor and buffer. */
#include "audit/spool_read.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 << 10 };

static int compare_files(const void *a, const void *b)
{
    const struct spool_file *x = a, *y = b;

    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    return x->segno < y->segno ? -1 : x->segno > y->segno;
}

static bool push_file(struct spool_file **files, size_t *n, size_t *cap, struct spool_file f)
{
    if (*n == *cap) {
        size_t more = *cap == 0 ? 64 : *cap * 2;
        struct spool_file *p = realloc(*files, more * sizeof(*p));

        if (p == NULL)
            return false;
        *files = p;
        *cap = more;
    }
    (*files)[(*n)++] = f;
    return true;
}

enum gw_status spool_list(int dirfd, struct spool_file **out, size_t *n_out, struct gw_err *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct spool_file *files = NULL;
    size_t n = 0, cap = 0;
    const struct dirent *de;

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return gw_fail(err, GW_EIO, "cannot list the spool directory: %s", strerrordesc_np(errno));
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone
    while ((de = readdir(dir)) != NULL) {
        struct spool_file f = {0, 0, 0};
        struct stat st;

        if (!spool_name_parse(de->d_name, &f.slot, &f.segno))
            continue;
        if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        f.bytes = (uint64_t)st.st_size;
        if (!push_file(&files, &n, &cap, f)) {
            (void)closedir(dir);
            free(files);
            return gw_fail(err, GW_ENOMEM, "out of memory while listing the spool");
        }
    }
    (void)closedir(dir);
    if (n != 0)
        qsort(files, n, sizeof(*files), compare_files);
    *out = files;
    *n_out = n;
    return GW_OK;
}

/* Makes buf hold the file's bytes from off on, `want` of them if the file has so many. Returns false
 * when reading fails. */
static bool fill(struct spool_reader *r, uint64_t off, size_t want)
{
    size_t room;

    if (off >= r->at && off + want <= r->at + r->len)
        return true;
    if (want > r->cap) {
        size_t cap = want < CHUNK_BYTES ? CHUNK_BYTES : want;
        unsigned char *p = realloc(r->buf, cap);

        if (p == NULL)
            return false;
        r->buf = p;
        r->cap = cap;
    }
    r->at = off;
    r->len = 0;
    room = r->until == 0 || r->until > off + r->cap ? r->cap
           : r->until > off                         ? (size_t)(r->until - off)
                                                    : 0;
    while (r->len < room) {
        ssize_t n = pread(r->fd, r->buf + r->len, room - r->len, (off_t)(off + r->len));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        r->len += (size_t)n;
    }
    return true;
}

enum gw_status spool_reader_open(struct spool_reader *r, int dirfd, unsigned slot, uint64_t segno,
                                 struct gw_err *err)
{
    char name[SPOOL_NAME_BYTES];
    struct spool_header h;
    enum gw_status st;
    uint32_t version = 0;
    int fd;

    spool_name(name, slot, segno);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "spool segment %s: %s", name,
                       strerrordesc_np(errno));
    if (r->fd >= 0)
        (void)close(r->fd);
    r->fd = fd;
    r->segno = segno;
    r->len = 0;
    r->at = 0;
    r->off = SPOOL_HEADER_BYTES;
    if (!fill(r, 0, SPOOL_HEADER_BYTES))
        return gw_fail(err, GW_EIO, "spool segment %s: cannot be read", name);
    st = spool_header_decode(r->buf, r->len, &h, &version);
    if (st == GW_EUNSUPPORTED)
        return gw_fail(err, st,
                       "spool segment %s has format version %" PRIu32
                       ", this sluice knows %d: start "
                       "the version that wrote it, or give it another spool directory",
                       name, version, SPOOL_VERSION);
    if (st != GW_OK || h.segno != segno) {
        r->header = (struct spool_header){.segno = segno};
        return gw_fail(err, GW_ECORRUPT, "spool segment %s: damaged header", name);
    }
    r->header = h;
    return GW_OK;
}

void spool_reader_fini(struct spool_reader *r)
{
    if (r->fd >= 0)
        (void)close(r->fd);
    free(r->buf);
    *r = SPOOL_READER_CLOSED;
}

/* Where the last byte stands that is not zero, behind from; from: there is none. *found: a whole magic stands behind from, too.
 * False: the file cannot be read. */
static bool look_behind(struct spool_reader *r, uint64_t from, uint64_t *last, bool *found)
{
    static const unsigned char magic[] = {0xFF, 'S', 'R', 0x01};
    uint64_t at = from;

    *last = from;
    for (*found = false; !*found;) { /* chunks overlap by less than a magic */
        const unsigned char *p;
        size_t n;

        if (!fill(r, at, CHUNK_BYTES))
            return false;
        n = r->len - (size_t)(at - r->at);
        if (n < sizeof(magic))
            break;
        p = r->buf + (at - r->at);
        *found = memmem(p + (at == from), n - (at == from), magic, sizeof(magic)) != NULL;
        while (n > sizeof(magic) && p[n - 1] == 0)
            n--;
        if (p[n - 1] != 0)
            *last = at + n - 1;
        at += r->len - (size_t)(at - r->at) - (sizeof(magic) - 1);
    }
    return true;
}

/* True when what follows is room that was allocated ahead (spool_window.h) and holds no record, but perhaps the beginning of one that was
 * confirmed to nobody: a store that was cut short has not put the magic in front, write() has not come to the end, where
 * every record has a brace and not a zero. */
static bool is_room(struct spool_reader *r)
{
    static const unsigned char none[4] = {0};
    const uint64_t from = r->off;
    size_t claims = SPOOL_FRAME_BYTES;
    bool found, stored;
    uint64_t last;

    if ((r->header.flags & SPOOL_FLAG_PROCESS) == 0 ||
        r->len - (size_t)(from - r->at) < SPOOL_FRAME_BYTES)
        return false;
    stored = memcmp(r->buf + (from - r->at), none, sizeof(none)) == 0;
    if (!stored)
        claims = spool_frame_claims(r->buf + (from - r->at));
    return look_behind(r, from, &last, &found) && !found &&
           (stored || (claims != 0 && last + 1 < from + claims));
}

/* What stands at r->off, as the bytes that were read say. */
static enum spool_read read_frame(struct spool_reader *r, struct spool_rec *rec)
{
    size_t need = SPOOL_FRAME_BYTES, used = 0;

    for (;;) {
        size_t asked = need, have;

        if (!fill(r, r->off, asked))
            return SPOOL_READ_EIO;
        have = r->off - r->at > r->len ? 0 : r->len - (size_t)(r->off - r->at);
        if (have == 0)
            return SPOOL_READ_END;
        switch (spool_frame_decode(r->buf + (r->off - r->at), have, rec, &used, &need)) {
        case SPOOL_FRAME_OK:
            r->off += used;
            return SPOOL_READ_REC;
        case SPOOL_FRAME_BAD:
            return SPOOL_READ_BAD;
        case SPOOL_FRAME_SHORT:
            if (have < asked)
                return SPOOL_READ_TORN;
            break; /* the buffer ended, not the file: ask for the whole record */
        }
    }
}

enum spool_read spool_reader_next(struct spool_reader *r, struct spool_rec *rec)
{
    enum spool_read got = read_frame(r, rec);

    if (got != SPOOL_READ_BAD)
        return got;
    r->len = 0; /* what an earlier read found here may be a record by now */
    got = read_frame(r, rec);
    return got == SPOOL_READ_BAD && is_room(r) ? SPOOL_READ_END : got;
}

/* Where the file ends, as far as it is looked at; 0: the system does not say. */
static uint64_t end_of(const struct spool_reader *r)
{
    struct stat st;
    uint64_t end = fstat(r->fd, &st) == 0 ? (uint64_t)st.st_size : 0;

    return r->until != 0 && r->until < end ? r->until : end;
}

uint64_t spool_reader_resync(struct spool_reader *r)
{
    /* Each try can cost a checksum over 256 KiB; a file made of false beginnings must not take hours. */
    enum { MAX_TRIES = 4096 };
    uint64_t from = r->off;
    struct spool_rec rec;

    for (unsigned tries = 0; tries < MAX_TRIES;) {
        const unsigned char *p;
        uint64_t here;

        r->off++;
        if (!fill(r, r->off, SPOOL_FRAME_BYTES) || r->off >= r->at + r->len)
            break;
        p = memchr(r->buf + (r->off - r->at), 0xFF, r->len - (size_t)(r->off - r->at));
        if (p == NULL) {
            r->off = r->at + r->len - 1; /* the next round steps behind it */
            continue;
        }
        here = r->off = r->at + (uint64_t)(p - r->buf);
        tries++;
        if (read_frame(r, &rec) == SPOOL_READ_REC) {
            r->off = here;
            return here - from;
        }
        r->off = here;
    }
    r->off = end_of(r);
    if (r->off < from)
        r->off = from;
    return r->off - from;
}
