/* audit/cursor.c - the cursor file: "SLUICECU", u32 version, u32 count, entries of 152 bytes, u32 CRC-32C
 * of all before. Numbers are little endian. Thread: one at a time a sink. */
#include "audit/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/le.h"
#include "base/buf.h"
#include "base/digest.h"

enum {
    VERSION = 1,
    HEAD_BYTES = 16,
    ENTRY_BYTES = 24 + SPOOL_CHAIN_BYTES,
    MAX_FILE_BYTES = 1 << 20,
    NAME_BYTES = SPOOL_SINK_NAME_BYTES + 8,
};

static size_t parse(const unsigned char *p, size_t n, struct cursor_entry *entries, size_t max)
{
    size_t count;

    if (n < HEAD_BYTES + 4 || memcmp(p, "SLUICECU", 8) != 0 || le_get(p + 8, 4) != VERSION)
        return 0;
    count = (size_t)le_get(p + 12, 4);
    if (count > (n - HEAD_BYTES - 4) / ENTRY_BYTES || n != HEAD_BYTES + count * ENTRY_BYTES + 4 ||
        gw_crc32c(0, (struct gw_span){(const char *)p, n - 4}) != le_get(p + n - 4, 4))
        return 0;
    if (count > max)
        count = max;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *e = p + HEAD_BYTES + i * ENTRY_BYTES;

        entries[i].slot = (unsigned)le_get(e, 4);
        entries[i].segno = le_get(e + 8, 8);
        entries[i].seq = le_get(e + 16, 8);
        memcpy(entries[i].chain, e + 24, SPOOL_CHAIN_BYTES);
        entries[i].chain[SPOOL_CHAIN_BYTES - 1] = '\0';
    }
    return count;
}

static void name_of(const char *sink, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "cursor%s%s", sink[0] == '\0' ? "" : ".", sink);
}

size_t cursor_load(int dirfd, const char *sink, struct cursor_entry *entries, size_t max)
{
    char name[NAME_BYTES];
    int fd;
    unsigned char *p;
    size_t n = 0, count = 0;

    name_of(sink, name);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    p = malloc(MAX_FILE_BYTES);
    while (p != NULL && n < MAX_FILE_BYTES) {
        ssize_t got = read(fd, p + n, MAX_FILE_BYTES - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (p != NULL)
        count = parse(p, n, entries, max);
    free(p);
    (void)close(fd);
    return count;
}

/* Each sink saves from a thread of its own: the temporary names differ too. */
static bool store(int dirfd, const char *sink, const struct gw_buf *b)
{
    char name[NAME_BYTES], temporary[NAME_BYTES + 4];
    size_t done = 0;
    int fd;

    name_of(sink, name);
    (void)snprintf(temporary, sizeof(temporary), ".%s.t", name);
    fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return false;
    while (done < b->len) {
        ssize_t n = write(fd, b->ptr + done, b->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done < b->len || fdatasync(fd) != 0) {
        (void)close(fd);
        return false;
    }
    (void)close(fd);
    return renameat(dirfd, temporary, dirfd, name) == 0 && fsync(dirfd) == 0;
}

enum gw_status cursor_save(int dirfd, const char *sink, const struct cursor_entry *entries,
                           size_t n, struct gw_err *err)
{
    struct gw_buf b = {NULL, 0, 0, false};
    enum gw_status st = GW_OK;

    gw_buf_adds(&b, "SLUICECU");
    le_add(&b, VERSION, 4);
    le_add(&b, n, 4);
    for (size_t i = 0; i < n; i++) {
        le_add(&b, entries[i].slot, 8);
        le_add(&b, entries[i].segno, 8);
        le_add(&b, entries[i].seq, 8);
        gw_buf_add(&b, (struct gw_span){entries[i].chain, SPOOL_CHAIN_BYTES});
    }
    le_add(&b, gw_crc32c(0, gw_buf_span(&b)), 4);
    if (!gw_buf_ok(&b))
        st = gw_fail(err, GW_ENOMEM, "audit cursor: out of memory");
    else if (!store(dirfd, sink, &b))
        st = gw_fail(err, GW_EIO, "audit cursor: %s", strerrordesc_np(errno));
    gw_buf_fini(&b);
    return st;
}
