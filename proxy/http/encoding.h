/* proxy/http/encoding.h - undoes the Content-Encoding of requests, within bounds. What cannot be read cannot be
 * scanned, so what is not undone here is refused. Pure; any thread. */
#ifndef PROXY_ENCODING_H
#define PROXY_ENCODING_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* encoding: the field's value. Appends the decoded body to out. identity (or empty), gzip, x-gzip, deflate; one
 * coding, one member, nothing behind it. GW_EUNSUPPORTED: another coding (415); GW_EPARSE: broken data
 * (400); GW_ELIMIT: more than max_bytes or more than 100 times the input (413); GW_ENOMEM. */
enum gw_status encoding_undo(struct gw_span encoding, struct gw_span body, size_t max_bytes,
                             struct gw_buf *out, struct gw_err *err);

/* True when encoding names no coding at all, so that the body can stay where it is. */
int encoding_is_identity(struct gw_span encoding);

#endif
