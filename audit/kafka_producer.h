/* audit/kafka_producer.h - one librdkafka producer: made, fed, served, thrown away.
 *
 * librdkafka's own threads only touch their queue and the log; everything here runs on the sender's
 * thread. A producer that reports something it cannot recover from is destroyed and a new one is made;
 * the spool makes that harmless. */
#ifndef AUDIT_KAFKA_PRODUCER_H
#define AUDIT_KAFKA_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit.h"
#include "audit/spool_format.h"
#include "base/err.h"
#include "base/span.h"

struct producer;

/* What became of a record. */
enum producer_fate {
    PRODUCER_DELIVERED,
    PRODUCER_POISON, /* the broker will never take it: dead letter */
    PRODUCER_FAILED, /* not delivered: a new producer and a rewind are needed */
    PRODUCER_DENIED, /* the same, and only a person can help: no permission, no such topic */
};

struct producer_events {
    /* One record's fate; why is librdkafka's text, for POISON and worse. */
    void (*report)(void *ctx, uint64_t feed, uint64_t ticket, enum producer_fate fate,
                   struct gw_span payload, const char *why);
    /* The producer as a whole: FAILED or DENIED. */
    void (*failed)(void *ctx, enum producer_fate fate, const char *why);
    /* Connected to no broker. */
    void (*down)(void *ctx);
};

/* Makes a producer that signals fd (a non-blocking eventfd) when it has something to serve. GW_EINVAL: a
 * property is wrong, the message says which. cfg's brokers, topic and properties are used. */
enum gw_status producer_new(const struct audit_config *cfg, int fd, struct producer **out,
                            struct gw_err *err);

/* Purges what is queued, reports what is known by then, destroys. Bounded in time. p may be NULL. */
void producer_free(struct producer *p, const struct producer_events *ev, void *ctx);

enum producer_put { PRODUCER_PUT_OK, PRODUCER_PUT_FULL, PRODUCER_PUT_POISON, PRODUCER_PUT_FAILED };

/* Hands one record over (copied) with its CloudEvents headers. chain is the key. feed is below 65,536,
 * ticket below 2^48; both come back in the report. *why is set unless the answer is OK. */
enum producer_put producer_send(struct producer *p, const struct spool_rec *rec, const char *chain,
                                uint64_t feed, uint64_t ticket, const char **why);

/* The same for a text of ours, a checkpoint: key says of which chain. */
enum producer_put producer_send_text(struct producer *p, struct gw_span key, struct gw_span text,
                                     int64_t time_ms, uint64_t ticket, const char **why);

/* Copies what a producer needs of cfg, for that topic, into *out and the texts that it points to. False: out of memory. */
bool producer_config_copy(const struct audit_config *cfg, const char *topic,
                          struct audit_config *out, char ***texts);
void producer_config_fini(char **texts);

/* Serves all reports and events there are. */
void producer_serve(struct producer *p, const struct producer_events *ev, void *ctx);

/* True when cfg logs in with SCRAM and this librdkafka does it in a way that Kafka 4 refuses: before 2.6.1 it repeats its nonce,
 * which Kafka 3.9 tolerates (librdkafka issue 4895). */
bool producer_old_scram(const struct audit_config *cfg);

struct rd_kafka_conf_s;
/* Sets brokers, properties and our defaults. GW_EINVAL names what librdkafka refuses. */
enum gw_status producer_configure(struct rd_kafka_conf_s *conf, const struct audit_config *cfg,
                                  struct gw_err *err);

#endif
