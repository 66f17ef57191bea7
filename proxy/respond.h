/* proxy/respond.h - the answer's way back: fields filtered, tokenized values restored, usage read.
 *
 * Same bytes unless something must be restored. A whole JSON answer with placeholders is collected (bounded) and
 * restored in place; a stream is restored event by event, holding back only what could still become a
 * placeholder. Worker's thread. */
#ifndef PROXY_RESPOND_H
#define PROXY_RESPOND_H

#include "base/err.h"
#include "base/span.h"
#include "proxy/http1.h"

struct req;
struct respond;

/* The final head came: writes the client's head (or waits for the whole body when its length will change). */
enum gw_status respond_begin(struct req *req, unsigned status, const struct http1_field *fields,
                             unsigned n_fields, int64_t length);
enum gw_status respond_data(struct req *req, struct gw_span bytes);
/* The body is complete. The caller ends the connection's answer. GW_ELIMIT, GW_ENOMEM. */
enum gw_status respond_end(struct req *req);
/* The answer broke off: an error event in a stream, nothing elsewhere. */
void respond_cut(struct req *req, const char *why);
void respond_free(struct respond *r); /* r may be NULL */

#endif
