/* base/log.c - one line, one write. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic enum gw_log_level min_level = GW_LOG_INFO;

void gw_log_set_level(enum gw_log_level level)
{
    atomic_store_explicit(&min_level, level, memory_order_relaxed);
}

bool gw_log_enabled(enum gw_log_level level)
{
    return level >= atomic_load_explicit(&min_level, memory_order_relaxed);
}

void gw_log(enum gw_log_level level, const char *event, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char line[1024], when[GW_RFC3339_BYTES];
    size_t n;
    va_list ap;
    int w;

    if (!gw_log_enabled(level))
        return;
    gw_clock_rfc3339(gw_clock_wall_ms(), when);
    w = snprintf(line, sizeof(line), "%s %s %s ", when, names[level], event);
    if (w < 0)
        return;
    n = (size_t)w;
    va_start(ap, fmt);
    w = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    va_end(ap);
    if (w < 0)
        return;
    n += (size_t)w;
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F)
            line[i] = '?';
    line[n++] = '\n';
    /* Nothing can be done about a full or closed stderr. */
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}
