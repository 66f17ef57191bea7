/* tests/bench/load.c - load on one URL over keep-alive connections, one thread.
 *
 * Closed loop (no --rate): every connection sends its next request when the answer is complete. Open loop (--rate R): requests
 * are due at fixed times whatever the server does, and latency counts from the time a request was due, so that a stall is
 * not hidden by waiting. Prints one JSON object: requests, errors, seconds, rps, p50_us, p99_us.
 *
 * usage: load [--conns N] [--seconds S] [--rate R] [--header LINE]... --body FILE HOST PORT PATH */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/http1.h"

enum { MAX_SAMPLES = 4000000 };

struct slot {
    int fd;
    struct http1 *parser;
    uint64_t due_ns; /* of the request in flight; 0: none */
};

static struct gw_buf request;
static uint32_t *samples_ns100; /* latencies in units of 100 ns */
static size_t n_samples, n_errors;
static struct sockaddr_in server;

static void open_slot(struct slot *s, int epoll)
{
    struct epoll_event ev = {EPOLLIN, {.ptr = s}};
    const int one = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&server, sizeof(server)) != 0) {
        perror("load: connect");
        exit(1);
    }
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    s->parser = http1_new(HTTP1_RESPONSE, NULL);
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

static void send_request(struct slot *s, uint64_t due_ns)
{
    size_t at = 0;

    s->due_ns = due_ns;
    while (at < request.len) {
        ssize_t n = write(s->fd, request.ptr + at, request.len - at);

        if (n < 0) {
            perror("load: write");
            exit(1);
        }
        at += (size_t)n;
    }
}

/* Reads what is there; true when the answer is complete. */
static bool read_answer(struct slot *s)
{
    static char bytes[65536];
    ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    struct gw_span in = {bytes, (size_t)(n > 0 ? n : 0)}, data;
    enum http1_event ev;

    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        (void)fprintf(stderr, "load: the server closed a connection\n");
        exit(1);
    }
    while ((ev = http1_next(s->parser, &in, &data)) != HTTP1_MORE) {
        if (ev == HTTP1_HEAD && http1_head(s->parser)->status != 200)
            n_errors++;
        if (ev == HTTP1_DONE)
            return true;
        if (ev == HTTP1_ERROR) {
            (void)fprintf(stderr, "load: malformed answer\n");
            exit(1);
        }
    }
    return false;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void note(struct slot *s, uint64_t now)
{
    uint64_t ns = now - s->due_ns;

    if (n_samples < MAX_SAMPLES)
        samples_ns100[n_samples] = (uint32_t)(ns / 100 > UINT32_MAX ? UINT32_MAX : ns / 100);
    n_samples++;
    s->due_ns = 0;
}

/* Sends what is due, as far as connections are free. Returns how many were sent in all. */
static uint64_t send_due(struct slot *slots, unsigned n, double rate, uint64_t start, uint64_t now,
                         uint64_t sent)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t due = start + (uint64_t)((double)sent * 1e9 / rate);

        if (due > now)
            break;
        if (slots[i].due_ns == 0) {
            send_request(&slots[i], due);
            sent++;
        }
    }
    return sent;
}

static double run(struct slot *slots, unsigned n, int epoll, double rate, double seconds)
{
    uint64_t start = gw_clock_ns(), end = start + (uint64_t)(seconds * 1e9), sent = 0, now;
    struct epoll_event evs[256];

    for (unsigned i = 0; rate == 0 && i < n; i++)
        send_request(&slots[i], gw_clock_ns());
    while ((now = gw_clock_ns()) < end) {
        int got;

        if (rate != 0)
            sent = send_due(slots, n, rate, start, now, sent);
        got = epoll_wait(epoll, evs, 256, rate != 0 ? 0 : 100);
        for (int i = 0; i < got; i++) {
            struct slot *s = evs[i].data.ptr;

            if (!read_answer(s))
                continue;
            now = gw_clock_ns();
            note(s, now);
            if (rate == 0)
                send_request(s, now);
        }
    }
    return (double)(gw_clock_ns() - start) / 1e9;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"conns", 1, NULL, 'c'}, {"seconds", 1, NULL, 's'},
                                          {"rate", 1, NULL, 'r'},  {"header", 1, NULL, 'H'},
                                          {"body", 1, NULL, 'b'},  {NULL, 0, NULL, 0}};
    struct gw_buf headers = {0}, body = {0};
    unsigned conns = 16;
    double rate = 0, seconds = 3, took;
    struct slot *slots;
    int opt, epoll = epoll_create1(EPOLL_CLOEXEC);
    FILE *f;

    while ((opt = getopt_long(argc, argv, "c:s:r:H:b:", longs, NULL)) != -1) {
        if (opt == 'c')
            conns = (unsigned)strtoul(optarg, NULL, 10);
        else if (opt == 's')
            seconds = strtod(optarg, NULL);
        else if (opt == 'r')
            rate = strtod(optarg, NULL);
        else if (opt == 'H')
            gw_buf_printf(&headers, "%s\r\n", optarg);
        else if (opt == 'b') {
            char part[4096];
            size_t n;

            f = fopen(optarg, "rb");
            while (f != NULL && (n = fread(part, 1, sizeof(part), f)) != 0)
                gw_buf_add(&body, (struct gw_span){part, n});
            if (f != NULL)
                (void)fclose(f);
        } else
            return 2;
    }
    if (argc - optind != 3 || conns == 0)
        return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)strtoul(argv[optind + 1], NULL, 10));
    (void)inet_pton(AF_INET, argv[optind], &server.sin_addr);
    gw_buf_printf(&request,
                  "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: "
                  "application/json\r\n%sContent-Length: %zu\r\n\r\n",
                  argv[optind + 2], headers.len ? headers.ptr : "", body.len);
    gw_buf_add(&request, gw_buf_span(&body));
    samples_ns100 = calloc(MAX_SAMPLES, sizeof(*samples_ns100));
    slots = calloc(conns, sizeof(*slots));
    for (unsigned i = 0; i < conns; i++)
        open_slot(&slots[i], epoll);
    took = run(slots, conns, epoll, rate, seconds);
    if (n_samples > MAX_SAMPLES)
        n_samples = MAX_SAMPLES;
    qsort(samples_ns100, n_samples, sizeof(*samples_ns100), by_value);
    (void)printf("{\"requests\": %zu, \"errors\": %zu, \"seconds\": %.3f, \"rps\": %.1f, "
                 "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
                 n_samples, n_errors, took, (double)n_samples / took,
                 n_samples ? samples_ns100[n_samples / 2] / 10.0 : 0.0,
                 n_samples ? samples_ns100[n_samples * 99 / 100] / 10.0 : 0.0);
    return 0;
}
