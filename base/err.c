/* base/err.c - formats error messages. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

const char *gw_status_name(enum gw_status st)
{
    static const char *const names[] = {
        [GW_OK] = "ok",
        [GW_EINVAL] = "invalid",
        [GW_EPARSE] = "parse",
        [GW_ENOMEM] = "no_memory",
        [GW_ELIMIT] = "limit",
        [GW_EIO] = "io",
        [GW_ENOENT] = "not_found",
        [GW_EEXIST] = "exists",
        [GW_EDENIED] = "denied",
        [GW_EAGAIN] = "again",
        [GW_ECANCELED] = "canceled",
        [GW_ETIMEDOUT] = "timed_out",
        [GW_ECORRUPT] = "corrupt",
        [GW_EUNSUPPORTED] = "unsupported",
    };

    if ((unsigned)st >= sizeof(names) / sizeof(names[0]))
        return "unknown";
    return names[st];
}

enum gw_status gw_fail(struct gw_err *err, enum gw_status code, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return code;
    err->code = code;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return code;
}

enum gw_status gw_fail_prefix(struct gw_err *err, const char *fmt, ...)
{
    char old[sizeof(err->text)];
    va_list ap;
    size_t used;

    if (err == NULL)
        return GW_EINVAL;
    memcpy(old, err->text, sizeof(old));
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", old);
    return err->code;
}
