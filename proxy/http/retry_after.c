/* proxy/http/retry_after.c - see retry_after.h. */
#include "proxy/http/retry_after.h"

#include <stdbool.h>
#include <string.h>

#define MAX_MS ((int64_t)366 * 24 * 3600 * 1000)

static struct gw_span trim(struct gw_span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = gw_span_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* A decimal number in thousandths of unit_ms; false when it is none. */
static bool read_number(struct gw_span s, int64_t unit_ms, int64_t *out)
{
    int64_t whole = 0, part = 0, scale = 1;
    size_t i = 0;

    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
        whole = whole > MAX_MS ? whole : whole * 10 + (s.ptr[i] - '0');
    if (i == 0)
        return false;
    if (i < s.len && s.ptr[i] == '.')
        for (i++; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
            if (scale < 1000) {
                part = part * 10 + (s.ptr[i] - '0');
                scale *= 10;
            }
    if (i != s.len)
        return false;
    *out = whole > MAX_MS / unit_ms ? MAX_MS : whole * unit_ms + part * unit_ms / scale;
    return true;
}

/* ---- dates ------------------------------------------------------------------------------ */

/* Takes n digits (a leading blank counts as 0) off the front; -1: there are none. */
static int take_digits(struct gw_span *s, unsigned n)
{
    int v = 0;

    if (s->len < n)
        return -1;
    for (unsigned i = 0; i < n; i++) {
        char c = s->ptr[i];

        if (c == ' ' && i == 0 && n == 2)
            continue;

        if (c < '0' || c > '9')
            return -1;
        v = v * 10 + (c - '0');
    }
    *s = gw_span_from(*s, n);
    return v;
}

static bool take(struct gw_span *s, const char *text)
{
    if (!gw_span_starts(*s, gw_span_str(text)))
        return false;
    *s = gw_span_from(*s, strlen(text));
    return true;
}

static int take_month(struct gw_span *s)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    for (int i = 0; i < 12; i++)
        if (take(s, months[i]))
            return i + 1;
    return -1;
}

/* Seconds of the day, from "08:49:37"; -1. */
static int take_time(struct gw_span *s)
{
    int h, m, sec;

    h = take_digits(s, 2);
    if (h < 0 || !take(s, ":"))
        return -1;
    m = take_digits(s, 2);
    if (m < 0 || !take(s, ":"))
        return -1;
    sec = take_digits(s, 2);
    return h > 23 || m > 59 || sec < 0 || sec > 60 ? -1 : (h * 60 + m) * 60 + sec;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t y = month > 2 ? year : year - 1; /* leap days until then */

    return ((int64_t)year - 1970) * 365 + (y / 4 - y / 100 + y / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400) + before[month - 1] + day - 1;
}

struct date {
    int day, month, year, time; /* time: seconds of the day */
};

/* " 06 Nov 1994 08:49:37 GMT", " 06-Nov-94 08:49:37 GMT" */
static bool read_behind_comma(struct gw_span s, struct date *d)
{
    const char *between = " ";

    if (!take(&s, " "))
        return false;
    d->day = take_digits(&s, 2);
    if (gw_span_starts(s, GW_SPAN("-")))
        between = "-";
    if (!take(&s, between))
        return false;
    d->month = take_month(&s);
    if (!take(&s, between))
        return false;
    d->year = take_digits(&s, between[0] == '-' ? 2 : 4);
    if (between[0] == '-' && d->year >= 0)
        d->year += d->year < 70 ? 2000 : 1900;
    if (!take(&s, " "))
        return false;
    d->time = take_time(&s);
    return gw_span_is(s, " GMT");
}

/* " Nov  6 08:49:37 1994" */
static bool read_asctime(struct gw_span s, struct date *d)
{
    if (!take(&s, " "))
        return false;
    d->month = take_month(&s);
    if (!take(&s, " "))
        return false;
    d->day = take_digits(&s, 2);
    if (!take(&s, " "))
        return false;
    d->time = take_time(&s);
    if (!take(&s, " "))
        return false;
    d->year = take_digits(&s, 4);
    return s.len == 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994". */
static bool read_date(struct gw_span s, int64_t *out)
{
    const char *comma = s.len == 0 ? NULL : memchr(s.ptr, ',', s.len);
    struct date d;
    bool read;

    if (comma != NULL)
        read = read_behind_comma(gw_span_from(s, (size_t)(comma - s.ptr) + 1), &d);
    else
        read = s.len > 3 && read_asctime(gw_span_from(s, 3), &d);
    if (!read || d.day < 1 || d.day > 31 || d.month < 1 || d.year < 1970 || d.time < 0)
        return false;
    *out = (days_of(d.year, d.month, d.day) * 86400 + d.time) * 1000;
    return true;
}

int64_t retry_after_ms(struct gw_span ms, struct gw_span seconds_or_date, int64_t wall_ms)
{
    int64_t at;

    if (read_number(trim(ms), 1, &at))
        return at;
    seconds_or_date = trim(seconds_or_date);
    if (read_number(seconds_or_date, 1000, &at))
        return at;
    if (!read_date(seconds_or_date, &at))
        return -1;
    if (at <= wall_ms)
        return 0;
    return at - wall_ms < MAX_MS ? at - wall_ms : MAX_MS;
}
