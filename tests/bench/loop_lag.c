/* tests/bench/loop_lag.c - how long an event loop lets a small request wait, beside what the machine makes anybody wait.
 *
 * Three threads, each due at fixed times, RATE a second: `machine` sleeps with a real-time priority and notes how late it wakes,
 * which is what the virtual machine and the kernel take; `ordinary` does the same as an ordinary thread, as an event loop is one;
 * `answer` sends a GET over one connection and notes how long the answer took since it was sent, so that its own lateness is
 * not in it. A request that is due while one is on its way is sent behind it and counts from when it was due.
 *
 * Prints one JSON object: for each p50, p99, p99.9 and the largest in microseconds; and whether there was a real-time priority.
 *
 * usage: loop_lag SECONDS RATE PORT PATH */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { MAX_SAMPLES = 1000000, ANSWER_BYTES = 65536, MAX_PATH_BYTES = 256 };

enum kind { MACHINE, ORDINARY, ANSWER, N_KINDS };

static const char *const names[N_KINDS] = {"machine", "ordinary", "answer"};

struct series {
    enum kind kind;
    pthread_t thread;
    uint64_t *ns;
    size_t n, max;
    uint64_t period_ns;
    bool realtime;   /* it has the priority that it should */
    int fd;          /* ANSWER: the connection */
    uint64_t end_ns; /* ANSWER: of the last one */
    const char *path;
};

static _Noreturn void fail(const char *why)
{
    (void)fprintf(stderr, "loop_lag: %s\n", why);
    exit(1);
}

static void sleep_until(uint64_t due)
{
    const struct timespec at = {(time_t)(due / GW_NS_PER_SEC), (long)(due % GW_NS_PER_SEC)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        continue;
}

static bool send_all(int fd, const char *at, size_t n)
{
    while (n != 0) {
        const ssize_t sent = write(fd, at, n);

        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Reads one answer of the 200 kind with a Content-Length. */
static bool take_answer(int fd)
{
    static char text[ANSWER_BYTES]; /* one thread asks */
    size_t have = 0;

    for (;;) {
        const ssize_t got = read(fd, text + have, sizeof(text) - 1 - have);
        const char *length, *body;

        if (got <= 0)
            return false;
        have += (size_t)got;
        text[have] = '\0';
        body = strstr(text, "\r\n\r\n");
        length = strcasestr(text, "\r\ncontent-length:");
        if (body == NULL)
            continue;
        if (length == NULL || strncmp(text, "HTTP/1.1 200", 12) != 0)
            return false;
        if (have >= (size_t)(body + 4 - text) + strtoul(length + 17, NULL, 10))
            return true;
    }
}

static void ask(struct series *s, uint64_t due)
{
    char text[MAX_PATH_BYTES + 64];
    const int n =
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", s->path);
    /* Behind an answer that was long in coming: it would have been sent when it was due. */
    const uint64_t begin = s->end_ns > due ? due : gw_clock_ns();

    if (!send_all(s->fd, text, (size_t)n) || !take_answer(s->fd))
        fail("a request was not answered as it should");
    s->end_ns = gw_clock_ns();
    s->ns[s->n++] = s->end_ns - begin;
}

static void *run(void *ctx)
{
    struct series *s = ctx;
    const struct sched_param first = {.sched_priority = 1};
    /* Not all at once. */
    uint64_t due = gw_clock_ns() + s->period_ns + s->period_ns * (unsigned)s->kind / N_KINDS;

    s->realtime =
        s->kind != ORDINARY && pthread_setschedparam(pthread_self(), SCHED_FIFO, &first) == 0;
    for (; s->n < s->max; due += s->period_ns) {
        sleep_until(due);
        if (s->kind == ANSWER)
            ask(s, due);
        else
            s->ns[s->n++] = gw_clock_ns() - due;
    }
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double us_at(const struct series *s, double share)
{
    const size_t i = (size_t)((double)s->n * share);

    return (double)s->ns[i < s->n ? i : s->n - 1] / 1000;
}

static int dial(const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int main(int argc, char **argv)
{
    struct series all[N_KINDS];
    const uint64_t rate = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
    const uint64_t n = argc == 5 ? strtoul(argv[1], NULL, 10) * rate : 0;

    if (n == 0 || n > MAX_SAMPLES || strlen(argv[4]) > MAX_PATH_BYTES) {
        (void)fprintf(stderr, "usage: loop_lag SECONDS RATE PORT PATH\n");
        return 2;
    }
    for (unsigned k = 0; k < N_KINDS; k++) {
        all[k] = (struct series){
            .kind = (enum kind)k, .max = n, .period_ns = GW_NS_PER_SEC / rate, .path = argv[4]};
        all[k].ns = calloc(n, sizeof(*all[k].ns));
        all[k].fd = k == ANSWER ? dial(argv[3]) : -1;
        if (all[k].ns == NULL)
            fail("out of memory");
        if (k == ANSWER && all[k].fd < 0)
            fail("nobody listens there");
    }
    for (unsigned k = 0; k < N_KINDS; k++)
        if (pthread_create(&all[k].thread, NULL, run, &all[k]) != 0)
            fail("no thread could be started");
    for (unsigned k = 0; k < N_KINDS; k++)
        (void)pthread_join(all[k].thread, NULL);
    printf("{\"realtime\": %s", all[MACHINE].realtime ? "true" : "false");
    for (unsigned k = 0; k < N_KINDS; k++) {
        qsort(all[k].ns, all[k].n, sizeof(*all[k].ns), ascending);
        printf(", \"%s\": {\"p50\": %.0f, \"p99\": %.0f, \"p99.9\": %.0f, \"max\": %.0f}", names[k],
               us_at(&all[k], 0.5), us_at(&all[k], 0.99), us_at(&all[k], 0.999), us_at(&all[k], 1));
        free(all[k].ns);
    }
    printf("}\n");
    return 0;
}
