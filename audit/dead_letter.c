/* audit/dead_letter.c - records that a receiver will never take, where a person can find them.
 *
 * dead-letter.jsonl (Kafka) and dead-letter.NAME.jsonl in the spool: one record a line, whole and synced before the
 * cursor goes past it. They count against the spool's cap. */
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/core.h"
#include "base/log.h"

/* Appends a line, or nothing at all. */
static bool append(int fd, struct gw_span record)
{
    char newline = '\n';
    struct iovec parts[2] = {{NULL, record.len}, {&newline, 1}};
    off_t before = lseek(fd, 0, SEEK_END);
    ssize_t n;

    if (before < 0)
        return false;
    memcpy(&parts[0].iov_base, &record.ptr, sizeof(record.ptr)); /* an iovec knows no const */
    n = writev(fd, parts, 2);
    if (n == (ssize_t)record.len + 1 && fdatasync(fd) == 0)
        return true;
    if (n >= 0 && n <= (ssize_t)record.len)
        errno = ENOSPC;
    if (n > 0) {
        int why = errno;

        if (ftruncate(fd, before) != 0)
            gw_log(GW_LOG_WARN, "audit_dead_letter_half", "error=\"%s\"", strerrordesc_np(errno));
        errno = why;
    }
    return false;
}

bool core_dead_letter(struct audit *a, const char *sink, struct gw_span record, const char *why)
{
    struct spool *sp = a->spool;
    const char *point = sink[0] == '\0' ? "" : ".";
    char name[SPOOL_SINK_NAME_BYTES + 24];
    bool ok;
    int fd;

    gw_log(GW_LOG_ERROR, "audit_dead_letter", "sink=%s bytes=%zu why=\"%s\"",
           sink[0] == '\0' ? "kafka" : sink, record.len, why);
    if (record.ptr == NULL)
        return false;
    if (!spool_reserve(sp, record.len + 1, SPOOL_ROOM_LIFE)) {
        gw_log(GW_LOG_ERROR, "audit_dead_letter_failed", "error=\"the spool is full\"");
        return false;
    }
    (void)snprintf(name, sizeof(name), "dead-letter%s%s.jsonl", point, sink);
    fd = openat(sp->dirfd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    ok = fd >= 0 && append(fd, record);
    if (!ok) {
        gw_log(GW_LOG_ERROR, "audit_dead_letter_failed", "error=\"%s\"", strerrordesc_np(errno));
        spool_unreserve(sp, record.len + 1);
    }
    if (fd >= 0)
        (void)close(fd);
    return ok;
}
