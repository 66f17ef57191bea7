/* proxy/answer/respond_fields.h - the fields of an answer's head: what SDKs read survives, what belongs to a hop does not. */
#ifndef PROXY_RESPOND_FIELDS_H
#define PROXY_RESPOND_FIELDS_H

#include <stdbool.h>

#include "base/buf.h"
#include "proxy/http/http1.h"

struct req;

/* The first field of that name, or NULL. */
const struct http1_field *respond_field(const struct http1_field *fields, unsigned n,
                                        const char *name);

/* True when a Content-Type names that media type, whatever its parameters. */
bool respond_media_type_is(struct gw_span type, const char *want);

/* Appends Content-Type. An event stream's tells proxies in between not to store, pack or hold it back. */
void respond_fields_type(struct gw_buf *out, const char *media_type);

/* Appends the end-to-end fields of a target's answer and our own. own_body: the body is written here, so what described
 * the target's is left out, and its Content-Type too (respond_fields_type() gave ours). */
void respond_fields_copy(const struct req *req, struct gw_buf *out,
                         const struct http1_field *fields, unsigned n, bool own_body);

#endif
