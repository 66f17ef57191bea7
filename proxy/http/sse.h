/* proxy/http/sse.h - reads and rewrites event streams (WHATWG HTML, "Server-sent events"), bytes in, events out.
 *
 * Lines end in LF, CR or CRLF, anywhere cut; an empty line ends an event. The raw bytes of all events
 * together are exactly the bytes fed, comments, unknown fields and empty events included, so a stream
 * whose events are forwarded raw is forwarded unchanged. No I/O. Thread: the worker's. */
#ifndef PROXY_SSE_H
#define PROXY_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum { SSE_MAX_EVENT = 16 << 20 }; /* bytes */

/* One event. The spans are valid during the call that delivers it. */
struct sse_event {
    struct gw_span raw;  /* all bytes of it, with comments and the empty line */
    struct gw_span name; /* value of its last "event" field, or empty */
    struct gw_span data; /* values of its "data" fields, joined by LF */
    bool has_data;       /* it has a "data" field; without one a client ignores the event */
    bool first;          /* of its stream: a byte order mark in front of it is none of its text */
    bool ended;          /* by an empty line; false only for the last one of a cut stream */
};

/* Takes an event. Anything but GW_OK stops the reader, which returns it to its caller. */
typedef enum gw_status (*sse_event_fn)(void *ctx, const struct sse_event *ev);

struct sse_reader;

/* max_event: bytes of one event, 0 for SSE_MAX_EVENT. NULL when out of memory. */
struct sse_reader *sse_reader_new(size_t max_event);
void sse_reader_free(struct sse_reader *r); /* r may be NULL */

/* Feeds the next bytes; delivers each event that is complete, at once. GW_ELIMIT: an event is too long;
 * GW_ENOMEM; or what fn returned. After a failure the reader can only be freed. */
enum gw_status sse_reader_feed(struct sse_reader *r, struct gw_span bytes, sse_event_fn fn,
                               void *ctx);

/* The stream has ended: delivers what is left, a last line without its end included. */
enum gw_status sse_reader_finish(struct sse_reader *r, sse_event_fn fn, void *ctx);

/* Bytes that wait for the end of their event. */
size_t sse_reader_pending(const struct sse_reader *r);

/* These bytes; also after GW_ELIMIT, for who passes them on without reading them. */
struct gw_span sse_reader_rest(const struct sse_reader *r);

/* Appends the event with other data: its "data" lines give way to those of data, its other lines stay as
 * they came. data's line ends (CR, LF, CRLF) become line ends of the stream. */
void sse_rewrite(struct gw_buf *out, const struct sse_event *ev, struct gw_span data);

/* Takes a line that is no data (without its end): appends what stands in its place, without an end. GW_OK, or a failure
 * that stops. */
typedef enum gw_status (*sse_line_fn)(void *ctx, struct gw_span line, struct gw_buf *out);

/* True when the event has lines of text besides its data and a name of plain letters: comments, ids and the like. */
bool sse_has_more(const struct sse_event *ev);

/* Appends the raw event, with what fn makes of its lines that are no data. */
enum gw_status sse_edit_lines(struct gw_buf *out, const struct sse_event *ev, sse_line_fn fn,
                              void *ctx);

/* Appends a new event; name may be empty. */
void sse_write(struct gw_buf *out, struct gw_span name, struct gw_span data);

#endif
