/* audit/kafka_read.c - librdkafka's consumer, without a group: nothing is committed, nobody else is disturbed. */
#include "audit/kafka_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "audit/event_read.h"
#include "base/clock.h"
#include "base/log.h"

enum { WAIT_MS = 15000, BATCH = 512, BATCH_MS = 20, MAX_PARTITIONS = 4096 };

struct kafka_read_io kafka_read_io = {kafka_read};

struct reading {
    rd_kafka_t *rk;
    const char *topic;
    int64_t *end; /* a partition each: reading is done at this offset; 0: done */
    int32_t n_partitions;
    unsigned left; /* partitions */
    char why[200]; /* what librdkafka said last of its connections */
    bool denied;
    struct gw_err *err;
};

static void on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    struct reading *r = opaque;

    (void)rk;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return; /* says less than what came before it */
    r->denied = r->denied || error == RD_KAFKA_RESP_ERR__AUTHENTICATION;
    (void)snprintf(r->why, sizeof(r->why), "%s", reason);
}

static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    (void)rk;
    gw_log(GW_LOG_DEBUG, "kafka", "level=%d facility=%s text=\"%s\"", level, fac, text);
}

static enum gw_status silent(struct reading *r, const char *what)
{
    (void)rd_kafka_poll(r->rk, 0);
    return gw_fail(r->err, r->denied ? GW_EDENIED : GW_ETIMEDOUT, "topic %s: %s", r->topic,
                   r->why[0] != '\0' ? r->why : what);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static enum gw_status configure(rd_kafka_conf_t *conf, const struct audit_kafka *src,
                                struct gw_err *err)
{
    static const char *const own[][2] = {{"client.id", "sluice-audit"},
                                         {"group.id", "sluice-audit"},
                                         {"enable.auto.commit", "false"},
                                         {"enable.auto.offset.store", "false"},
                                         {"enable.partition.eof", "true"},
                                         {"auto.offset.reset", "earliest"},
                                         {"check.crcs", "true"},
                                         {"queued.max.messages.kbytes", "16384"},
                                         {"fetch.error.backoff.ms", "50"},
                                         {"fetch.wait.max.ms", "20"},
                                         {"reconnect.backoff.max.ms", "500"},
                                         {"log.connection.close", "false"}};
    char name[128], why[256];

    for (size_t i = 0; src->properties != NULL && src->properties[i] != NULL; i++) {
        const char *p = src->properties[i], *eq = strchr(p, '=');

        if (eq == NULL || (size_t)(eq - p) >= sizeof(name))
            return gw_fail(err, GW_EINVAL, "a Kafka property must be name=value");
        memcpy(name, p, (size_t)(eq - p));
        name[eq - p] = '\0';
        /* The value stays out of the message: it may be a password. */
        if (rd_kafka_conf_set(conf, name, eq + 1, why, sizeof(why)) != RD_KAFKA_CONF_OK)
            return gw_fail(err, GW_EINVAL, "librdkafka refuses the property %s", name);
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        (void)rd_kafka_conf_set(conf, own[i][0], own[i][1], why, sizeof(why));
    if (rd_kafka_conf_set(conf, "bootstrap.servers", src->brokers, why, sizeof(why)) !=
        RD_KAFKA_CONF_OK)
        return gw_fail(err, GW_EINVAL, "%s: %s", src->brokers, why);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    return GW_OK;
}

/* How many partitions the topic has. */
static enum gw_status count_partitions(struct reading *r)
{
    const struct rd_kafka_metadata *m = NULL;
    rd_kafka_topic_t *t = rd_kafka_topic_new(r->rk, r->topic, NULL);
    enum gw_status st = GW_OK;

    if (t == NULL || rd_kafka_metadata(r->rk, 0, t, &m, WAIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        st = silent(r, "the brokers do not answer");
    else if (m->topic_cnt < 1 || m->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR ||
             m->topics[0].partition_cnt < 1)
        st = gw_fail(r->err, GW_ENOENT, "there is no topic %s", r->topic);
    else if (m->topics[0].partition_cnt > MAX_PARTITIONS)
        st = gw_fail(r->err, GW_ELIMIT, "topic %s has more than %d partitions", r->topic,
                     MAX_PARTITIONS);
    else
        r->n_partitions = m->topics[0].partition_cnt;
    if (m != NULL)
        rd_kafka_metadata_destroy(m);
    if (t != NULL)
        rd_kafka_topic_destroy(t);
    return st;
}

/* Finds where each partition ends, and fills list with where reading begins. */
static enum gw_status find_ends(struct reading *r, rd_kafka_topic_partition_list_t *list,
                                int64_t from_ms)
{
    for (int32_t i = 0; i < r->n_partitions; i++) {
        int64_t low = 0, high = 0;

        if (rd_kafka_query_watermark_offsets(r->rk, r->topic, i, &low, &high, WAIT_MS) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
            return silent(r, "the leader of a partition does not answer");
        if (high <= low)
            continue;
        r->end[i] = high;
        r->left++;
        rd_kafka_topic_partition_list_add(list, r->topic, i)->offset = from_ms != 0 ? from_ms : low;
    }
    if (from_ms == 0 || r->left == 0)
        return GW_OK;
    if (rd_kafka_offsets_for_times(r->rk, list, WAIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return silent(r, "the brokers do not say where a time begins");
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].offset < 0) { /* nothing is that young */
            list->elems[i].offset = r->end[list->elems[i].partition];
        }
    return GW_OK;
}

#if defined(__SANITIZE_THREAD__)
/* Copies what librdkafka's threads have written, which TSan cannot see handed over. */
__attribute__((no_sanitize("thread"))) static struct gw_span copy_out(struct gw_buf *b,
                                                                      const volatile char *p,
                                                                      size_t n)
{
    gw_buf_clear(b);
    if (n == 0 || !gw_buf_reserve(b, n))
        return (struct gw_span){NULL, 0};
    for (size_t i = 0; i < n; i++)
        b->ptr[i] = p[i];
    b->len = n;
    return gw_buf_span(b);
}
#endif

static void wrap(const rd_kafka_message_t *m, struct kafka_message *out)
{
    rd_kafka_timestamp_type_t type;

    *out = (struct kafka_message){
        {m->key, m->key_len}, {m->payload, m->len}, rd_kafka_message_timestamp(m, &type)};
#if defined(__SANITIZE_THREAD__)
    static _Thread_local struct gw_buf key, value;

    out->key = copy_out(&key, m->key, m->key_len);
    out->value = copy_out(&value, m->payload, m->len);
#endif
}

/* ---- reading ------------------------------------------------------------------------------------ */

static enum gw_status take(struct reading *r, const rd_kafka_message_t *m, kafka_read_fn each,
                           void *ctx)
{
    const int32_t i = m->partition;
    const bool open = r->end != NULL && i >= 0 && i < r->n_partitions && r->end[i] != 0;
    struct kafka_message out;

    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && open) {
        r->end[i] = 0;
        r->left--;
        return GW_OK;
    }
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        on_error(r->rk, (int)m->err, rd_kafka_message_errstr(m), r);
        return GW_OK; /* goes away, or the silence ends it */
    }
    if (!open || m->offset >= r->end[i])
        return GW_OK; /* came after we had asked for the end */
    if (m->offset == r->end[i] - 1) {
        r->end[i] = 0;
        r->left--;
    }
    wrap(m, &out);
    return each(ctx, &out);
}

static enum gw_status read_all(struct reading *r, kafka_read_fn each, void *ctx)
{
    rd_kafka_queue_t *q = rd_kafka_queue_get_consumer(r->rk);
    rd_kafka_message_t *batch[BATCH];
    uint64_t heard_ns = gw_clock_ns();
    enum gw_status st = GW_OK;

    while (st == GW_OK && r->left != 0) {
        ssize_t n = rd_kafka_consume_batch_queue(q, BATCH_MS, batch, BATCH);

        if (n > 0)
            heard_ns = gw_clock_ns();
        else if (gw_clock_ns() - heard_ns > WAIT_MS * GW_NS_PER_MS)
            st = silent(r, "the brokers do not send the rest");
        for (ssize_t i = 0; i < n; i++) {
            if (st == GW_OK)
                st = take(r, batch[i], each, ctx);
            rd_kafka_message_destroy(batch[i]);
        }
    }
    rd_kafka_queue_destroy(q);
    return st;
}

static enum gw_status read_topic(struct reading *r, int64_t from_ms, kafka_read_fn each, void *ctx)
{
    rd_kafka_topic_partition_list_t *list;
    enum gw_status st;

    GW_TRY(count_partitions(r));
    r->end = calloc((size_t)r->n_partitions, sizeof(*r->end));
    list = rd_kafka_topic_partition_list_new(r->n_partitions);
    if (r->end == NULL || list == NULL)
        st = gw_fail(r->err, GW_ENOMEM, "out of memory");
    else
        st = find_ends(r, list, from_ms);
    if (st == GW_OK && r->left != 0) {
        if (rd_kafka_assign(r->rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
            st = silent(r, "the topic cannot be read");
        else
            st = read_all(r, each, ctx);
        (void)rd_kafka_assign(r->rk, NULL);
    }
    if (list != NULL)
        rd_kafka_topic_partition_list_destroy(list);
    return st;
}

enum gw_status kafka_read(const struct audit_kafka *src, const char *topic, int64_t from_ms,
                          kafka_read_fn each, void *ctx, struct gw_err *err)
{
    struct reading r = {.topic = topic, .err = err};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum gw_status st;
    char why[256];

    if (conf == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    st = configure(conf, src, err);
    rd_kafka_conf_set_opaque(conf, &r);
    if (st == GW_OK) {
        r.rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
        if (r.rk == NULL)
            st = gw_fail(err, GW_EINVAL, "%s", why);
    }
    if (r.rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return st;
    }
    (void)rd_kafka_poll_set_consumer(r.rk);
    st = read_topic(&r, from_ms, each, ctx);
    (void)rd_kafka_consumer_close(r.rk);
    rd_kafka_destroy(r.rk);
    free(r.end);
    return st;
}

/* ---- records ------------------------------------------------------------------------------------ */

static enum spool_kind kind_of(struct gw_span code)
{
    static const struct {
        const char *code;
        enum spool_kind kind;
    } kinds[] = {{"ai.request.decided", SPOOL_KIND_DECIDED},
                 {"ai.request.completed", SPOOL_KIND_COMPLETED},
                 {"ai.dlp.finding", SPOOL_KIND_FINDING},
                 {"ai.shadow.seen", SPOOL_KIND_SHADOW}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (gw_span_is(code, kinds[i].code))
            return kinds[i].kind;
    return SPOOL_KIND_LIFECYCLE;
}

/* The sequence stands last: `"sequence":47}}`. */
static bool last_number(struct gw_span v, uint64_t *out)
{
    static const char mark[] = "\"sequence\":";
    const size_t n_mark = sizeof(mark) - 1;
    size_t i;
    uint64_t n = 0, scale = 1;

    if (v.len < n_mark + 3 || v.ptr[v.len - 1] != '}' || v.ptr[v.len - 2] != '}')
        return false;
    for (i = v.len - 2; i > n_mark && v.len - i < 22 && v.ptr[i - 1] >= '0' && v.ptr[i - 1] <= '9';
         i--) {
        n += scale * (uint64_t)(v.ptr[i - 1] - '0');
        scale *= 10;
    }
    *out = n;
    return n != 0 && memcmp(v.ptr + i - n_mark, mark, n_mark) == 0;
}

bool kafka_read_record(const struct kafka_message *m, struct spool_rec *out)
{
    char code[32];
    uint64_t time_ms = 0;

    *out = (struct spool_rec){.payload = m->value};
    if (m->value.len == 0 || m->value.len > SPOOL_MAX_PAYLOAD_BYTES ||
        !last_number(m->value, &out->seq) || !event_num(m->value, "time", &time_ms))
        return false;
    out->time_ms = (int64_t)time_ms;
    out->kind = kind_of(event_str(m->value, "event_code", code, sizeof(code)));
    return true;
}
