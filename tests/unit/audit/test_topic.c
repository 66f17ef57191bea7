/* Tests of verify and query over topics, against librdkafka's mock cluster in this process: what delivery at least once does is no
 * offence; what somebody did to the topic is named. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "audit/kafka_read.h"
#include "audit/note.h"
#include "tests/unit/audit/seal_lab.h"

static rd_kafka_t *rk;
static rd_kafka_mock_cluster_t *mock;
static const char *brokers;
static struct read_back recs;
static char *keys, *notes;
static size_t n_keys, n_notes;
static const char *topic = "records", *checkpoints = "checkpoints";

static void cluster_new(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];

    (void)rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", why, sizeof(why));
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    CHECK(rk != NULL);
    mock = rd_kafka_mock_cluster_new(rk, 1);
    brokers = rd_kafka_mock_cluster_bootstraps(mock);
}

/* Topics in memory, for what is done to them. */
struct message {
    const char *key;
    char *value;
    size_t n;
};
struct in_memory {
    struct message *m;
    size_t n;
};
static struct in_memory told_records, told_notes;

static void forget(struct in_memory *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->m[i].value);
    t->n = 0;
}

static void put(struct in_memory *t, const char *key, const char *value, size_t n)
{
    if ((t->n & (t->n - 1)) == 0)
        t->m = realloc(t->m, (t->n == 0 ? 1 : t->n * 2) * sizeof(*t->m));
    t->m[t->n] = (struct message){key, malloc(n + 1), n};
    memcpy(t->m[t->n++].value, value, n);
}

static enum gw_status read_memory(const struct audit_kafka *src, const char *name, int64_t from_ms,
                                  kafka_read_fn each, void *ctx, struct gw_err *err)
{
    const struct in_memory *t = strcmp(name, src->topic) == 0 ? &told_records : &told_notes;
    enum gw_status st = GW_OK;

    (void)from_ms, (void)err;
    for (size_t i = 0; i < t->n && st == GW_OK; i++) {
        const struct kafka_message m = {gw_span_str(t->m[i].key), {t->m[i].value, t->m[i].n}, 0};

        st = each(ctx, &m);
    }
    return st;
}

/* What is done to the record at an index of the chain under test. */
struct deed {
    enum { KEEP, DROP, CHANGE, TWICE, SWAP, REWIND } what;
    size_t at, n;
};

static void put_records(const struct deed *d)
{
    for (size_t i = 0; i < recs.n; i++) {
        const struct one *r = &recs.recs[i];
        const bool here = d->what != KEEP && i >= d->at && i < d->at + d->n;

        if (here && d->what == DROP)
            continue;
        if (here && d->what == CHANGE) {
            char *copy_of = strdup(r->json), *user = strstr(copy_of, "\"u-1\"");

            if (CHECK(user != NULL))
                user[3] = '2';
            put(&told_records, r->chain, copy_of, r->len);
            free(copy_of);
            continue;
        }
        if (here && d->what == SWAP && i + 1 < recs.n) {
            put(&told_records, recs.recs[i + 1].chain, recs.recs[i + 1].json, recs.recs[i + 1].len);
            put(&told_records, r->chain, r->json, r->len);
            i++;
            continue;
        }
        put(&told_records, r->chain, r->json, r->len);
        if (here && d->what == TWICE)
            put(&told_records, r->chain, r->json, r->len);
        if (d->what == REWIND && i == d->at)
            for (size_t k = i - d->n; k <= i; k++)
                put(&told_records, recs.recs[k].chain, recs.recs[k].json, recs.recs[k].len);
    }
}

static int verdict_of_topic(struct gw_span last_known)
{
    const struct audit_kafka kafka = {brokers, topic, checkpoints, NULL};
    const struct audit_verify v = {
        .kafka = &kafka, .keys = {keys, n_keys}, .last_known = last_known};
    enum audit_verdict verdict = AUDIT_INTACT;
    struct gw_err err = {GW_OK, ""};
    FILE *out = begin_output();
    enum gw_status st = audit_verify(&v, out, &verdict, &err);

    (void)fclose(out);
    if (st != GW_OK)
        fprintf(stderr, "verify: %s\n", err.text);
    return st == GW_OK ? (int)verdict : -1;
}

/* Fills fresh topics: records with the deed, checkpoints from the first_note-th on. */
static int verdict_after(struct deed d, size_t first_note, size_t max_notes)
{
    struct gw_span text = {notes, n_notes};
    struct note note;

    kafka_read_io.read = read_memory;
    forget(&told_records);
    forget(&told_notes);
    put_records(&d);
    for (size_t i = 0; note_read(&text, &note) == GW_OK; i++)
        if (i >= first_note && i - first_note < max_notes)
            put(&told_notes, "x", note.text.ptr, note.text.len);
    return verdict_of_topic(NONE);
}

static void expect_after(struct deed d, int verdict, const char *text)
{
    if (!CHECK(verdict_after(d, 0, SIZE_MAX) == verdict) || !CHECK(strstr(said, text) != NULL))
        fprintf(stderr, "%s", said);
}

/* The first record of the channel's chain; that of the gateway itself is short. */
static size_t first_of_channel(void)
{
    size_t i = 0;

    while (i < recs.n && recs.recs[i].slot != 1)
        i++;
    return i;
}

static void test_deeds(void)
{
    const size_t mid = recs.n / 2;

    expect_after((struct deed){KEEP, 0, 0}, AUDIT_INTACT, "INTACT: every record that was signed");
    CHECK(strstr(said, " 0 younger") != NULL);
    expect_after((struct deed){TWICE, mid, 5}, AUDIT_INTACT, "5 delivered again");
    expect_after((struct deed){REWIND, mid, 20}, AUDIT_INTACT, "21 delivered again");
    expect_after((struct deed){SWAP, mid, 1}, AUDIT_INTACT, "1 out of order");
    expect_after((struct deed){CHANGE, mid, 1}, AUDIT_ALTERED, "names another record before it");
    CHECK(strstr(said, "are not those it has signed") != NULL);
    expect_after((struct deed){DROP, mid, 3}, AUDIT_ALTERED, "3 records are not there");
    expect_after((struct deed){DROP, recs.n - 4, 4}, AUDIT_TRUNCATED,
                 "there are none behind sequence");
    expect_after((struct deed){DROP, 0, recs.n}, AUDIT_TRUNCATED, "the whole chain is not there");
    /* What retention of the topic takes is no offence; behind an edge the rest is proven. */
    expect_after((struct deed){DROP, first_of_channel(), 5}, AUDIT_INTACT, "past retention");
}

static void test_last_known(void)
{
    const size_t from = first_of_channel() + 10;
    struct gw_span text = {notes, n_notes}, last = {NULL, 0};
    struct note note;

    /* The newest checkpoint kept elsewhere; records and checkpoints cut away together. */
    while (note_read(&text, &note) == GW_OK)
        if (gw_span_starts(note.origin, gw_span_str(recs.recs[from].chain)))
            last = note.text;
    CHECK(verdict_after((struct deed){DROP, from, recs.n - from}, 0, 0) == AUDIT_INTACT);
    CHECK(verdict_of_topic(last) == AUDIT_TRUNCATED);
    CHECK(strstr(said, "last known") != NULL);
}

static void test_query(void)
{
    const struct audit_kafka kafka = {brokers, "records", "checkpoints", NULL};
    struct audit_query q = {
        .kafka = &kafka, .filter.record = "decided", .format = AUDIT_FORMAT_JSON};
    const struct audit_report rep = {.kafka = &kafka};
    struct audit_query_result r;
    struct gw_err err = {GW_OK, ""};
    FILE *out = fopen("/dev/null", "w");

    CHECK(verdict_after((struct deed){REWIND, recs.n / 2, 20}, 0, SIZE_MAX) == AUDIT_INTACT);
    CHECK(audit_query(&q, out, &r, &err) == GW_OK);
    CHECK(r.requests == 200 && r.read == recs.n);
    CHECK(audit_report(&rep, out, &err) == GW_OK);
    (void)fclose(out);
}

/* The gateway's own way: records and checkpoints go to their topics by themselves. */
static void test_delivery(void)
{
    struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    struct audit_stats st = {0};
    struct audit *a = NULL;

    kafka_read_io.read = kafka_read;
    setup();
    CHECK(rd_kafka_mock_topic_create(mock, "own", 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    CHECK(rd_kafka_mock_topic_create(mock, "own.checkpoints", 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    cfg.kafka_brokers = brokers;
    cfg.kafka_topic = "own";
    cfg.kafka_checkpoints = "own.checkpoints";
    for (int round = 0; round < 2; round++) {
        write_requests(&cfg, round == 0 ? "r" : "s", 100, &a);
        free(keys);
        keys = slurp(scratch, "checkpoint.keys", &n_keys);
        for (int i = 0; i < TEST_TURNS && st.checkpoints_delivered == 0; i++) {
            audit_stats(a, &st);
            (void)poll(NULL, 0, 10);
        }
        CHECK(st.checkpoints_delivered != 0);
        topic = "own";
        checkpoints = "own.checkpoints";
        if (!CHECK(verdict_of_topic(NONE) == AUDIT_INTACT)) /* live */
            fprintf(stderr, "%s", said);
        {
            const struct audit_kafka kafka = {brokers, topic, checkpoints, NULL};
            struct audit_query q = {.kafka = &kafka, .filter.from_ms = gw_clock_wall_ms() + 100000};
            struct audit_query_result r;
            FILE *out = fopen("/dev/null", "w");

            CHECK(audit_query(&q, out, &r, NULL) == GW_OK && r.read == 0); /* all are older */
            q.filter.from_ms = 0;
            CHECK(audit_query(&q, out, &r, NULL) == GW_OK &&
                  r.requests == (round == 0 ? 100 : 200));
            (void)fclose(out);
        }
        audit_close(a, 3000);
        if (!CHECK(verdict_of_topic(NONE) == AUDIT_INTACT) ||
            !CHECK(strstr(said, " 0 younger") != NULL))
            fprintf(stderr, "%s", said);
        st.checkpoints_delivered = 0;
    }
    free(keys);
    keys = NULL;
    teardown();
}

int main(void)
{
    struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);

    cluster_new();
    setup();
    cfg.seal_interval_ms = 1;
    write_requests(&cfg, "r", 200, NULL);
    recs = read_spool(scratch);
    keys = slurp(scratch, "checkpoint.keys", &n_keys);
    notes = slurp(scratch, "checkpoints", &n_notes);
    test_deeds();
    test_last_known();
    test_query();
    teardown();
    test_delivery();
    read_back_free(&recs);
    free(notes);
    forget(&told_records);
    forget(&told_notes);
    free(told_records.m);
    free(told_notes.m);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(rk);
    return test_done();
}
