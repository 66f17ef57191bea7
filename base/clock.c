/* base/clock.c - the two clocks. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t gw_clock_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * GW_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

int64_t gw_clock_wall_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void gw_clock_rfc3339(int64_t wall_ms, char out[GW_RFC3339_BYTES])
{
    time_t sec = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    struct tm tm;
    char date[20];

    if (ms < 0) {
        ms += 1000;
        sec--;
    }
    if (gmtime_r(&sec, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > 8099 ||
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        (void)snprintf(date, sizeof(date), "1970-01-01T00:00:00");
    (void)snprintf(out, GW_RFC3339_BYTES, "%s.%03dZ", date, ms);
}
