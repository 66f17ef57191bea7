/* Tests of what goes to receivers and what comes back: syslog messages, bodies for Splunk and Elastic, their answers, a connection
 * that is parted in order, or not. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/sink/answers.h"
#include "proxy/sink/oneway.h"
#include "proxy/sink/syslog.h"
#include "proxy/sink/web.h"
#include "tests/test.h"

static struct sink_record record_of(const char *json)
{
    return (struct sink_record){.json = gw_span_str(json),
                                .uid = "01JABCDEFGHJKMNPQRSTVWXYZ0",
                                .code = "ai.request.decided",
                                .severity = 4,
                                .time_ms = 1795239660123};
}

/* ---- syslog -------------------------------------------------------------------------------------- */

/* Reads octet counting as RFC 6587 3.4.1 has it; the message must fill the rest. */
static struct gw_span unframe(struct gw_span text)
{
    size_t n = 0, at = 0;

    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
        n = n * 10 + (size_t)(text.ptr[at++] - '0');
    CHECK(at > 0 && text.ptr[0] != '0' && text.ptr[at] == ' ' && text.len == at + 1 + n);
    return gw_span_from(text, at + 1);
}

static void check_message(const struct syslog_head *h, const struct sink_record *r,
                          const char *want)
{
    struct gw_buf b = {0};
    struct gw_span got;

    syslog_write(h, r, &b);
    got = unframe(gw_buf_span(&b));
    if (!CHECK(gw_span_is(got, want)))
        fprintf(stderr, "%.*s\n%s\n", (int)got.len, got.ptr, want);
    gw_buf_fini(&b);
}

static void test_syslog(void)
{
    struct syslog_head h = {13, "gw-1", 4711, 65536};
    struct sink_record r = record_of("{\"a\":\"\xC3\xA9\"}");

    check_message(&h, &r,
                  "<107>1 2026-11-21T05:41:00.123Z gw-1 sluice 4711 ai.request.decided "
                  "[sluice@32473 uid=\"01JABCDEFGHJKMNPQRSTVWXYZ0\"] {\"a\":\"\xC3\xA9\"}");
    /* What cannot stand in a field. */
    h.host = "gw 1\xC3\xA9\n";
    h.facility = 16;
    r.severity = 99;
    r.code[0] = '\0';
    (void)snprintf(r.uid, sizeof(r.uid), "a\"b\\c]d");
    check_message(&h, &r,
                  "<134>1 2026-11-21T05:41:00.123Z gw_1___ sluice 4711 - "
                  "[sluice@32473 uid=\"a\\\"b\\\\c\\]d\"] {\"a\":\"\xC3\xA9\"}");
    h.host = "";
    r = record_of("{}");
    r.severity = 1;
    check_message(&h, &r,
                  "<134>1 2026-11-21T05:41:00.123Z - sluice 4711 ai.request.decided "
                  "[sluice@32473 uid=\"01JABCDEFGHJKMNPQRSTVWXYZ0\"] {}");
}

/* Never longer than it may be, never in the middle of a character, and it says so. */
static void test_syslog_cut(void)
{
    struct syslog_head h = {13, "gw-1", 4711, 0};
    char json[600];
    struct sink_record r;

    for (size_t i = 0; i + 4 < sizeof(json); i += 4)
        memcpy(json + i, "\xF0\x9F\x98\x80", 5);
    r = record_of(json);
    for (h.max_message = 200; h.max_message < 900; h.max_message++) {
        struct gw_buf b = {0};
        struct gw_span got;
        const char *body;

        syslog_write(&h, &r, &b);
        got = unframe(gw_buf_span(&b));
        CHECK(got.len <= h.max_message);
        body = memmem(got.ptr, got.len, "] ", 2);
        CHECK(body != NULL);
        if (body != NULL) {
            size_t n = got.len - (size_t)(body + 2 - got.ptr);
            bool cut = memmem(got.ptr, got.len, "\" cut=\"true\" bytes=\"596\"]", 25) != NULL;

            CHECK(n % 4 == 0 && cut == (n < 596));
        }
        gw_buf_fini(&b);
    }
}

/* ---- bodies -------------------------------------------------------------------------------------- */

static void check_body(const struct web_kind *kind, const char *index, const char *want)
{
    struct sink_record records[2] = {record_of("{\"a\":1}"), record_of("{\"b\":2}")};
    struct sink_call call = {.records = records, .n = 2};
    char host[] = "gw\"1", name[64];
    struct web w = {.kind = kind, .host = host, .index = name};
    struct gw_buf b = {0};

    (void)snprintf(name, sizeof(name), "%s", index);
    records[1].time_ms = 1795239660005;
    kind->write(&w, &call, &b);
    if (!CHECK(gw_buf_ok(&b) && strcmp(b.ptr, want) == 0))
        fprintf(stderr, "%s\n%s\n", b.ptr, want);
    gw_buf_fini(&b);
}

static void test_bodies(void)
{
    check_body(&web_array, "", "[{\"a\":1},{\"b\":2}]");
    check_body(&web_lines, "", "{\"a\":1}\n{\"b\":2}\n");
    check_body(&web_splunk, "",
               "{\"time\":1795239660.123,\"host\":\"gw\\\"1\",\"source\":\"sluice\",\"sourcetype\":"
               "\"ocsf:json\",\"event\":{\"a\":1}}\n"
               "{\"time\":1795239660.005,\"host\":\"gw\\\"1\",\"source\":\"sluice\",\"sourcetype\":"
               "\"ocsf:json\",\"event\":{\"b\":2}}\n");
    check_body(&web_elastic, "audit",
               "{\"create\":{\"_index\":\"audit\",\"_id\":\"01JABCDEFGHJKMNPQRSTVWXYZ0\"}}\n"
               "{\"@timestamp\":\"2026-11-21T05:41:00.123Z\",\"a\":1}\n"
               "{\"create\":{\"_index\":\"audit\",\"_id\":\"01JABCDEFGHJKMNPQRSTVWXYZ0\"}}\n"
               "{\"@timestamp\":\"2026-11-21T05:41:00.005Z\",\"b\":2}\n");
}

/* ---- answers -------------------------------------------------------------------------------------- */

static void test_splunk(struct gw_json *j)
{
    static const char text[] =
        "{\"text\":\"Invalid data format\",\"code\":6,\"invalid-event-number\":3,\"x\":[{}]}";
    struct splunk_answer a = {0};

    CHECK(splunk_read(j, GW_SPAN("{\"text\":\"Success\",\"code\":0,\"ackId\":17}"), &a));
    CHECK(a.has_code && a.code == 0 && a.has_ack && a.ack == 17 && !a.has_bad);
    CHECK(splunk_read(j, GW_SPAN(text), &a) && a.code == 6 && a.has_bad && a.bad == 3);
    for (size_t n = 0; n < sizeof(text) - 1; n++) /* cut at every place */
        CHECK(!splunk_read(j, (struct gw_span){text, n}, &a));
    CHECK(!splunk_read(j, GW_SPAN("<html>log in</html>"), &a));
    CHECK(!splunk_read(j, GW_SPAN("{\"code\":\"0\"}"), &a));
    CHECK(!splunk_read(j, GW_SPAN("{\"code\":-1}"), &a));
    CHECK(!splunk_read(j, GW_SPAN("{\"code\":1e3}"), &a));
    CHECK(!splunk_read(j, GW_SPAN("[{\"code\":0}]"), &a));
    CHECK(splunk_acked(j, GW_SPAN("{\"acks\":{\"16\":false,\"17\":true}}"), 17) == 1);
    CHECK(splunk_acked(j, GW_SPAN("{\"acks\":{\"16\":true,\"17\":false}}"), 17) == 0);
    CHECK(splunk_acked(j, GW_SPAN("{\"acks\":{\"1\":true}}"), 17) == 0);
    CHECK(splunk_acked(j, GW_SPAN("{\"acks\":[17]}"), 17) == -1);
    CHECK(splunk_acked(j, GW_SPAN("{\"acks\":{\"17\":true}"), 17) == -1);
}

static void test_elastic(struct gw_json *j)
{
    static const char text[] =
        "{\"took\":3,\"errors\":true,\"items\":[{\"create\":{\"_id\":\"a\",\"status\":201,\"_"
        "shards\":"
        "{\"total\":2}}},{\"create\":{\"error\":{\"type\":\"es_rejected\",\"reason\":\"no \\\"}]\","
        "\"caused_by\":{\"type\":\"deep\"}},\"status\":429}},{\"index\":{\"status\":400,\"error\":"
        "{\"root_cause\":[{\"type\":\"x\"}],\"type\":\"Bad Type\"}}}]}";
    struct elastic_item items[3] = {{0, ""}};
    struct elastic_answer a = {0};

    CHECK(elastic_read(j, GW_SPAN(text), items, 3, &a));
    CHECK(a.errors && a.n_items == 3);
    CHECK(items[0].status == 201 && items[1].status == 429 && items[2].status == 400);
    CHECK(strcmp(items[1].type, "es_rejected") == 0 && items[0].type[0] == '\0');
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        CHECK(!elastic_read(j, (struct gw_span){text, n}, items, 3, &a));
    /* More items than there is room for are counted, not written. */
    CHECK(elastic_read(j, GW_SPAN(text), items, 1, &a) && a.n_items == 3);
    CHECK(elastic_read(j, GW_SPAN("{\"errors\":false}"), items, 3, &a) && !a.errors &&
          a.n_items == 0);
    CHECK(!elastic_read(j, GW_SPAN("{\"items\":[]}"), items, 3, &a));
    CHECK(!elastic_read(j, GW_SPAN("{\"errors\":false,\"items\":[1]}"), items, 3, &a));
    CHECK(!elastic_read(j, GW_SPAN(""), items, 3, &a));
}

static void test_judge(void)
{
    static const struct {
        unsigned status;
        enum sink_end end;
    } cases[] = {{200, SINK_DONE},    {204, SINK_DONE},    {301, SINK_DENIED}, {400, SINK_REFUSED},
                 {401, SINK_DENIED},  {403, SINK_DENIED},  {404, SINK_DENIED}, {408, SINK_BUSY},
                 {413, SINK_REFUSED}, {422, SINK_REFUSED}, {429, SINK_BUSY},   {500, SINK_SERVER},
                 {502, SINK_SERVER},  {503, SINK_BUSY}};
    struct sink_call call;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call = (struct sink_call){.n = 0};
        CHECK(post_judge(cases[i].status, &call) == cases[i].end);
        CHECK((call.why[0] != '\0') == (cases[i].end != SINK_DONE));
    }
}

/* ---- a connection ---------------------------------------------------------------------------------- */

enum manner { READS_ALL, READS_NOTHING, NEVER_CLOSES };

struct peer {
    int listener;
    uint16_t port;
    enum manner manner;
    size_t got;
    _Atomic bool over; /* the sender is done */
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct peer *p = arg;
    int fd = accept(p->listener, NULL, NULL);
    char bytes[1000];
    ssize_t n;

    if (p->manner == READS_ALL)
        while ((n = read(fd, bytes, sizeof(bytes))) > 0)
            p->got += (size_t)n;
    else if (p->manner == NEVER_CLOSES)
        TEST_UNTIL(atomic_load(&p->over));
    else
        (void)usleep(50000); /* bytes have come by now that nobody reads: the end is a reset */
    (void)close(fd);
    return NULL;
}

static void peer_start(struct peer *p, enum manner manner)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);

    *p = (struct peer){.manner = manner};
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(p->listener, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
          listen(p->listener, 4) == 0);
    CHECK(getsockname(p->listener, (struct sockaddr *)&sa, &len) == 0);
    p->port = ntohs(sa.sin_port);
    CHECK(pthread_create(&p->thread, NULL, serve, p) == 0);
}

static bool never(const void *ctx)
{
    (void)ctx;
    return false;
}

static bool always(const void *ctx)
{
    (void)ctx;
    return true;
}

static void check_oneway(enum manner manner, bool impatient, enum sink_end want)
{
    static char bytes[200000];
    struct sink_call call = {.give_up = impatient ? always : never};
    struct oneway_config cfg = {
        .host = "127.0.0.1", .ca = "", .cert = "", .cert_key = "", .timeout_ms = 300};
    struct oneway *w = NULL;
    struct peer p;

    peer_start(&p, manner);
    cfg.port = p.port;
    cfg.timeout_ms = manner == NEVER_CLOSES ? 300 : TEST_PATIENCE_S * 1000;
    CHECK(oneway_new(&cfg, &w, NULL) == GW_OK);
    CHECK(oneway_send(w, (struct gw_span){bytes, sizeof(bytes)}, &call) == want);
    CHECK((call.why[0] == '\0') == (want == SINK_DONE || want == SINK_STOPPED));
    if (want == SINK_STOPPED) /* it may not even have been called: call it */
        (void)oneway_send(w, GW_SPAN("x"), &(struct sink_call){.give_up = never});
    atomic_store(&p.over, true);
    (void)pthread_join(p.thread, NULL);
    CHECK(want != SINK_DONE || p.got == sizeof(bytes));
    (void)close(p.listener);
    oneway_free(w);
}

static void test_oneway(void)
{
    struct oneway_config cfg = {
        .host = "127.0.0.1", .port = 1, .ca = "", .cert = "", .cert_key = "", .timeout_ms = 300};
    struct sink_call call = {.give_up = never};
    struct gw_err err = {0};
    struct oneway *w = NULL;

    check_oneway(READS_ALL, false, SINK_DONE);
    check_oneway(READS_NOTHING, false, SINK_CONNECT);
    check_oneway(NEVER_CLOSES, false, SINK_TIMEOUT);
    check_oneway(NEVER_CLOSES, true, SINK_STOPPED);
    CHECK(oneway_new(&cfg, &w, NULL) == GW_OK);
    CHECK(oneway_send(w, GW_SPAN("x"), &call) == SINK_CONNECT && call.why[0] != '\0');
    oneway_free(w);
    cfg.tls = true;
    cfg.ca = "/nowhere/ca.pem";
    CHECK(oneway_new(&cfg, &w, &err) == GW_EIO && strstr(err.text, "/nowhere/ca.pem") != NULL);
}

int main(void)
{
    struct gw_json *j = gw_json_new();

    test_syslog();
    test_syslog_cut();
    test_bodies();
    test_splunk(j);
    test_elastic(j);
    test_judge();
    test_oneway();
    gw_json_free(j);
    return test_done();
}
