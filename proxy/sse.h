/* proxy/sse.h - incremental reader of event streams (WHATWG HTML, section 9.2.5), for answers of providers.
 *
 * Lines may end with LF, CR or CRLF, split anywhere; comments, several data lines, a leading BOM and a missing
 * last blank line are understood. Each event comes with the very bytes it was made of, so that it can be
 * forwarded unchanged. One thread at a time. */
#ifndef PROXY_SSE_H
#define PROXY_SSE_H

#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

enum { SSE_MAX_EVENT_BYTES = 16 * 1024 * 1024 };

/* One event, or a block of comments alone (then data.ptr is NULL). Spans live until the callback returns. */
struct sse_event {
    struct gw_span raw;  /* all its bytes, its blank line included */
    struct gw_span name; /* of `event:`; empty: none */
    struct gw_span data; /* data lines joined with LF */
};

/* Anything but GW_OK stops the feeding and is returned by it. */
typedef enum gw_status (*sse_event_fn)(void *ctx, const struct sse_event *ev);

struct sse_reader;
struct sse_reader *sse_reader_new(void);    /* NULL: out of memory */
void sse_reader_free(struct sse_reader *r); /* r may be NULL */

/* GW_OK; GW_ELIMIT: an event above SSE_MAX_EVENT_BYTES; GW_ENOMEM; what the callback returned. */
enum gw_status sse_reader_feed(struct sse_reader *r, struct gw_span bytes, sse_event_fn fn,
                               void *ctx);

/* The stream ended: an event without its blank line is still given, as it stands. */
enum gw_status sse_reader_finish(struct sse_reader *r, sse_event_fn fn, void *ctx);

#endif
