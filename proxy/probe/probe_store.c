/* proxy/probe/probe_store.c - the keys database, Kafka and Redis. */
#include <sys/time.h>

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "proxy/probe/probe.h"
#include "proxy/store/store.h"

/* ---- keys --------------------------------------------------------------------------------------- */

static void count_key(void *ctx, const struct proxy_key_info *k)
{
    unsigned *n = ctx;

    *n += k->revoked_ms == 0 && (k->expires_ms == 0 || k->expires_ms > gw_clock_wall_ms());
}

static void probe_keys(const struct proxy_config *cfg, struct probe_report *r)
{
    struct probe_row *row = probe_row(r, "auth.keys");
    struct gw_err err = {0};
    unsigned n = 0;

    if (row == NULL)
        return;
    if (access(cfg->auth.keys, F_OK) == 0 &&
        proxy_store_key_list(cfg->auth.keys, NULL, count_key, &n, &err) != GW_OK) {
        (void)snprintf(row->found, sizeof(row->found), "%.230s", err.text);
        probe_bad(row, PROBE_FAIL,
                  "without the database nobody is let in: check its owner and mode");
        return;
    }
    (void)snprintf(row->found, sizeof(row->found), "%u keys that work", n);
    if (n == 0 && cfg->auth.required)
        probe_bad(row, PROBE_WARN, "nobody could ask anything: `sluice keys create --name NAME`");
}

/* ---- Kafka -------------------------------------------------------------------------------------- */

static void probe_topic(const struct proxy_config *cfg, const char *name, const char *topic,
                        struct probe_report *r)
{
    const struct audit_config ac = {.instance = cfg->instance,
                                    .kafka_brokers = cfg->audit.kafka_brokers,
                                    .kafka_topic = topic,
                                    .kafka_properties = cfg->audit.kafka_properties,
                                    .kafka_partitions = cfg->audit.kafka_partitions,
                                    .kafka_replication = cfg->audit.kafka_replication};
    struct probe_row *row = probe_row(r, "%s", name);
    struct audit_kafka_view view = {0};
    struct gw_err err = {0};
    enum gw_status st;

    if (row == NULL)
        return;
    st = audit_probe_kafka(&ac, PROBE_TIMEOUT_S * 1000, &view, &err);
    if (st != GW_OK) {
        (void)snprintf(row->found, sizeof(row->found), "%.230s", err.text);
        probe_bad(row, PROBE_FAIL, "%s",
                  st == GW_EINVAL    ? "correct audit.kafka.properties"
                  : view.old_scram   ? "Kafka 4 refuses SCRAM of this librdkafka, whatever the "
                                       "password: use mTLS, or librdkafka 2.6.1 or newer"
                  : st == GW_EDENIED ? "the brokers refuse the log-in: user, password, mechanism"
                                     : "the brokers must be reachable from here; with TLS, "
                                       "security.protocol=ssl and ssl.ca.location are needed");
        return;
    }
    (void)snprintf(row->found, sizeof(row->found),
                   "%u brokers, topic %.80s with %u partitions in %u copies", view.n_brokers, topic,
                   view.n_partitions, view.n_replicas);
    if (view.can_make)
        (void)snprintf(row->found, sizeof(row->found),
                       "%u brokers; topic %.80s is not there yet: the gateway makes it",
                       view.n_brokers, topic);
    else if (view.n_partitions == 0 && cfg->audit.kafka_partitions != 0)
        probe_bad(row, PROBE_FAIL,
                  "the topic is not there, and the brokers do not let this user make it (%.150s): "
                  "kafka-topics.sh --create (docs/operators.md)",
                  view.why_not);
    else if (view.n_partitions == 0)
        probe_bad(row, PROBE_FAIL,
                  "the topic is not there, and audit.kafka.partitions is 0: kafka-topics.sh "
                  "--create (docs/operators.md)");
    else if (view.old_scram)
        probe_bad(row, PROBE_WARN,
                  "SCRAM of this librdkafka works with Kafka 3.9 only: before the brokers become "
                  "Kafka 4, use mTLS, or librdkafka 2.6.1 or newer");
    else if (view.n_replicas < 2)
        probe_bad(row, PROBE_WARN, "one copy only: a lost broker loses what it has of the trail");
}

static void probe_kafka(const struct proxy_config *cfg, struct probe_report *r)
{
    probe_topic(cfg, "audit.kafka", cfg->audit.kafka_topic, r);
    if (cfg->audit.kafka_checkpoints[0] != '\0' && cfg->audit.checkpoint_ms != 0)
        probe_topic(cfg, "audit.kafka.checkpoints", cfg->audit.kafka_checkpoints, r);
}

/* ---- Redis -------------------------------------------------------------------------------------- */

/* False: said no, or nothing. */
static bool command(redisContext *c, redisReply *reply, struct probe_row *row)
{
    bool ok = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    if (!ok)
        (void)snprintf(row->found, sizeof(row->found), "%.150s",
                       reply != NULL ? reply->str : c->errstr);
    freeReplyObject(reply);
    return ok;
}

static bool log_in(const struct proxy_config *cfg, redisContext *c, struct probe_row *row)
{
    struct gw_span password = cfg->redis.password.value;
    redisReply *reply;

    if (password.len == 0)
        return true;
    if (cfg->redis.user[0] != '\0')
        reply = redisCommand(c, "AUTH %s %b", cfg->redis.user, password.ptr, password.len);
    else
        reply = redisCommand(c, "AUTH %b", password.ptr, password.len);
    return command(c, reply, row);
}

static void probe_redis(const struct proxy_config *cfg, struct probe_report *r)
{
    const struct timeval patience = {PROBE_TIMEOUT_S, 0};
    struct probe_row *row = probe_row(r, "redis");
    uint64_t start = gw_clock_ns();
    redisContext *c;

    if (row == NULL)
        return;
    c = redisConnectWithTimeout(cfg->redis.host, cfg->redis.port, patience);
    if (c == NULL || c->err != 0) {
        (void)snprintf(row->found, sizeof(row->found), "%.150s",
                       c == NULL ? "out of memory" : c->errstr);
        probe_bad(row, PROBE_FAIL,
                  "nothing answers at redis.url; without it requests with a budget are refused");
    } else if (redisSetTimeout(c, patience) != REDIS_OK || !log_in(cfg, c, row)) {
        probe_bad(row, PROBE_FAIL, "it refuses redis.user and redis.password");
    } else if (!command(c, redisCommand(c, "SELECT %u", cfg->redis.db), row) ||
               !command(c, redisCommand(c, "PING"), row)) {
        probe_bad(
            row, PROBE_FAIL,
            "is the number of the database in redis.url right, and may the user run commands?");
    } else {
        (void)snprintf(row->found, sizeof(row->found), "answers in %.1f ms",
                       (double)(gw_clock_ns() - start) / 1e6);
    }
    if (c != NULL)
        redisFree(c);
}

void probe_stores(const struct proxy_config *cfg, struct probe_report *r)
{
    probe_keys(cfg, r);
    if (cfg->audit.kafka_brokers[0] != '\0')
        probe_kafka(cfg, r);
    if (cfg->redis.url[0] != '\0')
        probe_redis(cfg, r);
}
