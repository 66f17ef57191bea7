/* tests/unit/proxy/sick_servers.h - servers for test_reliability.c, in threads of their own: each has a port and a way to
 * answer that a test changes while it runs, and counts what it was asked. */
#ifndef TESTS_UNIT_PROXY_SICK_SERVERS_H
#define TESTS_UNIT_PROXY_SICK_SERVERS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"

enum sick_way {
    WELL, /* an answer, or a stream when one is asked for */
    SAY_500,
    SAY_503_SOON,  /* retry-after-ms: 100, and an hour in the other field */
    SAY_503_WAIT,  /* retry-after: 200 */
    SAY_503_LATE,  /* retry-after: 400 */
    SAY_503_LATER, /* retry-after: 3600 */
    SAY_503_NEVER, /* x-should-retry: false */
    SAY_429,       /* retry-after: 7 */
    SAY_400,
    SAY_409_RETRY, /* x-should-retry: true */
    SAY_KEY,       /* 401 unless the key is "good-key" */
    ERROR_EVENT,   /* 200, and an error as the first event */
    ERROR_LATER,   /* 200, comments and a ping, then the error */
    ERROR_SLOWLY,  /* ERROR_EVENT, each byte by itself */
    ERROR_BAD,     /* 200, and an error of the request as the first event */
    ERROR_JSON,    /* 200, and an error as the body */
    EMPTY,         /* a stream without an event */
    CUT_EARLY,     /* a stream cut before its first event is complete */
    CUT_LATE,      /* a stream cut behind its first event */
    CUT_JSON,      /* a whole answer of 40 KB, cut in the middle */
    COMMENTS,      /* comments until the test says go, then the stream */
    HANG,          /* no answer until the gateway leaves */
    HEAD_ONLY,     /* a head, then nothing until the gateway leaves */
    ONE_EVENT,     /* an event, then nothing until the gateway leaves */
    CLOSE,         /* closed without an answer */
    ON_GO,         /* WELL when the test says go */
};

struct sick {
    int fd;
    uint16_t port;
    _Atomic int way, health; /* health: status of /health */
    _Atomic int fails;       /* so many requests go the way, then all is WELL; below 0: all do */
    _Atomic int n_requests, n_probes, n_gone; /* gone: the gateway closed while it waited */
    _Atomic bool go;
};

static void sick_say(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void sick_chunk(int fd, const char *event)
{
    char chunk[512];

    (void)snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(event), event);
    sick_say(fd, chunk);
}

static int64_t sick_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void sick_wait_gone(struct sick *s, int fd)
{
    char c;

    if (recv(fd, &c, 1, 0) <= 0)
        atomic_fetch_add(&s->n_gone, 1);
}

#define SICK_SSE                                                                                   \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define SICK_FIRST                                                                                 \
    "data: "                                                                                       \
    "{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{"     \
    "\"role\":\"assistant\",\"content\":\"Hello\"}}]}\n\n"
#define SICK_ERROR "data: {\"error\":{\"message\":\"too many\",\"type\":\"overloaded_error\"}}\n\n"

static void sick_status(int fd, const char *status, const char *fields)
{
    char text[600];
    const char *body = "{\"error\":{\"message\":\"of the provider\",\"type\":\"x\",\"code\":null}}";

    (void)snprintf(
        text, sizeof(text),
        "HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", status,
        fields, strlen(body), body);
    sick_say(fd, text);
}

static void sick_well(int fd, const char *request)
{
    const char *body =
        "{\"id\":\"1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{"
        "\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}";
    char text[600];

    if (strstr(request, "\"stream\":true") != NULL) {
        sick_say(fd, SICK_SSE);
        sick_chunk(fd, SICK_FIRST);
        sick_chunk(fd, "data: [DONE]\n\n");
        sick_say(fd, "0\r\n\r\n");
        return;
    }
    (void)snprintf(
        text, sizeof(text),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(body), body);
    sick_say(fd, text);
}

static bool sick_errors(int fd, int way, const char *request)
{
    switch (way) {
    case SAY_500:
        sick_status(fd, "500 Sick", "");
        return true;
    case SAY_503_SOON:
        sick_status(fd, "503 Sick", "retry-after-ms: 100\r\nretry-after: 3600\r\n");
        return true;
    case SAY_503_WAIT:
        sick_status(fd, "503 Sick", "Retry-After: 200\r\n");
        return true;
    case SAY_503_LATE:
        sick_status(fd, "503 Sick", "Retry-After: 400\r\n");
        return true;
    case SAY_503_LATER:
        sick_status(fd, "503 Sick", "Retry-After: 3600\r\n");
        return true;
    case SAY_503_NEVER:
        sick_status(fd, "503 Sick", "x-should-retry: false\r\n");
        return true;
    case SAY_429:
        sick_status(fd, "429 Sick", "Retry-After: 7\r\nx-ratelimit-remaining-requests: 0\r\n");
        return true;
    case SAY_400:
        sick_status(fd, "400 Sick", "");
        return true;
    case SAY_409_RETRY:
        sick_status(fd, "409 Sick", "x-should-retry: true\r\n");
        return true;
    case SAY_KEY:
        if (strstr(request, "good-key") != NULL)
            sick_well(fd, request);
        else
            sick_status(fd, "401 Sick", "");
        return true;
    default:
        return false;
    }
}

static bool sick_starts(int fd, int way)
{
    const char *json = "{\"error\":{\"message\":\"too many\",\"type\":\"server_error\"}}";
    char text[300];

    switch (way) {
    case ERROR_EVENT:
        sick_say(fd, SICK_SSE);
        sick_chunk(fd, SICK_ERROR);
        sick_say(fd, "0\r\n\r\n");
        return true;
    case ERROR_LATER:
        sick_say(fd, SICK_SSE);
        sick_chunk(fd, ": working\n\n");
        (void)usleep(20000);
        sick_chunk(fd, "event: ping\ndata: {}\n\n");
        (void)usleep(20000);
        sick_chunk(fd, SICK_ERROR);
        sick_say(fd, "0\r\n\r\n");
        return true;
    case ERROR_SLOWLY:
        sick_say(fd, SICK_SSE);
        for (const char *at = SICK_ERROR; *at != '\0'; at++) {
            const char one[2] = {*at, '\0'};

            sick_chunk(fd, one);
            (void)usleep(500);
        }
        sick_say(fd, "0\r\n\r\n");
        return true;
    case ERROR_BAD:
        sick_say(fd, SICK_SSE);
        sick_chunk(
            fd, "data: {\"error\":{\"message\":\"bad\",\"type\":\"invalid_request_error\"}}\n\n");
        sick_say(fd, "0\r\n\r\n");
        return true;
    case ERROR_JSON:
        (void)snprintf(
            text, sizeof(text),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(json), json);
        sick_say(fd, text);
        return true;
    case EMPTY:
        sick_say(fd, SICK_SSE "0\r\n\r\n");
        return true;
    default:
        return false;
    }
}

/* Answers one request; false: close. */
static bool sick_answer(struct sick *s, int fd, const char *request)
{
    int way = atomic_load(&s->way);
    char text[600];

    if (strncmp(request, "GET /health", 11) == 0) {
        atomic_fetch_add(&s->n_probes, 1);
        (void)snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n",
                       atomic_load(&s->health));
        sick_say(fd, text);
        return false;
    }
    atomic_fetch_add(&s->n_requests, 1);
    if (atomic_load(&s->fails) >= 0 && atomic_fetch_sub(&s->fails, 1) <= 0) {
        atomic_store(&s->fails, 0);
        way = WELL;
    }
    if (sick_errors(fd, way, request) || sick_starts(fd, way))
        return true;
    switch (way) {
    case CUT_EARLY:
        sick_say(fd, SICK_SSE);
        sick_chunk(fd, "data: {\"id\":");
        return false;
    case CUT_LATE:
        sick_say(fd, SICK_SSE);
        sick_chunk(fd, SICK_FIRST);
        return false;
    case CUT_JSON:
        sick_say(
            fd,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 40000\r\n\r\n");
        for (int i = 0; i < 2000; i++)
            sick_say(fd, "          ");
        return false;
    case COMMENTS:
        sick_say(fd, SICK_SSE);
        for (int i = 0; i < TEST_TURNS && !atomic_load(&s->go); i++) {
            sick_chunk(fd, ": working\n\n");
            test_nap();
        }
        sick_chunk(fd, SICK_FIRST);
        sick_chunk(fd, "data: [DONE]\n\n");
        sick_say(fd, "0\r\n\r\n");
        return true;
    case HEAD_ONLY:
        sick_say(fd, SICK_SSE);
        sick_wait_gone(s, fd);
        return false;
    case ONE_EVENT:
        (void)snprintf(text, sizeof(text), SICK_SSE "%zx\r\n" SICK_FIRST "\r\n",
                       strlen(SICK_FIRST));
        sick_say(fd, text); /* in one piece: the gateway's idle time begins behind the event */
        sick_wait_gone(s, fd);
        return false;
    case HANG:
        sick_wait_gone(s, fd);
        return false;
    case CLOSE:
        return false;
    case ON_GO:
        TEST_UNTIL(atomic_load(&s->go));
        sick_well(fd, request);
        return true;
    default:
        sick_well(fd, request);
        return true;
    }
}

struct sick_conn {
    struct sick *s;
    int fd;
};

static void *sick_conn_run(void *arg)
{
    struct sick_conn c = *(struct sick_conn *)arg;
    char in[16384];
    size_t n = 0;

    free(arg);
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
            if (!sick_answer(c.s, c.fd, in))
                break;
            n = 0;
            continue;
        }
        got = recv(c.fd, in + n, sizeof(in) - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    (void)close(c.fd);
    return NULL;
}

static void *sick_run(void *arg)
{
    struct sick *s = arg;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        struct sick_conn *c;
        pthread_t t;

        if (fd < 0)
            return NULL; /* the test is over */
        c = malloc(sizeof(*c));
        if (c == NULL)
            return NULL;
        *c = (struct sick_conn){s, fd};
        if (pthread_create(&t, NULL, sick_conn_run, c) == 0)
            (void)pthread_detach(t);
    }
}

static int sick_listen(uint16_t *port, int backlog)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)bind(fd, (struct sockaddr *)&sa, sizeof(sa));
    (void)listen(fd, backlog);
    (void)getsockname(fd, (struct sockaddr *)&sa, &len);
    *port = ntohs(sa.sin_port);
    return fd;
}

static void sick_start(struct sick *s)
{
    pthread_t t;

    s->fd = sick_listen(&s->port, 64);
    atomic_store(&s->health, 200);
    atomic_store(&s->fails, -1);
    if (pthread_create(&t, NULL, sick_run, s) == 0)
        (void)pthread_detach(t);
}

/* From now on. fails: so many requests, or below 0 all. */
static void sick_set(struct sick *s, enum sick_way way, int fails)
{
    atomic_store(&s->fails, fails);
    atomic_store(&s->way, (int)way);
    atomic_store(&s->n_requests, 0);
    atomic_store(&s->n_gone, 0);
    atomic_store(&s->go, false);
}

#endif
