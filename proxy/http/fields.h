/* proxy/http/fields.h - which header fields cross the gateway. Pure; any thread. */
#ifndef PROXY_FIELDS_H
#define PROXY_FIELDS_H

#include <stdbool.h>

#include "base/buf.h"
#include "proxy/http/http1.h"

/* True for a field of one connection only (RFC 9110 7.6.1): Connection and what it names, Keep-Alive,
 * Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade; and for Content-Length, which is always our own. */
bool field_is_hop(const struct http1_field *f, struct gw_span connection);

/* True for a field that carries a client's credential for the gateway: never forwarded from that port. */
bool field_is_credential(struct gw_span name);

/* Appends "Name: value\r\n". */
void field_add(struct gw_buf *out, struct gw_span name, struct gw_span value);

#endif
