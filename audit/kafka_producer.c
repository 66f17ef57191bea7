/* audit/kafka_producer.c - librdkafka. Owns the rd_kafka_t and its queue; thread: the sender's, but for
 * the log callback, which librdkafka's threads call. */
#include "audit/kafka_producer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "audit/event_read.h"
#include "audit/kafka_topic.h"
#include "base/clock.h"
#include "base/log.h"

#if defined(__SANITIZE_THREAD__)
#    include "audit/kafka_tsan.h"
#endif

struct producer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *q;
    char *topic;
    char *source;    /* ce_source: "/sluice/<instance>" */
    bool scram_hint; /* the old library's SCRAM fault was explained */
    bool old_scram;
};

/* Measured against a real broker: with a message timeout of its own librdkafka loses or doubles records
 * in an outage, so it has none and the window bounds memory; chunks batch, not lingering. */
static const char *const defaults[] = {
    "client.id=sluice",
    "enable.idempotence=true",
    "acks=all",
    "message.timeout.ms=0",
    "linger.ms=0",
    "compression.type=lz4",
    "reconnect.backoff.ms=100",
    "reconnect.backoff.max.ms=500",
    "request.timeout.ms=10000",
    "socket.timeout.ms=15000",
    "socket.keepalive.enable=true",
    "socket.nagle.disable=true",
    "queue.buffering.max.messages=10000",
    "queue.buffering.max.kbytes=65536",
    "log.connection.close=false",
    NULL,
};

static void log_line(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    (void)rk;
    /* syslog levels: 3 is an error. The broker being away is worth one level less than our own faults. */
    gw_log(level <= 3   ? GW_LOG_WARN
           : level <= 5 ? GW_LOG_INFO
                        : GW_LOG_DEBUG,
           "kafka", "facility=%s text=\"%s\"", fac, text);
}

static enum gw_status set_property(rd_kafka_conf_t *conf, const char *property, struct gw_err *err)
{
    const char *eq = strchr(property, '=');
    char name[128], why[256];

    if (eq == NULL || eq == property || (size_t)(eq - property) >= sizeof(name))
        return gw_fail(err, GW_EINVAL, "audit.kafka: a property must be name=value");
    memcpy(name, property, (size_t)(eq - property));
    name[eq - property] = '\0';
    /* librdkafka's text names the property; the value is left out: it may be a password. */
    if (rd_kafka_conf_set(conf, name, eq + 1, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        return gw_fail(err, GW_EINVAL, "audit.kafka: librdkafka refuses the property %s", name);
    return GW_OK;
}

bool producer_old_scram(const struct audit_config *cfg)
{
    bool scram = false;

    for (size_t i = 0; cfg->kafka_properties != NULL && cfg->kafka_properties[i] != NULL; i++)
        scram = scram || strstr(cfg->kafka_properties[i], "SCRAM") != NULL;
    return scram && rd_kafka_version() < 0x020601ff;
}

enum gw_status producer_configure(rd_kafka_conf_t *conf, const struct audit_config *cfg,
                                  struct gw_err *err)
{
    char why[256];

    for (size_t i = 0; defaults[i] != NULL; i++)
        GW_TRY(set_property(conf, defaults[i], err));
    if (rd_kafka_conf_set(conf, "bootstrap.servers", cfg->kafka_brokers, why, sizeof(why)) !=
        RD_KAFKA_CONF_OK)
        return gw_fail(err, GW_EINVAL, "audit.kafka.brokers: %s", why);
    for (size_t i = 0; cfg->kafka_properties != NULL && cfg->kafka_properties[i] != NULL; i++)
        GW_TRY(set_property(conf, cfg->kafka_properties[i], err));
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    rd_kafka_conf_set_log_cb(conf, log_line);
    return GW_OK;
}

enum gw_status producer_new(const struct audit_config *cfg, int fd, struct producer **out,
                            struct gw_err *err)
{
    static const uint64_t one = 1;
    struct producer *p = calloc(1, sizeof(*p));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum gw_status st = GW_ENOMEM;
    char why[256] = "";

    if (p == NULL || conf == NULL) {
        (void)gw_fail(err, st, "audit.kafka: out of memory");
        goto out;
    }
    p->topic = strdup(cfg->kafka_topic);
    if (asprintf(&p->source, "/sluice/%s", cfg->instance) < 0)
        p->source = NULL;
    if (p->topic == NULL || p->source == NULL) {
        (void)gw_fail(err, st, "audit.kafka: out of memory");
        goto out;
    }
    p->old_scram = producer_old_scram(cfg);
    st = producer_configure(conf, cfg, err);
    if (st != GW_OK)
        goto out;
    p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (p->rk == NULL) {
        st = gw_fail(err, GW_EINVAL, "audit.kafka: %s", why);
        goto out;
    }
    conf = NULL; /* the producer's now */
    p->q = rd_kafka_queue_get_main(p->rk);
    rd_kafka_queue_io_event_enable(p->q, fd, &one, sizeof(one));
    kafka_topic_make(p->rk, p->q, p->topic, cfg);
out:
    if (conf != NULL)
        rd_kafka_conf_destroy(conf);
    if (st != GW_OK) {
        producer_free(p, NULL, NULL);
        return st;
    }
    *out = p;
    return GW_OK;
}

/* ---- sending ----------------------------------------------------------------------------------- */

static void add_header(rd_kafka_headers_t *h, const char *name, struct gw_span value)
{
    (void)rd_kafka_header_add(h, name, -1, value.ptr, (ssize_t)value.len);
}

/* CloudEvents 1.0, Kafka binding, binary content mode. */
static rd_kafka_headers_t *make_headers(const struct producer *p, const struct spool_rec *rec,
                                        const char *chain)
{
    rd_kafka_headers_t *h = rd_kafka_headers_new(7);
    char uid[64], type[64], when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(rec->time_ms, when);
    add_header(h, "ce_specversion", GW_SPAN("1.0"));
    add_header(h, "ce_id", event_str(rec->payload, "metadata.uid", uid, sizeof(uid)));
    add_header(h, "ce_source", gw_span_str(p->source));
    add_header(h, "ce_type", event_str(rec->payload, "event_code", type, sizeof(type)));
    add_header(h, "ce_time", gw_span_str(when));
    add_header(h, "ce_partitionkey", gw_span_str(chain));
    add_header(h, "content-type", GW_SPAN("application/json"));
    return h;
}

static enum producer_fate fate_of(rd_kafka_resp_err_t err)
{
    switch ((int)err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return PRODUCER_DELIVERED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
        return PRODUCER_POISON;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return PRODUCER_DENIED;
    default:
        return PRODUCER_FAILED;
    }
}

enum producer_put producer_send(struct producer *p, const struct spool_rec *rec, const char *chain,
                                uint64_t feed, uint64_t ticket, const char **why)
{
    rd_kafka_headers_t *h = make_headers(p, rec, chain);
    /* librdkafka's opaque is a number to us. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    void *opaque = (void *)(uintptr_t)(feed << 48 | ticket);
    rd_kafka_resp_err_t err;
    void *payload; /* copied by producev, which wants it without const */

    memcpy(&payload, &rec->payload.ptr, sizeof(payload));
    /* producev, and no partition: produceva frees the headers twice in 2.0.2 when that fails. */
    err = rd_kafka_producev(
        p->rk, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(chain, strlen(chain)), RD_KAFKA_V_VALUE(payload, rec->payload.len),
        RD_KAFKA_V_TIMESTAMP(rec->time_ms), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_HEADERS(h),
        RD_KAFKA_V_END);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return PRODUCER_PUT_OK;
    rd_kafka_headers_destroy(h);
    *why = rd_kafka_err2str(err);
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return PRODUCER_PUT_FULL;
    return fate_of(err) == PRODUCER_POISON ? PRODUCER_PUT_POISON : PRODUCER_PUT_FAILED;
}

enum producer_put producer_send_text(struct producer *p, struct gw_span key, struct gw_span text,
                                     int64_t time_ms, uint64_t ticket, const char **why)
{
    /* librdkafka's opaque is a number to us. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    void *opaque = (void *)(uintptr_t)ticket;
    rd_kafka_resp_err_t err;
    void *payload;

    memcpy(&payload, &text.ptr, sizeof(payload));
    err = rd_kafka_producev(
        p->rk, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key.ptr, key.len), RD_KAFKA_V_VALUE(payload, text.len),
        RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return PRODUCER_PUT_OK;
    *why = rd_kafka_err2str(err);
    return err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? PRODUCER_PUT_FULL : PRODUCER_PUT_FAILED;
}

/* ---- configuration ------------------------------------------------------------------------------ */

bool producer_config_copy(const struct audit_config *cfg, const char *topic,
                          struct audit_config *out, char ***texts)
{
    size_t n = 0;
    char **t;

    while (cfg->kafka_properties != NULL && cfg->kafka_properties[n] != NULL)
        n++;
    t = *texts = calloc(n + 4, sizeof(*t));
    if (t == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((t[i] = strdup(cfg->kafka_properties[i])) == NULL)
            return false;
    /* Behind the properties' NULL: the three other texts. */
    t[n + 1] = strdup(cfg->kafka_brokers);
    t[n + 2] = strdup(topic);
    t[n + 3] = strdup(cfg->instance);
    out->kafka_properties = (const char *const *)t;
    out->kafka_partitions = cfg->kafka_partitions;
    out->kafka_replication = cfg->kafka_replication;
    out->kafka_brokers = t[n + 1];
    out->kafka_topic = t[n + 2];
    out->instance = t[n + 3];
    return t[n + 1] != NULL && t[n + 2] != NULL && t[n + 3] != NULL;
}

void producer_config_fini(char **texts)
{
    size_t n = 0;

    if (texts == NULL)
        return;
    while (texts[n] != NULL)
        free(texts[n++]);
    for (size_t i = 1; i <= 3; i++)
        free(texts[n + i]);
    free((void *)texts);
}

/* ---- serving ----------------------------------------------------------------------------------- */

static void serve_reports(rd_kafka_event_t *rkev, const struct producer_events *ev, void *ctx)
{
    const rd_kafka_message_t *m;

    while ((m = rd_kafka_event_message_next(rkev)) != NULL) {
        uint64_t both = (uint64_t)(uintptr_t)m->_private;

        ev->report(ctx, both >> 48, both & 0xFFFFFFFFFFFFull, fate_of(m->err),
                   (struct gw_span){m->payload, m->len},
                   m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : rd_kafka_err2str(m->err));
    }
}

static void serve_error(struct producer *p, rd_kafka_event_t *rkev,
                        const struct producer_events *ev, void *ctx)
{
    rd_kafka_resp_err_t err = rd_kafka_event_error(rkev);
    enum producer_fate fate = fate_of(err);
    char why[256];

    if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION && p->old_scram && !p->scram_hint) {
        p->scram_hint = true;
        gw_log(GW_LOG_ERROR, "kafka_scram",
               "text=\"librdkafka %s cannot log in to Kafka 4 with SCRAM: use mTLS, or librdkafka "
               "2.6.1 or newer\"",
               rd_kafka_version_str());
    }
    if (err == RD_KAFKA_RESP_ERR__FATAL) {
        err = rd_kafka_fatal_error(p->rk, why, sizeof(why));
        ev->failed(ctx, fate_of(err) == PRODUCER_DENIED ? PRODUCER_DENIED : PRODUCER_FAILED, why);
    } else if (fate == PRODUCER_DENIED) {
        ev->failed(ctx, fate, rd_kafka_event_error_string(rkev));
    } else if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        ev->down(ctx);
    }
    /* The rest is transient: librdkafka goes on by itself. */
}

void producer_serve(struct producer *p, const struct producer_events *ev, void *ctx)
{
    rd_kafka_event_t *rkev;

    /* Until there is none: the eventfd is signalled only when the queue was empty. */
    while ((rkev = rd_kafka_queue_poll(p->q, 0)) != NULL) {
        if (ev != NULL && rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_DR)
            serve_reports(rkev, ev, ctx);
        else if (ev != NULL && rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_ERROR)
            serve_error(p, rkev, ev, ctx);
        else if (rd_kafka_event_type(rkev) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
            kafka_topic_made(rkev);
        rd_kafka_event_destroy(rkev);
    }
}

void producer_free(struct producer *p, const struct producer_events *ev, void *ctx)
{
    if (p == NULL)
        return;
    if (p->rk != NULL) {
        /* Never rd_kafka_flush(): it blocks for its whole timeout when the broker is away. */
        (void)rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        producer_serve(p, ev, ctx);
        rd_kafka_queue_io_event_enable(p->q, -1, NULL, 0);
        rd_kafka_queue_destroy(p->q);
        rd_kafka_destroy(p->rk);
    }
    free(p->topic);
    free(p->source);
    free(p);
}
