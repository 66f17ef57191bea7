/* proxy/answer/peek.h - looks at the beginning of an answer of status 200 before the client is told of it.
 *
 * A provider that is overloaded may say 200 and then send an error as the first event of the stream, or as the whole of a
 * JSON answer. While nothing of it was passed on, another attempt can mend that. So the head waits, with the bytes behind
 * it, until the first event is complete (pings and comments are none), or the JSON is; at most for
 * reliability.first_event and for 64 KiB, so that a normal stream is not held back. Worker's thread. */
#ifndef PROXY_PEEK_H
#define PROXY_PEEK_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "proxy/api/api.h"
#include "proxy/http/http1.h"

struct peek;
struct req;

enum peek_result {
    PEEK_MORE,  /* not known yet */
    PEEK_FINE,  /* to be passed on, whatever it is */
    PEEK_ERROR, /* it begins with an error */
};

/* Starts looking when this answer is one to be looked at; else, or when out of memory, *out is NULL. The fields are copied. */
void peek_begin(struct req *req, unsigned status, const struct http1_field *fields,
                unsigned n_fields, int64_t length, struct peek **out);
void peek_free(struct peek *p); /* p may be NULL */

/* The next bytes of the body, which are kept. */
enum peek_result peek_data(struct peek *p, struct gw_span bytes);
/* The body is complete. An answer without anything in it is an error too. */
enum peek_result peek_end(struct peek *p);

/* After PEEK_ERROR: the status that it would have had as an answer, 400 to 599; and what the server says that it used. */
unsigned peek_error_status(const struct peek *p);
const struct api_usage *peek_usage(const struct peek *p);

/* What was held back; lives as long as p. */
struct peek_held {
    unsigned status;
    const struct http1_field *fields;
    unsigned n_fields;
    int64_t length;
    struct gw_span body;
    bool lost; /* out of memory: body is not all of it */
};
void peek_held(const struct peek *p, struct peek_held *out);

#endif
