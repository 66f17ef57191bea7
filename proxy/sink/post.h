/* proxy/sink/post.h - POST to one server over a connection that is kept, with libcurl.
 *
 * Blocks, but asks give_up() five times a second. No redirects, no proxy from the environment, TLS 1.2 at least, the
 * server's name checked. Thread: one. */
#ifndef PROXY_SINK_POST_H
#define PROXY_SINK_POST_H

#include "audit/sink.h"
#include "base/buf.h"
#include "base/err.h"

struct post;

struct post_config {
    const char *ca, *cert, *cert_key; /* PEM files, or "" */
    struct gw_span fields;            /* "Name: value CRLF", credentials among them */
    unsigned timeout_ms;              /* of one POST */
};

/* Copies cfg. GW_ENOMEM. */
enum gw_status post_new(const struct post_config *cfg, struct post **out, struct gw_err *err);
void post_free(struct post *p); /* wipes; p may be NULL */

/* Sends body; SINK_DONE: an answer came, of any status: see post_status() and post_answer(). Else call->why says what was
 * wrong. call->wait_ms is set from Retry-After. body {NULL, 0}: a GET. */
enum sink_end post_send(struct post *p, const char *url, struct gw_span body,
                        struct sink_call *call);
unsigned post_status(const struct post *p);
struct gw_span post_answer(const struct post *p); /* at most 8 MiB; valid until the next send */

/* What a status means where a server has no codes of its own: DONE for 2xx; DENIED for what only a person can change;
 * REFUSED for what the body is blamed for. why is set but for DONE. */
enum sink_end post_judge(unsigned status, struct sink_call *call);

#endif
