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

/* Year, month and day of a day since 1970, of the Gregorian calendar, from year 0 on
 * (Howard Hinnant, "chrono-compatible
 * low-level date algorithms"): years begin in March, so that the day that some have more is their last. */
static void date_of(int64_t day, int *year, int *month, int *mday)
{
    int64_t z = day + 719468 + 146097, era = z / 146097 - 1, doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

/* Without gmtime_r(), which takes a lock, and printf(): several are in every record of a request. */
void gw_clock_rfc3339(int64_t wall_ms, char out[GW_RFC3339_BYTES])
{
    const int64_t day_ms = 86400000, first_day = -719528, end_day = 2932897; /* years 0, 10000 */
    int64_t day = wall_ms / day_ms - (wall_ms % day_ms < 0);
    int year, month, mday, ms = (int)(wall_ms - day * day_ms);
    char *at = out;

    if (day < first_day || day >= end_day)
        day = ms = 0;
    date_of(day, &year, &month, &mday);
    at = put_digits(at, year, 4, '-');
    at = put_digits(at, month, 2, '-');
    at = put_digits(at, mday, 2, 'T');
    at = put_digits(at, ms / 3600000, 2, ':');
    at = put_digits(at, ms / 60000 % 60, 2, ':');
    at = put_digits(at, ms / 1000 % 60, 2, '.');
    at = put_digits(at, ms % 1000, 3, 'Z');
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
