/* proxy/http/json_array.h - reads and rewrites a stream that is one JSON array of objects, bytes in, elements out.
 *
 * Gemini's streamGenerateContent answers so without alt=sse: "[{...}", then ",{...}" as the model goes on, then "]". The
 * raw bytes of all events together are exactly the bytes fed: what stands in front of an element (the bracket, a comma,
 * blanks) belongs to its event, and the end of the array is an event without data. So a stream whose events are forwarded
 * raw is forwarded unchanged. Where an element ends is found by its brackets and strings; whether it is JSON is its
 * reader's to judge. No I/O. Thread: the worker's. */
#ifndef PROXY_JSON_ARRAY_H
#define PROXY_JSON_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum { JSON_ARRAY_MAX_ELEMENT = 16 << 20 }; /* bytes, with what stands in front of it */

/* One element, or the end. The spans are valid during the call that delivers it. */
struct json_array_event {
    struct gw_span raw;  /* all bytes of it; data is its last part */
    struct gw_span data; /* the object, brackets included; empty without one */
    bool has_data;
    bool ended; /* false only for the rest of a cut stream */
};

/* Takes an event. Anything but GW_OK stops the reader, which returns it to its caller. */
typedef enum gw_status (*json_array_fn)(void *ctx, const struct json_array_event *ev);

struct json_array;

/* max_element: bytes of one event, 0 for JSON_ARRAY_MAX_ELEMENT. NULL when out of memory. */
struct json_array *json_array_new(size_t max_element);
void json_array_free(struct json_array *r); /* r may be NULL */

/* Feeds the next bytes; delivers each element at its last byte. GW_EPARSE: this is no array of objects; GW_ELIMIT: an
 * element is too long; GW_ENOMEM; or what fn returned. After a failure the reader can only be freed. */
enum gw_status json_array_feed(struct json_array *r, struct gw_span bytes, json_array_fn fn,
                               void *ctx);

/* The stream has ended: delivers the bytes that are left, blanks behind the array or the rest of a cut one. */
enum gw_status json_array_finish(struct json_array *r, json_array_fn fn, void *ctx);

/* True when the array's last bracket was seen: a stream that ends without it was cut. */
bool json_array_complete(const struct json_array *r);

/* Bytes that wait for the end of their element. */
size_t json_array_pending(const struct json_array *r);

/* Appends the event with another object in place of its own; what stands in front of it stays as it came. */
void json_array_rewrite(struct gw_buf *out, const struct json_array_event *ev, struct gw_span data);

/* Appends an object as the first or a further element of an array, and the end of one; first: it has none. */
void json_array_write(struct gw_buf *out, bool first, struct gw_span data);
void json_array_write_end(struct gw_buf *out, bool first);

#endif
