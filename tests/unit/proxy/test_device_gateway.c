/* Tests of a whole gateway whose model is on an emulated GPU (tests/simt) that fails while it answers: what the client gets, what the records say, and
 * what those get who come later. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/log.h"
#include "engine/engine.h"
#include "proxy/net/server.h"
#include "tests/files.h"
#include "tests/net.h"
#include "tests/simt/knobs.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

static char dir[] = "/tmp/sluice-device-XXXXXX";
static char spool[64];
static uint16_t port;
static struct server *server;

static void report(void *ctx, bool warning, const char *message)
{
    (void)ctx;
    if (!warning)
        fprintf(stderr, "  %s\n", message);
}

static bool start(const char *models)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    char text[2 * PATH_MAX];

    (void)snprintf(text, sizeof(text),
                   "state_dir: %s\n"
                   "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
                   "workers: 1\n"
                   "auth: { required: false }\n"
                   "targets:\n"
                   "  gpu: { kind: engine, model: %s/tiny-llama3-F16.gguf, device: 'cuda:0',\n"
                   "         max_context: 256, max_seqs: 2, threads: 2 }\n"
                   "routes:\n  - { model: '*', to: gpu }\n"
                   "audit: { durability: process }\n"
                   "log: { level: error }\n",
                   dir, port, models);
    if (proxy_config_parse(gw_span_str(text), "test", 0, &cfg, report, NULL, &err) != GW_OK ||
        server_open(cfg, NULL, false, &server, &err) != GW_OK) {
        fprintf(stderr, "  %s\n", err.text);
        return false;
    }
    return true;
}

/* Everything that the gateway sends for one request, until it closes. Returns the status. */
static char got[65536];

static int ask(bool stream, unsigned max_tokens)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval limit = {TEST_PATIENCE_S, 0};
    char body[256], head[512];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n_got = 0;
    ssize_t n;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    CHECK(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0);
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"tiny\",\"max_tokens\":%u,\"temperature\":0,\"stream\":%s,"
                   "\"messages\":[{\"role\":\"user\",\"content\":\"Tell me a story.\"}]}",
                   max_tokens, stream ? "true" : "false");
    (void)snprintf(head, sizeof(head),
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    CHECK(send(fd, head, strlen(head), MSG_NOSIGNAL) == (ssize_t)strlen(head));
    while (n_got < sizeof(got) - 1 && (n = test_recv(fd, got + n_got, sizeof(got) - 1 - n_got)) > 0)
        n_got += (size_t)n;
    got[n_got] = '\0';
    (void)close(fd);
    return n_got > 12 ? (int)strtol(got + 9, NULL, 10) : 0;
}

/* How many records of the live spool have all of the words. */
static unsigned records(const char *const *words)
{
    const struct audit_tail t = {.spool_dir = spool, .json = true};
    struct gw_err err;
    char *text = NULL, *save = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    unsigned n = 0;

    (void)audit_tail(&t, f, &err);
    (void)fclose(f);
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        unsigned missing = 0;

        for (size_t i = 0; words[i] != NULL; i++)
            missing += strstr(line, words[i]) == NULL;
        n += missing == 0;
    }
    free(text);
    return n;
}

static bool records_become(unsigned n, const char *status, const char *code)
{
    const char *const words[] = {"\"end\":\"upstream_error\"", status, code, NULL};

    TEST_UNTIL(records(words) == n);
    if (records(words) == n)
        return true;
    fprintf(stderr, "  %u records with %s and %s, not %u\n", records(words), status, code, n);
    return false;
}

/* A full GPU: whatever a step needs was taken at the start. */
static void test_full(void)
{
    CHECK(ask(false, 8) == 200);
    simt_set_memory(simt_memory_used());
    CHECK(ask(false, 8) == 200);
    CHECK(ask(true, 8) == 200 && strstr(got, "[DONE]") != NULL);
    simt_set_memory((size_t)1 << 32);
}

/* Before a byte of the answer: a status. */
static void test_lost(void)
{
    simt_fail_after(5);
    CHECK(ask(false, 8) == 502);
    CHECK(strstr(got, "\"upstream_error\"") != NULL);
    CHECK(strstr(got, "The local model failed: the GPU failed: ") != NULL);
    CHECK(records_become(1, "\"status_code\":\"502\"", "\"status_detail\":\"upstream_error\""));
    simt_fail_after(0);
    /* It stays failed (what is behind the failure is not known), and says what to do. */
    CHECK(ask(false, 8) == 503);
    CHECK(strstr(got, "\"no_target_available\"") != NULL && strstr(got, "Retry-After: ") != NULL);
    CHECK(strstr(got, "the GPU failed: ") != NULL && strstr(got, "restart") != NULL);
    CHECK(ask(true, 8) == 503);
    CHECK(
        records_become(2, "\"status_code\":\"503\"", "\"status_detail\":\"no_target_available\""));
}

/* In the middle of a stream: an error in it, and no proper end. */
static void test_lost_in_stream(void)
{
    const unsigned long before = simt_launched();
    unsigned long answer;

    CHECK(ask(true, 12) == 200);
    answer = simt_launched() - before;
    simt_fail_after(answer / 2);
    CHECK(ask(true, 12) == 200);
    CHECK(strstr(got, "the GPU failed: ") != NULL && strstr(got, "[DONE]") == NULL);
    CHECK(records_become(1, "\"status_code\":\"200\"", "\"status_detail\":\"the GPU failed: "));
    simt_fail_after(0);
}

static void stop(void)
{
    server_stop(server, 2);
    server_close(server);
    CHECK(simt_memory_used() == 0);
}

int main(void)
{
    char why[256] = "";
    const char *models = rig_models(why);

    (void)signal(SIGPIPE, SIG_IGN);
    gw_log_set_level(GW_LOG_ERROR);
    if (models == NULL) {
        test_skip(why);
        return test_done();
    }
    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK((port = test_port()) != 0) || !CHECK(start(models)))
        return test_done();
    (void)snprintf(spool, sizeof(spool), "%s/spool", dir);
    test_full();
    test_lost();
    stop();
    if (CHECK(start(models))) { /* the next start computes again */
        test_lost_in_stream();
        stop();
    }
    CHECK(test_remove_tree(dir));
    return test_done();
}
