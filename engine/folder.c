/* engine/folder.c - see folder.h. */
#include "engine/folder.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum gw_status folder_path(const char *folder, const char *name, char out[FOLDER_PATH_BYTES],
                           struct gw_err *err)
{
    int n = snprintf(out, FOLDER_PATH_BYTES, "%s/%s", folder, name);

    if (n < 0 || n >= FOLDER_PATH_BYTES)
        return gw_fail(err, GW_ELIMIT, "the path of the model's folder is too long");
    return GW_OK;
}

static enum gw_status read_fd(int fd, const char *path, size_t max, struct gw_buf *out,
                              struct gw_err *err)
{
    struct stat sb;
    ssize_t n = 1;

    if (fstat(fd, &sb) != 0)
        return gw_fail(err, GW_EIO, "cannot stat %s: %s", path, strerrordesc_np(errno));
    if (!S_ISREG(sb.st_mode))
        return gw_fail(err, GW_EINVAL, "%s is not a regular file", path);
    if ((uint64_t)sb.st_size > max)
        return gw_fail(err, GW_ELIMIT, "%s is larger than %zu bytes", path, max);
    if (!gw_buf_reserve(out, (size_t)sb.st_size + 1))
        return gw_fail(err, GW_ENOMEM, "out of memory for %s", path);
    while (out->len < (size_t)sb.st_size && n > 0) {
        n = read(fd, out->ptr + out->len, (size_t)sb.st_size - out->len);
        if (n < 0 && errno == EINTR)
            n = 1; /* again */
        else if (n > 0)
            out->len += (size_t)n;
    }
    if (n < 0)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
    out->ptr[out->len] = '\0';
    return GW_OK;
}

enum gw_status folder_read(const char *folder, const char *name, size_t max, struct gw_buf *out,
                           struct gw_err *err)
{
    char path[FOLDER_PATH_BYTES];
    enum gw_status st;
    int fd;

    GW_TRY(folder_path(folder, name, path, err));
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return gw_fail(err, errno == ENOENT || errno == ENOTDIR ? GW_ENOENT : GW_EIO,
                       "cannot open %s: %s", path, strerrordesc_np(errno));
    st = read_fd(fd, path, max, out, err);
    (void)close(fd);
    if (st != GW_OK)
        gw_buf_fini(out);
    return st;
}
