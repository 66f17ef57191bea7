/* base/clock.c - the two clocks. */
#include "base/clock.h"

#include <string.h>
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

/* Writes n as so many digits, and then the byte. */
static char *put_digits(char *at, int n, int digits, char then)
{
    for (int i = digits - 1; i >= 0; i--, n /= 10)
        at[i] = (char)('0' + n % 10);
    at[digits] = then;
    return at + digits + 1;
}

/* Digit by digit: several are in every record of a request, and printf() takes ten times as long. */
void gw_clock_rfc3339(int64_t wall_ms, char out[GW_RFC3339_BYTES])
{
    time_t sec = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    struct tm tm;
    char *at = out;

    if (ms < 0) {
        ms += 1000;
        sec--;
    }
    if (gmtime_r(&sec, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > 8099)
        tm = (struct tm){.tm_year = 70, .tm_mday = 1};
    at = put_digits(at, tm.tm_year + 1900, 4, '-');
    at = put_digits(at, tm.tm_mon + 1, 2, '-');
    at = put_digits(at, tm.tm_mday, 2, 'T');
    at = put_digits(at, tm.tm_hour, 2, ':');
    at = put_digits(at, tm.tm_min, 2, ':');
    at = put_digits(at, tm.tm_sec, 2, '.');
    at = put_digits(at, ms, 3, 'Z');
    *at = '\0';
}

bool gw_clock_parse(const char *text, int64_t *wall_ms, bool *is_day)
{
    struct tm tm = {0};
    bool moment = strlen(text) == 20;
    char *end = strptime(text, moment ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d", &tm);
    int day = tm.tm_mday; /* timegm() turns a day that does not exist into another one */
    time_t t;

    if (end == NULL || *end != '\0' || (!moment && strlen(text) != 10))
        return false;
    t = timegm(&tm);
    if (t == (time_t)-1 || tm.tm_mday != day)
        return false;
    *wall_ms = (int64_t)t * 1000;
    *is_day = !moment;
    return true;
}
