/* proxy/config/config_zone.c - a time zone by its name out of the system's files, or an offset, as a plain table.
 *
 * libc's own functions read one zone for the whole process, from the environment; policy lines have one each. The files are
 * TZif (RFC 9636): times at which the offset changes, and behind them a rule for all time to come in the notation of POSIX'
 * TZ variable, which is written out here until 2100. Runs while a configuration is loaded, on that thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_private.h"

enum { MAX_FILE = 256 * 1024, HEADER = 44, LAST_YEAR = 2099, DAY_S = 86400, HOUR_S = 3600 };

/* ---- the calendar ------------------------------------------------------------------------------- */

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days from 1970-01-01 to the first day of the year; from 1970 on. */
static int64_t year_day(int64_t y)
{
    return (y - 1970) * 365 + ((y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400) - 477;
}

static int64_t month_day(int64_t y, int month)
{
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

    if (month < 1 || month > 13) /* 13: the end of the year */
        return 0;
    return before[month - 1] + (month > 2 && is_leap(y));
}

/* ---- POSIX' TZ ---------------------------------------------------------------------------------- */

struct text {
    const char *p, *end;
};

static bool take(struct text *t, char c)
{
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    return true;
}

static bool take_number(struct text *t, int max, int *out)
{
    int n = 0;
    const char *from = t->p;

    while (t->p < t->end && *t->p >= '0' && *t->p <= '9') {
        n = n * 10 + (*t->p++ - '0');
        if (n > max)
            return false;
    }
    *out = n;
    return t->p > from;
}

static bool take_name(struct text *t)
{
    const char *from;
    bool quoted = take(t, '<');

    from = t->p;
    while (t->p < t->end &&
           (quoted ? *t->p != '>' : gw_ascii_lower(*t->p) >= 'a' && gw_ascii_lower(*t->p) <= 'z'))
        t->p++;
    return t->p - from >= 3 && (!quoted || take(t, '>'));
}

/* [+-]h[:m[:s]] in seconds. */
static bool take_time(struct text *t, int *out)
{
    bool minus = take(t, '-');
    int h, m = 0, s = 0;

    if (!minus)
        (void)take(t, '+');
    if (!take_number(t, 167, &h))
        return false;
    if (take(t, ':') && (!take_number(t, 59, &m) || (take(t, ':') && !take_number(t, 59, &s))))
        return false;
    *out = (h * HOUR_S + m * 60 + s) * (minus ? -1 : 1);
    return true;
}

/* A day of the year on which the offset changes. */
struct change {
    enum { CHANGE_JULIAN, CHANGE_DAY, CHANGE_MONTH } kind;
    int month, week, day; /* MONTH: that weekday (0: Sunday) of that week, 5: the last */
    int at_s;             /* local time */
};

static bool take_change(struct text *t, struct change *out)
{
    *out = (struct change){.kind = CHANGE_DAY, .at_s = 2 * HOUR_S};
    if (take(t, 'M')) {
        out->kind = CHANGE_MONTH;
        if (!take_number(t, 12, &out->month) || out->month == 0 || !take(t, '.') ||
            !take_number(t, 5, &out->week) || out->week == 0 || !take(t, '.') ||
            !take_number(t, 6, &out->day))
            return false;
    } else {
        if (take(t, 'J'))
            out->kind = CHANGE_JULIAN;
        if (!take_number(t, 365, &out->day) || (out->kind == CHANGE_JULIAN && out->day == 0))
            return false;
    }
    return !take(t, '/') || take_time(t, &out->at_s);
}

/* Seconds since 1970 of the change in that year, as a clock shows them that does not know of it. */
static int64_t change_in(const struct change *c, int64_t year)
{
    int64_t day = year_day(year), first;
    int weekday;

    if (c->kind == CHANGE_DAY)
        return (day + c->day) * DAY_S + c->at_s;
    if (c->kind == CHANGE_JULIAN) /* 29 February is not counted */
        return (day + c->day - 1 + (is_leap(year) && c->day >= 60)) * DAY_S + c->at_s;
    first = day + month_day(year, c->month);
    weekday = (int)((first + 4) % 7); /* 1970 began on a Thursday */
    first += (c->day - weekday + 7) % 7 + (int64_t)(c->week - 1) * 7;
    while (first >= day + month_day(year, c->month + 1)) /* the last one */
        first -= 7;
    return first * DAY_S + c->at_s;
}

/* A table that is being filled. */
struct table {
    int64_t *from_s;
    int32_t *offset_s;
    unsigned n, cap;
};

static void append(struct table *t, int64_t from_s, int32_t offset_s)
{
    if (t->n == t->cap || (t->n != 0 && from_s <= t->from_s[t->n - 1]))
        return;
    t->from_s[t->n] = from_s;
    t->offset_s[t->n++] = offset_s;
}

/* Writes out the rule behind the last entry. */
static bool write_rule(struct gw_span rule, struct table *out)
{
    struct text t = {rule.ptr, rule.ptr + rule.len};
    struct change start, end;
    int west, summer_west;

    if (rule.len == 0)
        return true;
    if (!take_name(&t) || !take_time(&t, &west))
        return false;
    if (t.p == t.end) {
        append(out, out->n == 0 ? INT64_MIN / 2 : out->from_s[out->n - 1] + 1, -west);
        return true;
    }
    summer_west = west - HOUR_S;
    if (!take_name(&t) || (t.p < t.end && *t.p != ',' && !take_time(&t, &summer_west)) ||
        !take(&t, ',') || !take_change(&t, &start) || !take(&t, ',') || !take_change(&t, &end) ||
        t.p != t.end)
        return false;
    for (int64_t year = 1970; year <= LAST_YEAR; year++) {
        int64_t summer = change_in(&start, year) + west;
        int64_t winter = change_in(&end, year) + summer_west;

        append(out, summer < winter ? summer : winter, summer < winter ? -summer_west : -west);
        append(out, summer < winter ? winter : summer, summer < winter ? -west : -summer_west);
    }
    return true;
}

/* ---- TZif --------------------------------------------------------------------------------------- */

static uint32_t be32(const char *p)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < 4; i++)
        n = n << 8 | (unsigned char)p[i];
    return n;
}

static int64_t be64(const char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* The numbers of a header, each bounded. */
struct counts {
    size_t isut, isstd, leap, time, type, chars;
};

static bool read_header(struct gw_span file, struct counts *c)
{
    if (file.len < HEADER || memcmp(file.ptr, "TZif", 4) != 0)
        return false;
    *c = (struct counts){be32(file.ptr + 20), be32(file.ptr + 24), be32(file.ptr + 28),
                         be32(file.ptr + 32), be32(file.ptr + 36), be32(file.ptr + 40)};
    return c->isut <= MAX_FILE && c->isstd <= MAX_FILE && c->leap <= MAX_FILE &&
           c->time <= MAX_FILE && c->type <= 256 && c->type > 0 && c->chars <= MAX_FILE;
}

static size_t data_bytes(const struct counts *c, size_t time_bytes)
{
    return c->time * (time_bytes + 1) + c->type * 6 + c->chars + c->leap * (time_bytes + 4) +
           c->isstd + c->isut;
}

/* The times of the second block, which has 64 bits. */
static bool read_times(struct gw_span data, const struct counts *c, int32_t *first_s,
                       struct table *out)
{
    const char *types;

    if (data.ptr == NULL || data.len < data_bytes(c, 8))
        return false;
    types = data.ptr + c->time * 9;
    *first_s = (int32_t)be32(types);
    for (size_t i = 0; i < c->time; i++) {
        unsigned type = (unsigned char)data.ptr[c->time * 8 + i];
        int32_t offset;

        if (type >= c->type)
            return false;
        offset = (int32_t)be32(types + (size_t)type * 6);
        if (offset < -2 * DAY_S || offset > 2 * DAY_S)
            return false;
        append(out, be64(data.ptr + i * 8), offset);
    }
    return *first_s >= -2 * DAY_S && *first_s <= 2 * DAY_S;
}

bool config_zone_parse(struct gw_arena *arena, struct gw_span file, struct router_zone *out)
{
    struct table t = {0};
    struct counts c;
    struct gw_span rule;
    const char *nl;
    int32_t first_s = 0;

    if (!read_header(file, &c) || file.len < HEADER + data_bytes(&c, 4) || file.ptr[4] < '2')
        return false;
    file = gw_span_from(file, HEADER + data_bytes(&c, 4));
    if (!read_header(file, &c) || file.len < HEADER + data_bytes(&c, 8))
        return false;
    t.cap = (unsigned)c.time + 2 * (LAST_YEAR - 1970 + 1);
    t.from_s = gw_arena_array(arena, t.cap, sizeof(*t.from_s));
    t.offset_s = gw_arena_array(arena, t.cap, sizeof(*t.offset_s));
    if (t.from_s == NULL || t.offset_s == NULL ||
        !read_times(gw_span_from(file, HEADER), &c, &first_s, &t))
        return false;
    rule = gw_span_from(file, HEADER + data_bytes(&c, 8));
    if (rule.len < 2 || rule.ptr[0] != '\n')
        return false;
    rule = gw_span_from(rule, 1);
    nl = memchr(rule.ptr, '\n', rule.len);
    if (nl == NULL)
        return false;
    rule.len = (size_t)(nl - rule.ptr);
    if (!write_rule(rule, &t))
        return false;
    *out = (struct router_zone){first_s, t.from_s, t.offset_s, t.n};
    return true;
}

/* ---- names -------------------------------------------------------------------------------------- */

/* "+02:00", "-0530", "Z", "UTC". */
static bool read_offset(const char *name, int32_t *out)
{
    int h, m;
    char sign = name[0];

    if (strcmp(name, "Z") == 0 || strcmp(name, "UTC") == 0) {
        *out = 0;
        return true;
    }
    if ((sign != '+' && sign != '-') || strlen(name) != 6 || name[3] != ':')
        return false;
    for (unsigned i = 1; i < 6; i++)
        if (i != 3 && (name[i] < '0' || name[i] > '9'))
            return false;
    h = (name[1] - '0') * 10 + name[2] - '0';
    m = (name[4] - '0') * 10 + name[5] - '0';
    if (h > 14 || m > 59)
        return false;
    *out = (h * HOUR_S + m * 60) * (sign == '-' ? -1 : 1);
    return true;
}

/* "Europe/Berlin": never a way out of the folder. */
static bool good_name(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++) {
        char c = gw_ascii_lower(name[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("_+-/", c) != NULL))
            return false;
    }
    return n > 0 && n < 64 && name[0] != '/';
}

const char *config_zone_read(struct config_load *l, const char *name, struct router_zone *out)
{
    struct router_zone zone = {0};
    char path[128];
    char *text;
    bool good;
    FILE *f;

    if (read_offset(name, &zone.first_s)) {
        *out = zone;
        return NULL;
    }
    if (!good_name(name))
        return "is neither an offset such as +02:00 nor the name of a time zone such as "
               "Europe/Berlin";
    (void)snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    f = fopen(path, "rbe");
    if (f == NULL)
        return errno == ENOENT ? "this machine knows no such time zone (is the package tzdata "
                                 "installed?); an offset such as +02:00 needs none"
                               : "the file of the time zone cannot be read";
    text = malloc(MAX_FILE);
    good = text != NULL &&
           config_zone_parse(l->arena, (struct gw_span){text, fread(text, 1, MAX_FILE, f)}, &zone);
    (void)fclose(f);
    free(text);
    if (!good)
        return "the file of the time zone is none that can be read";
    *out = zone;
    return NULL;
}
