/* audit/kafka_topic.c - making topics with librdkafka's admin calls. Owns nothing; thread: the caller's. */
#include "audit/kafka_topic.h"

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "base/log.h"

enum {
    WAIT_MS = 60000, /* for a connection */
    WORK_MS = 10000, /* for the brokers to do it */
};

/* Sends the request. False: out of memory, or librdkafka refuses the numbers. */
static bool request(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *topic,
                    const struct audit_config *cfg, int wait_ms, bool only_try)
{
    char why[128];
    int copies = cfg->kafka_replication == 0 ? -1 : (int)cfg->kafka_replication;
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(topic, (int)cfg->kafka_partitions, copies, why, sizeof(why));
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    bool ok = t != NULL && o != NULL;

    if (ok) {
        (void)rd_kafka_AdminOptions_set_request_timeout(o, wait_ms, why, sizeof(why));
        (void)rd_kafka_AdminOptions_set_operation_timeout(o, wait_ms < WORK_MS ? wait_ms : WORK_MS,
                                                          why, sizeof(why));
        (void)rd_kafka_AdminOptions_set_validate_only(o, only_try, why, sizeof(why));
        rd_kafka_CreateTopics(rk, &t, 1, o, q);
    }
    if (o != NULL)
        rd_kafka_AdminOptions_destroy(o);
    if (t != NULL)
        rd_kafka_NewTopic_destroy(t);
    return ok;
}

void kafka_topic_make(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *topic,
                      const struct audit_config *cfg)
{
    if (cfg->kafka_partitions != 0 && !request(rk, q, topic, cfg, WAIT_MS, false))
        gw_log(GW_LOG_WARN, "kafka_topic_not_made", "topic=%s why=\"out of memory\"", topic);
}

/* What the brokers said of the one topic. */
static rd_kafka_resp_err_t answer_of(rd_kafka_event_t *event, const char **topic, const char **why)
{
    const rd_kafka_CreateTopics_result_t *r = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **all;
    size_t n = 0;

    *topic = "";
    *why = rd_kafka_event_error_string(event);
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR || r == NULL)
        return rd_kafka_event_error(event);
    all = rd_kafka_CreateTopics_result_topics(r, &n);
    if (n == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    *topic = rd_kafka_topic_result_name(all[0]);
    *why = rd_kafka_topic_result_error_string(all[0]);
    if (*why == NULL)
        *why = rd_kafka_err2str(rd_kafka_topic_result_error(all[0]));
    return rd_kafka_topic_result_error(all[0]);
}

void kafka_topic_made(rd_kafka_event_t *event)
{
    const char *topic, *why;

    switch ((int)answer_of(event, &topic, &why)) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        gw_log(GW_LOG_INFO, "kafka_topic_made", "topic=%s", topic);
        break;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
    case RD_KAFKA_RESP_ERR__DESTROY:   /* the producer ends */
    case RD_KAFKA_RESP_ERR__TIMED_OUT: /* no brokers: what is sent will tell */
        break;
    default: /* it may be there all the same, and writing allowed */
        gw_log(GW_LOG_WARN, "kafka_topic_not_made", "topic=%s why=\"%s\"", topic, why);
    }
}

enum gw_status kafka_topic_try(rd_kafka_t *rk, const char *topic, const struct audit_config *cfg,
                               int timeout_ms, struct gw_err *err)
{
    rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
    rd_kafka_event_t *event = NULL;
    enum gw_status st = GW_ENOMEM;
    const char *name, *why;

    if (q == NULL || !request(rk, q, topic, cfg, timeout_ms, true)) {
        (void)gw_fail(err, st, "out of memory");
    } else if ((event = rd_kafka_queue_poll(q, timeout_ms + 1000)) == NULL) {
        st = gw_fail(err, GW_ETIMEDOUT, "no answer");
    } else {
        rd_kafka_resp_err_t e = answer_of(event, &name, &why);

        st = e == RD_KAFKA_RESP_ERR_NO_ERROR || e == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS
                 ? GW_OK
                 : gw_fail(err, GW_EDENIED, "%s", why);
    }
    if (event != NULL)
        rd_kafka_event_destroy(event);
    if (q != NULL)
        rd_kafka_queue_destroy(q);
    return st;
}
