/* proxy/redis/redis_wire.h - Redis' protocol (RESP 2): commands into bytes, and answers out of bytes, whatever the bytes are:
 * hiredis' reader within bounds of ours. One thread at a time. */
#ifndef PROXY_REDIS_WIRE_H
#define PROXY_REDIS_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct redisReply;
struct redis_reader;

/* Appends one command of n arguments. */
void redis_command(struct gw_buf *out, const struct gw_span *args, unsigned n);

/* max_bytes: of an answer that is not complete; max_elements: of an array. NULL: out of memory. */
struct redis_reader *redis_reader_new(size_t max_bytes, unsigned max_elements);
void redis_reader_free(struct redis_reader *r); /* r may be NULL */

/* Takes bytes in. GW_ELIMIT: an answer that is too long; GW_ENOMEM. */
enum gw_status redis_reader_feed(struct redis_reader *r, struct gw_span bytes);

/* The next answer that is complete; the caller's (freeReplyObject()). GW_EAGAIN: not yet; GW_EPARSE: not Redis' protocol,
 * or an array too large to be ours: the connection must end. */
enum gw_status redis_reader_next(struct redis_reader *r, struct redisReply **out);

#endif
