/* Tests of a whole gateway in this process: server_open() with an upstream that misbehaves on request, raw
 * clients, and the records in the spool. The model name of a request says what the upstream does. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/net/server.h"
#include "tests/files.h"
#include "tests/net.h"
#include "tests/test.h"
#include "tests/unit/proxy/gateway_up.h"

/* ---- the gateway ------------------------------------------------------------------------ */

static char dir[] = "/tmp/sluice-gateway-XXXXXX";
static char spool[64];
static uint16_t port;
static struct proxy_config *cfg;
static struct server *server;

static void report(void *ctx, bool warning, const char *message)
{
    (void)ctx;
    if (!warning)
        fprintf(stderr, "  %s\n", message);
}

/* limits: how long it waits for clients. */
static bool start(const char *limits)
{
    char text[2048];
    struct gw_err err = {0};

    (void)snprintf(
        text, sizeof(text),
        "state_dir: %s\n"
        "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
        "workers: 1\n"
        "auth: { required: false }\n"
        "limits: { %s }\n"
        "targets:\n"
        "  up: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, retries: 0,\n"
        "        breaker: { failures: 0, error_rate: 0 } }\n"
        "routes:\n  - { model: '*', to: up }\n"
        "audit: { durability: process }\n"
        "log: { level: error }\n",
        dir, port, limits, up_port);
    if (proxy_config_parse(gw_span_str(text), "test", 0, &cfg, report, NULL, &err) != GW_OK ||
        server_open(cfg, NULL, false, &server, &err) != GW_OK) {
        fprintf(stderr, "  %s\n", err.text);
        return false;
    }
    return true;
}

/* How many completed records have this end. Reads the live spool. */
static unsigned ends(const char *end)
{
    struct audit_tail t = {.spool_dir = spool, .json = true};
    struct gw_err err;
    char *text = NULL, want[64];
    size_t size;
    FILE *f = open_memstream(&text, &size);
    unsigned n = 0;

    (void)audit_tail(&t, f, &err);
    (void)fclose(f);
    (void)snprintf(want, sizeof(want), "\"end\":\"%s\"", end);
    for (char *p = text; (p = strstr(p, want)) != NULL; p++)
        n++;
    free(text);
    return n;
}

static bool ends_become(const char *end, unsigned n)
{
    TEST_UNTIL(ends(end) == n);
    if (ends(end) == n)
        return true;
    fprintf(stderr, "  %s: %u, not %u\n", end, ends(end), n);
    return false;
}

/* ---- clients ---------------------------------------------------------------------------- */

static int dial_gateway(void)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval limit = {TEST_PATIENCE_S, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
        perror("connect");
    return fd;
}

static void put(int fd, const char *bytes, size_t n)
{
    (void)send(fd, bytes, n, MSG_NOSIGNAL);
}

static void say(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

static char chat_text[1024];

static const char *chat(const char *mode, const char *version, const char *fields)
{
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"up-%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}",
                   mode);
    (void)snprintf(chat_text, sizeof(chat_text),
                   "POST /v1/chat/completions HTTP/%s\r\nHost: gateway\r\n%sContent-Length: "
                   "%zu\r\n\r\n%s",
                   version, fields, strlen(body), body);
    return chat_text;
}

/* Reads one answer that has a Content-Length. Returns its status, 0: closed before its end. */
static char got[65536];
static size_t n_got;

static int answer(int fd)
{
    n_got = 0;
    for (;;) {
        char *end, *cl;
        ssize_t n;

        got[n_got] = '\0';
        end = strstr(got, "\r\n\r\n");
        cl = strstr(got, "Content-Length: ");
        if (end != NULL && (cl == NULL || cl > end) && strstr(got, "chunked") == NULL)
            return (int)strtol(got + 9, NULL, 10);
        if (end != NULL && cl != NULL &&
            n_got >= (size_t)(end - got) + 4 + strtoul(cl + 16, NULL, 10))
            return (int)strtol(got + 9, NULL, 10);
        if (end != NULL && strstr(got, "\r\n0\r\n\r\n") != NULL)
            return (int)strtol(got + 9, NULL, 10);
        n = test_recv(fd, got + n_got, 1); /* no byte of the next answer */
        if (n <= 0)
            return 0;
        n_got += (size_t)n;
    }
}

static bool closed(int fd)
{
    char c;

    return test_recv(fd, &c, 1) == 0;
}

/* Everything until the gateway closes. */
static void read_all(int fd)
{
    ssize_t n;

    n_got = 0;
    while (n_got < sizeof(got) - 1 && (n = test_recv(fd, got + n_got, sizeof(got) - 1 - n_got)) > 0)
        n_got += (size_t)n;
    got[n_got] = '\0';
}

static unsigned count(const char *what)
{
    unsigned n = 0;

    for (const char *p = got; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* One request on a connection of its own. */
static int once(const char *mode)
{
    int fd = dial_gateway(), status;

    say(fd, chat(mode, "1.1", ""));
    status = answer(fd);
    (void)close(fd);
    return status;
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_pieces(void)
{
    int fd = dial_gateway();
    size_t n = strlen(chat("ok", "1.1", ""));
    bool all = true;

    for (size_t i = 0; i < n; i++)
        put(fd, chat_text + i, 1);
    CHECK(answer(fd) == 200 && strstr(got, OK_BODY) != NULL);
    for (size_t cut = 1; cut < n; cut += 3) { /* keep-alive all the way */
        put(fd, chat_text, cut);
        (void)usleep(500);
        put(fd, chat_text + cut, n - cut);
        all &= answer(fd) == 200 && strstr(got, OK_BODY) != NULL;
    }
    CHECK(all);
    (void)close(fd);
}

static void test_pipeline(void)
{
    char three[4096];
    size_t n = 0;
    int fd = dial_gateway();

    for (int i = 0; i < 3; i++)
        n += (size_t)snprintf(three + n, sizeof(three) - n, "%s",
                              chat(i == 1 ? "chunked" : "ok", "1.1", ""));
    put(fd, three, n);
    for (int i = 0; i < 3; i++)
        CHECK(answer(fd) == 200 && strstr(got, "yes") != NULL);
    (void)close(fd);
}

/* What stands behind the last request of a connection is not looked at. */
static void test_nothing_behind_the_last(void)
{
    char text[4096];
    int fd = dial_gateway(), before = atomic_load(&n_up_requests);

    (void)snprintf(text, sizeof(text),
                   "POST /nowhere HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\n\r\nhello%s",
                   chat("hang", "1.1", ""));
    say(fd, text);
    CHECK(answer(fd) == 404 && strstr(got, "Connection: close") != NULL);
    CHECK(closed(fd));
    (void)close(fd);
    fd = dial_gateway();
    (void)snprintf(text, sizeof(text),
                   "GET /v1/models HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n%s",
                   chat("hang", "1.1", ""));
    say(fd, text);
    read_all(fd);
    CHECK(count("HTTP/1.1 200") == 1 && count("HTTP/1.1") == 1);
    (void)close(fd);
    CHECK(atomic_load(&n_up_requests) == before);
}

static void test_malformed(void)
{
    int fd = dial_gateway();

    say(fd, chat("ok", "1.1", ""));
    CHECK(answer(fd) == 200);
    say(fd, "GET\r\n\r\n"); /* the second request of a connection is answered as well */
    CHECK(answer(fd) == 400 && strstr(got, "Connection: close") != NULL);
    CHECK(closed(fd));
    (void)close(fd);
    fd = dial_gateway();
    say(fd, "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: "
            "chunked\r\n\r\nzz\r\n");
    CHECK(answer(fd) == 400 && strstr(got, "Connection: close") != NULL);
    (void)close(fd);
    fd = dial_gateway();
    say(fd, "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Length: 1\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    CHECK(answer(fd) == 400);
    (void)close(fd);
}

static void test_slow(void)
{
    int fd = dial_gateway();
    size_t n;

    say(fd, "POST /v1/ch");
    CHECK(answer(fd) == 408);
    (void)close(fd);
    fd = dial_gateway();
    n = strlen(chat("ok", "1.1", ""));
    put(fd, chat_text, n - 5);
    CHECK(answer(fd) == 408 && strstr(got, "Connection: close") != NULL);
    (void)close(fd);
    CHECK(once("hang") == 504); /* limits.request_timeout */
}

static void test_methods(void)
{
    int fd = dial_gateway();
    size_t n;

    say(fd, "HEAD /v1/models HTTP/1.1\r\nHost: g\r\n\r\n");
    n_got = 0;
    while (strstr(got, "\r\n\r\n") == NULL || n_got == 0) {
        if (test_recv(fd, got + n_got, 1) != 1)
            break;
        got[++n_got] = '\0';
    }
    CHECK(strstr(got, "HTTP/1.1 200") == got && strstr(got, "Content-Length: ") != NULL);
    say(fd, "GET /v1/models HTTP/1.1\r\nHost: g\r\n\r\n");
    CHECK(answer(fd) == 200 && got[0] == 'H'); /* no body stood between */
    n = strlen(chat("ok", "1.1", "Expect: 100-continue\r\n"));
    put(fd, chat_text, n - 20);
    CHECK(answer(fd) == 100);
    put(fd, chat_text + n - 20, 20);
    CHECK(answer(fd) == 200);
    (void)close(fd);
}

static void test_http10(void)
{
    int fd = dial_gateway();

    say(fd, chat("chunked", "1.0", ""));
    read_all(fd);
    CHECK(strstr(got, "chunked") == NULL && strstr(got, "\r\n\r\n" OK_BODY) != NULL);
    (void)close(fd);
    fd = dial_gateway();
    say(fd, chat("ok", "1.0", "Connection: keep-alive\r\n"));
    CHECK(answer(fd) == 200 && strstr(got, "Connection: keep-alive") != NULL);
    say(fd, chat("ok", "1.0", ""));
    CHECK(answer(fd) == 200 && closed(fd));
    (void)close(fd);
}

static void test_chunked_request(void)
{
    int fd = dial_gateway();
    const char *text =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"
        "10\r\n{\"model\":\"up-ok\"\r\n"
        "35\r\n,\"messages\":[{\"role\":\"user\",\"content\":\"Hello, you\"}]}\r\n0\r\n\r\n";

    say(fd, text);
    if (!CHECK(answer(fd) == 200))
        fprintf(stderr, "%s\n", got);
    (void)close(fd);
}

static void test_upstream(void)
{
    int fd, before;

    CHECK(once("early") == 200 && strstr(got, "103") == NULL && strstr(got, "Link") == NULL);
    CHECK(once("silent") == 502);
    CHECK(once("garbage") == 502);
    CHECK(once("cut") == 502); /* nothing had been passed on */
    CHECK(once("cutchunk") == 0 /* of no known type, so it had: the client sees the cut too */ &&
          strstr(got, "200 OK") != NULL && strstr(got, "0\r\n\r\n") == NULL);
    fd = dial_gateway(); /* ended by the close: a whole answer */
    say(fd, chat("close", "1.1", "Connection: close\r\n"));
    read_all(fd);
    CHECK(strstr(got, "until the end") != NULL && strstr(got, "0\r\n\r\n") != NULL);
    (void)close(fd);
    fd = dial_gateway(); /* ended by a reset: not */
    say(fd, chat("reset", "1.1", "Connection: close\r\n"));
    read_all(fd);
    CHECK(strstr(got, "0\r\n\r\n") == NULL);
    (void)close(fd);
    /* The server closes a connection that it promised to keep: nobody notices. */
    for (int i = 0; i < 20; i++)
        CHECK(once("die") == 200);
    before = atomic_load(&n_up_conns);
    for (int i = 0; i < 10; i++)
        CHECK(once("ok") == 200);
    CHECK(atomic_load(&n_up_conns) <= before + 1); /* the pool works */
}

/* The client leaves in each phase; the upstream hears of it at once and the record is right. */
static void test_client_gone(void)
{
    unsigned aborts = ends("client_abort");
    int gone = atomic_load(&n_up_gone), before = atomic_load(&n_up_requests), fd = dial_gateway();
    size_t n;

    say(fd, "POST /v1/ch");
    (void)usleep(20000);
    (void)close(fd);
    fd = dial_gateway();
    n = strlen(chat("ok", "1.1", ""));
    put(fd, chat_text, n - 5);
    (void)usleep(20000);
    (void)close(fd);
    CHECK(ends_become("client_abort", aborts + 1));
    fd = dial_gateway();
    say(fd, chat("hang", "1.1", ""));
    TEST_UNTIL(atomic_load(&n_up_requests) > before);
    (void)close(fd);
    CHECK(ends_become("client_abort", aborts + 2));
    fd = dial_gateway();
    say(fd, chat("stream", "1.1", ""));
    n_got = (size_t)test_recv(fd, got, 100);
    (void)close(fd);
    CHECK(ends_become("client_abort", aborts + 3));
    TEST_UNTIL(atomic_load(&n_up_gone) >= gone + 2);
    CHECK(atomic_load(&n_up_gone) == gone + 2);
}

static void test_records(void)
{
    unsigned complete = ends("complete"), upstream = ends("upstream_error"),
             refused = ends("refused");

    CHECK(once("ok") == 200);
    CHECK(once("silent") == 502);
    CHECK(ends_become("complete", complete + 1));
    CHECK(ends_become("upstream_error", upstream + 1));
    int fd = dial_gateway();
    say(fd, "GET /x HTTP/1.1\r\nHost: g\r\n\r\n");
    CHECK(answer(fd) == 404);
    (void)close(fd);
    CHECK(ends_become("refused", refused + 1));
}

/* Draining lets the answer end; the end of the drain time does not. */
static void test_stop(void)
{
    unsigned stops = ends("gateway_stop");
    int fd = dial_gateway(), idle = dial_gateway(), before;

    say(idle, chat("ok", "1.1", ""));
    CHECK(answer(idle) == 200);
    before = atomic_load(&n_up_requests);
    say(fd, chat("hang", "1.1", ""));
    TEST_UNTIL(atomic_load(&n_up_requests) > before);
    server_stop(server, 1);
    CHECK(closed(idle));
    CHECK(!server_stopped(server));
    server_stop(server, 2);
    TEST_UNTIL(server_stopped(server));
    CHECK(server_stopped(server));
    server_close(server);
    CHECK(answer(fd) == 0);
    CHECK(ends("gateway_stop") == stops + 1);
    (void)close(fd);
    (void)close(idle);
}

int main(void)
{
    pthread_t up;
    (void)signal(SIGPIPE, SIG_IGN);
    gw_log_set_level(GW_LOG_ERROR);
    up_fd = listen_any(&up_port);
    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK(pthread_create(&up, NULL, up_run, NULL) == 0) ||
        !CHECK((port = test_port()) != 0) ||
        !CHECK(start("header_timeout: 600ms, body_timeout: 600ms, request_timeout: 1s")))
        return test_done();
    (void)snprintf(spool, sizeof(spool), "%s/spool", dir);
    test_slow();
    server_stop(server, 2);
    server_close(server);
    if (!CHECK(start("header_timeout: 1h, body_timeout: 1h, request_timeout: 1h")))
        return test_done();
    test_pieces();
    test_pipeline();
    test_nothing_behind_the_last();
    test_malformed();
    test_methods();
    test_http10();
    test_chunked_request();
    test_upstream();
    test_client_gone();
    test_records();
    test_stop();
    atomic_store(&up_stop, true);
    (void)shutdown(up_fd, SHUT_RDWR);
    (void)pthread_join(up, NULL);
    (void)close(up_fd);
    CHECK(test_remove_tree(dir));
    return test_done();
}
