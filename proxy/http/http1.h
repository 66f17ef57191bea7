/* proxy/http/http1.h - a strict incremental HTTP/1.1 parser (RFC 9112): bytes in, events out, no I/O.
 *
 * One parser per direction of a connection. Bytes may come in any pieces. What two readers could
 * understand differently is refused, never repaired: see the table in docs/http.md and
 * tests/unit/proxy/test_http1.c. After HTTP1_ERROR the connection is closed; nothing more is read from
 * it.
 *
 *        feed                      empty line                 framing says
 *  IDLE ------> START LINE -> FIELDS ---------> HEAD event --+-- no body -------------> DONE event
 *   ^                                                        +-- length/close -> BODY -----> |
 *   |                                                        +-- chunked -> SIZE -> DATA --> |
 *   |                                                              ^---- CRLF <--|  TRAILERS |
 *   +---------------------------------- http1_next() again <---------------------------------+
 *
 * Invariants: (H1) a head is complete and checked before its event; (H2) a body event's bytes are
 * decoded; (H3) memory is bounded by the limits, whatever is fed; (H4) no event follows HTTP1_ERROR. */
#ifndef PROXY_HTTP1_H
#define PROXY_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

enum http1_event {
    HTTP1_MORE,  /* all input is used up; feed more */
    HTTP1_HEAD,  /* http1_head() is complete */
    HTTP1_BODY,  /* *data is the next part of the decoded body */
    HTTP1_DONE,  /* the message is complete; the next call starts on the next message */
    HTTP1_ERROR, /* http1_error() says why */
};

struct http1_limits {
    uint32_t max_line_bytes; /* request line and each field line; 0: 8 KiB */
    uint32_t max_head_bytes; /* all of them together; 0: 64 KiB */
    uint32_t max_fields;     /* 0: 100 */
    uint64_t max_body_bytes; /* decoded; 0: no limit here */
};

struct http1_field {
    struct gw_span name, value; /* value without surrounding whitespace */
};

/* A checked message head. All spans point into the parser and live until the next HTTP1_DONE. */
struct http1_head {
    struct gw_span method, target; /* request */
    struct gw_span authority;      /* request: Host, or of an absolute or authority-form target */
    struct gw_span path; /* request: path and query of the target; "*" for asterisk-form */
    unsigned status;     /* response */
    unsigned minor;      /* HTTP/1.minor: 0 or 1 */
    const struct http1_field *fields;
    unsigned n_fields;
    bool has_length, chunked;
    uint64_t content_length;
    bool keep_alive;      /* the sender allows another message */
    bool expect_continue; /* request: Expect: 100-continue */
    bool connect;         /* request: CONNECT */
    bool upgrade;         /* asks for or grants another protocol */
};

struct http1;

struct http1 *http1_new(enum http1_kind kind,
                        const struct http1_limits *limits); /* NULL: no memory */
void http1_free(struct http1 *p);                           /* wipes; p may be NULL */

/* Response parsers: the next response answers this request method (HEAD and CONNECT change framing). */
void http1_expect(struct http1 *p, struct gw_span method);

/* Takes bytes from the front of *in and returns what they make. HTTP1_BODY data points into *in. Call
 * again until HTTP1_MORE or HTTP1_ERROR. */
enum http1_event http1_next(struct http1 *p, struct gw_span *in, struct gw_span *data);

/* The peer closed. True when that ends the message properly (a close-delimited response, reported as
 * HTTP1_DONE by the caller) or when no message was begun. */
bool http1_eof(struct http1 *p);

/* True between messages: no byte of the next one was seen. */
bool http1_idle(const struct http1 *p);

/* Gives back what the last message took, when p is idle; its head is gone. Most connections are idle most of the time. */
void http1_rest(struct http1 *p);

const struct http1_head *http1_head(const struct http1 *p);

/* The first field of that name, or an empty span with NULL ptr. */
struct gw_span http1_get(const struct http1_head *h, const char *name);

/* After HTTP1_ERROR: the status a request deserves (400 413 414 431 501 505) and a sentence. */
unsigned http1_error(const struct http1 *p, const char **why);

#endif
