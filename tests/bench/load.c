/* tests/bench/load.c - load on one URL over keep-alive connections, HTTP or TLS, one thread.
 *
 * Closed loop (no --rate): every connection sends its next request when the answer is complete. Open loop (--rate R): requests
 * are due at fixed times whatever the server does, and latency counts from the time a request was due, so that a stall is
 * not hidden by waiting. First every connection sends one request that is not counted, so that connections behind a proxy
 * stand, TLS included; with --wait "ready" is printed then and a line on standard input starts the clock.
 *
 * An answer may carry the times at which its events were sent, "@" 19 digits of CLOCK_MONOTONIC nanoseconds "@", as the mock
 * with --bench writes them: what an event took, and the first one of an answer since its request was due, is counted too.
 *
 * With --until-eof it goes on until its standard input ends, and then waits for the answers to what it has sent. With --expect
 * TEXT an answer without these bytes in its body is an error.
 *
 * Prints one JSON object: requests, errors, seconds, rps, p50_us, p99_us; events, event_p50_us, event_p99_us, first_p50_us,
 * first_p99_us; sent: the requests that were sent in all, those of the warm-up too.
 *
 * usage: load [--conns N] [--seconds S] [--count N] [--rate R] [--tls] [--wait] [--until-eof] [--expect TEXT]
 *             [--header LINE]... --body FILE HOST PORT PATH */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/http/http1.h"

enum { MAX_SAMPLES = 4000000, STAMP_DIGITS = 19, WARM_UP_SECONDS = 60, MAX_EXPECTED = 64 };

/* Times in units of 100 ns; those beyond MAX_SAMPLES are counted and not kept. */
struct samples {
    uint32_t *at;
    size_t n;
};

struct slot {
    int fd;
    SSL *ssl; /* NULL: HTTP */
    struct http1 *parser;
    uint64_t due_ns;   /* of the request in flight; 0: none */
    uint64_t stamp;    /* digits read so far */
    unsigned n_digits; /* 0: outside a stamp; 1: its '@' was read, then one more a digit */
    bool any_event;    /* of the answer in flight */
    bool as_expected;  /* what must be in it was there */
    char tail[MAX_EXPECTED];
    size_t n_tail; /* last bytes of the body, less than are expected */
};

static struct gw_buf request;
static struct samples answers, events, firsts;
static size_t n_errors, n_sent;
static struct gw_span expected; /* in each answer; or empty */
static struct sockaddr_in server;
static SSL_CTX *tls; /* NULL: HTTP */

static void fail(const char *what)
{
    (void)fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static void note(struct samples *s, uint64_t from, uint64_t now)
{
    uint64_t units = now > from ? (now - from) / 100 : 0;

    if (s->n < MAX_SAMPLES)
        s->at[s->n] = (uint32_t)(units > UINT32_MAX ? UINT32_MAX : units);
    s->n++;
}

static void open_slot(struct slot *s, int epoll)
{
    struct epoll_event ev = {EPOLLIN, {.ptr = s}};
    const int one = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&server, sizeof(server)) != 0)
        fail("cannot connect");
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (tls != NULL) {
        s->ssl = SSL_new(tls);
        if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1 ||
            SSL_set_tlsext_host_name(s->ssl, "localhost") != 1 || SSL_connect(s->ssl) != 1)
            fail("the TLS handshake failed");
    }
    (void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
    s->parser = http1_new(HTTP1_RESPONSE, NULL);
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

/* Bytes moved, 0: not now, or -1: the connection is gone. */
static ssize_t take(struct slot *s, char *bytes, size_t room)
{
    ssize_t n;

    if (s->ssl != NULL) {
        n = SSL_read(s->ssl, bytes, (int)room);
        return n > 0 ? n : SSL_get_error(s->ssl, (int)n) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    n = recv(s->fd, bytes, room, 0);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static ssize_t put(struct slot *s, const char *bytes, size_t len)
{
    ssize_t n;

    if (s->ssl != NULL) {
        n = SSL_write(s->ssl, bytes, (int)len);
        return n > 0 ? n : SSL_get_error(s->ssl, (int)n) == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    n = write(s->fd, bytes, len);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static void send_request(struct slot *s, uint64_t due_ns)
{
    size_t at = 0;

    n_sent++;
    s->due_ns = due_ns;
    s->any_event = false;
    s->as_expected = expected.len == 0;
    s->n_tail = 0;
    while (at < request.len) {
        ssize_t n = put(s, request.ptr + at, request.len - at);
        struct pollfd room = {s->fd, POLLOUT, 0};

        if (n < 0)
            fail("a request could not be written");
        if (n == 0)
            (void)poll(&room, 1, 1000);
        at += (size_t)n;
    }
}

/* Finds the stamps in the next bytes of a body; one may be split anywhere. */
static void read_stamps(struct slot *s, struct gw_span data, uint64_t now)
{
    for (size_t i = 0; i < data.len; i++) {
        char c = data.ptr[i];

        if (s->n_digits == 0) {
            const char *mark = memchr(data.ptr + i, '@', data.len - i);

            if (mark == NULL)
                return;
            i = (size_t)(mark - data.ptr);
            s->n_digits = 1;
            s->stamp = 0;
        } else if (c >= '0' && c <= '9' && s->n_digits <= STAMP_DIGITS) {
            s->stamp = s->stamp * 10 + (uint64_t)(c - '0');
            s->n_digits++;
        } else {
            if (c == '@' && s->n_digits == STAMP_DIGITS + 1) {
                note(&events, s->stamp, now);
                if (!s->any_event)
                    note(&firsts, s->due_ns, now);
                s->any_event = true;
            }
            s->n_digits = 0;
        }
    }
}

/* Looks for what is expected in the next bytes of a body; it may be split anywhere. */
static void look(struct slot *s, struct gw_span data)
{
    char both[2 * MAX_EXPECTED];
    size_t keep = expected.len - 1, n = data.len < keep ? data.len : keep;

    if (s->as_expected)
        return;
    memcpy(both, s->tail, s->n_tail);
    memcpy(both + s->n_tail, data.ptr, n);
    n += s->n_tail;
    s->as_expected = memmem(both, n, expected.ptr, expected.len) != NULL ||
                     memmem(data.ptr, data.len, expected.ptr, expected.len) != NULL;
    if (data.len < keep) {
        s->n_tail = n < keep ? n : keep;
        memcpy(s->tail, both + n - s->n_tail, s->n_tail);
    } else {
        s->n_tail = keep;
        memcpy(s->tail, data.ptr + data.len - keep, keep);
    }
}

/* True when these bytes complete the answer. */
static bool parse(struct slot *s, struct gw_span in, uint64_t now)
{
    struct gw_span data;
    enum http1_event ev;

    while ((ev = http1_next(s->parser, &in, &data)) != HTTP1_MORE) {
        if (ev == HTTP1_HEAD && http1_head(s->parser)->status != 200) {
            n_errors++;
            s->as_expected = true; /* counted already */
        }
        if (ev == HTTP1_BODY) {
            read_stamps(s, data, now);
            look(s, data);
        }
        if (ev == HTTP1_DONE) {
            n_errors += !s->as_expected;
            return true;
        }
        if (ev == HTTP1_ERROR)
            fail("malformed answer");
    }
    return false;
}

/* Reads what is there; true when the answer is complete. */
static bool read_answer(struct slot *s)
{
    static char bytes[65536];

    for (;;) {
        ssize_t n = take(s, bytes, sizeof(bytes));

        if (n == 0)
            return false;
        if (n < 0)
            fail("the server closed a connection");
        if (parse(s, (struct gw_span){bytes, (size_t)n}, gw_clock_ns()))
            return true;
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void samples_sort(struct samples *s)
{
    if (s->n > MAX_SAMPLES)
        s->n = MAX_SAMPLES;
    qsort(s->at, s->n, sizeof(*s->at), by_value);
}

static double percentile_us(const struct samples *s, size_t percent)
{
    return s->n == 0 ? 0 : s->at[s->n * percent / 100] / 10.0;
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

/* Waits for an answer or until a time, without turning: the server may be on the same core. */
static int wait_events(int epoll, struct epoll_event *evs, int n, uint64_t until_ns)
{
    struct pollfd fd = {epoll, POLLIN, 0};
    uint64_t now = gw_clock_ns(), ns = until_ns > now ? until_ns - now : 0;
    struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    (void)ppoll(&fd, 1, &ts, NULL);
    return epoll_wait(epoll, evs, n, 0);
}

static bool is_busy(const struct slot *slots, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (slots[i].due_ns != 0)
            return true;
    return false;
}

/* count: answers after which it ends, too. An event without a slot is the end of standard input. */
static double run(struct slot *slots, unsigned n, int epoll, double rate, double seconds,
                  size_t count)
{
    uint64_t start = gw_clock_ns(), end = start + (uint64_t)(seconds * 1e9), sent = 0, now;
    struct epoll_event evs[256];
    bool stop = false;

    for (unsigned i = 0; rate == 0 && i < n; i++)
        send_request(&slots[i], gw_clock_ns());
    while ((now = gw_clock_ns()) < end && answers.n < count && !(stop && !is_busy(slots, n))) {
        uint64_t next = end;
        int got;

        if (rate != 0 && !stop) {
            sent = send_due(slots, n, rate, start, now, sent);
            next = start + (uint64_t)((double)sent * 1e9 / rate);
            /* Overdue because no connection is free: an answer ends the wait. */
            next = next <= now || next > end ? end : next;
        }
        got = wait_events(epoll, evs, 256, next);
        for (int i = 0; i < got; i++) {
            struct slot *s = evs[i].data.ptr;

            if (s == NULL) {
                stop = true;
                (void)epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
                continue;
            }
            if (!read_answer(s))
                continue;
            now = gw_clock_ns();
            note(&answers, s->due_ns, now);
            s->due_ns = 0;
            if (rate == 0 && !stop && answers.n + n <= count)
                send_request(s, now);
        }
    }
    return (double)(gw_clock_ns() - start) / 1e9;
}

/* One request on every connection, not counted. */
static void warm_up(struct slot *slots, unsigned n, int epoll)
{
    uint64_t end = gw_clock_ns() + WARM_UP_SECONDS * (uint64_t)1000000000;
    struct epoll_event evs[256];
    unsigned left = n;

    for (unsigned i = 0; i < n; i++)
        send_request(&slots[i], gw_clock_ns());
    while (left != 0 && gw_clock_ns() < end) {
        int got = wait_events(epoll, evs, 256, end);

        for (int i = 0; i < got; i++) {
            struct slot *s = evs[i].data.ptr;

            if (!read_answer(s))
                continue;
            s->due_ns = 0;
            left--;
        }
    }
    if (left != 0)
        fail("no answer during the warm-up");
    answers.n = events.n = firsts.n = 0;
}

static void await_go(void)
{
    char line[8];

    (void)printf("ready\n");
    (void)fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        exit(1);
}

static void watch_stdin(int epoll)
{
    struct epoll_event ev = {EPOLLIN, {.ptr = NULL}};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev) != 0)
        fail("--until-eof needs a pipe as standard input");
}

static void read_file(const char *path, struct gw_buf *into)
{
    FILE *f = fopen(path, "rb");
    char part[4096];
    size_t n;

    if (f == NULL)
        fail("the body cannot be read");
    while ((n = fread(part, 1, sizeof(part), f)) != 0)
        gw_buf_add(into, (struct gw_span){part, n});
    (void)fclose(f);
}

static void print(double took)
{
    samples_sort(&answers);
    samples_sort(&events);
    samples_sort(&firsts);
    (void)printf("{\"requests\": %zu, \"errors\": %zu, \"seconds\": %.3f, \"rps\": %.1f, "
                 "\"p50_us\": %.1f, \"p99_us\": %.1f, \"events\": %zu, \"event_p50_us\": %.1f, "
                 "\"event_p99_us\": %.1f, \"first_p50_us\": %.1f, \"first_p99_us\": %.1f, "
                 "\"sent\": %zu}\n",
                 answers.n, n_errors, took, (double)answers.n / took, percentile_us(&answers, 50),
                 percentile_us(&answers, 99), events.n, percentile_us(&events, 50),
                 percentile_us(&events, 99), percentile_us(&firsts, 50), percentile_us(&firsts, 99),
                 n_sent);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"conns", 1, NULL, 'c'},  {"seconds", 1, NULL, 's'}, {"rate", 1, NULL, 'r'},
        {"header", 1, NULL, 'H'}, {"body", 1, NULL, 'b'},    {"tls", 0, NULL, 't'},
        {"wait", 0, NULL, 'w'},   {"count", 1, NULL, 'n'},   {"until-eof", 0, NULL, 'u'},
        {"expect", 1, NULL, 'x'}, {NULL, 0, NULL, 0}};
    struct samples *const kept[] = {&answers, &events, &firsts};
    struct gw_buf headers = {0}, body = {0};
    unsigned conns = 16;
    size_t count = MAX_SAMPLES;
    double rate = 0, seconds = 3;
    bool wait = false, until_eof = false;
    struct slot *slots;
    int opt, epoll = epoll_create1(EPOLL_CLOEXEC);

    while ((opt = getopt_long(argc, argv, "c:s:r:H:b:twn:ux:", longs, NULL)) != -1) {
        if (opt == 'c')
            conns = (unsigned)strtoul(optarg, NULL, 10);
        else if (opt == 's')
            seconds = strtod(optarg, NULL);
        else if (opt == 'r')
            rate = strtod(optarg, NULL);
        else if (opt == 'H')
            gw_buf_printf(&headers, "%s\r\n", optarg);
        else if (opt == 'b')
            read_file(optarg, &body);
        else if (opt == 't')
            tls = SSL_CTX_new(TLS_client_method());
        else if (opt == 'n')
            count = strtoul(optarg, NULL, 10);
        else if (opt == 'w')
            wait = true;
        else if (opt == 'u')
            until_eof = true;
        else if (opt == 'x' && strlen(optarg) < MAX_EXPECTED)
            expected = gw_span_str(optarg);
        else
            return 2;
    }
    if (argc - optind != 3 || conns == 0)
        return 2;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_TIMERSLACK, 1);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)strtoul(argv[optind + 1], NULL, 10));
    (void)inet_pton(AF_INET, argv[optind], &server.sin_addr);
    gw_buf_printf(&request,
                  "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                  "application/json\r\n%sContent-Length: %zu\r\n\r\n",
                  argv[optind + 2], headers.len ? headers.ptr : "", body.len);
    gw_buf_add(&request, gw_buf_span(&body));
    for (size_t i = 0; i < 3; i++)
        kept[i]->at = calloc(MAX_SAMPLES, sizeof(*kept[i]->at));
    slots = calloc(conns, sizeof(*slots));
    for (unsigned i = 0; i < conns; i++)
        open_slot(&slots[i], epoll);
    warm_up(slots, conns, epoll);
    if (wait)
        await_go();
    if (until_eof)
        watch_stdin(epoll);
    print(run(slots, conns, epoll, rate, seconds, count));
    return 0;
}
