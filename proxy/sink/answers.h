/* proxy/sink/answers.h - what Splunk's event collector and Elastic's _bulk say, read out of their JSON.
 *
 * The bytes are a server's: anything may be in them. Texts of an answer may quote a record, so none but the names of error
 * types come out. Linear time, no recursion. Thread: one a tokenizer. */
#ifndef PROXY_SINK_ANSWERS_H
#define PROXY_SINK_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

/* Splunk: {"text":...,"code":9} */
struct splunk_answer {
    bool has_code, has_bad, has_ack;
    uint64_t code;
    uint64_t bad; /* invalid-event-number: the event that is to blame, from 0 */
    uint64_t ack; /* ackId: ask until it is true */
};
/* False: it is no such answer, and *out is not set. */
bool splunk_read(struct gw_json *j, struct gw_span text, struct splunk_answer *out);
/* Splunk: {"acks":{"17":true}}. 1: acknowledged; 0: not yet; -1: it is no such answer. */
int splunk_acked(struct gw_json *j, struct gw_span text, uint64_t ack);

/* Elastic: {"errors":true,"items":[{"create":{"status":429,"error":{"type":"..."}}}]} */
enum { ELASTIC_TYPE_BYTES = 48 };
struct elastic_item {
    unsigned status;               /* 0: it did not say */
    char type[ELASTIC_TYPE_BYTES]; /* of its error, of a-z 0-9 _ ; "" */
};
struct elastic_answer {
    bool has_errors, errors;
    unsigned n_items; /* all of them; those above max are not written */
};
/* Writes up to max items in their order. False: it is no such answer; *out and items are not to be used. */
bool elastic_read(struct gw_json *j, struct gw_span text, struct elastic_item *items, unsigned max,
                  struct elastic_answer *out);

#endif
