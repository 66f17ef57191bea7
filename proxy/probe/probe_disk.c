/* proxy/probe/probe_disk.c - the folders of state and spool: writable, with room, and how long a sync takes. */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/probe/probe.h"

enum { MAX_PATH = 4096, SLOW_SYNC_MS = 20, LITTLE_MIB = 256 };

/* The folder, or the nearest one above it that exists: a start would make the rest. */
static void nearest(const char *path, char out[MAX_PATH])
{
    char *slash;

    (void)snprintf(out, MAX_PATH, "%s", path);
    while (access(out, F_OK) != 0 && (slash = strrchr(out, '/')) != NULL && slash != out)
        *slash = '\0';
    if (access(out, F_OK) != 0)
        (void)snprintf(out, MAX_PATH, "%s", path[0] == '/' ? "/" : ".");
}

/* Writes a page to a new file, syncs, removes it. Microseconds, or -1 and errno. */
static int64_t sync_us(const char *folder)
{
    char path[MAX_PATH], page[4096] = "probe";
    uint64_t start;
    int64_t us = -1;
    int fd, saved;

    (void)snprintf(path, sizeof(path), "%.4000s/.sluice-probe-XXXXXX", folder);
    fd = mkstemp(path);
    if (fd < 0)
        return -1;
    start = gw_clock_ns();
    if (write(fd, page, sizeof(page)) == (ssize_t)sizeof(page) && fdatasync(fd) == 0)
        us = (int64_t)(gw_clock_ns() - start) / 1000;
    saved = errno;
    (void)close(fd);
    (void)unlink(path);
    errno = saved;
    return us;
}

/* Bytes that the files of a folder take. */
static uint64_t used_bytes(const char *folder)
{
    DIR *d = opendir(folder);
    const struct dirent *e;
    uint64_t n = 0;
    struct stat st;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of its own
    while (d != NULL && (e = readdir(d)) != NULL)
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            n += (uint64_t)st.st_size;
    if (d != NULL)
        (void)closedir(d);
    return n;
}

/* need: bytes that must still find room, beyond which there may be more. */
static void probe_disk(struct probe_report *r, const char *key, const char *path, uint64_t need,
                       bool sync_matters)
{
    struct probe_row *row = probe_row(r, "%s", key);
    char folder[MAX_PATH];
    struct statvfs vfs;
    uint64_t room = 0;
    int64_t us;

    if (row == NULL)
        return;
    nearest(path, folder);
    us = sync_us(folder);
    if (us < 0) {
        (void)snprintf(row->found, sizeof(row->found), "%.150s: %s", folder,
                       strerrordesc_np(errno));
        probe_bad(row, PROBE_FAIL,
                  "the gateway's user must be able to write there, and the disk must take it");
        return;
    }
    if (statvfs(folder, &vfs) == 0)
        room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    (void)snprintf(row->found, sizeof(row->found), "writable, %llu MiB free, a sync takes %.1f ms",
                   (unsigned long long)(room >> 20), (double)us / 1e3);
    if (room < (uint64_t)LITTLE_MIB << 20)
        probe_bad(row, PROBE_FAIL, "the disk is nearly full: make room");
    else if (room < need)
        probe_bad(row, PROBE_WARN,
                  "audit.max_spool may still grow by %llu MiB, which the disk has not: make room "
                  "or lower it",
                  (unsigned long long)(need >> 20));
    if (sync_matters && us > SLOW_SYNC_MS * 1000L)
        probe_bad(row, PROBE_WARN,
                  "each answer waits for a sync: use a faster disk, or audit.durability: process");
}

void probe_disks(const struct proxy_config *cfg, struct probe_report *r)
{
    uint64_t used = used_bytes(cfg->audit.spool);

    probe_disk(r, "state_dir", cfg->state_dir, 0, false);
    probe_disk(r, "audit.spool", cfg->audit.spool,
               used < cfg->audit.max_spool ? cfg->audit.max_spool - used : 0,
               cfg->audit.durability == 0);
}
