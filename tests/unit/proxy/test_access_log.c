/* Tests of the log of a running gateway: one line a request, and nothing in it that a client or a provider wrote. A marker
 * stands in every place that they can write to, and may not come out. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "proxy/net/server.h"
#include "tests/files.h"
#include "tests/net.h"
#include "tests/test.h"
#include "tests/unit/proxy/gateway_up.h"

#define MARK "zq7SECRETmarker"

static char dir[] = "/tmp/sluice-access-XXXXXX";
static char log_path[64];
static uint16_t port;
static struct server *server;

static bool start(void)
{
    char text[1200];
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    port = test_port();
    (void)snprintf(text, sizeof(text),
                   "state_dir: %s\n"
                   "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
                   "workers: 1\n"
                   "auth: { required: false }\n"
                   "targets:\n"
                   "  up: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private }\n"
                   "routes:\n  - { model: 'up-*', to: up }\n"
                   "audit: { durability: process }\n"
                   "log: { level: debug, format: json }\n",
                   dir, port, up_port);
    gw_log_set_level(GW_LOG_DEBUG);
    gw_log_set_format(GW_LOG_JSON);
    if (proxy_config_parse(gw_span_str(text), "test", 0, &cfg, NULL, NULL, &err) == GW_OK &&
        server_open(cfg, NULL, false, &server, &err) == GW_OK)
        return true;
    printf("  %s\n", err.text);
    return false;
}

/* One connection: the bytes, then whatever comes until the end. */
static void say(const char *bytes)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval limit = {TEST_PATIENCE_S, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char in[4096];

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    CHECK(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 && up_send(fd, bytes));
    while (test_recv(fd, in, sizeof(in)) > 0)
        continue;
    (void)close(fd);
}

static void post(const char *path, const char *fields, const char *body)
{
    char text[2048];

    (void)snprintf(text, sizeof(text),
                   "POST %s HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: "
                   "application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                   path, fields, strlen(body), body);
    say(text);
}

#define CHAT(model, content)                                                                       \
    "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"" content "\"}]}"

/* Returns how many requests were made. */
static unsigned write_everywhere(void)
{
    static const char *const modes[] = {"up-plain",  "up-cut",     "up-garbage",
                                        "up-silent", "up-chunked", "up-cutchunk"};
    unsigned n = 0;
    char body[256];

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++, n++) {
        (void)snprintf(body, sizeof(body), CHAT("%s", "the text " MARK), modes[i]);
        post("/v1/chat/completions", "", body);
    }
    post("/v1/chat/completions?key=" MARK "&x=" MARK, "", CHAT("up-plain", "hello"));
    post("/v1/chat/completions", "Authorization: Bearer " MARK "\r\nx-api-key: " MARK "\r\n",
         CHAT("up-plain", "hello"));
    post("/v1/chat/completions",
         "User-Agent: " MARK "\r\nCookie: a=" MARK "\r\nX-" MARK ": 1\r\nOrigin: http://" MARK
         "\r\n",
         CHAT("up-plain", "hello"));
    post("/v1/chat/completions", "", CHAT(MARK, "hello"));
    post("/v1/chat/completions", "", CHAT("up-" MARK, "hello"));
    post("/v1/chat/completions", "", "{\"" MARK "\": [" MARK);
    post("/v1/chat/completions", "Content-Encoding: " MARK "\r\n", CHAT("up-plain", "hello"));
    post("/v1/" MARK, "", "{}");
    post("/v1beta/models/" MARK ":generateContent", "", "{}");
    post("/v1/chat/completions", "Expect: " MARK "\r\n", CHAT("up-plain", "hello"));
    say(MARK " /v1/models HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n");
    say("GET /v1/models HTTP/1.1\r\nHost: " MARK "\r\nConnection: close\r\n\r\n");
    say("GET /v1/models HTTP/1.1\r\n" MARK " no colon\r\n\r\n");
    say("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" MARK
        "\r\n");
    return n + 14;
}

static void test_log(unsigned n_requests)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_json *json = gw_json_new();
    FILE *f = fopen(log_path, "re");
    char line[4096];
    unsigned n_lines = 0, n_access = 0, n_leaks = 0, n_bad = 0;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        struct gw_json_node *root;
        struct gw_err err;

        gw_arena_reset(arena);
        n_lines++;
        if (gw_json_tree(json, arena, gw_span_str(line), NULL, &root, &err) != GW_OK) {
            n_bad++;
            printf("  %s", line);
        } else if (gw_json_text_is(gw_json_get(root, "event"), "request")) {
            n_access++;
            CHECK(gw_json_get(root, "status") != NULL && gw_json_get(root, "ms") != NULL);
        }
        if (strstr(line, MARK) != NULL) {
            n_leaks++;
            printf("  %s", line);
        }
    }
    if (f != NULL)
        (void)fclose(f);
    printf("  %u requests, %u access lines, %u lines\n", n_requests, n_access, n_lines);
    CHECK(n_lines >= n_requests);
    CHECK(n_access == n_requests);
    CHECK(n_leaks == 0);
    CHECK(n_bad == 0);
    gw_json_free(json);
    gw_arena_free(arena);
}

int main(void)
{
    pthread_t up;
    unsigned n;
    int fd;

    (void)signal(SIGPIPE, SIG_IGN);
    up_fd = listen_any(&up_port);
    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK(pthread_create(&up, NULL, up_run, NULL) == 0))
        return test_done();
    (void)snprintf(log_path, sizeof(log_path), "%s/log", dir);
    fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!CHECK(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0) || !CHECK(start()))
        return test_done();
    n = write_everywhere();
    server_stop(server, 1);
    TEST_UNTIL(server_stopped(server));
    server_stop(server, 2);
    server_close(server);
    test_log(n);
    atomic_store(&up_stop, true);
    (void)shutdown(up_fd, SHUT_RDWR);
    (void)pthread_join(up, NULL);
    (void)close(up_fd);
    (void)close(fd);
    CHECK(test_remove_tree(dir));
    return test_done();
}
