/* Tests of /metrics: what a gateway that has answered says is read by strict parsers of both text formats.
 * Rules: Prometheus' exposition formats, and OpenMetrics 1.0. */
#include <sys/stat.h>

#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/energy.h"
#include "base/log.h"
#include "proxy/admin/metrics_text.h"
#include "proxy/net/metrics.h"
#include "proxy/net/server.h"
#include "proxy/net/worker.h"
#include "tests/files.h"
#include "tests/net.h"
#include "tests/test.h"
#include "tests/unit/proxy/gateway_up.h"

enum { MAX_FAMILIES = 400, MAX_LINE = 1024 };

static char dir[] = "/tmp/sluice-metrics-XXXXXX";
static uint16_t port;
static struct server *server;

/* ---- a strict parser ---------------------------------------------------------------------- */

struct parse {
    bool open; /* OpenMetrics */
    char families[MAX_FAMILIES][80], type[16], samples[4096][200];
    unsigned n_families, n_samples;
    /* the histogram series that is being read */
    char series[300];
    double last_le, last_count;
    bool inf;
    unsigned n_faults;
};

static struct parse parse;

static void fault(const char *line, const char *what)
{
    if (parse.n_faults++ < 10)
        (void)fprintf(stderr, "  %s: %s\n", what, line);
}

static bool is_name(const char *s, size_t n, bool label)
{
    for (size_t i = 0; i < n; i++)
        if (!(isalpha((unsigned char)s[i]) || s[i] == '_' || (s[i] == ':' && !label) ||
              (i != 0 && isdigit((unsigned char)s[i]))))
            return false;
    return n != 0;
}

static const char *family(void)
{
    return parse.n_families == 0 ? "" : parse.families[parse.n_families - 1];
}

/* # HELP name text, then # TYPE name type, then samples: in this order, each family once. */
static void comment(const char *line)
{
    char name[80], word[8], rest[MAX_LINE];

    if (sscanf(line, "# %7s %79s %1023[^\n]", word, name, rest) != 3 ||
        !is_name(name, strlen(name), false)) {
        fault(line, "malformed comment");
        return;
    }
    if (strcmp(word, "HELP") == 0) {
        for (unsigned i = 0; i < parse.n_families; i++)
            if (strcmp(parse.families[i], name) == 0)
                fault(line, "family twice");
        (void)snprintf(parse.families[parse.n_families++], 80, "%s", name);
        parse.type[0] = '\0';
        return;
    }
    if (strcmp(word, "TYPE") != 0 || strcmp(name, family()) != 0 || parse.type[0] != '\0')
        fault(line, "not the TYPE of the family");
    if (strcmp(rest, "counter") != 0 && strcmp(rest, "gauge") != 0 &&
        strcmp(rest, "histogram") != 0)
        fault(line, "unknown type");
    if (strcmp(rest, "counter") == 0 &&
        (strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0) == parse.open)
        fault(line, "name of a counter's family");
    (void)snprintf(parse.type, sizeof(parse.type), "%.15s", rest);
}

/* Labels {a="b",...}: checked, le taken out. Returns what follows, NULL when malformed. */
static const char *labels(const char *p, char *others, double *le)
{
    size_t n = 0;

    *le = -1;
    others[0] = '\0';
    if (*p != '{')
        return p;
    for (p++;;) {
        const char *eq = strchr(p, '='), *end;

        if (eq == NULL || !is_name(p, (size_t)(eq - p), true) || eq[1] != '"')
            return NULL;
        for (end = eq + 2; *end != '"' && *end != '\0'; end++)
            if (*end == '\\' && strchr("\\\"n", *++end) == NULL)
                return NULL;
        if (*end != '"')
            return NULL;
        if (eq - p == 2 && strncmp(p, "le", 2) == 0)
            *le = strncmp(eq + 2, "+Inf", 4) == 0 ? (double)INFINITY : strtod(eq + 2, NULL);
        else
            n += (size_t)snprintf(others + n, 200 - n, "%.*s;", (int)(end - p), p);
        p = end + 1;
        if (*p == '}')
            return p + 1;
        if (*p++ != ',')
            return NULL;
    }
}

static void end_series(void)
{
    if (parse.series[0] != '\0' && !parse.inf)
        fault(parse.series, "histogram without +Inf");
    parse.series[0] = '\0';
}

static void bucket(const char *line, const char *others, double le, double v)
{
    char series[300];

    (void)snprintf(series, sizeof(series), "%.79s %.199s", family(), others);
    if (strcmp(series, parse.series) != 0) {
        end_series();
        (void)snprintf(parse.series, sizeof(parse.series), "%s", series);
        parse.last_le = -1;
        parse.last_count = 0;
        parse.inf = false;
    }
    if (le <= parse.last_le || v < parse.last_count)
        fault(line, "buckets do not ascend");
    parse.last_le = le;
    parse.last_count = v;
    parse.inf = isinf(le);
}

/* The part of a sample's name behind the family's must fit the type. */
static void judge_sample(const char *line, const char *suffix, const char *others, double le,
                         double v)
{
    if (strcmp(parse.type, "histogram") == 0) {
        if (strcmp(suffix, "_bucket") == 0 && le >= 0)
            bucket(line, others, le, v);
        else if (strcmp(suffix, "_count") == 0 && v != parse.last_count)
            fault(line, "count is not the +Inf bucket");
        else if (strcmp(suffix, "_count") != 0 && strcmp(suffix, "_sum") != 0)
            fault(line, "not a sample of a histogram");
        return;
    }
    end_series();
    if (strcmp(parse.type, "counter") == 0 && (strcmp(suffix, "_total") == 0) != parse.open)
        fault(line, "name of a counter's sample");
    else if (strcmp(parse.type, "gauge") == 0 && suffix[0] != '\0')
        fault(line, "name of a gauge's sample");
    if (strcmp(parse.type, "counter") == 0 && v < 0)
        fault(line, "a counter below 0");
}

static void sample(const char *line)
{
    size_t n = strcspn(line, "{ ");
    char name[80], others[200], *end;
    const char *p;
    double le, v;

    (void)snprintf(name, sizeof(name), "%.*s", (int)n, line);
    p = labels(line + n, others, &le);
    if (p == NULL || *p != ' ' || !is_name(name, n, false)) {
        fault(line, "malformed sample");
        return;
    }
    v = strtod(p + 1, &end);
    if (end == p + 1 || *end != '\0' || isnan(v))
        fault(line, "not a number");
    if (strncmp(name, family(), strlen(family())) != 0 || parse.type[0] == '\0') {
        fault(line, "not of the family above");
        return;
    }
    for (unsigned i = 0; i < parse.n_samples; i++)
        if (strncmp(parse.samples[i], line, (size_t)(p - line) + 1) == 0)
            fault(line, "sample twice");
    (void)snprintf(parse.samples[parse.n_samples++], 200, "%.199s", line);
    judge_sample(line, name + strlen(family()), others, le, v);
}

/* Returns how many faults there are. */
static unsigned read_all(struct gw_span text, bool open)
{
    bool ended = false;

    memset(&parse, 0, sizeof(parse));
    parse.open = open;
    if (text.len == 0 || text.ptr[text.len - 1] != '\n')
        fault("", "no line feed at the end");
    while (text.len != 0) {
        const char *nl = memchr(text.ptr, '\n', text.len);
        size_t n = nl == NULL ? text.len : (size_t)(nl - text.ptr);
        char line[MAX_LINE];

        (void)snprintf(line, sizeof(line), "%.*s", (int)n, text.ptr);
        if (ended)
            fault(line, "behind the end");
        if (strcmp(line, "# EOF") == 0)
            ended = true;
        else if (line[0] == '#')
            comment(line);
        else
            sample(line);
        text = gw_span_from(text, n + (nl != NULL));
    }
    end_series();
    if (ended != open)
        fault("", "# EOF");
    return parse.n_faults;
}

static bool says(const char *sample_start)
{
    for (unsigned i = 0; i < parse.n_samples; i++)
        if (strncmp(parse.samples[i], sample_start, strlen(sample_start)) == 0)
            return true;
    (void)fprintf(stderr, "  missing: %s\n", sample_start);
    return false;
}

/* ---- the gateway ------------------------------------------------------------------------ */

static bool start(void)
{
    char text[1024];
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    port = test_port();
    (void)snprintf(text, sizeof(text),
                   "state_dir: %s\n"
                   "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
                   "workers: 2\n"
                   "auth: { required: false }\n"
                   "targets:\n"
                   "  up: { kind: openai, base_url: http://127.0.0.1:%u/v1, zone: private }\n"
                   "routes:\n  - { model: '*', to: up }\n"
                   "audit: { durability: process }\n"
                   "log: { level: error }\n",
                   dir, port, up_port);
    if (proxy_config_parse(gw_span_str(text), "test", 0, &cfg, NULL, NULL, &err) == GW_OK &&
        server_open(cfg, NULL, false, &server, &err) == GW_OK)
        return true;
    (void)fprintf(stderr, "  %s\n", err.text);
    return false;
}

static void ask(const char *model)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval limit = {TEST_PATIENCE_S, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char body[128], text[512];

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}",
                   model);
    (void)snprintf(text, sizeof(text),
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    CHECK(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 && up_send(fd, text));
    while (test_recv(fd, text, sizeof(text)) > 0)
        continue;
    (void)close(fd);
}

static bool is_counted(void)
{
    struct gw_buf text = {0};
    bool is;

    metrics_text(server, &text);
    gw_buf_addc(&text, '\0');
    is = gw_buf_ok(&text) && strstr(text.ptr, "\nsluice_request_seconds_count 21\n") != NULL;
    gw_buf_fini(&text);
    return is;
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "w");
    if (CHECK(f != NULL)) {
        (void)fputs(text, f);
        (void)fclose(f);
    }
}

/* A machine whose processor says what it takes. */
static void add_energy(void)
{
    char root[128], zone[160];

    (void)snprintf(root, sizeof(root), "%s/powercap", dir);
    (void)snprintf(zone, sizeof(zone), "%s/intel-rapl:0", root);
    CHECK(mkdir(root, 0700) == 0 && mkdir(zone, 0700) == 0);
    write_file(zone, "name", "package-0\n");
    write_file(zone, "max_energy_range_uj", "262143328850\n");
    write_file(zone, "energy_uj", "1000000\n");
    gw_energy_close(server->energy);
    server->energy = gw_energy_open(root);
    write_file(zone, "energy_uj", "3500000\n");
}

static void test_text(void)
{
    struct gw_buf text = {0}, open = {0};

    add_energy();
    metrics_text(server, &text);
    CHECK(gw_buf_ok(&text));
    CHECK(read_all(gw_buf_span(&text), false) == 0);
    CHECK(says("sluice_requests_total{status=\"2xx\"} 20"));
    CHECK(says("sluice_requests_total{status=\"5xx\"} 1"));
    CHECK(says("sluice_request_seconds_count 21"));
    CHECK(says("sluice_stage_seconds_count{stage=\"scan\"} 21"));
    CHECK(says("sluice_stage_seconds_count{stage=\"audit\"} 21"));
    CHECK(says("sluice_stage_seconds_bucket{stage=\"connect\",le=\"1e-05\"}"));
    CHECK(says("sluice_target_seconds_count{target=\"up\"} 20"));
    CHECK(says("sluice_target_first_byte_seconds_bucket{target=\"up\",le=\"+Inf\"} 20"));
    CHECK(says("sluice_config_reloads_total{result=\"refused\"} 0"));
    CHECK(says("sluice_cpu_joules_total{zone=\"package-0\"} 2.500000"));
    metrics_openmetrics(gw_buf_span(&text), &open);
    CHECK(read_all(gw_buf_span(&open), true) == 0);
    CHECK(says("sluice_requests_total{status=\"2xx\"} 20"));
    gw_buf_fini(&text);
    gw_buf_fini(&open);
}

/* The parser finds what it is there to find. */
static void test_the_parser(void)
{
    CHECK(read_all(GW_SPAN("# HELP a x\n# TYPE a gauge\na 1\na 2\n"), false) == 1);
    CHECK(read_all(GW_SPAN("# HELP a x\n# TYPE a gauge\nb 1\n"), false) == 1);
    CHECK(read_all(GW_SPAN("# HELP a x\n# TYPE a counter\na 1\n"), false) != 0);
    CHECK(read_all(GW_SPAN("# HELP a x\n# TYPE a gauge\na{b=c} 1\n"), false) == 1);
    CHECK(read_all(GW_SPAN("# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\n"
                           "a_count 1\n"),
                   false) == 1);
    CHECK(read_all(GW_SPAN("# HELP a x\n# TYPE a gauge\na 1\n"), true) == 1);
}

static void test_names(void)
{
    struct metrics_names *n = metrics_names_new();
    char name[32];

    for (unsigned i = 0; i < METRICS_TARGETS + 10; i++) {
        (void)snprintf(name, sizeof(name), "target-%u", i);
        CHECK(metrics_name(n, name) == (i < METRICS_TARGETS ? i : METRICS_TARGETS));
    }
    CHECK(metrics_name(n, "target-5") == 5);
    CHECK(strcmp(metrics_name_at(n, 5), "target-5") == 0);
    CHECK(strcmp(metrics_name_at(n, METRICS_TARGETS), "other") == 0);
    metrics_names_free(n);
}

int main(void)
{
    pthread_t up;
    (void)signal(SIGPIPE, SIG_IGN);
    gw_log_set_level(GW_LOG_ERROR);
    test_the_parser();
    test_names();
    up_fd = listen_any(&up_port);
    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK(pthread_create(&up, NULL, up_run, NULL) == 0) ||
        !CHECK(start()))
        return test_done();
    for (int i = 0; i < 20; i++)
        ask("up-plain");
    ask("up-silent");
    TEST_UNTIL(is_counted()); /* the last request's end is, behind its answer */
    test_text();
    server_stop(server, 2);
    server_close(server);
    atomic_store(&up_stop, true);
    (void)shutdown(up_fd, SHUT_RDWR);
    (void)pthread_join(up, NULL);
    (void)close(up_fd);
    CHECK(test_remove_tree(dir));
    return test_done();
}
