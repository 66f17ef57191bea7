/* Tests of attempts: a gateway in this process whose servers are sick in every way. What a client gets, how often each server
 * was asked, how long it took, and what the record says. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/log.h"
#include "proxy/config/config.h"
#include "proxy/net/server.h"
#include "tests/test.h"
#include "tests/unit/proxy/sick_servers.h"

static char dir[] = "/tmp/sluice-reliability-XXXXXX";
static char spool[80];
static uint16_t port, dead_port, full_port;
static struct server *server;
static struct sick a, b, c;

/* ---- the gateway ------------------------------------------------------------------------ */

static void report(void *ctx, bool warning, const char *message)
{
    (void)ctx;
    if (!warning)
        fprintf(stderr, "  %s\n", message);
}

/* A port whose queue of connections is full: nobody answers there. */
static void fill(uint16_t *out)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

    (void)sick_listen(out, 0);
    sa.sin_port = htons(*out);
    for (int i = 0; i < 4; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        (void)connect(fd, (struct sockaddr *)&sa, sizeof(sa));
    }
    (void)usleep(20000);
}

static bool start(void)
{
    static const char keys[] = "keys: [env:SICK_KEY_A, env:SICK_KEY_B]";
    char text[6000];
    struct gw_err err = {0};
    struct proxy_config *cfg = NULL;
    int fd;

    fd = sick_listen(&port, 1);
    (void)close(fd);
    fd = sick_listen(&dead_port, 1);
    (void)close(fd);
    fill(&full_port);
    (void)setenv("SICK_KEY_A", "bad-key", 1);
    (void)setenv("SICK_KEY_B", "good-key", 1);
    (void)snprintf(spool, sizeof(spool), "%s/spool", dir);
    (void)snprintf(
        text, sizeof(text),
        "state_dir: %s\n"
        "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
        "workers: 1\n"
        "auth: { required: false }\n"
        "limits: { request_timeout: 2s }\n"
        "reliability: { backoff: 40ms, max_wait: 900ms, first_event: 400ms, retry_budget: 100 }\n"
        "targets:\n"
        "  one: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: one,\n"
        "         breaker: { failures: 0, error_rate: 0 } }\n"
        "  two: { kind: openai, endpoints: [http://127.0.0.1:%u/v1, http://127.0.0.1:%u/v1],\n"
        "         zone: private, models: two, breaker: { failures: 0, error_rate: 0 } }\n"
        "  fa: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: [fb, "
        "guarded],\n"
        "        retries: 0, breaker: { failures: 0, error_rate: 0 } }\n"
        "  fb: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: [fb, "
        "guarded],\n"
        "        retries: 0, breaker: { failures: 0, error_rate: 0 } }\n"
        "  keys: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: keys,\n"
        "          %s, breaker: { failures: 0, error_rate: 0 } }\n"
        "  brk: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: brk,\n"
        "         retries: 0, breaker: { failures: 3, error_rate: 0, open: 300ms } }\n"
        "  hedge: { kind: openai, endpoints: [http://127.0.0.1:%u/v1, http://127.0.0.1:%u/v1],\n"
        "           zone: private, models: hedge, retries: 0, hedge_after: 100ms,\n"
        "           breaker: { failures: 0, error_rate: 0 } }\n"
        "  probed: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: "
        "probed,\n"
        "            server: vllm, health: { interval: 50ms, timeout: 200ms, failures: 2 } }\n"
        "  timed: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: timed,\n"
        "           retries: 0, breaker: { failures: 0, error_rate: 0 },\n"
        "           timeouts: { connect: 300ms, first_byte: 300ms, idle: 300ms } }\n"
        "  dead: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: dead,\n"
        "          retries: 1, breaker: { failures: 0, error_rate: 0 } }\n"
        "  full: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: full,\n"
        "          retries: 0, timeouts: { connect: 300ms }, breaker: { failures: 0, error_rate: 0 "
        "} }\n"
        "  tls: { kind: openai, base_url: https://127.0.0.1:%u/v1, zone: private, models: tls,\n"
        "         retries: 0, timeouts: { connect: 300ms }, breaker: { failures: 0, error_rate: 0 "
        "} }\n"
        "  mixed: { kind: openai, endpoints: [http://127.0.0.1:%u/v1, http://127.0.0.1:%u/v1],\n"
        "           zone: private, models: mixed, breaker: { failures: 2, error_rate: 0, open: 1m "
        "} }\n"
        "policy:\n  - { name: guard, when: { class: secret, model: guarded }, then: redact, on: "
        "response }\n"
        "routes:\n"
        "  - { model: [fb, guarded], to: [fa, fb] }\n"
        "  - { model: one, to: one }\n"
        "  - { model: two, to: two }\n"
        "  - { model: keys, to: keys }\n"
        "  - { model: brk, to: brk }\n"
        "  - { model: hedge, to: hedge }\n"
        "  - { model: probed, to: probed }\n"
        "  - { model: timed, to: timed }\n"
        "  - { model: dead, to: dead }\n"
        "  - { model: full, to: full }\n"
        "  - { model: tls, to: tls }\n"
        "  - { model: mixed, to: mixed }\n"
        "audit: { durability: process }\n"
        "log: { level: error }\n",
        dir, port, a.port, a.port, b.port, a.port, b.port, a.port, keys, c.port, a.port, b.port,
        c.port, a.port, dead_port, full_port, a.port, dead_port, b.port);
    if (proxy_config_parse(gw_span_str(text), "test", 0, &cfg, report, NULL, &err) == GW_OK &&
        server_open(cfg, NULL, false, &server, &err) == GW_OK)
        return true;
    fprintf(stderr, "  %s\n", err.text);
    return false;
}

/* ---- clients ---------------------------------------------------------------------------- */

static char got[65536];
static size_t n_got;
static int64_t took_ms, head_ms; /* of the last request: until its end, until its first byte */

static int dial_gateway(void)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval limit = {8, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
        perror("connect");
    return fd;
}

static void ask_on(int fd, const char *model, bool stream)
{
    char body[300], text[600];

    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"%s\",%s\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}",
                   model, stream ? "\"stream\":true," : "");
    (void)snprintf(text, sizeof(text),
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Asks, and reads until the gateway closes. Returns the status; 0: no answer. */
static int ask(const char *model, bool stream)
{
    int fd = dial_gateway();
    int64_t begin = sick_now();
    ssize_t n;

    ask_on(fd, model, stream);
    n_got = 0;
    head_ms = 0;
    while (n_got < sizeof(got) - 1 && (n = recv(fd, got + n_got, sizeof(got) - 1 - n_got, 0)) > 0) {
        if (n_got == 0)
            head_ms = (sick_now() - begin) / 1000000;
        n_got += (size_t)n;
    }
    got[n_got] = '\0';
    took_ms = (sick_now() - begin) / 1000000;
    (void)close(fd);
    return n_got < 12 ? 0 : (int)strtol(got + 9, NULL, 10);
}

static bool has(const char *what)
{
    return strstr(got, what) != NULL;
}

/* The last completed record. */
static const char *last_record(void)
{
    static char record[8192];
    struct audit_tail t = {.spool_dir = spool, .json = true};
    struct gw_err err;
    char *text = NULL, *at, *last = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)usleep(30000);
    (void)audit_tail(&t, f, &err);
    (void)fclose(f);
    for (at = text; (at = strstr(at, "ai.request.completed")) != NULL; at++)
        last = at;
    record[0] = '\0';
    if (last != NULL) {
        char *end = strchr(last, '\n');

        while (last > text && last[-1] != '\n')
            last--;
        (void)snprintf(record, sizeof(record), "%.*s", end == NULL ? 8000 : (int)(end - last),
                       last);
    }
    free(text);
    return record;
}

/* Records come a little later than answers. */
static bool recorded(const char *what)
{
    const char *record = "";

    for (int i = 0; i < 60; i++) {
        record = last_record();
        if (strstr(record, what) != NULL)
            return true;
    }
    record = strstr(record, "\"unmapped\"");
    fprintf(stderr, "  not on record: %s\n  %.700s\n", what, record == NULL ? "-" : record);
    return false;
}

/* ---- retries ---------------------------------------------------------------------------- */

static void test_retry_of_the_same_place(void)
{
    sick_set(&a, SAY_500, 1);
    CHECK(ask("one", false) == 200 && a.n_requests == 2 && took_ms >= 20);
    CHECK(has("x-sluice-attempts: 2"));
    CHECK(recorded("\"outcome\":\"status\",\"status\":500") &&
          recorded("\"outcome\":\"answered\""));
    sick_set(&a, SAY_500, -1);
    CHECK(ask("one", false) == 500 && a.n_requests == 3); /* what the provider says is the answer */
    CHECK(has("of the provider"));
    sick_set(&a, CLOSE, 2);
    CHECK(ask("one", true) == 200 && a.n_requests == 3 && has("Hello") && has("[DONE]"));
    sick_set(&a, SAY_400, -1);
    CHECK(ask("one", false) == 400 && a.n_requests == 1);
    sick_set(&a, SAY_409_RETRY, 1);
    CHECK(ask("one", false) == 200 && a.n_requests == 2);
    CHECK(ask("dead", false) == 502 && recorded("\"outcome\":\"not_reached\""));
    CHECK(has("x-sluice-attempts: 2"));
}

static void test_retry_after(void)
{
    sick_set(&a, SAY_503_SOON, 1);
    CHECK(ask("one", false) == 200 && took_ms >= 100 && took_ms < 1500);
    sick_set(&a, SAY_503_LATER, 1); /* an hour: the client may wait for it */
    CHECK(ask("one", false) == 503 && a.n_requests == 1 && has("Retry-After: 3600"));
    sick_set(&a, SAY_503_NEVER, 1);
    CHECK(ask("one", false) == 503 && a.n_requests == 1 && has("x-should-retry: false"));
}

static void test_too_many_requests(void)
{
    sick_set(&a, SAY_429, -1);
    CHECK(ask("one", false) == 429 && a.n_requests == 1); /* not again with this key */
    CHECK(has("Retry-After: 7") && has("x-ratelimit-remaining-requests: 0") &&
          has("of the provider"));
    sick_set(&b, WELL, -1);
    CHECK(ask("fb", false) == 200 && b.n_requests == 1 && has("x-sluice-route: fb"));
    sick_set(&b, CLOSE, -1); /* the one says when to come again, the other nothing */
    CHECK(ask("fb", false) == 429 && has("Retry-After: 7"));
    sick_set(&b, SAY_429, -1);
    CHECK(ask("two", false) == 429 && a.n_requests + b.n_requests >= 2);
}

static void test_keys(void)
{
    int asked;

    sick_set(&a, SAY_KEY, -1);
    for (int i = 0; i < 10; i++)
        CHECK(ask("keys", false) == 200);
    asked = a.n_requests; /* the refused one rests */
    CHECK(asked == 10 || asked == 11);
}

static void test_other_endpoint(void)
{
    sick_set(&a, SAY_500, -1);
    sick_set(&b, WELL, -1);
    for (int i = 0; i < 20; i++)
        CHECK(ask("two", i % 2 == 0) == 200);
    CHECK(b.n_requests == 20);
    sick_set(&b, WELL, -1);
    for (int i = 0; i < 10; i++)
        CHECK(ask("mixed", false) == 200);
    CHECK(b.n_requests == 10);
}

/* ---- answers that begin with an error ----------------------------------------------------- */

static void test_error_first(void)
{
    static const enum sick_way ways[] = {ERROR_EVENT, ERROR_LATER, ERROR_SLOWLY, EMPTY, CUT_EARLY};

    sick_set(&b, WELL, -1);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        sick_set(&a, ways[i], -1);
        sick_set(&b, WELL, -1);
        CHECK(ask("fb", true) == 200 && has("Hello") && !has("too many") && !has("working"));
        CHECK(a.n_requests == 1 && b.n_requests == 1);
    }
    sick_set(&a, ERROR_JSON, -1);
    CHECK(ask("fb", false) == 200 && has("Hello") && recorded("\"outcome\":\"error_event\""));
    sick_set(&a, ERROR_EVENT, 1);
    CHECK(ask("one", true) == 200 && has("Hello") && a.n_requests == 2);
    sick_set(&a, ERROR_EVENT, -1); /* nothing helps: it is passed on as it came */
    CHECK(ask("one", true) == 200 && has("too many") && a.n_requests == 3);
    sick_set(&a, ERROR_BAD, -1); /* nothing would */
    CHECK(ask("fb", true) == 200 && has("\"bad\"") && a.n_requests == 1);
}

static void test_after_the_first_byte(void)
{
    sick_set(&a, CUT_LATE, -1);
    sick_set(&b, WELL, -1);
    CHECK(ask("fb", true) == 200 && has("Hello") && has("\"error\"") && !has("[DONE]"));
    CHECK(b.n_requests == 0 && recorded("\"outcome\":\"cut\""));
}

/* What is collected to be checked has not been passed on, so another attempt may mend it. */
static void test_collected_answers(void)
{
    sick_set(&a, CUT_JSON, -1);
    sick_set(&b, WELL, -1);
    CHECK(ask("guarded", false) == 200 && has("Hello") && b.n_requests == 1);
    CHECK(recorded("\"outcome\":\"broken\"") && recorded("\"outcome\":\"answered\""));
}

static void test_streams_are_not_held_back(void)
{
    sick_set(&a, COMMENTS, -1);
    CHECK(ask("one", true) == 200 && has("Hello") && has(": working"));
    CHECK(head_ms >= 300 && head_ms < 950); /* first_event, not the second that the event takes */
    sick_set(&a, WELL, -1);
    CHECK(ask("one", true) == 200 && has("Hello"));
}

/* ---- breaker and probes ------------------------------------------------------------------- */

static void test_breaker(void)
{
    sick_set(&c, SAY_500, -1);
    for (int i = 0; i < 3; i++)
        CHECK(ask("brk", false) == 500);
    CHECK(ask("brk", false) == 503 && has("no_target_available") && has("Retry-After"));
    CHECK(c.n_requests == 3 && took_ms < 1000);
    (void)usleep(320000);
    CHECK(ask("brk", false) == 500 && c.n_requests == 4); /* the trial fails */
    CHECK(ask("brk", false) == 503 && c.n_requests == 4);
    sick_set(&c, WELL, -1);
    (void)usleep(320000);
    CHECK(ask("brk", false) == 503); /* open for twice as long */
    (void)usleep(320000);
    for (int i = 0; i < 5; i++)
        CHECK(ask("brk", false) == 200);
}

/* Until the probes have said so. */
static bool becomes(const char *model, int status)
{
    for (int i = 0; i < 100; i++) {
        if (ask(model, false) == status)
            return true;
        (void)usleep(20000);
    }
    return false;
}

static void test_probes(void)
{
    sick_set(&c, WELL, -1);
    CHECK(ask("probed", false) == 200 && c.n_probes > 0);
    atomic_store(&c.health, 503);
    CHECK(becomes("probed", 503) && has("no_target_available"));
    atomic_store(&c.health, 200);
    CHECK(becomes("probed", 200));
}

/* ---- hedging ------------------------------------------------------------------------------ */

static void test_hedge(void)
{
    sick_set(&a, HANG, -1);
    sick_set(&b, WELL, -1);
    for (int i = 0; i < 6; i++)
        CHECK(ask("hedge", i % 2 == 0) == 200 && has("Hello") && took_ms < 1500);
    for (int i = 0; i < 300 && a.n_gone < a.n_requests; i++)
        (void)usleep(10000);
    CHECK(a.n_gone == a.n_requests && a.n_requests >= 1); /* the losers were cancelled */
    sick_set(&a, SLOW, -1); /* both are slow: the first one wins, both were asked */
    sick_set(&b, SLOW, -1);
    CHECK(ask("hedge", false) == 200 && a.n_requests == 1 && b.n_requests == 1 && took_ms < 1500);
    CHECK(recorded("\"hedge\":true") && recorded("\"outcome\":\"cancelled\"") &&
          recorded("\"outcome\":\"answered\""));
    sick_set(&a, HANG, -1); /* one errs, the other hangs: the deadline ends it */
    sick_set(&b, SAY_500, -1);
    CHECK(ask("hedge", false) >= 500 && took_ms < 2600);
}

/* ---- deadlines and clients that leave ------------------------------------------------------- */

static void test_deadlines(void)
{
    CHECK(ask("full", false) == 504 && took_ms >= 280 && took_ms < 1600);
    CHECK(recorded("\"outcome\":\"not_reached\""));
    CHECK(ask("tls", false) == 504 && took_ms >= 280 && took_ms < 1600); /* no handshake */
    CHECK(recorded("\"outcome\":\"not_reached\""));
    sick_set(&a, HANG, -1);
    CHECK(ask("timed", false) == 504 && took_ms >= 280 && took_ms < 1600);
    CHECK(recorded("\"outcome\":\"timeout\""));
    sick_set(&a, HEAD_ONLY, -1);
    CHECK(ask("timed", true) == 504 && took_ms >= 280 && took_ms < 1600);
    sick_set(&a, ONE_EVENT, -1);
    CHECK(ask("timed", true) == 200 && has("\"error\"") && took_ms >= 280 && took_ms < 1600);
    sick_set(&a, HANG, -1);
    CHECK(ask("one", false) == 504 && took_ms >= 1900 && took_ms < 2600); /* the whole */
    sick_set(&a, SAY_503_SOON, -1);
    CHECK(ask("one", false) == 503 && took_ms < 2600);
}

/* The client leaves while the gateway waits: whoever is asked hears of it at once, and nobody is asked again. */
static void leave(const char *model, struct sick *s, bool expect_gone)
{
    int fd = dial_gateway(), before;
    int64_t left;

    ask_on(fd, model, true);
    (void)usleep(60000);
    before = s->n_requests;
    left = sick_now();
    (void)close(fd);
    for (int i = 0; i < 200 && expect_gone && s->n_gone == 0; i++)
        (void)usleep(5000);
    (void)usleep(150000);
    CHECK(!expect_gone || (s->n_gone == 1 && s->gone_ns - left < 500000000));
    CHECK(s->n_requests == before);
    CHECK(recorded("\"end\":\"client_abort\""));
}

static void test_clients_that_leave(void)
{
    sick_set(&a, HANG, -1);
    leave("one", &a, true);
    sick_set(&a, HEAD_ONLY, -1);
    leave("one", &a, true);
    sick_set(&a, ONE_EVENT, -1);
    leave("one", &a, true);
    sick_set(&a, SAY_503_SOON, -1); /* while it waits to ask again */
    leave("one", &a, false);
    sick_set(&a, WELL, -1);
    leave("full", &a, false); /* while it dials */
    leave("tls", &a, false);  /* while TLS is not there yet */
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    gw_log_set_level(GW_LOG_ERROR);
    if (mkdtemp(dir) == NULL)
        return 1;
    sick_start(&a);
    sick_start(&b);
    sick_start(&c);
    if (!CHECK(start()))
        return test_done();
    test_retry_of_the_same_place();
    test_retry_after();
    test_too_many_requests();
    test_keys();
    test_other_endpoint();
    test_error_first();
    test_after_the_first_byte();
    test_collected_answers();
    test_streams_are_not_held_back();
    test_breaker();
    test_probes();
    test_hedge();
    test_deadlines();
    test_clients_that_leave();
    server_stop(server, 2);
    server_close(server);
    return test_done();
}
