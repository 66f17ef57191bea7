/* proxy/cli.c - terminal manners. */
#include "proxy/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

bool cli_color(FILE *f)
{
    const char *no = getenv("NO_COLOR"); // NOLINT(concurrency-mt-unsafe): commands are one thread

    return (no == NULL || no[0] == '\0') && isatty(fileno(f)) == 1;
}

const char *cli_paint(FILE *f, const char *name)
{
    static const struct {
        const char *name, *code;
    } codes[] = {
        {"bold", "\x1b[1m"},    {"dim", "\x1b[2m"},   {"red", "\x1b[31m"},  {"green", "\x1b[32m"},
        {"yellow", "\x1b[33m"}, {"blue", "\x1b[34m"}, {"reset", "\x1b[0m"},
    };

    if (!cli_color(f))
        return "";
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(codes[i].name, name) == 0)
            return codes[i].code;
    return "";
}

void cli_progress(const char *label, uint64_t done, uint64_t total)
{
    static uint64_t last_ns;
    static unsigned last_tenth;
    const double mb = 1e6;
    uint64_t now = gw_clock_ns();
    unsigned percent = total == 0 ? 0 : (unsigned)((double)done * 100.0 / (double)total);

    if (isatty(STDERR_FILENO) == 1) {
        if (done != total && now - last_ns < GW_NS_PER_SEC / 10)
            return;
        last_ns = now;
        (void)fprintf(stderr, "\r\x1b[K%s %u %% %.1f/%.1f MB%s", label, percent, (double)done / mb,
                      (double)total / mb, done == total ? "\n" : "");
        return;
    }
    if (percent / 10 < last_tenth)
        last_tenth = 0;
    if (percent / 10 == last_tenth && done != total)
        return;
    last_tenth = percent / 10;
    (void)fprintf(stderr, "%s %u %% %.1f/%.1f MB\n", label, percent, (double)done / mb,
                  (double)total / mb);
}

int cli_fail(const char *command, int status, const char *fmt, ...)
{
    va_list ap;

    (void)fprintf(stderr, "%ssluice %s:%s ", cli_paint(stderr, "red"), command,
                  cli_paint(stderr, "reset"));
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    return status;
}

int cli_fail_err(const char *command, const struct gw_err *err)
{
    return cli_fail(command, 1, "%s", err->text);
}
