/* proxy/net/hmac_key.c - see hmac_key.h. */
#include "proxy/net/hmac_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"

static enum gw_status make_key(const char *path, unsigned char key[HMAC_KEY_BYTES],
                               struct gw_err *err)
{
    unsigned char fresh[HMAC_KEY_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    enum gw_status st = GW_OK;

    if (fd < 0)
        return gw_fail(err, GW_EIO, "cannot write %s: %s", path, strerrordesc_np(errno));
    gw_random(fresh, sizeof(fresh));
    if (write(fd, fresh, sizeof(fresh)) != (ssize_t)sizeof(fresh) || fsync(fd) != 0)
        st = gw_fail(err, GW_EIO, "cannot write %s: %s", path, strerrordesc_np(errno));
    else
        memcpy(key, fresh, sizeof(fresh));
    (void)close(fd);
    explicit_bzero(fresh, sizeof(fresh));
    return st;
}

enum gw_status hmac_key_load(const char *state_dir, bool make, unsigned char key[HMAC_KEY_BYTES],
                             struct gw_err *err)
{
    unsigned char there[HMAC_KEY_BYTES];
    char path[4096];
    enum gw_status st = GW_OK;
    ssize_t n;
    int fd;

    if (snprintf(path, sizeof(path), "%s/hmac.key", state_dir) >= (int)sizeof(path))
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", state_dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && !make)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "cannot read %s: %s", path,
                       strerrordesc_np(errno));
    if (fd < 0)
        return make_key(path, key, err);
    n = read(fd, there, sizeof(there));
    (void)close(fd);
    if (n == (ssize_t)sizeof(there))
        memcpy(key, there, sizeof(there));
    else
        st = gw_fail(err, GW_ECORRUPT,
                     "%s must hold 32 bytes; restore it, or remove it to start new HMACs", path);
    explicit_bzero(there, sizeof(there));
    return st;
}
