/* tests/net.h - sockets for tests: a port that nobody else gets, and reading that does not mind when the machine stands still. */
#ifndef TESTS_NET_H
#define TESTS_NET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdint.h>

/* Takes a port and keeps it until the program ends: it is bound, and nobody listens. Whoever dials it is refused until a server
 * with SO_REUSEPORT, as the gateway's, listens there. Returns 0 when there is none. */
static inline uint16_t test_port(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    return ntohs(sa.sin_port);
}

/* recv(), again when it was interrupted: with a time limit (SO_RCVTIMEO) it is when the process was stopped for a while. */
static inline ssize_t test_recv(int fd, void *out, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, out, size, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

#endif
