/* proxy/fetch/fetch_folder.c - a model that is a folder: fetched as one archive, unpacked, each file proved.
 *
 * Everything happens in FOLDER.part, which is locked: the archive first (so a second attempt has it), then the
 * files in FOLDER.part/files, which at the end becomes FOLDER by one rename. */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proxy/fetch/fetch.h"

#define ERRNO_TEXT strerror_r(errno, (char[128]){0}, 128)

/* Writes FOLDER/NAME into out. */
static enum gw_status inside(const char *folder, const char *name, char out[FETCH_PATH_BYTES],
                             struct gw_err *err)
{
    int n = snprintf(out, FETCH_PATH_BYTES, "%s/%s", folder, name);

    if (n < 0 || n >= FETCH_PATH_BYTES)
        return gw_fail(err, GW_ELIMIT, "the path is too long");
    return GW_OK;
}

static enum gw_status make_folder(const char *path, struct gw_err *err)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return gw_fail(err, GW_EIO, "cannot make %s: %s", path, ERRNO_TEXT);
    return GW_OK;
}

enum gw_status fetch_check_folder(const char *folder, const struct fetch_member *members, size_t n,
                                  struct gw_err *err)
{
    char path[FETCH_PATH_BYTES], found[FETCH_HEX_BYTES];

    for (size_t i = 0; i < n; i++) {
        GW_TRY(inside(folder, members[i].name, path, err));
        GW_TRY(fetch_hash(path, NULL, found, err));
        if (!gw_span_eq_nocase(gw_span_str(found), gw_span_str(members[i].sha256)))
            return gw_fail(err, GW_ECORRUPT, "%s has SHA-256 %.16s..., but should have %.16s...",
                           path, found, members[i].sha256);
    }
    return GW_OK;
}

/* One file of the archive, unless an earlier attempt left the right one. */
static enum gw_status unpack_member(const struct fetch_job *job, const char *archive,
                                    const char *folder, const struct fetch_member *m,
                                    struct gw_err *err)
{
    char path[FETCH_PATH_BYTES], hex[FETCH_HEX_BYTES];
    const struct fetch_job one = {
        .path = path, .sha256 = m->sha256, .max_bytes = job->max_bytes, .quiet = job->quiet};
    const char *slash = strchr(m->name, '/');
    struct fetch_part part;
    enum gw_status st;

    GW_TRY(inside(folder, m->name, path, err));
    if (slash != NULL) { /* one level is enough */
        char parent[FETCH_PATH_BYTES];
        int n =
            snprintf(parent, sizeof(parent), "%s/%.*s", folder, (int)(slash - m->name), m->name);

        if (n < 0 || (size_t)n >= sizeof(parent))
            return gw_fail(err, GW_ELIMIT, "the path is too long");
        GW_TRY(make_folder(parent, err));
    }
    if (fetch_check_folder(folder, m, 1, NULL) == GW_OK)
        return GW_OK;
    GW_TRY(fetch_part_open(&part, &one, err));
    st = fetch_extract(archive, m->name, &part, err);
    if (st == GW_OK)
        st = fetch_part_finish(&part, hex, err);
    fetch_part_close(&part);
    return st;
}

/* With the lock of `stage`. */
static enum gw_status fill(const struct fetch_job *job, const char *stage,
                           const struct fetch_member *members, size_t n, struct gw_err *err)
{
    char archive[FETCH_PATH_BYTES], files[FETCH_PATH_BYTES], hex[FETCH_HEX_BYTES];
    struct fetch_job whole = *job;
    enum fetch_result result;

    GW_TRY(inside(stage, "archive", archive, err));
    GW_TRY(inside(stage, "files", files, err));
    whole.path = archive;
    GW_TRY(fetch_file(&whole, &result, hex, err));
    GW_TRY(make_folder(files, err));
    for (size_t i = 0; i < n; i++)
        GW_TRY(unpack_member(job, archive, files, &members[i], err));
    if (rename(files, job->path) != 0)
        return gw_fail(err, GW_EIO, "cannot move %s to its final name: %s", files, ERRNO_TEXT);
    return GW_OK;
}

/* The name is taken: are the files the right ones? */
static enum gw_status check_existing(const struct fetch_job *job,
                                     const struct fetch_member *members, size_t n,
                                     struct gw_err *err)
{
    struct gw_err why = {GW_OK, ""};

    if (fetch_check_folder(job->path, members, n, &why) == GW_OK)
        return GW_OK;
    return gw_fail(err, GW_EEXIST, "%s is there, but is not that model: %.180s: remove it",
                   job->path, why.text);
}

enum gw_status fetch_folder(const struct fetch_job *job, const struct fetch_member *members,
                            size_t n, enum fetch_result *result, struct gw_err *err)
{
    char stage[FETCH_PATH_BYTES];
    enum gw_status st;
    int fd;

    if (access(job->path, F_OK) == 0) {
        GW_TRY(check_existing(job, members, n, err));
        *result = FETCH_ALREADY;
        return GW_OK;
    }
    GW_TRY(fetch_path(job->path, ".part", stage, err));
    GW_TRY(make_folder(stage, err));
    fd = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return gw_fail(err, GW_EIO, "cannot open %s: %s", stage, ERRNO_TEXT);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        st = gw_fail(err, GW_EAGAIN, "another process is writing %s: wait for it or end it", stage);
    else
        st = fill(job, stage, members, n, err);
    if (st == GW_OK)
        fetch_remove_folder(stage);
    (void)close(fd);
    if (st == GW_OK)
        *result = FETCH_DONE;
    return st;
}
