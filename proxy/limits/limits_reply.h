/* proxy/limits/limits_reply.h - Redis' answers out of bytes, whatever the bytes are: hiredis' reader within bounds of ours. One
 * thread at a time. */
#ifndef PROXY_LIMITS_REPLY_H
#define PROXY_LIMITS_REPLY_H

#include "base/err.h"
#include "base/span.h"

struct redisReply;
struct limits_reader;

struct limits_reader *limits_reader_new(void);    /* NULL: out of memory */
void limits_reader_free(struct limits_reader *r); /* r may be NULL */

/* Takes bytes in. GW_ELIMIT: an answer that is too long; GW_ENOMEM. */
enum gw_status limits_reader_feed(struct limits_reader *r, struct gw_span bytes);

/* The next answer that is complete; the caller's (freeReplyObject()). GW_EAGAIN: not yet; GW_EPARSE: not Redis' protocol,
 * or an array too large to be ours: the connection must end. */
enum gw_status limits_reader_next(struct limits_reader *r, struct redisReply **out);

#endif
