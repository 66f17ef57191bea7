/* Tests of reloading: a gateway in this process under load while its configuration alternates between two that differ in
 * target, address, policy and alias. Every answer must be all of one of them, and every record too. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/log.h"
#include "dlp/dlp.h"
#include "proxy/config/config.h"
#include "proxy/net/server.h"
#include "tests/files.h"
#include "tests/net.h"
#include "tests/test.h"

enum { CLIENTS = 4, STREAMS = 2, STREAM_EVENTS = 60, STREAM_GAP_US = 5000 };
enum { RELOADS = TEST_DRAWS(100) };

static char dir[] = "/tmp/sluice-reload-XXXXXX";
static char config_path[64], spool[64];
static uint16_t port, up_ports[2];
static int up_fds[2];
static struct server *server;
static atomic_bool clients_stop;
static atomic_uint n_answers, n_streams, n_wrong, n_failed, n_seen[2];

/* ---- two upstreams: each says which one it is ----------------------------------------------- */

static bool send_all(int fd, const char *text)
{
    size_t n = strlen(text);

    return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool up_stream(int fd, unsigned which)
{
    char event[128], chunk[200];

    if (!send_all(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n"))
        return false;
    for (int i = 0; i < STREAM_EVENTS; i++) {
        (void)snprintf(event, sizeof(event),
                       "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"up%u \"}}]}\n\n",
                       which);
        (void)snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(event), event);
        if (!send_all(fd, chunk))
            return false;
        (void)usleep(STREAM_GAP_US);
    }
    return send_all(fd, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

static bool up_answer(int fd, unsigned which, const char *request)
{
    char body[64], text[256];

    if (strstr(request, "\"stream\"") != NULL)
        return up_stream(fd, which);
    (void)snprintf(body, sizeof(body), "{\"from\":\"up%u\"}", which);
    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                   "%zu\r\n\r\n%s",
                   strlen(body), body);
    return send_all(fd, text);
}

static void *up_conn(void *arg)
{
    int fd = (int)((intptr_t)arg >> 1);
    unsigned which = (unsigned)((intptr_t)arg & 1);
    char in[8192];
    size_t n = 0;

    for (;;) {
        ssize_t got = recv(fd, in + n, sizeof(in) - 1 - n, 0);
        char *end, *cl;

        if (got <= 0)
            break;
        n += (size_t)got;
        in[n] = '\0';
        end = strstr(in, "\r\n\r\n");
        cl = strstr(in, "Content-Length: ");
        if (end == NULL || cl == NULL || n < (size_t)(end - in) + 4 + strtoul(cl + 16, NULL, 10))
            continue;
        if (!up_answer(fd, which, in))
            break;
        n = 0;
    }
    (void)close(fd);
    return NULL;
}

static void *up_run(void *arg)
{
    unsigned which = (unsigned)(intptr_t)arg;

    for (;;) {
        int fd = accept(up_fds[which], NULL, NULL);
        pthread_t t;

        if (fd < 0)
            return NULL;
        if (pthread_create(&t, NULL, up_conn, (void *)((intptr_t)fd << 1 | which)) == 0)
            (void)pthread_detach(t);
        else
            (void)close(fd);
    }
}

static int listen_any(uint16_t *out)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)bind(fd, (struct sockaddr *)&sa, sizeof(sa));
    (void)listen(fd, 64);
    (void)getsockname(fd, (struct sockaddr *)&sa, &len);
    *out = ntohs(sa.sin_port);
    return fd;
}

/* ---- the two configurations ------------------------------------------------------------------- */

static void write_config(const char *text)
{
    char tmp[80];
    FILE *f;

    (void)snprintf(tmp, sizeof(tmp), "%s.new", config_path);
    f = fopen(tmp, "we");
    if (!CHECK(f != NULL))
        return;
    (void)fputs(text, f);
    (void)fclose(f);
    CHECK(rename(tmp, config_path) == 0);
}

/* extra: more YAML. The target that is used has another index in each. */
static void make_config(unsigned which, const char *extra, char *out, size_t size)
{
    const char *spare = "  spare: { kind: openai, base_url: http://127.0.0.1:9/v1, zone: private, "
                        "models: [none] }\n";

    (void)snprintf(out, size,
                   "state_dir: %s\n"
                   "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
                   "workers: 2\n"
                   "auth: { required: false }\n"
                   "targets:\n%s"
                   "  %s: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private }\n"
                   "routes:\n  - { model: '*', to: %s }\n"
                   "aliases: { asked: %s }\n"
                   "policy:\n  - { name: %s, when: { class: secret }, then: %s }\n"
                   "audit: { durability: process }\n"
                   "log: { level: error, access: false }\n%s",
                   dir, port, which == 0 ? "" : spare, which == 0 ? "alpha" : "beta",
                   up_ports[which], which == 0 ? "alpha" : "beta", which == 0 ? "ma" : "mb",
                   which == 0 ? "line-a" : "line-b", which == 0 ? "redact" : "mask", extra);
}

static void use_config(unsigned which, const char *extra)
{
    char text[2048];

    make_config(which, extra, text, sizeof(text));
    write_config(text);
}

static bool start(void)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    port = test_port();
    (void)snprintf(spool, sizeof(spool), "%s/spool", dir);
    (void)snprintf(config_path, sizeof(config_path), "%s/sluice.yaml", dir);
    use_config(0, "");
    if (proxy_config_load(config_path, 0, &cfg, NULL, NULL, &err) == GW_OK &&
        server_open(cfg, config_path, false, &server, &err) == GW_OK)
        return true;
    (void)fprintf(stderr, "  %s\n", err.text);
    return false;
}

/* Reloads and waits; the caller frees the problems. */
static struct server_reload_result reload(void)
{
    struct server_reload_result r = {0};
    uint64_t ticket = server_reload(server, "test");

    for (int i = 0; i < 60000 && !server_reload_result(server, ticket, &r); i++)
        (void)usleep(1000);
    return r;
}

static bool reload_ok(void)
{
    struct server_reload_result r = reload();
    bool ok = r.ok;

    if (!ok)
        (void)fprintf(stderr, "  %.*s\n", (int)r.problems.len, r.problems.ptr);
    gw_buf_fini(&r.problems);
    return ok;
}

/* ---- clients ------------------------------------------------------------------------------------ */

static int dial(void)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval limit = {TEST_PATIENCE_S, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static bool ask(int fd, bool stream)
{
    char body[300], text[600];

    /* An AWS key, in two pieces so that nothing takes this file for a leak. */
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"asked\",%s\"messages\":[{\"role\":\"user\",\"content\":"
                   "\"key=AKIA%s\"}]}",
                   stream ? "\"stream\":true," : "", "IOSFODNN7EXAMQQE");
    (void)snprintf(text, sizeof(text),
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Type: "
                   "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    return send_all(fd, text);
}

/* Reads one answer to its end. */
static bool take(int fd, char *out, size_t size)
{
    size_t n = 0;

    for (;;) {
        ssize_t got = test_recv(fd, out + n, size - 1 - n);
        char *head, *cl;

        if (got <= 0)
            return false;
        n += (size_t)got;
        out[n] = '\0';
        head = strstr(out, "\r\n\r\n");
        if (head == NULL)
            continue;
        cl = strstr(out, "Content-Length: ");
        if (cl != NULL && cl < head ? n >= (size_t)(head - out) + 4 + strtoul(cl + 16, NULL, 10)
                                    : strstr(head, "\r\n0\r\n\r\n") != NULL)
            return true;
    }
}

static bool has(const char *text, const char *what)
{
    return strstr(text, what) != NULL;
}

/* All of one configuration and nothing of the other? */
static void judge(const char *text)
{
    bool a = has(text, "x-sluice-route: alpha\r\n") && has(text, "x-sluice-action: redact\r\n") &&
             has(text, "up0") && !has(text, "up1");
    bool b = has(text, "x-sluice-route: beta\r\n") && has(text, "x-sluice-action: mask\r\n") &&
             has(text, "up1") && !has(text, "up0");

    if (!has(text, "HTTP/1.1 200") || a == b) {
        if (atomic_fetch_add(&n_wrong, 1) == 0)
            (void)fprintf(stderr, "  %.600s\n", text);
        return;
    }
    (void)atomic_fetch_add(&n_seen[b], 1);
}

static void *client(void *arg)
{
    bool stream = arg != NULL;
    char *text = malloc(65536);
    int fd = dial();

    while (!atomic_load(&clients_stop)) {
        if (!ask(fd, stream) || !take(fd, text, 65536)) {
            (void)atomic_fetch_add(&n_failed, 1);
            (void)close(fd);
            fd = dial();
            continue;
        }
        judge(text);
        if (stream && !has(text, "data: [DONE]"))
            (void)atomic_fetch_add(&n_failed, 1);
        (void)atomic_fetch_add(stream ? &n_streams : &n_answers, 1);
    }
    (void)close(fd);
    free(text);
    return NULL;
}

/* ---- figures -------------------------------------------------------------------------------- */

static unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        (void)closedir(d);
    return n;
}

static long rss_kb(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size = 0, resident = 0;

    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &size, &resident) != 2)
            resident = 0;
        (void)fclose(f);
    }
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* The spool's records, as text; the caller frees. */
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

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_under_load(void)
{
    pthread_t threads[CLIENTS + STREAMS];
    unsigned n_ok = 0, fds = 0;
    long before = 0;

    for (int i = 0; i < CLIENTS + STREAMS; i++)
        CHECK(pthread_create(&threads[i], NULL, client, i < CLIENTS ? NULL : &server) == 0);
    for (unsigned i = 1; i <= RELOADS; i++) {
        use_config(i & 1, "");
        n_ok += reload_ok();
        if (i == RELOADS / 4) {
            before = rss_kb();
            fds = count_fds();
        }
        (void)usleep(5000);
    }
    TEST_UNTIL(atomic_load(&n_answers) > RELOADS && atomic_load(&n_streams) >= STREAMS);
    atomic_store(&clients_stop, true);
    for (int i = 0; i < CLIENTS + STREAMS; i++)
        (void)pthread_join(threads[i], NULL);
    CHECK(n_ok == RELOADS);
    CHECK(atomic_load(&n_failed) == 0);
    CHECK(atomic_load(&n_wrong) == 0);
    CHECK(atomic_load(&n_answers) > RELOADS);
    CHECK(atomic_load(&n_streams) >= STREAMS);
    CHECK(atomic_load(&n_seen[0]) != 0 && atomic_load(&n_seen[1]) != 0);
    (void)fprintf(stderr, "  %u answers, %u streams, RSS %ld -> %ld kB\n", atomic_load(&n_answers),
                  atomic_load(&n_streams), before, rss_kb());
    TEST_UNTIL(count_fds() <= fds); /* closed connections are noticed */
    CHECK(count_fds() <= fds);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(rss_kb() < before + 3072);
#endif
}

/* Each decided record names the digest of the configuration whose target and policy line it has. */
static void test_records(void)
{
    char *text = records();
    char digest[2][128];
    unsigned n[2] = {0, 0}, wrong = 0;
    char *save = NULL;

    for (unsigned i = 0; i < 2; i++) {
        struct proxy_config *cfg = NULL;
        struct gw_err err;

        use_config(i, "");
        CHECK(proxy_config_load(config_path, 0, &cfg, NULL, NULL, &err) == GW_OK);
        (void)snprintf(digest[i], sizeof(digest[i]), "\"config_digest\":\"%s\"",
                       cfg == NULL ? "" : cfg->digest);
        proxy_config_free(cfg);
    }
    CHECK(count(text, "\"event_code\":\"sluice.reloaded\"") == RELOADS);
    CHECK(has(text, "\"old_config_digest\":\""));
    CHECK(has(text, "\"by\":\"test\""));
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        unsigned which = has(line, "\"target\":\"beta\"");

        if (!has(line, "\"ai.request.decided\""))
            continue;
        n[which]++;
        if (!has(line, digest[which]) || !has(line, which ? "\"mb\"" : "\"ma\"") ||
            !has(line, which ? "\"line-b\"" : "\"line-a\"") ||
            !has(line, which ? "\"action\":\"mask\"" : "\"action\":\"redact\""))
            wrong++;
    }
    CHECK(wrong == 0);
    CHECK(n[0] == atomic_load(&n_seen[0]));
    CHECK(n[1] == atomic_load(&n_seen[1]));
    free(text);
}

/* Refused with the place and the reason; the gateway goes on as before. */
static void refused(const char *want, bool read)
{
    struct server_reload_result r = reload();
    char text[4096];
    int fd = dial();

    gw_buf_addc(&r.problems, '\0');
    CHECK(!r.ok);
    CHECK((r.new_config[0] != '\0') == read);
    if (!CHECK(has(r.problems.ptr, want)))
        (void)fprintf(stderr, "  wanted: %s\n  have: %s\n", want, r.problems.ptr);
    gw_buf_fini(&r.problems);
    CHECK(ask(fd, false) && take(fd, text, sizeof(text)) && has(text, "x-sluice-route: alpha"));
    (void)close(fd);
}

static void test_refused(void)
{
    char *text;

    use_config(0, "");
    CHECK(reload_ok());
    use_config(0, "no_such_key: 1\n");
    refused("sluice.yaml:14: no_such_key", false);
    write_config("listen: [\n");
    refused("sluice.yaml:", false);
    use_config(0, "instance: other\n");
    refused("instance cannot change while the gateway runs", true);
    use_config(0, "dlp: { rules: /nowhere/rules.so }\n");
    refused("/nowhere/rules.so", true);
    CHECK(unlink(config_path) == 0);
    refused("sluice.yaml", false);
    text = records();
    CHECK(count(text, "\"event_code\":\"sluice.reload_refused\"") == 5);
    CHECK(has(text, "no_such_key"));
    free(text);
    use_config(0, "");
    CHECK(reload_ok());
}

/* Asked ten times at once: done once or a few times, and the last ticket has its answer. */
static void test_together(void)
{
    struct server_reload_result r = {0};
    uint64_t ticket = 0;

    for (int i = 0; i < 10; i++)
        ticket = server_reload(server, "crowd");
    TEST_UNTIL(server_reload_result(server, ticket, &r));
    CHECK(r.ok);
    CHECK(strcmp(r.who, "crowd") == 0);
    gw_buf_fini(&r.problems);
}

static void write_rule(const char *path, const char *word)
{
    FILE *f = fopen(path, "we");

    if (!CHECK(f != NULL))
        return;
    (void)fprintf(f,
                  "- id: own-rule\n  title: Own\n  class: secret\n  severity: high\n"
                  "  pattern: '%s[0-9]{6}'\n  boundary: word\n  confidence: 90\n"
                  "  match: ['x %s123456 y']\n  no_match: ['nothing']\n",
                  word, word);
    (void)fclose(f);
}

static bool is_found(const char *word)
{
    char body[200], text[4096];
    int fd = dial();

    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"asked\",\"messages\":[{\"role\":\"user\",\"content\":"
                   "\"x %s654321 y\"}]}",
                   word);
    (void)snprintf(text, sizeof(text),
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Type: "
                   "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    CHECK(send_all(fd, text) && take(fd, text, sizeof(text)));
    (void)close(fd);
    return has(text, "x-sluice-findings: 1");
}

/* Rules that changed are in force after a reload: those of sources, and those of an object that was replaced at its path,
 * which the dynamic linker would take for the one it has. */
static void test_rules(bool object)
{
    static const char *const words[] = {"ZEBRA", "GIRAFFE"};
    char yaml[96], so[96], extra[160];
    const char *const paths[] = {yaml};

    (void)snprintf(yaml, sizeof(yaml), "%s/own.yaml", dir);
    (void)snprintf(so, sizeof(so), "%s/own.so", dir);
    (void)snprintf(extra, sizeof(extra), "dlp: { rules: [%s] }\n", object ? so : yaml);
    for (int i = 0; i < 2; i++) {
        const struct dlp_build b = {paths, 1, NULL, so};
        struct gw_err err;

        write_rule(yaml, words[i]);
        if (object && !CHECK(dlp_rules_build(&b, &err) == GW_OK))
            return;
        use_config(0, extra);
        CHECK(reload_ok());
        for (int k = 0; k < 2; k++)
            CHECK(is_found(words[k]) == (i == k));
    }
    (void)snprintf(extra, sizeof(extra), "ls %s/rules-*.so >/dev/null 2>&1", dir);
    CHECK(system(extra) != 0); /* what was loaded from is gone */
    use_config(0, "");
    CHECK(reload_ok());
}

int main(void)
{
    pthread_t ups[2];
    (void)signal(SIGPIPE, SIG_IGN);
    gw_log_set_level(GW_LOG_ERROR);
    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    for (unsigned i = 0; i < 2; i++) {
        up_fds[i] = listen_any(&up_ports[i]);
        CHECK(pthread_create(&ups[i], NULL, up_run, (void *)(intptr_t)i) == 0);
    }
    if (!CHECK(start()))
        return test_done();
    test_under_load();
    test_records();
    test_refused();
    test_together();
    if (system("command -v re2c cc >/dev/null 2>&1") == 0) {
        test_rules(false);
        test_rules(true);
    } else {
        test_skip("re2c or a C compiler is missing");
    }
    server_stop(server, 1);
    TEST_UNTIL(server_stopped(server));
    server_stop(server, 2);
    server_close(server);
    for (unsigned i = 0; i < 2; i++) {
        (void)shutdown(up_fds[i], SHUT_RDWR);
        (void)pthread_join(ups[i], NULL);
        (void)close(up_fds[i]);
    }
    CHECK(test_remove_tree(dir));
    return test_done();
}
