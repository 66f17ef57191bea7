/* proxy/config/config_policy_time.c - `when.time` of a policy line: days, hours and zone as the router wants them.
 *
 * Runs at the end of a load, on that thread. */
#include <string.h>

#include "proxy/config/config_private.h"

static int day_of(struct gw_span name)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

    for (int i = 0; i < 7; i++)
        if (gw_span_eq_nocase(name, gw_span_str(days[i])))
            return i;
    return -1;
}

/* "fri", "mon-fri", also over the week's end: "sat-mon". */
static bool add_days(struct gw_span text, unsigned *days)
{
    const char *dash = text.len == 0 ? NULL : memchr(text.ptr, '-', text.len);
    struct gw_span first = text, last = text;
    int from, to;

    if (dash != NULL) {
        first.len = (size_t)(dash - text.ptr);
        last = gw_span_from(text, first.len + 1);
    }
    from = day_of(first);
    to = day_of(last);
    if (from < 0 || to < 0)
        return false;
    for (; from != to; from = (from + 1) % 7)
        *days |= 1u << from;
    *days |= 1u << to;
    return true;
}

/* "08:30" in minutes; "24:00" only where it ends. */
static bool read_clock(const char *p, bool end, unsigned *out)
{
    for (unsigned i = 0; i < 5; i++)
        if (i == 2 ? p[i] != ':' : p[i] < '0' || p[i] > '9')
            return false;
    *out = (unsigned)((p[0] - '0') * 10 + p[1] - '0') * 60 +
           (unsigned)((p[3] - '0') * 10 + p[4] - '0');
    return p[3] < '6' && (*out < 24 * 60 || (end && *out == 24 * 60));
}

const char *config_hours_read(struct config_load *l, const struct proxy_config_line *line,
                              struct router_hours *out)
{
    struct router_hours h = {0};

    h.set = line->days.n != 0 || line->hours[0] != '\0';
    for (unsigned i = 0; i < line->days.n; i++)
        if (!add_days(line->days.items[i], &h.days))
            return "when.time.days: must be days such as mon or mon-fri";
    if (line->hours[0] != '\0') {
        if (strlen(line->hours) != 11 || line->hours[5] != '-' ||
            !read_clock(line->hours, false, &h.from) || !read_clock(line->hours + 6, true, &h.to))
            return "when.time.hours: must be from and to, such as 08:00-18:00";
        if (h.from == h.to)
            return "when.time.hours: begin and end are the same; leave the key out for all day";
        h.to %= 24 * 60;
    }
    if (line->zone[0] != '\0') {
        const char *fault = config_zone_read(l, line->zone, &h.zone);

        if (fault != NULL)
            return fault;
        if (!h.set)
            return "when.time.zone: says nothing without days or hours";
    }
    *out = h;
    return NULL;
}
