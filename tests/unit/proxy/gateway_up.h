/* tests/unit/proxy/gateway_up.h - the upstream of test_gateway.c, in threads of its own. The model name of a
 * request says how it misbehaves: "up-cut" ends in the middle, "up-hang" never answers, and so on. */
#ifndef TESTS_UNIT_PROXY_GATEWAY_UP_H
#define TESTS_UNIT_PROXY_GATEWAY_UP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int up_fd;
static uint16_t up_port;
static atomic_int n_up_conns, n_up_requests,
    n_up_gone; /* gone: the gateway closed while we answered */
static atomic_bool up_stop;

static bool up_send(int fd, const char *text)
{
    size_t n = strlen(text);

    return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Waits until the gateway closes. */
static void up_wait_gone(int fd)
{
    char c;

    if (recv(fd, &c, 1, 0) <= 0)
        atomic_fetch_add(&n_up_gone, 1);
}

static void up_stream(int fd)
{
    (void)up_send(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
                      "chunked\r\n\r\n");
    for (int i = 0; i < 3000; i++) {
        struct pollfd p = {fd, POLLIN, 0};

        if (!up_send(fd, "8\r\ndata: 1\n\r\n") || !up_send(fd, "1\r\n\n\r\n") ||
            poll(&p, 1, 5) == 1) {
            atomic_fetch_add(&n_up_gone, 1);
            return;
        }
    }
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
#define OK_BODY "{\"ok\":\"yes\"}"

static bool is(const char *request, const char *mode)
{
    char want[64];

    (void)snprintf(want, sizeof(want), "\"up-%s\"", mode);
    return strstr(request, want) != NULL;
}

/* Answers one request; false: close. */
static bool up_answer(int fd, const char *request)
{
    const struct linger reset = {1, 0};

    if (is(request, "chunked"))
        return up_send(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"ok\r\n8\r\n\":\"yes\"}\r\n"
                           "0\r\n\r\n");
    if (is(request, "early"))
        return up_send(fd, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 "
                           "Continue\r\n\r\n" OK_HEAD "\r\n" OK_BODY);
    if (is(request, "die")) { /* promises to stay, and goes */
        (void)up_send(fd, OK_HEAD "\r\n" OK_BODY);
        return false;
    }
    if (is(request, "cut")) {
        (void)up_send(fd, OK_HEAD "\r\n{\"ok");
        return false;
    }
    if (is(request, "cutchunk")) {
        (void)up_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"ok");
        return false;
    }
    if (is(request, "close") || is(request, "reset")) {
        (void)up_send(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
        if (is(request, "reset")) {
            (void)usleep(100000);
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
        return false;
    }
    if (is(request, "silent"))
        return false;
    if (is(request, "garbage")) {
        (void)up_send(fd, "SSH-2.0-hello\r\n\r\n");
        return false;
    }
    if (is(request, "hang")) {
        up_wait_gone(fd);
        return false;
    }
    if (is(request, "stream")) {
        up_stream(fd);
        return false;
    }
    return up_send(fd, OK_HEAD "\r\n" OK_BODY);
}

static void *up_conn(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char in[16384];
    size_t n = 0;

    for (;;) {
        ssize_t got;
        char *end, *cl;
        size_t head, len;

        in[n] = '\0';
        end = strstr(in, "\r\n\r\n");
        cl = strstr(in, "Content-Length: ");
        head = end == NULL ? 0 : (size_t)(end - in) + 4;
        len = cl == NULL ? 0 : strtoul(cl + 16, NULL, 10);
        if (end != NULL && n >= head + len) {
            atomic_fetch_add(&n_up_requests, 1);
            if (!up_answer(fd, in))
                break;
            n = 0;
            continue;
        }
        got = recv(fd, in + n, sizeof(in) - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    (void)close(fd);
    return NULL;
}

static void *up_run(void *arg)
{
    (void)arg;
    while (!atomic_load(&up_stop)) {
        int fd = accept(up_fd, NULL, NULL);
        pthread_t t;

        if (fd < 0)
            continue;
        atomic_fetch_add(&n_up_conns, 1);
        if (pthread_create(&t, NULL, up_conn, (void *)(intptr_t)fd) == 0)
            (void)pthread_detach(t);
    }
    return NULL;
}

static int listen_any(uint16_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)bind(fd, (struct sockaddr *)&sa, sizeof(sa));
    (void)listen(fd, 64);
    (void)getsockname(fd, (struct sockaddr *)&sa, &len);
    *port = ntohs(sa.sin_port);
    return fd;
}

#endif
