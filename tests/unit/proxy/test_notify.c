/* Tests of proxy/cmd/notify.c: the datagrams that systemd gets. */
#include <sys/socket.h>
#include <sys/un.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cmd/notify.h"
#include "tests/test.h"

static void try(const char *name)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char got[64] = "";

    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", name);
    if (name[0] == '@')
        sa.sun_path[0] = '\0';
    CHECK(bind(fd, (const struct sockaddr *)&sa,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
    (void)setenv("NOTIFY_SOCKET", name, 1);
    CHECK(notify_systemd("READY=1\n"));
    CHECK(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) == 8 && strcmp(got, "READY=1\n") == 0);
    (void)close(fd);
    CHECK(!notify_systemd("READY=1\n")); /* nobody listens any more */
    if (name[0] == '/')
        (void)unlink(name);
}

int main(void)
{
    char path[64];

    (void)unsetenv("NOTIFY_SOCKET");
    CHECK(notify_systemd("READY=1\n"));
    (void)snprintf(path, sizeof(path), "/tmp/sluice-notify-%d", (int)getpid());
    try(path);
    (void)snprintf(path, sizeof(path), "@sluice-notify-%d", (int)getpid());
    try(path);
    (void)setenv("NOTIFY_SOCKET", "relative", 1);
    CHECK(!notify_systemd("READY=1\n"));
    return test_done();
}
