/* proxy/request/request_cache.h - the exact cache in a request's way: may it be used, is there an answer, is the new one kept.
 *
 * What is kept is what the client got, of answers that no guard had to change, of requests in which nothing was found: so
 * an entry holds nothing that was hidden or restored for anybody. A hit goes through the filters of the one who asks, like
 * any answer. Worker's thread. */
#ifndef PROXY_REQUEST_CACHE_H
#define PROXY_REQUEST_CACHE_H

#include "base/buf.h"

struct req;

enum req_cache { REQ_CACHE_OFF, REQ_CACHE_BYPASS, REQ_CACHE_MISS, REQ_CACHE_HIT };
const char *req_cache_name(enum req_cache c); /* "", "bypass", "miss", "hit" */

/* Answers with what was found: after stage_cache() set REQ_CACHE_HIT. The request is over when this returns, but for its
 * being freed. */
void req_cache_replay(struct req *req);

/* The request ends: its answer is kept when it may be. */
void req_cache_keep(struct req *req);

/* Gives up what stage_cache() found; once the request is over. */
void req_cache_free(struct req *req);

/* "x-sluice-cache", "Age", and the cost of a hit. */
void req_cache_fields(const struct req *req, struct gw_buf *out);

#endif
