/* Tests of attempts: a gateway in this process whose servers are sick in every way. What a client gets, how often each server
 * was asked, that nothing came too early, and what the record says.
 *
 * Nothing here depends on how fast the machine is: of the deadlines that a request meets at most one is near, the one that is
 * tested, and which of two things happened is told by what was sent. So there are three gateways, one after the other. */
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
#include "tests/files.h"
#include "tests/net.h"
#include "tests/test.h"
#include "tests/unit/proxy/sick_servers.h"

static char dir[] = "/tmp/sluice-reliability-XXXXXX";
static char spool[80];
static uint16_t port, dead_port, full_port;
static struct server *server;
static unsigned n_gateways, n_asked; /* n_asked: of the present one */
static struct sick a, b, c, d, e;    /* d, e: for tests that count what is cancelled */

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

/* request, first_event: limits.request_timeout and reliability.first_event. */
static bool start(const char *request, const char *first_event)
{
    static const char *const models[] = {"one",     "two",  "keys",   "brk",  "shut",  "hedge",
                                         "late",    "left", "probed", "mute", "still", "dialled",
                                         "greeted", "dead", "full",   "tls",  "mixed"};
    static const char keys[] = "keys: [env:SICK_KEY_A, env:SICK_KEY_B]";
    char text[6000];
    struct gw_err err = {0};
    struct proxy_config *cfg = NULL;

    n_asked = 0;
    (void)snprintf(spool, sizeof(spool), "%s/%u/spool", dir, n_gateways++);
    (void)snprintf(
        text, sizeof(text),
        "state_dir: %.*s\n"
        "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
        "workers: 1\n"
        "auth: { required: false }\n"
        "limits: { request_timeout: %s }\n"
        "reliability: { backoff: 40ms, max_wait: 10m, first_event: %s, retry_budget: 100 }\n"
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
        "  shut: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: shut,\n"
        "          retries: 0, breaker: { failures: 3, error_rate: 0, open: 1h } }\n"
        "  hedge: { kind: openai, endpoints: [http://127.0.0.1:%u/v1, http://127.0.0.1:%u/v1],\n"
        "           zone: private, models: hedge, retries: 0, hedge_after: 100ms,\n"
        "           breaker: { failures: 0, error_rate: 0 } }\n"
        "  late: { kind: openai, endpoints: [http://127.0.0.1:%u/v1, http://127.0.0.1:%u/v1],\n"
        "          zone: private, models: late, retries: 0, hedge_after: 100ms,\n"
        "          breaker: { failures: 0, error_rate: 0 } }\n"
        "  left: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: left,\n"
        "          breaker: { failures: 0, error_rate: 0 } }\n"
        "  probed: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: "
        "probed,\n"
        "            server: vllm, health: { interval: 50ms, timeout: 1h, failures: 2 } }\n"
        "  mute: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: mute,\n"
        "          retries: 0, breaker: { failures: 0, error_rate: 0 },\n"
        "          timeouts: { connect: 1h, first_byte: 300ms, idle: 1h } }\n"
        "  still: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: still,\n"
        "           retries: 0, breaker: { failures: 0, error_rate: 0 },\n"
        "           timeouts: { connect: 1h, first_byte: 1h, idle: 300ms } }\n"
        "  dead: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: dead,\n"
        "          retries: 1, breaker: { failures: 0, error_rate: 0 } }\n"
        "  full: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private, models: full,\n"
        "          retries: 0, timeouts: { connect: 300ms }, breaker: { failures: 0, error_rate: 0 "
        "} }\n"
        "  tls: { kind: openai, base_url: https://127.0.0.1:%u/v1, zone: private, models: tls,\n"
        "         retries: 0, timeouts: { connect: 300ms }, breaker: { failures: 0, error_rate: 0 "
        "} }\n"
        "  dialled: { kind: openai, endpoints: [http://127.0.0.1:%u/v1], zone: private,\n"
        "             models: dialled, retries: 0, timeouts: { connect: 1h } }\n"
        "  greeted: { kind: openai, endpoints: [https://127.0.0.1:%u/v1], zone: private,\n"
        "             models: greeted, retries: 0, timeouts: { connect: 1h } }\n"
        "  mixed: { kind: openai, endpoints: [http://127.0.0.1:%u/v1, http://127.0.0.1:%u/v1],\n"
        "           zone: private, models: mixed, breaker: { failures: 2, error_rate: 0, open: 1m "
        "} }\n"
        "policy:\n  - { name: guard, when: { class: secret, model: guarded }, then: redact, on: "
        "response }\n"
        "audit: { durability: process }\n"
        "log: { level: error }\n"
        "routes:\n"
        "  - { model: [fb, guarded], to: [fa, fb] }\n",
        (int)strlen(spool) - 6, spool, port, request, first_event, a.port, a.port, b.port, a.port,
        b.port, a.port, keys, c.port, c.port, a.port, b.port, d.port, e.port, d.port, c.port,
        a.port, a.port, dead_port, full_port, a.port, full_port, a.port, dead_port, b.port);
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       "  - { model: %s, to: %s }\n", models[i], models[i]);
    if (proxy_config_parse(gw_span_str(text), "test", 0, &cfg, report, NULL, &err) == GW_OK &&
        server_open(cfg, NULL, false, &server, &err) == GW_OK)
        return true;
    fprintf(stderr, "  %s\n", err.text);
    return false;
}

static void stop(void)
{
    server_stop(server, 1);
    TEST_UNTIL(server_stopped(server));
    CHECK(server_stopped(server));
    server_close(server);
}

/* ---- clients ---------------------------------------------------------------------------- */

static char got[65536];
static size_t n_got;
static int64_t took_ms, head_ms; /* of the last request: until its end, until its first byte */
static int64_t began;            /* the last request that was answered; ns of sick_now() */
static struct sick *go_at_head;  /* told to go on when the first byte of an answer is here */

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
    n_asked++;
}

/* Reads until the gateway closes. Returns the status; 0: no answer. */
static int answer(int fd, int64_t begin)
{
    ssize_t n;

    n_got = 0;
    head_ms = 0;
    while (n_got < sizeof(got) - 1 &&
           (n = test_recv(fd, got + n_got, sizeof(got) - 1 - n_got)) > 0) {
        if (n_got == 0)
            head_ms = (sick_now() - begin) / 1000000;
        if (go_at_head != NULL)
            atomic_store(&go_at_head->go, true);
        n_got += (size_t)n;
    }
    got[n_got] = '\0';
    took_ms = (sick_now() - begin) / 1000000;
    began = begin;
    (void)close(fd);
    return n_got < 12 ? 0 : (int)strtol(got + 9, NULL, 10);
}

static int ask(const char *model, bool stream)
{
    int fd = dial_gateway();
    int64_t begin = sick_now();

    ask_on(fd, model, stream);
    return answer(fd, begin);
}

static bool has(const char *what)
{
    return strstr(got, what) != NULL;
}

/* The spool as text, one record a line. The caller frees it. */
static char *records(void)
{
    struct audit_tail t = {.spool_dir = spool, .json = true};
    struct gw_err err;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)audit_tail(&t, f, &err);
    (void)fclose(f);
    return text;
}

/* How many requests have been completed, and the record of the last one. */
static unsigned completed(char record[8192])
{
    char *text = records(), *save = NULL;
    unsigned n = 0;

    record[0] = '\0';
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, "ai.request.completed") == NULL)
            continue;
        n++;
        (void)snprintf(record, 8192, "%s", line);
    }
    free(text);
    return n;
}

/* Of the last request. Records come a little later than answers. */
static bool recorded(const char *what)
{
    static char record[8192];
    const char *part;

    TEST_UNTIL(completed(record) == n_asked);
    if (completed(record) == n_asked && strstr(record, what) != NULL)
        return true;
    part = strstr(record, "\"unmapped\"");
    fprintf(stderr, "  not on record: %s\n  %.700s\n", what, part == NULL ? "-" : part);
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
    sick_set(&a, SAY_503_SOON, 1); /* of the two fields the finer one counts */
    CHECK(ask("one", false) == 200 && a.n_requests == 2 && took_ms >= 100);
    sick_set(&a, SAY_503_SOON, -1);
    CHECK(ask("one", false) == 503 && a.n_requests == 3 && took_ms >= 200);
    sick_set(&a, SAY_503_LATE, 1); /* longer than the request may still take */
    CHECK(ask("one", false) == 503 && a.n_requests == 1 && has("Retry-After: 400"));
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

/* The server sends its event when the client has the head: one that is held back until the event would never come. */
static void test_streams_are_not_held_back(void)
{
    sick_set(&a, COMMENTS, -1);
    go_at_head = &a;
    CHECK(ask("one", true) == 200 && has("Hello") && has(": working") && has("[DONE]"));
    CHECK(head_ms >= 390); /* first_event */
    go_at_head = NULL;
    sick_set(&a, WELL, -1);
    CHECK(ask("one", true) == 200 && has("Hello"));
}

/* ---- breaker and probes ------------------------------------------------------------------- */

/* Asks until it is not refused by the gateway itself. Returns that status. */
static int ask_until_passed(const char *model, int *n_refused)
{
    int status = 0;

    *n_refused = -1;
    TEST_UNTIL(((*n_refused)++, status = ask(model, false)) != 503);
    return status;
}

static void test_breaker(void)
{
    int n_refused;
    int64_t begin;

    sick_set(&c, SAY_500, -1);
    for (int i = 0; i < 3; i++)
        CHECK(ask("shut", false) == 500);
    for (int i = 0; i < 5; i++)
        CHECK(ask("shut", false) == 503 && has("no_target_available") && has("Retry-After"));
    CHECK(c.n_requests == 3);
    sick_set(&c, SAY_500, -1);
    for (int i = 0; i < 3; i++) {
        begin = sick_now();
        CHECK(ask("brk", false) == 500);
    }
    CHECK(ask_until_passed("brk", &n_refused) == 500 && c.n_requests == 4); /* the trial fails */
    CHECK(sick_now() - begin >= 299000000); /* its clock counts whole ms */
    begin = began;                          /* the trial's: the breaker opened after it */
    sick_set(&c, WELL, -1);
    CHECK(ask_until_passed("brk", &n_refused) == 200 && c.n_requests == 1);
    CHECK(sick_now() - begin >= 599000000); /* open for twice as long */
    for (int i = 0; i < 5; i++)
        CHECK(ask("brk", false) == 200);
}

static void test_probes(void)
{
    int status = 0;

    sick_set(&c, WELL, -1);
    TEST_UNTIL(c.n_probes > 0);
    CHECK(ask("probed", false) == 200 && c.n_probes > 0);
    atomic_store(&c.health, 503);
    TEST_UNTIL((status = ask("probed", false)) == 503);
    CHECK(status == 503 && has("no_target_available"));
    atomic_store(&c.health, 200);
    TEST_UNTIL((status = ask("probed", false)) == 200);
    CHECK(status == 200);
}

/* ---- hedging ------------------------------------------------------------------------------ */

static void test_hedge(void)
{
    int64_t begin;
    int fd;

    sick_set(&a, HANG, -1);
    sick_set(&b, WELL, -1);
    for (int i = 0; i < 6; i++)
        CHECK(ask("hedge", i % 2 == 0) == 200 && has("Hello"));
    TEST_UNTIL(a.n_gone == a.n_requests);
    CHECK(a.n_gone == a.n_requests && a.n_requests >= 1); /* the losers were cancelled */
    sick_set(&d, ON_GO, -1);                              /* neither answers until both are asked */
    sick_set(&e, HANG, -1);
    fd = dial_gateway();
    begin = sick_now();
    ask_on(fd, "late", false);
    TEST_UNTIL(d.n_requests + e.n_requests == 2);
    CHECK(d.n_requests == 1 && e.n_requests == 1);
    atomic_store(&d.go, true);
    CHECK(answer(fd, begin) == 200 && has("Hello") && took_ms >= 90);
    TEST_UNTIL(e.n_gone == 1);
    CHECK(recorded("\"hedge\":true") && recorded("\"outcome\":\"cancelled\"") &&
          recorded("\"outcome\":\"answered\""));
}

/* ---- deadlines and clients that leave ------------------------------------------------------- */

static void test_deadlines(void)
{
    CHECK(ask("full", false) == 504 && took_ms >= 280);
    CHECK(recorded("\"outcome\":\"not_reached\""));
    CHECK(ask("tls", false) == 504 && took_ms >= 280); /* no handshake */
    CHECK(recorded("\"outcome\":\"not_reached\""));
    sick_set(&a, HANG, -1);
    CHECK(ask("mute", false) == 504 && took_ms >= 280);
    CHECK(recorded("\"outcome\":\"timeout\""));
    sick_set(&a, HEAD_ONLY, -1);
    CHECK(ask("still", true) == 504 && took_ms >= 280);
    sick_set(&a, ONE_EVENT, -1);
    CHECK(ask("still", true) == 200 && has("\"error\"") && took_ms >= 280);
}

static void test_deadline_of_the_whole(void)
{
    sick_set(&a, HANG, -1);
    CHECK(ask("one", false) == 504 && took_ms >= 990);
    CHECK(a.n_requests <= 1);
    sick_set(&b, SAY_500, -1); /* of a hedge one errs, the other hangs */
    CHECK(ask("hedge", false) >= 500);
}

static unsigned aborts(void)
{
    char *text = records();
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, "\"end\":\"client_abort\"")) != NULL; at++)
        n++;
    free(text);
    return n;
}

/* The client leaves while the gateway waits, long before any deadline: whoever is asked hears of it, and nobody is asked again.
 */
static void leave(const char *model, struct sick *s, int n_requests, int n_gone)
{
    unsigned before = aborts();
    int fd = dial_gateway();

    ask_on(fd, model, true);
    TEST_UNTIL(s->n_requests == n_requests);
    (void)usleep(60000); /* into the wait, most times */
    (void)close(fd);
    TEST_UNTIL(aborts() == before + 1);
    CHECK(aborts() == before + 1);
    TEST_UNTIL(s->n_gone == n_gone);
    CHECK(s->n_gone == n_gone && s->n_requests == n_requests);
}

static void test_clients_that_leave(void)
{
    sick_set(&d, HANG, -1);
    leave("left", &d, 1, 1);
    sick_set(&d, HEAD_ONLY, -1);
    leave("left", &d, 1, 1);
    sick_set(&d, ONE_EVENT, -1);
    leave("left", &d, 1, 1);
    sick_set(&d, SAY_503_WAIT, -1); /* while it waits to ask again */
    leave("left", &d, 1, 0);
    sick_set(&d, WELL, -1);
    leave("dialled", &d, 0, 0); /* while it dials */
    leave("greeted", &d, 0, 0); /* while TLS is not there yet */
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
    sick_start(&d);
    sick_start(&e);
    port = test_port();
    dead_port = test_port();
    fill(&full_port);
    (void)setenv("SICK_KEY_A", "bad-key", 1);
    (void)setenv("SICK_KEY_B", "good-key", 1);
    if (!CHECK(start("5m", "1h")))
        return test_done();
    test_retry_of_the_same_place();
    test_retry_after();
    test_keys();
    test_other_endpoint();
    test_too_many_requests();
    test_error_first();
    test_after_the_first_byte();
    test_collected_answers();
    test_breaker();
    test_probes();
    test_hedge();
    test_deadlines();
    test_clients_that_leave();
    stop();
    if (!CHECK(start("5m", "400ms")))
        return test_done();
    test_streams_are_not_held_back();
    stop();
    if (!CHECK(start("1s", "1h")))
        return test_done();
    test_deadline_of_the_whole();
    stop();
    CHECK(test_remove_tree(dir));
    return test_done();
}
