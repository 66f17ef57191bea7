/* tests/fault/clock.c - a wall clock that a test can move: preloaded into the gateway, it adds what the mapped file says to the
 * system's clock. The monotonic clocks stay as they are.
 *
 * SLUICE_CLOCK names a file of 8 bytes: seconds, signed. Not part of the product. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t offset(void)
{
    static volatile const int64_t *at;
    const char *path = getenv("SLUICE_CLOCK");

    if (at == NULL && path != NULL) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*at), PROT_READ, MAP_SHARED, fd, 0);

        if (fd >= 0)
            (void)close(fd);
        if (p != MAP_FAILED)
            at = p;
    }
    return at == NULL ? 0 : *at;
}

int clock_gettime(clockid_t which, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, which, ts);

    if (rc == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        ts->tv_sec += offset();
    return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    int rc = (int)syscall(SYS_gettimeofday, tv, tz);

    if (rc == 0)
        tv->tv_sec += offset();
    return rc;
}

time_t time(time_t *out)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (out != NULL)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
