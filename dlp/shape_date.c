/* dlp/shape_date.c - the stand-in of a date: another date (shape.h). */
#include <string.h>

#include "dlp/shape.h"
#include "dlp/validate_impl.h"

enum order { YEAR_FIRST, DAY_FIRST, MONTH_FIRST, EITHER };

struct date {
    unsigned part[3], width[3]; /* as written */
    char between;               /* 0: nothing */
    enum order order;
};

static bool is_named(const char *type)
{
    return strstr(type, "DATE") != NULL || strstr(type, "BIRTH") != NULL ||
           strstr(type, "DOB") != NULL;
}

/* "1980-05-17", "17.5.1980": three numbers with one separator between them. */
static bool split(struct gw_span s, struct date *d)
{
    unsigned n = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (dlp_is_digit(c)) {
            if (++d->width[n] > 4)
                return false;
            d->part[n] = d->part[n] * 10 + (unsigned)(c - '0');
        } else if ((c != '-' && c != '/' && c != '.') || (d->between != 0 && c != d->between) ||
                   d->width[n] == 0 || ++n > 2) {
            return false;
        } else {
            d->between = c;
        }
    }
    return n == 2 && d->width[2] != 0 && d->width[0] != 3 && d->width[1] <= 2 && d->width[2] != 3;
}

/* "19800517", when the rule says that it is a date. */
static bool split_compact(struct gw_span s, const char *type, struct date *d)
{
    static const unsigned widths[3] = {4, 2, 2};
    size_t at = 0;

    if (s.len != 8 || !is_named(type))
        return false;
    for (unsigned p = 0; p < 3; p++) {
        d->part[p] = 0;
        d->width[p] = widths[p];
        for (unsigned i = 0; i < widths[p]; i++, at++) {
            if (!dlp_is_digit(s.ptr[at]))
                return false;
            d->part[p] = d->part[p] * 10 + (unsigned)(s.ptr[at] - '0');
        }
    }
    d->between = 0;
    return true;
}

static bool find_order(struct date *d)
{
    if (d->width[0] == 4 && d->width[1] <= 2 && d->width[2] <= 2)
        d->order = YEAR_FIRST;
    else if (d->width[2] != 4 || d->width[0] > 2 || d->width[1] > 2)
        return false;
    else if (d->between != '/' || d->part[0] > 12)
        d->order = DAY_FIRST;
    else
        d->order = d->part[1] > 12 ? MONTH_FIRST : EITHER;
    return true;
}

static bool is_leap(unsigned y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static unsigned days_of(unsigned y, unsigned m)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

/* Goes back one month at a time, so some 400 steps for thirty years. */
static void go_back(unsigned *y, unsigned *m, unsigned *d, unsigned days)
{
    while (days >= *d) {
        days -= *d;
        if (--*m == 0) {
            *m = 12;
            --*y;
        }
        *d = days_of(*y, *m);
    }
    *d -= days;
}

enum dlp_shape dlp_shape_date(struct gw_span value, const char *type, unsigned days,
                              struct gw_buf *out)
{
    enum { OLDEST = 1100 }; /* years that can go back this far */
    struct date d = {0};
    unsigned y = 0, m = 0, day = 0;
    unsigned *as_written[3];
    enum dlp_shape none;

    if (!split(value, &d)) {
        d = (struct date){0};
        if (!split_compact(value, type, &d))
            return DLP_SHAPE_NONE;
    }
    /* With hyphens it may be some number as well. */
    none = d.between == '-' && !is_named(type) ? DLP_SHAPE_NONE : DLP_SHAPE_AGAIN;
    if (!find_order(&d))
        return none;
    as_written[0] = d.order == YEAR_FIRST ? &y : d.order == DAY_FIRST ? &day : &m;
    as_written[1] = d.order == YEAR_FIRST || d.order == DAY_FIRST ? &m : &day;
    as_written[2] = d.order == YEAR_FIRST ? &day : &y;
    for (unsigned i = 0; i < 3; i++)
        *as_written[i] = d.part[i];
    if (y < OLDEST || !dlp_date_ok((int)y, (int)m, (int)day))
        return none;
    go_back(&y, &m, &day, days);
    /* Nobody knows which one is the month: it must be a date to every reader. */
    for (unsigned i = 0; d.order == EITHER && day > 12 && i < 31; i++)
        go_back(&y, &m, &day, 1);
    for (unsigned i = 0; i < 3; i++) {
        if (i > 0 && d.between != 0)
            gw_buf_addc(out, d.between);
        gw_buf_printf(out, "%0*u", (int)d.width[i], *as_written[i]);
    }
    return DLP_SHAPE_MADE;
}
