/* audit/kafka_topic.h - the topics: made when they are not there and the configuration allows it. */
#ifndef AUDIT_KAFKA_TOPIC_H
#define AUDIT_KAFKA_TOPIC_H

#include "audit/audit.h"
#include "base/err.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;

/* Asks the brokers to make the topic, as soon as there is a connection; does nothing when cfg says that none is made. The answer
 * comes as an event to q, for kafka_topic_made(). One that is there already is left as it is. */
void kafka_topic_make(struct rd_kafka_s *rk, struct rd_kafka_queue_s *q, const char *topic,
                      const struct audit_config *cfg);

/* Takes an event of type RD_KAFKA_EVENT_CREATETOPICS_RESULT and logs what became of it. */
void kafka_topic_made(struct rd_kafka_op_s *event);

/* Asks whether the topic could be made, without making it. Blocks up to timeout_ms. GW_EDENIED, with the brokers' reason;
 * GW_ETIMEDOUT; GW_ENOMEM. */
enum gw_status kafka_topic_try(struct rd_kafka_s *rk, const char *topic,
                               const struct audit_config *cfg, int timeout_ms, struct gw_err *err);

#endif
