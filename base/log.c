/* base/log.c - one line, one write. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_pairs.h"

static _Atomic enum gw_log_level min_level = GW_LOG_INFO;
static _Atomic enum gw_log_format format = GW_LOG_TEXT;

void gw_log_set_level(enum gw_log_level level)
{
    atomic_store_explicit(&min_level, level, memory_order_relaxed);
}

bool gw_log_enabled(enum gw_log_level level)
{
    return level >= atomic_load_explicit(&min_level, memory_order_relaxed);
}

void gw_log_set_format(enum gw_log_format f)
{
    atomic_store_explicit(&format, f, memory_order_relaxed);
}

void gw_log(enum gw_log_level level, const char *event, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char bytes[2048], when[GW_RFC3339_BYTES];
    struct log_line l = {bytes, 0, sizeof(bytes),
                         atomic_load_explicit(&format, memory_order_relaxed) == GW_LOG_JSON};
    va_list ap;

    if (!gw_log_enabled(level))
        return;
    gw_clock_rfc3339(gw_clock_wall_ms(), when);
    log_line_add(&l, l.json ? "{\"time\":\"" : "");
    log_line_add(&l, when);
    log_line_add(&l, l.json ? "\",\"level\":\"" : " ");
    log_line_add(&l, names[level]);
    log_line_add(&l, l.json ? "\",\"event\":\"" : " ");
    log_line_add(&l, event);
    log_line_add(&l, l.json ? "\"" : "");
    va_start(ap, fmt);
    log_pairs(&l, fmt, ap);
    va_end(ap);
    if (l.json)
        l.p[l.n++] = '}';
    l.p[l.n++] = '\n';
    /* Nothing can be done about a full or closed stderr. */
    if (write(STDERR_FILENO, l.p, l.n) < 0)
        return;
}
