/* proxy/core_dumps.c - see core_dumps.h. */
#include "proxy/core_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <errno.h>
#include <string.h>

#include "base/log.h"

static struct rlimit before;
static bool known; /* before holds the limit that the process was started with */

static void limit(rlim_t soft, rlim_t hard)
{
    const struct rlimit r = {soft, hard};

    if (setrlimit(RLIMIT_CORE, &r) != 0)
        gw_log(GW_LOG_WARN, "core_limit_failed", "reason=\"%s\"", strerrordesc_np(errno));
}

void core_dumps_off(void)
{
    known = getrlimit(RLIMIT_CORE, &before) == 0;
    if (known)
        limit(0, before.rlim_max);
    /* A pipe as core_pattern ignores the limit; the kernel asks this first. */
    (void)prctl(PR_SET_DUMPABLE, 0);
}

void core_dumps_allow(bool allow)
{
    if (!allow) {
        limit(0, 0);
        return;
    }
    if (known)
        limit(before.rlim_cur, before.rlim_max);
    (void)prctl(PR_SET_DUMPABLE, 1);
    gw_log(GW_LOG_WARN, "core_dumps_allowed",
           "hint=\"a crash writes prompts and keys to the disk\"");
}
