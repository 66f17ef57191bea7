/* audit/kafka_probe.c - asks the brokers once, with what the sender would use. Commands only: it blocks. */
#include <stdatomic.h>
#include <stdio.h>

#include <librdkafka/rdkafka.h>

#include "audit/kafka_producer.h"
#include "audit/kafka_topic.h"

/* What librdkafka says of its connections while it is asked: the reason that a timeout alone does not give. */
struct probe_talk {
    atomic_int error; /* rd_kafka_resp_err_t of the last one */
    char text[200];   /* of it; written by librdkafka's poll on our thread */
};

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct probe_talk *talk = opaque;

    (void)rk;
    if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) { /* says less than what came before it */
        atomic_store(&talk->error, err);
        (void)snprintf(talk->text, sizeof(talk->text), "%s", reason);
    }
}

static void read_topic(const struct rd_kafka_metadata *m, struct audit_kafka_view *out)
{
    *out = (struct audit_kafka_view){.n_brokers = (unsigned)m->broker_cnt};
    if (m->topic_cnt < 1 || m->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    out->n_partitions = (unsigned)m->topics[0].partition_cnt;
    for (int i = 0; i < m->topics[0].partition_cnt; i++) {
        unsigned n = (unsigned)m->topics[0].partitions[i].replica_cnt;

        if (i == 0 || n < out->n_replicas)
            out->n_replicas = n;
    }
}

/* The topic is not there: could the gateway make it? */
static void try_topic(rd_kafka_t *rk, const struct audit_config *cfg, int timeout_ms,
                      struct audit_kafka_view *out)
{
    struct gw_err why = {GW_OK, ""};

    if (cfg->kafka_partitions == 0 || out->n_partitions != 0)
        return;
    out->can_make = kafka_topic_try(rk, cfg->kafka_topic, cfg, timeout_ms, &why) == GW_OK;
    (void)snprintf(out->why_not, sizeof(out->why_not), "%.150s", why.text);
}

static enum gw_status ask(rd_kafka_t *rk, const char *topic, int timeout_ms,
                          struct probe_talk *talk, struct audit_kafka_view *out, struct gw_err *err)
{
    const struct rd_kafka_metadata *m = NULL;
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    enum gw_status st = GW_OK;

    if (t != NULL)
        e = rd_kafka_metadata(rk, 0, t, &m, timeout_ms);
    (void)rd_kafka_poll(rk, 0); /* on_error, with what the connections met */
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
        read_topic(m, out);
    else if (atomic_load(&talk->error) == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        st = gw_fail(err, GW_EDENIED, "%s", talk->text);
    else
        st = gw_fail(err, GW_ETIMEDOUT, "%s",
                     talk->text[0] != '\0' ? talk->text : rd_kafka_err2str(e));
    if (m != NULL)
        rd_kafka_metadata_destroy(m);
    if (t != NULL)
        rd_kafka_topic_destroy(t);
    return st;
}

enum gw_status audit_probe_kafka(const struct audit_config *cfg, int timeout_ms,
                                 struct audit_kafka_view *out, struct gw_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct probe_talk talk = {0};
    rd_kafka_t *rk = NULL;
    enum gw_status st;
    char why[256];

    if (conf == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    st = producer_configure(conf, cfg, err);
    if (st == GW_OK) {
        rd_kafka_conf_set_events(conf, 0); /* a callback tells us instead */
        rd_kafka_conf_set_error_cb(conf, on_error);
        rd_kafka_conf_set_opaque(conf, &talk);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
        if (rk != NULL)
            conf = NULL; /* the producer's now */
        else
            st = gw_fail(err, GW_EINVAL, "%s", why);
    }
    if (st == GW_OK)
        st = ask(rk, cfg->kafka_topic, timeout_ms, &talk, out, err);
    if (st == GW_OK)
        try_topic(rk, cfg, timeout_ms, out);
    if (st == GW_OK || st == GW_EDENIED)
        out->old_scram = producer_old_scram(cfg);
    if (conf != NULL)
        rd_kafka_conf_destroy(conf);
    if (rk != NULL)
        rd_kafka_destroy(rk);
    return st;
}
