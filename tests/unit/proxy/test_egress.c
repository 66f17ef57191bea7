/* Tests of proxy/net/egress.c: what is asked of a proxy, and its answer in any pieces, with nothing taken behind it. */
#include <sys/socket.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "proxy/net/egress.h"
#include "tests/test.h"

static struct event_base *base;

struct outcome {
    struct egress *e;
    int n; /* calls */
    bool ok;
    char why[256];
};

static void on_done(void *ctx, bool ok, const char *why)
{
    struct outcome *o = ctx;

    o->n++;
    o->ok = ok;
    (void)snprintf(o->why, sizeof(o->why), "%s", why);
    egress_free(o->e);
    o->e = NULL;
}

static void turn(void)
{
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Answers with the two pieces; what is left in the socket goes to rest. */
static struct outcome ask(const char *host, const char *auth, struct gw_span first,
                          struct gw_span second, char *request, char *rest, size_t size)
{
    struct outcome o = {0};
    ssize_t n;
    int fd[2];

    (void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd);
    o.e = egress_start(base, fd[0], "proxy:3128", host, 443, gw_span_str(auth), on_done, &o);
    turn();
    n = recv(fd[1], request, size - 1, 0);
    request[n < 0 ? 0 : n] = '\0';
    CHECK(o.n == 0);
    (void)send(fd[1], first.ptr, first.len, MSG_NOSIGNAL);
    turn();
    if (o.n == 0)
        (void)send(fd[1], second.ptr, second.len, MSG_NOSIGNAL);
    turn();
    turn();
    if (o.n == 0 && second.ptr == NULL) {
        (void)close(fd[1]);
        turn();
    }
    n = recv(fd[0], rest, size - 1, 0);
    rest[n < 0 ? 0 : n] = '\0';
    egress_free(o.e);
    (void)close(fd[0]);
    (void)close(fd[1]);
    return o;
}

static void test_splits(void)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
    size_t n = strlen(answer);
    char all[128], request[512], rest[512];

    (void)snprintf(all, sizeof(all), "%sBEHIND", answer);
    for (size_t i = 1; i < strlen(all); i++) {
        struct outcome o =
            ask("api.test", "", (struct gw_span){all, i}, gw_span_str(all + i), request, rest, 512);

        CHECK(o.n == 1 && o.ok);
        /* What came behind the head in the same piece is still there; later pieces were not sent any more. */
        CHECK(i < n ? strcmp(rest, "BEHIND") == 0 : strlen(rest) == i - n);
    }
    CHECK(strcmp(request, "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n") == 0);
}

static void test_request(void)
{
    char request[512], rest[512];
    const struct gw_span ok = GW_SPAN("HTTP/1.0 200 ok\r\n\r\n"), none = {NULL, 0};

    CHECK(ask("2001:db8::1", "user:pass", ok, none, request, rest, 512).ok);
    CHECK(strstr(request, "CONNECT [2001:db8::1]:443 ") == request);
    CHECK(strstr(request, "\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n") != NULL);
    CHECK(ask("a", "u:", ok, none, request, rest, 512).ok &&
          strstr(request, "Basic dTo=\r\n") != NULL);
    CHECK(ask("a", "u:p", ok, none, request, rest, 512).ok &&
          strstr(request, "Basic dTpw\r\n") != NULL);
    CHECK(ask("a", "u:pp", ok, none, request, rest, 512).ok &&
          strstr(request, "Basic dTpwcA==\r\n") != NULL);
}

static void refused(const char *answer, const char *word)
{
    char request[512], rest[512];
    const struct gw_span none = {NULL, 0};
    struct outcome o = ask("api.test", "u:p", gw_span_str(answer), none, request, rest, 512);

    if (!CHECK(o.n == 1 && !o.ok && strstr(o.why, word) != NULL))
        printf("  %s\n", o.why);
}

static void test_refusals(void)
{
    char large[9000];

    refused("HTTP/1.1 407 No\r\n\r\n", "407");
    refused("HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nno\n", "answered 502");
    refused("HTTP/1.1 100 Continue\r\n\r\n", "answered 100");
    refused("SSH-2.0-x\r\n\r\n", "does not speak HTTP");
    refused("HTTP/1.1\r\n\r\n", "does not speak HTTP");
    refused("HTTP/1.1 abc def\r\n\r\n", "does not speak HTTP");
    refused("HTTP/1.1 200 OK\r\n", "closed");
    refused("", "closed");
    memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    refused(large, "too long");
}

int main(void)
{
    base = event_base_new();
    test_splits();
    test_request();
    test_refusals();
    event_base_free(base);
    return test_done();
}
