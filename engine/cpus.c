/* engine/cpus.c - affinity and control-group quota to a number of threads. Owns nothing. */
#include "engine/cpus.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/span.h"

enum { MAX_FILE_BYTES = 4096 };

/* Reads a small file whole, NUL-terminated; false when it is not there or too long to be one of ours. */
static bool read_file(const char *path, char out[MAX_FILE_BYTES])
{
    size_t len = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    while (len < MAX_FILE_BYTES - 1 && (n = read(fd, out + len, MAX_FILE_BYTES - 1 - len)) > 0)
        len += (size_t)n;
    (void)close(fd);
    out[len] = '\0';
    return len != 0 && len < MAX_FILE_BYTES - 1;
}

/* Whole CPUs that quota of period allows; UINT_MAX when it does not limit. */
static unsigned whole_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period > 1 << 20)
        return UINT_MAX;
    return quota < period ? 1 : (unsigned)(quota / period);
}

/* "max 100000" or "150000 100000" */
static unsigned parse_cpu_max(const char *text)
{
    char *end;
    long long quota, period;

    if (strncmp(text, "max", 3) == 0)
        return UINT_MAX;
    quota = strtoll(text, &end, 10);
    if (end == text)
        return UINT_MAX;
    text = end;
    period = strtoll(text, &end, 10);
    return end == text ? whole_cpus(quota, 100000) : whole_cpus(quota, period);
}

static unsigned quota_of_folder(const char *folder)
{
    char path[PATH_MAX], text[MAX_FILE_BYTES];
    unsigned limit = UINT_MAX, v1;
    long long quota;

    if (snprintf(path, sizeof(path), "%s/cpu.max", folder) < (int)sizeof(path) &&
        read_file(path, text))
        limit = parse_cpu_max(text);
    if (snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder) >= (int)sizeof(path) ||
        !read_file(path, text))
        return limit;
    quota = strtoll(text, NULL, 10);
    if (snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder) >= (int)sizeof(path) ||
        !read_file(path, text))
        return limit;
    v1 = whole_cpus(quota, strtoll(text, NULL, 10));
    return v1 < limit ? v1 : limit;
}

/* The least quota of mount/group and of every group above it. A container often sees its own group as
 * the mount's root although /proc names the path outside; folders that are not there do not limit. */
static unsigned quota_of_group(const char *mount, const char *group)
{
    char folder[PATH_MAX];
    unsigned limit = UINT_MAX;
    size_t keep = strlen(mount);
    int n = snprintf(folder, sizeof(folder), "%s%s", mount, group);

    if (n < 0 || n >= (int)sizeof(folder))
        return UINT_MAX;
    for (;;) {
        unsigned here = quota_of_folder(folder);
        char *slash;

        if (here < limit)
            limit = here;
        slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < keep)
            return limit;
        *slash = '\0';
    }
}

/* True when the comma-separated list of v1 controllers has "cpu" in it. */
static bool has_cpu_controller(struct gw_span list)
{
    size_t from = 0;

    for (size_t i = 0; i <= list.len; i++) {
        if (i < list.len && list.ptr[i] != ',')
            continue;
        if (i - from == 3 && memcmp(list.ptr + from, "cpu", 3) == 0)
            return true;
        from = i + 1;
    }
    return false;
}

/* One line of /proc/self/cgroup: "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1). */
static unsigned quota_of_line(const char *root, const char *line)
{
    static const char *const v1_mounts[] = {"cpu,cpuacct", "cpu"};
    const char *a = strchr(line, ':'), *b = a == NULL ? NULL : strchr(a + 1, ':');
    char mount[PATH_MAX];
    unsigned limit = UINT_MAX;

    if (b == NULL)
        return UINT_MAX;
    if (b == a + 1) {
        if (snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root) < (int)sizeof(mount))
            limit = quota_of_group(mount, b + 1);
        return limit;
    }
    if (!has_cpu_controller((struct gw_span){a + 1, (size_t)(b - a - 1)}))
        return UINT_MAX;
    for (size_t i = 0; i < sizeof(v1_mounts) / sizeof(v1_mounts[0]); i++) {
        unsigned here;

        if (snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/%s", root, v1_mounts[i]) >=
            (int)sizeof(mount))
            continue;
        here = quota_of_group(mount, b + 1);
        if (here < limit)
            limit = here;
    }
    return limit;
}

static unsigned quota(const char *root)
{
    char path[PATH_MAX], text[MAX_FILE_BYTES];
    unsigned limit = UINT_MAX;

    if (snprintf(path, sizeof(path), "%s/proc/self/cgroup", root) >= (int)sizeof(path) ||
        !read_file(path, text))
        return UINT_MAX;
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        unsigned here;

        if (end != NULL)
            *end = '\0';
        here = quota_of_line(root, line);
        if (here < limit)
            limit = here;
        line = end == NULL ? NULL : end + 1;
    }
    return limit;
}

unsigned cpus_allowed(const char *root)
{
    cpu_set_t set;
    unsigned n = 1, limit = quota(root);

    /* Fails on machines with more CPUs than the set holds; one thread is then safe, if slow. */
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        n = (unsigned)CPU_COUNT(&set);
    return n < limit ? n : limit;
}
