/* proxy/dirs.c - mkdir -p. */
#include "proxy/dirs.h"

#include <sys/stat.h>

#include <errno.h>
#include <string.h>

enum gw_status dirs_make(const char *path, struct gw_err *err)
{
    char part[4096];

    for (size_t i = 1; path[i - 1] != '\0'; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        if (i >= sizeof(part))
            return gw_fail(err, GW_ELIMIT, "%s: the path is too long", path);
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return gw_fail(err, GW_EIO, "cannot make %s: %s", part, strerrordesc_np(errno));
    }
    return GW_OK;
}
