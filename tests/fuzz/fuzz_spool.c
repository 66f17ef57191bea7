/* Feeds bytes to everything that reads a spool: segment headers, frames, damage search, the values taken
 * out of records, the line for people, the cursor, the index. The input is one segment file, and a cursor
 * and an index file too.
 * What must hold: no crash, no endless loop, positions only go forward. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/cursor.h"
#include "audit/event_read.h"
#include "audit/spool_index.h"
#include "audit/spool_read.h"
#include "audit/tail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct spool_rec *rec, struct gw_buf *line)
{
    char id[EVENT_ID_BYTES], text[64];
    uint64_t n;

    (void)event_request_id(rec->payload, id);
    (void)event_str(rec->payload, "sluice.model", text, sizeof(text));
    (void)event_num(rec->payload, "duration", &n);
    gw_buf_clear(line);
    tail_line(rec, true, line);
    if (!gw_buf_ok(line) || line->len == 0 || line->ptr[line->len - 1] != '\n')
        abort();
}

/* The directory that holds the one file, made once a process. */
static int directory(void)
{
    static int fd = -1;
    static char fast[] = "/dev/shm/sluice-fuzz-XXXXXX", slow[] = "/tmp/sluice-fuzz-XXXXXX";
    const char *path;

    if (fd >= 0)
        return fd;
    path = mkdtemp(fast);
    if (path == NULL)
        path = mkdtemp(slow);
    if (path != NULL)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd;
}

static void put(int dirfd, const char *name, const uint8_t *data, size_t size)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spool_reader r = SPOOL_READER_CLOSED;
    struct cursor_entry entries[4];
    struct spool_index index;
    struct gw_buf line = {NULL, 0, 0, false};
    struct spool_rec rec;
    enum spool_read got;
    int dirfd = directory();

    if (dirfd < 0 || size > 1 << 20)
        return 0;
    put(dirfd, "s000-0000000001.seg", data, size);
    put(dirfd, "cursor", data, size);
    (void)cursor_load(dirfd, "", entries, 4);
    put(dirfd, "index", data, size);
    spool_index_load(dirfd, &index);
    (void)spool_index_find(&index, dirfd, 0, 1);
    spool_index_fini(&index);
    (void)spool_reader_open(&r, dirfd, 0, 1, NULL);
    while (r.fd >= 0 && (got = spool_reader_next(&r, &rec)) != SPOOL_READ_END) {
        uint64_t before = r.off;

        if (got == SPOOL_READ_EIO)
            break;
        if (got == SPOOL_READ_REC)
            look_at(&rec, &line);
        else if (spool_reader_resync(&r) == 0 || r.off <= before)
            abort();
    }
    /* Payloads without a frame's checksum in the way. */
    rec = (struct spool_rec){size != 0 ? (enum spool_kind)(1 + data[0] % 5) : SPOOL_KIND_DECIDED,
                             1,
                             1,
                             {(const char *)data, size < SPOOL_MAX_PAYLOAD_BYTES ? size : 0}};
    look_at(&rec, &line);
    gw_buf_fini(&line);
    spool_reader_fini(&r);
    return 0;
}
