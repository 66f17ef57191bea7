/* Tests of the sender against librdkafka's mock cluster, which runs in this process: faults that a real
 * broker cannot be asked for. The real broker is tests/e2e/kafka. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/clock.h"
#include "tests/unit/audit/util.h"

struct cluster {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *mock;
    const char *brokers;
};

static struct cluster cluster_new(void)
{
    struct cluster c = {NULL, NULL, NULL};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    (void)rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
    c.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    CHECK(c.rk != NULL);
    c.mock = rd_kafka_mock_cluster_new(c.rk, 1);
    c.brokers = rd_kafka_mock_cluster_bootstraps(c.mock);
    CHECK(rd_kafka_mock_topic_create(c.mock, "ai.audit.v1", 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    return c;
}

static void cluster_free(struct cluster *c)
{
    rd_kafka_mock_cluster_destroy(c->mock);
    rd_kafka_destroy(c->rk);
}

/* What a consumer sees: uids in order, keyed by chain. */
struct seen {
    size_t n, unique;
    bool headers_ok, order_ok;
    char last_id[32];
};

static bool header_is(const rd_kafka_message_t *m, const char *name, const char *prefix)
{
    rd_kafka_headers_t *h;
    const void *v;
    size_t n;

    return rd_kafka_message_headers(m, &h) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           rd_kafka_header_get_last(h, name, &v, &n) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           n >= strlen(prefix) && memcmp(v, prefix, strlen(prefix)) == 0;
}

/* Copies what librdkafka, which TSan cannot see into, has handed over. */
__attribute__((no_sanitize("thread"))) static struct gw_span copy_out(const rd_kafka_message_t *m,
                                                                      char *out, size_t cap)
{
    const volatile char *p = m->payload;
    size_t n = m->len < cap ? m->len : cap;

    for (size_t i = 0; i < n; i++)
        out[i] = p[i];
    return (struct gw_span){out, n};
}

static struct seen consume(const struct cluster *c, size_t want)
{
    struct seen seen = {0, 0, true, true, ""};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(1);
    char why[256];
    uint64_t last_seq = 0, until;
    rd_kafka_t *rk;

    (void)rd_kafka_conf_set(conf, "bootstrap.servers", c->brokers, why, sizeof(why));
    (void)rd_kafka_conf_set(conf, "group.id", "test", why, sizeof(why));
    (void)rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    (void)rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_add(parts, "ai.audit.v1", 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(rk, parts);
    until = gw_clock_ns() + 60 * GW_NS_PER_SEC;
    while (gw_clock_ns() < until && seen.unique < want) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);

        if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            static char bytes[64 << 10];
            struct gw_span json = copy_out(m, bytes, sizeof(bytes));
            uint64_t seq = 0;

            seen.n++;
            (void)event_num(json, "sequence", &seq);
            if (seq > last_seq) {
                seen.unique++;
                if (seq != last_seq + 1)
                    seen.order_ok = false;
                last_seq = seq;
            }
            seen.headers_ok =
                seen.headers_ok && header_is(m, "ce_specversion", "1.0") &&
                header_is(m, "ce_source", "/sluice/gw-test") &&
                header_is(m, "content-type", "application/json") &&
                header_is(m, "ce_partitionkey", "gw-test/") &&
                (header_is(m, "ce_type", "ai.request.") || header_is(m, "ce_type", "sluice."));
        }
        if (m != NULL)
            rd_kafka_message_destroy(m);
    }
    rd_kafka_topic_partition_list_destroy(parts);
    (void)rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return seen;
}

/* A full queue means a slow disk: again. res NULL: nobody waits for it. */
static enum gw_status emit(struct audit_chan *ch, const struct audit_event *ev, struct results *res)
{
    enum gw_status st = GW_EAGAIN;

    for (int i = 0; i < 60000 && st == GW_EAGAIN; i++) {
        st = audit_emit(ch, ev, res == NULL ? NULL : on_done, res);
        if (st == GW_EAGAIN)
            (void)usleep(1000);
    }
    return st;
}

static void emit_pairs(struct audit_chan *ch, struct results *res, int from, int n)
{
    for (int i = from; i < from + n; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%d", i);
        ev = decided_of(id);
        CHECK(emit(ch, &ev, res) == GW_OK);
        ev = completed_of(id);
        CHECK(emit(ch, &ev, NULL) == GW_OK);
    }
}

/* Serves until nothing is left to deliver. */
static bool wait_delivered(struct audit *a, int seconds)
{
    struct audit_stats st;

    for (int i = 0; i < seconds * 600; i++) { /* a slow machine has six times as long */
        audit_stats(a, &st);
        if (st.undelivered == 0)
            return true;
        (void)usleep(10000);
    }
    fprintf(stderr, "undelivered=%" PRIu64 " up=%d restarts=%" PRIu64 "\n", st.undelivered,
            st.kafka_up, st.producer_restarts);
    return false;
}

/* One channel, so that the request records form one chain: the lifecycle records have their own. */
static struct audit_config kafka_config(enum audit_durability d, const struct cluster *c)
{
    struct audit_config cfg = config_of(d);

    cfg.n_channels = 1;
    cfg.kafka_brokers = c->brokers;
    cfg.kafka_topic = "ai.audit.v1";
    return cfg;
}

static void test_delivers(void)
{
    struct cluster c = cluster_new();
    struct audit_config cfg = kafka_config(AUDIT_DURABILITY_DISK, &c);
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct audit_stats st;
    struct audit *a = NULL;
    struct seen seen;

    scratch_new();
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    emit_pairs(ch, &res, 0, 500);
    CHECK(wait_for(ch, &res, 500) && wait_delivered(a, 10));
    /* Completed records, for which nobody waits, come to the spool within a second. */
    audit_stats(a, &st);
    for (int i = 0; i < 6000 && st.delivered < 1001; i++) {
        (void)usleep(10000);
        audit_stats(a, &st);
    }
    CHECK(st.kafka_configured && st.kafka_up && st.delivered == 1001 && st.producer_restarts == 0);
    /* The age is worked out a moment after the last report. */
    for (int i = 0; i < 3000 && st.oldest_undelivered_ms != 0; i++) {
        (void)usleep(10000);
        audit_stats(a, &st);
    }
    CHECK(st.oldest_undelivered_ms == 0 && st.dead_letters == 0);
    audit_chan_close(ch);
    audit_close(a, 2000);
    /* The second start sends nothing twice: the cursor was saved. */
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && wait_delivered(a, 10));
    audit_close(a, 2000);
    seen = consume(&c, 1004);
    CHECK(seen.n == 1004 && seen.unique == 1004 && seen.order_ok && seen.headers_ok);
    scratch_end();
    cluster_free(&c);
}

/* librdkafka 2.0.2: a broker bounce at the wrong moment is fatal for an idempotent producer (T1). */
static void test_fatal(void)
{
    struct cluster c = cluster_new();
    struct audit_config cfg = kafka_config(AUDIT_DURABILITY_PROCESS, &c);
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct audit_stats st;
    struct audit *a = NULL;

    scratch_new();
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    emit_pairs(ch, &res, 0, 5);
    CHECK(wait_delivered(a, 10));
    /* Produce: not stored, as far as the client can tell possibly stored, then out of order. */
    rd_kafka_mock_push_request_errors(c.mock, 0, 2, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    emit_pairs(ch, &res, 5, 5);
    CHECK(wait_delivered(a, 20));
    audit_stats(a, &st);
    CHECK(st.undelivered == 0);
    audit_chan_close(ch);
    audit_close(a, 2000);
    scratch_end();
    cluster_free(&c);
}

/* A record that the broker refuses for good does not stop those behind it. */
static void test_poison(void)
{
    struct cluster c = cluster_new();
    struct audit_config cfg = kafka_config(AUDIT_DURABILITY_PROCESS, &c);
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct audit_stats st;
    static const char *const linger[] = {"linger.ms=200", NULL}; /* so that a chunk is one batch */
    struct audit_event ev;
    struct audit *a = NULL;
    char path[512];

    scratch_new();
    cfg.kafka_properties = linger;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    CHECK(wait_delivered(a, 10));
    /* Alone in its batch: guilty. */
    rd_kafka_mock_push_request_errors(c.mock, 0, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    ev = decided_of("guilty");
    CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK && wait_delivered(a, 10));
    audit_stats(a, &st);
    CHECK(st.dead_letters == 1);
    /* A batch is refused as a whole: none of its records is to blame, all arrive one by one. */
    rd_kafka_mock_push_request_errors(c.mock, 0, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    emit_pairs(ch, &res, 0, 20);
    CHECK(wait_delivered(a, 10));
    audit_stats(a, &st);
    CHECK(st.dead_letters == 1 && st.delivered == 42 && st.producer_restarts == 1);
    (void)snprintf(path, sizeof(path), "%s/dead-letter.jsonl", scratch);
    CHECK(access(path, R_OK) == 0);
    audit_chan_close(ch);
    audit_close(a, 2000);
    scratch_end();
    cluster_free(&c);
}

/* Nobody listens: requests go on, stopping is bounded, the next start delivers. */
static void test_away(void)
{
    struct cluster c = cluster_new();
    struct audit_config cfg = kafka_config(AUDIT_DURABILITY_PROCESS, &c);
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct audit_stats st;
    struct audit *a = NULL;
    uint64_t began;

    scratch_new();
    cfg.kafka_brokers = "127.0.0.1:9";
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    emit_pairs(ch, &res, 0, 6000); /* more than the window */
    for (int i = 0; i < 3000; i++) {
        audit_stats(a, &st);
        if (st.undelivered >= 12001 && st.oldest_undelivered_ms >= 200)
            break;
        (void)usleep(10000);
    }
    /* One more on a machine so slow that half a minute has passed: that it lasts is on record. */
    CHECK(!st.kafka_up && (st.undelivered == 12001 || st.undelivered == 12002));
    CHECK(st.oldest_undelivered_ms >= 200);
    audit_chan_close(ch);
    began = gw_clock_ns();
    audit_close(a, 500);
    CHECK(gw_clock_ns() - began <
          30 * GW_NS_PER_SEC); /* asked for half a second: it does not wait for Kafka */
    cfg.kafka_brokers = c.brokers;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
    CHECK(wait_delivered(a, 20));
    audit_stats(a, &st);
    CHECK(st.delivered == 12003 || st.delivered == 12004);
    audit_close(a, 2000);
    scratch_end();
    cluster_free(&c);
}

/* The cursor file is expendable: without it records come twice, never not at all (T4). */
static void test_cursor_lost(void)
{
    static const char *const damage[] = {"rm -f", "truncate -s 0", "head -c 40 /dev/urandom >"};

    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        struct cluster c = cluster_new();
        struct audit_config cfg = kafka_config(AUDIT_DURABILITY_DISK, &c);
        struct audit_chan *ch = NULL;
        struct results res = {0, 0, 0};
        struct audit *a = NULL;
        struct seen seen;
        char command[512];

        scratch_new();
        CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
        emit_pairs(ch, &res, 0, 50);
        CHECK(wait_for(ch, &res, 50) && wait_delivered(a, 10));
        audit_chan_close(ch);
        audit_close(a, 2000);
        (void)snprintf(command, sizeof(command), "%s %s/cursor", damage[i], scratch);
        CHECK(system(command) == 0);
        CHECK(audit_open(&cfg, &a, NULL) == GW_OK && wait_delivered(a, 10));
        audit_close(a, 2000);
        seen = consume(&c, 104);
        CHECK(seen.unique == 104 && seen.order_ok && seen.n > 104);
        scratch_end();
        cluster_free(&c);
    }
}

/* Acknowledged segments go after retention, what is not acknowledged stays. */
static void test_deletes_delivered(void)
{
    struct cluster c = cluster_new();
    struct audit_config cfg = kafka_config(AUDIT_DURABILITY_PROCESS, &c);
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct audit_stats st;
    struct audit *a = NULL;

    scratch_new();
    cfg.segment_bytes = 16 << 10;
    cfg.retain_seconds = 0;
    cfg.kafka_brokers = "127.0.0.1:9";
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    emit_pairs(ch, &res, 0, 200);
    for (int i = 0; i < 3000; i++) {
        audit_stats(a, &st);
        if (st.spool_bytes > 400 * 1000)
            break;
        (void)usleep(10000);
    }
    (void)usleep(1200000); /* a look for segments that may go comes every second: none may */
    audit_stats(a, &st);
    CHECK(st.spool_bytes > 400 * 1000);
    audit_chan_close(ch);
    audit_close(a, 0);
    cfg.kafka_brokers = c.brokers;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && wait_delivered(a, 10));
    for (int i = 0; i < 3000; i++) {
        audit_stats(a, &st);
        if (st.spool_bytes < 64 << 10)
            break;
        (void)usleep(10000);
    }
    CHECK(st.spool_bytes < 64 << 10 && st.delivered == 403);
    audit_close(a, 1000);
    scratch_end();
    cluster_free(&c);
}

static void test_bad_property(void)
{
    static const char *const properties[] = {"no.such.property=1", NULL};
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct gw_err err = {GW_OK, ""};
    struct audit *a = NULL;

    scratch_new();
    cfg.kafka_brokers = "127.0.0.1:9";
    cfg.kafka_topic = "t";
    cfg.kafka_properties = properties;
    CHECK(audit_open(&cfg, &a, &err) == GW_EINVAL && a == NULL);
    CHECK(strstr(err.text, "no.such.property") != NULL);
    scratch_end();
}

int main(void)
{
    test_delivers();
    test_fatal();
    test_poison();
    test_away();
    test_cursor_lost();
    test_deletes_delivered();
    test_bad_property();
    return test_done();
}
