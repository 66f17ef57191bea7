/* audit/event_read.h - takes a few values out of records that audit/event.c wrote.
 *
 * Not a JSON parser: it relies on our own writing (no space after `:`, escapes only as gw_buf_add_json
 * makes them), so that a key pattern with its quotes cannot occur inside a value. Records come from
 * checked frames. Thread: any. */
#ifndef AUDIT_EVENT_READ_H
#define AUDIT_EVENT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Request ids are cut to this length before they are written or compared. */
enum { EVENT_ID_BYTES = 128 };

/* The record's request id, decoded into bytes; empty when it has none. */
struct gw_span event_request_id(struct gw_span record, char bytes[EVENT_ID_BYTES]);

/* The string value behind the first `"key":` in the record, decoded into out (cap bytes, cut there). key
 * may hold a path of one step, "user.uid": then the first "uid" behind the first "user". Returns
 * the value, empty when there is none. */
struct gw_span event_str(struct gw_span record, const char *key, char *out, size_t cap);

/* The same for a number that is not negative; false when there is none. */
bool event_num(struct gw_span record, const char *key, uint64_t *out);

/* The same for an amount of money, "12.000345000", in billionths. */
bool event_nano(struct gw_span record, const char *key, uint64_t *out);

/* Of a completed record: the part with its tokens, and the part with what it cost; attempts have members of the same names. */
struct gw_span event_tokens_of(struct gw_span record);
struct gw_span event_costs_of(struct gw_span record);

/* Whether the value is true. */
bool event_true(struct gw_span record, const char *key);

#endif
