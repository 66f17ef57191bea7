/* proxy/cmd/notify.c - see notify.h. */
#include "proxy/cmd/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe): nobody sets it
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = path == NULL ? 0 : strlen(path);
    socklen_t len;
    ssize_t sent;
    int fd;

    if (n == 0)
        return true;
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof(sa.sun_path))
        return false;
    memcpy(sa.sun_path, path, n);
    if (path[0] == '@')
        sa.sun_path[0] = '\0'; /* an abstract name */
    len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&sa, len);
    (void)close(fd);
    return sent == (ssize_t)strlen(state);
}
