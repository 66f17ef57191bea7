/* dlp/bundle_trust.c - who can have written an object that is about to be loaded. Thread: any. */
#include <sys/stat.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dlp/dlp.h"

enum { MAX_PATH = 4096 };

/* Ours or root's, and nobody else's to write. In a sticky folder (/tmp) others cannot touch what is ours. */
static bool is_ours(const struct stat *s)
{
    bool sticky = S_ISDIR(s->st_mode) && (s->st_mode & S_ISVTX) != 0;
    bool group = (s->st_mode & S_IWGRP) != 0 && s->st_gid != 0 && s->st_gid != getegid();

    if (s->st_uid != 0 && s->st_uid != geteuid())
        return false;
    return sticky || (!group && (s->st_mode & S_IWOTH) == 0);
}

static enum gw_status check(const char *path, const char *what, struct gw_err *err)
{
    struct stat s;

    if (stat(path, &s) != 0)
        return gw_fail(err, GW_EIO, "%s: %s", path, strerrordesc_np(errno));
    if (!is_ours(&s))
        return gw_fail(err, GW_EDENIED,
                       "%s: not loaded, because others than root and the user of this process can "
                       "change %s; chown and chmod go-w it",
                       path, what);
    return GW_OK;
}

enum gw_status dlp_rules_check_trust(const char *so_path, struct gw_err *err)
{
    const char *slash = strrchr(so_path, '/');
    size_t n = slash == NULL ? 1 : (size_t)(slash - so_path) + (slash == so_path);
    char folder[MAX_PATH] = ".";

    if (n >= sizeof(folder))
        return gw_fail(err, GW_ELIMIT, "%.80s...: the path is too long", so_path);
    if (slash != NULL)
        memcpy(folder, so_path, n);
    folder[n] = '\0';
    GW_TRY(check(so_path, "it", err));
    return check(folder, "the folder that rules are loaded from", err);
}
